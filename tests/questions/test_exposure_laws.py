"""What exposure tells of the outside is what the judge says of its addresses."""

import random
from dataclasses import replace

import pytest
from hypothesis import given

from every_connection import pod_ends, requests_over, traffic
from every_request import PLAIN, requests
from policy_strategies import Manifest
from questions.test_diff_laws import is_named
from ringfence.engine import Engine
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, PodEnd
from ringfence.model.connectivity import Pair
from ringfence.model.exposure import Entrance, Exposure, Passage
from ringfence.model.outside import parse_range
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.exposure import exposure
from strategies import Situation, situations
from talkative_strategies import talkative
from test_laws import clusters, listed

FRONT: Manifest = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "front", "namespace": "alpha"},
    "spec": {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 80}],
    },
}
"""A way in that leaves the caller's address as it is."""


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_exposure_is_what_the_judge_says_of_the_outside_above_the_port(cni: str) -> None:
    @clusters(10)
    @given(talkative(cni))
    def hold(situation: Situation) -> None:
        assert_exposed_as_judged(situation)

    hold()


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_exposure_is_what_the_judge_says_of_the_outside(cni: str) -> None:
    @clusters(10)
    @given(situations(cni=cni))
    def hold(situation: Situation) -> None:
        assert_exposed_as_judged(situation)

    hold()


def assert_exposed_as_judged(situation: Situation) -> None:
    """Hold that ways in, and what crosses the border, are what is allowed at their ranges' ends."""
    snapshot = replace(situation, manifests=[*situation.manifests, FRONT]).snapshot()
    engine = Engine(snapshot)
    found = exposure(snapshot)
    pods = [end for end in pod_ends(snapshot) if not is_host(snapshot, end)]
    for entrance in found.entrances:
        if entrance.kind == "LoadBalancer":
            for end in (end for end in pods if is_named(entrance.workload, end, snapshot)):
                assert_enters(entrance, found, end, engine)
    exposed = {entrance.workload.partition("[")[0] for entrance in found.entrances}
    for end in pods:
        assert_crosses(found.exits, found, end, engine, inward=False)
        if snapshot.workloads[end.workload].ref not in exposed:
            assert_crosses(found.admitted, found, end, engine, inward=True)


def is_host(snapshot: Snapshot, end: PodEnd) -> bool:
    """Return whether pods are on their node's network."""
    return snapshot.workloads[end.workload].identities[end.identity].host_network


def edges(found: Exposure) -> list[str]:
    """Return addresses at the ends of ranges that are told of, and one more of each family."""
    ranges = {block for p in (*found.exits, *found.admitted) for block in p.outside}
    ranges |= {block for e in found.entrances for block in (*e.sources, *e.unknown_sources)}
    ends = [end for block in sorted(ranges) if parse_range(block) for end in block.split("-")]
    chosen = random.Random(10).sample(ends, min(10, len(ends)))
    return ["198.51.100.7", "2001:db8:ffff::7", *chosen]


def is_among(address: str, blocks: tuple[str, ...]) -> bool:
    """Return whether an address lies in one of some ranges."""
    return any(parse_range(b) and is_named(b, AddressEnd(address), Snapshot()) for b in blocks)


def assert_enters(entrance: Entrance, found: Exposure, end: PodEnd, engine: Engine) -> None:
    """Hold that at an entrance all come in that may, and of what it is limited to no others."""
    for address in edges(found):
        if not engine.families(AddressEnd(address)) & engine.families(end):
            continue
        asked = Connection(AddressEnd(address), end, Protocol(entrance.protocol), entrance.port)
        verdict = Verdict.DENY
        if is_among(address, entrance.sources):
            verdict = Verdict.ALLOW
        elif is_among(address, entrance.unknown_sources):
            verdict = Verdict.UNKNOWN
        assert engine.judge(asked).verdict is verdict, (entrance, asked)


def assert_crosses(
    passages: tuple[Passage, ...], found: Exposure, end: PodEnd, engine: Engine, *, inward: bool
) -> None:
    """Hold that pods exchange with the outside what passages say, and else nothing."""
    snapshot = engine.snapshot
    own = [passage for passage in passages if is_named(passage.workload, end, snapshot)]
    rng = random.Random(9)
    said = [PLAIN, *requests(snapshot)]
    kinds = [kind for kind in traffic(snapshot) if kind[0] is not Protocol.ICMP and kind[1]]
    for address in edges(found):
        outside = AddressEnd(address)
        told = [passage for passage in own if is_among(address, passage.outside)]
        assert len(told) <= 1, (address, told)
        pair = Pair("", "", told[0].allow, told[0].unknown) if told else Pair("", "", ())
        for family in engine.families(outside) & engine.families(end):
            for protocol, port in rng.sample(kinds, min(4, len(kinds))):
                request = rng.choice(requests_over(protocol, said))
                asked = Connection(end, outside, protocol, port, family, request)
                if inward:
                    asked = Connection(outside, end, protocol, port, family, request)
                verdict = engine.judge(asked).verdict
                assert verdict in listed(pair, asked, snapshot.profile.cni), (told, asked)
