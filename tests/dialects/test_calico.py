"""Calico's policies: subjects, types, flags."""

from typing import Any

import pytest

from dialects.calico_documents import (
    ALLOW,
    GLOBAL,
    IN,
    NAMESPACED,
    OUT,
    OWN,
    STORED,
    context,
    document,
    has,
    is_,
    policies,
    policy,
    tier,
)
from ringfence import dialects
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import NOBODY, Action, Direction, LabelPeer, Policy
from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelNot,
)
from ringfence.model.tiers import CALICO_DEFAULT


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
