from typing import Any

import pytest
import yaml

from reference.small_cluster import BARE, ask, cluster, document, end
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection
from ringfence.model.document import Document
from ringfence.model.layer7 import Request
from ringfence.model.location import Location
from ringfence.model.profile import Cni
from ringfence.model.snapshot import BlindSpot, Snapshot
from ringfence.reference import judge
from ringfence.reference.calico_hosts import BOTH_WAYS, DEFAULTS
from ringfence.reference.calico_rules import ENTERPRISE, ENVOY

KINDS = {
    "np": ("NetworkPolicy", "shop"),
    "gnp": ("GlobalNetworkPolicy", ""),
    "hep": ("HostEndpoint", ""),
    "profile": ("Profile", ""),
    "tier": ("Tier", ""),
}


def made(kind: str, spec: str, name: str = "x", **metadata: Any) -> Document:
    """Return an object of Calico with this spec, in YAML."""
    title, namespace = KINDS[kind]
    return document(
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": title,
            "metadata": {
                "name": name,
                **({"namespace": namespace} if namespace else {}),
                **metadata,
            },
            "spec": yaml.safe_load(spec),
        }
    )


def calico(*documents: Document, **changes: Any) -> Snapshot:
    return cluster(*documents, cni=Cni.CALICO, base=changes.pop("base", BARE), **changes)


def verdict(snapshot: Snapshot, source: str, destination: str, traffic: str = "tcp/5432") -> str:
    return ask(snapshot, source, destination, traffic).verdict.value


DB = "selector: app == 'db'"


# -- what is not understood ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        "{action: Allow, protocl: TCP}",
        "{action: Allow, source: {selectr: all()}}",
        "{action: Allow, source: {serviceAccounts: {name: [x]}}}",
        "{action: Allow, source: {services: {name: x, port: 1}}}",
        "{action: Allow, http: {methods: [GET], host: x}}",
        "{action: Allow, http: {paths: [{exact: /a, regex: b}]}}",
        "{action: Allow, protocol: ICMP, icmp: {type: 8, kind: 1}}",
        "{action: Allow, metadata: {labels: {}}}",
        "{action: allow}",
        "{action: Allow, protocol: tcp}",
        "{action: Allow, protocol: 0}",
        "{action: Allow, ipVersion: 5}",
        "{action: Allow, protocol: TCP, destination: {ports: [0]}}",
        "{action: Allow, protocol: TCP, destination: {ports: ['9:8']}}",
        "{action: Allow, protocol: ICMP, destination: {ports: [8]}}",
        "{action: Allow, protocol: ICMP, icmp: {code: 1}}",
        "{action: Allow, protocol: ICMP, ipVersion: 6}",
        "{action: Allow, source: {nets: [10.0.0.1]}}",
        "{action: Allow, source: {notNets: [0.0.0.0/0]}}",
        "{action: Allow, source: {domains: [x.io]}}",
        "[]",
    ],
)
def test_a_rule_that_is_not_understood_perhaps_matches(rule: str) -> None:
    snapshot = calico(
        made("np", f"{{{DB}, ingress: [{{action: Allow, protocol: UDP}}, {rule}]}}", "odd")
    )
    found = ask(snapshot, "lab/tester", "shop/db")
    assert found.verdict == "unknown"
    assert "policies.yaml: `NetworkPolicy.projectcalico.org/shop/odd`: spec.ingress[1]" in "".join(
        found.unknown_because
    )
    assert verdict(snapshot, "lab/tester", "shop/db", "udp/1") == "allow"
    assert verdict(snapshot, "shop/db", "lab/tester") == "allow"


def test_an_unread_rule_whose_action_is_known_can_do_no_other() -> None:
    rules = "[{action: Deny, odd: 1}, {action: Log, odd: 1}, {action: Deny}]"
    assert verdict(calico(made("np", f"{{ingress: {rules}}}")), "lab/tester", "shop/db") == "deny"


@pytest.mark.parametrize(
    "spec",
    [
        f"{{{DB}, types: [Ingress, Ingress]}}",
        f"{{{DB}, types: [ingress]}}",
        f"{{{DB}, order: first}}",
        f"{{{DB}, tier: lost}}",
        f"{{{DB}, ingress: {{}}}}",
        f"{{{DB}, doNotTrack: true}}",
        "{selector: 5}",
        "[]",
    ],
)
def test_a_policy_that_is_not_understood_makes_its_pods_unknown(spec: str) -> None:
    snapshot = calico(made("np", spec))
    assert verdict(snapshot, "lab/tester", "shop/db") == "unknown"
    assert verdict(snapshot, "shop/db", "lab/tester") == "unknown"
    assert verdict(snapshot, "lab/tester", "lab/many") == "allow"


