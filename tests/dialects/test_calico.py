"""Calico's policies: subjects, types, tiers, order, flags, staged kinds."""

import math
from typing import Any

import pytest

from dialects.calico_documents import STORED, context, document, policies, policy
from ringfence import dialects
from ringfence.dialects import _calico_tiers as calico_tiers
from ringfence.dialects import calico
from ringfence.model.document import Document
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import NOBODY, Action, Direction, LabelPeer, Policy
from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    Operator,
    Requirement,
)
from ringfence.model.tiers import CALICO_ADMIN, CALICO_BASELINE, CALICO_DEFAULT

IN, OUT = Direction.INGRESS, Direction.EGRESS
GLOBAL = "GlobalNetworkPolicy"


def is_(key: str, *values: str) -> LabelIs:
    return LabelIs(Requirement(key, Operator.IN, values))


def has(key: str) -> LabelIs:
    return LabelIs(Requirement(key, Operator.EXISTS))


OWN = is_("projectcalico.org/namespace", "shop")
NAMESPACED = has("projectcalico.org/namespace")


def subject(found: Policy) -> LabelExpression:
    assert isinstance(found.subject, LabelPeer)
    return found.subject.expression


# -- subjects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [None, {}, {"selector": ""}, {"selector": None}])
def test_an_empty_selector_means_the_whole_namespace(spec: Any) -> None:
    assert subject(policy(spec)) == LabelAnd((OWN,))


def test_a_namespaced_policy_selects_within_its_namespace() -> None:
    found = policy({"selector": "a == 'b'", "serviceAccountSelector": "c == 'd'"})
    assert subject(found) == LabelAnd((is_("a", "b"), OWN, is_("pcsa.c", "d")))


@pytest.mark.parametrize("spec", [{}, {"selector": "all()"}])
def test_a_global_policy_without_more_selects_host_endpoints_too(spec: Any) -> None:
    assert subject(policy(spec, GLOBAL)) == LabelAnd()


def test_a_global_policy_selects_by_namespaces_and_service_accounts() -> None:
    spec = {
        "selector": "a == 'b'",
        "namespaceSelector": "projectcalico.org/name == 'x'",
        "serviceAccountSelector": "c == 'd'",
    }
    assert subject(policy(spec, GLOBAL)) == LabelAnd(
        (is_("a", "b"), is_("pcns.projectcalico.org/name", "x"), is_("pcsa.c", "d"))
    )


def test_all_in_a_namespace_selector_leaves_host_endpoints_out() -> None:
    assert subject(policy({"namespaceSelector": "all()"}, GLOBAL)) == NAMESPACED
    found = policy({"selector": "all()", "namespaceSelector": "all()"}, GLOBAL)
    assert subject(found) == LabelAnd((NAMESPACED, NAMESPACED))


def test_all_in_a_service_account_selector_needs_a_service_account() -> None:
    found = policy({"serviceAccountSelector": "all()"}, GLOBAL)
    assert subject(found) == has("projectcalico.org/serviceaccount")


@pytest.mark.parametrize("field", ["selector", "namespaceSelector", "serviceAccountSelector"])
def test_global_is_no_subject(field: str) -> None:
    found = policy({field: "global()"}, GLOBAL)
    assert found.subject is None
    assert "stands alone" in found.unreadable[0].reason
    assert found.unreadable[0].path == ("spec", field)


def test_a_broken_selector_says_the_column_and_the_line() -> None:
    broken = document("NetworkPolicy", {"selector": "a = 'b'"})
    parsed = dialects.parse(context(broken))
    assert parsed.policies[0].subject is None
    (problem,) = parsed.problems
    assert "at column 3" in problem.message
    assert problem.location == broken.location_of(("spec", "selector"))


# -- types -------------------------------------------------------------------------------------

ALLOW = [{"action": "Allow"}]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, (IN,)),
        ({"ingress": ALLOW}, (IN,)),
        ({"egress": ALLOW}, (OUT,)),
        ({"ingress": [], "egress": ALLOW}, (OUT,)),
        ({"ingress": ALLOW, "egress": ALLOW}, (IN, OUT)),
        ({"types": [], "egress": ALLOW}, (OUT,)),
        ({"types": ["Egress", "Ingress"]}, (IN, OUT)),
        ({"types": ["Ingress"], "egress": ALLOW}, (IN,)),
    ],
)
def test_types_default_by_the_rules_present(spec: Any, expected: tuple[Direction, ...]) -> None:
    assert policy(spec).isolates == expected
    assert policy(spec, GLOBAL).isolates == expected


