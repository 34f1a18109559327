import pytest

from reference.small_cluster import cluster, policy, verdict
from ringfence.model.document import Document
from ringfence.model.profile import Cni

DB, TESTER, MANY = "shop/db", "lab/tester", "lab/many"
ANYONE = "from: [{namespaces: {}}]"
ANYWHERE = "to: [{networks: [0.0.0.0/0]}]"
SHOP = "subject: {namespaces: {matchLabels: {team: shop}}}"
DENY_ALL = f"{{action: Deny, {ANYONE}}}"


def anp(rules: str, name: str = "anp", priority: int = 1) -> Document:
    return policy("anp", f"{{priority: {priority}, {SHOP}, {rules}}}", name)


def banp(rules: str, name: str = "default") -> Document:
    return policy("banp", f"{{{SHOP}, {rules}}}", name)


@pytest.mark.parametrize(
    ("admin", "network_policy", "baseline", "expected"),
    [
        ("Allow", "{}", "Deny", "allow"),
        ("Deny", "{ingress: [{}]}", "Allow", "deny"),
        ("Pass", "", "Deny", "deny"),
        ("Pass", "{ingress: [{}]}", "Deny", "allow"),
        ("", "{}", "Allow", "deny"),
        ("", "", "Deny", "deny"),
        ("", "", "Allow", "allow"),
        ("Pass", "", "", "allow"),
    ],
)
def test_tiers(admin: str, network_policy: str, baseline: str, expected: str) -> None:
    found = []
    if admin:
        found.append(anp(f"ingress: [{{action: {admin}, {ANYONE}}}]"))
    if network_policy:
        found.append(policy("np", network_policy))
    if baseline:
        found.append(banp(f"ingress: [{{action: {baseline}, {ANYONE}}}]"))
    for cni in (Cni.GENERIC, Cni.OVN_KUBERNETES, Cni.ANTREA):
        assert verdict(cluster(*found, cni=cni), TESTER, DB) == expected
    assert verdict(cluster(*found, cni=Cni.CALICO, version="v3.31.1"), TESTER, DB) == expected


@pytest.mark.parametrize(
    ("ports", "denied", "allowed"),
    [
        ("null", ["tcp/1", "udp/1", "icmp"], []),
        ("[]", ["tcp/1", "udp/1", "icmp"], []),
        ("[{portNumber: {port: 80}}]", ["tcp/80"], ["udp/80", "tcp/81"]),
        ("[{portNumber: {port: 80, protocol: UDP}}]", ["udp/80"], ["tcp/80"]),
        ("[{portRange: {start: 80, end: 82}}]", ["tcp/80", "tcp/82"], ["tcp/83", "udp/80"]),
        ("[{portRange: {start: 8, end: 9, protocol: SCTP}}]", ["sctp/9"], ["tcp/9", "sctp/7"]),
        ("[{namedPort: sql}]", ["tcp/5432"], ["udp/5432"]),
        ("[{namedPort: dns}]", ["udp/53"], ["tcp/53"]),
    ],
)
def test_ports(ports: str, denied: list[str], allowed: list[str]) -> None:
    rules = f"ingress: [{{action: Deny, {ANYONE}, ports: {ports}}}]"
    for snapshot in (cluster(anp(rules)), cluster(banp(rules))):
        for traffic in denied:
            assert verdict(snapshot, TESTER, DB, traffic) == "deny"
        for traffic in allowed:
            assert verdict(snapshot, TESTER, DB, traffic) == "allow"


@pytest.mark.parametrize(
    ("peer", "tester", "agent", "outside"),
    [
        ("namespaces: {}", "deny", "allow", "allow"),
        ("pods: {namespaceSelector: {}, podSelector: {}}", "deny", "allow", "allow"),
        ("networks: [10.1.0.0/16]", "deny", "allow", "allow"),
        ("nodes: {}", "allow", "deny", "allow"),
    ],
)
def test_egress_peers(peer: str, tester: str, agent: str, outside: str) -> None:
    rules = f"egress: [{{action: Deny, to: [{{{peer}}}]}}]"
    for snapshot in (cluster(anp(rules)), cluster(banp(rules))):
        names = (TESTER, "system/agent", "8.8.8.8")
        assert [verdict(snapshot, DB, name) for name in names] == [tester, agent, outside]


def test_domain_names_can_be_allowed() -> None:
    allow = "{action: Allow, to: [{domainNames: ['*.x.io']}]}"
    rules = f"egress: [{allow}, {{action: Deny, {ANYWHERE}}}]"
    assert verdict(cluster(anp(rules)), DB, "a.b.x.io") == "allow"
    assert verdict(cluster(anp(rules)), DB, "x.io") == "deny"


