"""Connectivity against `check`, pair by pair, for every written case of Calico and Cilium.

Every class of traffic that policies tell apart is asked for by an example.
"""

from collections.abc import Iterator
from itertools import product

import pytest

from assemble import written
from ringfence.layer7.space import Space
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.connectivity import ANY, Allowance, Pair, Peer
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.check import Checker
from ringfence.questions.connectivity import connectivity
from written_cases import Case, cases

CASES = [case for case in cases() if case.topic.startswith(("calico", "cilium"))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_connectivity_is_what_check_says_of_every_pair(case: Case) -> None:
    cni = case.topic.partition("-")[0]
    snapshot = written.snapshot("---\n".join(case.manifests), cni=cni)
    checker = Checker(snapshot)
    answer = connectivity(snapshot)
    pairs = {(pair.source, pair.destination): pair for pair in answer.connections}
    ends = {p.name: list(ends_of(p, snapshot)) for p in answer.endpoints}
    policed = {p.name for p in answer.endpoints if p.policed}
    traffic = checker.engine.compiled(4).classes.traffic
    samples = [
        (protocol, port, request)
        for protocol, port, request in traffic.samples(traffic.everything)
        if protocol is not Protocol.ICMP and port
    ]
    for source, destination in product(ends, repeat=2):
        if not is_listed(ends[source], ends[destination], {source, destination} & policed):
            continue
        pair = pairs.get((source, destination), Pair(source, destination, ()))
        for one, other in product(ends[source], ends[destination]):
            if not checker.engine.families(one) & checker.engine.families(other):
                continue  # of no address that both have
            for protocol, port, request in samples:
                asked = Connection(one, other, protocol, port, None, request)
                found = checker.judge(asked)
                if any(piece.rule == "own node" for piece in found.evidence):
                    continue  # not listed: always so, and for this node alone
                wanted = told(pair, asked)
                if wanted is Verdict.UNKNOWN and hosts(snapshot, one, other):
                    continue  # of a pod of this node, or not of it, more may be known
                assert found.verdict is wanted, (asked, pair, found)


def ends_of(peer: Peer, snapshot: Snapshot) -> Iterator[End]:
    """Yield the ends that a peer stands for; of a range, its first address."""
    if peer.kind == "External":
        yield AddressEnd(peer.name.partition("-")[0])
    elif peer.kind == "Node":
        names = [node.name for node in snapshot.nodes]
        yield NodeEnd(names.index(peer.name.removeprefix("node/")))
    elif peer.kind == "Domain":
        if "*" not in peer.name and " " not in peer.name:
            yield DomainEnd(peer.name)
    else:
        name = peer.name.partition("[")[0]
        for number, workload in enumerate(snapshot.workloads):
            if workload.kind == peer.kind and name.endswith(f"/{workload.name}"):
                same = workload.namespace == name.partition("/")[0]
                if same and len(workload.identities) == 1:
                    yield PodEnd(number, 0)


def is_listed(sources: list[End], destinations: list[End], policed: set[str]) -> bool:
    """Return whether an answer lists such pairs, and this test knows their ends."""
    if not sources or not destinations or isinstance(sources[0], DomainEnd):
        return False
    if sources == destinations:
        return False
    return bool(policed) or any(isinstance(e, PodEnd) for e in (*sources, *destinations))


def hosts(snapshot: Snapshot, *ends: End) -> bool:
    """Return whether one of the ends is a host."""
    return any(
        isinstance(end, NodeEnd)
        or (
            isinstance(end, PodEnd)
            and snapshot.workloads[end.workload].identities[end.identity].host_network
        )
        for end in ends
    )


def told(pair: Pair, asked: Connection) -> Verdict:
    """Return what a pair's lists say of a connection."""
    if any(holds(allowance, asked) for allowance in pair.allow):
        return Verdict.ALLOW
    if any(holds(allowance, asked) for allowance in pair.unknown):
        return Verdict.UNKNOWN
    return Verdict.DENY


def holds(allowance: Allowance, asked: Connection) -> bool:
    if allowance.protocol == ANY:
        return True
    if allowance.protocol != asked.protocol.value or allowance.ip_family == 6:
        return False
    bounds = [part.partition("-") for part in allowance.ports.split(",")]
    if not any(int(low) <= (asked.port or 0) <= int(high or low) for low, _, high in bounds):
        return False
    boxes = (*(allowance.l7 or ()), *allowance.l7_except)
    if not boxes:
        return True
    space = Space(boxes)
    said = space.mask_of(asked.request)
    inside = space.mask_of_any(allowance.l7) & ~space.mask_of_any(allowance.l7_except)
    return not said & ~inside
