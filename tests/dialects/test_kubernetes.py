"""NetworkPolicy to the common rule: defaults, validation, and where each CNI differs."""

from typing import Any

import pytest

from ringfence import dialects
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import Direction, IpPeer, NamedPort, PodPeer, Policy, PortRange
from ringfence.model.selector import EVERYTHING, from_labels

OWN = from_labels({"kubernetes.io/metadata.name": "shop"})
BOTH = (Direction.INGRESS, Direction.EGRESS)


def parse(spec: Any, cni: Cni = Cni.GENERIC, **extra: Any) -> Policy:
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec, **extra}
    document = Document("networking.k8s.io/v1", "NetworkPolicy", "shop", "p", body, "p.yaml")
    (policy,) = dialects.parse(dialects.Context(Profile(cni), [document])).policies
    return policy


def rule_of(rule: Any) -> Any:
    (parsed,) = parse({"podSelector": {}, "ingress": [rule]}).rules
    return parsed


# -- policyTypes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, (Direction.INGRESS,)),
        ({"ingress": []}, (Direction.INGRESS,)),
        ({"egress": []}, (Direction.INGRESS,)),
        ({"egress": None}, (Direction.INGRESS,)),
        ({"egress": [{}]}, BOTH),
        ({"policyTypes": ["Egress"]}, (Direction.EGRESS,)),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, (Direction.EGRESS,)),
        ({"policyTypes": []}, (Direction.INGRESS,)),
    ],
)
def test_policy_types_default(spec: dict[str, Any], expected: tuple[Direction, ...]) -> None:
    assert parse(spec).isolates == expected


def test_rules_of_an_unlisted_direction_are_ignored() -> None:
    assert parse({"policyTypes": ["Egress"], "ingress": [{}]}).rules == ()


def test_cilium_takes_rules_of_an_unlisted_direction() -> None:
    policy = parse({"policyTypes": ["Egress"], "ingress": [{}]}, Cni.CILIUM)
    assert policy.isolates == BOTH
    assert [rule.direction for rule in policy.rules] == [Direction.INGRESS]


# -- subjects and peers ------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [None, {}, {"podSelector": None}, {"podSelector": {}}])
def test_missing_and_empty_pod_selectors_select_the_whole_namespace(spec: Any) -> None:
    subject = parse(spec).subject
    assert subject == PodPeer(OWN, EVERYTHING)


@pytest.mark.parametrize("rule", [{}, {"from": []}, {"from": None}, {"ports": []}])
def test_missing_and_empty_lists_do_not_restrict(rule: Any) -> None:
    parsed = rule_of(rule)
    assert (parsed.peers, parsed.traffic) == (None, None)


def test_a_pod_selector_alone_means_the_own_namespace() -> None:
    rule = rule_of({"from": [{"podSelector": {}}]})
    assert rule.peers == (PodPeer(OWN, EVERYTHING),)


def test_a_namespace_selector_alone_means_all_its_pods() -> None:
    rule = rule_of({"from": [{"namespaceSelector": {}}]})
    assert rule.peers == (PodPeer(EVERYTHING, EVERYTHING),)


def test_both_selectors_in_one_item_are_anded_and_two_items_are_ored() -> None:
    pods, namespaces = {"matchLabels": {"a": "b"}}, {"matchLabels": {"c": "d"}}
    one = rule_of({"from": [{"podSelector": pods, "namespaceSelector": namespaces}]})
    two = rule_of({"from": [{"podSelector": pods}, {"namespaceSelector": namespaces}]})
    assert one.peers == (PodPeer(from_labels({"c": "d"}), from_labels({"a": "b"})),)
    assert len(two.peers) == 2


def test_a_cidr_with_host_bits_is_read_as_its_network() -> None:
    rule = rule_of({"from": [{"ipBlock": {"cidr": "10.1.2.3/8", "except": ["10.9.9.9/16"]}}]})
    assert rule.peers == (IpPeer("10.0.0.0/8", ("10.9.0.0/16",)),)


