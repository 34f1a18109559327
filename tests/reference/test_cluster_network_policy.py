import pytest

from reference.small_cluster import cluster, policy, verdict
from ringfence.model.document import Document
from ringfence.model.profile import Cni

WEB, DB, TESTER, MANY = "shop/web", "shop/db", "lab/tester", "lab/many"
ANYONE = "from: [{namespaces: {}}]"
ANYWHERE = "to: [{networks: [0.0.0.0/0]}]"
DENY_ALL = f"{{action: Deny, {ANYONE}}}"
DENY_OUT = f"{{action: Deny, {ANYWHERE}}}"
SHOP = "subject: {namespaces: {matchLabels: {team: shop}}}"


def cnp(rules: str, name: str = "cnp", priority: int = 1, tier: str = "Admin") -> Document:
    return policy("cnp", f"{{tier: {tier}, priority: {priority}, {SHOP}, {rules}}}", name)


def np(spec: str) -> Document:
    return policy("np", spec)


DENY = cnp(f"ingress: [{{action: Deny, {ANYONE}}}]", "deny")


@pytest.mark.parametrize(
    ("subject", "db", "web", "tester"),
    [
        ("{namespaces: {}}", "deny", "deny", "deny"),
        ("{namespaces: {matchLabels: {team: shop}}}", "deny", "deny", "allow"),
        ("{pods: {podSelector: {matchLabels: {app: web}}}}", "allow", "deny", "deny"),
        (
            "{pods: {namespaceSelector: {matchLabels: {team: lab}}, podSelector: {}}}",
            "allow",
            "allow",
            "deny",
        ),
        ("{pods: {podSelector: {}}, namespaces: null}", "deny", "deny", "deny"),
    ],
)
def test_subject(subject: str, db: str, web: str, tester: str) -> None:
    spec = (
        f"{{tier: Admin, priority: 1, subject: {subject}, ingress: [{{action: Deny, {ANYONE}}}]}}"
    )
    snapshot = cluster(policy("cnp", spec))
    assert [verdict(snapshot, MANY, name) for name in (DB, WEB, TESTER)] == [db, web, tester]
    assert verdict(snapshot, MANY, "system/agent") == "allow"  # no host-network pod is a subject


@pytest.mark.parametrize(
    ("peer", "web", "agent", "node", "outside", "domain"),
    [
        ("namespaces: {}", "deny", "allow", "allow", "allow", "allow"),
        (
            "pods: {podSelector: {matchLabels: {app: web}}}",
            "deny",
            "allow",
            "allow",
            "allow",
            "allow",
        ),
        (
            "pods: {podSelector: {matchLabels: {app: db}}}",
            "allow",
            "allow",
            "allow",
            "allow",
            "allow",
        ),
        ("networks: [0.0.0.0/0]", "deny", "deny", "deny", "deny", "deny"),
        ("networks: ['::/0']", "allow", "allow", "allow", "allow", "allow"),
        ("networks: [10.1.0.0/16, 8.8.8.0/24]", "deny", "allow", "allow", "deny", "unknown"),
        ("nodes: {}", "allow", "deny", "deny", "allow", "allow"),
        ("nodes: {matchLabels: {zone: a}}", "allow", "deny", "deny", "allow", "allow"),
        ("nodes: {matchLabels: {zone: b}}", "allow", "allow", "allow", "allow", "allow"),
    ],
)
def test_egress_peers(
    peer: str, web: str, agent: str, node: str, outside: str, domain: str
) -> None:
    snapshot = cluster(cnp(f"egress: [{{action: Deny, to: [{{{peer}}}]}}]"))
    names = (WEB, "system/agent", "node/n1", "8.8.8.8", "api.example")
    found = [verdict(snapshot, DB, name) for name in names]
    assert found == [web, agent, node, outside, domain]


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("x.io", "x.io", "allow"),
        ("X.io.", "x.io", "allow"),
        ("x.io", "a.x.io", "deny"),
        ("'*.x.io'", "x.io", "deny"),
        ("'*.x.io'", "a.x.io", "allow"),
        ("'*.x.io'", "a.b.x.io", "allow"),
        ("'*.x.io'", "ax.io", "deny"),
        ("x.io", "8.8.8.8", "deny"),
        ("x.io", "lab/tester", "deny"),
    ],
)
def test_domain_names(pattern: str, name: str, expected: str) -> None:
    rules = f"egress: [{{action: Accept, to: [{{domainNames: [{pattern}]}}]}}, {DENY_OUT}]"
    assert verdict(cluster(cnp(rules)), DB, name) == expected


