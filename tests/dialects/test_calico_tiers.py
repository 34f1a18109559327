"""Calico's tiers, and the order of policies in them."""

import math
from typing import Any

import pytest

from dialects.calico_documents import (
    GLOBAL,
    STORED,
    context,
    document,
    policies,
    policy,
    tier,
)
from ringfence.dialects import _calico_tiers as calico_tiers
from ringfence.dialects import calico
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import Action
from ringfence.model.tiers import CALICO_ADMIN, CALICO_BASELINE, CALICO_DEFAULT


@pytest.mark.parametrize(
    ("spec", "order", "unmatched"),
    [
        ({}, math.inf, Action.DENY),
        ({"order": 5}, 5, Action.DENY),
        ({"order": -1.5, "defaultAction": "Pass"}, -1.5, Action.PASS),
        ({"defaultAction": "Deny"}, math.inf, Action.DENY),
    ],
)
def test_a_tier(spec: Any, order: float, unmatched: Action) -> None:
    (found,) = policies(tier(**spec), document("NetworkPolicy", {"tier": "t"}))
    assert (found.tier.name, found.tier.order, found.tier.unmatched) == ("t", order, unmatched)
    assert found.unreadable == ()


@pytest.mark.parametrize("spec", [{}, {"tier": "default"}, {"tier": ""}])
def test_the_default_tier_needs_no_object(spec: Any) -> None:
    assert policy(spec).tier == CALICO_DEFAULT


def test_the_tiers_of_cluster_network_policies_need_no_object() -> None:
    assert policy({"tier": "kube-admin"}).tier == CALICO_ADMIN
    assert policy({"tier": "kube-baseline"}).tier == CALICO_BASELINE
    old = {"tier": "adminnetworkpolicy"}
    assert policy(old, version="3.30", name="adminnetworkpolicy.p").tier == CALICO_ADMIN


def test_a_tier_that_is_not_there_makes_its_policies_unreadable() -> None:
    found = policy({"tier": "t"})
    assert [part.path for part in found.unreadable] == [("spec", "tier")]
    assert "no object" in found.unreadable[0].reason


@pytest.mark.parametrize(
    "spec", [{"order": "1"}, {"order": True}, {"defaultAction": "Allow"}, {"extra": 1}]
)
def test_an_unreadable_tier_is_told_and_spoils_its_policies(spec: Any) -> None:
    objects = tier(**spec), document("NetworkPolicy", {"tier": "t"})
    (found,) = policies(*objects)
    assert "is unreadable" in found.unreadable[0].reason
    (told,) = calico.notes(context(*objects))
    assert told.severity == "error"
    assert told.object == "Tier.projectcalico.org/t"


def test_the_order_of_a_fixed_tier_is_fixed() -> None:
    (told,) = calico.notes(context(tier("default", order=5)))
    assert "1e+06" in told.message or "1000000" in told.message
    assert not calico.notes(context(tier("default", order=1_000_000, defaultAction="Deny")))


def test_two_different_tiers_of_one_name() -> None:
    (found,) = policies(tier(order=1), tier(order=2), document("NetworkPolicy", {"tier": "t"}))
    assert "two different objects" in found.unreadable[0].reason


@pytest.mark.parametrize(("version", "readable"), [("3.31", False), ("3.32", True), ("", True)])
def test_names_begin_with_their_tier_before_3_32(version: str, readable: bool) -> None:
    found = policies(tier(), document("NetworkPolicy", {"tier": "t"}), version=version)
    assert (found[0].unreadable == ()) is readable
    prefixed = document("NetworkPolicy", {"tier": "t"}, "t.p")
    assert policies(tier(), prefixed, version=version)[0].unreadable == ()


@pytest.mark.parametrize(("order", "expected"), [(None, math.inf), (5, 5), (-1.5, -1.5)])
def test_order(order: Any, expected: float) -> None:
    assert policy({"order": order}).order == expected


@pytest.mark.parametrize("order", ["5", True, [], 10**400])
def test_an_order_that_is_no_number(order: Any) -> None:
    assert [part.path for part in policy({"order": order}).unreadable] == [("spec", "order")]


def test_policies_of_equal_order_go_by_name_then_namespace_then_kind() -> None:
    assert policy({}, name="p").tie == "p/shop/NetworkPolicy"
    assert policy({}, GLOBAL, name="p").tie == "p//GlobalNetworkPolicy"


def test_before_3_32_policies_of_equal_order_go_by_stored_name() -> None:
    old = Profile(Cni.CALICO, version="3.31")

    def tie(kind: str, namespace: str, name: str, tier: str = "default") -> str:
        return calico_tiers.tie(kind, namespace, name, tier, old)

    assert tie("NetworkPolicy", "shop", "p") == "shop/default.p"
    assert tie("NetworkPolicy", "shop", "t.p", "t") == "shop/t.p"
    assert tie(GLOBAL, "", "p") == "default.p"
    assert tie("KubernetesNetworkPolicy", "shop", "p") == "shop/knp.default.p"


def test_a_policy_is_named_with_its_group() -> None:
    assert policy({}).ref == "NetworkPolicy.projectcalico.org/shop/p"
    assert policy({}, api=STORED).ref == "NetworkPolicy.projectcalico.org/shop/p"
    assert policy({}, GLOBAL).ref == "GlobalNetworkPolicy/p"
