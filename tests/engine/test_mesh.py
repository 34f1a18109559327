"""What the engine makes of connections through a mesh, rule by rule, on policies made by hand."""

from typing import Any

import msgspec
import pytest

from mesh_values import (
    ADMIN,
    AMBIENT,
    GET,
    LINKERD,
    MTLS,
    SIDECARS,
    TCP,
    member,
    pods,
    policy,
    principal,
    rule,
    service,
    snapshot,
    workload,
)
from ringfence.engine import Engine
from ringfence.model import tiers
from ringfence.model.cluster import Protocol, ServicePort, Workload
from ringfence.model.connection import Connection, DomainEnd, PodEnd
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HttpMatch,
    Layer7,
    Request,
    Text,
    Wildcard,
    exact,
)
from ringfence.model.mesh import (
    ClientTls,
    DataPlane,
    IstioConfig,
    LinkerdConfig,
    Mesh,
    Ports,
)
from ringfence.model.profile import CiliumConfig, Cni, Profile
from ringfence.model.rule import (
    NETWORK_POLICY,
    Action,
    AddressPeer,
    AllPeers,
    Chain,
    ChainPort,
    Direction,
    DomainPeer,
    NotPeer,
    Policy,
    PortRange,
    PortUse,
    PrincipalPeer,
    ProxyPort,
    ServicePeer,
    Unreadable,
)
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict

ALLOW, DENY, UNKNOWN = Verdict.ALLOW, Verdict.DENY, Verdict.UNKNOWN
BOTH = [workload("a", member("a"), 1), workload("b", member("b"), 2)]
STRICT = policy(
    tiers.ISTIO_TRANSPORT,
    SIDECARS,
    rule(Action.DENY, traffic=(PortRange(TCP),), not_layer7=(MTLS,)),
    tie="strict",
)
DISABLE = policy(
    tiers.ISTIO_TRANSPORT,
    SIDECARS,
    rule(Action.DENY, traffic=(PortRange(TCP),), layer7=(MTLS,)),
    tie="disable",
)
HTTP_REQUEST = Request(http=True, method="GET", path="/", host="h", headers=(), dns="", sni="")


def number(found: Snapshot, name: str) -> int:
    return [one.name for one in found.workloads].index(name)


def ask(
    found: Snapshot,
    source: str,
    destination: str,
    port: int = 8080,
    *,
    by: str | None = None,
    request: Request = HTTP_REQUEST,
    protocol: Protocol = TCP,
) -> Judgement:
    called = None if by is None else [one.name for one in found.services].index(by)
    ends = [PodEnd(number(found, name), 0) for name in (source, destination)]
    return Engine(found).judge(
        Connection(ends[0], ends[1], protocol, port, request=request, service=called)
    )


def carried(found: Judgement) -> tuple[bool | None, int | None]:
    assert found.mesh is not None
    return found.mesh.mtls, found.mesh.wire


def allow_from(*names: str, **more: Any) -> Policy:
    peers = [PrincipalPeer(exact(principal(name))) for name in names]
    allowed = rule(Action.ALLOW, *peers, **{"layer7": (MTLS,), **more})
    return policy(tiers.ISTIO_ALLOW, AllPeers((SIDECARS, pods("b"))), allowed, isolates=True)


# -- who takes part ------------------------------------------------------------------------------


def test_without_a_mesh_at_either_end_there_is_no_verdict_of_one() -> None:
    ends = [workload("a"), workload("b"), workload("c", member("c"))]
    assert ask(snapshot(ends, [STRICT]), "a", "b").mesh is None


def test_a_pod_outside_the_mesh_is_refused_where_mtls_is_asked_for() -> None:
    found = ask(snapshot([workload("a"), BOTH[1]], [STRICT], service("b")), "a", "b", by="b")
    assert found.verdict is DENY
    assert (found.egress, found.ingress) == (ALLOW, ALLOW)
    assert found.mesh is not None
    assert (found.mesh.egress, found.mesh.ingress) == (ALLOW, DENY)
    (denied,) = [piece for piece in found.evidence if piece.action == "deny"]
    assert denied.layer == "mesh"


