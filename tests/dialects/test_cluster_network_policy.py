"""ClusterNetworkPolicy and its forerunners to the common rule."""

from typing import Any

import pytest

from ringfence import dialects
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document
from ringfence.model.layer7 import DomainPattern
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import (
    ADMIN,
    BASELINE,
    Action,
    DomainPeer,
    IpPeer,
    NamedPort,
    PodPeer,
    Policy,
    PortRange,
)
from ringfence.model.selector import EVERYTHING

GROUP = "policy.networking.k8s.io"
ALL: dict[str, Any] = {"namespaces": {}}


def document(kind: str, spec: Any, name: str = "p") -> Document:
    version = "v1alpha2" if kind == "ClusterNetworkPolicy" else "v1alpha1"
    body = {"apiVersion": f"{GROUP}/{version}", "kind": kind, "spec": spec}
    return Document(f"{GROUP}/{version}", kind, "", name, body, "p.yaml")


def parse(spec: Any, kind: str = "ClusterNetworkPolicy", name: str = "p", **profile: Any) -> Policy:
    (policy,) = dialects.parse(
        dialects.Context(Profile(**profile), [document(kind, spec, name)])
    ).policies
    return policy


def cnp(**fields: Any) -> dict[str, Any]:
    return {"tier": "Admin", "priority": 5, "subject": ALL, **fields}


def egress(rule: Any, **profile: Any) -> Any:
    (parsed,) = parse(cnp(egress=[rule]), **profile).rules
    return parsed


# -- form --------------------------------------------------------------------------------------


def test_tier_and_priority() -> None:
    assert (parse(cnp()).tier, parse(cnp()).order) == (ADMIN, 5)
    assert parse(cnp(tier="Baseline")).tier is BASELINE


def test_no_direction_is_isolated() -> None:
    assert parse(cnp(ingress=[{"action": "Accept", "from": [ALL]}])).isolates == ()


@pytest.mark.parametrize(
    ("written", "action"),
    [("Accept", Action.ALLOW), ("Deny", Action.DENY), ("Pass", Action.PASS)],
)
def test_actions(written: str, action: Action) -> None:
    assert egress({"action": written, "to": [ALL]}).action is action


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ({"tcp": {"destinationPort": {"number": 80}}}, PortRange(Protocol.TCP, 80, 80)),
        (
            {"udp": {"destinationPort": {"range": {"start": 1, "end": 9}}}},
            PortRange(Protocol.UDP, 1, 9),
        ),
        ({"sctp": {}}, PortRange(Protocol.SCTP)),
        ({"destinationNamedPort": "web"}, NamedPort("web", None)),
    ],
)
def test_protocols(protocol: Any, expected: Any) -> None:
    assert egress({"action": "Deny", "to": [ALL], "protocols": [protocol]}).traffic == (expected,)


@pytest.mark.parametrize("rule", [{}, {"protocols": None}])
def test_a_rule_without_protocols_means_all_traffic(rule: Any) -> None:
    assert egress({"action": "Deny", "to": [ALL], **rule}).traffic is None


def test_networks_are_one_peer_each() -> None:
    rule = egress({"action": "Deny", "to": [{"networks": ["10.0.0.0/8", "::/0"]}]})
    assert rule.peers == (IpPeer("10.0.0.0/8"), IpPeer("::/0"))


def test_domain_names_can_be_accepted() -> None:
    rule = egress({"action": "Accept", "to": [{"domainNames": ["*.Example.com"]}]})
    assert rule.peers == (DomainPeer(DomainPattern("*.example.com")),)


def test_pods_without_a_namespace_selector_are_those_of_all_namespaces() -> None:
    rule = egress({"action": "Deny", "to": [{"pods": {"podSelector": {}}}]})
    assert rule.peers == (PodPeer(EVERYTHING, EVERYTHING),)


# -- failing closed ----------------------------------------------------------------------------


def test_an_accept_with_a_peer_of_no_known_field_matches_nothing() -> None:
    rule = egress({"action": "Accept", "to": [{}, {"networks": ["10.0.0.0/8"]}]})
    assert rule.peers == ()


@pytest.mark.parametrize("action", ["Deny", "Pass"])
def test_a_deny_or_pass_with_a_peer_of_no_known_field_denies_all(action: str) -> None:
    rule = egress({"action": action, "to": [{}], "protocols": [{"tcp": {}}]})
    assert (rule.action, rule.peers, rule.traffic) == (Action.DENY, None, None)


def test_calico_knows_no_named_port_in_a_cluster_network_policy() -> None:
    named = {"to": [ALL], "protocols": [{"destinationNamedPort": "web"}]}
    accept = egress({"action": "Accept", **named}, cni=Cni.CALICO)
    deny = egress({"action": "Deny", **named}, cni=Cni.CALICO)
    assert accept.peers == ()
    assert (deny.action, deny.peers, deny.traffic) == (Action.DENY, None, None)


@pytest.mark.parametrize("peer", [{"nodes": {}}, {"domainNames": ["x.io"]}])
def test_calico_knows_neither_nodes_nor_domain_names(peer: Any) -> None:
    assert egress({"action": "Accept", "to": [peer]}, cni=Cni.CALICO).peers == ()


