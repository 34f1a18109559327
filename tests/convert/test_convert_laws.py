"""Laws of conversion on random clusters, by the literal judge."""

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cilium_strategies import cilium_policy_sets
from every_connection import connections
from policy_strategies import Manifest
from ringfence import reference
from ringfence.assemble import building
from ringfence.convert import Conversion, convert
from ringfence.convert.compare import alike
from ringfence.convert.conversion import DIALECTS
from ringfence.engine import Engine
from ringfence.engine.addresses import interval, parse
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, NodeEnd, PodEnd
from ringfence.model.profile import Cni
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.prove.generated import read_back
from strategies import Situation, situations
from test_laws import clusters

RANK = {Verdict.DENY: 0, Verdict.UNKNOWN: 1, Verdict.ALLOW: 2}


def held(snapshot: Snapshot, found: Conversion) -> Iterator[tuple[Connection, Verdict, Verdict]]:
    """Yield connections that count, with what the literal judge says of both sides."""
    new = building.rejudged(
        snapshot, read_back(found.files).documents, profile=found.target, staged=False
    )
    before, after = alike(snapshot, new)
    engine = Engine(before)
    for connection in connections(before, 400):
        if counts(before, engine, connection):
            was, now = (reference.judge(side, connection) for side in (before, after))
            if was.limited_to or now.limited_to:
                continue
            yield connection, was.verdict, now.verdict


def counts(snapshot: Snapshot, engine: Engine, connection: Connection) -> bool:
    ends = connection.source, connection.destination
    if connection.protocol is Protocol.ICMP or connection.port == 0:
        return False
    common = engine.families(ends[0]) & engine.families(ends[1])
    if not common or connection.family not in (None, *common):
        return False
    hosts = [end for end in ends if is_host(snapshot, end)]
    if hosts and engine.ends.same_node(*ends) is not False:
        return False
    for end in ends:
        if isinstance(end, DomainEnd) or (isinstance(end, NodeEnd) and end.address):
            return False
        if isinstance(end, AddressEnd) and is_inside(snapshot, end.address):
            return False
    return True


def is_host(snapshot: Snapshot, end: object) -> bool:
    if isinstance(end, PodEnd):
        return snapshot.workloads[end.workload].identities[end.identity].host_network
    return isinstance(end, NodeEnd)


def is_inside(snapshot: Snapshot, address: str) -> bool:
    family, value = parse(address)
    cidrs = [] if snapshot.pod_cidrs_assumed else [interval(c) for c in snapshot.pod_cidrs]
    known = {parse(a) for node in snapshot.nodes for a in node.addresses}
    known |= {
        parse(a)
        for workload in snapshot.workloads
        for identity in workload.identities
        for pod in identity.pods
        for a in pod.addresses
    }
    inside = any(version == family and low <= value <= high for version, (low, high) in cidrs)
    return inside or (family, value) in known


def check(situation: Situation, dialect: str) -> None:
    snapshot = situation.snapshot()
    if snapshot.profile.cni is Cni.NONE:
        return
    found = convert(snapshot, dialect)
    if found.unreadable:
        assert not found.files
        return
    assert not found.problems
    if not found.safe:
        return
    for connection, was, now in held(snapshot, found):
        assert RANK[now] <= RANK[was], (connection, was, now)
        if found.proved:
            assert now is was, (connection, was, now)


@clusters(40)
@given(situations(sound=True, cni="generic"), st.sampled_from(DIALECTS))
def test_kubernetes_policies_converted_are_never_wider(situation: Situation, dialect: str) -> None:
    check(situation, dialect)


@clusters(40)
@given(situations(sound=True, cni="calico"), st.sampled_from(DIALECTS))
def test_calico_policies_converted_are_never_wider(situation: Situation, dialect: str) -> None:
    own = [each for each in situation.policies if each["kind"] != "HostEndpoint"]
    check(replace(situation, policies=own, staged=False), dialect)


@clusters(40)
@given(situations(sound=True, cni="cilium"), cilium_policy_sets(), st.sampled_from(DIALECTS))
def test_cilium_policies_converted_are_never_wider(
    situation: Situation, own: list[Manifest], dialect: str
) -> None:
    check(replace(situation, policies=[*situation.policies[:1], *own]), dialect)
