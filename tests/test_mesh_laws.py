"""Laws of clusters in whatever mesh: what must not matter does not; `mesh_laws` holds them."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mesh_laws as laws
from mesh_strategies import meshed
from strategies import Situation
from test_laws import clusters

in_each_mesh = pytest.mark.parametrize("mesh", ["istio", "linkerd"])


def tried(mesh: str, count: int, law: Callable[[Situation], None], *, sound: bool = False) -> None:
    """Try a law on so many clusters in a mesh."""

    @clusters(count)
    @given(meshed(mesh, sound=sound))
    def hold(situation: Situation) -> None:
        law(situation)

    hold()


@in_each_mesh
def test_without_membership_the_network_decides_alone(mesh: str) -> None:
    tried(
        mesh,
        10,
        lambda found: laws.without_membership_the_network_decides_alone(found.snapshot(), 40),
    )


@in_each_mesh
def test_the_order_of_documents_does_not_matter(mesh: str) -> None:
    @clusters(25)
    @given(meshed(mesh), st.randoms(use_true_random=False))
    def hold(situation: Situation, rng: random.Random) -> None:
        laws.order_does_not_matter(situation, rng)

    hold()


@in_each_mesh
def test_replicas_do_not_matter(mesh: str) -> None:
    @clusters(15)
    @given(meshed(mesh), st.integers(1, 3))
    def hold(situation: Situation, more: int) -> None:
        laws.replicas_do_not_matter(situation, more, 60)

    hold()


@in_each_mesh
def test_round_trips_change_nothing(mesh: str) -> None:
    tried(mesh, 15, lambda found: laws.round_trips_change_nothing(found, 40), sound=True)
