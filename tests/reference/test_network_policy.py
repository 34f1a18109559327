import pytest

from reference.small_cluster import cluster, policy, verdict
from ringfence.model.profile import Cni

WEB, DB, TESTER = "shop/web", "shop/db", "lab/tester"


@pytest.mark.parametrize(
    ("spec", "into", "out_of"),
    [
        ("{}", "deny", "allow"),
        ("{podSelector: null, policyTypes: null, ingress: null, egress: null}", "deny", "allow"),
        ("{policyTypes: []}", "deny", "allow"),
        ("{egress: []}", "deny", "allow"),
        ("{egress: [{}]}", "deny", "allow"),
        ("{egress: [{ports: [{port: 1}]}]}", "deny", "deny"),
        ("{policyTypes: [Ingress], egress: [{ports: [{port: 1}]}]}", "deny", "allow"),
        ("{policyTypes: [Egress]}", "allow", "deny"),
        ("{policyTypes: [Egress], ingress: [{ports: [{port: 1}]}]}", "allow", "deny"),
        ("{policyTypes: [Egress, Ingress]}", "deny", "deny"),
        ("{policyTypes: [Egress, Egress]}", "allow", "deny"),
        ("{ingress: []}", "deny", "allow"),
        ("{ingress: [{}]}", "allow", "allow"),
        ("{podSelector: {matchLabels: {app: web}}}", "allow", "allow"),
    ],
)
def test_isolation(spec: str, into: str, out_of: str) -> None:
    snapshot = cluster(policy("np", spec))
    assert (verdict(snapshot, TESTER, DB), verdict(snapshot, DB, TESTER)) == (into, out_of)


def test_rules_of_an_unlisted_type_isolate_on_cilium() -> None:
    spec = "{policyTypes: [Egress], ingress: [{ports: [{port: 1}]}], egress: [{}]}"
    assert verdict(cluster(policy("np", spec), cni=Cni.CILIUM), TESTER, DB) == "deny"
    spec = "{policyTypes: [Egress], ingress: [], egress: [{}]}"
    assert verdict(cluster(policy("np", spec), cni=Cni.CILIUM), TESTER, DB) == "allow"


def test_policy_without_a_spec_isolates_its_namespace() -> None:
    policies = [policy("np", "null"), policy("np", "{podSelector: {}}")]
    for one in policies:
        assert verdict(cluster(one), TESTER, DB) == "deny"
        assert verdict(cluster(one), DB, TESTER) == "allow"


def test_policies_add_up() -> None:
    narrow = policy("np", "ingress: [{ports: [{port: 1}]}]", "narrow")
    wide = policy("np", "ingress: [{ports: [{port: 5432}]}]", "wide")
    assert verdict(cluster(narrow), TESTER, DB) == "deny"
    for both in ((narrow, wide), (wide, narrow)):
        assert verdict(cluster(*both), TESTER, DB) == "allow"


@pytest.mark.parametrize(
    ("peers", "web", "tester", "agent", "outside"),
    [
        ("[]", "allow", "allow", "allow", "allow"),
        ("null", "allow", "allow", "allow", "allow"),
        ("[{podSelector: {}}]", "allow", "deny", "deny", "deny"),
        ("[{podSelector: {matchLabels: {app: web}}}]", "allow", "deny", "deny", "deny"),
        ("[{namespaceSelector: {}}]", "allow", "allow", "deny", "deny"),
        ("[{namespaceSelector: {matchLabels: {team: lab}}}]", "deny", "allow", "deny", "deny"),
        (
            "[{namespaceSelector: {}, podSelector: {matchLabels: {tier: front}}}]",
            "allow",
            "deny",
            "deny",
            "deny",
        ),
        (
            "[{namespaceSelector: {matchLabels: {team: lab}}}, {podSelector: {}}]",
            "allow",
            "allow",
            "deny",
            "deny",
        ),
        ("[{ipBlock: {cidr: 0.0.0.0/0}}]", "allow", "allow", "allow", "allow"),
        ("[{ipBlock: {cidr: 10.1.0.0/16}}]", "allow", "allow", "deny", "deny"),
        (
            "[{ipBlock: {cidr: 10.1.0.0/16, except: [10.1.0.1/32]}}]",
            "deny",
            "allow",
            "deny",
            "deny",
        ),
        ("[{ipBlock: {cidr: 192.168.0.0/16}}]", "deny", "deny", "allow", "deny"),
        ("[{podSelector: {}, ipBlock: null}]", "allow", "deny", "deny", "deny"),
    ],
)
def test_peers(peers: str, web: str, tester: str, agent: str, outside: str) -> None:
    snapshot = cluster(policy("np", f"ingress: [{{from: {peers}}}]"))
    names = (WEB, TESTER, "system/agent", "8.8.8.8")
    assert [verdict(snapshot, name, DB) for name in names] == [web, tester, agent, outside]


