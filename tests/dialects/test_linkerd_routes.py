"""HTTPRoutes and GRPCRoutes on Servers: what they match, which is chosen, which have no effect."""

from dataclasses import replace
from typing import Any

import pytest

from dialects.linkerd_documents import (
    FRIEND,
    GATEWAY,
    GROUP,
    NOBODY,
    STRANGER,
    TO_WEB,
    Client,
    account,
    answer,
    authorization,
    parsed,
    refused,
    route,
    server,
    to_route,
    told,
)
from ringfence.model.document import Document

OPEN = authorization(to_route("open"), name="open")
"""Everybody may go by the route `open`."""


def said(client: Client, *documents: Document, **fields: Any) -> str:
    return answer(parsed(server(**fields), *documents).policies, client)


def matched(*matches: Any, client: Client = NOBODY, **more: Any) -> bool:
    """Return whether a request goes by a route on which everybody is let in."""
    found = said(client, route("open", *matches, **more), OPEN)
    assert found in ("allow", "deny")
    return found == "allow"


def called(*matches: Any, client: Client, **more: Any) -> bool:
    policy = authorization(to_route("open", "GRPCRoute", GATEWAY), name="open")
    calls = route("open", *matches, kind="GRPCRoute", group=GATEWAY, **more)
    return said(client, calls, policy, proxyProtocol="gRPC") == "allow"


# -- 403 and 404 -----------------------------------------------------------------------------------


def test_who_is_not_authorized_on_the_route_is_denied_by_it() -> None:
    found = parsed(server(), route("r", {"path": {"value": "/a"}})).policies
    (denial,) = [p for p in found if p.name == "r"]
    assert denial.ref == "HTTPRoute.policy.linkerd.io/shop/r"
    assert denial.rules[0].path == ("spec", "rules", 0, "matches", 0)
    assert answer([denial], replace(NOBODY, path="/a")) == "deny"


def test_what_no_route_matches_is_not_found() -> None:
    found = parsed(server(), route("r", {"path": {"value": "/a"}}), OPEN).policies
    last = max(found, key=lambda policy: policy.tie)
    assert (last.ref, answer([last], replace(NOBODY, path="/b"))) == ("Server/shop/web", "deny")


def test_a_route_lets_nobody_in_by_itself() -> None:
    assert said(FRIEND, route("r", {})) == "deny"


# -- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        ({"value": "/a"}, "/a", True),
        ({"value": "/a"}, "/a/", True),
        ({"value": "/a"}, "/a/b", True),
        ({"value": "/a"}, "/ab", False),
        ({"value": "/a/"}, "/a", True),
        ({"value": "/"}, "/x", True),
        ({}, "/x", True),
        ({"type": "PathPrefix", "value": "/a"}, "/a/b", True),
        ({"type": "Exact", "value": "/a"}, "/a", True),
        ({"type": "Exact", "value": "/a"}, "/a/", False),
        ({"type": "Exact", "value": "/a"}, "/a?x=1", True),
        ({"type": "RegularExpression", "value": "/a/[0-9]+"}, "/a/17", True),
        ({"type": "RegularExpression", "value": "/a/[0-9]+"}, "/a/17/b", False),
        ({"type": "RegularExpression", "value": "/a"}, "/b/a", False),
    ],
)
def test_paths(path: Any, asked: str, expected: bool) -> None:
    assert matched({"path": path}, client=replace(NOBODY, path=asked)) is expected


def test_methods() -> None:
    assert matched({"method": "GET"})
    assert not matched({"method": "POST"})


def test_headers() -> None:
    headers = [{"name": "X-Kind", "value": "a"}]
    assert matched({"headers": headers}, client=replace(NOBODY, headers=(("x-kind", "a"),)))
    assert not matched({"headers": headers}, client=replace(NOBODY, headers=(("x-kind", "b"),)))
    pattern = [{"name": "X-Kind", "value": "a+", "type": "RegularExpression"}]
    assert matched({"headers": pattern}, client=replace(NOBODY, headers=(("x-kind", "aa"),)))


@pytest.mark.parametrize(
    ("hostnames", "asked", "expected"),
    [
        (["web.example"], "web.example", True),
        (["web.example"], "WEB.example", True),
        (["web.example"], "web.example.", True),
        (["web.example"], "web.example:8080", True),
        (["web.example"], "a.web.example", False),
        (["web.example"], "webxexample", False),
        (["*.example"], "web.example", True),
        (["*.example"], "a.web.example", True),
        (["*.example"], "example", False),
        (["a.example", "b.example"], "b.example", True),
        ([], "whatever", True),
    ],
)
def test_host_names(hostnames: list[str], asked: str, expected: bool) -> None:
    client = replace(NOBODY, host=asked)
    assert matched({}, client=client, hostnames=hostnames) is expected


