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
    mesh: str = ""
    """`istio` or `linkerd` where only that mesh heeds it as a policy; empty: whatever enforces."""

    @property
    def title(self) -> str:
        """Return what tells it from every other kind: with its group where a name is shared."""
        group = self.family or self.group
        return f"{self.kind}.{group}" if self.kind in SHARED and group in OTHERS else self.kind


SHARED: Final = frozenset(
    {"NetworkPolicy", "ClusterNetworkPolicy", "Tier", "AuthorizationPolicy", "HTTPRoute"}
)
OTHERS: Final = frozenset({"projectcalico.org", "crd.antrea.io", "policy.linkerd.io"})
"""Names of kinds that these groups have beside Kubernetes' own, or beside each other. Of
AuthorizationPolicies those of Istio go without their group."""


def _calico(kind: str, plural: str, *, namespaced: bool) -> tuple[Kind, Kind]:
    """Return a kind in the form that users write and in the one that is stored."""
    user = "projectcalico.org"
    return (
        Kind(user, ("v3",), kind, plural, namespaced, policy=True),
        Kind(f"crd.{user}", ("v1",), kind, plural, namespaced, policy=True, family=user),
    )


def _istio(group: str, kind: str, plural: str) -> Kind:
    """Return a kind of Istio, whose versions mean the same.

    Source: istio/api `kubernetes/customresourcedefinitions.gen.yaml`.
    """
    older = ("v1beta1",) if group == "security" else ("v1beta1", "v1alpha3")
    return Kind(f"{group}.istio.io", ("v1", *older), kind, plural, policy=True, mesh="istio")


def _linkerd(kind: str, plural: str, *versions: str) -> Kind:
    """Return a kind of Linkerd.

    Source: linkerd2 `charts/linkerd-crds/templates/policy`.
    """
    return Kind("policy.linkerd.io", versions, kind, plural, policy=True, mesh="linkerd")


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
    Kind(
        "gateway.networking.k8s.io",
        ("v1", "v1beta1"),
        "GatewayClass",
        "gatewayclasses",
        namespaced=False,
    ),
    Kind("gateway.networking.k8s.io", ("v1", "v1beta1"), "Gateway", "gateways"),
    Kind("gateway.networking.k8s.io", ("v1", "v1beta1"), "HTTPRoute", "httproutes", mesh="linkerd"),
    Kind(
        "gateway.networking.k8s.io", ("v1", "v1alpha2"), "GRPCRoute", "grpcroutes", mesh="linkerd"
    ),
    Kind(
        "gateway.networking.k8s.io",
        ("v1", "v1alpha3", "v1alpha2"),
        "TLSRoute",
        "tlsroutes",
        mesh="linkerd",
    ),
    Kind("gateway.networking.k8s.io", ("v1", "v1alpha2"), "TCPRoute", "tcproutes", mesh="linkerd"),
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
    _istio("security", "AuthorizationPolicy", "authorizationpolicies"),
    _istio("security", "PeerAuthentication", "peerauthentications"),
    _istio("security", "RequestAuthentication", "requestauthentications"),
    _istio("networking", "DestinationRule", "destinationrules"),
    _istio("networking", "Sidecar", "sidecars"),
    _istio("networking", "ServiceEntry", "serviceentries"),
    _linkerd("Server", "servers", "v1beta3", "v1beta2", "v1beta1"),
    _linkerd("ServerAuthorization", "serverauthorizations", "v1beta1"),
    _linkerd("AuthorizationPolicy", "authorizationpolicies", "v1alpha1"),
    _linkerd("MeshTLSAuthentication", "meshtlsauthentications", "v1alpha1"),
    _linkerd("NetworkAuthentication", "networkauthentications", "v1alpha1"),
    _linkerd("HTTPRoute", "httproutes", "v1beta3", "v1beta2", "v1beta1", "v1alpha1"),
    _linkerd("EgressNetwork", "egressnetworks", "v1alpha1"),
)
"""Of ConfigMaps only these are read, by their names: `kube-system/cilium-config`, `istio` (and
`istio-REVISION`) and `linkerd-config`. Secrets never are."""

BY_NAME: Final = {(kind.group, kind.kind): kind for kind in KINDS}
MESH_TITLES: Final = {kind.title: kind.mesh for kind in KINDS if kind.mesh}
"""Which mesh heeds a kind, by the kind's title."""


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