def test_a_destination_outside_the_mesh_is_judged_by_the_network_alone() -> None:
    found = ask(snapshot([BOTH[0], workload("b")], [STRICT], service("b")), "a", "b", by="b")
    assert (found.verdict, carried(found)) == (ALLOW, (False, 8080))
    assert ("mesh", "ingress", "no mesh") in {
        (piece.layer, piece.direction, piece.rule) for piece in found.evidence
    }


def test_a_port_that_the_proxy_does_not_take_is_not_the_meshs() -> None:
    ends = [workload("a"), workload("b", member("b", inbound=Ports(((8080, 8080),))))]
    assert ask(snapshot(ends, [STRICT]), "a", "b").verdict is ALLOW
    assert ask(snapshot(ends, [STRICT]), "a", "b", 9000).verdict is DENY


def test_a_port_that_the_clients_proxy_leaves_out_is_plaintext() -> None:
    ends = [workload("a", member("a", outbound=Ports(((8080, 8080),)))), BOTH[1]]
    found = ask(snapshot(ends, [STRICT], service("b")), "a", "b", by="b")
    assert (found.verdict, carried(found)) == (DENY, (False, 8080))


@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.SCTP])
def test_what_is_not_tcp_passes_by_the_mesh(protocol: Protocol) -> None:
    cut = snapshot([workload("a"), BOTH[1]], [STRICT])
    assert ask(cut, "a", "b", protocol=protocol, request=Request()).verdict is ALLOW


def test_a_membership_that_is_not_certain_is_tried_both_ways() -> None:
    ends = [workload("a"), workload("b", member("b", uncertain="no pod was seen"))]
    found = ask(snapshot(ends, [STRICT]), "a", "b")
    assert found.verdict is UNKNOWN
    assert "no pod was seen" in found.unknown_because
    assert ask(snapshot(ends, []), "a", "b").verdict is ALLOW


# -- transport -----------------------------------------------------------------------------------


def test_a_sidecar_speaks_mtls_to_services_alone() -> None:
    cut = snapshot(BOTH, [STRICT], service("b"))
    by_service = ask(cut, "a", "b", by="b")
    assert (by_service.verdict, carried(by_service)) == (ALLOW, (True, 8080))
    by_address = ask(cut, "a", "b")
    assert (by_address.verdict, carried(by_address)) == (DENY, (False, 8080))


@pytest.mark.parametrize("planes", [("ambient", "sidecar"), ("sidecar", "ambient")])
def test_a_tunnel_ends_at_15008_where_either_end_is_in_ambient(planes: tuple[str, str]) -> None:
    ends = [
        workload(name, member(name, DataPlane(plane)))
        for name, plane in zip("ab", planes, strict=True)
    ]
    assert carried(ask(snapshot(ends, [], service("b")), "a", "b", by="b")) == (True, 15008)


def test_a_ztunnel_speaks_mtls_to_addresses_too() -> None:
    ends = [workload(name, member(name, DataPlane.AMBIENT)) for name in "ab"]
    assert carried(ask(snapshot(ends, []), "a", "b")) == (True, 15008)


@pytest.mark.parametrize(("header", "wire"), [(True, 4143), (False, 8080)])
def test_linkerds_proxies_speak_at_4143_since_they_send_headers(header: bool, wire: int) -> None:
    ends = [workload(name, member(name, DataPlane.LINKERD)) for name in "ab"]
    mesh = Mesh(None, LinkerdConfig(transport_header=header))
    assert carried(ask(snapshot(ends, [], mesh=mesh), "a", "b")) == (True, wire)


def test_two_meshes_do_not_know_each_other() -> None:
    ends = [BOTH[0], workload("b", member("b", DataPlane.LINKERD))]
    assert carried(ask(snapshot(ends, [], service("b")), "a", "b", by="b")) == (False, 8080)


def test_a_client_sends_plaintext_where_the_destination_disables_mtls() -> None:
    cut = snapshot(BOTH, [DISABLE], service("b"))
    found = ask(cut, "a", "b", by="b")
    assert (found.verdict, carried(found)) == (ALLOW, (False, 8080))
    forced = ask(cut, "a", "b", by="b", request=msgspec.structs.replace(HTTP_REQUEST, mtls=True))
    assert (forced.verdict, carried(forced)) == (DENY, (True, 8080))


