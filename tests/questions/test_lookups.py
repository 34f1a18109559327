"""A connection to a name needs the DNS query for it."""

import pytest

from questions.cni_shops import CILIUM_SHOP, DNS, NAMES, ONLY_POST, WORKLOADS, calico, cilium
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions.check import Judge, check
from ringfence.questions.connectivity import connectivity

ONLY_HTTPS = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}]
"""
DOMAINS = """
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  types: [Egress]
  egress:
  - {action: Allow, protocol: TCP, destination: {domains: [api.stripe.com], ports: [443]}}
"""
DNS_RULE = """\
  - {action: Allow, protocol: UDP, destination: {selector: k8s-app == 'kube-dns', ports: [53],
     namespaceSelector: kubernetes.io/metadata.name == 'kube-system'}}
"""


def ask(snapshot: Snapshot, name: str, *, judge: Judge = "engine") -> Judgement:
    return check(snapshot, "shop/web", name, 443, judge=judge)


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_a_name_that_can_be_looked_up_is_allowed(judge: Judge) -> None:
    found = ask(cilium(), "api.stripe.com", judge=judge)
    assert (found.verdict, found.notes) == (Verdict.ALLOW, ())


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_a_name_that_cannot_be_looked_up_is_denied_with_the_evidence(judge: Judge) -> None:
    found = ask(cilium(), "api.other.io", judge=judge)
    assert (found.verdict, found.egress) == (Verdict.DENY, Verdict.DENY)
    assert found.notes == (
        "the name cannot be looked up: api.other.io, at kube-system/coredns:53/UDP",
    )
    by = [(e.action, e.object, e.rule) for e in found.evidence if e.direction == "egress"]
    assert ("deny", "CiliumNetworkPolicy/shop/web", "isolation") in by


def test_it_does_not_matter_how_the_query_is_stopped() -> None:
    closed = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: dns, namespace: kube-system}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
    found = ask(cilium(CILIUM_SHOP + closed), "api.stripe.com")
    assert (found.verdict, found.ingress) == (Verdict.DENY, Verdict.DENY)


def test_a_rule_for_a_name_and_one_for_the_dns_are_both_needed_under_calico() -> None:
    assert ask(calico(WORKLOADS + DNS + DOMAINS), "api.stripe.com").verdict is Verdict.DENY
    both = calico(WORKLOADS + DNS + DOMAINS + DNS_RULE)
    assert ask(both, "api.stripe.com").verdict is Verdict.ALLOW


def test_a_dns_that_is_not_in_the_input_is_told_and_changes_nothing() -> None:
    found = ask(cilium(WORKLOADS + ONLY_POST + NAMES), "api.stripe.com")
    assert found.verdict is Verdict.ALLOW
    (note,) = found.notes
    assert note.startswith("whether api.stripe.com can be looked up was not judged")


def test_a_source_without_policies_may_go_anywhere() -> None:
    for text in (WORKLOADS, WORKLOADS + DNS):
        found = ask(cilium(text), "anything.example")
        assert (found.verdict, found.notes) == (Verdict.ALLOW, ())


def test_the_dns_itself_asks_nobody() -> None:
    closed = CILIUM_SHOP.replace("{app: web}}\n  egress:", "{k8s-app: kube-dns}}\n  egress:")
    found = check(cilium(closed), "kube-system/coredns", "8.8.8.8", 53)
    assert found.verdict is not Verdict.UNKNOWN


def test_an_address_needs_no_lookup() -> None:
    snapshot = cilium(WORKLOADS + DNS + ONLY_HTTPS)
    assert ask(snapshot, "8.8.8.8").verdict is Verdict.ALLOW


def test_connectivity_lists_no_name_that_cannot_be_looked_up() -> None:
    answer = connectivity(cilium())
    reached = {p.destination for p in answer.connections if p.source == "shop/web"}
    assert "api.stripe.com" in reached
    assert "api.other.io" not in reached
    assert any(p.destination == "api.other.io" for p in answer.connections)


def test_names_are_cut_where_only_some_of_them_can_be_looked_up() -> None:
    text = CILIUM_SHOP.replace("{matchName: api.stripe.com}", '{matchPattern: "*.x.io"}')
    text = text.replace("*.stripe.com", "a.x.io")
    answer = connectivity(cilium(text))
    domains = [p.name for p in answer.endpoints if p.kind == "Domain"]
    assert domains == ["*.x.io", "a.x.io", "api.other.io"]
    reached = {p.destination for p in answer.connections if p.source == "shop/web"}
    assert "a.x.io" in reached
    assert "*.x.io" not in reached


def test_connectivity_says_that_lookups_were_not_judged() -> None:
    answer = connectivity(cilium(WORKLOADS + ONLY_POST + NAMES))
    assert any("the cluster's DNS is not in the input" in note for note in answer.notes)