@pytest.mark.parametrize(
    "flags",
    [
        "doNotTrack: true",
        "preDNAT: true, doNotTrack: true, applyOnForward: true",
        "preDNAT: true, applyOnForward: true, types: [Egress]",
    ],
)
def test_flags_of_a_global_policy_that_exclude_each_other(flags: str) -> None:
    assert verdict(calico(made("gnp", f"{{{DB}, {flags}}}")), "8.8.8.8", "shop/db") == "unknown"


def test_a_blind_spot_hides_policies() -> None:
    spots = (BlindSpot("could not be listed", Location("live")),)
    snapshot = calico(blind_spots=spots)
    assert verdict(snapshot, "8.8.8.8", "shop/db") == "unknown"
    assert verdict(snapshot, "8.8.8.8", "node/n1") == "allow"
    host = made("hep", "{node: n1, interfaceName: '*'}")
    assert verdict(calico(host, blind_spots=spots), "8.8.8.8", "node/n1") == "unknown"


# -- perhaps -------------------------------------------------------------------------------------


def test_a_perhaps_and_what_follows_it_may_both_decide() -> None:
    rules = "[{action: Deny, source: {nets: [10.1.7.0/24]}}, {action: Allow}]"
    snapshot = calico(made("np", f"{{{DB}, ingress: {rules}}}"))
    assert verdict(snapshot, "lab/planned", "shop/db") == "unknown"
    assert verdict(snapshot, "lab/tester", "shop/db") == "allow"
    rules = rules.replace("Deny", "Allow")
    snapshot = calico(made("np", f"{{{DB}, ingress: {rules}}}"))
    assert verdict(snapshot, "lab/planned", "shop/db") == "allow"


# -- layer 7 -------------------------------------------------------------------------------------

GET = "{action: Allow, http: {methods: [GET]}}"


def test_a_limited_rule_before_a_deny_is_a_limited_allow() -> None:
    found = ask(
        calico(made("np", f"{{{DB}, ingress: [{GET}, {GET}, {{action: Deny}}]}}")),
        "shop/web",
        "shop/db",
    )
    assert (found.verdict, found.limited_to) == ("allow", ({"http": {"method": "GET"}},))
    assert [piece.rule for piece in found.evidence[1:]] == ["ingress[0]", "ingress[1]"]
    assert ENVOY in found.notes


def test_a_limited_rule_after_a_perhaps_is_unknown() -> None:
    perhaps = "{action: Deny, protocol: TCP, source: {ports: [1]}}"
    snapshot = calico(made("np", f"{{{DB}, ingress: [{perhaps}, {GET}]}}"))
    assert verdict(snapshot, "shop/web", "shop/db") == "unknown"


def test_a_limit_reaches_over_tiers() -> None:
    tier = made("tier", "{order: 1, defaultAction: Pass}", "early")
    first = made("gnp", f"{{tier: early, {DB}, ingress: [{GET}]}}", "first")
    last = made("np", f"{{{DB}}}", "last")
    found = ask(calico(tier, first, last), "shop/web", "shop/db")
    assert (found.verdict, found.limited_to) == ("allow", ({"http": {"method": "GET"}},))
    assert ask(calico(tier, first), "shop/web", "shop/db").limited_to == ()


def test_a_request_that_is_known_is_decided() -> None:
    snapshot = calico(made("np", f"{{{DB}, ingress: [{GET}]}}"))
    ends = end(snapshot, "shop/web"), end(snapshot, "shop/db")
    for method, wanted in (("GET", "allow"), ("POST", "deny")):
        request = Request(http=True, method=method)
        found = judge(snapshot, Connection(*ends, Protocol.TCP, 80, request=request))
        assert (found.verdict, found.limited_to) == (wanted, ())


def test_domain_names_name_the_edition() -> None:
    rule = "{action: Allow, destination: {domains: [x.io]}}"
    found = ask(calico(made("np", f"{{egress: [{rule}]}}")), "shop/db", "x.io")
    assert (found.verdict, ENTERPRISE in found.notes) == ("allow", True)


# -- profiles ------------------------------------------------------------------------------------


def test_the_profile_of_a_namespace_allows_unless_an_object_says_otherwise() -> None:
    rules = "[{action: Allow, protocol: TCP}, {action: Pass}]"
    snapshot = calico(made("profile", f"{{ingress: {rules}, egress: []}}", "kns.shop"))
    assert verdict(snapshot, "lab/tester", "shop/db") == "allow"
    assert verdict(snapshot, "lab/tester", "shop/db", "udp/1") == "deny"
    assert verdict(snapshot, "shop/db", "lab/tester") == "deny"
    assert verdict(snapshot, "8.8.8.8", "lab/tester", "udp/1") == "allow"