def test_a_question_that_asks_for_plaintext_gets_it() -> None:
    cut = snapshot(BOTH, [STRICT], service("b"))
    plain = msgspec.structs.replace(HTTP_REQUEST, mtls=False)
    assert ask(cut, "a", "b", by="b", request=plain).verdict is DENY


def client_tls(mode: str, **more: Any) -> tuple[ClientTls, ...]:
    said = {"namespace": "shop", "host": "b.shop.svc.cluster.local", "mode": mode, **more}
    return (ClientTls(0, ("spec",), **said),)


@pytest.mark.parametrize(
    ("told", "verdict", "mtls"),
    [
        (client_tls("DISABLE"), DENY, False),
        (client_tls("SIMPLE"), DENY, False),
        (client_tls("ISTIO_MUTUAL"), ALLOW, True),
        (client_tls("DISABLE", host="*"), DENY, False),
        (client_tls("DISABLE", host="c.shop.svc.cluster.local"), ALLOW, True),
        (client_tls("DISABLE", host="*") + client_tls("ISTIO_MUTUAL"), ALLOW, True),
        (client_tls("DISABLE", ports=((80, "ISTIO_MUTUAL"),)), ALLOW, True),
        (client_tls("", ports=((80, "DISABLE"),)), DENY, False),
        (client_tls("DISABLE", namespace="far"), ALLOW, True),
        (client_tls("DISABLE", namespace="istio-system"), DENY, False),
        (client_tls("DISABLE", namespace="istio-system", export_to=(".",)), ALLOW, True),
        (client_tls("DISABLE", workloads=(("app", "c"),)), ALLOW, True),
        (client_tls("DISABLE", workloads=(("app", "a"),)), DENY, False),
        (client_tls("", unreadable="odd"), UNKNOWN, None),
    ],
)
def test_a_destination_rule_says_with_what_tls_its_clients_call(
    told: tuple[ClientTls, ...], verdict: Verdict, mtls: bool | None
) -> None:
    cut = snapshot(BOTH, [STRICT], service("b"), client_tls=told)
    found = ask(cut, "a", "b", by="b")
    assert (found.verdict, carried(found)[0]) == (verdict, mtls)


def test_without_automatic_mtls_a_sidecar_sends_plaintext() -> None:
    mesh = Mesh(IstioConfig(auto_mtls=False), None)
    cut = snapshot(BOTH, [STRICT], service("b"), mesh=mesh)
    assert ask(cut, "a", "b", by="b").verdict is DENY


# -- both layers ---------------------------------------------------------------------------------


def let_in(port: int) -> Policy:
    allowed = rule(Action.ALLOW, traffic=(PortRange(TCP, port, port),))
    return policy(NETWORK_POLICY, pods("b"), allowed, isolates=True)


def test_the_network_sees_the_port_of_the_tunnel() -> None:
    ends = [workload(name, member(name, DataPlane.AMBIENT)) for name in "ab"]
    found = ask(snapshot(ends, [let_in(8080)]), "a", "b")
    assert (found.verdict, found.ingress) == (DENY, DENY)
    assert found.mesh is not None
    assert found.mesh.ingress is ALLOW
    assert ask(snapshot(ends, [let_in(15008)]), "a", "b").verdict is ALLOW


def test_the_network_cannot_read_what_is_over_mtls() -> None:
    reading = rule(Action.ALLOW, traffic=(PortRange(TCP, 8080, 8080),), layer7=(Layer7(http=GET),))
    http = policy(NETWORK_POLICY, pods("b"), reading, isolates=True)
    cut = snapshot(BOTH, [http], service("b"))
    assert ask(cut, "a", "b", by="b").verdict is DENY
    assert ask(cut, "a", "b").verdict is ALLOW


def test_what_cilium_only_audits_the_mesh_still_denies() -> None:
    audited = Profile(Cni.CILIUM, cilium=CiliumConfig(audit=True))
    ends = [workload("a"), BOTH[1]]
    assert ask(snapshot(ends, [STRICT], profile=audited), "a", "b").verdict is DENY
    never = Profile(Cni.CILIUM, cilium=CiliumConfig(enforcement="never"))  # type: ignore[arg-type]
    assert ask(snapshot(ends, [STRICT], profile=never), "a", "b").verdict is DENY


