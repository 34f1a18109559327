"""Laws that hold for every cluster: the judges agree, and what must not matter does not.

`RINGFENCE_THOROUGH=1` looks at many more clusters, other ones each time.
"""

import copy
import io
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

from every_connection import connections, named, pod_ends, requests_over, traffic
from every_request import requests
from literal_boxes import admits
from policy_strategies import Manifest, network_policies, network_policy_rules
from ringfence import assemble, reference
from ringfence.engine import Engine
from ringfence.model import icmp
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.connectivity import ANY, Allowance, Connectivity, Pair, Peer
from ringfence.model.layer7 import ANYTHING
from ringfence.model.outside import parse_range
from ringfence.model.profile import Cni
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.connectivity import connectivity
from ringfence.sources import snapshot_file
from strategies import Situation, policies, situations
from talkative_strategies import talkative

THOROUGH = os.environ.get("RINGFENCE_THOROUGH") == "1"
RANK = {Verdict.DENY: 0, Verdict.UNKNOWN: 1, Verdict.ALLOW: 2}

Test = Callable[..., None]


class Independent(HypothesisProvider):
    """Draws every example afresh.

    Left to itself, Hypothesis spends five examples of six on copying parts of the one before from
    one place to another, which reaches far fewer kinds of situation in the same time.
    """


AVAILABLE_PROVIDERS["independent"] = Independent


