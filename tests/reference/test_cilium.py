"""Cilium's tiers, modes and defaults, and the cases that naive evaluators get wrong."""

import msgspec
import pytest
import yaml

from reference.cilium_cluster import TO_DB, TO_WEB, ask, ccnp, cluster, cnp, verdict
from reference.small_cluster import document, policy
from ringfence.model.document import count_positions
from ringfence.model.layer7 import Request
from ringfence.model.location import Location
from ringfence.model.profile import CiliumConfig, Enforcement
from ringfence.model.snapshot import BlindSpot
from ringfence.reference.cilium import AUDIT, FLAG
from ringfence.reference.cilium_entities import MESH

GET = Request(http=True, method="GET", path="/")
POST = Request(http=True, method="POST", path="/")
EMPTY_INGRESS = cnp(TO_DB, "ingress: [{}]")


# -- the cases that naive evaluators get wrong -----------------------------------------------------


def test_an_empty_rule_isolates_and_allows_nothing() -> None:
    assert verdict(cluster(EMPTY_INGRESS), "shop/web", "shop/db") == "deny"


def test_ingress_rules_isolate_although_the_types_name_egress_alone() -> None:
    network_policy = policy(
        "np", "{podSelector: {}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}]}"
    )
    snapshot = cluster(network_policy)
    assert verdict(snapshot, "shop/web", "shop/db") == "deny"  # for its egress
    assert verdict(snapshot, "lab/tester", "shop/db") == "deny"
    assert ask(snapshot, "lab/tester", "shop/db").ingress == "deny"
    assert ask(snapshot, "shop/web", "shop/db").ingress == "allow"


def test_a_block_that_covers_pods_does_not_match_them() -> None:
    block = policy("np", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}")
    assert verdict(cluster(block), "lab/tester", "shop/db") == "deny"
    own = cnp(TO_DB, "ingress: [{fromCIDR: [10.0.0.0/8]}]")
    assert verdict(cluster(own), "lab/tester", "shop/db") == "deny"
    assert verdict(cluster(own), "10.2.3.4", "shop/db") == "allow"


DNS = "- toPorts: [{ports: [{port: '53'}], rules: {dns: [{matchPattern: '*'}]}}]"


@pytest.mark.parametrize(
    ("name", "expected"), [("a.x.io", "allow"), ("a.b.x.io", "deny"), ("x.io", "deny")]
)
def test_a_star_is_one_label(name: str, expected: str) -> None:
    own = cnp(TO_WEB, "egress:", DNS, "- toFQDNs: [{matchPattern: '*.x.io'}]")
    assert verdict(cluster(own), "shop/web", name, "tcp/443") == expected


def test_every_endpoint_in_a_policy_of_a_namespace_is_of_that_namespace() -> None:
    own = cnp(TO_DB, "ingress: [{fromEndpoints: [{}]}]")
    assert verdict(cluster(own), "lab/tester", "shop/db") == "deny"
    assert verdict(cluster(own), "shop/web", "shop/db") == "allow"


def test_an_empty_list_of_peers_is_nobody_and_a_missing_one_anyone() -> None:
    ports = "toPorts: [{ports: [{port: '80'}]}]"
    nobody = cnp(TO_DB, f"ingress: [{{fromEndpoints: [], {ports}}}]")
    anyone = cnp(TO_DB, f"ingress: [{{{ports}}}]")
    null = cnp(TO_DB, f"ingress: [{{fromEndpoints: null, {ports}}}]")
    assert verdict(cluster(nobody), "8.8.8.8", "shop/db") == "deny"
    assert verdict(cluster(anyone), "8.8.8.8", "shop/db") == "allow"
    assert verdict(cluster(null), "8.8.8.8", "shop/db") == "allow"


@pytest.mark.parametrize("sort", ["toFQDNs", "toServices", "toGroups"])
def test_an_empty_list_of_names_services_or_groups_counts_as_none(sort: str) -> None:
    own = cnp(TO_WEB, f"egress: [{{{sort}: [], toPorts: [{{ports: [{{port: '80'}}]}}]}}]")
    assert verdict(cluster(own), "shop/web", "8.8.8.8") == "allow"


