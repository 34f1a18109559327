"""Calico's rules: actions, HTTP, domains, and what the API server would refuse."""

from typing import Any

import pytest

from dialects.calico_documents import GLOBAL, policy, rule, rules
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, Wildcard, exact
from ringfence.model.rule import (
    Action,
    DomainPeer,
)

# -- actions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ("Allow", Action.ALLOW),
        ("Deny", Action.DENY),
        ("Pass", Action.PASS),
        ("Log", Action.LOG),
    ],
)
def test_actions(written: str, action: Action) -> None:
    assert rule({"action": written}).action is action


@pytest.mark.parametrize("action", ["allow", "Accept", "", None, 1])
def test_an_action_that_cannot_be_understood_may_be_any(action: Any) -> None:
    found = rules({"action": action})
    assert [r.action for r in found] == [Action.ALLOW, Action.DENY, Action.PASS]
    assert all(r.unreadable and r.unreadable.path[-1] == "action" for r in found)


def test_a_rule_that_says_nothing_means_everything() -> None:
    found = rule({"source": {}, "destination": {}})
    assert (found.peers, found.subjects, found.traffic, found.layer7) == (None, None, None, None)


def test_the_metadata_of_a_rule_changes_nothing() -> None:
    assert rule({"metadata": {"annotations": {"why": "because"}}}) == rule({})


# -- HTTP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        ({}, HttpMatch()),
        ({"methods": ["GET", "HEAD"]}, HttpMatch(methods=(exact("GET"), exact("HEAD")))),
        ({"methods": ["GET", "*"]}, HttpMatch()),
        ({"paths": [{"exact": "/a"}]}, HttpMatch(paths=(exact("/a"),))),
        ({"paths": [{"prefix": "/a"}]}, HttpMatch(paths=(Text(Form.SEGMENTS, "/a"),))),
        ({"paths": [{"prefix": "/"}]}, HttpMatch(paths=(Text(Form.SEGMENTS, "/"),))),
        ({"paths": [{"prefix": "/a/"}]}, HttpMatch(paths=(Text(Form.SEGMENTS, "/a"),))),
        ({"paths": [{"exact": "/a/../b"}]}, HttpMatch(paths=(exact("/b"),))),
        ({"paths": [{"prefix": "/%252e"}]}, HttpMatch(paths=())),
    ],
)
def test_http(http: Any, expected: HttpMatch) -> None:
    assert rule({"http": http}).layer7 == (Layer7(http=expected),)
    assert rule({"http": http, "protocol": "TCP"}).layer7 == (Layer7(http=expected),)


# -- domains -----------------------------------------------------------------------------------


def test_domains() -> None:
    found = rule({"destination": {"domains": ["Api.x.io.", "a.*.x.io"]}}, "egress")
    assert found.peers == tuple(
        DomainPeer(DomainPattern(name, Wildcard.COMPONENT)) for name in ("api.x.io", "a.*.x.io")
    )


# -- what the API server would refuse ----------------------------------------------------------


def selector(written: str) -> Any:
    return {"source": {"selector": written}}