def test_any_of_several_matches() -> None:
    matches = ({"path": {"value": "/a"}}, {"path": {"value": "/b"}})
    assert matched(*matches, client=replace(NOBODY, path="/b"))
    assert not matched(*matches, client=replace(NOBODY, path="/c"))


def test_all_that_a_match_says_must_hold() -> None:
    match = {"path": {"value": "/a"}, "method": "POST"}
    assert not matched(match, client=replace(NOBODY, path="/a"))


def test_a_rule_without_matches_is_for_every_request() -> None:
    assert matched()


def test_by_a_route_with_no_rule_at_all_nothing_goes() -> None:
    found = route("open", rules=[])
    assert said(FRIEND, found, authorization(TO_WEB, account())) == "deny"


def test_without_rules_an_http_route_is_for_every_request() -> None:
    assert matched(rules=None)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("/a?x=1", True),
        ("/a?y=2&x=1", True),
        ("/a?x=%31", True),
        ("/a?x=2", False),
        ("/a?X=1", False),
        ("/a?x=11", False),
        ("/a", False),
        ("/b?x=1", False),
    ],
)
def test_query_parameters(asked: str, expected: bool) -> None:
    match = {"path": {"value": "/a"}, "queryParams": [{"name": "x", "value": "1"}]}
    assert matched(match, client=replace(NOBODY, path=asked)) is expected


def test_the_names_of_query_parameters_are_told_apart_by_case() -> None:
    match = {"queryParams": [{"name": "Xy", "value": "1"}]}
    assert matched(match, client=replace(NOBODY, path="/?Xy=1"))
    assert not matched(match, client=replace(NOBODY, path="/?xy=1"))


def test_a_redirect_leads_elsewhere() -> None:
    rules = [
        {
            "matches": [{"path": {"value": "/a"}}],
            "filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 81}}],
        }
    ]
    redirected = route("open", rules=rules)
    asked = replace(FRIEND, path="/a")
    assert said(asked, redirected, OPEN) == "allow or deny"
    assert said(asked, redirected, authorization(TO_WEB, account())) == "allow or deny"
    assert (
        said(replace(STRANGER, path="/a"), redirected, authorization(TO_WEB, account())) == "deny"
    )
    broken = route("z", {"method": "get"})
    of_server = authorization(TO_WEB, account())
    assert said(FRIEND, redirected, route("rest", {}), broken, of_server) == "allow"
    assert said(FRIEND, redirected, broken, of_server) == "allow or deny"
    rest = route("rest", {})
    assert said(asked, redirected, rest, authorization(TO_WEB, account())) == "allow or deny"
    assert said(FRIEND, redirected, rest, authorization(TO_WEB, account())) == "allow"


# -- which route is chosen -------------------------------------------------------------------------


def chosen(first: Any, second: Any, client: Client, **how: Any) -> str:
    """Return which of two routes a request goes by, of which one is open at a time."""
    one = route("open", *first.get("matches", [{}]), **{**first.get("more", {}), **how})
    other = route("other", *second.get("matches", [{}]), **second.get("more", {}))
    return "first" if said(client, one, other, OPEN) == "allow" else "second"


def at(path: Any = None, **more: Any) -> dict[str, Any]:
    match = {**({"path": path} if path else {}), **more}
    return {"matches": [match]}


def hosted(*hostnames: str) -> dict[str, Any]:
    return {"more": {"hostnames": list(hostnames)}}


A = {"value": "/a"}
AB = {"value": "/a/b"}
ALL = {"value": "/"}