def test_ports_without_peers_leave_icmp_denied() -> None:
    own = cnp(TO_DB, "ingress: [{toPorts: [{ports: [{port: '80'}]}]}]")
    assert verdict(cluster(own), "shop/web", "shop/db", "icmp/8") == "deny"


def test_peers_without_ports_allow_icmp() -> None:
    own = cnp(TO_DB, "ingress: [{fromEndpoints: [{}]}]")
    assert verdict(cluster(own), "shop/web", "shop/db", "icmp/8") == "allow"
    assert verdict(cluster(own), "shop/web", "shop/db", "icmp") == "allow"


def test_a_broad_deny_beats_a_narrow_allow() -> None:
    own = cnp(
        TO_DB,
        "ingress:",
        "- fromEndpoints: [{matchLabels: {app: web}}]",
        "  toPorts: [{ports: [{port: '80'}]}]",
        "ingressDeny: [{fromEntities: [all]}]",
    )
    assert verdict(cluster(own), "shop/web", "shop/db") == "deny"


def test_a_policy_that_only_denies_isolates_unless_it_says_otherwise() -> None:
    deny = "ingressDeny: [{fromEndpoints: [{matchLabels: {app: web}}]}]"
    off = "enableDefaultDeny: {ingress: false}"
    assert verdict(cluster(cnp(TO_DB, deny)), "8.8.8.8", "shop/db") == "deny"
    assert verdict(cluster(cnp(TO_DB, deny, off)), "8.8.8.8", "shop/db") == "allow"
    assert verdict(cluster(cnp(TO_DB, deny, off)), "shop/web", "shop/db") == "deny"


def test_default_deny_that_is_asked_for_needs_a_rule_of_the_direction() -> None:
    own = cnp(TO_DB, "enableDefaultDeny: {ingress: true}", "egress: [{toEntities: [all]}]")
    assert verdict(cluster(own), "8.8.8.8", "shop/db") == "allow"


def test_an_allow_of_peers_alone_voids_a_limit_of_layer_7() -> None:
    http = "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]"
    limited = f"- {{fromEndpoints: [{{}}], {http}}}"
    assert verdict(
        cluster(cnp(TO_DB, "ingress:", limited)), "shop/web", "shop/db", request=POST
    ) == ("deny")
    both = cnp(TO_DB, "ingress:", limited, "- fromEndpoints: [{}]")
    assert verdict(cluster(both), "shop/web", "shop/db", request=POST) == "allow"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(http=True, method="GET", path="/public"), "allow"),
        (Request(http=True, method="GET", path="/public?x=1"), "deny"),
        (Request(http=True, method="GETX", path="/public"), "deny"),
    ],
)
def test_paths_and_methods_are_matched_as_a_whole(request_: Request, expected: str) -> None:
    rules = "rules: {http: [{method: GET, path: /public}]}"
    own = cnp(
        TO_DB, f"ingress: [{{toPorts: [{{ports: [{{port: '80', protocol: TCP}}], {rules}}}]}}]"
    )
    assert verdict(cluster(own), "shop/web", "shop/db", request=request_) == expected


def test_names_match_nothing_without_a_dns_rule() -> None:
    own = cnp(TO_WEB, "egress: [{toFQDNs: [{matchName: x.io}]}]")
    assert verdict(cluster(own), "shop/web", "x.io", "tcp/443") == "deny"


def test_the_cluster_holds_nodes_and_every_endpoint_does_not() -> None:
    entity = cnp(TO_WEB, "egress: [{toEntities: [cluster]}]")
    endpoints = cnp(TO_WEB, "egress: [{toEndpoints: [{}]}]")
    for node in ("node/n1", "node/n2", "system/agent"):
        assert verdict(cluster(entity), "shop/web", node) == "allow"
        assert verdict(cluster(endpoints), "shop/web", node) == "deny"


def test_a_pod_does_not_reach_its_own_node_under_a_default_deny_of_egress() -> None:
    own = cnp(TO_WEB, "egress: [{}]")
    assert verdict(cluster(own), "shop/web", "node/n1", "tcp/10250") == "deny"


def test_any_protocol_and_port_0_leave_icmp_denied() -> None:
    own = cnp(TO_DB, "ingress: [{toPorts: [{ports: [{port: '0', protocol: ANY}]}]}]")
    assert verdict(cluster(own), "shop/web", "shop/db", "sctp/9") == "allow"
    assert verdict(cluster(own), "shop/web", "shop/db", "icmp/8") == "deny"


