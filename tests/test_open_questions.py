"""Questions that leave layer 7, or a type of ICMP, open: they are what their witnesses say."""

import random
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from every_connection import connections
from ringfence.engine import Engine
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection
from ringfence.model.layer7 import ANYTHING
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from strategies import Situation, situations
from test_laws import clusters

MOST = 25
"""Questions asked of one cluster."""


def open_questions(snapshot: Snapshot) -> list[Connection]:
    """Return questions about connections of which nothing is said above the port."""
    found = {
        msgspec.structs.replace(
            one, request=ANYTHING, port=None if one.protocol is Protocol.ICMP else one.port
        ): None
        for one in connections(snapshot, 400)
    }
    listed = list(found)
    return random.Random(6).sample(listed, min(MOST, len(listed)))


def witnesses(engine: Engine, asked: Connection) -> Iterator[Connection]:
    """Yield a question for each class of what a question leaves open."""
    traffic = engine.compiled(engine.family(asked)).classes.traffic
    for protocol, port, request in traffic.samples(traffic.of(asked.protocol, asked.port)):
        number = port if protocol is Protocol.ICMP else asked.port
        yield msgspec.structs.replace(asked, port=number, request=request)


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_an_open_question_is_what_its_witnesses_say(cni: str) -> None:
    @clusters(20)
    @given(st.data())
    def hold(data: st.DataObject) -> None:
        situation: Situation = data.draw(situations(cni=cni))
        snapshot = situation.snapshot()
        engine = Engine(snapshot)
        for asked in open_questions(snapshot):
            found = engine.judge(asked)
            verdicts = {engine.judge(one).verdict for one in witnesses(engine, asked)}
            if Verdict.UNKNOWN in verdicts:
                wanted = Verdict.UNKNOWN
            else:
                wanted = Verdict.ALLOW if Verdict.ALLOW in verdicts else Verdict.DENY
            limited = wanted is Verdict.ALLOW and Verdict.DENY in verdicts
            assert found.verdict is wanted, (asked, verdicts)
            assert bool(found.limited_to) == limited, (asked, found.limited_to)

    hold()
