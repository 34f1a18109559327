"""The two ends of a connection as policies see them: who they are and where they live."""

import ipaddress
from dataclasses import dataclass, field

from ringfence.model.cluster import ContainerPort, Identity, Node, Pod, Protocol
from ringfence.model.connection import (
    AddressEnd,
    Connection,
    DomainEnd,
    End,
    NodeEnd,
    PodEnd,
)
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Ranges = tuple[tuple[int, int], ...]
"""Ranges of addresses as whole numbers, both ends included."""

CILIUM_DEFAULTS = CiliumConfig()
ASSUMED = (
    "pods without a known address are assumed to live in the private IPv4 ranges: "
    "`--pod-cidr` settles it"
)


@dataclass(frozen=True)
class OwnPod:
    """A pod with a network of its own: what policies select, and all that Kubernetes' own do.

    Source: NPA types, ClusterNetworkPolicySubject: host-network pods are not included.
    """

    name: str
    namespace: str
    namespace_labels: dict[str, str]
    service_account: str
    labels: dict[str, str]
    ports: tuple[ContainerPort, ...]
    place: Ranges
    why_unsure: str
    assumed: bool = False
    """Where it lives is not known but the usual guess."""


@dataclass(frozen=True)
class Host:
    """A node, or a host-network pod, which is no more than its node to policies.

    Source: kubernetes.io "Network Policies", hostNetwork pods: the usual of the two outcomes is
    that they are ignored by selectors and treated as their node.
    """

    name: str
    node: Node | None
    """The Node object; None where it is not known which, or there is none."""
    place: Ranges
    why_unsure: str
    on_some_node: bool = False
    """Whether it is on one of the nodes of the input, if not known on which."""


@dataclass(frozen=True)
class Outside:
    """What is neither pod nor node: an address, or a domain of which only the name is known."""

    name: str
    domain: str
    """Empty for an address."""
    place: Ranges
    why_unsure: str


Party = OwnPod | Host | Outside


@dataclass(frozen=True)
class Approach:
    """A connection seen from one side: the subject's policies judge it against the peer."""

    direction: Direction
    subject: Party
    peer: Party
    protocol: Protocol
    port: int | None
    family: int
    cni: Cni
    nodes: tuple[Node, ...] = ()
    """All nodes of the cluster."""
    request: Request = ANYTHING
    """What is known of what is said above the port."""
    connection: Connection | None = None
    """The question itself, for what depends on the nodes that its ends are on."""
    one_node: bool | None = False
    """Cilium alone: whether the peer is the very node that the subject is or runs on; None where
    it may be."""
    cilium: CiliumConfig = CILIUM_DEFAULTS
    """The settings of Cilium's agent."""
    notes: set[str] = field(default_factory=set)
    """What a reader of the verdict must know, gathered while it is reached."""

    @property
    def destination(self) -> Party:
        """Return the end that is connected to: it is the one whose ports have names."""
        return self.subject if self.direction is Direction.INGRESS else self.peer


def identity_of(snapshot: Snapshot, end: PodEnd) -> Identity:
    """Return the identity that an end names."""
    return snapshot.workloads[end.workload].identities[end.identity]


def pod_of(snapshot: Snapshot, end: PodEnd) -> Pod | None:
    """Return the pod that stands for the end: the one named, else the identity's first, if any."""
    pods = identity_of(snapshot, end).pods
    if end.pod is not None:
        return pods[end.pod]
    return pods[0] if pods else None


def family_of(snapshot: Snapshot, connection: Connection) -> int:
    """Return the IP family of a connection, 4 or 6: each family is judged for itself.

    The question's, if it says so; else that of an outside address or a node; else IPv4 where
    both ends can have it, else IPv6 where both can, else IPv4.
    """
    if connection.family is not None:
        return connection.family
    ends = (connection.source, connection.destination)
    # An address of the outside has one family alone, a node may have both.
    for end in sorted(ends, key=lambda end: not isinstance(end, AddressEnd)):
        if isinstance(end, AddressEnd | NodeEnd):
            addresses = _addresses(snapshot, end)
            if addresses:
                return addresses[0].version
    common = {4, 6}
    for end in ends:
        common &= _families(snapshot, end)
    return 6 if common == {6} else 4


def party_of(snapshot: Snapshot, end: End, family: int) -> Party:
    """Return an end as policies see it in one IP family."""
    known = _addresses(snapshot, end)
    place = tuple((int(found), int(found)) for found in known if found.version == family)
    whole = ((0, 2 ** (32 if family == 4 else 128) - 1),)
    match end:
        case AddressEnd():
            return Outside(end.address, "", place, "")
        case DomainEnd():
            return Outside(end.name, end.name, whole, _unsure(end.name, known))
        case NodeEnd():
            node = snapshot.nodes[end.node]
            name = f"node/{node.name}"
            return Host(name, node, place if known else whole, _unsure(name, known))
        case PodEnd():
            workload = snapshot.workloads[end.workload]
            identity = identity_of(snapshot, end)
            unsure = _unsure(workload.ref, known)
            pod = pod_of(snapshot, end)
            if identity.host_network:
                own = _node_of(snapshot, pod)
                among = own is None and _is_among_nodes(snapshot, pod)
                if not known:
                    place = _places_of_nodes(snapshot, family) if among else whole
                return Host(workload.ref, own, place, unsure, among)
            if not known:
                blocks = [block for block in _pod_blocks(snapshot) if block.version == family]
                place = tuple((int(b.network_address), int(b.broadcast_address)) for b in blocks)
            return OwnPod(
                name=workload.ref,
                namespace=workload.namespace,
                namespace_labels=_namespace_labels(snapshot, workload.namespace),
                service_account=identity.service_account,
                # Also the labels that the identity leaves out because nothing selects by them:
                # that nothing does is for the policies to say, not for this judge to believe.
                labels=_seen(snapshot, {**dict(pod.labels if pod else ()), **identity.labels}),
                ports=identity.ports,
                place=place,
                why_unsure=unsure,
                assumed=not known and snapshot.pod_cidrs_assumed,
            )


