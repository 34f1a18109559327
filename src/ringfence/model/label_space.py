"""Labels with a meaning of their own: a namespace's name, and what Calico and Cilium add to pods.

Names only: the judges, which are written apart, each work out who carries what.
"""

from typing import Final

NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""What every namespace carries, its name.

Source: core/v1 LabelMetadataName."""

CALICO_NAMESPACE: Final = "projectcalico.org/namespace"
CALICO_SERVICE_ACCOUNT: Final = "projectcalico.org/serviceaccount"
CALICO_ORCHESTRATOR: Final = "projectcalico.org/orchestrator"
"""`k8s` for every pod; host endpoints and network sets have none."""
CALICO_NAME: Final = "projectcalico.org/name"
CALICO_NAMESPACE_PREFIX: Final = "pcns."
"""Before a label of the endpoint's namespace; `pcns.projectcalico.org/name` is its name."""
CALICO_SERVICE_ACCOUNT_PREFIX: Final = "pcsa."
"""Before a label of the endpoint's service account; `pcsa.projectcalico.org/name` is its name.

Source: Calico `libcalico-go/lib/backend/k8s/conversion/conversion.go`, `.../syncersv1/
updateprocessors`."""
CALICO_HOST_ENDPOINT: Final = ":host-endpoint"
"""The name of a host endpoint, so that the policies which it implies can mean it alone: no
selector can be written for this key, whose colon the language does not know."""

CILIUM_NAMESPACE: Final = "io.kubernetes.pod.namespace"
CILIUM_NAMESPACE_LABELS: Final = "io.cilium.k8s.namespace.labels."
"""Before a label of the pod's namespace."""
CILIUM_SERVICE_ACCOUNT: Final = "io.cilium.k8s.policy.serviceaccount"
CILIUM_CLUSTER: Final = "io.cilium.k8s.policy.cluster"
CILIUM_RESERVED: Final = "reserved:"
"""Before the name of an identity that is no pod: `reserved:host`. Keys with the prefixes `k8s:`
and `any:` are held without them; keys of other sources with theirs.

Source: Cilium `pkg/k8s/apis/cilium.io/const.go`, `pkg/labels/labels.go`."""