@pytest.mark.parametrize(
    ("ports", "allowed", "denied"),
    [
        ("[]", ["tcp/0", "udp/65535", "sctp/80"], []),
        ("null", ["tcp/0", "udp/65535", "sctp/80"], []),
        ("[{}]", ["tcp/0", "tcp/65535"], ["udp/80", "sctp/80"]),
        ("[{protocol: UDP}]", ["udp/1", "udp/65535"], ["tcp/1", "sctp/1"]),
        ("[{port: 80}]", ["tcp/80"], ["tcp/79", "tcp/81", "udp/80", "sctp/80"]),
        ("[{port: 80, protocol: SCTP}]", ["sctp/80"], ["tcp/80", "udp/80"]),
        ("[{port: 80, endPort: 82}]", ["tcp/80", "tcp/81", "tcp/82"], ["tcp/79", "tcp/83"]),
        ("[{port: 80, endPort: 80}]", ["tcp/80"], ["tcp/79", "tcp/81"]),
        ("[{port: 1}, {port: 2, protocol: UDP}]", ["tcp/1", "udp/2"], ["tcp/2", "udp/1"]),
        ("[{port: sql}]", ["tcp/5432", "tcp/15432"], ["udp/5432", "tcp/53"]),
        ("[{port: dns}]", [], ["udp/53", "tcp/53"]),
        ("[{port: dns, protocol: UDP}]", ["udp/53"], ["tcp/53"]),
        ("[{port: nothing}]", [], ["tcp/5432"]),
        ("[{port: warmup}]", [], ["tcp/7000"]),
    ],
)
def test_ports(ports: str, allowed: list[str], denied: list[str]) -> None:
    ingress = cluster(policy("np", f"ingress: [{{ports: {ports}}}]"))
    egress = cluster(policy("np", f"{{policyTypes: [Egress], egress: [{{ports: {ports}}}]}}"))
    for traffic in allowed:
        assert verdict(ingress, TESTER, DB, traffic) == "allow"
        assert verdict(egress, WEB, DB, traffic) == "allow"
    for traffic in denied:
        assert verdict(ingress, TESTER, DB, traffic) == "deny"
        assert verdict(egress, WEB, DB, traffic) == "deny"


def test_calico_looks_up_ports_of_init_containers() -> None:
    snapshot = cluster(policy("np", "ingress: [{ports: [{port: warmup}]}]"), cni=Cni.CALICO)
    assert verdict(snapshot, TESTER, DB, "tcp/7000") == "allow"


@pytest.mark.parametrize("name", ["system/agent", "node/n1", "8.8.8.8", "api.example"])
def test_what_is_no_pod_has_no_named_ports(name: str) -> None:
    spec = "{policyTypes: [Egress], egress: [{ports: [{port: sql}]}]}"
    assert verdict(cluster(policy("np", spec)), WEB, name) == "deny"


@pytest.mark.parametrize(
    ("cni", "rule", "expected"),
    [
        (Cni.GENERIC, "{}", "unknown"),
        (Cni.GENERIC, "{ports: [{port: 1}]}", "unknown"),
        (Cni.CALICO, "{}", "allow"),
        (Cni.CALICO, "{ports: [{port: 1}]}", "deny"),
        (Cni.CILIUM, "{}", "allow"),
        (Cni.CILIUM, "{ports: [{}]}", "deny"),
        (Cni.OVN_KUBERNETES, "{}", "allow"),
        (Cni.ANTREA, "{ports: [{protocol: UDP}]}", "deny"),
        (Cni.NONE, "{ports: [{port: 1}]}", "allow"),
    ],
)
def test_icmp(cni: Cni, rule: str, expected: str) -> None:
    snapshot = cluster(policy("np", f"ingress: [{rule}]"), cni=cni)
    assert verdict(snapshot, TESTER, DB, "icmp") == expected
    assert verdict(snapshot, DB, TESTER, "icmp") == "allow"  # no isolation in that direction