# -- ports -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({}, PortRange(Protocol.TCP)),
        ({"protocol": "UDP"}, PortRange(Protocol.UDP)),
        ({"port": 53}, PortRange(Protocol.TCP, 53, 53)),
        ({"port": 53.0}, PortRange(Protocol.TCP, 53, 53)),
        ({"port": 8000, "endPort": 8100}, PortRange(Protocol.TCP, 8000, 8100)),
        ({"port": "dns"}, NamedPort("dns", Protocol.TCP)),
        ({"port": "dns", "protocol": "UDP"}, NamedPort("dns", Protocol.UDP)),
    ],
)
def test_ports(port: Any, expected: Any) -> None:
    assert rule_of({"ports": [port]}).traffic == (expected,)


# -- what the API server would refuse ----------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "reason", "path"),
    [
        ({"frm": []}, "unknown field `frm`", ("frm",)),
        ({"from": {}}, "expected a list", ("from",)),
        ({"from": [{}]}, "a peer needs", ("from", 0)),
        ({"from": [{"podSelector": []}]}, "expected a map", ("from", 0, "podSelector")),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]},
            "stands alone",
            ("from", 0),
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]},
            "not a CIDR",
            ("from", 0, "ipBlock", "cidr"),
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]},
            "does not lie strictly inside",
            ("from", 0, "ipBlock", "except", 0),
        ),
        ({"ports": [{"port": 0}]}, "not between", ("ports", 0, "port")),
        ({"ports": [{"port": "80"}]}, "no port's name", ("ports", 0, "port")),
        ({"ports": [{"port": True}]}, "expected a whole number", ("ports", 0, "port")),
        ({"ports": [{"port": 80, "endPort": 79}]}, "not between", ("ports", 0, "endPort")),
        ({"ports": [{"port": "http", "endPort": 90}]}, "numeric port", ("ports", 0, "endPort")),
        ({"ports": [{"protocol": "tcp"}]}, "is none of", ("ports", 0, "protocol")),
        (
            {"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]},
            "needs values",
            ("from", 0, "podSelector", "matchExpressions", 0),
        ),
        (
            {"from": [{"podSelector": {"matchLabels": {"version": 1.0}}}]},
            "expected a string",
            ("from", 0, "podSelector", "matchLabels", "version"),
        ),
        (
            {"from": [{"podSelector": {"matchLabels": {"a b": "c"}}}]},
            "not a label's key",
            ("from", 0, "podSelector", "matchLabels", "a b"),
        ),
        (
            {"from": [{"podSelector": {"matchLabels": {"a": "-"}}}]},
            "not a label's value",
            ("from", 0, "podSelector", "matchLabels", "a"),
        ),
        (None, "expected a map", ()),
    ],
)
def test_a_rule_that_cannot_be_understood_is_kept_and_says_where(
    rule: Any, reason: str, path: tuple[str | int, ...]
) -> None:
    policy = parse({"podSelector": {}, "ingress": [{}, rule]})
    assert policy.rules[0].unreadable is None
    unreadable = policy.rules[1].unreadable
    assert unreadable is not None
    assert reason in unreadable.reason
    assert unreadable.path == ("spec", "ingress", 1, *path)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"podSelector": {}, "podSelecter": {}}, ("spec", "podSelecter")),
        ({"podSelector": {}, "policyTypes": ["ingress"]}, ("spec", "policyTypes", 0)),
        ({"podSelector": {}, "policyTypes": ["Ingress"] * 3}, ("spec", "policyTypes")),
        ({"podSelector": {}, "surprise": None}, ("spec", "surprise")),
        ({"podSelector": {}, "ingress": {}}, ("spec", "ingress")),
    ],
)
def test_what_stands_outside_a_rule_makes_the_policy_unreadable(
    spec: Any, path: tuple[str | int, ...]
) -> None:
    policy = parse(spec)
    assert policy.subject is not None
    assert [part.path for part in policy.unreadable] == [path]


def test_an_unreadable_subject_is_told_as_none() -> None:
    assert parse({"podSelector": {"matchLabel": {}}}).subject is None
    assert parse("all").subject is None


def test_an_unknown_top_level_field_makes_the_policy_unreadable() -> None:
    assert [part.path for part in parse({}, specs=[]).unreadable] == [("specs",)]


def test_nothing_is_enforced_under_profile_none() -> None:
    document = Document("networking.k8s.io/v1", "NetworkPolicy", "shop", "p", {}, "p.yaml", 3)
    parsed = dialects.parse(dialects.Context(Profile(Cni.NONE), [document]))
    assert parsed.policies == ()
    assert "has no effect" in parsed.ignored[0].message
    assert str(parsed.ignored[0].location) == "p.yaml:3"
