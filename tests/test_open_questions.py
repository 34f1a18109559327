"""Questions that leave something open: they are what every question that they may mean is.

What is open is layer 7, all of it or a part, or the type of ICMP. Such a question is allowed (or
denied) if all that it may mean is; where some is allowed and some denied, it is allowed, limited
to the former.
"""

import random

import msgspec
import pytest
import yaml
from hypothesis import given

from every_connection import connections
from every_request import PLAIN, http, requests
from literal_boxes import within
from ringfence import reference
from ringfence.engine import Engine
from ringfence.model import icmp
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, PodEnd
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.reference import REPLICAS, TWO_LIMITS
from strategies import Situation, build
from talkative_strategies import talkative
from test_laws import clusters

MOST = 16
"""Questions asked of one cluster."""
FEW = 40
"""Classes looked at of what one leaves open."""
OF_HTTP = ("method", "path", "host", "headers")
FIELDS = ("http", *OF_HTTP, "dns", "sni", "authenticated")


def open_questions(engine: Engine) -> list[Connection]:
    """Return questions about connections of which little or nothing is said above the port.

    Half of them are such that the rules of their ends tell apart what they leave open.
    """
    rng = random.Random(6)
    found: dict[Connection, None] = {}
    for one in connections(engine.snapshot, 100):
        port = None if one.protocol is Protocol.ICMP else one.port
        for said in (ANYTHING, partly(one.request, rng)):
            if one.protocol is Protocol.TCP or said == ANYTHING or said.http is None:
                found[msgspec.structs.replace(one, request=said, port=port)] = None
    apart: list[Connection] = []
    alike: list[Connection] = []
    for asked in found:
        (apart if len(engine.views(asked)) > 1 else alike).append(asked)
    return [one for part in (apart, alike) for one in rng.sample(part, min(MOST // 2, len(part)))]


def partly(request: Request, rng: random.Random) -> Request:
    """Return a part of what a request says."""
    if request == ANYTHING:
        return ANYTHING
    kept = {name for name in FIELDS if rng.randrange(3) == 0}
    if rng.randrange(4) == 0:
        kept = {rng.choice(FIELDS)}
    if kept & set(OF_HTTP):
        kept |= {"http"}
    return Request(**{name: getattr(request, name) for name in kept if request.http is not None})


def meanings(engine: Engine, asked: Connection) -> tuple[list[Connection], bool]:
    """Return whole questions that an open one may mean, and whether they are of every class.

    There are others among them, so that not all hangs on how the classes are cut.
    """
    rng = random.Random(7)
    traffic = engine.compiled(engine.family(asked)).classes.traffic
    samples = traffic.samples(traffic.of(asked.protocol, asked.port, asked.request))
    others = [PLAIN, http("GET", "/"), *requests(engine.snapshot)]
    found: dict[Connection, None] = {}
    for protocol, port, witness in rng.sample(samples, min(FEW, len(samples))):
        number = port if protocol is Protocol.ICMP else asked.port
        for request in others[:2] if witness == ANYTHING else (witness,):
            if said := joined(request, asked.request):
                found[msgspec.structs.replace(asked, port=number, request=said)] = None
    if asked.protocol is not Protocol.ICMP:
        for request in rng.sample(others, min(FEW // 4, len(others))):
            if said := joined(request, asked.request):
                found[msgspec.structs.replace(asked, request=said)] = None
    return list(found), len(samples) <= FEW


def joined(request: Request, said: Request) -> Request | None:
    """Return a request with what a question says in its place; None where nobody can send that.

    What is no HTTP has no method, and a DNS query is neither HTTP nor TLS.
    """
    given = {name: getattr(said, name) for name in FIELDS if getattr(said, name) is not None}
    found = msgspec.structs.replace(request, **given)
    if found.dns and (found.http or found.sni):
        return None
    if found.http and any(getattr(found, name) is None for name in OF_HTTP):
        return None
    if not found.http and any(getattr(found, name) is not None for name in OF_HTTP):
        return None
    return found


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_an_open_question_is_what_all_that_it_may_mean_is(cni: str) -> None:
    @clusters(20)
    @given(talkative(cni))
    def hold(situation: Situation) -> None:
        snapshot = situation.snapshot()
        engine = Engine(snapshot)
        for asked in open_questions(engine):
            found = engine.judge(asked)
            meant, whole = meanings(engine, asked)
            verdicts = {one: engine.judge(one).verdict for one in meant}
            possible = set(verdicts.values())
            assert possible, asked
            assert_is(found, possible, asked, whole=whole)
            if found.limited_to:
                for one, verdict in verdicts.items():
                    inside = is_within(found, asked, one, snapshot)
                    assert inside == (verdict is Verdict.ALLOW), (one, found.limited_to)
            assert_literal_judge_agrees(snapshot, asked, possible, whole=whole)

    hold()


def assert_is(found: Judgement, possible: set[Verdict], asked: Connection, *, whole: bool) -> None:
    """Hold that an answer is that of all that a question may mean, or of some of it."""
    if found.verdict is Verdict.UNKNOWN:
        mixed = len(possible) > 1 and any("cannot be written" in w for w in found.unknown_because)
        assert mixed or Verdict.UNKNOWN in possible or not whole, (asked, possible, found)
    elif found.limited_to:
        assert Verdict.UNKNOWN not in possible, (asked, possible)
        assert possible == {Verdict.ALLOW, Verdict.DENY} or not whole, (asked, possible, found)
    else:
        assert possible == {found.verdict}, (asked, possible, found)


def is_within(found: Judgement, asked: Connection, one: Connection, snapshot: Snapshot) -> bool:
    """Return whether a question is within what the answer to an open one is limited to."""
    if asked.protocol is Protocol.ICMP and asked.port is None:
        return any(
            first <= (one.port or 0) <= last
            for limit in found.limited_to
            for first, last in icmp.read(limit["icmp"])
        )
    return within(found.limited_to, one.request, snapshot.profile)


def assert_literal_judge_agrees(
    snapshot: Snapshot, asked: Connection, possible: set[Verdict], *, whole: bool
) -> None:
    """Hold that the literal judge says of an open question what may be said of all it may mean.

    It does not join what two rules leave open, so that its limits are wider at times.
    """
    found = reference.judge(snapshot, asked)
    if found.verdict is Verdict.UNKNOWN:
        known = {TWO_LIMITS, REPLICAS} & set(found.unknown_because)
        assert known or Verdict.UNKNOWN in possible or not whole, (asked, possible, found)
    elif found.limited_to:
        assert Verdict.ALLOW in possible or not whole, (asked, possible, found)
        assert Verdict.UNKNOWN not in possible, (asked, possible, found)
    else:
        assert possible == {found.verdict}, (asked, possible, found)


HEADER_OR_PATH = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {}
  ingress:
  - toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules:
        http: [{path: /public/.*, headers: [x-team]}, {path: /team/.*, headers: [x-team]}]
"""


def test_limits_are_of_what_a_question_leaves_open() -> None:
    snapshot = build(list(yaml.safe_load_all(HEADER_OR_PATH)), "cilium")
    said = Request(http=True, method="GET", headers=(("x-team", "red"),))
    asked = Connection(AddressEnd("198.51.100.7"), PodEnd(0, 0), port=80, request=said)
    found = Engine(snapshot).judge(asked)
    assert found.verdict is Verdict.ALLOW
    for path, allowed in (("/public/a", True), ("/team/", True), ("/", False)):
        whole = msgspec.structs.replace(said, path=path, host="x", dns="", sni="")
        assert within(found.limited_to, whole, snapshot.profile) is allowed