@pytest.mark.parametrize(
    ("protocols", "denied", "allowed"),
    [
        ("null", ["tcp/1", "udp/1", "sctp/1", "icmp"], []),
        ("[]", ["tcp/1", "udp/1", "sctp/1", "icmp"], []),
        ("[{tcp: {}}]", ["tcp/0", "tcp/65535"], ["udp/1", "icmp"]),
        ("[{tcp: {destinationPort: null}}]", ["tcp/0", "tcp/65535"], ["udp/1", "icmp"]),
        ("[{tcp: {destinationPort: {number: 80}}}]", ["tcp/80"], ["tcp/81", "udp/80"]),
        (
            "[{udp: {destinationPort: {range: {start: 80, end: 82}}}}]",
            ["udp/80", "udp/82"],
            ["udp/79", "udp/83", "tcp/80"],
        ),
        ("[{sctp: {destinationPort: {number: 80}}}]", ["sctp/80"], ["tcp/80"]),
        ("[{destinationNamedPort: sql}]", ["tcp/5432", "tcp/15432"], ["udp/5432"]),
        ("[{destinationNamedPort: dns}]", ["udp/53"], ["tcp/53"]),
        ("[{destinationNamedPort: warmup}]", [], ["tcp/7000"]),
        ("[{tcp: {destinationPort: {number: 1}}}, {udp: {}}]", ["tcp/1", "udp/9"], ["tcp/2"]),
    ],
)
def test_protocols(protocols: str, denied: list[str], allowed: list[str]) -> None:
    snapshot = cluster(cnp(f"ingress: [{{action: Deny, {ANYONE}, protocols: {protocols}}}]"))
    assert {traffic: verdict(snapshot, TESTER, DB, traffic) for traffic in denied + allowed} == {
        **dict.fromkeys(denied, "deny"),
        **dict.fromkeys(allowed, "allow"),
    }


def test_first_matching_rule_of_a_policy_decides() -> None:
    udp = f"{{action: Accept, {ANYONE}, protocols: [{{udp: {{}}}}]}}"
    rules = f"ingress: [{udp}, {DENY_ALL}, {{action: Accept, {ANYONE}}}]"
    assert verdict(cluster(cnp(rules)), TESTER, DB) == "deny"
    assert verdict(cluster(cnp(rules)), TESTER, DB, "udp/1") == "allow"


def test_lower_priority_number_decides_first() -> None:
    accept = f"ingress: [{{action: Accept, {ANYONE}}}]"
    assert verdict(cluster(DENY, cnp(accept, "z", 0)), TESTER, DB) == "allow"
    assert verdict(cluster(DENY, cnp(accept, "a", 2)), TESTER, DB) == "deny"


@pytest.mark.parametrize(
    ("admin", "network_policy", "baseline", "expected"),
    [
        ("Accept", "{}", "Deny", "allow"),
        ("Deny", "{ingress: [{}]}", "Accept", "deny"),
        ("Pass", "", "Deny", "deny"),
        ("Pass", "{ingress: [{}]}", "Deny", "allow"),
        ("Pass", "{}", "Accept", "deny"),
        ("Pass", "{policyTypes: [Egress]}", "Deny", "deny"),
        ("Pass", "", "Pass", "allow"),
        ("Pass", "", "", "allow"),
        ("", "", "Deny", "deny"),
        ("", "", "Accept", "allow"),
        ("", "{}", "Accept", "deny"),
    ],
)
def test_tiers(admin: str, network_policy: str, baseline: str, expected: str) -> None:
    found = [
        cnp(f"ingress: [{{action: {action}, {ANYONE}}}]", tier, tier=tier)
        for tier, action in (("Admin", admin), ("Baseline", baseline))
        if action
    ]
    if network_policy:
        found.append(np(network_policy))
    for cni in (Cni.GENERIC, Cni.CALICO, Cni.CILIUM):
        assert verdict(cluster(*found, cni=cni), TESTER, DB) == expected


def test_pass_leaves_the_tier() -> None:
    passing = cnp(f"ingress: [{{action: Pass, {ANYONE}}}]", "pass", 0)
    assert verdict(cluster(DENY, passing), TESTER, DB) == "allow"


