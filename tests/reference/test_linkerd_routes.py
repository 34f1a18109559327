"""Linkerd's routes at a Server: which one a request takes, and what comes of that."""

import pytest

from reference.linkerd_cluster import (
    ANYONE,
    TO_SERVER,
    WEB,
    ask,
    attached,
    http,
    made,
    meshed,
    policy,
    server,
    verdict,
)
from ringfence.model.document import Document
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.snapshot import Snapshot
from ringfence.reference.linkerd_requests import host_rank, is_whole, path_length
from ringfence.reference.linkerd_routes import Pattern

GROUP = {"HTTPRoute": "policy.linkerd.io"}


def to(name: str, kind: str = "HTTPRoute", auth: str = ANYONE) -> Document:
    """Return a policy that lets anyone in at a route."""
    group = GROUP.get(kind, "gateway.networking.k8s.io")
    kind = "HTTPRoute" if kind == "GatewayRoute" else kind
    target = f"targetRef: {{group: {group}, kind: {kind}, name: {name}}}\n"
    return policy(target + auth, name=f"at-{name}")


def route(
    name: str, *matches: str, kind: str = "HTTPRoute", more: str = "", **extra: str
) -> Document:
    rule = f"{{matches: [{', '.join(matches)}]}}" if matches else "{}"
    return attached(kind, name, f"{more}rules: [{rule}]", **extra)


def path(value: str, form: str = "PathPrefix") -> str:
    return f"{{path: {{type: {form}, value: '{value}'}}}}"


def get(snapshot: Snapshot, sent: str, method: str = "GET", **more: object) -> str:
    return verdict(snapshot, "lab/many", request=http(method, sent, **more))


# -- attachment and authorization ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["HTTPRoute", "GatewayRoute"])
def test_a_route_is_open_to_its_own_authorizations_and_to_the_servers(kind: str) -> None:
    snapshot = meshed(
        server(), route("r", path("/a"), kind=kind), to("r", kind), policy(TO_SERVER + WEB)
    )
    assert get(snapshot, "/a") == "allow"
    assert get(snapshot, "/b") == "deny"
    assert verdict(snapshot, "shop/web", request=http("GET", "/a")) == "allow"
    # It takes no route: not found, even for who may speak with the Server.
    assert verdict(snapshot, "shop/web", request=http("GET", "/b")) == "deny"


def test_policies_for_one_group_are_not_for_the_other() -> None:
    snapshot = meshed(server(), route("r", path("/a")), to("r", "GatewayRoute"))
    assert get(snapshot, "/a") == "deny"


def test_403_and_404_are_told_apart() -> None:
    snapshot = meshed(server(), route("r", path("/a")))

    def denied(sent: str) -> list[tuple[str | None, str]]:
        found = ask(snapshot, "lab/many", request=http("GET", sent))
        return [(p.object, p.rule) for p in found.evidence if p.action == "deny"]

    assert denied("/a") == [("HTTPRoute.policy.linkerd.io/shop/r", "rules[0]")]
    assert denied("/b") == [("Server/shop/s", "no route")]


def test_what_is_no_http_has_no_routes() -> None:
    snapshot = meshed(server(), route("r", path("/a")), to("r"), policy(TO_SERVER + WEB))
    assert verdict(snapshot, "shop/web", request=Request(http=False)) == "allow"
    assert verdict(snapshot, "lab/many", request=Request(http=False)) == "deny"
    assert verdict(snapshot, "shop/web") == "limited"
    assert verdict(snapshot, "lab/many") == "limited"


@pytest.mark.parametrize(
    "parent",
    [
        "{group: policy.linkerd.io, kind: Server, name: s, namespace: lab}",
        "{group: policy.linkerd.io, kind: Server, name: s, port: 80}",
        "{group: policy.linkerd.io, kind: Server, name: s, sectionName: x}",
        "{group: policy.linkerd.io, kind: Server, name: other}",
        "{kind: Server, name: s}",
        "{group: core, kind: Service, name: s}",
    ],
)
def test_parents_that_attach_nothing(parent: str) -> None:
    one = made("HTTPRoute", "r", f"parentRefs: [{parent}]\nrules: [{{}}]")
    snapshot = meshed(server(), one, policy(TO_SERVER + WEB))
    assert verdict(snapshot, "shop/web", request=http("GET", "/")) == "allow"
    assert verdict(snapshot, "lab/many", request=http("GET", "/")) == "deny"


def test_a_route_of_another_namespace_is_not_attached() -> None:
    snapshot = meshed(server(), route("r", path("/a"), namespace="lab"), policy(TO_SERVER + WEB))
    assert verdict(snapshot, "shop/web", request=http("GET", "/b")) == "allow"


