"""What all pairs say of mTLS, held against one question at a time on random meshes."""

from itertools import product

from hypothesis import given, settings
from msgspec import UNSET

from mesh_values import meshes
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection, PodEnd
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions.check import Checker
from ringfence.questions.connectivity import connectivity


def by_every_way(checker: Checker, source: PodEnd, end: PodEnd, port: int) -> list[Judgement]:
    """Return the verdicts on a port: by the own address, and by each Service that leads there."""
    services = [None, *(s for led_to, s in checker.destinations.leading(end) if led_to == port)]
    return [
        checker.judge(Connection(source, end, Protocol.TCP, port, service=service))
        for service in services
    ]


def is_unclear(judgement: Judgement) -> bool:
    """Return whether it is not known how a connection goes."""
    return judgement.mesh is not None and judgement.mesh.mtls is None


@settings(max_examples=60, deadline=None)
@given(meshes())
def test_pairs_are_over_mtls_as_their_connections_are(snapshot: Snapshot) -> None:
    checker = Checker(snapshot)
    pairs = {(p.source, p.destination): p.mtls for p in connectivity(snapshot).connections}
    ends = [PodEnd(number, 0) for number in range(len(snapshot.workloads))]
    for source, end in product(ends, repeat=2):
        here, there = (checker.names.workload_name(e.workload) for e in (source, end))
        told = pairs.get((here, there), UNSET)
        if told is UNSET or any(len(snapshot.workloads[e.workload].identities) > 1 for e in ends):
            continue
        states: set[bool | None] = set()
        for port in checker.destinations.served(end):
            found = by_every_way(checker, source, end, port)
            allowed = [one for one in found if one.verdict is Verdict.ALLOW]
            if any(one.verdict is Verdict.UNKNOWN or is_unclear(one) for one in found):
                states.add(None)
            elif allowed:
                states.add(any(one.mesh is not None and one.mesh.mtls for one in allowed))
        if None in states or not states:
            continue
        assert (told is False) == (states == {False}), (here, there, told, states)
        if told is True:
            assert states == {True}, (here, there)
