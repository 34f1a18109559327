"""What ztunnel makes of a rule: it reads no HTTP, and fails closed, open, or wider."""

from typing import Any

import pytest

from dialects.istio_documents import MTLS, TCP, ports, principal, ztunnel
from ringfence.model.layer7 import Form
from ringfence.model.rule import Action, AddressPeer, NotPeer, Rule

SHOP = principal(Form.REGEX, ".*/ns/shop/.*")
L7: list[dict[str, Any]] = [
    {"to": [{"operation": {"methods": ["GET"]}}]},
    {"to": [{"operation": {"notMethods": ["GET"]}}]},
    {"to": [{"operation": {"hosts": ["a"]}}]},
    {"to": [{"operation": {"notHosts": ["a"]}}]},
    {"to": [{"operation": {"paths": ["/a"]}}]},
    {"to": [{"operation": {"notPaths": ["/a"]}}]},
    {"from": [{"source": {"requestPrincipals": ["a"]}}]},
    {"from": [{"source": {"notRequestPrincipals": ["a"]}}]},
    {"from": [{"source": {"remoteIpBlocks": ["10.0.0.1"]}}]},
    {"from": [{"source": {"notRemoteIpBlocks": ["10.0.0.1"]}}]},
    {"from": [{"source": {"trustDomains": ["a"]}}]},
    {"when": [{"key": "request.headers[a]", "values": ["b"]}]},
    {"when": [{"key": "request.auth.claims[a]", "values": ["b"]}]},
    {"when": [{"key": "remote.ip", "values": ["10.0.0.1"]}]},
    {"when": [{"key": "connection.sni", "values": ["b"]}]},
    {"when": [{"key": "source.serviceAccount", "values": ["b"]}]},
]
"""Each says only what ztunnel does not read."""


def rules(rule: Any, action: str = "ALLOW") -> tuple[Rule, ...]:
    return ztunnel({"action": action, "rules": [rule]}).rules


def from_shop(**operation: Any) -> dict[str, Any]:
    return {
        "from": [{"source": {"namespaces": ["shop"]}}],
        "to": [{"operation": operation}],
    }


def test_it_reads_what_is_below_http() -> None:
    (rule,) = rules(
        {
            "from": [{"source": {"namespaces": ["shop"]}}, {"source": {"ipBlocks": ["10.0.0.1"]}}],
            "to": [{"operation": {"ports": ["80"]}}],
        }
    )[:1]
    assert (rule.peers, rule.layer7, rule.traffic) == ((SHOP,), (MTLS,), ports(80))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source.ip", "10.0.0.1"),
        ("source.namespace", "shop"),
        ("source.principal", "a"),
        ("destination.ip", "10.0.0.1"),
        ("destination.port", "80"),
    ],
)
def test_it_reads_five_keys_of_conditions(key: str, value: str) -> None:
    assert len(rules({"when": [{"key": key, "values": [value]}]})) == 1


@pytest.mark.parametrize("rule", L7)
def test_a_rule_that_allows_by_http_allows_nothing(rule: Any) -> None:
    assert rules(rule) == ()
    assert ztunnel({"rules": [rule]}).isolates, "and it still denies everything else"


@pytest.mark.parametrize("rule", L7)
def test_a_rule_that_denies_by_http_alone_denies_nothing(rule: Any) -> None:
    assert rules(rule, "DENY") == ()


def test_deny_from_a_namespace_by_method_without_a_port_fails_open() -> None:
    assert rules(from_shop(methods=["GET"]), "DENY") == ()


def test_deny_from_a_namespace_by_method_at_a_port_denies_all_of_it_there() -> None:
    (rule,) = rules(from_shop(methods=["GET"], ports=["80"]), "DENY")
    assert (rule.action, rule.peers, rule.traffic) == (Action.DENY, (SHOP,), ports(80))
    assert (rule.layer7, rule.not_layer7) == ((MTLS,), ())


def test_allow_from_a_namespace_by_method_at_a_port_allows_nothing() -> None:
    assert rules(from_shop(methods=["GET"], ports=["80"])) == ()


def test_a_condition_of_http_makes_a_rule_that_denies_void() -> None:
    rule = {**from_shop(ports=["80"]), "when": [{"key": "request.headers[a]", "values": ["b"]}]}
    assert rules(rule, "DENY") == ()


def test_an_operation_of_http_alone_is_passed_over_beside_one_with_a_port() -> None:
    rule = {"to": [{"operation": {"methods": ["GET"]}}, {"operation": {"ports": ["80"]}}]}
    (found,) = rules(rule, "DENY")
    assert found.traffic == ports(80)


def test_a_source_of_http_alone_is_passed_over_beside_another() -> None:
    rule = {
        "from": [
            {"source": {"requestPrincipals": ["*"]}},
            {"source": {"ipBlocks": ["10.0.0.1"], "remoteIpBlocks": ["10.0.0.2"]}},
        ]
    }
    (found,) = rules(rule, "DENY")
    assert found.peers == (AddressPeer("10.0.0.1/32"),)
    assert found.uncertain == ""


def test_what_proves_nothing_is_none_of_those_excluded() -> None:
    proved, plain = rules({"from": [{"source": {"notNamespaces": ["shop"]}}]}, "DENY")
    assert (proved.peers, proved.layer7) == ((NotPeer(SHOP),), (MTLS,))
    assert (plain.peers, plain.not_layer7, plain.traffic) == (None, (MTLS,), TCP)


def test_an_allow_rule_with_trust_domains_beside_others_may_be_wider_in_some_versions() -> None:
    source = {"namespaces": ["shop"], "trustDomains": ["a"]}
    (rule,) = rules({"from": [{"source": source}]})
    assert rule.peers == (SHOP,)
    assert rule.uncertain
    (rule,) = rules({"from": [{"source": source}]}, "DENY")
    assert (rule.peers, rule.uncertain) == ((SHOP,), "")


def test_what_cannot_be_understood_matches_perhaps() -> None:
    (rule,) = rules({"from": []} | {"pods": 1}, "DENY")
    assert rule.unreadable
    assert rule.action is Action.DENY
