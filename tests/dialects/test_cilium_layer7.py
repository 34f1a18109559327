"""What Cilium's rules say above the port."""

from typing import Any

import pytest

from dialects.cilium_documents import CCNP, policy, refused_rule, rule, rules
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HeaderMatch,
    HttpMatch,
    Layer7,
    Text,
    Wildcard,
    exact,
)
from ringfence.model.rule import PortRange, Rule

WEB_PORT = {"port": "80", "protocol": "TCP"}
TLS_SECRET = {"secret": {"name": "s", "namespace": "n"}}


def item(**fields: Any) -> dict[str, Any]:
    return {"toPorts": [{"ports": [WEB_PORT], **fields}]}


def http(*matches: Any) -> dict[str, Any]:
    return item(rules={"http": list(matches)})


def dns(*names: Any, **port: Any) -> dict[str, Any]:
    return {"toPorts": [{"ports": [{"port": "53", **port}], "rules": {"dns": list(names)}}]}


def match(written: Any) -> HttpMatch:
    (box,) = rule("ingress", http(written)).layer7 or ()
    assert box.http
    return box.http


def pattern(written: str) -> DomainPattern:
    return DomainPattern(written, Wildcard.CILIUM)


# -- http --------------------------------------------------------------------------------------


def test_no_rules_are_no_limit() -> None:
    everything: tuple[dict[str, Any], ...] = ({}, {"rules": {}}, {"rules": {"http": []}})
    for fields in everything:
        found = rule("ingress", item(**fields))
        assert (found.layer7, found.parser) == (None, "")


def test_method_path_and_host_are_regular_expressions() -> None:
    found = match({"method": "GET|PUT", "path": "/v[0-9]+/.*", "host": "a|b"})
    assert found == HttpMatch(
        methods=(Text(Form.REGEX, "GET|PUT"),),
        paths=(Text(Form.REGEX, "/v[0-9]+/.*"),),
        hosts=(Text(Form.REGEX, "a|b"),),
    )


def test_they_are_written_in_the_simplest_form() -> None:
    assert match({"method": "GET", "path": "/public/.*"}) == HttpMatch(
        methods=(exact("GET"),), paths=(Text(Form.PREFIX, "/public/"),)
    )


def test_empty_fields_are_no_limit_but_it_must_be_http() -> None:
    assert match({"method": "", "path": ""}) == HttpMatch()


def test_several_http_rules_are_alternatives() -> None:
    found = rule("ingress", http({"method": "GET"}, {"path": "/a"}))
    assert found.layer7 == (
        Layer7(http=HttpMatch(methods=(exact("GET"),))),
        Layer7(http=HttpMatch(paths=(exact("/a"),))),
    )
    assert found.parser == "http"


@pytest.mark.parametrize("key", ["path", "method", "host"])
def test_an_invalid_regular_expression_is_refused(key: str) -> None:
    assert "no regular expression" in refused_rule("ingress", http({key: "a(b"}))
    assert "no regular expression" in refused_rule("ingress", http({key: "(?=a)b"}))


def test_headers_with_a_value_or_only_there() -> None:
    found = match({"headers": ["X-Token: a b", "X-Trace", "X-Odd:1"]})
    assert found.headers == (
        HeaderMatch("x-odd:1"),
        HeaderMatch("x-token", exact("a b")),
        HeaderMatch("x-trace"),
    )


def test_header_matches() -> None:
    found = match({"headerMatches": [{"name": "X-A", "value": "1"}, {"name": "x-b"}]})
    assert found.headers == (HeaderMatch("x-a", exact("1")), HeaderMatch("x-b"))


@pytest.mark.parametrize("action", ["LOG", "ADD", "DELETE", "REPLACE"])
def test_a_header_match_with_an_action_matches_all_the_same(action: str) -> None:
    assert (
        match({"headerMatches": [{"name": "x", "value": "1", "mismatch": action}]}) == HttpMatch()
    )


