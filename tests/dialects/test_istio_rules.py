"""What Envoy makes of a rule: over mTLS or not, on HTTP or TCP."""

from typing import Any

import pytest

from dialects.istio_documents import (
    HTTP,
    MTLS,
    ON_DETECTED,
    ON_HTTP,
    ON_TCP,
    TCP,
    envoy,
    http,
    operation,
    ports,
    principal,
    rules,
    source,
    when,
)
from ringfence.model.layer7 import Form, HeaderMatch, HttpMatch, Layer7, Text, exact
from ringfence.model.rule import (
    Action,
    AddressPeer,
    AllPeers,
    AnyPeer,
    Chain,
    ChainPort,
    NotPeer,
    Rule,
)

SHOP = principal(Form.REGEX, ".*/ns/shop/.*")
EVIL = principal(Form.REGEX, ".*/ns/evil/.*")
GET = (exact("GET"),)


def only(found: tuple[Rule, ...]) -> Rule:
    (rule,) = found
    return rule


# -- identities ------------------------------------------------------------------------------------


def test_a_peer_that_proves_nothing_is_none_that_an_identity_is_demanded_of() -> None:
    rule = only(source(namespaces=["shop"]))
    assert rule.peers == (SHOP,)
    assert rule.layer7 == (MTLS,)


def test_a_peer_that_proves_nothing_is_none_of_those_excluded() -> None:
    proved, plain = source(notNamespaces=["shop"])
    assert (proved.peers, proved.layer7, proved.not_layer7) == ((NotPeer(SHOP),), (MTLS,), ())
    assert (plain.peers, plain.layer7, plain.not_layer7) == (None, None, (MTLS,))


def test_deny_whoever_has_no_principal_demands_mtls() -> None:
    rule = only(source("DENY", notPrincipals=["*"]))
    assert (rule.peers, rule.layer7, rule.not_layer7) == (None, None, (MTLS,))


def test_any_principal_is_any_peer_over_mtls() -> None:
    rule = only(source(principals=["*"]))
    assert (rule.peers, rule.layer7) == (None, (MTLS,))


def test_all_fields_of_a_source_must_hold() -> None:
    rule = only(source(namespaces=["shop"], notNamespaces=["evil"], ipBlocks=["10.0.0.0/8"]))
    assert rule.peers == (AllPeers((SHOP, NotPeer(EVIL), AddressPeer("10.0.0.0/8"))),)


def test_of_several_sources_one_must_hold() -> None:
    rule = only(
        rules(
            {"from": [{"source": {"namespaces": ["shop"]}}, {"source": {"namespaces": ["evil"]}}]}
        )
    )
    assert rule.peers == (SHOP, EVIL)


def test_of_several_values_one_must_hold() -> None:
    assert only(source(namespaces=["shop", "evil"])).peers == (SHOP, EVIL)
    proved, _ = source(notNamespaces=["shop", "evil"])
    assert proved.peers == (NotPeer(AnyPeer((SHOP, EVIL))),)


def test_a_condition_of_identity_is_as_a_field() -> None:
    assert when("source.namespace", "shop") == source(namespaces=["shop"])
    assert when("source.principal", "a") == source(principals=["a"])
    assert when("source.serviceAccount", "a") == source(serviceAccounts=["a"])
    assert when("source.namespace", notValues=["shop"]) == source(notNamespaces=["shop"])


def test_all_conditions_must_hold() -> None:
    found = only(
        rules(
            {
                "from": [{"source": {"namespaces": ["shop"]}}],
                "when": [
                    {"key": "source.ip", "values": ["10.0.0.1"], "notValues": ["10.0.0.2"]},
                    {"key": "destination.port", "values": ["80", "81"], "notValues": ["81"]},
                ],
            }
        )
    )
    blocks = AddressPeer("10.0.0.1/32"), NotPeer(AddressPeer("10.0.0.2/32"))
    assert found.peers == (AllPeers((SHOP, *blocks)),)
    assert found.traffic == ports(80)


# -- addresses and ports ---------------------------------------------------------------------------