def test_direction_without_rules_is_not_affected() -> None:
    assert verdict(cluster(DENY), DB, TESTER) == "allow"
    assert verdict(cluster(DENY), "8.8.8.8", DB) == "allow"


TIES = [
    # (first by name, second by name, generic, calico, cilium)
    ("Accept", "Deny", "unknown", "allow", "deny"),
    ("Deny", "Accept", "unknown", "deny", "deny"),
    ("Pass", "Deny", "unknown", "allow", "deny"),
    ("Accept", "Pass", "allow", "allow", "allow"),
    ("Deny", "Deny", "deny", "deny", "deny"),
    ("Pass", "Pass", "allow", "allow", "allow"),
]


@pytest.mark.parametrize(("first", "second", "generic", "calico", "cilium"), TIES)
def test_equal_priorities(first: str, second: str, generic: str, calico: str, cilium: str) -> None:
    one = cnp(f"ingress: [{{action: {first}, {ANYONE}}}]", "a", 5)
    other = cnp(f"ingress: [{{action: {second}, {ANYONE}}}]", "b", 5)
    for documents in ((one, other), (other, one)):
        found = [
            verdict(cluster(*documents, cni=cni), TESTER, DB)
            for cni in (Cni.GENERIC, Cni.CALICO, Cni.CILIUM)
        ]
        assert found == [generic, calico, cilium]


def test_pass_and_accept_of_equal_priority_differ_where_passing_denies() -> None:
    accept = cnp(f"ingress: [{{action: Accept, {ANYONE}}}]", "b", 5)
    passing = cnp(f"ingress: [{{action: Pass, {ANYONE}}}]", "a", 5)
    documents = (accept, passing, np("{}"))
    assert verdict(cluster(*documents), TESTER, DB) == "unknown"
    assert verdict(cluster(*documents, cni=Cni.CALICO), TESTER, DB) == "deny"
    assert verdict(cluster(*documents, cni=Cni.CILIUM), TESTER, DB) == "allow"


def test_equal_priorities_that_do_not_overlap_decide_each_for_itself() -> None:
    tcp = cnp(f"ingress: [{{action: Deny, {ANYONE}, protocols: [{{tcp: {{}}}}]}}]", "a", 5)
    udp = cnp(f"ingress: [{{action: Accept, {ANYONE}, protocols: [{{udp: {{}}}}]}}]", "b", 5)
    snapshot = cluster(tcp, udp, np("{}"))
    assert verdict(snapshot, TESTER, DB) == "deny"
    assert verdict(snapshot, TESTER, DB, "udp/1") == "allow"


def test_equal_priorities_of_different_tiers_are_no_tie() -> None:
    baseline = cnp(f"ingress: [{{action: Deny, {ANYONE}}}]", "a", 1, "Baseline")
    admin = cnp(f"ingress: [{{action: Accept, {ANYONE}}}]", "b", 1)
    assert verdict(cluster(baseline, admin), TESTER, DB) == "allow"


class TestFailClosed:
    def test_peer_without_a_field_is_never_accepted(self) -> None:
        rules = f"ingress: [{{action: Accept, from: [{{}}]}}, {{action: Deny, {ANYONE}}}]"
        assert verdict(cluster(cnp(rules)), TESTER, DB) == "deny"

    def test_nor_are_the_other_peers_of_the_rule(self) -> None:
        accept = "{action: Accept, from: [{}, {namespaces: {}}]}"
        rules = f"ingress: [{accept}, {DENY_ALL}]"
        assert verdict(cluster(cnp(rules)), TESTER, DB) == "deny"

    @pytest.mark.parametrize("action", ["Deny", "Pass"])
    @pytest.mark.parametrize("peer", ["{}", "{namespaces: null}"])
    def test_rule_of_another_action_denies_everything(self, action: str, peer: str) -> None:
        rules = f"ingress: [{{action: {action}, from: [{peer}], protocols: [{{udp: {{}}}}]}}]"
        for name in (TESTER, "8.8.8.8"):
            assert verdict(cluster(cnp(rules)), name, DB) == "deny"
            assert verdict(cluster(cnp(rules)), name, DB, "icmp") == "deny"

    @pytest.mark.parametrize("peer", ["nodes: {matchLabels: {zone: x}}", "domainNames: [x.io]"])
    def test_fields_that_calico_does_not_know(self, peer: str) -> None:
        deny = cnp(f"egress: [{{action: Deny, to: [{{{peer}}}]}}]")
        accept = cnp(
            f"egress: [{{action: Accept, to: [{{{peer}}}]}}, {{action: Deny, {ANYWHERE}}}]"
        )
        for name in (TESTER, "8.8.8.8", "x.io"):
            assert verdict(cluster(deny, cni=Cni.CALICO), DB, name) == "deny"
            assert verdict(cluster(accept, cni=Cni.CALICO), DB, name) == "deny"

    def test_named_ports_that_calico_does_not_know(self) -> None:
        named = "protocols: [{destinationNamedPort: sql}, {tcp: {}}]"
        deny = cnp(f"ingress: [{{action: Deny, {ANYONE}, {named}}}]")
        accept = cnp(
            f"ingress: [{{action: Accept, {ANYONE}, {named}}}, {{action: Deny, {ANYONE}}}]"
        )
        assert verdict(cluster(deny, cni=Cni.CALICO), "8.8.8.8", DB, "udp/1") == "deny"
        assert verdict(cluster(accept, cni=Cni.CALICO), TESTER, DB) == "deny"
        assert verdict(cluster(accept), TESTER, DB) == "allow"


