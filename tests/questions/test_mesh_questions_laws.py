"""Whatever stands in a cluster with a mesh: questions about it are answered, and proofs hold."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh_strategies import meshed
from ringfence.errors import UsageError
from ringfence.model.mtls import Step
from ringfence.model.query import Http, Query
from ringfence.model.verdict import Verdict
from ringfence.questions.check import Checker
from ringfence.questions.explain import explain
from ringfence.questions.mesh_warnings import mesh_warnings
from ringfence.questions.mtls import mtls
from strategies import Situation

few = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)


@pytest.mark.parametrize("mesh", ["istio", "linkerd"])
def test_the_plan_names_whatever_stands_in_the_way(mesh: str) -> None:
    @few
    @given(meshed(mesh))
    def holds(situation: Situation) -> None:
        answer = mtls(situation.snapshot())
        blocked = {caller.destination.partition("/")[0] for caller in answer.callers}
        for namespace in answer.namespaces:
            assert (namespace.step is Step.CALLERS) == (namespace.name in blocked)
            assert bool(namespace.members) or namespace.step is Step.NONE

    holds()


@pytest.mark.parametrize("mesh", ["istio", "linkerd"])
def test_every_warning_has_a_connection_that_shows_it(mesh: str) -> None:
    @few
    @given(meshed(mesh))
    def holds(situation: Situation) -> None:
        assert all(warning.shown_by for warning in mesh_warnings(situation.snapshot()))

    holds()


@pytest.mark.parametrize("mesh", ["istio", "linkerd"])
def test_an_explanation_has_the_verdict_of_the_judge(mesh: str) -> None:
    @few
    @given(meshed(mesh), st.data())
    def holds(situation: Situation, data: st.DataObject) -> None:
        snapshot = situation.snapshot()
        names = [workload.ref for workload in snapshot.workloads]
        source, destination = (data.draw(st.sampled_from(names)) for _ in "ab")
        http = data.draw(st.sampled_from((None, Http("GET", "/a"))))
        query = Query(source=source, destination=destination, port=8080, http=http)
        try:
            found = explain(snapshot, query)
        except UsageError:
            return
        for side in found.sides:
            assert side.because
        layers = Verdict.ALLOW
        for side in found.sides:
            layers &= side.verdict
        if found.judgement.verdict is not Verdict.ALLOW or not found.judgement.limited_to:
            assert layers is found.judgement.verdict
        asked = Checker(snapshot).ask(query)
        if not found.also and not asked.limited_to:
            assert asked.verdict is found.judgement.verdict

    holds()