def test_blocks_are_addresses_of_whoever() -> None:
    assert only(source(ipBlocks=["10.0.0.7/8", "fd00::1"])).peers == (
        AddressPeer("10.0.0.0/8"),
        AddressPeer("fd00::1/128"),
    )
    assert only(source(notIpBlocks=["10.0.0.0/8"])).peers == (NotPeer(AddressPeer("10.0.0.0/8")),)


def test_ports_are_numbers() -> None:
    assert only(operation(ports=["80", "0443"])).traffic == ports(80, 443)
    rule = only(operation(notPorts=["80"]))
    assert (rule.traffic, rule.not_traffic) == (TCP, ports(80))


def test_a_rule_for_no_port_is_none() -> None:
    assert operation(ports=["80"], notPorts=["80"]) == ()
    assert (
        rules(
            {
                "to": [{"operation": {"ports": ["80"]}}],
                "when": [{"key": "destination.port", "values": ["81"]}],
            }
        )
        == ()
    )


def test_the_address_of_the_destination_is_the_subjects() -> None:
    assert only(when("destination.ip", "10.0.0.1")).subjects == AddressPeer("10.0.0.1/32")


def test_whence_a_request_comes_is_open_on_http_and_the_peers_address_on_tcp() -> None:
    for found in (source(remoteIpBlocks=["10.0.0.0/8"]), when("remote.ip", "10.0.0.0/8")):
        at_http, on_http, on_tcp, on_detected = found
        assert at_http.uncertain
        assert on_http.uncertain
        assert at_http.peers is on_http.peers is None
        assert (at_http.layer7, on_http.layer7) == (None, (HTTP,))
        assert at_http.not_traffic == (ChainPort(Chain.HTTP, others=True),)
        assert on_http.not_traffic == ON_DETECTED
        assert on_tcp.peers == on_detected.peers == (AddressPeer("10.0.0.0/8"),)
        assert (on_tcp.not_traffic, on_detected.not_traffic) == (ON_TCP, ON_DETECTED)
        assert on_detected.not_layer7 == (HTTP,)


# -- HTTP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"methods": ["GET", "P*"]}, HttpMatch(methods=(*GET, Text(Form.PREFIX, "P")))),
        ({"paths": ["/a", "*.js"]}, HttpMatch(paths=(exact("/a"), Text(Form.SUFFIX, ".js")))),
        (
            {"methods": ["GET"], "paths": ["/a"]},
            HttpMatch(methods=GET, paths=(exact("/a"),)),
        ),
        ({"methods": ["*"]}, HttpMatch(methods=(Text(Form.PREFIX, ""),))),
    ],
)
def test_all_fields_of_an_operation_must_hold_and_one_value_of_each(
    fields: Any, expected: HttpMatch
) -> None:
    assert only(operation(**fields)).layer7 == (Layer7(http=expected),)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"notMethods": ["GET"]}, http(methods=GET)),
        ({"notPaths": ["/a"]}, http(paths=(exact("/a"),))),
        ({"notHosts": ["10.0.0.1"]}, http(hosts=(exact("10.0.0.1"),))),
    ],
)
def test_what_is_excluded_is_taken_from_all_http(fields: Any, expected: Layer7) -> None:
    rule = only(operation(**fields))
    assert (rule.layer7, rule.not_layer7) == ((HTTP,), (expected,))


def test_of_a_header_one_value_must_hold() -> None:
    rule = only(when("request.headers[X-A]", "1", "b*"))
    assert rule.layer7 == (
        http(headers=(HeaderMatch("x-a", exact("1")),)),
        http(headers=(HeaderMatch("x-a", Text(Form.PREFIX, "b")),)),
    )


def test_a_star_means_that_a_header_is_there_be_it_empty() -> None:
    assert only(when("request.headers[x]", "*")).layer7 == (http(headers=(HeaderMatch("x"),)),)


def test_a_header_that_is_excluded_may_be_missing() -> None:
    rule = only(when("request.headers[x]", notValues=["1", "*"]))
    assert rule.layer7 == (HTTP,)
    assert rule.not_layer7 == (
        http(headers=(HeaderMatch("x", exact("1")),)),
        http(headers=(HeaderMatch("x"),)),
    )


