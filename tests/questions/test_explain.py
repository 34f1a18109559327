"""Explanations: the way to a verdict, and a change that is judged and not guessed."""

import pytest

from questions.shop import shop
from ringfence.errors import UsageError
from ringfence.model.explanation import Explanation
from ringfence.model.query import Query
from ringfence.model.verdict import Verdict
from ringfence.questions.explain import explain

DEFAULT_DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""
ADMIN = """
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: keep-out}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress:
  - {action: Accept, from: [{namespaces: {matchLabels: {team: shop}}}]}
  - {action: Deny, from: [{namespaces: {}}]}
"""


def explained(source: str, to: str, port: int, more: str = "") -> Explanation:
    return explain(shop(more), Query(source=source, destination=to, port=port))


def test_every_policy_that_applies_is_listed_with_what_its_rules_made_of_it() -> None:
    egress, ingress = explained("shop/web", "shop/db", 5433).sides
    assert (egress.verdict, ingress.verdict) == (Verdict.ALLOW, Verdict.DENY)
    (policy,) = ingress.policies
    assert (policy.object, policy.isolates, policy.decides) == ("NetworkPolicy/shop/db", True, True)
    assert [(rule.rule, rule.matches, rule.why) for rule in policy.rules] == [
        ("ingress[0]", "no", "means shop/web, does not name TCP 5433"),
        ("ingress[1]", "no", "does not mean shop/web, does not name TCP 5433"),
    ]


def test_the_deciding_rule_is_marked() -> None:
    _, ingress = explained("shop/web", "shop/db", 5432).sides
    assert [rule.decides for rule in ingress.policies[0].rules] == [True, False]


def test_a_change_adds_a_rule_to_the_policy_that_names_the_workload() -> None:
    explanation = explained("ops/tool", "shop/db", 5432, DEFAULT_DENY)
    (change,) = explanation.changes
    assert change.proved
    assert change.object == "NetworkPolicy/shop/db"
    assert "kubernetes.io/metadata.name: ops" in change.manifest
    assert "port: 5432" in change.manifest


def test_both_sides_are_changed_where_both_deny() -> None:
    explanation = explained("shop/web", "ops/tool", 80, DEFAULT_DENY)
    assert [change.proved for change in explanation.changes] == [True]
    inside = explained("shop/web", "shop/db", 9, DEFAULT_DENY)
    assert [change.object for change in inside.changes] == [
        "NetworkPolicy/shop/web-egress",
        "NetworkPolicy/shop/db",
    ]
    assert all(change.proved for change in inside.changes)


def test_a_proposed_selector_holds_what_lasts() -> None:
    explanation = explained("shop/web", "shop/db", 9, DEFAULT_DENY)
    created = explanation.changes[0].manifest
    assert "app: web" in created
    assert "version" not in created


def test_a_deny_of_the_admin_tier_is_preceded_by_an_accept() -> None:
    explanation = explained("ops/tool", "shop/web", 8080, ADMIN)
    (change,) = explanation.changes
    assert change.summary.endswith("before ingress[1]")
    assert "action: Accept" in change.manifest
    assert change.proved


def test_an_outside_client_is_proposed_by_its_address() -> None:
    (change,) = explained("198.51.100.7", "shop/db", 5432).changes
    assert "cidr: 198.51.100.7/32" in change.manifest
    assert change.proved


def test_no_change_is_proposed_where_none_can_be_said() -> None:
    assert explained("shop/web", "example.com", 443, DEFAULT_DENY).changes == ()


def test_an_allowed_connection_needs_no_change() -> None:
    explanation = explained("shop/web", "svc/shop/db", 80)
    assert explanation.judgement.verdict is Verdict.ALLOW
    assert (explanation.destination, explanation.port) == ("shop/db", 5432)
    assert explanation.changes == ()


def test_a_port_is_needed() -> None:
    with pytest.raises(UsageError, match="needs a port"):
        explain(shop(), Query(source="shop/web", destination="shop/db"))