def test_a_policy_of_the_mesh_that_is_not_understood_leaves_the_network_known() -> None:
    odd = policy(tiers.ISTIO_DENY, SIDECARS, unreadable=(Unreadable("odd", ("spec",)),))
    found = ask(snapshot(BOTH, [odd], service("b")), "a", "b", by="b")
    assert (found.verdict, found.ingress) == (UNKNOWN, ALLOW)
    assert found.mesh is not None
    assert found.mesh.ingress is UNKNOWN


# -- identities ----------------------------------------------------------------------------------


def test_an_identity_is_proved_over_mtls_alone() -> None:
    ends = [*BOTH, workload("c", member("c"), 3)]
    cut = snapshot(ends, [allow_from("a")], service("b"))
    assert ask(cut, "a", "b", by="b").verdict is ALLOW
    assert ask(cut, "c", "b", by="b").verdict is DENY
    assert ask(cut, "a", "b").verdict is DENY


def test_not_a_principal_is_met_by_plaintext() -> None:
    other = NotPeer(PrincipalPeer(exact(principal("c"))))
    allowed = [
        rule(Action.ALLOW, other, layer7=(MTLS,)),
        rule(Action.ALLOW, not_layer7=(MTLS,)),
    ]
    only = policy(tiers.ISTIO_ALLOW, AllPeers((SIDECARS, pods("b"))), *allowed, isolates=True)
    ends = [workload("a"), BOTH[1], workload("c", member("c"), 3)]
    cut = snapshot(ends, [only], service("b"))
    assert ask(cut, "a", "b", by="b").verdict is ALLOW
    assert ask(cut, "c", "b", by="b").verdict is DENY
    assert ask(cut, "c", "b").verdict is ALLOW


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [
        (Text(Form.PREFIX, "cluster.local/ns/shop/"), ALLOW),
        (Text(Form.SUFFIX, "/sa/a"), ALLOW),
        (Text(Form.SUFFIX, "/sa/b"), DENY),
        (Text(Form.REGEX, ".*/ns/s.*p/.*"), ALLOW),
        (Text(Form.REGEX, "ns"), DENY),
    ],
)
def test_principals_are_met_by_patterns(pattern: Text, verdict: Verdict) -> None:
    allowed = rule(Action.ALLOW, PrincipalPeer(pattern), layer7=(MTLS,))
    only = policy(tiers.ISTIO_ALLOW, SIDECARS, allowed, isolates=True)
    assert ask(snapshot(BOTH, [only], service("b")), "a", "b", by="b").verdict is verdict


def test_an_address_is_compared_whatever_has_it() -> None:
    allowed = rule(Action.ALLOW, AddressPeer("10.0.0.1/32"))
    only = policy(tiers.ISTIO_ALLOW, SIDECARS, allowed, isolates=True)
    ends = [workload("a", None, 1), BOTH[1], workload("c", None, 3)]
    for cni in (Cni.GENERIC, Cni.CILIUM):
        cut = snapshot(ends, [only], profile=Profile(cni))
        assert ask(cut, "a", "b").verdict is ALLOW
        assert ask(cut, "c", "b").verdict is DENY


# -- above the port ------------------------------------------------------------------------------


def test_an_open_question_is_limited_to_what_the_mesh_lets_pass() -> None:
    only = allow_from("a", layer7=(Layer7(http=GET, mtls=True),))
    found = ask(snapshot(BOTH, [only], service("b")), "a", "b", by="b", request=Request())
    assert found.verdict is ALLOW
    assert found.limited_to == ({"http": {"method": "GET"}},)


def test_an_open_question_is_limited_to_what_both_layers_let_pass() -> None:
    port = PortRange(TCP, 8080, 8080)
    reading = rule(Action.ALLOW, traffic=(port,), layer7=(Layer7(http=GET),))
    network = policy(NETWORK_POLICY, pods("b"), reading, isolates=True)
    denied = rule(Action.DENY, layer7=(Layer7(http=ADMIN),))
    mesh = policy(tiers.ISTIO_DENY, SIDECARS, denied)
    cut = snapshot([workload("a"), BOTH[1]], [network, mesh])
    found = ask(cut, "a", "b", request=Request())
    assert found.verdict is ALLOW
    assert found.limited_to == (
        {"http": {"method": "GET"}},
        {"except": {"http": {"path_prefix": "/admin"}}},
    )


