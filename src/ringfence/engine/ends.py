"""What the two ends of a connection are to each other: one pod, a pod and its node, strangers."""

from collections.abc import Callable

from ringfence.model.cluster import Identity, Pod
from ringfence.model.connection import AddressEnd, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.profile import Cni
from ringfence.model.snapshot import Snapshot


class Ends:
    """Tells of ends what no policy says: where they are, and whether they are the same."""

    def __init__(self, snapshot: Snapshot, node_of: Callable[[Pod], int | None]) -> None:
        """Keep the snapshot.

        Args:
            snapshot: the cluster.
            node_of: finds the number of the node of a host-network pod that names none.
        """
        self._snapshot = snapshot
        self._node_of = node_of

    def words(self, end: End) -> str:
        """Return what to call an end in reasons."""
        match end:
            case PodEnd():
                return self._snapshot.workloads[end.workload].ref
            case NodeEnd():
                return f"node {self._snapshot.nodes[end.node].name}"
            case AddressEnd():
                return end.address
            case DomainEnd():
                return end.name

    def identity(self, end: PodEnd) -> Identity:
        """Return the identity that an end names."""
        return self._snapshot.workloads[end.workload].identities[end.identity]

    def is_loopback(self, source: End, destination: End) -> bool:
        """Return whether both ends are the same pod, which cannot block itself."""
        if not (isinstance(source, PodEnd) and isinstance(destination, PodEnd)):
            return False
        if (source.workload, source.identity) != (destination.workload, destination.identity):
            return False
        if self._snapshot.workloads[source.workload].kind == "Pod":
            return True
        return source.pod is not None and source.pod == destination.pod

    def may_be_loopback(self, source: End, destination: End) -> bool:
        """Return whether both ends may be the same pod: they are of one identity."""
        if not (isinstance(source, PodEnd) and isinstance(destination, PodEnd)):
            return False
        same = (source.workload, source.identity) == (destination.workload, destination.identity)
        return same and (source.pod is None or destination.pod is None)

    def is_host(self, end: End) -> bool:
        """Return whether an end is a node, or a pod on the host network."""
        return isinstance(end, NodeEnd) or (
            isinstance(end, PodEnd) and self.identity(end).host_network
        )

    def host_of(self, end: End) -> str:
        """Return the node whose address an end has; empty where it has none, or it is unknown."""
        if isinstance(end, NodeEnd):
            return self._snapshot.nodes[end.node].name
        if isinstance(end, PodEnd):
            identity = self.identity(end)
            if identity.host_network and identity.pods:
                pod = identity.pods[end.pod or 0]
                node = None if pod.node else self._node_of(pod)
                return pod.node if node is None else self._snapshot.nodes[node].name
        return ""

    def same_node(self, source: End, destination: End) -> bool | None:
        """Return whether one end is the node of the pod at the other; None where it may be.

        A pod is always reached from its own node. Source: types.go, NetworkPolicySpec.Ingress
        ("the pod's local node"). Cilium tells it from other nodes both ways, and a node's own
        traffic to itself meets none of the policies that it may have for its nodes.
        """
        if self.is_host(source) and self.is_host(destination):
            if self._snapshot.profile.cni is not Cni.CILIUM:
                return False
            names = self.host_of(source), self.host_of(destination)
            return names[0] == names[1] if all(names) else None
        for host, pod in ((source, destination), (destination, source)):
            if not self.is_host(host) or not isinstance(pod, PodEnd) or self.is_host(pod):
                continue
            if pod is source and self._snapshot.profile.cni is not Cni.CILIUM:
                return False
            name = self.host_of(host)
            chosen = self.identity(pod).pods
            if pod.pod is not None:
                chosen = (chosen[pod.pod],)
            nodes = {member.node for member in chosen}
            if not name or not nodes or "" in nodes:
                return None
            if nodes == {name}:
                return True
            return None if name in nodes else False
        return False

    def may_share_node(self, source: End, destination: End) -> bool:
        """Return whether a pod may be reached from its own node."""
        if not isinstance(destination, PodEnd) or isinstance(source, AddressEnd | DomainEnd):
            return False
        if isinstance(source, PodEnd) and not self.identity(source).host_network:
            return False
        host = self.host_of(source)
        nodes = [pod.node for pod in self.identity(destination).pods]
        return not host or not nodes or any(node in ("", host) for node in nodes)

    def stays_on_node(self, host: End, other: End) -> bool | None:
        """Return whether the other end is on a host's own node; None where it may be."""
        if not isinstance(other, PodEnd | NodeEnd):
            return False
        name = self.host_of(host)
        nodes = {self.host_of(other)} if self.is_host(other) else self.nodes(other)
        if not name or not nodes or "" in nodes:
            return None
        if nodes == {name}:
            return True
        return None if name in nodes else False

    def nodes(self, end: PodEnd | NodeEnd) -> frozenset[str]:
        """Return the nodes that an end is on, or may be; one without a name is any."""
        if isinstance(end, NodeEnd):
            return frozenset({self._snapshot.nodes[end.node].name})
        pods = self.identity(end).pods
        return frozenset(pod.node for pod in (pods if end.pod is None else (pods[end.pod],)))
