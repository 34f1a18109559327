"""The kinds of object that ringfence reads, by API group. All others are skipped quietly."""

from typing import Final

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """A kind as the API names it."""

    group: str
    """Empty for the core group."""
    versions: tuple[str, ...]
    """The versions that ringfence knows, preferred first."""
    kind: str
    plural: str
    namespaced: bool = True
    policy: bool = False
    """True where objects of it change verdicts directly: an unreadable one makes them unknown."""
    family: str = ""
    """The group whose kind this is, where it is served by another too (Calico's storage form)."""

    @property
    def title(self) -> str:
        """Return what tells it from every other kind: with its group where a name is shared."""
        group = self.family or self.group
        return f"{self.kind}.{group}" if self.kind in SHARED and group in OTHERS else self.kind


SHARED: Final = frozenset({"NetworkPolicy", "ClusterNetworkPolicy", "Tier"})
OTHERS: Final = frozenset({"projectcalico.org", "crd.antrea.io"})
"""Names of kinds that these groups have beside Kubernetes' own, or beside each other."""


def _calico(kind: str, plural: str, *, namespaced: bool) -> tuple[Kind, Kind]:
    """Return a kind in the form that users write and in the one that is stored."""
    user = "projectcalico.org"
    return (
        Kind(user, ("v3",), kind, plural, namespaced, policy=True),
        Kind(f"crd.{user}", ("v1",), kind, plural, namespaced, policy=True, family=user),
    )


KINDS: Final = (
    Kind("", ("v1",), "Namespace", "namespaces", namespaced=False),
    Kind("", ("v1",), "Node", "nodes", namespaced=False),
    Kind("", ("v1",), "Pod", "pods"),
    Kind("", ("v1",), "Service", "services"),
    Kind("", ("v1",), "ServiceAccount", "serviceaccounts"),
    Kind("", ("v1",), "ReplicationController", "replicationcontrollers"),
    Kind("apps", ("v1",), "Deployment", "deployments"),
    Kind("apps", ("v1",), "StatefulSet", "statefulsets"),
    Kind("apps", ("v1",), "DaemonSet", "daemonsets"),
    Kind("apps", ("v1",), "ReplicaSet", "replicasets"),
    Kind("batch", ("v1",), "Job", "jobs"),
    Kind("batch", ("v1",), "CronJob", "cronjobs"),
    Kind("discovery.k8s.io", ("v1",), "EndpointSlice", "endpointslices"),
    Kind("networking.k8s.io", ("v1",), "Ingress", "ingresses"),
    Kind("gateway.networking.k8s.io", ("v1", "v1beta1"), "Gateway", "gateways"),
    Kind("gateway.networking.k8s.io", ("v1", "v1beta1"), "HTTPRoute", "httproutes"),
    Kind("gateway.networking.k8s.io", ("v1", "v1alpha2"), "GRPCRoute", "grpcroutes"),
    Kind("gateway.networking.k8s.io", ("v1", "v1alpha3", "v1alpha2"), "TLSRoute", "tlsroutes"),
    Kind("gateway.networking.k8s.io", ("v1", "v1alpha2"), "TCPRoute", "tcproutes"),
    Kind("networking.k8s.io", ("v1",), "NetworkPolicy", "networkpolicies", policy=True),
    Kind(
        "policy.networking.k8s.io",
        ("v1alpha2",),
        "ClusterNetworkPolicy",
        "clusternetworkpolicies",
        namespaced=False,
        policy=True,
    ),
    Kind(
        "policy.networking.k8s.io",
        ("v1alpha1",),
        "AdminNetworkPolicy",
        "adminnetworkpolicies",
        namespaced=False,
        policy=True,
    ),
    Kind(
        "policy.networking.k8s.io",
        ("v1alpha1",),
        "BaselineAdminNetworkPolicy",
        "baselineadminnetworkpolicies",
        namespaced=False,
        policy=True,
    ),
    *_calico("NetworkPolicy", "networkpolicies", namespaced=True),
    *_calico("GlobalNetworkPolicy", "globalnetworkpolicies", namespaced=False),
    *_calico("StagedNetworkPolicy", "stagednetworkpolicies", namespaced=True),
    *_calico("StagedGlobalNetworkPolicy", "stagedglobalnetworkpolicies", namespaced=False),
    *_calico("StagedKubernetesNetworkPolicy", "stagedkubernetesnetworkpolicies", namespaced=True),
    *_calico("Tier", "tiers", namespaced=False),
    *_calico("NetworkSet", "networksets", namespaced=True),
    *_calico("GlobalNetworkSet", "globalnetworksets", namespaced=False),
    *_calico("HostEndpoint", "hostendpoints", namespaced=False),
    *_calico("Profile", "profiles", namespaced=False),
    Kind("cilium.io", ("v2",), "CiliumNetworkPolicy", "ciliumnetworkpolicies", policy=True),
    Kind(
        "cilium.io",
        ("v2",),
        "CiliumClusterwideNetworkPolicy",
        "ciliumclusterwidenetworkpolicies",
        namespaced=False,
        policy=True,
    ),
    Kind(
        "cilium.io",
        ("v2", "v2alpha1"),
        "CiliumCIDRGroup",
        "ciliumcidrgroups",
        namespaced=False,
        policy=True,
    ),
)
"""Of ConfigMaps only `kube-system/cilium-config` is read, by its name; Secrets never are."""

BY_NAME: Final = {(kind.group, kind.kind): kind for kind in KINDS}


def group_of(api_version: str) -> str:
    """Return the group of an `apiVersion`: empty for the core group's `v1`."""
    group, slash, _ = api_version.rpartition("/")
    return group if slash else ""


def find(api_version: str, kind: str) -> Kind | None:
    """Return the kind as ringfence knows it, whatever the version; None if it is of no interest."""
    return BY_NAME.get((group_of(api_version), kind))


def title(api_version: str, kind: str) -> str:
    """Return what tells a kind from every other: its name, with its group where that is shared."""
    known = find(api_version, kind)
    return known.title if known else kind