@pytest.mark.parametrize(
    ("setting", "path", "verdict"),
    [
        ("BASE", "/admin/x?q", DENY),
        ("BASE", "/%61dmin", DENY),
        ("BASE", "/a/../admin", DENY),
        ("BASE", "//admin", ALLOW),
        ("MERGE_SLASHES", "//admin", DENY),
        ("BASE", "/%2fadmin", ALLOW),
        ("DECODE_AND_MERGE_SLASHES", "/%2fadmin", DENY),
        ("NONE", "/%61dmin", ALLOW),
        ("NONE", "/x?/admin", ALLOW),
    ],
)
def test_a_path_is_compared_as_the_mesh_reads_it(setting: str, path: str, verdict: Verdict) -> None:
    denied = rule(Action.DENY, layer7=(Layer7(http=ADMIN),))
    mesh = Mesh(IstioConfig(normalization=setting), None)
    cut = snapshot(BOTH, [policy(tiers.ISTIO_DENY, SIDECARS, denied)], service("b"), mesh=mesh)
    request = msgspec.structs.replace(HTTP_REQUEST, path=path)
    assert ask(cut, "a", "b", by="b", request=request).verdict is verdict


def of_chain(chain: Chain, *ports: ServicePort) -> Verdict:
    denied = rule(Action.DENY, traffic=(ChainPort(chain),))
    services = [service("b", *ports)] if ports else []
    cut = snapshot(
        [workload("a"), BOTH[1]], [policy(tiers.ISTIO_DENY, SIDECARS, denied)], *services
    )
    return ask(cut, "a", "b").verdict


@pytest.mark.parametrize(
    ("port", "chain"),
    [
        (ServicePort(80, 8080, name="http"), Chain.HTTP),
        (ServicePort(80, 8080, name="http2-web"), Chain.HTTP),
        (ServicePort(80, 8080, name="grpc"), Chain.HTTP),
        (ServicePort(80, 8080, name="grpc-web-x"), Chain.HTTP),
        (ServicePort(80, 8080, name="HTTP-web"), Chain.HTTP),
        (ServicePort(80, 8080, name="tcp"), Chain.TCP),
        (ServicePort(80, 8080, name="https-web"), Chain.TCP),
        (ServicePort(80, 8080, name="mongo"), Chain.TCP),
        (ServicePort(80, 8080, name="web"), Chain.DETECTED),
        (ServicePort(3306, 8080, name="web"), Chain.TCP),
        (ServicePort(80, 8080, name="tcp", app_protocol="http"), Chain.HTTP),
        (ServicePort(80, 8080, app_protocol="kubernetes.io/h2c"), Chain.HTTP),
        (ServicePort(80, 8080, app_protocol="kubernetes.io/wss"), Chain.TCP),
        (ServicePort(80, "http", name="http"), Chain.HTTP),
        (ServicePort(80, 9000, name="http"), Chain.DETECTED),
        (None, Chain.DETECTED),
    ],
)
def test_a_service_says_as_what_a_port_is_read(port: ServicePort | None, chain: Chain) -> None:
    listed = () if port is None else (port,)
    assert {one for one in Chain if of_chain(one, *listed) is DENY} == {chain}


def test_where_services_disagree_it_is_not_known_as_what_a_port_is_read() -> None:
    listed = (ServicePort(80, 8080, name="http"), ServicePort(81, 8080, name="tcp"))
    assert of_chain(Chain.HTTP, *listed) is UNKNOWN
    assert of_chain(Chain.TCP, *listed) is UNKNOWN


