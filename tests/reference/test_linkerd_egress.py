"""Linkerd's EgressNetworks: which one takes what is sent outside, and its routes."""

from typing import Any

import msgspec
import pytest

from reference.linkerd_cluster import ask, http, made, meshed, verdict
from reference.small_cluster import end
from ringfence.model.cluster import Service, ServicePort
from ringfence.model.connection import Connection
from ringfence.model.document import Document
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.location import Location
from ringfence.model.mesh import LinkerdConfig
from ringfence.model.snapshot import Snapshot
from ringfence.reference import judge

OUTSIDE = "8.8.8.8"


def network(policy: str = "Deny", more: str = "", *, name: str = "e", **extra: Any) -> Document:
    return made("EgressNetwork", name, f"trafficPolicy: {policy}\n{more}", **extra)


def to(kind: str, name: str, spec: str = "rules: [{}]", port: int = 443, **extra: Any) -> Document:
    """Return a route that is attached to the EgressNetwork `shop/e`."""
    parent = (
        "parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: e, namespace: shop, "
        f"port: {port}}}]\n"
    )
    return made(kind, name, parent + spec, **extra)


def out(
    snapshot: Snapshot,
    request: Request = ANYTHING,
    destination: str = OUTSIDE,
    source: str = "shop/web",
    port: int = 443,
) -> str:
    return verdict(snapshot, source, destination, port, request)


TLS = Request(http=False, sni="api.example.com")
RAW = Request(http=False, sni="")


def test_without_one_everything_goes_out() -> None:
    assert out(meshed()) == "allow"


@pytest.mark.parametrize(("policy", "found"), [("Allow", "allow"), ("Deny", "deny")])
def test_its_policy_is_for_what_no_route_takes(policy: str, found: str) -> None:
    snapshot = meshed(network(policy))
    assert [out(snapshot, r) for r in (ANYTHING, http("GET", "/"), TLS, RAW)] == [found] * 4
    piece = ask(snapshot, "shop/web", OUTSIDE, 443).evidence
    assert ("EgressNetwork/shop/e", "trafficPolicy") in [(p.object, p.rule) for p in piece]


def test_it_takes_all_but_the_networks_of_the_cluster_unless_it_says() -> None:
    assert out(meshed(network()), destination="10.9.9.9") == "allow"
    config = LinkerdConfig(source="x", cluster_networks=("8.0.0.0/8",))
    snapshot = meshed(network(), config=config)
    assert out(snapshot) == "allow"
    assert out(snapshot, destination="10.9.9.9") == "deny"
    some = meshed(network(more="networks: [{cidr: 8.8.8.0/24, except: [8.8.8.4]}]"))
    assert [out(some, destination=d) for d in (OUTSIDE, "8.8.8.4", "9.9.9.9")] == [
        "deny",
        "allow",
        "allow",
    ]


def test_services_are_not_outside() -> None:
    snapshot = meshed(network(more="networks: [{cidr: 0.0.0.0/0}]"))
    service = Service("shop", "api", "ClusterIP", None, (ServicePort(443, 443),), Location("x"))
    for changes, found in (({}, "allow"), ({"headless": True}, "deny"), (EXTERNAL, "deny")):
        one = msgspec.structs.replace(service, **changes)
        there = msgspec.structs.replace(snapshot, services=(one,))
        connection = Connection(end(there, "shop/web"), end(there, OUTSIDE), port=443, service=0)
        assert judge(there, connection).verdict == found


EXTERNAL = {"type": "ExternalName"}


def test_pods_and_nodes_are_where_their_addresses_are() -> None:
    every = meshed(network(more="networks: [{cidr: 0.0.0.0/0}]"))
    assert [out(every, destination=one) for one in ("shop/db", "lab/many", "node/n1")] == [
        "deny",
        "deny",
        "deny",
    ]
    assert out(meshed(network()), destination="shop/db") == "allow"


def test_only_clients_in_the_mesh_are_held() -> None:
    snapshot = meshed(network(namespace="linkerd-egress"))
    assert out(snapshot, source="lab/many") == "allow"
    assert out(snapshot, source="lab/tester") == "deny"


