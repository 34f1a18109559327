"""Linkerd's inbound proxy: Servers, default policies, protocols, and what is not understood."""

import msgspec
import pytest

from reference.linkerd_cluster import (
    ANYONE,
    TO_SERVER,
    WEB,
    ask,
    http,
    made,
    meshed,
    policy,
    server,
    verdict,
)
from ringfence.model.layer7 import Request
from ringfence.model.location import Location
from ringfence.model.mesh import LinkerdConfig
from ringfence.model.snapshot import BlindSpot
from ringfence.model.verdict import Judgement
from ringfence.reference.ends import ASSUMED
from ringfence.reference.linkerd_objects import created

PLAIN = Request(mtls=False)


def by(found: Judgement, action: str) -> list[tuple[str | None, str]]:
    return [
        (piece.object, piece.rule)
        for piece in found.evidence
        if (piece.layer, piece.direction, piece.action) == ("mesh", "ingress", action)
    ]


# -- which Server --------------------------------------------------------------------------------


def test_the_oldest_server_of_a_port_counts_then_the_first_by_name() -> None:
    deny = server(name="b", creationTimestamp="2024-01-02T00:00:00Z")
    allow = "accessPolicy: all-unauthenticated"
    young = server(allow, name="a", creationTimestamp="2024-01-03T00:00:00Z")
    old = server(allow, name="c", creationTimestamp="2024-01-01T00:00:00Z")
    assert verdict(meshed(deny, young), "lab/many") == "deny"
    assert verdict(meshed(deny, old), "lab/many") == "allow"
    assert verdict(meshed(server(name="b"), server(allow, name="a")), "lab/many") == "allow"
    assert verdict(meshed(server(name="a"), server(allow, name="b")), "lab/many") == "deny"


def test_what_was_never_applied_is_the_youngest() -> None:
    old = server(name="z", creationTimestamp="2024-01-02T00:00:00+00:00")
    snapshot = meshed(server("accessPolicy: audit", name="a", creationTimestamp=None), old)
    assert verdict(snapshot, "lab/many") == "deny"
    assert created(old) < created(server(creationTimestamp="no time"))
    assert created(old) < created(server(creationTimestamp="2024-01-02T00:00:01"))


def test_a_server_is_for_the_pods_of_its_namespace_that_it_selects() -> None:
    elsewhere = server(namespace="lab")
    others = made("Server", "s", "podSelector: {matchLabels: {app: web}}\nport: 80")
    assert verdict(meshed(elsewhere, others), "lab/many") == "allow"
    assert verdict(meshed(others), "lab/many", "shop/web") == "deny"


def test_a_named_port_may_be_several_of_tcp_also_of_init_containers() -> None:
    snapshot = meshed(made("Server", "s", "podSelector: {}\nport: sql"))
    found = {p: verdict(snapshot, "lab/many", port=p) for p in (5432, 15432, 53, 7000)}
    assert found == {5432: "deny", 15432: "deny", 53: "allow", 7000: "allow"}
    assert verdict(meshed(made("Server", "s", "podSelector: {}\nport: warmup")), "lab/many") == (
        "allow"
    )
    warm = meshed(made("Server", "s", "podSelector: {}\nport: warmup"))
    assert verdict(warm, "lab/many", port=7000) == "deny"
    udp = meshed(made("Server", "s", "podSelector: {}\nport: dns"))
    assert verdict(udp, "lab/many", port=53) == "allow"


def test_a_port_in_quotes_is_a_name() -> None:
    quoted = made("Server", "s", 'podSelector: {}\nport: "80"')
    assert verdict(meshed(quoted), "lab/many") == "allow"


def test_a_server_of_external_workloads_selects_no_pod() -> None:
    external = made("Server", "s", "externalWorkloadSelector: {}\nport: 80")
    assert verdict(meshed(external), "lab/many") == "allow"