MALFORMED_RULES = [
    "null",
    f"{{action: Deny, {ANYONE}, port: 1}}",
    f"{{action: Deny, {ANYONE}, name: {'x' * 101}}}",
    f"{{action: Deny, {ANYONE}, name: 1}}",
    "{action: Deny}",
    "{action: Deny, from: []}",
    "{action: Deny, from: null}",
    "{action: Deny, from: {}}",
    "{action: Deny, to: [{namespaces: {}}]}",
    "{action: Deny, from: [null]}",
    "{action: Deny, from: [{networks: [0.0.0.0/0]}]}",
    "{action: Deny, from: [{namespaces: {}, pods: {podSelector: {}}}]}",
    "{action: Deny, from: [{namespaces: {matchLabels: {a: 1}}}]}",
    "{action: Deny, from: [{pods: {}}]}",
    "{action: Deny, from: [{pods: {namespaceSelector: {}}}]}",
    "{action: Deny, from: [{pods: {podSelector: {}, selector: {}}}]}",
    f"{{action: Deny, from: [{', '.join(['{namespaces: {}}'] * 26)}]}}",
    *(
        f"{{action: Deny, {ANYONE}, protocols: {protocols}}}"
        for protocols in (
            "{}",
            "[{}]",
            "[{tcp: null}]",
            "[{tcp: {}, udp: {}}]",
            "[{icmp: {}}]",
            "[{tcp: {port: 80}}]",
            "[{tcp: {destinationPort: {}}}]",
            "[{tcp: {destinationPort: 80}}]",
            "[{tcp: {destinationPort: {number: 0}}}]",
            "[{tcp: {destinationPort: {number: 1, range: {start: 1, end: 2}}}}]",
            "[{tcp: {destinationPort: {range: {start: 2, end: 2}}}}]",
            "[{tcp: {destinationPort: {range: {start: 2}}}}]",
            "[{destinationNamedPort: ''}]",
            "[{destinationNamedPort: 80}]",
        )
    ),
]


@pytest.mark.parametrize("rule", MALFORMED_RULES)
def test_rule_that_is_not_understood_perhaps_matches_anything(rule: str) -> None:
    accept = f"{{action: Accept, {ANYONE}, protocols: [{{udp: {{}}}}]}}"
    snapshot = cluster(cnp(f"ingress: [{accept}, {rule}]"))
    assert verdict(snapshot, TESTER, DB) == "unknown"
    assert verdict(snapshot, "8.8.8.8", DB) == "unknown"
    assert verdict(snapshot, TESTER, DB, "udp/1") == "allow"  # an earlier rule decided
    assert verdict(snapshot, DB, TESTER) == "allow"