# -- tiers and modes -------------------------------------------------------------------------------


def admin(action: str, tier: str = "Admin") -> str:
    return (
        f"{{tier: {tier}, priority: 1, subject: {{namespaces: {{}}}}, "
        f"ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]}}"
    )


@pytest.mark.parametrize(
    ("action", "expected"), [("Accept", "allow"), ("Deny", "deny"), ("Pass", "deny")]
)
def test_the_tier_admin_comes_before_a_deny_of_ciliums(action: str, expected: str) -> None:
    own = cnp(TO_DB, "ingressDeny: [{fromEndpoints: [{}]}]")
    cluster_policy = policy("cnp", admin(action))
    assert verdict(cluster(own, cluster_policy, flag=True), "shop/web", "shop/db") == expected


def test_cluster_network_policies_never_isolate() -> None:
    cluster_policy = policy("cnp", admin("Accept"))
    assert verdict(cluster(cluster_policy, flag=True), "8.8.8.8", "shop/db") == "allow"


def test_the_tier_baseline_comes_after_what_does_not_isolate() -> None:
    baseline = policy("cnp", admin("Deny", "Baseline"))
    off = cnp(
        TO_DB, "enableDefaultDeny: {ingress: false}", "ingress: [{fromEntities: [remote-node]}]"
    )
    assert verdict(cluster(baseline, off, flag=True), "shop/web", "shop/db") == "deny"
    allowing = cnp(TO_DB, "ingress: [{fromEndpoints: [{}]}]")
    assert verdict(cluster(baseline, allowing, flag=True), "shop/web", "shop/db") == "allow"


def test_it_matters_whether_cluster_network_policy_is_on() -> None:
    cluster_policy = policy("cnp", admin("Deny"))
    assert verdict(cluster(cluster_policy, flag=False), "shop/web", "shop/db") == "allow"
    found = ask(cluster(cluster_policy, flag=None), "shop/web", "shop/db")
    assert found.verdict == "unknown"
    assert FLAG in found.unknown_because[0]


def test_modes_of_enforcement() -> None:
    always = cluster(settings=CiliumConfig(enforcement=Enforcement.ALWAYS))
    assert verdict(always, "shop/web", "shop/db") == "deny"
    assert verdict(always, "node/n2", "shop/db") == "allow"
    assert ask(always, "shop/web", "8.8.8.8").evidence[0].rule == "always enforced"
    never = cluster(EMPTY_INGRESS, settings=CiliumConfig(enforcement=Enforcement.NEVER))
    assert verdict(never, "shop/web", "shop/db") == "allow"


def test_audit_lets_pass_what_is_denied_up_to_the_port() -> None:
    audited = CiliumConfig(audit=True)
    found = ask(cluster(EMPTY_INGRESS, settings=audited), "shop/web", "shop/db")
    assert (found.verdict, found.notes) == ("allow", (AUDIT,))
    rules = "rules: {http: [{method: GET}]}"
    own = cnp(
        TO_DB, f"ingress: [{{toPorts: [{{ports: [{{port: '80', protocol: TCP}}], {rules}}}]}}]"
    )
    assert verdict(cluster(own, settings=audited), "shop/web", "shop/db", request=POST) == "deny"
    assert verdict(cluster(own, settings=audited), "shop/web", "shop/db", "tcp/81") == "allow"


def test_a_deny_of_the_host_beats_the_rule_that_the_own_node_is_let_in() -> None:
    deny = cnp(TO_DB, "ingressDeny: [{fromEntities: [host]}]")
    assert verdict(cluster(EMPTY_INGRESS), "node/n2", "shop/db") == "allow"
    assert verdict(cluster(deny), "node/n2", "shop/db") == "deny"
    assert ask(cluster(EMPTY_INGRESS), "node/n2", "shop/db").evidence[-1].rule == "own node"
    strict = CiliumConfig(local_host_allowed=False)
    assert verdict(cluster(EMPTY_INGRESS, settings=strict), "node/n2", "shop/db") == "deny"