@pytest.mark.parametrize(
    "spec",
    [
        "port: 80",
        "podSelector: {}",
        "podSelector: {}\nexternalWorkloadSelector: {}\nport: 80",
        "podSelector: {}\nport: 0",
        "podSelector: {}\nport: 70000",
        'podSelector: {}\nport: ""',
        "podSelector: {}\nport: 80\nproxyProtocol: http",
        "podSelector: {}\nport: 80\naccessPolicy: allow",
        "podSelector: {}\nport: 80\nhost: x",
        "podSelector: {matchLabels: []}\nport: 80",
    ],
)
def test_a_server_that_is_not_understood_may_be_for_any_port(spec: str) -> None:
    snapshot = meshed(made("Server", "s", spec))
    assert [verdict(snapshot, "lab/many", port=port) for port in (80, 81)] == ["unknown"] * 2


def test_it_is_for_no_pods_that_it_does_not_select() -> None:
    snapshot = meshed(made("Server", "s", "podSelector: {matchLabels: {app: web}}\nport: 0"))
    assert verdict(snapshot, "lab/many") == "allow"
    assert verdict(snapshot, "lab/many", "shop/web") == "unknown"


def test_older_versions_have_no_access_policy() -> None:
    old = server("accessPolicy: deny", version="policy.linkerd.io/v1beta2")
    assert verdict(meshed(old), "lab/many") == "unknown"


def test_what_could_not_be_read_may_decide() -> None:
    spot = BlindSpot("`policies.yaml` is no YAML", Location("policies.yaml", 3))
    snapshot = msgspec.structs.replace(meshed(server()), blind_spots=(spot,))
    found = ask(snapshot, "shop/web")
    assert found.mesh is not None
    assert found.mesh.ingress == "unknown"
    assert (None, "unread") in by(found, "unknown")


# -- the default policy --------------------------------------------------------------------------

EVERYONE = ("shop/web", "lab/many", "8.8.8.8")


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("all-unauthenticated", "allow allow allow"),
        ("all-authenticated", "allow deny deny"),
        ("cluster-unauthenticated", "allow allow deny"),
        ("cluster-authenticated", "allow deny deny"),
        ("deny", "deny deny deny"),
        ("audit", "allow allow allow"),
    ],
)
def test_default_policies(mode: str, found: str) -> None:
    config = LinkerdConfig(source="x", default_inbound=mode)
    snapshots = meshed(config=config), meshed(default_inbound=mode)
    access = meshed(server(f"accessPolicy: {mode}"))
    for snapshot in (*snapshots, access):
        assert " ".join(verdict(snapshot, who) for who in EVERYONE) == found
    assert verdict(snapshots[0], "127.0.0.1") == "allow"


def test_that_it_rests_on_where_pods_are_assumed_is_told() -> None:
    for mode, told in (("all-unauthenticated", False), ("cluster-unauthenticated", True)):
        snapshot = msgspec.structs.replace(meshed(default_inbound=mode), pod_cidrs_assumed=True)
        assert (ASSUMED in ask(snapshot, "lab/planned").notes) is told


def test_networks_are_of_their_own_family() -> None:
    snapshot = meshed(default_inbound="cluster-unauthenticated")
    assert [verdict(snapshot, one) for one in ("fd00::1", "2001:db8::1")] == ["allow", "deny"]
    snapshot = meshed(default_inbound="all-unauthenticated")
    assert verdict(snapshot, "2001:db8::1") == "allow"


def test_the_pod_says_before_the_cluster_does() -> None:
    config = LinkerdConfig(source="x", default_inbound="deny")
    snapshot = meshed(config=config, default_inbound="all-unauthenticated")
    assert verdict(snapshot, "lab/many") == "allow"
    assert verdict(snapshot, "lab/many", "shop/web") == "deny"


def test_an_annotation_that_is_no_policy_counts_for_nothing() -> None:
    config = LinkerdConfig(source="x", default_inbound="deny")
    assert verdict(meshed(config=config, default_inbound="none"), "lab/many") == "deny"