def test_the_own_namespace_comes_before_the_common_one_even_where_it_takes_nothing() -> None:
    common = network(namespace="linkerd-egress")
    own = network("Allow", "networks: [{cidr: 9.0.0.0/8}]")
    assert out(meshed(common)) == "deny"
    assert out(meshed(common, own)) == "allow"
    assert out(meshed(common, own), source="lab/tester") == "deny"
    assert out(meshed(network(namespace="lab"))) == "allow"


def test_the_smallest_network_takes_it_then_the_oldest_then_the_first_by_name() -> None:
    wide = network("Deny", "networks: [{cidr: 8.0.0.0/8}]", name="a")
    narrow = network("Allow", "networks: [{cidr: 8.8.0.0/16}]", name="b")
    assert out(meshed(wide, narrow)) == "allow"
    same = network("Allow", "networks: [{cidr: 8.0.0.0/8}]", name="b")
    assert out(meshed(wide, same)) == "deny"
    young = network(
        "Deny", "networks: [{cidr: 8.0.0.0/8}]", name="a", creationTimestamp="2024-02-01T00:00:00Z"
    )
    old = network(
        "Allow", "networks: [{cidr: 8.0.0.0/8}]", name="b", creationTimestamp="2024-01-01T00:00:00Z"
    )
    assert out(meshed(young, old)) == "allow"
    # What a network leaves out makes it smaller.
    holed = network("Allow", "networks: [{cidr: 8.0.0.0/8, except: [8.0.0.0/9]}]", name="z")
    assert out(meshed(wide, holed), destination="8.200.0.1") == "allow"


@pytest.mark.parametrize("kind", ["HTTPRoute", "GatewayRoute"])
def test_http_routes(kind: str) -> None:
    snapshot = meshed(network(), to(kind, "r", "rules: [{matches: [{path: {value: /v1}}]}]"))
    assert out(snapshot, http("GET", "/v1/x")) == "allow"
    assert out(snapshot, http("GET", "/v2")) == "deny"
    assert out(snapshot, RAW) == "deny"
    assert out(snapshot, TLS) == "deny"
    assert out(snapshot) == "limited"
    assert out(snapshot, http("GET", "/v1"), port=80) == "deny"


def test_grpc_routes() -> None:
    route = to("GRPCRoute", "r", "rules: [{matches: [{method: {service: a.B}}]}]")
    for policy, other in (("Deny", "deny"), ("Allow", "allow")):
        snapshot = meshed(network(policy), route)
        assert out(snapshot, http("POST", "/a.B/C")) == "allow"
        assert out(snapshot, http("POST", "/x.Y/Z")) == other
        # What is no call is refused, whatever the policy.
        assert out(snapshot, http("GET", "/")) == "deny"
        assert out(snapshot, RAW) == "deny"


def test_tls_routes() -> None:
    route = to("TLSRoute", "r", "hostnames: [api.example.com, '*.example.org']\nrules: [{}]")
    snapshot = meshed(network(), route)
    names = ("api.example.com", "a.example.org", "example.org", "other.com")
    assert [out(snapshot, Request(sni=name)) for name in names] == [
        "allow",
        "allow",
        "deny",
        "deny",
    ]
    assert out(snapshot, http("GET", "/", sni="")) == "deny"
    assert out(snapshot, http("GET", "/", sni="api.example.com")) == "allow"
    assert out(snapshot, http("GET", "/")) == "limited"
    assert out(snapshot) == "limited"
    found = ask(snapshot, "shop/web", OUTSIDE, 443)
    assert {"tls": {"server_name": "api.example.com"}} in found.limited_to
    # Beside TLSRoutes, what has no server name is refused, whatever the policy.
    assert out(meshed(network("Allow"), route), RAW) == "deny"
    assert out(meshed(network("Allow"), route), Request(sni="other.com")) == "allow"


def test_tcp_routes_take_everything() -> None:
    snapshot = meshed(network(), to("TCPRoute", "r"))
    assert [out(snapshot, r) for r in (ANYTHING, http("GET", "/"), TLS, RAW)] == ["allow"] * 4