def test_a_header_whose_value_is_in_a_secret_matches_perhaps() -> None:
    secret = {"method": "PUT", "headerMatches": [{"name": "X", "secret": {"name": "s"}}]}
    certain, perhaps = rules("ingress", http({"method": "GET"}, secret))
    assert certain.layer7 == (Layer7(http=HttpMatch(methods=(exact("GET"),))),)
    assert perhaps.layer7 == (
        Layer7(http=HttpMatch(methods=(exact("PUT"),), headers=(HeaderMatch("x"),))),
    )
    assert (certain.uncertain, "secret" in perhaps.uncertain) == ("", True)


@pytest.mark.parametrize(
    "header", [{}, {"name": ""}, {"name": "x", "mismatch": "DROP"}, {"name": "x", "secret": {}}]
)
def test_invalid_header_matches_are_refused(header: Any) -> None:
    assert refused_rule("ingress", http({"headerMatches": [header]}))


@pytest.mark.parametrize("port", [{"port": "80"}, {"port": "80", "protocol": "UDP"}])
def test_http_is_of_tcp_alone(port: Any) -> None:
    written = {"toPorts": [{"ports": [port], "rules": {"http": [{}]}}]}
    assert "need protocol TCP" in refused_rule("ingress", written)


def test_rules_need_a_port() -> None:
    every = {"toPorts": [{"ports": [{"port": "0", "protocol": "TCP"}], "rules": {"http": [{}]}}]}
    assert "other than 0" in refused_rule("ingress", every)


def test_one_kind_of_rules() -> None:
    both = item(rules={"http": [{}], "dns": [{"matchPattern": "*"}]})
    assert "exactly one kind" in refused_rule("egress", both)


def test_rules_that_deny_have_no_layer_7() -> None:
    assert "unknown field `rules`" in refused_rule("ingressDeny", http({}))


# -- dns ---------------------------------------------------------------------------------------


def test_dns_names_and_patterns() -> None:
    found = rule("egress", dns({"matchName": "A.io"}, {"matchPattern": "*.b.io"}))
    assert found.layer7 == (Layer7(dns=(pattern("a.io"), pattern("*.b.io"))),)
    assert found.parser == "dns"


def test_dns_is_of_tcp_and_udp() -> None:
    every = {"matchPattern": "*"}
    assert rule("egress", dns(every)).traffic == (
        PortRange(Protocol.TCP, 53, 53),
        PortRange(Protocol.UDP, 53, 53),
    )
    assert rule("egress", dns(every, protocol="SCTP")).traffic == ()


def test_dns_is_for_egress_on_single_ports() -> None:
    assert "egress only" in refused_rule("ingress", dns({"matchPattern": "*"}))
    assert "no range" in refused_rule("egress", dns({"matchPattern": "*"}, endPort=54))
    without = {"toPorts": [{"rules": {"dns": [{"matchPattern": "*"}]}}]}
    assert "need a port" in refused_rule("egress", without)


# -- tls ---------------------------------------------------------------------------------------


def test_server_names() -> None:
    found = rule("egress", item(serverNames=["A.io", "*.b.io"]))
    assert found.layer7 == (Layer7(server_names=(pattern("a.io"), pattern("*.b.io"))),)
    assert found.parser == "tls"


def test_server_names_are_of_tcp_alone() -> None:
    found = rule("egress", {"toPorts": [{"ports": [{"port": "443"}], "serverNames": ["a.io"]}]})
    assert found.traffic == (PortRange(Protocol.TCP, 443, 443),)


def test_server_names_with_http_need_termination() -> None:
    fields = {"serverNames": ["a.io"], "rules": {"http": [{"method": "GET"}]}}
    assert "TLS is terminated" in refused_rule("egress", item(**fields))
    found = rule("egress", item(**fields, terminatingTLS=TLS_SECRET))
    assert found.layer7 == (
        Layer7(http=HttpMatch(methods=(exact("GET"),)), server_names=(pattern("a.io"),)),
    )
    assert found.parser == "http"


@pytest.mark.parametrize("names", [[""], ["a b"], [1]])
def test_invalid_server_names_are_refused(names: Any) -> None:
    assert refused_rule("egress", item(serverNames=names))