def test_a_tier_decides_after_the_other() -> None:
    custom = rule(Action.DENY, uncertain="the provider decides")
    asked = policy(tiers.ISTIO_CUSTOM, SIDECARS, custom)
    found = ask(snapshot(BOTH, [asked, allow_from("a")], service("b")), "a", "b", by="b")
    assert found.verdict is UNKNOWN
    assert any("the provider decides" in why for why in found.unknown_because)
    denied = policy(tiers.ISTIO_DENY, SIDECARS, rule(Action.DENY))
    both = snapshot(BOTH, [asked, denied, allow_from("a")], service("b"))
    assert ask(both, "a", "b", by="b").verdict is DENY


def test_what_is_only_recorded_decides_nothing() -> None:
    logged = policy(tiers.ISTIO_AUDIT, SIDECARS, rule(Action.LOG))
    assert ask(snapshot(BOTH, [logged], service("b")), "a", "b", by="b").verdict is ALLOW


def test_linkerd_takes_ports_for_what_its_pods_say() -> None:
    server = member(
        "b", DataPlane.LINKERD, probes=((8080, "/ready"),), identity_ports=((9000, 9000),)
    )
    probe = rule(Action.ALLOW, traffic=(ProxyPort(PortUse.PROBE, "/ready"),))
    identity = rule(Action.DENY, traffic=(ProxyPort(PortUse.IDENTITY),), not_layer7=(MTLS,))
    only = policy(tiers.LINKERD_SERVER, LINKERD, probe, identity)
    last = policy(
        tiers.LINKERD_DEFAULT,
        LINKERD,
        rule(Action.ALLOW, traffic=(PortRange(TCP, 9000, 9001),)),
        rule(Action.DENY),
    )
    cut = snapshot([workload("a"), workload("b", server)], [only, last])
    asked = {port: ask(cut, "a", "b", port).verdict for port in (8080, 9000, 9001, 9002)}
    assert asked == {8080: ALLOW, 9000: DENY, 9001: ALLOW, 9002: DENY}


# -- the source's own proxy ----------------------------------------------------------------------


def outward(*rules: Any) -> Policy:
    return policy(tiers.MESH_EGRESS, SIDECARS, *rules, direction=Direction.EGRESS)


def test_the_sources_proxy_lets_out_by_the_service_that_is_called() -> None:
    called = rule(Action.ALLOW, ServicePeer("shop", "b"), direction=Direction.EGRESS)
    last = rule(Action.DENY, direction=Direction.EGRESS)
    cut = snapshot(BOTH, [outward(called, last)], service("b"))
    assert ask(cut, "a", "b", by="b").verdict is ALLOW
    found = ask(cut, "a", "b")
    assert found.mesh is not None
    assert (found.verdict, found.egress, found.mesh.egress) == (DENY, ALLOW, DENY)


def test_the_sources_proxy_knows_names_of_the_outside() -> None:
    name = DomainPeer(DomainPattern("api.example.com", Wildcard.LABELS))
    named = rule(Action.ALLOW, name, direction=Direction.EGRESS)
    cut = snapshot(BOTH, [outward(named, rule(Action.DENY, direction=Direction.EGRESS))])
    engine = Engine(cut)
    for host, verdict in (("api.example.com", ALLOW), ("other.example.com", DENY)):
        asked = Connection(PodEnd(0, 0), DomainEnd(host), port=443)
        assert engine.judge(asked).verdict is verdict


# -- waypoints -----------------------------------------------------------------------------------


def waypointed(*policies: Policy, known: bool = True) -> Snapshot:
    ends: list[Workload] = [
        workload("a", member("a", DataPlane.AMBIENT), 1),
        workload("b", member("b", DataPlane.AMBIENT), 2),
        workload("s", member("s"), 4),
    ]
    if known:
        ends.append(workload("way", member("way", gateway="way", waypoint=True), 3))
    return snapshot(ends, list(policies), service("b", waypoint=("shop", "way")))


JUDGED = policy(
    tiers.ISTIO_ALLOW,
    ServicePeer("shop", "b"),
    rule(Action.ALLOW, PrincipalPeer(exact(principal("a"))), layer7=(Layer7(http=GET, mtls=True),)),
    isolates=True,
)