def test_of_the_kinds_of_routes_one_counts() -> None:
    paths = to("HTTPRoute", "r", "rules: [{matches: [{path: {value: /v1}}]}]")
    snapshot = meshed(network(), to("TCPRoute", "t"), to("TLSRoute", "s"), paths)
    assert out(snapshot, http("GET", "/v1")) == "allow"
    assert [out(snapshot, r) for r in (TLS, RAW)] == ["deny", "deny"]
    tls = meshed(network(), to("TCPRoute", "t"), to("TLSRoute", "s"))
    assert [out(tls, r) for r in (TLS, RAW)] == ["allow", "deny"]


def test_opaque_ports_have_tcp_routes_alone() -> None:
    paths = to("HTTPRoute", "r", port=5432)
    assert out(meshed(network(), paths), http("GET", "/"), port=5432) == "deny"
    assert out(meshed(network(), paths, to("TCPRoute", "t", port=5432)), port=5432) == "allow"
    said = {"config.linkerd.io/opaque-ports": "80,440-450"}
    snapshot = meshed(network(annotations=said), paths, to("HTTPRoute", "q"))
    assert out(snapshot, http("GET", "/"), port=5432) == "allow"
    assert out(snapshot, http("GET", "/")) == "deny"


def test_whose_routes_count() -> None:
    producer = to("TCPRoute", "r")
    assert out(meshed(network(), producer)) == "allow"
    assert out(meshed(network(), to("TCPRoute", "r", namespace="lab"))) == "deny"
    parent = "parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: e, port: 443}]\n"
    there = made("TCPRoute", "r", f"{parent}rules: [{{}}]", namespace="linkerd-egress")
    common = network(namespace="linkerd-egress")
    assert out(meshed(common, there)) == "allow"


def test_a_route_may_send_it_elsewhere() -> None:
    itself = "{group: policy.linkerd.io, kind: EgressNetwork, name: e}"
    one = to("TCPRoute", "r", f"rules: [{{backendRefs: [{itself}]}}]")
    assert out(meshed(network(), one)) == "allow"
    other = to("TCPRoute", "r", "rules: [{backendRefs: [{name: proxy, port: 80}]}]")
    assert out(meshed(network(), other)) == "unknown"


@pytest.mark.parametrize(
    "document",
    [
        network("Maybe"),
        network(more="networks: []"),
        network(more="hosts: []"),
        network(more="networks: [{cidr: x}]"),
        made("EgressNetwork", "e", "networks: [{cidr: 8.0.0.0/8}]"),
    ],
)
def test_a_network_that_is_not_understood(document: Document) -> None:
    assert out(meshed(document)) == "unknown"


@pytest.mark.parametrize(
    "route",
    [
        to("TLSRoute", "r", "rules: [{}, {}]"),
        to("TCPRoute", "r", "rules: []"),
        to("HTTPRoute", "r", "rules: [{matches: [{path: {value: x}}]}]"),
        made(
            "TCPRoute",
            "r",
            "parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: e}]\nrules: [{}]",
        ),
    ],
)
def test_a_route_that_is_not_understood(route: Document) -> None:
    assert out(meshed(network(), route)) == "unknown"


def test_a_name_of_the_outside_leads_somewhere_outside_the_networks_of_the_cluster() -> None:
    name = "api.example.com"
    assert out(meshed(network()), destination=name) == "deny"
    assert out(meshed(network("Allow")), destination=name) == "allow"
    every = network(more="networks: [{cidr: 0.0.0.0/0}, {cidr: '::/0'}]")
    assert out(meshed(every), destination=name) == "deny"
    some = network(more="networks: [{cidr: 8.0.0.0/8}]")
    assert out(meshed(some), destination=name) == "unknown"
    # Whether the network takes it or not, what its route lets out goes out.
    route = to("TLSRoute", "r", f"hostnames: [{name}]\nrules: [{{}}]")
    assert out(meshed(some, route), TLS, name) == "allow"
    notes = ask(meshed(network()), "shop/web", name, 443).notes
    assert any("outside the networks" in note for note in notes)
