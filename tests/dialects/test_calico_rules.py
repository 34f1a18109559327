"""Calico's rules: every field, and what the API server would refuse."""

from typing import Any

import pytest

from dialects.calico_documents import policy, rule, rules
from ringfence.model.cluster import Backend, Protocol, Service, ServicePort
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, Wildcard, exact
from ringfence.model.location import Location
from ringfence.model.rule import (
    Action,
    AllPeers,
    AnyPeer,
    DomainPeer,
    FamilyPeer,
    IpPeer,
    LabelPeer,
    NamedPort,
    NotPeer,
    PodPeer,
    PortRange,
    Traffic,
)
from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    Operator,
    Requirement,
    equals,
    from_labels,
)

GLOBAL = "GlobalNetworkPolicy"
TCP, UDP, SCTP, ICMP = Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP


def is_(key: str, *values: str) -> LabelIs:
    return LabelIs(Requirement(key, Operator.IN, values))


OWN = is_("projectcalico.org/namespace", "shop")
NAMESPACED = LabelIs(Requirement("projectcalico.org/namespace", Operator.EXISTS))
A, C = is_("a", "b"), is_("c", "d")


def meant(source: Any, kind: str = "NetworkPolicy") -> LabelExpression:
    """Return the one expression that the source of a rule becomes."""
    peers = rule({"source": source}, kind=kind).peers
    assert peers
    (peer,) = peers
    assert isinstance(peer, LabelPeer)
    return peer.expression


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


# -- selectors: whom a rule means --------------------------------------------------------------


def test_a_selector_means_the_own_namespace() -> None:
    assert meant({"selector": "a == 'b'"}) == LabelAnd((OWN, A))
    assert meant({"selector": "all()"}) == LabelAnd((OWN, LabelAnd()))


def test_a_selector_of_a_policy_of_the_cluster_means_every_namespace() -> None:
    assert meant({"selector": "a == 'b'"}, GLOBAL) == A


def test_a_namespace_selector_means_those_namespaces() -> None:
    found = meant({"namespaceSelector": "c == 'd'", "selector": "a == 'b'"})
    assert found == LabelAnd((is_("pcns.c", "d"), A))
    assert meant({"namespaceSelector": "c == 'd'"}) == is_("pcns.c", "d")


@pytest.mark.parametrize("kind", ["NetworkPolicy", GLOBAL])
def test_all_as_namespace_selector_means_whatever_has_a_namespace(kind: str) -> None:
    assert meant({"namespaceSelector": "all()"}, kind) == NAMESPACED


@pytest.mark.parametrize("kind", ["NetworkPolicy", GLOBAL])
def test_global_as_namespace_selector_means_what_has_no_namespace(kind: str) -> None:
    found = meant({"namespaceSelector": "global()", "selector": "a == 'b'"}, kind)
    assert found == LabelAnd((LabelNot(NAMESPACED), A))


def test_a_not_selector_of_a_namespace_is_confined_to_it() -> None:
    assert meant({"notSelector": "a == 'b'"}) == LabelAnd((OWN, LabelNot(A)))


def test_a_not_selector_of_the_cluster_means_also_the_outside() -> None:
    found = rule({"source": {"notSelector": "a == 'b'"}}, kind=GLOBAL)
    assert found.peers == (NotPeer(LabelPeer(A)),)


def test_a_not_selector_beside_a_selector_takes_from_it() -> None:
    found = meant({"selector": "c == 'd'", "notSelector": "a == 'b'"}, GLOBAL)
    assert found == LabelAnd((C, LabelNot(A)))


def test_service_accounts_are_meant_by_name_and_by_label() -> None:
    names = {"serviceAccounts": {"names": ["y", "x"]}}
    both = {"serviceAccounts": {"names": ["x"], "selector": "c == 'd'"}}
    account = "projectcalico.org/serviceaccount"
    assert meant(names) == LabelAnd((OWN, is_(account, "x", "y")))
    assert meant(both, GLOBAL) == LabelAnd((is_("pcsa.c", "d"), is_(account, "x")))
    assert rule({"source": {"serviceAccounts": {}}}).peers is None


# -- nets --------------------------------------------------------------------------------------