def test_all_headers_must_hold() -> None:
    found = only(
        rules(
            {
                "when": [
                    {"key": "request.headers[a]", "values": ["1", "2"]},
                    {"key": "request.headers[b]", "values": ["3"]},
                ]
            }
        )
    )
    assert found.layer7 == tuple(
        http(headers=(HeaderMatch("a", exact(value)), HeaderMatch("b", exact("3"))))
        for value in ("1", "2")
    )


@pytest.mark.parametrize("name", ["host", ":authority", ":path", ":method", ":scheme"])
def test_a_header_that_is_of_the_request_line_is_left_open(name: str) -> None:
    assert only(when(f"request.headers[{name}]", "x")).uncertain


@pytest.mark.parametrize(
    "found",
    [
        source(requestPrincipals=["*"]),
        source(notRequestPrincipals=["*"]),
        when("request.auth.principal", "a"),
        when("request.auth.audiences", "a"),
        when("request.auth.presenter", "a"),
        when("request.auth.claims[a][b]", "c"),
    ],
)
def test_a_token_decides_and_no_question_has_one(found: tuple[Rule, ...]) -> None:
    rule = only(found)
    assert "token" in rule.uncertain
    assert (rule.layer7, rule.not_traffic) == ((HTTP,), ON_HTTP)


@pytest.mark.parametrize(
    "key", ["connection.sni", "experimental.envoy.filters.network.mysql_proxy[db.t]"]
)
def test_what_other_parts_of_envoy_note_is_left_open_on_tcp_too(key: str) -> None:
    rule = only(when(key, "x"))
    assert rule.uncertain
    assert (rule.layer7, rule.not_traffic) == (None, ())


# -- HTTP fields on TCP ----------------------------------------------------------------------------


def test_an_allow_rule_with_a_field_of_http_is_dropped_on_tcp() -> None:
    rule = only(operation(methods=["GET"]))
    assert (rule.not_traffic, rule.layer7) == (ON_HTTP, (http(methods=GET),))


def test_an_allow_rule_is_dropped_on_tcp_with_all_that_is_beside_that_field() -> None:
    found = rules({"to": [{"operation": {"methods": ["GET"]}}, {"operation": {"ports": ["5432"]}}]})
    assert [rule.not_traffic for rule in found] == [ON_HTTP, ON_HTTP]
    assert found[1].layer7 == (HTTP,)
    assert found[1].traffic == ports(5432)


@pytest.mark.parametrize(
    ("action", "does"),
    [("DENY", Action.DENY), ("AUDIT", Action.LOG)],
)
def test_what_denies_or_audits_is_wider_on_tcp(action: str, does: Action) -> None:
    of_http, on_tcp, of_no_http = operation(action, methods=["GET"], ports=["80"])
    assert {rule.action for rule in (of_http, on_tcp, of_no_http)} == {does}
    # On TCP all is meant, and so this, too: it holds however the port is read.
    assert (of_http.layer7, of_http.not_traffic) == ((http(methods=GET),), ())
    assert (on_tcp.layer7, on_tcp.not_traffic, on_tcp.traffic) == (None, ON_TCP, ports(80))
    assert (of_no_http.layer7, of_no_http.not_traffic) == (None, (ChainPort(Chain.HTTP),))
    assert of_no_http.not_layer7 == (HTTP,)


def test_a_denied_token_denies_all_tcp() -> None:
    on_http, on_tcp, _ = source("DENY", notRequestPrincipals=["*"])
    assert on_http.uncertain
    assert (on_tcp.uncertain, on_tcp.peers, on_tcp.layer7) == ("", None, None)


def test_of_a_rule_that_denies_what_has_no_field_of_http_is_the_same_on_all_ports() -> None:
    found = rules(
        {"to": [{"operation": {"methods": ["GET"]}}, {"operation": {"ports": ["5432"]}}]}, "DENY"
    )
    assert found[-1].traffic == ports(5432)
    assert (found[-1].not_traffic, found[-1].layer7) == ((), None)