def test_a_network_policy_that_is_not_understood_does_not_keep_the_own_node_out() -> None:
    broken = policy("np", "{podSelector: {}, ingress: [], unheard: 1}")
    assert verdict(cluster(broken), "node/n2", "shop/db") == "allow"
    assert verdict(cluster(broken), "node/n1", "shop/db") == "unknown"


def test_host_and_remote_node_where_the_node_of_the_pod_is_not_known() -> None:
    own = ccnp(
        "endpointSelector: {matchLabels: {app: many}}",
        "egress:",
        "- {toEntities: [host], toPorts: [{ports: [{port: '1'}]}]}",
        "- {toEntities: [host, remote-node], toPorts: [{ports: [{port: '2'}]}]}",
    )
    found = ask(cluster(own), "lab/many", "node/n1", "tcp/1")
    assert found.verdict == "unknown"
    assert "rules tell the two apart" in found.unknown_because[0]
    assert verdict(cluster(own), "lab/many", "node/n1", "tcp/2") == "allow"
    assert verdict(cluster(own), "lab/many", "node/n1", "tcp/3") == "deny"
    assert verdict(cluster(own), "lab/many#0", "node/n1", "tcp/1") == "allow"
    assert verdict(cluster(own), "lab/many#1", "node/n1", "tcp/1") == "deny"


def test_nodes_are_subjects_only_with_the_host_firewall() -> None:
    own = ccnp("nodeSelector: {matchLabels: {zone: a}}", "ingress: [{fromEntities: [remote-node]}]")
    assert verdict(cluster(own), "8.8.8.8", "node/n1") == "allow"
    walled = cluster(own, settings=CiliumConfig(host_firewall=True))
    assert verdict(walled, "8.8.8.8", "node/n1") == "deny"
    assert verdict(walled, "8.8.8.8", "system/agent") == "deny"
    assert verdict(walled, "node/n2", "node/n1") == "allow"
    assert verdict(walled, "node/n1", "node/n1") == "allow"
    assert verdict(walled, "8.8.8.8", "node/n2") == "allow"


# -- what is not understood ------------------------------------------------------------------------


def test_what_is_not_understood_is_told_with_its_line() -> None:
    text = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {namespace: shop, name: p}
spec:
  endpointSelector: {}
  ingress:
  - fromEndpoints:
    - {}
    unheard: 1