@pytest.mark.parametrize(
    ("written", "reason", "path"),
    [
        ({"extra": 1}, "unknown field", ("extra",)),
        ({"source": {"net": "10.0.0.0/8"}}, "unknown field", ("source", "net")),
        ({"source": []}, "expected a map", ("source",)),
        (selector("a = 'b'"), "at column 3", ("source", "selector")),
        (selector("global()"), "stands alone", ("source", "selector")),
        (
            {"source": {"namespaceSelector": "global() || has(a)"}},
            "stands alone",
            ("source", "namespaceSelector"),
        ),
        ({"source": {"nets": ["10.0.0.1"]}}, "not a CIDR", ("source", "nets", 0)),
        ({"source": {"nets": ["10.0.0.1/8"]}}, "host bits", ("source", "nets", 0)),
        ({"source": {"nets": ["10.0.0.0/8", "fd00::/8"]}}, "both IP families", ("source",)),
        ({"source": {"notNets": ["0.0.0.0/0"]}}, "nothing is left", ("source", "notNets", 0)),
        (
            {"source": {"nets": ["10.0.0.0/8"]}, "destination": {"nets": ["fd00::/8"]}},
            "both IP families",
            (),
        ),
        ({"ipVersion": 5}, "neither 4 nor 6", ("ipVersion",)),
        ({"ipVersion": 6, "source": {"nets": ["10.0.0.0/8"]}}, "does not go", ("ipVersion",)),
        ({"ipVersion": 6, "protocol": "ICMP"}, "does not go", ("ipVersion",)),
        ({"ipVersion": 4, "notProtocol": "ICMPv6"}, "does not go", ("ipVersion",)),
        ({"protocol": "tcp"}, "neither a number", ("protocol",)),
        ({"protocol": 0}, "not between", ("protocol",)),
        ({"protocol": 256}, "not between", ("protocol",)),
        ({"destination": {"ports": [80]}}, "need the protocol", ("destination", "ports")),
        (
            {"protocol": "ICMP", "source": {"notPorts": ["http"]}},
            "need the protocol",
            ("source", "notPorts"),
        ),
        ({"protocol": "TCP", "destination": {"ports": [0]}}, "not between", None),
        ({"protocol": "TCP", "destination": {"ports": ["90:80"]}}, "not between", None),
        ({"protocol": "TCP", "destination": {"ports": ["Http"]}}, "no port", None),
        ({"protocol": "TCP", "destination": {"ports": [None]}}, "expected a port", None),
        ({"protocol": "TCP", "destination": {"ports": [True]}}, "expected a port", None),
        ({"icmp": {"type": 8}}, "needs the protocol ICMP", ("icmp",)),
        ({"protocol": "ICMP", "icmp": {"code": 1}}, "needs a type", ("icmp",)),
        ({"protocol": "ICMP", "icmp": {"type": 255}}, "not between", ("icmp", "type")),
        ({"protocol": "ICMP", "notICMP": {"typ": 1}}, "unknown field", ("notICMP", "typ")),
        ({"http": {}, "action": "Deny"}, "rules that allow", ("http",)),
        ({"http": {}, "protocol": "UDP"}, "needs the protocol TCP", ("http",)),
        ({"http": {"methods": ["GET", "GET"]}}, "twice", ("http", "methods")),
        ({"http": {"paths": [{}]}}, "exactly one", ("http", "paths", 0)),
        ({"http": {"paths": [{"exact": "/a", "prefix": "/b"}]}}, "exactly one", None),
        ({"http": {"paths": [{"exact": "a"}]}}, "must begin", ("http", "paths", 0, "exact")),
        ({"http": {"paths": [{"exact": "/a?b"}]}}, "must begin", None),
        ({"http": {"hosts": ["x"]}}, "unknown field", ("http", "hosts")),
        (
            {"source": {"services": {"name": "web"}, "selector": "all()"}},
            "do not go together",
            ("source", "selector"),
        ),
        ({"source": {"services": {}}}, "may not be empty", ("source", "services", "name")),
        ({"destination": {"services": {"name": "x"}}}, "other end", ("destination", "services")),
        ({"destination": {"domains": ["x.io"]}}, "egress rule", ("destination",)),
        ({"source": {"domains": ["x.io"]}}, "egress rule", ()),
        ({"source": {"serviceAccounts": {"name": "x"}}}, "unknown field", None),
        ({"source": {"serviceAccounts": {"names": [""]}}}, "may not be empty", None),
        ({"metadata": {"labels": {}}}, "unknown field", ("metadata", "labels")),
        ({"metadata": {"annotations": {"a": 1}}}, "expected a string", None),
    ],
)
def test_a_rule_that_cannot_be_understood_is_kept_and_says_where(
    written: Any, reason: str, path: tuple[str | int, ...] | None
) -> None:
    first, found = policy({"ingress": [{"action": "Allow"}, {"action": "Allow", **written}]}).rules
    assert first.unreadable is None
    assert found.unreadable
    assert reason in found.unreadable.reason
    assert found.unreadable.path[:3] == ("spec", "ingress", 1)
    if path is not None:
        assert found.unreadable.path[3:] == path


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ({"http": {}}, "ingress rules"),
        ({"source": {"services": {"name": "x"}}}, "other end"),
        ({"destination": {"domains": ["x.io"]}, "action": "Deny"}, "that allows"),
        ({"destination": {"domains": ["*.*.io"]}}, "not a domain name"),
        ({"destination": {"domains": ["x*.io"]}}, "not a domain name"),
        ({"destination": {"domains": ["x.io"], "nets": ["10.0.0.0/8"]}}, "do not go together"),
        (
            {"protocol": "TCP", "destination": {"services": {"name": "x"}, "ports": [80]}},
            "its own ports",
        ),
    ],
)
def test_an_egress_rule_that_cannot_be_understood(written: Any, reason: str) -> None:
    (found,) = rules(written, "egress")
    assert found.unreadable
    assert reason in found.unreadable.reason


def test_a_policy_of_the_cluster_must_say_the_namespace_of_a_service() -> None:
    (found,) = rules({"source": {"services": {"name": "web"}}}, kind=GLOBAL)
    assert found.unreadable
    assert "namespace" in found.unreadable.reason


@pytest.mark.parametrize("rule", [None, "Allow", []])
def test_a_rule_that_is_no_map(rule: Any) -> None:
    found = policy({"ingress": [rule]}).rules
    assert all(r.unreadable and r.unreadable.path == ("spec", "ingress", 0) for r in found)
