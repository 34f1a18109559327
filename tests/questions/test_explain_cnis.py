"""Explanations under Calico and Cilium: tiers, limits, names, and changes in their languages."""

from questions.cni_shops import (
    CALICO_SHOP,
    CILIUM_SHOP,
    DNS,
    NAMES,
    ONLY_POST,
    STAGED,
    WORKLOADS,
    calico,
    cilium,
)
from ringfence.model.explanation import Change, Explanation, PolicyStep
from ringfence.model.query import Http, Query
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.explain import explain


def explained(
    snapshot: Snapshot, to: str, port: int = 8080, *, http: Http | None = None
) -> Explanation:
    query = Query(source="shop/web", destination=to, port=port, http=http)
    return explain(snapshot, query)


def policies(explanation: Explanation, side: int = 1) -> list[PolicyStep]:
    return list(explanation.sides[side].policies)


def only(explanation: Explanation) -> Change:
    (change,) = explanation.changes
    assert change.proved
    return change


# -- the way -------------------------------------------------------------------------------------


def test_tiers_are_told_with_their_order_and_that_of_the_policies() -> None:
    log, payment = policies(explained(calico(), "shop/payment"))
    assert (log.tier, log.tier_order, log.order) == ("security", 100, 10)
    assert (payment.tier, payment.order) == ("default", None)


def test_log_rules_that_are_met_are_told() -> None:
    found = explained(calico(), "shop/payment")
    log, passing = policies(found)[0].rules
    assert (log.action, log.matches) == ("log", "yes")
    assert log.why == "means shop/web, names TCP 8080, recorded, and on to the next rule"
    assert passing.action == "pass"
    told = "GlobalNetworkPolicy/security.log ingress[0] records it, and decides nothing"
    assert told in found.sides[1].because


def test_what_of_a_request_fails_a_limit_is_told() -> None:
    found = explained(cilium(), "shop/payment", http=Http(method="GET", path="/v1/payment"))
    (rule,) = policies(found)[0].rules
    assert rule.why == (
        "means shop/web, allows TCP 8080 for POST /v1/payment: method GET is not POST"
    )
    both = explained(cilium(), "shop/payment", http=Http(method="GET", path="/"))
    assert (
        policies(both)[0].rules[0].why.endswith("method GET is not POST, path / is not /v1/payment")
    )


def test_an_open_question_is_told_what_it_is_limited_to() -> None:
    found = explained(cilium(), "shop/payment")
    assert found.judgement.limited_to == ({"http": {"method": "POST", "path": "/v1/payment"}},)
    assert policies(found)[0].rules[0].why == (
        "means shop/web, allows TCP 8080 for POST /v1/payment"
    )


def test_a_name_is_looked_up_in_a_step_of_its_own() -> None:
    found = explained(cilium(), "api.other.io", 443)
    assert found.lookup is not None
    assert (found.lookup.destination, found.lookup.port) == ("kube-system/coredns", 53)
    assert found.lookup.judgement.verdict is Verdict.DENY
    (rule, *_) = found.lookup.sides[0].policies[0].rules
    assert rule.why.endswith("DNS query api.other.io is not *.stripe.com")
    assert explained(cilium(), "shop/payment").lookup is None


def test_a_name_that_cilium_never_learns_is_told_as_such() -> None:
    text = WORKLOADS + DNS + NAMES.replace('rules: {dns: [{matchPattern: "*.stripe.com"}]}', "")
    found = explained(cilium(text), "api.stripe.com", 443)
    assert found.judgement.verdict is Verdict.DENY
    rule = policies(found, side=0)[0].rules[1]
    assert rule.why == (
        "names a domain of which Cilium never learns the addresses: "
        "no rule of shop/web sends DNS through its proxy"
    )


def test_staged_policies_that_would_change_it_are_told() -> None:
    get = Http(method="GET", path="/v1/x")
    found = explained(calico(CALICO_SHOP + STAGED), "shop/payment", http=get)
    assert found.judgement.verdict is Verdict.ALLOW
    assert found.staged == ("StagedNetworkPolicy/shop/payment would deny it",)
    post = Http(method="POST", path="/v1/payment")
    assert explained(calico(CALICO_SHOP + STAGED), "shop/payment", http=post).staged == ()