@pytest.mark.parametrize(
    ("controller", "status", "found"),
    [
        ("linkerd.io/policy-controller", "True", "deny"),
        ("linkerd.io/policy-controller", "False", "allow"),
        ("example.com/gateway", "False", "deny"),
    ],
)
def test_a_route_that_was_refused_is_not_attached(controller: str, status: str, found: str) -> None:
    one = route("r", path("/a"))
    one.body["status"] = {
        "parents": [
            {
                "controllerName": controller,
                "parentRef": {"kind": "Server", "name": "s"},
                "conditions": [{"type": "Accepted", "status": status}],
            }
        ]
    }
    snapshot = meshed(server(), one, policy(TO_SERVER + WEB))
    assert verdict(snapshot, "shop/web", request=http("GET", "/b")) == found


def test_grpc_routes_count_where_it_is_grpc_and_http_routes_where_it_is_not() -> None:
    grpc = route("r", "{method: {service: a.B}}", kind="GRPCRoute")
    plain = meshed(server(), grpc, policy(TO_SERVER + WEB))
    assert verdict(plain, "shop/web", request=http("GET", "/b")) == "allow"
    calls = meshed(server("proxyProtocol: gRPC"), route("r", path("/a")), policy(TO_SERVER + WEB))
    assert verdict(calls, "shop/web", request=http("POST", "/b/c")) == "allow"


# -- which route ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "sent", "length"),
    [
        (Pattern("/a", "Exact"), "/a", 2),
        (Pattern("/a", "Exact"), "/a/", None),
        (Pattern("/a", "PathPrefix"), "/a", 2),
        (Pattern("/a/", "PathPrefix"), "/a", 2),
        (Pattern("/a", "PathPrefix"), "/a//", 2),
        (Pattern("/a", "PathPrefix"), "/a/b", 2),
        (Pattern("/a", "PathPrefix"), "/ab", None),
        (Pattern("/a", "PathPrefix"), "//a", None),
        (Pattern("/a", "PathPrefix"), "/A", None),
        (Pattern("/", "PathPrefix"), "/x", 1),
        (Pattern("/a/.*", "RegularExpression"), "/a/bc", 5),
        (Pattern("/a/.*", "RegularExpression"), "/b/a/c", None),
        (Pattern("/a", "RegularExpression"), "/ab", None),
    ],
)
def test_paths(pattern: Pattern, sent: str, length: int | None) -> None:
    assert path_length(pattern, sent) == length


def test_an_expression_must_match_the_whole_by_its_first_match() -> None:
    assert is_whole("/a|/ab", "/a")
    assert not is_whole("/a|/ab", "/ab")


@pytest.mark.parametrize(
    ("pattern", "host", "rank"),
    [
        ("db.shop", "db.shop", (1, 7)),
        ("db.shop", "DB.shop:8080", (1, 7)),
        ("db.shop", "db.shop.", (1, 7)),
        ("db.shop", "x.db.shop", ()),
        ("*.shop", "db.shop", (0, 5)),
        ("*.shop", "a.b.shop:80", (0, 5)),
        ("*.shop", "shop", ()),
        ("db.shop", "", ()),
    ],
)
def test_hosts(pattern: str, host: str, rank: tuple[int, ...]) -> None:
    assert host_rank(pattern, host) == rank


def test_a_longer_path_is_closer() -> None:
    snapshot = meshed(server(), route("a", path("/")), route("b", path("/x")), to("b"))
    assert [get(snapshot, p) for p in ("/", "/x", "/x/y")] == ["deny", "allow", "allow"]


def test_of_exact_and_prefix_of_one_length_the_older_then_the_first_by_group_and_name() -> None:
    exact, prefix = path("/x", "Exact"), path("/x")
    assert get(meshed(server(), route("a", prefix), route("b", exact), to("b")), "/x") == "deny"
    assert get(meshed(server(), route("b", prefix), route("a", exact), to("a")), "/x") == "allow"
    aged = meshed(
        server(),
        route("a", prefix, creationTimestamp="2024-01-02T00:00:00Z"),
        route("b", exact, creationTimestamp="2024-01-01T00:00:00Z"),
        to("b"),
    )
    assert get(aged, "/x") == "allow"
    groups = meshed(
        server(),
        route("a", prefix),
        route("b", prefix, kind="GatewayRoute"),
        to("b", "GatewayRoute"),
    )
    assert get(groups, "/x") == "allow"


