"""What is said on a port, cut zone by zone: as if together, and no team is in another's way."""

import copy
import random
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from every_connection import connections
from every_request import PLAIN, requests
from policy_strategies import Manifest
from ringfence import assemble
from ringfence.engine import Engine, spaces, traffic
from ringfence.engine.spaces import EVERYWHERE, Spaces, zones
from ringfence.layer7 import space
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection, PodEnd
from ringfence.model.connectivity import Allowance, Connectivity, Pair
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Request, Text
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions.connectivity import connectivity
from strategies import Situation, situations
from talkative_strategies import talkative
from test_laws import listed

HOSTILE = 40
"""So many patterns of the form `.*word.*` cannot be told apart together."""


def box(path: str, form: Form = Form.REGEX) -> Layer7:
    return Layer7(http=HttpMatch(paths=(Text(form, path),)))


def team(name: str, *paths: str) -> list[dict[str, object]]:
    http = [{"method": "GET", "path": path} for path in paths]
    ports = {"ports": [{"port": "8080", "protocol": "TCP"}], "rules": {"http": http}}
    pod = {"containers": [{"name": "c", "image": "i"}]}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": name, "name": "web", "labels": {"app": "web"}},
            "spec": pod,
        },
        {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"namespace": name, "name": "web"},
            "spec": {
                "endpointSelector": {"matchLabels": {"app": "web"}},
                "ingress": [{"fromEntities": ["cluster"], "toPorts": [ports]}],
            },
        },
    ]


def cluster(folder: Path, *teams: list[dict[str, object]]) -> Snapshot:
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump_all([m for manifests in teams for m in manifests]))
    return assemble.load([str(path)], cni="cilium")


def asked(snapshot: Snapshot, source: str, destination: str, path: str) -> Verdict:
    number = {workload.ref: n for n, workload in enumerate(snapshot.workloads)}
    ends = PodEnd(number[source], 0), PodEnd(number[destination], 0)
    request = Request(http=True, method="GET", path=path, host="h", headers=(), sni="")
    return Engine(snapshot).judge(Connection(*ends, Protocol.TCP, 8080, request=request)).verdict


# -- one team, and another -----------------------------------------------------------------------


def test_complex_patterns_of_one_team_leave_what_another_says_decided(tmp_path: Path) -> None:
    hostile = team("hostile", *(f".*word{n}.*" for n in range(HOSTILE)))
    snapshot = cluster(tmp_path, hostile, team("calm", "/v1/.*"))
    assert asked(snapshot, "hostile/web", "calm/web", "/v1/word1") is Verdict.ALLOW
    assert asked(snapshot, "hostile/web", "calm/web", "/v2") is Verdict.DENY
    assert asked(snapshot, "calm/web", "hostile/web", "/x") is Verdict.UNKNOWN


def test_patterns_of_many_teams_that_would_multiply_are_all_decided(tmp_path: Path) -> None:
    teams = [team(f"t{n}", f".*word{n}.*") for n in range(HOSTILE)]
    snapshot = cluster(tmp_path, *teams)
    for n in (0, 1, HOSTILE - 1):
        assert asked(snapshot, "t5/web", f"t{n}/web", f"/a/word{n}x") is Verdict.ALLOW
        assert asked(snapshot, "t5/web", f"t{n}/web", "/a") is Verdict.DENY


def test_limits_of_zones_are_written_as_if_they_were_alone(tmp_path: Path) -> None:
    teams = [team(f"t{n}", f".*word{n}.*") for n in range(HOSTILE)]
    found = connectivity(cluster(tmp_path, *teams))
    written = {(p.source, p.destination): p.allow for p in found.connections}
    get = (Text(Form.EXACT, "GET"),)
    for n in (1, 2):
        paths = (Text(Form.REGEX, f".*word{n}.*"),)
        limit = Layer7(http=HttpMatch(methods=get, paths=paths))
        assert written["t0/web", f"t{n}/web"] == (Allowance("TCP", "8080", l7=(limit,)),)
    assert not any(pair.unknown for pair in found.connections)


# -- zones and spaces ----------------------------------------------------------------------------


def test_zones_are_disjoint_and_hold_what_any_rule_for_them_says() -> None:
    a, b, c = box("/a"), box("/b"), box("/c")
    found = zones([(0b0011, (a,)), (0b0110, (b,)), (EVERYWHERE, (c,))])
    assert dict(found[1:]) == {
        0b0001: frozenset({a, c}),
        0b0010: frozenset({a, b, c}),
        0b0100: frozenset({b, c}),
    }
    assert found[0] == (~0b0111, frozenset({c}))


def test_the_order_of_zones_does_not_depend_on_that_of_rules() -> None:
    limits = [(0b001, (box("/a"),)), (0b010, (box("/b"),)), (0b100, (box("/c"),))]
    assert zones(limits) == zones(limits[::-1])