def test_ports_that_require_an_identity() -> None:
    for mode in ("all-unauthenticated", "cluster-unauthenticated"):
        snapshot = meshed(default_inbound=mode)
        assert verdict(snapshot, "lab/many", port=7070) == "deny"
        assert verdict(snapshot, "lab/tester", port=7070) == "allow"
    assert verdict(meshed(default_inbound="audit"), "lab/many", port=7070) == "allow"
    assert verdict(meshed(default_inbound="deny"), "shop/web", port=7070) == "deny"
    # What a Server says is not changed by them.
    snapshot = meshed(made("Server", "s", "podSelector: {}\nport: 7070\naccessPolicy: audit"))
    assert verdict(snapshot, "lab/many", port=7070) == "allow"


def test_a_policy_for_the_namespace_is_not_for_ports_without_a_server() -> None:
    target = "targetRef: {kind: Namespace, name: shop}\n"
    snapshot = meshed(policy(target + ANYONE), default_inbound="deny")
    assert verdict(snapshot, "shop/web") == "deny"


def test_defaults_that_are_assumed_are_told() -> None:
    assumed = meshed(config=LinkerdConfig())
    assert any("defaultInboundPolicy" in note for note in ask(assumed, "lab/many").notes)
    assert not ask(meshed(), "lab/many").notes
    near = meshed(server("accessPolicy: cluster-authenticated"), config=LinkerdConfig())
    assert any("clusterNetworks" in note for note in ask(near, "shop/web").notes)


# -- protocols -----------------------------------------------------------------------------------

NOT_HTTP = Request(http=False)


@pytest.mark.parametrize("protocol", ["opaque", "TLS"])
def test_without_a_look_inside_the_server_alone_decides(protocol: str) -> None:
    snapshot = meshed(server(f"proxyProtocol: {protocol}"), policy(TO_SERVER + WEB))
    for request in (NOT_HTTP, http("GET", "/"), Request(), Request(http=False, sni="db")):
        assert verdict(snapshot, "shop/web", request=request) == "allow"
        assert verdict(snapshot, "lab/tester", request=request) == "deny"


@pytest.mark.parametrize("protocol", ["HTTP/1", "HTTP/2"])
def test_what_is_to_be_http_and_is_not_is_refused(protocol: str) -> None:
    snapshot = meshed(server(f"proxyProtocol: {protocol}\naccessPolicy: all-unauthenticated"))
    assert verdict(snapshot, "shop/web", request=NOT_HTTP) == "deny"
    assert verdict(snapshot, "shop/web", request=Request(http=False, sni="db")) == "deny"
    assert verdict(snapshot, "shop/web", request=Request(dns="db")) == "deny"
    assert verdict(snapshot, "shop/web", request=http()) == "allow"
    found = ask(snapshot, "shop/web")
    assert found.limited_to == ({"http": {}},)


def test_a_server_of_grpc_takes_calls_alone() -> None:
    snapshot = meshed(server("proxyProtocol: gRPC\naccessPolicy: all-unauthenticated"))
    assert verdict(snapshot, "shop/web", request=http("POST", "/a.B/C")) == "allow"
    assert verdict(snapshot, "shop/web", request=http("GET", "/a.B/C")) == "deny"
    assert verdict(snapshot, "shop/web", request=http("POST", "/")) == "deny"
    assert verdict(snapshot, "shop/web", request=NOT_HTTP) == "deny"
    assert verdict(snapshot, "shop/web") == "limited"


def test_an_opaque_port_without_a_server_is_not_looked_into() -> None:
    snapshot = meshed(default_inbound="deny", probes=((9000, "/healthz"),))
    assert verdict(snapshot, "lab/many", port=9000, request=http("GET", "/healthz")) == "deny"


# -- probes and localhost ------------------------------------------------------------------------


