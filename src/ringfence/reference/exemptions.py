"""Connections that no policy can forbid: a pod's to itself, and its own node's to it."""

from ringfence.model.connection import Connection, End, NodeEnd, PodEnd
from ringfence.model.snapshot import Snapshot
from ringfence.reference.ends import identity_of, node_name_of


def is_itself(snapshot: Snapshot, connection: Connection) -> bool | None:
    """Return whether a pod connects to itself, which cannot be blocked.

    Returns:
        None where it may be so: the two ends are of one identity, and not both say which pod.

    Source: kubernetes.io "Network Policies" ("A Pod cannot block access to itself"); NPA
    `site-src/api-overview.md` (a pod's connection to its own address is exempt).
    """
    source, destination = connection.source, connection.destination
    if not isinstance(source, PodEnd) or not isinstance(destination, PodEnd):
        return False
    if (source.workload, source.identity) != (destination.workload, destination.identity):
        return False
    if snapshot.workloads[source.workload].kind == "Pod":
        return True
    if None in (source.pod, destination.pod):
        return None
    return source.pod == destination.pod


def from_own_node(snapshot: Snapshot, connection: Connection) -> bool | None:
    """Return whether the connection comes from the very node that the destination runs on.

    Such traffic (a kubelet's probes) is always admitted to the pod; that of other nodes is not.
    A host-network pod is its node.

    Returns:
        None where it may be so, but it is not known on which node one of the two is.

    Source: networking/v1 NetworkPolicySpec.ingress ("OR if the traffic source is the pod's local
    node"); kubernetes.io "Network Policies"; Calico `felix/rules/static.go`; Cilium
    `Documentation/security/policy/intro.rst` (allow-localhost).
    """
    if not isinstance(connection.destination, PodEnd):
        return False
    return share_node(snapshot, connection.destination, connection.source)


def share_node(snapshot: Snapshot, end: End, other: End) -> bool | None:
    """Return whether the other end is the very node that an end is or runs on.

    Returns:
        None where it may be so, but it is not known on which node one of the two is.
    """
    if not isinstance(end, PodEnd | NodeEnd) or not isinstance(other, PodEnd | NodeEnd):
        return False
    if isinstance(other, PodEnd) and not identity_of(snapshot, other).host_network:
        return False
    node = node_name_of(snapshot, other)
    if isinstance(end, NodeEnd) or identity_of(snapshot, end).host_network:
        placements = {node_name_of(snapshot, end)}
    else:
        pods = identity_of(snapshot, end).pods
        placements = {pod.node for pod in (pods if end.pod is None else (pods[end.pod],))}
    if not node or not placements or "" in placements:
        return None
    if placements == {node}:
        return True
    return None if node in placements else False