def test_nets_are_any_of_them() -> None:
    found = rule({"source": {"nets": ["10.0.0.0/8", "192.168.0.0/16"]}})
    choice = AnyPeer((IpPeer("10.0.0.0/8"), IpPeer("192.168.0.0/16")))
    assert found.peers == (AllPeers((choice, FamilyPeer(4))),)


def test_not_nets_match_no_other_family() -> None:
    found = rule({"source": {"notNets": ["fd00::/8"]}})
    assert found.peers == (AllPeers((NotPeer(AnyPeer((IpPeer("fd00::/8"),))), FamilyPeer(6))),)


def test_nets_and_selectors_must_both_hold() -> None:
    found = rule({"source": {"nets": ["10.0.0.0/8"], "selector": "a == 'b'"}}, kind=GLOBAL)
    nets = AnyPeer((IpPeer("10.0.0.0/8"),))
    assert found.peers == (AllPeers((nets, LabelPeer(A), FamilyPeer(4))),)


def test_ip_version() -> None:
    assert rule({"ipVersion": 6}).peers == (FamilyPeer(6),)


# -- the subject's own end ---------------------------------------------------------------------


def test_what_an_ingress_rule_says_of_its_destination_is_of_the_subject() -> None:
    found = rule(
        {
            "protocol": "TCP",
            "destination": {"selector": "a == 'b'", "nets": ["10.0.0.0/8"], "ports": [80]},
        },
        kind=GLOBAL,
    )
    assert found.peers == (FamilyPeer(4),)
    assert found.subjects == AllPeers((AnyPeer((IpPeer("10.0.0.0/8"),)), LabelPeer(A)))
    assert found.traffic == (PortRange(TCP, 80, 80),)


def test_what_an_egress_rule_says_of_its_source_is_of_the_subject() -> None:
    found = rule({"source": {"selector": "a == 'b'"}}, "egress", GLOBAL)
    assert (found.peers, found.subjects) == (None, LabelPeer(A))


# -- protocols and ports -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "traffic"),
    [
        ("TCP", (PortRange(TCP),)),
        ("UDP", (PortRange(UDP),)),
        ("SCTP", (PortRange(SCTP),)),
        ("ICMP", (PortRange(ICMP, family=4),)),
        ("ICMPv6", (PortRange(ICMP, family=6),)),
        (6, (PortRange(TCP),)),
        ("17", (PortRange(UDP),)),
        (132, (PortRange(SCTP),)),
        (1, (PortRange(ICMP, family=4),)),
        (58, (PortRange(ICMP, family=6),)),
    ],
)
def test_protocols(protocol: Any, traffic: tuple[Traffic, ...]) -> None:
    assert rule({"protocol": protocol}).traffic == traffic
    assert rule({"notProtocol": protocol}).not_traffic == traffic


@pytest.mark.parametrize("protocol", ["UDPLite", 136, 47, 255])
def test_a_protocol_that_nobody_can_ask_for(protocol: Any) -> None:
    assert rule({"protocol": protocol}).traffic == ()
    excluded = rule({"notProtocol": protocol})
    assert (excluded.traffic, excluded.not_traffic) == (None, ())


def test_destination_ports_are_numbers_ranges_and_names() -> None:
    ports = [80, "81", "8000:8100", "http"]
    found = rule({"protocol": "UDP", "destination": {"ports": ports}})
    assert found.traffic == (
        PortRange(UDP, 80, 80),
        PortRange(UDP, 81, 81),
        PortRange(UDP, 8000, 8100),
        NamedPort("http", UDP),
    )


def test_not_ports_are_taken_away() -> None:
    found = rule({"protocol": "TCP", "destination": {"notPorts": [80, "http"]}})
    assert found.traffic == (PortRange(TCP),)
    assert found.not_traffic == (PortRange(TCP, 80, 80), NamedPort("http", TCP))


def test_names_alone_need_no_protocol_and_are_of_tcp() -> None:
    found = rule({"destination": {"ports": ["http"], "notPorts": ["dns"]}})
    assert found.traffic == (NamedPort("http", TCP),)
    assert found.not_traffic == (NamedPort("dns", TCP),)