@pytest.mark.parametrize(
    "rule",
    [
        f"{{action: Accept, {ANYONE}}}",
        f"{{action: Deny, {ANYONE}, protocols: []}}",
        "{action: Deny, from: []}",
        "{action: Deny, from: [{pods: {podSelector: {}}}]}",
        f"{{action: Deny, {ANYONE}, ports: [{{}}]}}",
        f"{{action: Deny, {ANYONE}, ports: [{{portNumber: {{}}}}]}}",
        f"{{action: Deny, {ANYONE}, ports: [{{portNumber: {{port: 0}}}}]}}",
        f"{{action: Deny, {ANYONE}, ports: [{{portNumber: {{port: 1, protocol: tcp}}}}]}}",
        f"{{action: Deny, {ANYONE}, ports: [{{portNumber: {{port: 1, endPort: 2}}}}]}}",
        f"{{action: Deny, {ANYONE}, ports: [{{portNumber: {{port: 1}}, namedPort: a}}]}}",
        f"{{action: Deny, {ANYONE}, ports: [{{portRange: {{start: 2, end: 1}}}}]}}",
        f"{{action: Deny, {ANYONE}, ports: [{{namedPort: ''}}]}}",
    ],
)
def test_rule_that_is_not_understood_perhaps_matches_anything(rule: str) -> None:
    for one in (anp(f"ingress: [{rule}]"), banp(f"ingress: [{rule}]")):
        assert verdict(cluster(one), TESTER, DB) == "unknown"
        assert verdict(cluster(one), "8.8.8.8", DB) == "unknown"
        assert verdict(cluster(one), DB, TESTER) == "allow"


@pytest.mark.parametrize(
    "rule",
    [
        "{action: Deny, to: [{domainNames: [x.io]}]}",
        "{action: Deny, to: [{nodes: {}}], ports: [{namedPort: a}]}",
        "{action: Deny, to: [{networks: [x]}]}",
    ],
)
def test_egress_rule_that_is_not_understood(rule: str) -> None:
    assert verdict(cluster(anp(f"egress: [{rule}]")), DB, TESTER) == "unknown"


def test_baseline_neither_passes_nor_knows_domain_names() -> None:
    passing = banp(f"ingress: [{{action: Pass, {ANYONE}}}]")
    assert verdict(cluster(passing), TESTER, DB) == "unknown"
    named = banp("egress: [{action: Allow, to: [{domainNames: [x.io]}]}, {action: Deny, to: [{}]}]")
    assert verdict(cluster(named), DB, "8.8.8.8") == "unknown"


def test_baseline_of_another_name_would_be_rejected() -> None:
    snapshot = cluster(banp("ingress: []", "other"))
    assert verdict(snapshot, TESTER, DB) == "unknown"
    assert verdict(snapshot, DB, TESTER) == "unknown"
    assert verdict(snapshot, TESTER, MANY) == "allow"


def test_baseline_has_no_priority() -> None:
    spec = f"{{priority: 1, {SHOP}}}"
    assert verdict(cluster(policy("banp", spec)), TESTER, DB) == "unknown"
    assert verdict(cluster(policy("anp", f"{{{SHOP}}}")), TESTER, DB) == "unknown"


def test_subject_needs_both_selectors() -> None:
    spec = "{priority: 1, subject: {pods: {podSelector: {matchLabels: {app: db}}}}}"
    assert verdict(cluster(policy("anp", spec)), TESTER, MANY) == "unknown"


@pytest.mark.parametrize("action", ["Deny", "Pass"])
def test_peer_without_a_field_fails_closed(action: str) -> None:
    rules = f"ingress: [{{action: {action}, from: [{{}}], ports: [{{portNumber: {{port: 1}}}}]}}]"
    assert verdict(cluster(anp(rules)), "8.8.8.8", DB, "icmp") == "deny"
    allow = f"ingress: [{{action: Allow, from: [{{}}]}}, {DENY_ALL}]"
    assert verdict(cluster(anp(allow)), TESTER, DB) == "deny"


def test_equal_priorities() -> None:
    allow = anp(f"ingress: [{{action: Allow, {ANYONE}}}]", "a", 5)
    deny = anp(f"ingress: [{DENY_ALL}]", "b", 5)
    for cni in (Cni.GENERIC, Cni.OVN_KUBERNETES, Cni.ANTREA):
        assert verdict(cluster(allow, deny, cni=cni), TESTER, DB) == "unknown"
    assert verdict(cluster(allow, deny, cni=Cni.CALICO, version="3.30.0"), TESTER, DB) == "allow"


def test_successor_of_equal_priority_is_a_tie_too() -> None:
    spec = f"{{tier: Admin, priority: 5, {SHOP}, ingress: [{{action: Accept, {ANYONE}}}]}}"
    successor = policy("cnp", spec)
    assert verdict(cluster(successor, anp(f"ingress: [{DENY_ALL}]", "b", 5)), TESTER, DB) == (
        "unknown"
    )
    assert verdict(cluster(successor, anp(f"ingress: [{DENY_ALL}]", "b", 4)), TESTER, DB) == "deny"
    assert verdict(cluster(successor, anp(f"ingress: [{DENY_ALL}]", "b", 6)), TESTER, DB) == "allow"


def test_baseline_tier_of_the_successor_comes_first() -> None:
    spec = f"{{tier: Baseline, priority: 1000, {SHOP}, ingress: [{{action: Accept, {ANYONE}}}]}}"
    older = banp(f"ingress: [{DENY_ALL}]")
    assert verdict(cluster(policy("cnp", spec), older), TESTER, DB) == "allow"
    assert verdict(cluster(older), TESTER, DB) == "deny"