@pytest.mark.parametrize(
    "rule",
    [
        "{action: Deny, to: [{networks: []}]}",
        "{action: Deny, to: [{networks: [10.0.0.0]}]}",
        "{action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.0/8]}]}",
        "{action: Deny, to: [{nodes: []}]}",
        "{action: Deny, to: [{domainNames: [x.io]}]}",
        "{action: Pass, to: [{namespaces: {}}, {domainNames: [x.io]}]}",
        "{action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: a}]}",
        "{action: Deny, to: [{nodes: {}}], protocols: [{destinationNamedPort: a}]}",
    ],
)
def test_egress_rule_that_is_not_understood(rule: str) -> None:
    snapshot = cluster(cnp(f"egress: [{rule}]"), np("{policyTypes: [Egress], egress: [{}]}"))
    if "Pass" in rule:
        assert verdict(snapshot, DB, TESTER) == "allow"  # passing or not, the same comes of it
    else:
        assert verdict(snapshot, DB, TESTER) == "unknown"


@pytest.mark.parametrize("names", ["[]", "['*']", "[io]", "['a.*.io']", "['x.io', 'x.io']", "[1]"])
def test_domain_names_that_are_none(names: str) -> None:
    rules = f"egress: [{{action: Accept, to: [{{domainNames: {names}}}]}}, {DENY_OUT}]"
    assert verdict(cluster(cnp(rules)), DB, "8.8.8.8") == "unknown"


def test_unreadable_action_may_be_any() -> None:
    rules = f"ingress: [{{action: Allow, {ANYONE}}}]"
    assert verdict(cluster(cnp(rules)), TESTER, DB) == "unknown"
    assert verdict(cluster(cnp(rules), np("{}")), TESTER, DB) == "unknown"


def test_rule_that_perhaps_denies_does_not_matter_where_all_else_denies() -> None:
    rules = f"ingress: [{{action: Deny, {ANYONE}, port: 1}}]"
    assert verdict(cluster(cnp(rules), np("{}")), TESTER, DB) == "deny"


@pytest.mark.parametrize(
    "spec",
    [
        f"{{priority: 1, {SHOP}}}",
        f"{{tier: admin, priority: 1, {SHOP}}}",
        f"{{tier: Admin, {SHOP}}}",
        f"{{tier: Admin, priority: -1, {SHOP}}}",
        f"{{tier: Admin, priority: 1001, {SHOP}}}",
        f"{{tier: Admin, priority: '1', {SHOP}}}",
        f"{{tier: Admin, priority: true, {SHOP}}}",
        f"{{tier: Admin, priority: 1, {SHOP}, ports: []}}",
        f"{{tier: Admin, priority: 1, {SHOP}, ingress: {{}}}}",
        f"{{tier: Admin, priority: 1, {SHOP}, egress: [{', '.join(['{}'] * 26)}]}}",
    ],
)
def test_what_concerns_the_whole_policy_makes_its_subjects_unknown(spec: str) -> None:
    first = cnp(f"{{ingress: [{{action: Accept, {ANYONE}}}]}}"[1:-1], "first", 0)
    snapshot = cluster(policy("cnp", spec), first)
    assert verdict(snapshot, TESTER, DB) == "unknown"  # whatever decides before it
    assert verdict(snapshot, DB, TESTER) == "unknown"
    assert verdict(snapshot, MANY, TESTER) == "allow"


@pytest.mark.parametrize(
    "spec",
    [
        "null",
        "[]",
        "{tier: Admin, priority: 1}",
        "{tier: Admin, priority: 1, subject: {}}",
        "{tier: Admin, priority: 1, subject: {namespaces: {}, pods: {podSelector: {}}}}",
        "{tier: Admin, priority: 1, subject: {pods: {}}}",
        "{tier: Admin, priority: 1, subject: {nodes: {}}}",
        "{tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {team: shop}, x: 1}}}",
    ],
)
def test_subject_that_is_not_understood_makes_every_pod_unknown(spec: str) -> None:
    snapshot = cluster(policy("cnp", spec))
    assert verdict(snapshot, TESTER, MANY) == "unknown"
    assert verdict(snapshot, "system/agent", "8.8.8.8") == "allow"


def test_host_pod_of_an_unknown_node_is_perhaps_on_any_that_matches() -> None:
    def deny(zone: str) -> Document:
        return cnp(
            f"egress: [{{action: Deny, to: [{{nodes: {{matchLabels: {{zone: {zone}}}}}}}]}}]"
        )

    assert verdict(cluster(deny("a"), nodes=()), DB, "system/agent") == "unknown"
    others = cluster().nodes[1:]
    assert verdict(cluster(deny("b"), nodes=others), DB, "system/agent") == "unknown"
    assert verdict(cluster(deny("a"), nodes=others), DB, "system/agent") == "allow"