def test_a_method_is_closer_than_headers_and_headers_than_parameters() -> None:
    method = "{method: GET}"
    headers = "{headers: [{name: x, value: '1'}, {name: y, value: '1'}]}"
    header = "{headers: [{name: x, value: '1'}]}"
    parameters = "{queryParams: [{name: a, value: '1'}, {name: b, value: '1'}]}"
    said = (("x", "1"), ("y", "1"))

    def chosen(one: str, other: str) -> str:
        snapshot = meshed(server(), route("a", one), route("b", other), to("b"))
        return get(snapshot, "/?a=1&b=1", headers=said)

    assert chosen(headers, method) == "allow"
    assert chosen(method, headers) == "deny"
    assert chosen(header, headers) == "allow"
    assert chosen(parameters, header) == "allow"
    assert chosen("{}", parameters) == "allow"


def test_hosts_come_before_all_else() -> None:
    host = "hostnames: [db.shop]\n"
    snapshot = meshed(
        server(), route("a", path("/x", "Exact")), route("b", path("/"), more=host), to("b")
    )
    assert get(snapshot, "/x", host="db.shop") == "allow"
    assert get(snapshot, "/x", host="other") == "deny"
    suffix = "hostnames: ['*.shop']\n"
    both = meshed(server(), route("a", more=suffix), route("b", more=host), to("b"))
    assert get(both, "/", host="db.shop:80") == "allow"
    assert get(both, "/", host="web.shop") == "deny"


def test_headers_of_one_name_are_compared_one_by_one() -> None:
    header = "{headers: [{name: X-Role, value: admin}]}"
    snapshot = meshed(server(), route("r", header), to("r"))
    assert get(snapshot, "/", headers=(("x-role", "user"), ("x-role", "admin"))) == "allow"
    assert get(snapshot, "/", headers=(("x-role", "Admin"),)) == "deny"
    assert get(snapshot, "/", headers=()) == "deny"
    regex = "{headers: [{name: x, type: RegularExpression, value: 'a+'}]}"
    snapshot = meshed(server(), route("r", regex), to("r"))
    assert [get(snapshot, "/", headers=(("x", v),)) for v in ("aa", "ab")] == ["allow", "deny"]


def test_parameters_are_decoded() -> None:
    exact = "{queryParams: [{name: q, value: 'a b'}]}"
    snapshot = meshed(server(), route("r", exact), to("r"))
    sent = ("/?q=a+b", "/?x=1&q=a%20b#f", "/?q=ab", "/?q", "/")
    assert [get(snapshot, one) for one in sent] == ["allow", "allow", "deny", "deny", "deny"]
    regex = "{queryParams: [{name: q, type: RegularExpression, value: '[0-9]+'}]}"
    snapshot = meshed(server(), route("r", regex), to("r"))
    assert [get(snapshot, one) for one in ("/?q=12", "/?q=1x")] == ["allow", "deny"]


def test_a_rule_without_matches_takes_every_request() -> None:
    assert get(meshed(server(), route("r"), to("r")), "/x") == "allow"
    nothing = attached("HTTPRoute", "r", "rules: []")
    assert get(meshed(server(), nothing, to("r")), "/x") == "deny"
    default = attached("HTTPRoute", "r", "hostnames: []")
    assert get(meshed(server(), default, to("r")), "/x") == "allow"


def test_the_first_of_equal_rules_counts() -> None:
    two = attached(
        "HTTPRoute", "r", f"rules: [{{matches: [{path('/a')}]}}, {{matches: [{path('/b')}]}}]"
    )
    assert [get(meshed(server(), two, to("r")), p) for p in ("/a", "/b", "/c")] == [
        "allow",
        "allow",
        "deny",
    ]


# -- gRPC ----------------------------------------------------------------------------------------


def test_calls_are_chosen_by_service_and_method() -> None:
    snapshot = meshed(
        server("proxyProtocol: gRPC"),
        route("a", "{method: {service: shop.Pay}}", kind="GRPCRoute"),
        route("b", "{method: {service: shop.Pay, method: Get}}", kind="GRPCRoute"),
        to("b", "GRPCRoute"),
    )
    calls = ("/shop.Pay/Get", "/shop.Pay/Put", "/shop.Ship/Get", "/shop.pay/Get")
    assert [get(snapshot, call, "POST") for call in calls] == ["allow", "deny", "deny", "deny"]
    assert get(snapshot, "/shop.Pay/Get", "GET") == "deny"
    assert verdict(snapshot, "lab/many") == "limited"


def test_a_grpc_rule_without_matches_takes_everything() -> None:
    snapshot = meshed(
        server("proxyProtocol: gRPC"), route("r", kind="GRPCRoute"), to("r", "GRPCRoute")
    )
    assert get(snapshot, "/", "GET") == "allow"
    nothing = attached("GRPCRoute", "r", "hostnames: []")
    without = meshed(server("proxyProtocol: gRPC"), nothing, to("r", "GRPCRoute"))
    assert get(without, "/a/b", "POST") == "deny"


# -- open questions ------------------------------------------------------------------------------