@pytest.mark.parametrize("key", ["terminatingTLS", "originatingTLS"])
def test_tls_contexts(key: str) -> None:
    found = rule("egress", item(**{key: TLS_SECRET}))
    assert (found.layer7, found.parser) == (None, "tls")
    assert refused_rule("egress", item(**{key: {"trustedCA": "x"}}))


# -- listeners, other protocols ----------------------------------------------------------------

LISTENER = {"name": "l", "envoyConfig": {"kind": "CiliumEnvoyConfig", "name": "e"}}


def test_a_listener_decides_itself() -> None:
    found = rule("egress", item(listener=LISTENER))
    assert (found.layer7, found.parser) == (None, "crd")
    assert "listener" in found.uncertain


def test_a_listener_is_for_egress_without_rules_and_of_the_policys_scope() -> None:
    assert "egress only" in refused_rule("ingress", item(listener=LISTENER))
    assert "without rules" in refused_rule("egress", item(listener=LISTENER, rules={"http": [{}]}))
    assert "clusterwide listener" in refused_rule("egress", item(listener=LISTENER), kind=CCNP)


@pytest.mark.parametrize(
    "fields",
    [{"kafka": [{"topic": "t"}]}, {"l7proto": "redis", "l7": [{"command": "get"}]}],
)
def test_other_protocols_match_perhaps_until_1_20(fields: Any) -> None:
    found = rule("ingress", item(rules=fields), version="1.19.4")
    assert found.uncertain
    assert found.parser in ("kafka", "redis")
    assert "unknown field" in refused_rule("ingress", item(rules=fields))


def test_rules_of_no_protocol_are_refused() -> None:
    assert "exactly one kind" in refused_rule(
        "ingress", item(rules={"l7": [{"a": "b"}]}), version="1.18.0"
    )


# -- authentication ----------------------------------------------------------------------------


def authenticated(mode: Any, **fields: Any) -> Rule:
    return rule("ingress", {"fromEndpoints": [{}], "authentication": {"mode": mode}, **fields})


def test_authentication_required() -> None:
    assert authenticated("required").layer7 == (Layer7(authenticated=True),)
    found = authenticated("required", **http({"method": "GET"}))
    assert found.layer7 == (Layer7(http=HttpMatch(methods=(exact("GET"),)), authenticated=True),)


def test_authentication_disabled_is_no_limit() -> None:
    assert authenticated("disabled").layer7 is None


def test_authentication_that_always_fails_allows_nothing() -> None:
    assert authenticated("test-always-fail").layer7 == ()
    assert authenticated("test-always-fail", **http({})).layer7 == ()


def test_authentication_of_rules_that_allow() -> None:
    assert "is none of" in refused_rule("ingress", {"authentication": {"mode": "maybe"}})
    assert "unknown field" in refused_rule("ingressDeny", {"authentication": {"mode": "required"}})


# -- without default deny ----------------------------------------------------------------------


def confines(written: Any, version: str = "", *, deny: bool = False) -> bool:
    spec = {
        "endpointSelector": {},
        "egress": [written],
        "enableDefaultDeny": {"egress": deny},
    }
    (found,) = policy(spec, version=version).rules
    return found.confines


@pytest.mark.parametrize("written", [http({"method": "GET"}), dns({"matchPattern": "*"})])
def test_rules_without_default_deny_cut_the_rest_before_1_18(written: Any) -> None:
    assert confines(written, "1.17.2")
    assert not confines(written, "1.18.0")
    assert not confines(written, "1.17.2", deny=True)


@pytest.mark.parametrize(
    "written",
    [
        item(listener=LISTENER),
        {"toEntities": ["all"], "authentication": {"mode": "required"}},
        {"toEntities": ["all"], "authentication": {"mode": "test-always-fail"}},
    ],
)
def test_listeners_and_authentication_cut_the_rest_in_every_version(written: Any) -> None:
    assert confines(written)
    assert not confines(written, deny=True)


def test_server_names_cut_nothing_as_the_proxy_knows_the_default() -> None:
    assert not confines(item(serverNames=["a.io"]))
    assert not confines(item(serverNames=["a.io"]), "1.17.2")


def test_plain_rules_cut_nothing() -> None:
    assert not confines({"toEntities": ["world"]}, "1.17.2")