def test_a_waypoint_judges_what_ambient_sends_to_its_service() -> None:
    found = ask(waypointed(JUDGED), "a", "b", by="b")
    assert found.verdict is ALLOW
    assert found.mesh is not None
    assert (found.mesh.mtls, found.mesh.wire, found.mesh.waypoint) == (True, 15008, "shop/way")
    post = msgspec.structs.replace(HTTP_REQUEST, method="POST")
    assert ask(waypointed(JUDGED), "a", "b", by="b", request=post).verdict is DENY


def test_who_calls_the_pod_or_is_no_ztunnel_goes_past_the_waypoint() -> None:
    post = msgspec.structs.replace(HTTP_REQUEST, method="POST")
    for source, by in (("a", None), ("s", "b")):
        found = ask(waypointed(JUDGED), source, "b", by=by, request=post)
        assert found.verdict is ALLOW
        assert found.mesh is not None
        assert found.mesh.waypoint == ""


def test_behind_the_waypoint_its_own_identity_is_what_is_seen() -> None:
    subject = AllPeers((AMBIENT, pods("b")))
    peer = PrincipalPeer(exact(principal("way")))
    behind = policy(
        tiers.ISTIO_ALLOW, subject, rule(Action.ALLOW, peer, layer7=(MTLS,)), isolates=True
    )
    assert ask(waypointed(JUDGED, behind), "a", "b", by="b").verdict is ALLOW
    assert ask(waypointed(JUDGED, behind), "a", "b").verdict is DENY


def test_the_network_must_let_both_legs_pass() -> None:
    closed = policy(NETWORK_POLICY, pods("way"), isolates=True)
    assert ask(waypointed(closed), "a", "b", by="b").verdict is DENY
    inward = policy(NETWORK_POLICY, pods("b"), rule(Action.ALLOW, pods("a")), isolates=True)
    assert ask(waypointed(inward), "a", "b", by="b").verdict is DENY
    assert ask(waypointed(inward), "a", "b").verdict is ALLOW


def test_a_waypoint_that_is_not_in_the_input_leaves_it_unknown() -> None:
    found = ask(waypointed(known=False), "a", "b", by="b")
    assert found.verdict is UNKNOWN
    assert "shop/way" in found.unknown_because[0]


# -- all pairs -----------------------------------------------------------------------------------


def reached(found: Snapshot, source: str, destination: str, over: bool | None = None) -> int:
    engine = Engine(found)
    classes = engine.compiled(4).classes
    ends = [classes.class_of[number(found, name)] for name in (source, destination)]
    sure = 0
    for one, reaches in engine.matrix(4).rows(over):
        for reach in reaches if one == ends[0] else ():
            sure |= reach.traffic if reach.certain >> ends[1] & 1 else 0
    return sure


def test_which_pairs_are_over_mtls_can_be_asked() -> None:
    cut = snapshot([*BOTH, workload("c", None, 3)], [], service("b"))
    port = Engine(cut).compiled(4).classes.traffic.of(TCP, 8080)
    assert reached(cut, "a", "b", over=True) & port
    assert reached(cut, "a", "b", over=False) & port
    assert not reached(cut, "c", "b", over=True)
    strict = snapshot([*BOTH, workload("c", None, 3)], [STRICT], service("b"))
    assert reached(strict, "a", "b", over=True)
    assert not reached(strict, "a", "b", over=False) & port


def test_how_it_is_carried_is_not_told_by_the_traffic() -> None:
    cut = snapshot(BOTH, [STRICT, allow_from("a")], service("b"))
    traffic = Engine(cut).compiled(4).classes.traffic
    (tcp, *_) = [
        one
        for one in traffic.allowances(reached(cut, "a", "b"), reached(cut, "a", "b"))
        if one.protocol == "TCP"
    ]
    assert (tcp.ports, tcp.l7, tcp.l7_except) == ("8080", None, ())


def test_limits_of_http_are_told_without_mtls() -> None:
    only = allow_from("a", layer7=(Layer7(http=HttpMatch(methods=(exact("GET"),)), mtls=True),))
    cut = snapshot(BOTH, [only], service("b"))
    traffic = Engine(cut).compiled(4).classes.traffic
    found = reached(cut, "a", "b")
    (tcp,) = [one for one in traffic.allowances(found, found) if one.protocol == "TCP"]
    assert tcp.l7 == (Layer7(http=GET),)