def test_what_is_left_out_is_what_multiplies() -> None:
    plain = [box(f"/{n}", Form.EXACT) for n in range(20)]
    complex_ = [box(f".*word{n}.*") for n in range(HOSTILE)]
    space, why = Spaces().as_far_as_possible(frozenset((*plain, *complex_)))
    assert space is not None
    assert set(plain) <= set(space.boxes)
    assert not set(complex_) <= set(space.boxes)
    assert "too complex" in why


def test_cutting_fails_only_so_often() -> None:
    made = Spaces()
    with patch.object(spaces.Spaces, "_cut", return_value=None) as cut:
        for n in range(1000):
            made.as_far_as_possible(frozenset({box(f".*word{n}.*"), box(f".*other{n}.*")}))
    tried_in_vain = sum(any(map(spaces._patterns, call.args[0])) for call in cut.call_args_list)
    assert tried_in_vain <= spaces.FAILURES


# -- the same, either way ------------------------------------------------------------------------


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(situations())
def test_zone_by_zone_and_together_are_the_same(situation: Situation) -> None:
    snapshot = situation.snapshot()
    together = Engine(snapshot)
    with patch.object(traffic, "MOST_TOGETHER", 0):
        by_zone = Engine(snapshot)
        for connection in connections(snapshot, 60):
            one, other = by_zone.judge(connection), together.judge(connection)
            assert one == other, connection
        zoned = connectivity(snapshot)
    assert zoned == connectivity(snapshot)


WORDS = ("a", "pub", "/v", "x=", "lic/")
"""Parts of the paths that requests are drawn with."""
UNDECIDED = ("too complex to be compared", "too many classes")


def many_patterns(policies: list[Manifest], chosen: random.Random) -> list[Manifest]:
    """Return policies with paths of HTTP rules that multiply when they are told apart together."""
    found = copy.deepcopy(policies)
    for policy in found:
        for rule in http_rules(policy):
            if chosen.randrange(4):
                rule["path"] = f".*{chosen.choice(WORDS)}.*"
    return found


def http_rules(value: Any) -> Iterator[Manifest]:
    """Yield Cilium's HTTP rules below a value."""
    if isinstance(value, list):
        for child in value:
            yield from http_rules(child)
    elif isinstance(value, dict):
        http = value.get("http")
        yield from http if isinstance(http, list) else ()
        for child in value.values():
            yield from http_rules(child)


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_what_cannot_be_told_apart_is_unknown_and_never_guessed(cni: str) -> None:
    @settings(
        max_examples=15,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(talkative(cni), st.integers(1, 20), st.randoms(use_true_random=False))
    def hold(situation: Situation, budget: int, chosen: random.Random) -> None:
        policies = many_patterns(situation.policies, chosen)
        snapshot = situation.with_policies(policies)
        amply = Engine(snapshot)
        asked = connections(snapshot, 40)
        wanted = [amply.judge(connection) for connection in asked]
        with (
            patch.object(space, "BASE_WORK", budget),
            patch.object(space, "WORK_PER_BOX", 2),
            patch.object(traffic, "MOST_TOGETHER", chosen.choice((0, 2, 1000))),
        ):
            scantily = Engine(snapshot)
            found = [scantily.judge(connection) for connection in asked]
            answer = connectivity(snapshot)
        for connection, one, other in zip(asked, found, wanted, strict=True):
            assert is_no_guess(one, other), (connection, one, other)
        assert_listed_or_unknown(answer, snapshot, amply)

    hold()


def is_no_guess(found: Judgement, amply: Judgement) -> bool:
    """Return whether a judgement is the one that is true, or unknown with the reason."""
    if found.verdict is Verdict.UNKNOWN and amply.verdict is not Verdict.UNKNOWN:
        return any(said in why for why in found.unknown_because for said in UNDECIDED)
    return found.verdict is amply.verdict


def assert_listed_or_unknown(answer: Connectivity, snapshot: Snapshot, amply: Engine) -> None:
    """Hold that pairs allow nothing but what is allowed, and leave out only what is denied."""
    pairs = {(pair.source, pair.destination): pair for pair in answer.connections}
    names = {f"{w.ref}": PodEnd(n, 0) for n, w in enumerate(snapshot.workloads)}
    for (source, one), (destination, other) in permutations(names.items(), 2):
        pair = pairs.get((source, destination), Pair(source, destination, ()))
        for request in (PLAIN, *requests(snapshot)[:8]):
            for family in amply.families(one) & amply.families(other):
                asked = Connection(one, other, Protocol.TCP, 80, family, request)
                told = listed(pair, asked, snapshot.profile.cni)
                true = amply.judge(asked).verdict
                assert told == {Verdict.UNKNOWN} or true in told, (asked, pair)