def test_a_stored_object_without_types_is_for_both_directions() -> None:
    assert policy({"egress": ALLOW}, api=STORED).isolates == (IN, OUT)
    assert policy({"egress": ALLOW, "types": ["Egress"]}, api=STORED).isolates == (OUT,)


def test_rules_of_a_direction_that_is_not_listed_do_nothing() -> None:
    found = policy({"types": ["Ingress"], "egress": ALLOW})
    assert (found.rules, found.unreadable) == ((), ())


def test_unreadable_rules_of_a_direction_that_is_not_listed_are_told_and_change_nothing() -> None:
    spec = {"types": ["Ingress"], "egress": [{"action": "Allow", "too": 1}]}
    found, telling = policies(document("NetworkPolicy", spec))
    assert (found.rules, found.unreadable) == ((), ())
    assert telling.subject == NOBODY
    assert [part.path for part in telling.unreadable] == [("spec", "egress", 0, "too")]


@pytest.mark.parametrize("types", [["Ingress", "Ingress"], ["ingress"], "Ingress", [1]])
def test_types_that_are_none(types: Any) -> None:
    assert policy({"types": types}).unreadable


# -- tiers and order ---------------------------------------------------------------------------


def tier(name: str = "t", **spec: Any) -> Document:
    return document("Tier", spec, name)


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


# -- flags of policies of the cluster ----------------------------------------------------------


@pytest.mark.parametrize("flag", ["doNotTrack", "preDNAT"])
def test_untracked_and_pre_dnat_policies_stand_before_all_others(flag: str) -> None:
    first = document("Tier", {"order": -1e9}, "first")
    spec = {flag: True, "applyOnForward": True, "ingress": ALLOW}
    found = policies(first, document(GLOBAL, spec), document(GLOBAL, {"tier": "first"}, "q"))
    early, normal = found
    assert early.tier < normal.tier < CALICO_DEFAULT
    assert early.tier.unmatched is Action.PASS
    assert early.isolates == ()
    assert early.forward
    assert subject(early) == LabelAnd((LabelAnd(), LabelNot(NAMESPACED)))


def test_untracked_comes_before_pre_dnat_and_each_by_tier() -> None:
    objects = [
        document(GLOBAL, {"tier": name, flag: True, "applyOnForward": True}, f"{name}{flag}")
        for flag in ("preDNAT", "doNotTrack")
        for name in ("default", "t")
    ]
    found = policies(tier(order=1), *objects)
    assert [p.name for p in sorted(found, key=lambda p: p.tier)] == [
        *("tdoNotTrack", "defaultdoNotTrack", "tpreDNAT", "defaultpreDNAT"),
    ]


def test_apply_on_forward() -> None:
    assert policy({"applyOnForward": True}, GLOBAL).forward
    assert not policy({}, GLOBAL).forward


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"doNotTrack": True}, "doNotTrack"),
        ({"preDNAT": True}, "preDNAT"),
        ({"preDNAT": True, "doNotTrack": True, "applyOnForward": True}, "preDNAT"),
        ({"preDNAT": True, "applyOnForward": True, "egress": ALLOW}, "egress"),
        ({"preDNAT": True, "applyOnForward": True, "types": ["Egress"]}, "types"),
        ({"applyOnForward": "yes"}, "applyOnForward"),
        ({"performanceHints": ["Other"]}, "performanceHints"),
    ],
)
def test_flags_that_do_not_go_together(spec: Any, path: str) -> None:
    assert path in [part.path[1] for part in policy(spec, GLOBAL).unreadable]


@pytest.mark.parametrize("field", ["namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward"])
def test_policies_of_a_namespace_have_no_fields_of_the_cluster(field: str) -> None:
    assert [p.path for p in policy({field: None}).unreadable] == [("spec", field)]


def test_performance_hints_change_nothing() -> None:
    assert policy({"performanceHints": ["AssumeNeededOnEveryNode"]}).unreadable == ()


# -- staged policies ---------------------------------------------------------------------------

STAGED = [
    ("StagedNetworkPolicy", "NetworkPolicy"),
    ("StagedGlobalNetworkPolicy", GLOBAL),
]


def knp(name: str = "p", spec: Any = None) -> Document:
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec or {}}
    return Document("networking.k8s.io/v1", "NetworkPolicy", "shop", name, body, "k.yaml")