MALFORMED_RULES = [
    "null",
    "[]",
    "{form: []}",
    "{to: []}",
    "{from: {}}",
    "{from: [null]}",
    "{from: [{}]}",
    "{from: [{podSelector: null}]}",
    "{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}",
    "{from: [{ipBlock: {cidr: 10.0.0.0/8}, namespaceSelector: {}}]}",
    "{from: [{ipBlock: {}}]}",
    "{from: [{ipBlock: {cidr: 10.0.0.1}}]}",
    "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: 10.1.0.0/16}}]}",
    "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}",
    "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}",
    "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: ['fd00::/8']}}]}",
    "{from: [{ipBlock: {cidr: 10.0.0.0/8, exempt: []}}]}",
    "{from: [{podSelector: {matchLabels: {app: [a]}}}]}",
    "{from: [{namespaceSelector: {matchExpressions: [{key: a, operator: Like}]}}]}",
    "{from: [{podSelector: {}, serviceSelector: {}}]}",
    "{ports: {}}",
    "{ports: [null]}",
    "{ports: [{port: 0}]}",
    "{ports: [{port: 65536}]}",
    "{ports: [{port: true}]}",
    "{ports: [{port: 80.5}]}",
    "{ports: [{port: '80'}]}",
    "{ports: [{port: Http}]}",
    "{ports: [{port: a--b}]}",
    "{ports: [{port: sixteen-chars-xx}]}",
    "{ports: [{port: ''}]}",
    "{ports: [{protocol: tcp}]}",
    "{ports: [{protocol: ICMP}]}",
    "{ports: [{port: 80, endPort: 79}]}",
    "{ports: [{port: 80, endPort: 65536}]}",
    "{ports: [{port: 80, endPort: '82'}]}",
    "{ports: [{port: sql, endPort: 82}]}",
    "{ports: [{endPort: 82}]}",
    "{ports: [{port: 80, proto: TCP}]}",
]


@pytest.mark.parametrize("rule", MALFORMED_RULES)
def test_rule_that_is_not_understood_perhaps_matches_anything(rule: str) -> None:
    snapshot = cluster(policy("np", f"ingress: [{rule}, {{ports: [{{port: 81}}]}}]"))
    for name in (WEB, TESTER, "8.8.8.8"):
        assert verdict(snapshot, name, DB, "tcp/80") == "unknown"
        assert verdict(snapshot, name, DB, "tcp/81") == "allow"  # another rule surely allows it
    assert verdict(snapshot, DB, TESTER) == "allow"  # the other direction is not concerned


def test_rule_of_an_unlisted_type_does_not_matter_however_it_reads() -> None:
    spec = "{policyTypes: [Egress], egress: [{}], ingress: [{form: []}]}"
    assert verdict(cluster(policy("np", spec)), TESTER, DB) == "allow"


@pytest.mark.parametrize(
    "spec",
    [
        "{podSelector: {matchLabels: {app: db}}, ingres: []}",
        "{podSelector: {matchLabels: {app: db}}, policyTypes: [ingress], ingress: [{}]}",
        "{podSelector: {matchLabels: {app: db}}, policyTypes: Ingress, ingress: [{}]}",
        "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress, Egress]}",
        "{podSelector: {matchLabels: {app: db}}, policyTypes: [null]}",
        "{podSelector: {matchLabels: {app: db}}, ingress: {}}",
        "{podSelector: {matchLabels: {app: db}}, egress: {}}",
    ],
)
def test_what_concerns_the_whole_policy_makes_its_subjects_unknown(spec: str) -> None:
    snapshot = cluster(policy("np", spec))
    assert verdict(snapshot, TESTER, DB) == "unknown"
    assert verdict(snapshot, DB, TESTER) == "unknown"
    assert verdict(snapshot, TESTER, WEB) == "allow"


@pytest.mark.parametrize(
    "one",
    [
        policy("np", "[]"),
        policy("np", "{podSelector: []}"),
        policy("np", "{podSelector: {matchLabel: {app: db}}}"),
        policy("np", "{podSelector: {}}", apiVersion="networking.k8s.io/v2"),
    ],
)
def test_subject_that_is_not_understood_makes_the_namespace_unknown(one: object) -> None:
    snapshot = cluster(one)  # type: ignore[arg-type]
    for name in (WEB, DB):
        assert verdict(snapshot, TESTER, name) == "unknown"
        assert verdict(snapshot, name, TESTER) == "unknown"
    assert verdict(snapshot, TESTER, "lab/planned") == "allow"


def test_fields_beside_the_spec() -> None:
    spec = "{ingress: [{}]}"
    assert verdict(cluster(policy("np", spec, status={"x": 1})), TESTER, DB) == "allow"
    assert verdict(cluster(policy("np", spec, Spec={})), TESTER, DB) == "unknown"


def test_policy_of_a_foreign_group_is_none_of_ours() -> None:
    foreign = policy("np", "{}", apiVersion="projectcalico.org/v3")
    assert verdict(cluster(foreign), TESTER, DB) == "allow"