def clusters(count: int) -> Callable[[Test], Test]:
    """Let a law be tried on so many clusters; on fifty times as many in a thorough run."""
    return settings(
        max_examples=count * 50 if THOROUGH else count,
        backend="independent",
        derandomize=not THOROUGH,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def told(engine: Engine, connection: Connection) -> tuple[Verdict, Verdict, Verdict]:
    found = engine.judge(connection)
    return found.verdict, found.egress, found.ingress


# -- the judges ----------------------------------------------------------------------------------


@clusters(250)
@given(situations())
def test_both_judges_agree(situation: Situation) -> None:
    snapshot = situation.snapshot()
    engine = Engine(snapshot)
    for connection in connections(snapshot, 150):
        literal = reference.judge(snapshot, connection)
        wanted = literal.verdict, literal.egress, literal.ingress
        assert told(engine, connection) == wanted, (snapshot.profile, connection, literal)


@clusters(60)
@given(situations())
def test_connectivity_is_what_the_judge_says_of_every_pair(situation: Situation) -> None:
    assert_listed_as_judged(situation.snapshot())


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_both_judges_agree_where_rules_look_above_the_port(cni: str) -> None:
    @clusters(20)
    @given(talkative(cni))
    def hold(situation: Situation) -> None:
        snapshot = situation.snapshot()
        engine = Engine(snapshot)
        for connection in connections(snapshot, 80):
            literal = reference.judge(snapshot, connection)
            wanted = literal.verdict, literal.egress, literal.ingress
            assert told(engine, connection) == wanted, (connection, literal)

    hold()


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_connectivity_is_what_the_judge_says_where_rules_look_above_the_port(cni: str) -> None:
    @clusters(20)
    @given(talkative(cni))
    def hold(situation: Situation) -> None:
        assert_listed_as_judged(situation.snapshot(), 250)

    hold()


def assert_listed_as_judged(snapshot: Snapshot, most: int = 600) -> None:
    """Hold that pairs allow what the judge allows, what is said above the port included."""
    engine = Engine(snapshot)
    answer = connectivity(snapshot)
    pairs = {(pair.source, pair.destination): pair for pair in answer.connections}
    members = {peer.name: list(members_of(peer, snapshot)) for peer in answer.endpoints}
    ported = [(protocol, port) for protocol, port in traffic(snapshot) if port != 0]
    said = requests(snapshot)
    asked = [
        (source, destination, kind)
        for source, destination in product(members, repeat=2)
        if members[source] and members[destination]
        if pairs_are_listed(members[source], members[destination])
        for kind in ported
    ]
    rng = random.Random(4)
    if len(asked) > most:
        asked = rng.sample(asked, most)
    for source, destination, (protocol, port) in asked:
        pair = pairs.get((source, destination), Pair(source, destination, ()))
        # What is open above the port is asked about, too.
        request = rng.choice([ANYTHING, *rng.sample(requests_over(protocol, said), 1)])
        for one, other in product(members[source], members[destination]):
            for family in engine.families(one) & engine.families(other):
                connection = Connection(one, other, protocol, port, family, request)
                found = engine.judge(connection)
                if any(piece.rule in {"own node", "self"} for piece in found.evidence):
                    continue  # not listed: always so, and for this node alone
                wanted = listed(pair, connection, snapshot.profile.cni)
                if Verdict.UNKNOWN in wanted and is_host(snapshot, one) != is_host(snapshot, other):
                    continue  # whether it is the own node is known of pods, not of workloads
                assert found.verdict in wanted, (connection, pair)


def members_of(peer: Peer, snapshot: Snapshot) -> Iterator[End]:
    """Yield the ends that a peer of a connectivity answer stands for."""
    if peer.kind == "External":
        found = parse_range(peer.name)
        assert found, peer
        yield from (AddressEnd(address) for address in set(str(found).split("-")))
    elif peer.kind == "Domain":
        # A name of the set: the whole of it is not asked about where patterns overlap.
        if " " not in peer.name:
            yield DomainEnd(peer.name.replace("**", "*").replace("*", "never"))
    elif peer.kind == "Node":
        names = [node.name for node in snapshot.nodes]
        yield NodeEnd(names.index(peer.name.removeprefix("node/")))
    else:
        name, _, part = peer.name.removesuffix("]").partition("[")
        for end in pod_ends(snapshot, single=False):
            workload = snapshot.workloads[end.workload]
            if (workload.kind, workload.name) == (peer.kind, name.rpartition("/")[2]):
                pods = [pod.name for pod in workload.identities[end.identity].pods]
                if not part or part == str(end.identity) or set(pods) & set(part.split(", ")):
                    yield end


def is_host(snapshot: Snapshot, end: End) -> bool:
    """Return whether an end is a node or on its network, where Cilium tells the own one apart."""
    if snapshot.profile.cni is not Cni.CILIUM:
        return False
    if isinstance(end, PodEnd):
        return snapshot.workloads[end.workload].identities[end.identity].host_network
    return isinstance(end, NodeEnd)


def pairs_are_listed(sources: list[End], destinations: list[End]) -> bool:
    """Return whether an answer lists such pairs: not a workload and itself, not two outsiders."""
    one, other = sources[0], destinations[0]
    if isinstance(one, PodEnd) and isinstance(other, PodEnd):
        return one.workload != other.workload
    return not isinstance(one, DomainEnd) and any(isinstance(e, PodEnd) for e in (one, other))


def listed(pair: Pair, asked: Connection, cni: Cni) -> set[Verdict]:
    """Return the verdicts that a pair's lists leave possible for some traffic."""
    protocol = asked.protocol

    def holds(allowances: tuple[Allowance, ...], name: str) -> bool:
        return any(
            allowance.protocol == name
            and allowance.ip_family in {None, asked.family}
            and (not allowance.ports or in_ports(name, allowance.ports, asked.port))
            and (asked.request == ANYTHING or admits(allowance, asked.request, cni))
            for allowance in allowances
        )

    if protocol is Protocol.ICMP:
        if holds(pair.allow, ANY):
            return {Verdict.ALLOW, Verdict.UNKNOWN}
        if holds(pair.allow, "ICMP"):
            return {Verdict.ALLOW}
        return {Verdict.DENY, Verdict.UNKNOWN}
    # Where the question leaves open what is said above the port: if some of that is unknown, it is.
    if holds(pair.unknown, ANY) or holds(pair.unknown, protocol.value):
        return {Verdict.UNKNOWN}
    if holds(pair.allow, ANY) or holds(pair.allow, protocol.value):
        return {Verdict.ALLOW}
    return {Verdict.DENY}


def in_ports(protocol: str, ports: str, port: int | None) -> bool:
    if protocol == Protocol.ICMP:
        return any(first <= (port or 0) <= last for first, last in icmp.read(ports))
    bounds = [part.partition("-") for part in ports.split(",")]
    return any(int(low) <= (port or 0) <= int(high or low) for low, _, high in bounds)


@clusters(60)
@given(situations())
def test_the_outside_is_listed_whole_and_once(situation: Situation) -> None:
    answer = connectivity(situation.snapshot())
    found = [parse_range(peer.name) for peer in answer.endpoints if peer.kind == "External"]
    for family, last in ((4, 2**32 - 1), (6, 2**128 - 1)):
        spans = sorted((r.first, r.last) for r in found if r and r.family == family)
        assert [first for first, _ in spans] == [0, *(past + 1 for _, past in spans[:-1])]
        assert spans[-1][1] == last
    assert list(answer.connections) == sorted(
        answer.connections, key=lambda pair: (pair.source, pair.destination)
    )


# -- what does not matter ------------------------------------------------------------------------


def assert_same(before: Snapshot, after: Snapshot, limit: int = 150) -> None:
    """Hold that all connections of two snapshots that have the same ends are judged alike."""
    old, new = Engine(before), Engine(after)
    ends_before, ends_after = named(before), named(after)
    assert ends_before.keys() <= ends_after.keys()
    names = {end: name for name, end in ends_before.items()}
    for connection in connections(before, limit):
        source, destination = connection.source, connection.destination
        if source in names and destination in names:
            moved = msgspec.structs.replace(
                connection,
                source=ends_after[names[source]],
                destination=ends_after[names[destination]],
            )
            assert told(old, connection) == told(new, moved), (connection, moved)


@clusters(60)
@given(situations(), st.integers(1, 3))
def test_replicas_do_not_matter(situation: Situation, more: int) -> None:
    grown: list[Manifest] = []
    for manifest in situation.manifests:
        grown.append(manifest)
        if manifest["kind"] == "Deployment":
            grown[-1] = manifest | {"spec": manifest["spec"] | {"replicas": 2 + more}}
        elif "ownerReferences" in manifest["metadata"]:
            for number in range(more):
                # Behind the others by name: which pod stands for all does not matter, but is told.
                name = f"{manifest['metadata']['name']}-z{number}"
                grown.append(manifest | {"metadata": manifest["metadata"] | {"name": name}})
    after = replace(situation, manifests=grown)
    assert_same(situation.snapshot(), after.snapshot())
    assert shape(connectivity(situation.snapshot())) == shape(connectivity(after.snapshot()))


def shape(answer: Connectivity) -> list[str]:
    """Return an answer's lines without the pods that it names where a workload's differ."""
    return sorted(
        f"{pair.source.partition('[')[0]} {pair.destination.partition('[')[0]} {pair.allow}"
        for pair in answer.connections
    )


@clusters(60)
@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_documents_does_not_matter(situation: Situation, rng: random.Random) -> None:
    manifests = [*situation.manifests, *situation.policies]
    rng.shuffle(manifests)
    shuffled = replace(situation, manifests=manifests, policies=[])
    assert shuffled.snapshot() == situation.snapshot()


@clusters(60)
@given(situations(), network_policies("idle"))
def test_a_policy_that_selects_nothing_changes_nothing(
    situation: Situation, policy: Manifest
) -> None:
    policy["spec"]["podSelector"] = {"matchLabels": {"app": "nothing"}}
    before, after = situation.snapshot(), situation.with_policies([*situation.policies, policy])
    if after.profile == before.profile:
        assert_same(before, after)


@clusters(100)
@given(situations(), st.data())
def test_one_more_rule_never_denies_more(situation: Situation, data: st.DataObject) -> None:
    choices = [
        (number, section)
        for number, policy in enumerate(situation.policies)
        if policy["apiVersion"] == "networking.k8s.io/v1" and isinstance(policy["spec"], dict)
        for section in ("ingress", "egress")
        if isinstance(policy["spec"].get(section), list) and isolates(policy["spec"], section)
    ]
    if not choices:
        return
    number, section = data.draw(st.sampled_from(choices))
    more = copy.deepcopy(situation.policies)
    side = "from" if section == "ingress" else "to"
    more[number]["spec"][section].append(data.draw(network_policy_rules(side)))
    before, after = situation.snapshot(), situation.with_policies(more)
    old, new = Engine(before), Engine(after)
    ends_after = named(after)
    names = {end: name for name, end in named(before).items()}
    for connection in connections(before, 150):
        if connection.source in names and connection.destination in names:
            moved = msgspec.structs.replace(
                connection,
                source=ends_after[names[connection.source]],
                destination=ends_after[names[connection.destination]],
            )
            for less, greater in zip(told(old, connection), told(new, moved), strict=True):
                assert RANK[less] <= RANK[greater], (connection, more[number])


def isolates(spec: Manifest, section: str) -> bool:
    """Return whether a policy isolates in a section's direction without one more rule."""
    types = spec.get("policyTypes")
    if types:
        return isinstance(types, list) and section.capitalize() in types
    return section == "ingress" or bool(spec.get(section))


# -- ways in and out -----------------------------------------------------------------------------


@clusters(60)
@given(situations())
def test_yaml_read_back_gives_the_same_verdicts(situation: Situation) -> None:
    manifests = [*situation.manifests, *situation.policies]
    text = yaml.safe_dump_all(manifests, sort_keys=False)
    before = situation.snapshot()
    after = assemble.load(
        ["-"],
        cni=situation.cni,
        pod_cidrs=situation.pod_cidrs,
        staged=situation.staged,
        stdin=io.BytesIO(text.encode()),
    )
    assert after.policies == before.policies
    assert_same(before, after, 60)


@clusters(40)
@given(situations())
def test_a_snapshot_file_read_back_is_the_same_snapshot(situation: Situation) -> None:
    before = situation.snapshot()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "cluster.snapshot")
        snapshot_file.write(before, path)
        after = assemble.load([path])
    assert after == msgspec.structs.replace(before, source=path)