def test_probes_are_let_in_with_and_without_a_server() -> None:
    eighty = made("Server", "s", "podSelector: {}\nport: 8080")
    for snapshot in (meshed(eighty), meshed(default_inbound="deny")):
        for path in ("/healthz", "/healthz?verbose", "/"):
            found = ask(snapshot, "node/n1", port=8080, request=http("GET", path))
            assert found.verdict == "allow"
            assert by(found, "allow") == [(None, "probe")]
        for request in (http("HEAD", "/healthz"), http("GET", "/healthz/"), http("GET", "/x")):
            assert verdict(snapshot, "node/n1", port=8080, request=request) == "deny"
        assert verdict(snapshot, "lab/many", port=8080) == "limited"


def test_no_probes_beside_a_route_nor_with_grpc() -> None:
    grpc = made("Server", "s", "podSelector: {}\nport: 8080\nproxyProtocol: gRPC")
    route = made(
        "HTTPRoute",
        "r",
        "parentRefs: [{group: policy.linkerd.io, kind: Server, name: s}]\nrules: [{}]",
    )
    eighty = made("Server", "s", "podSelector: {}\nport: 8080")
    for snapshot in (meshed(grpc), meshed(eighty, route)):
        assert verdict(snapshot, "node/n1", port=8080, request=http("GET", "/healthz")) == "deny"


def test_probes_come_from_the_networks_of_probes() -> None:
    config = LinkerdConfig(source="x", default_inbound="deny", probe_networks=("192.168.0.1/32",))
    probe = http("GET", "/healthz")
    assert verdict(meshed(config=config), "node/n1", port=8080, request=probe) == "allow"
    assert verdict(meshed(config=config), "node/n2", port=8080, request=probe) == "deny"
    none = LinkerdConfig(source="x", default_inbound="deny", probe_networks=())
    assert verdict(meshed(config=none), "node/n1", port=8080, request=probe) == "deny"


def test_localhost_is_let_in_whatever_the_policies() -> None:
    found = ask(meshed(server("proxyProtocol: opaque")), "127.0.0.1")
    assert found.verdict == "allow"
    assert by(found, "allow") == [(None, "localhost")]


# -- transport -----------------------------------------------------------------------------------


def test_a_client_outside_the_mesh_proves_nothing() -> None:
    snapshot = meshed(server(), policy(TO_SERVER + WEB))
    assert verdict(snapshot, "shop/web") == "allow"
    assert verdict(snapshot, "shop/web", request=PLAIN) == "deny"


def test_who_is_not_in_the_mesh_proves_no_name_over_mtls_that_is_forced() -> None:
    forced = Request(mtls=True)
    assert verdict(meshed(server(), policy(TO_SERVER + WEB)), "lab/many", request=forced) == "deny"
    any_tls = "server: {name: s}\nclient: {meshTLS: {unauthenticatedTLS: true}}"
    open_ = meshed(server(), made("ServerAuthorization", "a", any_tls))
    assert verdict(open_, "lab/many", request=forced) == "allow"
    assert verdict(open_, "lab/many") == "deny"


def test_what_decided_is_told_with_its_place() -> None:
    snapshot = meshed(server(), policy(TO_SERVER + WEB))
    assert by(ask(snapshot, "shop/web"), "allow") == [
        ("AuthorizationPolicy.policy.linkerd.io/shop/p", "requiredAuthenticationRefs")
    ]
    assert by(ask(snapshot, "lab/tester"), "deny") == [("Server/shop/s", "isolation")]
    opened = ask(meshed(server("accessPolicy: audit")), "lab/many")
    assert by(opened, "allow") == [("Server/shop/s", "accessPolicy")]
    assert by(ask(meshed(), "lab/many"), "allow") == [(None, "default")]
    assert by(ask(meshed(default_inbound="deny"), "lab/many"), "deny") == [(None, "default")]