@pytest.mark.parametrize(
    ("winner", "loser", "client"),
    [
        (hosted("web.example"), hosted("*.example"), replace(NOBODY, host="web.example")),
        (hosted("*.b.example"), hosted("*.example"), replace(NOBODY, host="a.b.example")),
        (hosted("web.example"), at(AB), replace(NOBODY, host="web.example", path="/a/b")),
        (at(AB), at(A), replace(NOBODY, path="/a/b/c")),
        (at(A), at(ALL, method="GET"), replace(NOBODY, path="/a")),
        (at({"type": "Exact", "value": "/a/b"}), at(A), replace(NOBODY, path="/a/b")),
        (
            at({"type": "RegularExpression", "value": "/a/.*"}),
            at(AB),
            replace(NOBODY, path="/a/b/c"),
        ),
        (
            at(A, method="GET"),
            at(A, headers=[{"name": "x", "value": "1"}]),
            replace(NOBODY, path="/a", headers=(("x", "1"),)),
        ),
        (
            at(A, headers=[{"name": "x", "value": "1"}]),
            at(A, queryParams=[{"name": "y", "value": "1"}, {"name": "z", "value": "1"}]),
            replace(NOBODY, path="/a?y=1&z=1", headers=(("x", "1"),)),
        ),
        (at(A, method="GET"), at(A), replace(NOBODY, path="/a")),
        (at(A, method="GET"), at({"type": "Exact", "value": "/a"}), replace(NOBODY, path="/a")),
        (at(ALL, method="GET"), at({"type": "Exact", "value": "/"}), NOBODY),
        (
            at(A, method="GET"),
            at({"type": "RegularExpression", "value": "/a.*"}),
            replace(NOBODY, path="/a"),
        ),
    ],
)
def test_the_best_match_is_chosen(winner: Any, loser: Any, client: Client) -> None:
    assert chosen(winner, loser, client) == "first"
    assert chosen(loser, winner, client) == "second"


def test_of_equal_matches_the_older_route_then_the_first_by_name() -> None:
    old, new = "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
    assert (
        chosen(at(), {"matches": [{}], "more": {"created": old}}, NOBODY, created=new) == "second"
    )
    assert chosen(at(), {"matches": [{}], "more": {"created": new}}, NOBODY, created=old) == "first"
    assert chosen(at(), at(), NOBODY) == "first"
    gateway = {"matches": [{}], "more": {"group": GATEWAY}}
    assert chosen(at(), gateway, NOBODY) == "second"


# -- gRPC ------------------------------------------------------------------------------------------

CALL = Client(method="POST", path="/pay.V1/Charge")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ({"service": "pay.V1", "method": "Charge"}, "/pay.V1/Charge", True),
        ({"service": "pay.V1", "method": "Charge"}, "/pay.V1/Charge/x", True),
        ({"service": "pay.V1", "method": "Charge"}, "/pay.V1/Refund", False),
        ({"service": "pay.V1"}, "/pay.V1/Refund", True),
        ({"service": "pay.V1"}, "/pay.V2/Refund", False),
        ({"method": "Charge"}, "/pay.V2/Charge", True),
        ({"method": "Charge"}, "/pay.V2/Refund", False),
        ({}, "/pay.V1/Charge", True),
        ({}, "/pay.V1", False),
    ],
)
def test_grpc_methods(method: Any, path: str, expected: bool) -> None:
    assert called({"method": method}, client=replace(CALL, path=path)) is expected


def test_grpc_is_posted() -> None:
    assert not called({"method": {"service": "pay.V1"}}, client=replace(CALL, method="GET"))


def test_a_grpc_rule_without_matches_is_for_every_request_but_no_rule_for_none() -> None:
    assert called(client=replace(CALL, method="GET"))
    assert not called(client=CALL, rules=None)


# -- attachment ------------------------------------------------------------------------------------


def parent(**fields: Any) -> Document:
    return route("open", {}, parentRefs=[{**TO_WEB, **fields}])


@pytest.mark.parametrize("key", ["port", "sectionName"])
def test_a_route_that_names_a_part_of_a_server_is_dropped(key: str) -> None:
    found = parent(**{key: 80 if key == "port" else "http"})
    assert said(FRIEND, found, authorization(TO_WEB, account())) == "allow"
    assert any(f"cannot be its parent by {key}" in note for note in told(server(), found))


def test_a_route_of_a_server_in_another_namespace_is_dropped() -> None:
    found = parent(namespace="pay")
    assert any("in another namespace" in note for note in told(server(), found))


def test_a_route_without_such_a_parent_is_none_of_linkerds_business() -> None:
    gateway = route("open", {"what": 1}, group=GATEWAY, parentRefs=[{"name": "gw"}])
    service = route("open", {"what": 1}, parentRefs=[{"group": "", "kind": "Service", "name": "x"}])
    assert told(server(), gateway) == []
    (message,) = told(server(), service)
    assert message.endswith("where it sends calls of Service `x` is not judged")
    assert said(FRIEND, gateway, authorization(TO_WEB, account())) == "allow"


def test_the_group_of_a_parent_is_that_of_the_routes_own_kind_if_it_names_none() -> None:
    named = [{"kind": "Server", "name": "web"}]
    on_policy = route("open", {"path": A}, parentRefs=named)
    on_gateway = route("open", {"path": A}, parentRefs=named, group=GATEWAY)
    let_in = authorization(TO_WEB, account())
    assert said(FRIEND, on_policy, let_in) == "deny"
    assert said(FRIEND, on_gateway, let_in) == "allow"


