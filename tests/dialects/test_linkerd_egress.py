"""EgressNetworks: which of them decides of an address, and what their routes let out."""

from dataclasses import replace
from typing import Any

import pytest

from dialects.linkerd_documents import (
    GATEWAY,
    GROUP,
    Client,
    document,
    parsed,
    refused,
    told,
)
from dialects.linkerd_documents import answer as answer_of_tier
from ringfence.model.document import Document
from ringfence.model.mesh import DataPlane, LinkerdConfig
from ringfence.model.rule import AllPeers, MeshPeer, PodPeer, Policy
from ringfence.model.selector import EVERYTHING, LabelSelector
from ringfence.model.tiers import MESH_EGRESS

OUT = Client(address="8.8.8.8", port=443, http=False)
API = replace(OUT, port=80, http=True, path="/v1")


def network(name: str = "out", policy: str = "Deny", **more: Any) -> Document:
    how = {key: more.pop(key) for key in ("namespace", "created") if key in more}
    return document("EgressNetwork", name, {"trafficPolicy": policy, **more}, **how)


def to_network(port: int | None = 443, **more: Any) -> dict[str, Any]:
    found = {"group": GROUP, "kind": "EgressNetwork", "name": "out", **more}
    return found if port is None else {**found, "port": port}


def route(kind: str, name: str = "r", *parents: Any, **more: Any) -> Document:
    how = {key: more.pop(key) for key in ("namespace", "created", "group") if key in more}
    rules: dict[str, Any] = {"rules": [{}]} if "rules" not in more else {}
    spec = {"parentRefs": list(parents or [to_network()]), **rules, **more}
    return document(kind, name, spec, **{"group": GATEWAY, **how})


def answer(client: Client, *documents: Document, **how: Any) -> str:
    return answer_of_tier(parsed(*documents, **how).policies, client, MESH_EGRESS)


def namespaces(policy: Policy) -> list[LabelSelector]:
    """Return the selectors of namespaces in a subject."""
    assert isinstance(policy.subject, AllPeers)
    found: list[LabelSelector] = []
    for part in policy.subject.parts:
        for leaf in part.parts if isinstance(part, AllPeers) else (part,):
            if isinstance(leaf, PodPeer):
                assert leaf.pods == EVERYTHING
                found.append(leaf.namespaces)
            else:
                assert leaf == MeshPeer((DataPlane.LINKERD,))
    return [selector for selector in found if selector != EVERYTHING]


# -- addresses -------------------------------------------------------------------------------------


def test_traffic_policy() -> None:
    assert answer(OUT, network()) == "deny"
    assert answer(OUT, network(policy="Allow")) == "allow"


def test_by_default_it_holds_what_is_no_network_of_the_cluster() -> None:
    assert answer(replace(OUT, address="10.1.2.3"), network()) == "pass"
    assert answer(replace(OUT, address="fd00::1"), network()) == "pass"
    assert answer(replace(OUT, address="2001:db8::1"), network()) == "deny"
    setup = LinkerdConfig(cluster_networks=("8.0.0.0/8",))
    assert answer(OUT, network(), setup=setup) == "pass"


def test_its_networks() -> None:
    found = network(networks=[{"cidr": "8.0.0.0/8", "except": ["8.9.0.0/16"]}])
    assert answer(OUT, found) == "deny"
    assert answer(replace(OUT, address="8.9.0.1"), found) == "pass"
    assert answer(replace(OUT, address="9.9.0.1"), found) == "pass"


def test_the_smallest_block_decides() -> None:
    wide = network("a", networks=[{"cidr": "8.0.0.0/8"}])
    narrow = network("b", "Allow", networks=[{"cidr": "8.8.0.0/16"}])
    assert answer(OUT, wide, narrow) == "allow"
    assert answer(replace(OUT, address="8.1.1.1"), wide, narrow) == "deny"


def test_of_equal_blocks_the_oldest_then_the_first_by_name() -> None:
    old, new = "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
    assert answer(OUT, network("a", created=new), network("b", "Allow", created=old)) == "allow"
    assert answer(OUT, network("a"), network("b", "Allow")) == "deny"
    undated = network("a", "Allow")
    assert answer(OUT, network("b", created=old), undated) == "deny"