def test_a_host_endpoint_inherits_labels_and_rules_of_its_profiles() -> None:
    rules = "{labelsToApply: {role: node}, ingress: [{action: Allow, protocol: TCP}]}"
    profile = made("profile", rules, "edge")
    host = made("hep", "{node: n1, interfaceName: '*', profiles: [edge]}")
    assert verdict(calico(profile, host), "8.8.8.8", "node/n1") == "allow"
    assert verdict(calico(profile, host), "8.8.8.8", "node/n1", "udp/1") == "deny"
    assert verdict(calico(host), "8.8.8.8", "node/n1") == "unknown"
    closed = made("gnp", "{selector: role == 'node', ingress: [{action: Deny}]}")
    assert verdict(calico(profile, host, closed), "8.8.8.8", "node/n1") == "deny"


# -- host endpoints ------------------------------------------------------------------------------


def test_host_network_pods_are_their_node() -> None:
    host = made("hep", "{node: n1, interfaceName: '*'}")
    assert verdict(calico(host), "8.8.8.8", "system/agent") == "deny"
    assert verdict(calico(host), "system/agent", "8.8.8.8") == "deny"
    assert verdict(calico(), "system/agent", "8.8.8.8") == "allow"


def test_failsafe_ports_are_told_to_be_the_default_ones() -> None:
    host = made("hep", "{node: n1, interfaceName: '*'}")
    found = ask(calico(host), "8.8.8.8", "node/n1", "tcp/6443")
    assert (found.verdict, found.notes) == ("allow", (DEFAULTS,))


def test_what_stays_on_the_node_is_not_for_its_host_endpoint() -> None:
    host = made("hep", "{node: n1, interfaceName: '*'}")
    assert verdict(calico(host), "node/n1", "shop/web") == "allow"
    assert verdict(calico(host), "shop/web", "node/n1") == "allow"
    assert verdict(calico(host), "shop/db", "node/n1") == "deny"
    assert verdict(calico(host), "lab/many", "node/n1") == "unknown"
    closed = made("np", "{egress: [{action: Deny}]}")
    assert verdict(calico(closed), "shop/web", "node/n1") == "deny"


def test_one_interface_is_not_the_whole_node() -> None:
    named = made("hep", "{node: n1, interfaceName: eth0}")
    assert verdict(calico(named), "8.8.8.8", "node/n1") == "unknown"
    known = made("hep", "{node: n1, interfaceName: eth0, expectedIPs: [192.168.0.1]}")
    assert verdict(calico(known), "8.8.8.8", "node/n1") == "deny"
    every = made("hep", "{node: n1, interfaceName: '*'}", "every")
    assert verdict(calico(named, every), "8.8.8.8", "node/n1") == "deny"


def test_a_host_endpoint_that_cannot_be_read_makes_its_node_unknown() -> None:
    odd = made("hep", "{node: n1, interfaceName: '*', odd: 1}")
    assert verdict(calico(odd), "8.8.8.8", "node/n1") == "unknown"
    assert verdict(calico(odd), "8.8.8.8", "node/n2") == "allow"


def test_untracked_policies_are_told_to_need_both_ways() -> None:
    host = made("hep", "{node: n1, interfaceName: '*'}", labels={"role": "node"})
    flags = "doNotTrack: true, applyOnForward: true"
    raw = made("gnp", f"{{selector: all(), {flags}, ingress: [{{action: Allow}}]}}")
    found = ask(calico(host, raw), "8.8.8.8", "node/n1")
    assert (found.verdict, BOTH_WAYS in found.notes) == ("allow", True)


def test_forwarded_traffic_is_policed_only_where_a_policy_says_so() -> None:
    host = made("hep", "{node: n1, interfaceName: '*'}", labels={"role": "node"})
    rules = "ingress: [{action: Allow, protocol: UDP}]"
    local = made("gnp", f"{{selector: has(role), {rules}}}")
    forward = made("gnp", f"{{selector: has(role), applyOnForward: true, {rules}}}")
    assert verdict(calico(host, local), "8.8.8.8", "shop/web") == "allow"
    assert verdict(calico(host, forward), "8.8.8.8", "shop/web") == "deny"
    assert verdict(calico(host, forward), "8.8.8.8", "shop/web", "udp/1") == "allow"
    assert verdict(calico(host, forward), "8.8.8.8", "shop/db") == "allow"
    assert verdict(calico(host, forward), "shop/web", "8.8.8.8") == "allow"
    assert verdict(calico(host, forward), "shop/db", "shop/web") == "unknown"
    assert verdict(calico(host, forward), "lab/tester", "shop/web") == "allow"
