"""Whatever a map says, what is generated for a mesh is proved, alone and with the network's."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from map_strategies import Situation
from mesh_situations import meshed
from ringfence.learn.wishes import (
    CALICO,
    CILIUM,
    ISTIO,
    KUBERNETES,
    LINKERD,
    NO_NETWORK,
    Wishes,
)
from ringfence.prove.generated import generate

CNI = {KUBERNETES: "generic", CALICO: "calico", CILIUM: "cilium"}


@pytest.mark.parametrize("mesh", [ISTIO, LINKERD])
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data(), allow_wider=st.booleans())
def test_whatever_a_map_says_is_proved_of_a_mesh_alone(
    mesh: str, data: st.DataObject, *, allow_wider: bool
) -> None:
    situation: Situation = data.draw(meshed(mesh))
    wishes = Wishes(dialect=NO_NETWORK, mesh=mesh, allow_wider=allow_wider)
    generation = generate(situation.dependency_map, situation.snapshot(), wishes)
    assume(generation.proof is not None)
    assert generation.proof is not None
    assert generation.proof.holds, generation.proof


@pytest.mark.parametrize("dialect", [KUBERNETES, CALICO, CILIUM])
@pytest.mark.parametrize("mesh", [ISTIO, LINKERD])
@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data(), allow_wider=st.booleans())
def test_whatever_a_map_says_is_proved_of_network_and_mesh_together(
    mesh: str, dialect: str, data: st.DataObject, *, allow_wider: bool
) -> None:
    situation: Situation = data.draw(meshed(mesh, CNI[dialect]))
    wishes = Wishes(dialect=dialect, mesh=mesh, allow_wider=allow_wider)
    generation = generate(situation.dependency_map, situation.snapshot(), wishes)
    assume(generation.proof is not None)
    assert generation.proof is not None
    assert generation.proof.holds, generation.proof
