"""What is generated means the same to the literal judge, which reads the documents by itself."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from map_strategies import Situation, situations
from mesh_situations import meshed
from ringfence import assemble
from ringfence.engine import Engine
from ringfence.learn.wishes import CALICO, CILIUM, ISTIO, KUBERNETES, LINKERD, Wishes
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.layer7 import Request
from ringfence.prove.generated import generate
from ringfence.prove.written import kept, read_back
from ringfence.reference import judge

ASKED = (
    (Protocol.TCP, 80, Request(http=True, method="GET", path="/v1/x")),
    (Protocol.TCP, 80, Request(http=True, method="POST", path="/v1/x")),
    (Protocol.TCP, 443, Request()),
    (Protocol.UDP, 53, Request(dns="w.b.svc.cluster.local")),
    (Protocol.UDP, 53, Request(dns="elsewhere.example")),
)


@pytest.mark.parametrize("dialect", [CALICO, CILIUM])
@settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
@given(situation=situations())
def test_both_judges_read_what_was_written_alike(dialect: str, situation: Situation) -> None:
    there = replace(situation, cni=dialect)
    snapshot = there.snapshot()
    generation = generate(there.dependency_map, snapshot, Wishes(dialect=dialect))
    assume(generation.proof is not None)
    documents = kept(there.dependency_map, snapshot)
    written = read_back(generation.emission.files).documents
    judged = assemble.with_documents(snapshot, (*documents, *written))
    engine = Engine(judged)
    pods: list[End] = [PodEnd(number, 0) for number in range(len(judged.workloads))]
    nodes: list[End] = [NodeEnd(number) for number in range(len(judged.nodes))]
    outside: list[End] = [AddressEnd("192.0.2.1"), DomainEnd("api.example.com")]
    pairs = [*itertools.product(pods, [*pods, *nodes, *outside]), *itertools.product(nodes, pods)]
    for (source, destination), (protocol, port, request) in itertools.product(pairs, ASKED):
        connection = Connection(source, destination, protocol, port, request=request)
        assert judge(judged, connection).verdict is engine.judge(connection).verdict, connection


@pytest.mark.parametrize("mesh", [ISTIO, LINKERD])
@settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_both_judges_read_what_was_written_for_a_mesh_alike(mesh: str, data: st.DataObject) -> None:
    situation: Situation = data.draw(meshed(mesh, "generic"))
    snapshot = situation.snapshot()
    wishes = Wishes(dialect=KUBERNETES, mesh=mesh)
    generation = generate(situation.dependency_map, snapshot, wishes)
    assume(generation.proof is not None)
    documents = kept(situation.dependency_map, snapshot, wishes)
    written = read_back(generation.emission.files).documents
    judged = assemble.with_documents(snapshot, (*documents, *written))
    engine = Engine(judged)
    pods: list[End] = [PodEnd(number, 0) for number in range(len(judged.workloads))]
    pairs = [*itertools.product(pods, pods), *((AddressEnd("192.0.2.1"), pod) for pod in pods)]
    for (source, destination), (protocol, port, request) in itertools.product(pairs, ASKED):
        connection = Connection(source, destination, protocol, port, request=request)
        assert judge(judged, connection).verdict is engine.judge(connection).verdict, connection
