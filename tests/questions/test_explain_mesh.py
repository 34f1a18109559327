"""Explanations where a mesh is: both layers, and what each would need to allow."""

from questions.mesh_shop import AMBIENT, ONLY_8080, ONLY_WEB, STRICT, linkerd, load, shop, text
from ringfence.model.explanation import Explanation
from ringfence.model.query import Http, Query
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.explain import explain

DENY_ALL = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nothing, namespace: shop}
spec: {}
"""
DENY_GET = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-get, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}
"""
SERVER = """
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: pay, namespace: shop}
spec: {podSelector: {matchLabels: {app: pay}}, port: 8080, proxyProtocol: HTTP/1}
"""
PAY = "svc/shop/pay"


def explained(snapshot: Snapshot, source: str, http: Http | None = None) -> Explanation:
    return explain(snapshot, Query(source=source, destination=PAY, port=80, http=http))


def test_the_sides_of_both_layers_are_shown_the_network_first() -> None:
    found = explained(shop(ONLY_WEB, ONLY_8080), "legacy/batch")
    assert [(side.layer, side.direction, side.verdict.value) for side in found.sides] == [
        ("network", "egress", "allow"),
        ("network", "ingress", "allow"),
        ("mesh", "egress", "allow"),
        ("mesh", "ingress", "deny"),
    ]
    assert found.sides[2].because == (
        "legacy/batch takes part in no mesh: no policy of one applies",
    )
    (policy,) = found.sides[3].policies
    (rule,) = policy.rules
    assert policy.decides
    assert rule.line
    assert "it goes in plaintext" in rule.why


def test_where_neither_end_is_in_a_mesh_there_is_one_layer() -> None:
    found = explain(shop(ONLY_WEB), Query(source="10.9.9.9", destination="legacy/batch", port=80))
    assert [side.layer for side in found.sides] == ["network", "network"]


def test_plaintext_proves_nothing_that_a_rule_could_allow() -> None:
    found = explained(shop(ONLY_WEB), "legacy/batch")
    assert found.changes == ()
    (hint,) = found.hints
    assert "have legacy/batch join the mesh" in hint
    (hint,) = explained(shop(ONLY_WEB), "203.0.113.9").hints
    assert "by a gateway of the mesh" in hint


def test_strict_asks_for_a_caller_in_the_mesh() -> None:
    found = explained(shop(STRICT), "legacy/batch")
    assert found.changes == ()
    assert found.hints[0].startswith("PeerAuthentication/shop/default mtls")
    assert "have legacy/batch join the mesh" in found.hints[0]


def test_a_rule_for_the_callers_account_is_proposed_and_judged_anew() -> None:
    found = explained(shop(ONLY_WEB), "shop/web", Http("GET", "/v1/payment"))
    (change,) = found.changes
    assert change.proved
    assert change.object == "AuthorizationPolicy/shop/pay"
    assert change.line
    assert "cluster.local/ns/shop/sa/web" in change.manifest
    assert "- GET" in change.manifest


def test_beside_a_default_deny_a_policy_for_the_workload_is_proposed() -> None:
    found = explained(shop(DENY_ALL), "shop/web")
    (change,) = found.changes
    assert change.proved
    assert change.summary == "create AuthorizationPolicy/shop/pay-callers"
    assert "app: pay" in change.manifest


def test_what_a_rule_of_the_mesh_denies_no_other_allows() -> None:
    found = explained(shop(DENY_GET), "shop/web", Http("GET", "/"))
    assert found.changes == ()
    assert "narrow that rule" in found.hints[0]


def test_the_network_is_asked_for_the_port_on_the_wire() -> None:
    found = explained(shop(ONLY_8080, mesh=AMBIENT), "shop/web")
    network = found.sides[1]
    assert network.verdict is Verdict.DENY
    assert "does not name TCP 15008" in network.policies[0].rules[0].why
    (change,) = found.changes
    assert change.proved
    assert "port: 15008" in change.manifest


def test_both_layers_may_need_a_change() -> None:
    found = explained(shop(ONLY_8080, ONLY_WEB, mesh=AMBIENT), "shop/web")
    assert [(change.object, change.proved) for change in found.changes] == [
        ("NetworkPolicy/shop/pay", True),
        ("AuthorizationPolicy/shop/pay", True),
    ]


def test_a_server_of_linkerd_authorizes_by_objects_of_their_own() -> None:
    found = explained(linkerd(SERVER), "shop/web")
    assert [(change.summary, change.proved) for change in found.changes] == [
        ("create MeshTLSAuthentication/shop/pay-web", True),
        ("create AuthorizationPolicy.policy.linkerd.io/shop/pay-web", True),
    ]


def test_of_several_rules_that_one_place_makes_the_one_that_decides_is_marked() -> None:
    """STRICT denies plaintext, and leaves the rest to what comes after."""
    (policy,) = explained(shop(STRICT), "legacy/batch").sides[3].policies
    assert [(rule.action, rule.decides) for rule in policy.rules] == [
        ("deny", True),
        ("pass", False),
    ]


def test_a_member_that_calls_past_its_mesh_is_told_to_use_a_service() -> None:
    query = Query(source="shop/web", destination="shop/pay", port=8080)
    found = explain(shop(STRICT), query)
    assert found.judgement.verdict is Verdict.DENY
    (hint,) = found.hints
    assert "a sidecar sends mTLS only to Services" in hint


def test_where_a_default_policy_of_linkerd_denies_a_server_is_missing() -> None:
    denying = "{linkerd.io/inject: enabled, config.linkerd.io/default-inbound-policy: deny}"
    manifests = text(mesh="", annotations=denying)
    found = explained(load(manifests), "shop/web")
    assert found.judgement.verdict is Verdict.DENY
    assert "without a Server none can allow it" in found.hints[0]
