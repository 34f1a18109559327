"""The difference of two clusters is that of the verdicts on all connections."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from every_connection import connections, named
from every_request import PLAIN, requests
from literal_boxes import admits
from ringfence.engine import Engine
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, End, PodEnd
from ringfence.model.connectivity import ANY, Allowance
from ringfence.model.diff import Change, Diff
from ringfence.model.layer7 import ANYTHING
from ringfence.model.outside import parse_range
from ringfence.model.profile import Cni
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.connectivity import connectivity
from ringfence.questions.diff import diff
from strategies import Situation, situations
from talkative_strategies import talkative
from test_laws import clusters, in_ports

CHANGED = {
    (Verdict.DENY, Verdict.ALLOW): "gained",
    (Verdict.ALLOW, Verdict.DENY): "lost",
    (Verdict.ALLOW, Verdict.UNKNOWN): "became_unknown",
    (Verdict.DENY, Verdict.UNKNOWN): "became_unknown",
    (Verdict.UNKNOWN, Verdict.ALLOW): "became_allowed",
    (Verdict.UNKNOWN, Verdict.DENY): "became_denied",
}
KINDS = ("gained", "lost", "became_unknown", "became_allowed", "became_denied")
UNDECIDED = ("cannot be told", "cannot be written", "too many classes")


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_a_diff_is_the_difference_of_verdicts_above_the_port(cni: str) -> None:
    @clusters(15)
    @given(talkative(cni), talkative(cni))
    def hold(situation: Situation, other: Situation) -> None:
        assert_diff_is_that_of_verdicts(
            situation.snapshot(),
            situation.with_policies([*situation.policies[1:], *other.policies]),
        )

    hold()


@pytest.mark.parametrize("cni", ["generic", "calico", "cilium"])
def test_a_diff_is_the_difference_of_verdicts(cni: str) -> None:
    @clusters(15)
    @given(situations(cni=cni), st.data())
    def hold(situation: Situation, data: st.DataObject) -> None:
        if situation.policies:
            number = data.draw(st.integers(0, len(situation.policies) - 1))
            fewer = [p for n, p in enumerate(situation.policies) if n != number]
            assert_diff_is_that_of_verdicts(situation.snapshot(), situation.with_policies(fewer))

    hold()


def assert_diff_is_that_of_verdicts(before: Snapshot, after: Snapshot) -> None:
    """Hold that each connection is in the one list of a change that its verdicts say."""
    if before.profile != after.profile:
        return
    found = diff(connectivity(before, nodes=True), connectivity(after, nodes=True))
    old, new = Engine(before), Engine(after)
    there, here = named(before), named(after)
    names = {end: name for name, end in there.items()}
    said = [PLAIN, *requests(before), *requests(after)]
    rng = random.Random(8)
    for whole_or_open in connections(before, 150):
        # What is open above the port is not told in one word.
        asked = whole_or_open
        if asked.request == ANYTHING:
            asked = msgspec.structs.replace(asked, request=rng.choice(said))
        ends = asked.source, asked.destination
        if asked.port == 0 or not all(e in names and names[e] in here for e in ends):
            continue
        if not is_listed(before, asked):
            continue
        moved = [here[names[end]] for end in ends]
        for family in old.families(ends[0]) & old.families(ends[1]):
            was = msgspec.structs.replace(asked, family=family)
            now = msgspec.structs.replace(was, source=moved[0], destination=moved[1])
            verdicts = old.judge(was).verdict, new.judge(now).verdict
            told = {kind for kind in KINDS if is_in(found, kind, was, before)}
            wanted = {CHANGED[verdicts]} if verdicts in CHANGED else set()
            if told != wanted and any(u in why for u in UNDECIDED for why in found.unknown_because):
                assert told <= {"became_unknown"}, (was, verdicts, told)
                continue
            assert told == wanted, (was, verdicts)


def is_listed(snapshot: Snapshot, asked: Connection) -> bool:
    """Return whether an answer lists a pair, and says as much of it as the judge does.

    ICMP need not be whole in it, names must be looked up besides, and the own node is not known.
    """
    ends = asked.source, asked.destination
    if asked.protocol is Protocol.ICMP or not all(isinstance(e, PodEnd | AddressEnd) for e in ends):
        return False
    pods = [end for end in ends if isinstance(end, PodEnd)]
    if any(snapshot.workloads[e.workload].identities[e.identity].host_network for e in pods):
        return False
    return len({pod.workload for pod in pods}) == len(pods)


def is_in(found: Diff, kind: str, asked: Connection, snapshot: Snapshot) -> bool:
    """Return whether one of the lists of a diff has a connection."""
    return any(
        covers(allowance, asked, snapshot.profile.cni)
        for change in found.changes
        if is_between(change, asked, snapshot)
        for allowance in getattr(change, kind)
    )


def is_between(change: Change, asked: Connection, snapshot: Snapshot) -> bool:
    """Return whether a change is about a pair of ends."""
    named_so = (change.source, asked.source), (change.destination, asked.destination)
    return all(is_named(name, end, snapshot) for name, end in named_so)


def is_named(name: str, end: End, snapshot: Snapshot) -> bool:
    """Return whether a name of an answer stands for an end."""
    if isinstance(end, AddressEnd):
        block, point = parse_range(name), parse_range(end.address)
        if not block or not point or block.family != point.family:
            return False
        return block.first <= point.first <= block.last
    assert isinstance(end, PodEnd)
    workload = snapshot.workloads[end.workload]
    base, _, part = name.removesuffix("]").partition("[")
    if base != workload.ref:
        return False
    pods = workload.identities[end.identity].pods
    chosen = pods if end.pod is None else [pods[end.pod]]
    return not part or bool({pod.name for pod in chosen} & set(part.split(", ")))


def covers(allowance: Allowance, asked: Connection, cni: Cni) -> bool:
    """Return whether an allowance has a connection."""
    return (
        allowance.protocol in (ANY, asked.protocol.value)
        and allowance.ip_family in (None, asked.family)
        and (not allowance.ports or in_ports(allowance.protocol, allowance.ports, asked.port))
        and admits(allowance, asked.request, cni)
    )