@pytest.mark.parametrize(("staged", "base"), STAGED)
def test_a_staged_policy_changes_nothing(staged: str, base: str) -> None:
    parsed = dialects.parse(context(document(staged, {"ingress": ALLOW}), document(base, {})))
    assert [p.kind for p in parsed.policies] == [document(base).title]
    (planned,) = parsed.staged
    assert planned.staged
    assert planned.kind == staged


@pytest.mark.parametrize(("staged", "base"), STAGED)
@pytest.mark.parametrize("action", [None, "Set", "Delete"])
def test_set_and_delete_take_the_place_of_the_policy_of_that_name(
    staged: str, base: str, action: str | None
) -> None:
    spec = {} if action is None else {"stagedAction": action}
    objects = document(staged, spec), document(base, {}), document(base, {}, "q")
    assert calico.replaced(context(*objects)) == {1}
    made = [p for p in policies(*objects, staged=True) if p.document == 0]
    assert len(made) == (action != "Delete")
    assert all(p.tie == f"p/{p.namespace}/{base}" for p in made)


@pytest.mark.parametrize("action", ["Learn", "Ignore"])
def test_learn_and_ignore_do_nothing(action: str) -> None:
    objects = document("StagedNetworkPolicy", {"stagedAction": action}), document("NetworkPolicy")
    assert calico.replaced(context(*objects)) == frozenset()
    assert [p.document for p in policies(*objects, staged=True)] == [1]


def test_names_are_compared_without_their_tier() -> None:
    objects = (
        document("StagedNetworkPolicy", {}, "default.p"),
        document("NetworkPolicy", {}, "p"),
        document("NetworkPolicy", {}, "p", namespace="other"),
    )
    assert calico.replaced(context(*objects)) == {1}


def test_a_staged_kubernetes_policy() -> None:
    spec = {"podSelector": {}, "policyTypes": ["Egress"]}
    planned = document("StagedKubernetesNetworkPolicy", spec)
    objects = planned, knp(), document("NetworkPolicy", {})
    assert calico.replaced(context(*objects)) == {1}
    (found,) = policies(planned, staged=True)
    assert (found.kind, found.tier, found.order) == (planned.kind, CALICO_DEFAULT, 1000)
    assert (found.isolates, found.staged) == ((OUT,), True)
    assert found.tie == "p/shop/KubernetesNetworkPolicy"


def test_a_staged_kubernetes_policy_that_deletes() -> None:
    deletes = document("StagedKubernetesNetworkPolicy", {"stagedAction": "Delete"})
    assert calico.replaced(context(deletes, knp())) == {1}
    assert [p.document for p in policies(deletes, staged=True)] == []


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("StagedNetworkPolicy", {"stagedAction": "set"}, ("spec", "stagedAction")),
        ("StagedNetworkPolicy", {"stagedAction": "Delete", "order": 1}, ("spec", "order")),
        ("StagedNetworkPolicy", {"stagedAction": "Ignore", "odd": 1}, ("spec", "odd")),
        ("StagedKubernetesNetworkPolicy", {"stagedAction": 1}, ("spec", "stagedAction")),
        ("StagedKubernetesNetworkPolicy", {"selector": ""}, ("spec", "selector")),
        (
            "StagedKubernetesNetworkPolicy",
            {"stagedAction": "Delete", "policyTypes": ["Egress"]},
            ("spec", "policyTypes"),
        ),
    ],
)
def test_staged_policies_that_cannot_be_understood(kind: str, spec: Any, path: Any) -> None:
    (found,) = policies(document(kind, spec), staged=True)
    assert found.staged
    assert [part.path for part in found.unreadable] == [path]
    assert calico.replaced(context(document(kind, spec), document("NetworkPolicy"))) <= {1}


# -- profiles ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cni", [cni for cni in Cni if cni is not Cni.CALICO])
def test_only_calico_enforces_it(cni: Cni) -> None:
    parsed = dialects.parse(dialects.Context(Profile(cni), [document("NetworkPolicy", {})]))
    assert parsed.policies == ()
    assert "has no effect" in parsed.ignored[0].message


@pytest.mark.parametrize("spec", ["all", [], 1])
def test_a_spec_that_is_no_map(spec: Any) -> None:
    found = policy(spec)
    assert found.subject is None
    assert found.unreadable[0].path == ("spec",)
