"""Whatever a map says, its policies are proved; and a change that matters is found."""

import itertools
from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from map_strategies import Situation, situations
from policy_strategies import Draw
from prove.proofs import mutated
from ringfence import assemble
from ringfence.learn.dependency_map import DependencyMap
from ringfence.learn.wishes import CALICO, CILIUM, Naming, Wishes
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, End, PodEnd
from ringfence.model.proposal import Edition, Emission
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.prove.generated import generate, prove
from ringfence.prove.written import kept, read_back
from ringfence.reference import judge


@settings(max_examples=80, suppress_health_check=list(HealthCheck), deadline=None)
@given(situations(), st.booleans())
def test_whatever_a_map_says_its_policies_are_proved(
    situation: Situation, allow_wider: bool
) -> None:
    generation = generate(
        situation.dependency_map, situation.snapshot(), Wishes(allow_wider=allow_wider)
    )
    assume(generation.proof is not None)
    assert generation.proof is not None
    assert generation.proof.holds, generation.proof


@st.composite
def wishes(draw: Draw) -> Wishes:
    """Return wishes for one of the languages that not every cluster enforces."""
    dialect = draw(st.sampled_from((CALICO, CILIUM)))
    calico = dialect == CALICO
    return Wishes(
        dialect=dialect,
        allow_wider=draw(st.booleans()),
        identity=draw(st.sampled_from(Naming)),
        edition=draw(st.sampled_from(Edition)) if calico else Edition.OSS,
        staged=calico and draw(st.booleans()),
        log_denied=draw(st.booleans()),
    )


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(situations(), wishes())
def test_whatever_a_map_says_is_proved_in_every_language(
    situation: Situation, wished: Wishes
) -> None:
    there = replace(situation, cni=wished.dialect)
    generation = generate(there.dependency_map, there.snapshot(), wished)
    assume(generation.proof is not None)
    assert generation.proof is not None
    assert generation.proof.holds, generation.proof


@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(situations(addresses=False), st.data())
def test_a_change_that_matters_is_found(situation: Situation, data: st.DataObject) -> None:
    snapshot = situation.snapshot()
    generation = generate(situation.dependency_map, snapshot)
    assume(generation.proof is not None)
    mutants = list(mutated(generation.emission))
    assume(mutants)
    mutant = data.draw(st.sampled_from(mutants))
    before = verdicts(situation.dependency_map, snapshot, generation.emission)
    after = verdicts(situation.dependency_map, snapshot, mutant)
    proof = prove(situation.dependency_map, snapshot, generation.proposal, mutant)
    assert proof.holds == (before == after)


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(situations())
def test_the_same_input_gives_the_same_bytes(situation: Situation) -> None:
    backwards = Situation(
        situation.manifests[::-1], situation.cni, situation.pod_cidrs, situation.dependency_map
    )
    first = generate(situation.dependency_map, situation.snapshot())
    assert first == generate(situation.dependency_map, backwards.snapshot())


def verdicts(
    written: DependencyMap, snapshot: Snapshot, emission: Emission
) -> dict[tuple[End, End, Protocol, int], Verdict]:
    """Return what the literal judge says wherever a covered workload takes part."""
    documents = (*kept(written, snapshot), *read_back(emission.files).documents)
    judged = assemble.with_documents(snapshot, documents)
    pods = [PodEnd(number, 0) for number in range(len(judged.workloads))]
    ends: list[End] = [*pods, AddressEnd("192.0.2.1")]
    covered = {
        end for end in pods if judged.workloads[end.workload].namespace in written.namespaces
    }
    return {
        (*pair, protocol, port): judge(judged, Connection(*pair, protocol, port)).verdict
        for pair in itertools.product(ends, ends)
        if not covered.isdisjoint(pair)
        for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
        for port in (1, 53, 80, 443, 5353, 8080, 9001)
    }