def _is_among_nodes(snapshot: Snapshot, pod: Pod | None) -> bool:
    """Return whether a host-network pod must be on some node of the input.

    So it is where every node's address is known and the pod names no node and has no address.
    """
    named = pod is not None and (pod.node or pod.addresses)
    return not named and bool(snapshot.nodes) and all(n.addresses for n in snapshot.nodes)


def _places_of_nodes(snapshot: Snapshot, family: int) -> Ranges:
    found = [ipaddress.ip_address(a) for node in snapshot.nodes for a in node.addresses]
    return tuple((int(a), int(a)) for a in found if a.version == family)


def node_name_of(snapshot: Snapshot, end: End) -> str:
    """Return the name of the node that an end is or runs on; empty where it is not known."""
    if isinstance(end, NodeEnd):
        return snapshot.nodes[end.node].name
    if not isinstance(end, PodEnd):
        return ""
    pod = pod_of(snapshot, end)
    if pod is None or pod.node or not identity_of(snapshot, end).host_network:
        return pod.node if pod else ""
    node = _node_of(snapshot, pod)
    return node.name if node else ""


def _node_of(snapshot: Snapshot, pod: Pod | None) -> Node | None:
    """Return the Node object of a host-network pod: by its name, else by the address they share.

    Source: network-policy-api ClusterNetworkPolicyEgressPeer `nodes`: matches on the IPs in the
    node's `status.addresses`.
    """
    if pod is None:
        return None
    for node in snapshot.nodes:
        if node.name == pod.node:
            return node
    if pod.node:
        return None
    for node in snapshot.nodes:
        if set(node.addresses) & set(pod.addresses):
            return node
    return None


def _addresses(snapshot: Snapshot, end: End) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the known addresses of an end; a host-network pod without any has its node's."""
    found: tuple[str, ...] = ()
    match end:
        case AddressEnd():
            found = (end.address,)
        case NodeEnd():
            found = (end.address,) if end.address else snapshot.nodes[end.node].addresses
        case PodEnd():
            pod = pod_of(snapshot, end)
            found = pod.addresses if pod else ()
            if not found and identity_of(snapshot, end).host_network:
                node = _node_of(snapshot, pod)
                found = node.addresses if node else ()
        case DomainEnd():
            pass
    return [_plain(ipaddress.ip_address(address)) for address in found]


def _plain(address: Address) -> Address:
    """Return an IPv4 address that was written as an IPv6 one as what it is."""
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address


def _families(snapshot: Snapshot, end: End) -> set[int]:
    """Return the IP families that an end can have; both where nothing is known."""
    known: set[int] = {address.version for address in _addresses(snapshot, end)}
    if not known and isinstance(end, PodEnd) and not identity_of(snapshot, end).host_network:
        return {network.version for network in _pod_blocks(snapshot)}
    return known or {4, 6}


def _pod_blocks(snapshot: Snapshot) -> list[Network]:
    return [ipaddress.ip_network(block, strict=False) for block in snapshot.pod_cidrs]


CILIUM_KEEPS = ("app.kubernetes.io",)
CILIUM_DROPS = (
    "io.kubernetes",
    "kubernetes.io",
    "k8s.io",
    "topology.kubernetes.io",
    "pod-template-generation",
    "pod-template-hash",
    "controller-revision-hash",
    "controller-uid",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
    "annotation",
    "etcd_node",
)


def _seen(snapshot: Snapshot, labels: dict[str, str]) -> dict[str, str]:
    """Return the labels by which a pod can be selected; Cilium's identities lack some.

    Source: Cilium `pkg/labelsfilter/filter.go` defaultLabelPrefixCfg: prefixes, first match
    decides; `.*beta.kubernetes.io` anywhere.
    """
    return labels if snapshot.profile.cni is not Cni.CILIUM else cilium_identity(labels)


def cilium_identity(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels that Cilium does not leave out of an identity."""
    return {
        key: value
        for key, value in labels.items()
        if key.startswith(CILIUM_KEEPS)
        or not (key.startswith(CILIUM_DROPS) or "beta.kubernetes.io" in key)
    }


def _namespace_labels(snapshot: Snapshot, name: str) -> dict[str, str]:
    """Return a namespace's labels; the API server gives every one its name as a label.

    Source: kubernetes KEP-2161 (`kubernetes.io/metadata.name`).
    """
    for namespace in snapshot.namespaces:
        if namespace.name == name:
            return {**namespace.labels, NAMESPACE_NAME: name}
    return {NAMESPACE_NAME: name}


def _unsure(name: str, known: list[Address]) -> str:
    if known:
        return f"`{name}` has several addresses, of which only some lie in the block"
    return f"the address of `{name}` is not known"
