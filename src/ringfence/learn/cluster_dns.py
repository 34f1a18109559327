"""The rules by which every pod may ask the cluster's DNS, at the ports where it listens.

A Service of port 53 may lead to any target port; policies see only the target. Where the input
has no DNS at all, the names that nearly every cluster uses are assumed, and that is told.
"""

from typing import Final

import msgspec

from ringfence.learn.resolve_ports import Ports
from ringfence.learn.stable_selector import StableSelectors, on_host_network
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.rule import IpPeer, NodePeer, Peer, PodPeer
from ringfence.model.selector import EVERYTHING, from_labels
from ringfence.model.snapshot import Snapshot
from ringfence.questions.cluster_dns import (
    LABELS,
    NODE_CACHE_ADDRESS,
    PORTS,
    dns_workloads,
    node_cache,
)

NODE_CACHE_BLOCK: Final = f"{NODE_CACHE_ADDRESS}/32"


class DnsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How every pod of a covered namespace gets its names resolved."""

    rules: tuple[tuple[tuple[Peer, ...], Ports], ...]
    """Peers and their ports, for the egress of who asks."""
    workloads: tuple[tuple[int, Ports], ...]
    """The DNS workloads that the input has, by index, each with the ports it listens at."""
    why: tuple[str, ...]
    assumed: bool = False
    """True where something of it is not in the input, but what clusters commonly have."""


def find_dns(snapshot: Snapshot, selectors: StableSelectors) -> DnsAnswer:
    """Return the DNS of a cluster."""
    answer = _cluster_dns(snapshot, selectors)
    number = node_cache(snapshot)
    if number is None:
        return answer
    cache = snapshot.workloads[number].ref
    return msgspec.structs.replace(
        answer,
        rules=(*answer.rules, ((IpPeer(NODE_CACHE_BLOCK),), PORTS)),
        why=(*answer.why, f"to the cache {cache} on each node, assumed at {NODE_CACHE_BLOCK}"),
        assumed=True,
    )


def _cluster_dns(snapshot: Snapshot, selectors: StableSelectors) -> DnsAnswer:
    found = dns_workloads(snapshot)
    if not found:
        key, value = LABELS[0]
        namespaces = from_labels({NAMESPACE_NAME: "kube-system"})
        peer = PodPeer(namespaces, from_labels({key: value}))
        why = f"to the cluster's DNS, assumed at kube-system, {key}={value}: the input has none"
        rules = (((peer,), PORTS),)
        return DnsAnswer(rules=rules, workloads=(), why=(why,), assumed=True)
    rules_found = []
    for number, ports in sorted(found.items()):
        workload = snapshot.workloads[number]
        peer_found: Peer = NodePeer(EVERYTHING)
        if not on_host_network(workload):
            namespaces = from_labels({NAMESPACE_NAME: workload.namespace})
            peer_found = PodPeer(namespaces, selectors.of(number).selector)
        rules_found.append(((peer_found,), ports))
    names = ", ".join(snapshot.workloads[number].ref for number in sorted(found))
    return DnsAnswer(
        rules=tuple(rules_found),
        workloads=tuple(sorted(found.items())),
        why=(f"to the cluster's DNS, {names}, at the port where it listens",),
    )