@pytest.mark.parametrize("ports", [[1024], ["1:65534"], ["http"]])
def test_source_ports_cannot_be_asked_for(ports: Any) -> None:
    found = rule({"protocol": "TCP", "source": {"ports": ports}})
    assert "source port" in found.uncertain
    assert rule({"protocol": "TCP", "source": {"notPorts": ports}}).uncertain


def test_source_ports_that_cover_everything_say_nothing() -> None:
    ports = ["1:1023", 1024, "1000:65535"]
    assert rule({"protocol": "TCP", "source": {"ports": ports}}).uncertain == ""
    assert rule({"protocol": "TCP", "source": {"notPorts": ports}}).traffic == ()


# -- ICMP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("icmp", "first", "last"),
    [({}, 0, 65535), ({"type": 8}, 2048, 2303), ({"type": 3, "code": 4}, 772, 772)],
)
def test_icmp(icmp: Any, first: int, last: int) -> None:
    found = rule({"protocol": "ICMP", "icmp": icmp})
    assert found.traffic == (PortRange(ICMP, first, last, 4),)
    six = rule({"protocol": "ICMPv6", "icmp": icmp})
    assert six.traffic == (PortRange(ICMP, first, last, 6),)


def test_not_icmp_is_taken_away() -> None:
    found = rule({"protocol": "ICMP", "notICMP": {"type": 8}})
    assert found.not_traffic == (PortRange(ICMP, 2048, 2303, 4),)
    assert rule({"protocol": "ICMP", "notICMP": {}}).not_traffic == ()


def test_not_icmp_without_its_protocol_is_uncertain() -> None:
    assert "notICMP" in rule({"notICMP": {"type": 8}}).uncertain


# -- Services ----------------------------------------------------------------------------------

HERE = Location("s.yaml")
WEB = Service(
    "shop",
    "web",
    "ClusterIP",
    from_labels({"app": "web"}),
    (ServicePort(80, 8080), ServicePort(53, "dns", UDP)),
    HERE,
)
OUTSIDE = Service(
    "shop",
    "out",
    "ClusterIP",
    None,
    (ServicePort(80, 80),),
    HERE,
    backends=(
        Backend("203.0.113.5", (ServicePort(8080, 8080),)),
        Backend("203.0.113.6", (ServicePort(9090, 9090),)),
    ),
)
WEB_PODS = PodPeer(equals(**{"kubernetes.io/metadata.name": "shop"}), from_labels({"app": "web"}))


def test_a_service_as_destination_means_its_backends_at_their_ports() -> None:
    found = rule({"destination": {"services": {"name": "web"}}}, "egress", services=[WEB])
    assert found.peers == (WEB_PODS,)
    assert found.traffic == (PortRange(TCP, 8080, 8080), NamedPort("dns", UDP))


def test_a_service_as_destination_keeps_to_the_protocol_of_the_rule() -> None:
    written = {"protocol": "TCP", "destination": {"services": {"name": "web"}}}
    assert rule(written, "egress", services=[WEB]).traffic == (PortRange(TCP, 8080, 8080),)


def test_the_backends_of_a_service_without_selector_each_have_their_ports() -> None:
    found = rules({"destination": {"services": {"name": "out"}}}, "egress", services=[OUTSIDE])
    assert [(r.peers, r.traffic) for r in found] == [
        ((IpPeer("203.0.113.5/32"),), (PortRange(TCP, 8080, 8080),)),
        ((IpPeer("203.0.113.6/32"),), (PortRange(TCP, 9090, 9090),)),
    ]
    assert {r.path for r in found} == {("spec", "egress", 0)}


def test_a_service_as_source_means_its_addresses_alone() -> None:
    found = rule({"source": {"services": {"name": "web"}}}, services=[WEB])
    assert (found.peers, found.traffic) == ((WEB_PODS,), None)
    both = rule({"source": {"services": {"name": "out"}}}, services=[OUTSIDE])
    assert both.peers == (IpPeer("203.0.113.5/32"), IpPeer("203.0.113.6/32"))


def test_a_service_that_is_not_there_matches_nothing() -> None:
    assert rule({"destination": {"services": {"name": "no"}}}, "egress").peers == ()


def test_a_service_of_another_namespace() -> None:
    chosen = {"services": {"name": "web", "namespace": "shop"}}
    assert rule({"destination": chosen}, "egress", GLOBAL, [WEB]).peers == (WEB_PODS,)


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