"""
    body = yaml.safe_load(text)
    lines = (1, 2, 3, 3, 3, 4, 5, 6, 7, 7, 8, 9)
    assert len(lines) == count_positions(body)
    found = ask(cluster(document(body, lines)), "lab/tester", "shop/db")
    assert found.unknown_because == (
        (
            "policies.yaml:9: `CiliumNetworkPolicy/shop/p`: spec.ingress[0].unheard: "
            "there is no field `unheard` here"
        ),
    )
    assert found.evidence[-1].line == 9


def test_one_bad_element_leaves_both_directions_unknown_of_what_the_object_selects() -> None:
    own = cnp(TO_DB, "ingress: [{fromEndpoints: [{}]}, {fromCIDR: [everywhere]}]")
    snapshot = cluster(own)
    assert verdict(snapshot, "shop/web", "shop/db") == "unknown"
    assert verdict(snapshot, "shop/db", "8.8.8.8") == "unknown"
    assert verdict(snapshot, "8.8.8.8", "shop/web") == "allow"


def test_a_subject_that_is_not_understood_may_be_any_pod_of_the_namespace() -> None:
    own = cnp("endpointSelector: {matchLabel: {}}", "ingress: [{}]")
    assert verdict(cluster(own), "lab/tester", "shop/web") == "unknown"
    assert verdict(cluster(own), "8.8.8.8", "lab/tester") == "allow"


def test_what_could_not_be_read_may_deny_the_own_node_too() -> None:
    spot = (BlindSpot("could not be listed", Location("live")),)
    snapshot = msgspec.structs.replace(cluster(), blind_spots=spot)
    assert verdict(snapshot, "node/n2", "shop/db") == "unknown"


@pytest.mark.parametrize(
    "spec",
    [
        "ingress: []",
        "nodeSelector: {}",
        "ingress: [{fromEndpoints: [{}], fromEntities: [all]}]",
        "ingress: [{fromEntities: [everyone]}]",
        "ingress: [{fromEntities: [world-ipv6]}]",
        "ingress: [{fromCIDRSet: [{cidr: 10.0.0.0/8, cidrGroupRef: g}]}]",
        "ingress: [{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [11.0.0.0/8]}]}]",
        "ingress: [{fromRequires: [{}]}]",
        "ingress: [{fromNodes: [{}]}]",
        "ingress: [{toServices: [{}]}]",
        "ingress: [{toPorts: [{ports: [{port: 80}]}]}]",
        "ingress: [{toPorts: [{ports: [{port: '080'}]}]}]",
        "ingress: [{toPorts: [{ports: [{port: '70000'}]}]}]",
        "ingress: [{toPorts: [{ports: [{port: a--b}]}]}]",
        "ingress: [{toPorts: [{ports: [{protocol: TCP}]}]}]",
        "ingress: [{toPorts: [{ports: [{port: '80', protocol: tcp}]}]}]",
        "ingress: [{toPorts: [{ports: [{port: '80', endPort: 70000}]}]}]",
        "ingress: [{icmps: [{fields: [{type: 256}]}]}]",
        "ingress: [{icmps: [{fields: [{type: Ping}]}]}]",
        "ingress: [{icmps: [{fields: [{type: 8}]}], toPorts: [{ports: [{port: '1'}]}]}]",
        "ingress: [{toPorts: [{ports: [{port: '80'}], rules: {http: [{}]}}]}]",
        "ingress: [{toPorts: [{ports: [{port: '0', protocol: TCP}], rules: {http: [{}]}}]}]",
        (
            "ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], "
            "rules: {http: [{path: '('}]}}]}]"
        ),
        "ingress: [{toPorts: [{ports: [{port: '53'}], rules: {dns: [{matchPattern: '*'}]}}]}]",
        "ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {kafka: []}}]}]",
        "ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], listener: {name: l}}]}]",
        "ingress: [{toPorts: [{ports: [{port: '443', protocol: TCP}], serverNames: ['']}]}]",
        "ingress: [{authentication: {mode: maybe}}]",
        "ingressDeny: [{authentication: {mode: required}}]",
        "ingressDeny: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {}}]}]",
        "egress: [{toFQDNs: [{}]}]",
        "egress: [{toFQDNs: [{matchName: a.io, matchPattern: '*'}]}]",
        "egress: [{toFQDNs: [{matchName: '*.io'}]}]",
        "egress: [{toFQDNs: [{matchPattern: 'a[b].io'}]}]",
        "egressDeny: [{toFQDNs: [{matchName: a.io}]}]",
        "egress: [{toPorts: [{ports: [], rules: {dns: [{matchPattern: '*'}]}}]}]",
        "enableDefaultDeny: {ingress: 'no'}\ningress: [{}]",
        "ingress: [{}]\nlabels: [{key: a, unheard: b}]",
        "ingress: [{}]\nlog: {unheard: b}",
        "ingress: [{fromEndpoints: [{matchLabels: {'moon:app': web}}]}]",
        "ingress: [{fromEndpoints: [{matchExpressions: [{key: app, operator: In}]}]}]",
    ],
)
def test_what_cilium_rejects_is_unknown(spec: str) -> None:
    assert verdict(cluster(cnp(TO_DB, spec)), "shop/web", "shop/db") == "unknown"


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        ("ingress: []", "1.18"),
        ("ingress: [{fromCIDR: [10.9.9.9]}]", "1.19"),
        ("ingress: [{fromRequires: [{matchLabels: {app: web}}]}]", "1.18"),
    ],
)
def test_older_versions_take_what_newer_ones_reject(spec: str, version: str) -> None:
    assert verdict(cluster(cnp(TO_DB, spec), version=version), "8.8.8.8", "shop/db") != "unknown"


def test_newer_entities_and_ports_of_services_are_rejected_by_older_versions() -> None:
    mesh = cnp(TO_DB, "ingress: [{fromEntities: [cluster-mesh]}]")
    found = ask(cluster(mesh), "lab/tester", "shop/db")
    assert (found.verdict, found.unknown_because) == ("unknown", (MESH,))
    assert verdict(cluster(mesh), "8.8.8.8", "shop/db") == "deny"
    assert verdict(cluster(mesh, version="1.19"), "lab/tester", "shop/db") == "unknown"