# -- what the API server would refuse ----------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"action": "Accept"}, "needs at least one peer"),
        ({"action": "Deny", "to": [{"namespaces": {}, "networks": ["10.0.0.0/8"]}]}, "exactly one"),
        ({"action": "Deny", "to": [{"pods": {"namespaceSelector": {}}}]}, "is required"),
        ({"action": "Deny", "to": [ALL] * 26}, "at most 25"),
        ({"action": "Deny", "to": [{"domainNames": ["x.io"]}]}, "can only be accepted"),
        ({"action": "Accept", "to": [{"domainNames": ["io"]}]}, "not a domain name"),
        (
            {
                "action": "Deny",
                "to": [{"networks": ["10.0.0.0/8"]}],
                "protocols": [{"destinationNamedPort": "web"}],
            },
            "goes with pods only",
        ),
        (
            {
                "action": "Deny",
                "to": [ALL],
                "protocols": [{"tcp": {"destinationPort": {"range": {"start": 9, "end": 9}}}}],
            },
            "less than",
        ),
        ({"action": "Deny", "to": [ALL], "protocols": [{"tcp": {}, "udp": {}}]}, "exactly one"),
        ({"action": "Deny", "to": [{"networks": ["::/0", "::/0"]}]}, "stands here twice"),
        ({"action": "Deny", "to": [ALL], "name": "n" * 101}, "at most 100"),
    ],
)
def test_a_rule_that_cannot_be_understood(rule: Any, reason: str) -> None:
    unreadable = egress(rule).unreadable
    assert reason in unreadable.reason
    assert unreadable.path[:3] == ("spec", "egress", 0)


def test_an_action_that_cannot_be_understood_may_be_any() -> None:
    rules = parse(cnp(egress=[{"action": "Allow", "to": [ALL]}])).rules
    assert [rule.action for rule in rules] == [Action.ALLOW, Action.DENY, Action.PASS]
    assert all(rule.unreadable and "is none of" in rule.unreadable.reason for rule in rules)


@pytest.mark.parametrize(
    "spec",
    [
        cnp(tier="admin"),
        cnp(priority=1001),
        cnp(priority=None),
        cnp(extra=1),
        cnp(ingress={}),
    ],
)
def test_what_stands_outside_a_rule_makes_the_policy_unreadable(spec: Any) -> None:
    policy = parse(spec)
    assert policy.unreadable
    assert isinstance(policy.subject, PodPeer)
    assert policy.subject.namespaces == EVERYTHING


@pytest.mark.parametrize(
    "subject", [None, {}, {"namespaces": {}, "pods": {}}, {"pods": {"namespaceSelector": {}}}]
)
def test_an_unreadable_subject_is_told_as_none(subject: Any) -> None:
    assert parse(cnp(subject=subject)).subject is None


# -- the forerunners ---------------------------------------------------------------------------


def test_an_admin_network_policy() -> None:
    rule = {
        "action": "Allow",
        "to": [ALL],
        "ports": [
            {"portNumber": {"port": 53, "protocol": "UDP"}},
            {"portRange": {"start": 1, "end": 2}},
            {"namedPort": "web"},
        ],
    }
    policy = parse({"priority": 7, "subject": ALL, "egress": [rule]}, "AdminNetworkPolicy")
    assert (policy.tier, policy.order) == (ADMIN, 7)
    assert policy.rules[0].traffic == (
        PortRange(Protocol.UDP, 53, 53),
        PortRange(Protocol.TCP, 1, 2),
        NamedPort("web", None),
    )


def test_the_only_baseline_is_named_default() -> None:
    kind = "BaselineAdminNetworkPolicy"
    assert parse({"subject": ALL}, kind, "default").unreadable == ()
    assert "named `default`" in parse({"subject": ALL}, kind, "other").unreadable[0].reason


def test_a_baseline_cannot_pass() -> None:
    spec = {"subject": ALL, "ingress": [{"action": "Pass", "from": [ALL]}]}
    rules = parse(spec, "BaselineAdminNetworkPolicy", "default").rules
    assert [rule.action for rule in rules] == [Action.ALLOW, Action.DENY]
    assert all(rule.unreadable for rule in rules)


# -- profiles ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "enforced"),
    [
        (Profile(Cni.GENERIC), {"ClusterNetworkPolicy", "AdminNetworkPolicy"}),
        (Profile(Cni.OVN_KUBERNETES), {"AdminNetworkPolicy"}),
        (Profile(Cni.ANTREA), {"AdminNetworkPolicy"}),
        (Profile(Cni.CALICO), {"ClusterNetworkPolicy"}),
        (Profile(Cni.CALICO, version="v3.31.2"), {"AdminNetworkPolicy"}),
        (Profile(Cni.CALICO, version="v3.32.0"), {"ClusterNetworkPolicy"}),
        (Profile(Cni.CILIUM, cluster_network_policy=True), {"ClusterNetworkPolicy"}),
        (Profile(Cni.CILIUM, cluster_network_policy=False), set()),
        (Profile(Cni.CILIUM, version="1.19.4", cluster_network_policy=True), set()),
        (Profile(Cni.NONE), set()),
    ],
)
def test_which_kinds_a_profile_enforces(profile: Profile, enforced: set[str]) -> None:
    documents = [
        document("ClusterNetworkPolicy", cnp()),
        document("AdminNetworkPolicy", {"priority": 1, "subject": ALL}),
    ]
    parsed = dialects.parse(dialects.Context(profile, documents))
    assert {policy.kind for policy in parsed.policies} == enforced
    assert len(parsed.ignored) == 2 - len(enforced)


def test_cilium_may_or_may_not_enforce_what_its_configuration_does_not_tell() -> None:
    policy = parse(cnp(), cni=Cni.CILIUM)
    assert "enable-k8s-cluster-network-policy" in policy.unreadable[0].reason