def test_an_open_question_is_limited_to_the_routes_that_are_open() -> None:
    snapshot = meshed(
        server("proxyProtocol: HTTP/1"),
        route("a", "{method: GET, path: {value: /public}}"),
        route("b", path("/private")),
        to("a"),
    )
    found = ask(snapshot, "lab/many")
    assert found.limited_to == ({"http": {"method": "GET", "path_segments": "/public"}},)
    assert verdict(snapshot, "lab/many", request=http("POST")) == "deny"
    assert verdict(snapshot, "lab/many", request=http(path="/public")) == "limited"
    assert verdict(snapshot, "lab/many", request=http("GET")) == "limited"
    assert verdict(snapshot, "lab/many", request=http("GET", "/public/x")) == "allow"


def test_what_a_closer_route_takes_is_not_left_open() -> None:
    snapshot = meshed(
        server("proxyProtocol: HTTP/1"),
        route("a", path("/x", "Exact")),
        route("b", "{method: GET, path: {type: Exact, value: /x}}"),
        to("a"),
    )
    assert verdict(snapshot, "lab/many", request=http("GET")) == "deny"
    assert verdict(snapshot, "lab/many", request=http("POST", "/x")) == "allow"


def test_expressions_are_taken_to_match_something() -> None:
    snapshot = meshed(server(), route("r", path("/a/[0-9]+", "RegularExpression")), to("r"))
    assert verdict(snapshot, "lab/many") == "limited"
    assert [get(snapshot, p) for p in ("/a/1", "/a/x")] == ["allow", "deny"]


# -- what is not understood ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "match",
    [
        "{path: {type: Glob, value: /a}}",
        "{path: {value: a}}",
        "{path: {type: RegularExpression, value: '('}}",
        "{method: get}",
        "{headers: [{name: x}]}",
        "{queryParams: [{value: x}]}",
        "{cookies: []}",
    ],
)
def test_a_route_that_is_not_understood_may_take_any_request(match: str) -> None:
    snapshot = meshed(server(), route("r", match), to("r"), policy(TO_SERVER + WEB))
    assert get(snapshot, "/") == "unknown"
    # Who may speak with the Server is still not found if no route takes the request.
    assert verdict(snapshot, "shop/web", request=http("GET", "/")) == "unknown"
    assert verdict(snapshot, "lab/many", request=Request(http=False)) == "deny"


def test_a_route_with_parents_that_are_not_understood_may_be_attached() -> None:
    one = made("HTTPRoute", "r", "parentRefs: [{group: policy.linkerd.io, kind: Server, name: 1}]")
    snapshot = meshed(server(), one, policy(TO_SERVER + WEB))
    assert verdict(snapshot, "shop/web", request=http("GET", "/")) == "unknown"
    assert verdict(snapshot, "lab/many", request=http("GET", "/")) == "deny"
    assert verdict(snapshot, "shop/web", request=Request(http=False)) == "allow"


@pytest.mark.parametrize(
    ("parents", "found"),
    [
        ("[{group: policy.linkerd.io, kind: Server, name: other, bogus: 1}]", "allow"),
        ("[{group: policy.linkerd.io, kind: Server, name: s, bogus: 1}]", "unknown"),
        ("[{group: policy.linkerd.io, kind: EgressNetwork, name: s, port: x}]", "allow"),
        ("[7]", "unknown"),
        ("7", "unknown"),
        ("[]", "allow"),
    ],
)
def test_a_route_may_be_attached_to_what_its_parents_may_name(parents: str, found: str) -> None:
    one = made("HTTPRoute", "r", f"parentRefs: {parents}\nrules: [{{}}]")
    snapshot = meshed(server(), one, policy(TO_SERVER + WEB))
    assert verdict(snapshot, "shop/web", request=http("GET", "/")) == found


@pytest.mark.parametrize("kind", ["URLRewrite", "RequestMirror", "ExtensionRef"])
def test_a_route_with_a_filter_that_linkerd_does_not_know_is_put_aside(kind: str) -> None:
    one = attached("GatewayRoute", "r", f"rules: [{{filters: [{{type: {kind}}}]}}]")
    snapshot = meshed(server(), one, policy(TO_SERVER + WEB))
    found = ask(snapshot, "shop/web", request=http("GET", "/"))
    assert found.verdict == "allow"
    assert any("has no effect" in note for note in found.notes)


def test_a_redirect_is_not_judged() -> None:
    one = attached("GatewayRoute", "r", "rules: [{filters: [{type: RequestRedirect}]}]")
    snapshot = meshed(server(), one, policy(TO_SERVER + WEB))
    assert verdict(snapshot, "shop/web", request=http("GET", "/")) == "unknown"
    assert verdict(snapshot, "lab/many", request=http("GET", "/")) == "deny"
    assert verdict(snapshot, "shop/web", request=ANYTHING) == "unknown"