# -- what would change it ------------------------------------------------------------------------


def test_a_change_is_in_calicos_language_where_its_policy_denies() -> None:
    change = only(explained(calico(), "shop/payment", 9090))
    assert change.object == "NetworkPolicy.projectcalico.org/shop/payment"
    assert "selector: app == 'web'" in change.manifest
    assert "- 9090" in change.manifest


def test_a_change_for_a_request_allows_no_other() -> None:
    get = Http(method="GET", path="/v2/a")
    change = only(explained(calico(), "shop/payment", http=get))
    assert "exact: /v2/a" in change.manifest
    change = only(explained(cilium(), "shop/payment", http=get))
    assert change.object == "CiliumNetworkPolicy/shop/payment"
    assert "method: GET" in change.manifest


def test_a_deny_of_calico_is_preceded_by_an_allow() -> None:
    deny = """
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.deny}
spec:
  tier: security
  order: 5
  selector: app == 'payment'
  types: [Ingress]
  ingress: [{action: Deny, protocol: TCP}]
"""
    change = only(explained(calico(CALICO_SHOP + deny), "shop/payment"))
    assert change.summary.endswith("GlobalNetworkPolicy/security.deny before ingress[0]")
    assert "namespaceSelector: kubernetes.io/metadata.name == 'shop'" in change.manifest


def test_a_default_deny_for_everyone_gets_a_policy_beside_it() -> None:
    nobody = """
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: default-deny}
spec: {selector: all(), types: [Ingress, Egress]}
"""
    explanation = explained(calico(WORKLOADS + nobody), "shop/payment")
    assert [c.object for c in explanation.changes] == [
        "NetworkPolicy.projectcalico.org/shop/web-egress",
        "NetworkPolicy.projectcalico.org/shop/payment-ingress",
    ]
    assert all(change.proved for change in explanation.changes)


def test_a_network_policy_stays_one_under_every_profile() -> None:
    closed = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: payment, namespace: shop}
spec: {podSelector: {matchLabels: {app: payment}}, policyTypes: [Ingress]}
"""
    for snapshot in (calico(WORKLOADS + closed), cilium(WORKLOADS + closed)):
        change = only(explained(snapshot, "shop/payment"))
        assert change.object == "NetworkPolicy/shop/payment"


def test_nothing_can_be_added_against_a_deny_of_cilium() -> None:
    deny = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: deny, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: payment}}
  ingressDeny: [{fromEndpoints: [{matchLabels: {app: web}}]}]
"""
    found = explained(cilium(CILIUM_SHOP + deny), "shop/payment")
    assert found.changes == ()
    (hint,) = found.hints
    assert hint.startswith("CiliumNetworkPolicy/shop/deny ingressDeny[0] denies")


def test_a_name_needs_a_rule_for_itself_and_one_for_its_lookup() -> None:
    found = explained(cilium(), "new.example.com", 443)
    name, lookup = found.changes
    assert "matchName: new.example.com" in name.manifest
    assert "toFQDNs" in name.manifest
    assert "dns:" in lookup.manifest
    assert name.proved
    assert lookup.proved


def test_without_a_dns_in_the_input_the_usual_one_is_proposed() -> None:
    nobody = ONLY_POST.replace("app: payment}", "app: web}").replace("ingress:\n", "egress:\n")
    nobody = nobody.replace("fromEndpoints", "toEndpoints")
    found = explained(cilium(WORKLOADS + nobody), "new.example.com", 443)
    assert [c.proved for c in found.changes] == [True, True]
    assert "k8s-app: kube-dns" in found.changes[1].manifest


def test_a_name_in_calico_names_the_edition() -> None:
    closed = """
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {selector: app == 'web', types: [Egress]}
"""
    change = only(explained(calico(WORKLOADS + closed), "api.stripe.com", 443))
    assert "Calico Enterprise and Cloud only" in change.summary
    assert "- api.stripe.com" in change.manifest