@clusters(60)
@given(situations(), policies())
def test_policies_put_into_a_snapshot_are_as_if_they_had_been_read(
    situation: Situation, others: list[Manifest]
) -> None:
    wanted = situation.with_policies(others)
    found = assemble.with_documents(situation.snapshot(), wanted.documents)
    for part in ("profile", "workloads", "policies", "ignored", "problems", "blind_spots"):
        assert getattr(found, part) == getattr(wanted, part)


# -- the strategies themselves -------------------------------------------------------------------

FIELDS = {
    "podSelector", "namespaceSelector", "matchLabels", "matchExpressions", "key", "operator",
    "values", "policyTypes", "ingress", "egress", "from", "to", "ports", "port", "endPort",
    "protocol", "ipBlock", "cidr", "except", "tier", "priority", "subject", "namespaces", "pods",
    "name", "action", "protocols", "tcp", "udp", "sctp", "destinationPort", "number", "range",
    "start", "end", "destinationNamedPort", "networks", "nodes", "domainNames", "portNumber",
    "portRange", "namedPort",
}  # fmt: skip


def test_the_strategies_reach_every_field() -> None:
    seen: set[str] = set()

    @clusters(100)
    @given(policies())
    def gather(drawn: list[Manifest]) -> None:
        for policy in drawn:
            seen.update(keys(policy["spec"]))

    gather()
    assert not FIELDS - seen


def test_the_strategies_reach_every_verdict() -> None:
    decided: set[tuple[str, str, str]] = set()

    @clusters(200)
    @given(situations())
    def gather(situation: Situation) -> None:
        snapshot = situation.snapshot()
        engine = Engine(snapshot)
        for connection in connections(snapshot, 40):
            for piece in engine.judge(connection).evidence:
                kind = (piece.object or "").partition("/")[0]
                decided.add((kind, piece.direction, piece.action))

    gather()
    actions = ("allow", "deny", "unknown")
    wanted = {*product(("NetworkPolicy", "ClusterNetworkPolicy"), ("ingress", "egress"), actions)}
    assert wanted - decided == set()


def keys(value: Any) -> Iterator[str]:
    """Yield every key below a value."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield key
            yield from keys(child)
    elif isinstance(value, list):
        for child in value:
            yield from keys(child)