def test_exceptions_make_a_block_smaller() -> None:
    halved = [{"cidr": "8.0.0.0/8", "except": ["8.128.0.0/9"]}]
    wide = network("a", networks=[{"cidr": "8.0.0.0/8"}])
    assert answer(OUT, wide, network("b", "Allow", networks=halved)) == "allow"


def test_a_name_is_taken_to_be_outside_the_networks_of_the_cluster() -> None:
    named = replace(OUT, domain="api.example", sni="api.example")
    assert answer(named, network()) == "deny"
    let_out = route("TLSRoute", hostnames=["api.example"])
    assert answer(named, network(), let_out) == "allow"
    assert answer(replace(named, sni="web.example"), network(), let_out) == "deny"


def test_of_what_is_only_a_part_of_the_outside_no_name_surely_is() -> None:
    narrow = network(networks=[{"cidr": "8.0.0.0/8"}])
    assert answer(replace(OUT, domain="api.example"), narrow) == "pass"


# -- clients ---------------------------------------------------------------------------------------


def test_it_is_for_the_meshed_pods_of_its_namespace() -> None:
    (first, *_) = parsed(network()).policies
    (selector,) = namespaces(first)
    assert [requirement.values for requirement in selector.requirements] == [("shop",)]


def test_those_of_the_egress_namespace_are_for_namespaces_without_one() -> None:
    everywhere = network(namespace="linkerd-egress")
    (first, *_) = parsed(everywhere).policies
    assert namespaces(first) == []
    found = parsed(everywhere, network(networks=[{"cidr": "9.0.0.0/8"}])).policies
    (of_all, *_) = [p for p in found if p.namespace == "linkerd-egress"]
    (selector,) = namespaces(of_all)
    (requirement,) = selector.requirements
    assert (requirement.operator.value, requirement.values) == ("NotIn", ("shop",))


def test_a_route_of_another_namespace_is_for_the_clients_there() -> None:
    everywhere = network(namespace="linkerd-egress")
    parent = to_network(namespace="linkerd-egress")
    let_out = route("TCPRoute", "r", parent, namespace="pay")
    found = parsed(everywhere, let_out).policies
    of_pay = [
        p
        for p in found
        if any(
            r.values == ("pay",) and r.operator.value == "In"
            for s in namespaces(p)
            for r in s.requirements
        )
    ]
    of_others = [policy for policy in found if policy not in of_pay]
    assert answer_of_tier(of_pay, OUT, MESH_EGRESS) == "allow"
    assert answer_of_tier(of_others, OUT, MESH_EGRESS) == "deny"


# -- routes ----------------------------------------------------------------------------------------


def test_a_tcp_route_lets_out_at_its_port() -> None:
    documents = (network(), route("TCPRoute"))
    assert answer(OUT, *documents) == "allow"
    assert answer(replace(OUT, port=444), *documents) == "deny"


@pytest.mark.parametrize(
    ("hostnames", "name", "expected"),
    [
        (["api.example"], "api.example", "allow"),
        (["api.example"], "web.example", "deny"),
        (["*.example"], "api.example", "allow"),
        (["*.example"], "example", "deny"),
        ([], "api.example", "allow"),
        ([], "", "deny"),
    ],
)
def test_a_tls_route_lets_out_by_the_name_of_the_server(
    hostnames: list[str], name: str, expected: str
) -> None:
    documents = (network(), route("TLSRoute", hostnames=hostnames))
    assert answer(replace(OUT, sni=name), *documents) == expected


def test_an_http_route_lets_out_requests() -> None:
    rules = [{"matches": [{"path": {"value": "/v1"}}]}]
    documents = (network(), route("HTTPRoute", "r", to_network(80), rules=rules))
    assert answer(API, *documents) == "allow"
    assert answer(replace(API, path="/v2"), *documents) == "deny"
    assert answer(replace(API, http=False), *documents) == "deny"


@pytest.mark.parametrize("group", [GROUP, GATEWAY])
def test_http_routes_of_both_groups(group: str) -> None:
    documents = (network(), route("HTTPRoute", "r", to_network(80), group=group))
    assert answer(API, *documents) == "allow"


