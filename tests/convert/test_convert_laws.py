"""Laws of conversion on random clusters, by the literal judge."""

from collections.abc import Iterator
from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cilium_strategies import cilium_policy_sets
from every_connection import connections
from policy_strategies import Manifest
from ringfence import reference
from ringfence.assemble import building, distinctions
from ringfence.convert import Conversion, convert
from ringfence.convert.compare import alike
from ringfence.convert.conversion import DIALECTS
from ringfence.engine import Engine
from ringfence.engine.addresses import interval, parse
from ringfence.layer7.names import matches
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, NodeEnd, PodEnd
from ringfence.model.profile import Cni
from ringfence.model.proposal import Edition
from ringfence.model.rule import DomainPeer
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.prove.written import read_back
from strategies import Situation, situations
from test_laws import clusters

ECHO = 2048
RANK = {Verdict.DENY: 0, Verdict.UNKNOWN: 1, Verdict.ALLOW: 2}


def held(
    snapshot: Snapshot, found: Conversion
) -> Iterator[tuple[Snapshot, Snapshot, Connection, Verdict, Verdict]]:
    """Yield connections that count, with what the literal judge says of both sides."""
    new = building.rejudged(
        snapshot, read_back(found.files).documents, profile=found.target, staged=False
    )
    before, after = alike(snapshot, new)
    engines = Engine(before), Engine(after)
    asked = dict.fromkeys((*connections(before, 300), *connections(after, 150)))
    for each in asked:
        connection = each
        if each.protocol is Protocol.ICMP and each.port is None:
            # Of a type that nobody names: the literal judge leaves open what may be any.
            connection = msgspec.structs.replace(each, port=ECHO)
        if counts(before, engines, connection):
            was, now = (reference.judge(side, connection) for side in (before, after))
            if was.limited_to or now.limited_to:
                continue
            yield before, after, connection, was.verdict, now.verdict


def counts(snapshot: Snapshot, engines: tuple[Engine, Engine], connection: Connection) -> bool:
    ends = connection.source, connection.destination
    if connection.port == 0 and connection.protocol is not Protocol.ICMP:
        return False
    common = engines[0].families(ends[0]) & engines[0].families(ends[1])
    if not common or connection.family not in (None, *common):
        return False
    hosts = [end for end in ends if is_host(snapshot, end)]
    # The profiles tell the own node from others in ways of their own.
    if hosts and any(engine.ends.same_node(*ends) is not False for engine in engines):
        return False
    for end in ends:
        if isinstance(end, DomainEnd) and not is_named(snapshot, end.name):
            return False
        if isinstance(end, NodeEnd) and end.address:
            return False
        if isinstance(end, AddressEnd) and is_inside(snapshot, end.address):
            return False
    return not isinstance(connection.source, DomainEnd)


def is_named(snapshot: Snapshot, name: str) -> bool:
    """Return whether a policy speaks of a name."""
    patterns = {
        peer.pattern
        for policy in snapshot.policies
        for peer in distinctions.peers(policy)
        if isinstance(peer, DomainPeer)
    }
    return any(matches(pattern, name) for pattern in patterns)


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


def check(
    situation: Situation, dialect: str, *, allow_wider: bool = False, edition: Edition = Edition.OSS
) -> None:
    snapshot = situation.snapshot()
    if snapshot.profile.cni is Cni.NONE:
        return
    found = convert(snapshot, dialect, allow_wider=allow_wider, edition=edition)
    if found.unreadable:
        assert not found.files
        return
    assert not found.problems
    left = found.comparison.left_to_cni
    if not found.safe:
        return
    for before, after, connection, was, now in held(snapshot, found):
        if is_left_to_cni(before, connection, was) or is_left_to_cni(after, connection, now):
            assert left or now is was, (connection, was, now)
            continue
        assert RANK[now] <= RANK[was], (connection, was, now)
        if found.proved:
            assert now is was, (connection, was, now)


def is_left_to_cni(snapshot: Snapshot, connection: Connection, verdict: Verdict) -> bool:
    """Return whether NetworkPolicy, which says nothing of ICMP, is why a verdict is unknown."""
    generic = snapshot.profile.cni is Cni.GENERIC
    return generic and connection.protocol is Protocol.ICMP and verdict is Verdict.UNKNOWN


CHOICES = st.tuples(st.sampled_from(DIALECTS), st.booleans(), st.sampled_from(Edition))


@clusters(40)
@given(situations(sound=True, cni="generic"), CHOICES)
def test_kubernetes_policies_converted_are_never_wider(
    situation: Situation, choices: tuple[str, bool, Edition]
) -> None:
    dialect, allow_wider, edition = choices
    check(situation, dialect, allow_wider=allow_wider, edition=edition)


@clusters(40)
@given(situations(sound=True, cni="calico"), CHOICES, st.booleans())
def test_calico_policies_converted_are_never_wider(
    situation: Situation, choices: tuple[str, bool, Edition], with_hosts: bool
) -> None:
    dialect, allow_wider, edition = choices
    own = [each for each in situation.policies if with_hosts or each["kind"] != "HostEndpoint"]
    chosen = replace(situation, policies=own, staged=False)
    check(chosen, dialect, allow_wider=allow_wider, edition=edition)


@clusters(40)
@given(situations(sound=True, cni="cilium"), cilium_policy_sets(), CHOICES)
def test_cilium_policies_converted_are_never_wider(
    situation: Situation, own: list[Manifest], choices: tuple[str, bool, Edition]
) -> None:
    dialect, allow_wider, edition = choices
    chosen = replace(situation, policies=[*situation.policies[:1], *own])
    check(chosen, dialect, allow_wider=allow_wider, edition=edition)