def test_http_over_mtls_is_both() -> None:
    found = rules(
        {
            "from": [{"source": {"namespaces": ["shop"]}}],
            "to": [{"operation": {"methods": ["GET"], "notPaths": ["/a"]}}],
        }
    )
    rule = only(found)
    assert rule.layer7 == (Layer7(http=HttpMatch(methods=GET), mtls=True),)
    assert rule.not_layer7 == (http(paths=(exact("/a"),)),)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        None,
        [],
        {"of": []},
        {"from": {}},
        {"from": [{}]},
        {"from": [None]},
        {"from": [{"source": {}}]},
        {"from": [{"source": {"principals": []}}]},
        {"from": [{"source": {"pods": ["a"]}}]},
        {"from": [{"source": {"principals": "a"}}]},
        {"from": [{"source": {"principals": [""]}}]},
        {"from": [{"source": {"principals": [1]}}]},
        {"from": [{"source": {"ipBlocks": ["10.0.0.0/33"]}}]},
        {"from": [{"source": {"ipBlocks": ["10.0.0.0/08"]}}]},
        {"from": [{"source": {"ipBlocks": ["ten"]}}]},
        {"from": [{"source": {"namespaces": ["a("]}}]},
        {"from": [{"source": {"serviceAccounts": ["a*"]}}]},
        {"from": [{"source": {"serviceAccounts": ["a/b/c"]}}]},
        {"from": [{"source": {"serviceAccounts": ["/b"]}}]},
        {"from": [{"source": {"serviceAccounts": ["a/"]}}]},
        {"from": [{"source": {"serviceAccounts": ["a"] * 17}}]},
        {"from": [{"source": {"serviceAccounts": ["a"], "namespaces": ["b"]}}]},
        {"from": [{"source": {"serviceAccounts": ["a"], "notPrincipals": ["b"]}}]},
        {"to": [{}]},
        {"to": [{"operation": {}}]},
        {"to": [{"operation": {"ports": [80]}}]},
        {"to": [{"operation": {"ports": ["65536"]}}]},
        {"to": [{"operation": {"ports": ["http"]}}]},
        {"to": [{"operation": {"ports": ["-1"]}}]},
        {"to": [{"operation": {"verbs": ["GET"]}}]},
        {"to": [{"operation": {"paths": ["/{a}"]}}]},
        {"to": [{"operation": {"paths": ["/{**}/{*}"]}}]},
        {"when": [{"key": "source.ip"}]},
        {"when": [{"key": "", "values": ["a"]}]},
        {"when": [{"values": ["a"]}]},
        {"when": [{"key": "source.ip", "values": ["ten"]}]},
        {"when": [{"key": "destination.port", "values": ["x"]}]},
        {"when": [{"key": "destination.labels[a]", "values": ["b"]}]},
        {"when": [{"key": "destination.name", "values": ["b"]}]},
        {"when": [{"key": "request.headers", "values": ["b"]}]},
        {"when": [{"key": "request.headers[]", "values": ["b"]}]},
        {"when": [{"key": "request.auth.claims", "values": ["b"]}]},
        {"when": [{"key": "experimental.envoy.filters.", "values": ["b"]}]},
        {"when": [{"key": "source.weather", "values": ["b"]}]},
        {"when": [{"key": "source.ip", "values": ["10.0.0.1"], "unless": []}]},
    ],
)
@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_what_cannot_be_understood_of_a_rule_matches_perhaps(rule: Any, action: str) -> None:
    found = only(rules(rule, action))
    assert found.unreadable is not None
    assert found.unreadable.path[:3] == ("spec", "rules", 0)
    assert found.action.value == action.lower()


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{"source": {"namespaces": ["a"]}}]},
        {"from": [{"source": {"notPrincipals": ["a"]}}]},
        {"from": [{"source": {"requestPrincipals": ["a"]}}]},
        {"when": [{"key": "source.principal", "values": ["a"]}]},
        {"when": [{"key": "request.auth.claims[a]", "values": ["a"]}]},
    ],
)
def test_a_custom_rule_says_nothing_of_identities(rule: Any) -> None:
    spec = {"action": "CUSTOM", "provider": {"name": "x"}, "rules": [rule]}
    assert only(envoy(spec).rules).unreadable