def test_a_grpc_route_lets_out_calls() -> None:
    rules = [{"matches": [{"method": {"service": "pay.V1"}}]}]
    documents = (network(), route("GRPCRoute", "r", to_network(80), rules=rules))
    assert answer(replace(API, method="POST", path="/pay.V1/Charge"), *documents) == "allow"
    assert answer(API, *documents) == "deny"


def test_only_the_routes_of_one_kind_count_at_a_port() -> None:
    http = route("HTTPRoute", "http", rules=[{"matches": [{"path": {"value": "/v1"}}]}])
    tls = route("TLSRoute", "tls", hostnames=["api.example"])
    tcp = route("TCPRoute", "tcp")
    assert answer(replace(OUT, sni="api.example"), network(), tls, tcp) == "allow"
    assert answer(replace(OUT, sni="web.example"), network(), tls, tcp) == "deny"
    assert answer(replace(OUT, sni="api.example"), network(), http, tls, tcp) == "deny"
    notes = told(network(), http, tls, tcp)
    assert len(notes) == 2
    assert all("has no effect on port 443 of EgressNetwork/shop/out" in note for note in notes)


def test_what_is_not_of_the_protocol_is_refused_whatever_the_policy() -> None:
    rules = [{"matches": [{"method": {"service": "pay.V1"}}]}]
    calls = route("GRPCRoute", "r", to_network(80), rules=rules)
    call = replace(API, method="POST", path="/a/b")
    assert answer(call, network(policy="Allow"), calls) == "allow"
    assert answer(API, network(policy="Allow"), calls) == "deny"
    assert answer(replace(API, http=False), network(policy="Allow"), calls) == "deny"
    names = route("TLSRoute", hostnames=["api.example"])
    assert answer(replace(OUT, sni="web.example"), network(policy="Allow"), names) == "allow"
    assert answer(OUT, network(policy="Allow"), names) == "deny"


def test_at_opaque_ports_only_tcp_routes_count() -> None:
    at = replace(API, port=5432)
    http, tcp = (route(kind, "r", to_network(5432)) for kind in ("HTTPRoute", "TCPRoute"))
    assert (answer(at, network(), http), answer(at, network(), tcp)) == ("deny", "allow")
    found = network()
    found.body["metadata"]["annotations"] = {"config.linkerd.io/opaque-ports": "81-90"}
    assert answer(at, found, http) == "allow"


def test_of_several_tcp_routes_only_the_first_counts() -> None:
    (note,) = told(network(), route("TCPRoute", "a"), route("TCPRoute", "b"))
    assert note.startswith("TCPRoute/shop/b has no effect")


def test_where_all_is_let_out_routes_change_nothing() -> None:
    documents = (network(policy="Allow"), route("HTTPRoute", "r", to_network(80)))
    assert answer(replace(API, http=False), *documents) == "allow"


def test_a_route_whose_network_is_not_there_is_told() -> None:
    (note,) = told(route("TCPRoute"))
    assert "has no effect on EgressNetwork/shop/out, which is not there" in note


# -- what is not understood ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "`spec.trafficPolicy`"),
        ({"trafficPolicy": "deny"}, "`deny` is none of Allow, Deny"),
        ({"trafficPolicy": "Deny", "networks": []}, "at least one network is required"),
        ({"trafficPolicy": "Deny", "network": []}, "unknown field `network`"),
    ],
)
def test_a_network_that_is_not_understood(spec: Any, reason: str) -> None:
    found = document("EgressNetwork", "out", spec)
    assert reason in refused(found)
    assert answer(OUT, found) == "allow or deny or pass"


def test_a_route_needs_a_port() -> None:
    found = route("TCPRoute", "r", to_network(None))
    assert "only with a port" in refused(network(), found)
    assert answer(OUT, network(), found) == "allow or deny"


@pytest.mark.parametrize("kind", ["TLSRoute", "TCPRoute"])
def test_a_route_below_http_has_one_rule(kind: str) -> None:
    assert "with one rule only" in refused(network(), route(kind, rules=[{}, {}]))


def test_a_route_that_is_not_understood_may_take_any_request() -> None:
    good = route("HTTPRoute", "a", to_network(80), rules=[{"matches": [{}]}])
    broken = route("HTTPRoute", "b", to_network(80), rules=[{"matches": [{"bad": 1}]}])
    assert answer(API, network(), good) == "allow"
    assert answer(API, network(), good, broken) == "allow or deny"
