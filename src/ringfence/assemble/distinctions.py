"""What the policies of a snapshot can tell pods apart by: label keys, blocks, labels of nodes."""

import hashlib
import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ringfence.model.cluster import HostEndpoint, NetworkSet, Service, address_block, api_servers
from ringfence.model.label_space import CILIUM_RESERVED
from ringfence.model.rule import (
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    NodePeer,
    Peer,
    PodPeer,
    Policy,
    leaves,
)
from ringfence.model.selector import LabelSelector, expression_keys

PER_POD_LABELS: Final = frozenset(
    {
        "pod-template-hash",
        "rollouts-pod-template-hash",
        "pod-template-generation",
        "controller-revision-hash",
        "controller-uid",
        "batch.kubernetes.io/controller-uid",
        "job-name",
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/job-completion-index",
        "apps.kubernetes.io/pod-index",
        "statefulset.kubernetes.io/pod-name",
    }
)
"""Labels that controllers put on the pods of one workload with differing values.

Source: kubernetes well-known labels; apps/v1 and batch/v1 `types.go`; Argo Rollouts
`utils/defaults`."""

LAST: Final = {4: 2**32 - 1, 6: 2**128 - 1}


@dataclass(frozen=True)
class Distinctions:
    """All that can tell two pods of a workload apart, beside what an identity always tells."""

    hidden: frozenset[str]
    """The per-pod labels that nothing selects by."""
    blocks: frozenset[str] = frozenset()
    """Every CIDR that a policy names, as a block or as an exception to one."""
    node_keys: tuple[str, ...] | None = None
    """The label keys by which policies select nodes, sorted; None where none selects nodes."""
    hosts: frozenset[str] = frozenset()
    """The nodes that policies can tell from others by what they are (Calico's HostEndpoints)."""


FOLDING: Final = 4
"""To be raised when identities are formed by other rules than before."""


def digest(found: Distinctions, pod_cidrs: Sequence[str]) -> str:
    """Return what is equal where identities would be formed alike."""
    parts = (
        FOLDING,
        sorted(found.hidden),
        sorted(found.blocks),
        found.node_keys,
        sorted(found.hosts),
        sorted(pod_cidrs),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def find(
    policies: Iterable[Policy],
    services: Sequence[Service],
    sets: Iterable[NetworkSet] = (),
    hosts: Iterable[HostEndpoint] = (),
) -> Distinctions:
    """Return what policies, what they refer to, and the selectors of Services tell apart."""
    mentioned: set[str] = set()
    blocks: set[str] = set()
    node_keys: set[str] = set()
    by_node = by_server = False
    for policy in policies:
        for peer in peers(policy):
            match peer:
                case PodPeer():
                    mentioned.update(keys(peer.pods))
                case LabelPeer():
                    mentioned.update(named := expression_keys(peer.expression))
                    by_server |= f"{CILIUM_RESERVED}{Entity.KUBE_APISERVER}" in named
                case IpPeer():
                    blocks.update((peer.cidr, *peer.excepts))
                case NodePeer():
                    by_node = True
                    node_keys.update(keys(peer.nodes))
                case EntityPeer(Entity.KUBE_APISERVER):
                    by_server = True
    if by_server:
        blocks.update(map(address_block, api_servers(services)))
    for network_set in sets:
        blocks.update(network_set.nets)
    listed = list(hosts)
    for host in listed:
        blocks.update(map(address_block, host.addresses))
    for service in services:
        if service.selector:
            mentioned.update(keys(service.selector))
    return Distinctions(
        PER_POD_LABELS - mentioned,
        frozenset(blocks),
        tuple(sorted(node_keys)) if by_node else None,
        frozenset(host.node for host in listed),
    )


def peers(policy: Policy) -> Iterator[Peer]:
    """Yield every peer that a policy names, taken apart: its subject's, and its rules'."""
    if policy.subject:
        yield from leaves(policy.subject)
    for rule in policy.rules:
        for peer in (*(rule.peers or ()), *((rule.subjects,) if rule.subjects else ())):
            yield from leaves(peer)


def keys(selector: LabelSelector) -> Iterator[str]:
    """Yield the label keys that a selector looks at."""
    return (requirement.key for requirement in selector.requirements)


class Blocks:
    """Tells for an address of one family in which blocks it lies.

    Blocks of one family are nested or disjoint, so the innermost one around an address stands
    for all of them.
    """

    def __init__(self, family: int, cidrs: Iterable[str]) -> None:
        """Cut the family where a block begins or ends."""
        self._starts = [0]
        self._innermost = [-1]
        self._family = family
        spans = {span for version, span in map(interval, cidrs) if version == family}
        around: list[tuple[int, int]] = []
        for number, (first, last) in enumerate(sorted(spans, key=lambda s: (s[0], -s[1]))):
            self._leave(around, first)
            self._cut(first, number)
            around.append((last, number))
        self._leave(around, LAST[family] + 1)

    def _leave(self, around: list[tuple[int, int]], first: int) -> None:
        """Close the blocks that end before an address."""
        while around and around[-1][0] < first:
            last, _ = around.pop()
            if last < LAST[self._family]:
                self._cut(last + 1, around[-1][1] if around else -1)

    def _cut(self, start: int, innermost: int) -> None:
        if self._starts[-1] == start:
            self._innermost[-1] = innermost
        else:
            self._starts.append(start)
            self._innermost.append(innermost)

    def around(self, address: int) -> int:
        """Return the number of the innermost block around an address; -1 if there is none."""
        return self._innermost[bisect_right(self._starts, address) - 1]

    def across(self, first: int, last: int) -> set[int]:
        """Return what `around` returns for the addresses of a range, all together."""
        start = bisect_right(self._starts, first) - 1
        return set(self._innermost[start : bisect_right(self._starts, last)])


def interval(cidr: str) -> tuple[int, tuple[int, int]]:
    """Return the family of a CIDR, and its first and last address as integers."""
    network = ipaddress.ip_network(cidr)
    return network.version, (int(network.network_address), int(network.broadcast_address))


def common_place(blocks: dict[int, Blocks], cidrs: Sequence[str]) -> dict[int, int] | None:
    """Return the innermost block around all addresses of the CIDRs, by family.

    None where not all addresses of a family lie in the same blocks.
    """
    seen: dict[int, set[int]] = {}
    for family, (first, last) in map(interval, cidrs):
        seen.setdefault(family, set()).update(blocks[family].across(first, last))
    if any(len(found) > 1 for found in seen.values()):
        return None
    return {family: found.pop() for family, found in seen.items()}