def test_a_route_that_was_not_accepted_has_no_effect() -> None:
    status = {
        "parents": [
            {
                "controllerName": "linkerd.io/policy-controller",
                "parentRef": TO_WEB,
                "conditions": [{"type": "Accepted", "status": "False"}],
            }
        ]
    }
    found = route("open", {"path": A}, status=status)
    assert said(FRIEND, found, authorization(TO_WEB, account())) == "allow"
    assert any("has not accepted it" in note for note in told(server(), found))


def test_a_route_whose_server_is_not_there_is_told() -> None:
    (note,) = told(route("r", {}))
    assert "has no effect on Server/shop/web, which is not there" in note


@pytest.mark.parametrize(
    ("protocol", "kind", "effect"),
    [
        ("unknown", "HTTPRoute", True),
        ("HTTP/1", "HTTPRoute", True),
        ("HTTP/2", "HTTPRoute", True),
        ("gRPC", "HTTPRoute", False),
        ("opaque", "HTTPRoute", False),
        ("unknown", "GRPCRoute", False),
        ("HTTP/2", "GRPCRoute", False),
        ("gRPC", "GRPCRoute", True),
        ("TLS", "GRPCRoute", False),
    ],
)
def test_which_routes_a_protocol_knows(protocol: str, kind: str, effect: bool) -> None:
    web = server(proxyProtocol=protocol)
    group = GATEWAY if kind == "GRPCRoute" else GROUP
    found = route("r", {"headers": [{"name": "x", "value": "1"}]}, kind=kind, group=group)
    notes = told(web, found)
    assert any("whose proxyProtocol is" in note for note in notes) is not effect
    client = replace(FRIEND, method="POST", path="/a/b")
    let_in = answer(parsed(web, found, authorization(TO_WEB, account())).policies, client)
    assert let_in == ("deny" if effect else "allow")


def test_a_route_that_is_not_understood_lets_in_nobody_else() -> None:
    broken = route("r", {"method": "get"})
    assert said(NOBODY, broken) == "deny"
    policy = authorization(to_route("r"), account())
    assert said(FRIEND, broken, policy) == "allow or deny"
    assert said(NOBODY, broken, policy) == "deny"
    assert said(replace(FRIEND, http=False), broken, policy) == "deny"


# -- what is not understood ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ({"paths": []}, "unknown field `paths` at `spec.rules[0].matches[0].paths`"),
        ({"path": {"value": "a"}}, "does not begin with a slash"),
        ({"path": {"type": "Prefix", "value": "/a"}}, "`Prefix` is none of"),
        ({"path": {"type": "RegularExpression", "value": "/(a"}}, "is no regular expression"),
        ({"method": "get"}, "`get` is none of"),
        ({"headers": [{"name": "x"}]}, "`spec.rules[0].matches[0].headers[0].value`"),
        ({"queryParams": [{"value": "x"}]}, "queryParams[0].name`"),
    ],
)
def test_a_match_that_is_not_understood(match: Any, reason: str) -> None:
    assert reason in refused(server(), route("r", match))


def test_what_its_server_lets_in_is_then_open() -> None:
    broken = route("r", {"method": "get"})
    assert said(FRIEND, broken, authorization(TO_WEB, account())) == "allow or deny"
    good = route("open", {})
    assert said(FRIEND, broken, good, OPEN) == "allow or deny"
    assert said(FRIEND, broken, good, authorization(TO_WEB, account())) == "allow"


@pytest.mark.parametrize("name", ["10.0.0.1", "*", "Web.example", "a..b"])
def test_no_host_name(name: str) -> None:
    assert "is no host name" in refused(server(), route("r", {}, hostnames=[name]))


def test_grpc_takes_no_regular_expressions() -> None:
    match = {"method": {"type": "RegularExpression", "service": "a.*"}}
    found = route("r", match, kind="GRPCRoute", group=GATEWAY)
    assert "no regular expressions" in refused(server(proxyProtocol="gRPC"), found)


def test_a_route_with_a_filter_that_linkerd_does_not_take_is_dropped() -> None:
    rules = [{"filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "x"}}]}]
    found = route("open", rules=rules, group=GATEWAY)
    assert said(FRIEND, found, authorization(TO_WEB, account())) == "allow"
    assert any("has a filter URLRewrite" in note for note in told(server(), found))


def test_unless_it_is_not_understood_at_all() -> None:
    rules = [{"filters": [{"type": "URLRewrite"}], "matches": [{"bad": 1}]}]
    found = route("open", rules=rules, group=GATEWAY)
    assert "unknown field `bad`" in refused(server(), found)
