"""How the network layer and the mesh come together for one connection: both must allow.

A mesh's proxies take a connection at its ends, or do not; between two that do it is mTLS, and it
then has another port on the wire, which is what the network layer judges. Through a waypoint it
goes in two legs.

Source: Istio `architecture/ambient/ztunnel.md`, istio.io "Ambient and Kubernetes NetworkPolicy";
linkerd2 `charts/linkerd-control-plane` (`outboundTransportMode`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from msgspec.structs import replace as changed

from ringfence.model.connection import Connection, PodEnd
from ringfence.model.mesh import (
    HBONE_PORT,
    LINKERD_INBOUND_PORT,
    DataPlane,
    LinkerdConfig,
    Membership,
)
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, MeshVerdict, Verdict
from ringfence.reference import istio, linkerd, mesh_transport
from ringfence.reference.exemptions import is_itself
from ringfence.reference.findings import Side
from ringfence.reference.mesh_flow import (
    Flow,
    absent,
    in_linkerd,
    membership_of,
    sealed,
    takes,
)
from ringfence.reference.network import (
    REPLICAS,
    TWO_LIMITS,
    BothSides,
    judge_network,
    unless_itself,
)

NO_WAYPOINT_PODS = "the pods of the waypoint `{}` are not in the input"


@dataclass(frozen=True)
class Found:
    """What both layers say on one assumption of who takes part, and how."""

    network: BothSides
    egress: Side
    """Of the mesh, as `ingress`."""
    ingress: Side
    mtls: bool
    wire: int | None
    waypoint: str = ""
    assumed: tuple[str, ...] = ()
    """Why it is not known whether this assumption holds."""
    notes: frozenset[str] = frozenset()

    @property
    def sides(self) -> tuple[Side, ...]:
        """Return the sides of both layers."""
        return (self.network.egress, self.network.ingress, self.egress, self.ingress)

    @property
    def verdict(self) -> Verdict:
        """Return what all allow; unknown where several are limited, each in a way of its own."""
        both = self.network.verdict & self.egress.verdict & self.ingress.verdict
        twice = sum(bool(side.limits) for side in self.sides) > 1
        return Verdict.UNKNOWN if both is Verdict.ALLOW and twice else both

    @property
    def because(self) -> tuple[str, ...]:
        """Return why it is unknown."""
        found = (*self.network.because, *self.egress.because, *self.ingress.because)
        return found or ((TWO_LIMITS,) if self.verdict is Verdict.UNKNOWN else ())

    @property
    def limits(self) -> tuple[dict[str, Any], ...]:
        """Return what an allow is limited to."""
        return next((side.limits for side in self.sides if side.limits), ())


def judge(snapshot: Snapshot, connection: Connection) -> Judgement:
    """Return the verdict of all layers on one connection.

    Where it is not known whether an end takes part, or whether the two speak mTLS, all that is
    possible is judged; where the verdicts differ, nothing can be said.
    """
    client = membership_of(snapshot, connection.source)
    server = membership_of(snapshot, connection.destination)
    if client is None and server is None:
        return _network_alone(judge_network(snapshot, connection))
    service = None if connection.service is None else snapshot.services[connection.service]
    doubts = [client.uncertain, client.unclear] if client else []
    doubts += [server.uncertain] if server else []
    because = tuple(filter(None, doubts))
    ways: list[Found] = []
    clients = (client, None) if client and client.unclear else _ways(client)
    for one, other in product(clients, _ways(server)):
        flow = Flow(snapshot, connection, one, other, service=service)
        found = _through_waypoint(flow) or _straight(flow)
        if found[0].waypoint and service is None and is_itself(snapshot, connection) is None:
            found += [replace(way, assumed=(*way.assumed, REPLICAS)) for way in _straight(flow)]
        ways += [replace(way, assumed=(*because, *way.assumed)) for way in found]
    return _together(ways)


def _ways(member: Membership | None) -> tuple[Membership | None, ...]:
    """Return how an end may take part: one that is uncertain may do so or not."""
    return (member, None) if member is not None and member.uncertain else (member,)


def _straight(flow: Flow) -> list[Found]:
    """Return what is found where the client's proxy connects to the server's, or to the pod.

    One for each way in which the two may speak with each other.
    """
    possible, because = mesh_transport.ways(flow)
    found = []
    for mtls, own_tls in possible:
        here = replace(flow, mtls=mtls, own_tls=own_tls, notes=set())
        wire = wire_port(here)
        network = judge_network(here.snapshot, _on_the_wire(here, wire))
        egress, ingress = _by_proxies(here)
        notes = frozenset(here.notes)
        found.append(Found(network, egress, ingress, mtls, wire, "", because, notes))
    return found


def wire_port(flow: Flow) -> int | None:
    """Return the port by which the network layer sees a connection.

    Over mTLS with ambient at either end, or from a waypoint, that is HBONE's; between two proxies
    of Linkerd that take it it is the inbound proxy's since 2.18; else it is the application's.

    Source: istio.io "Ambient and Kubernetes NetworkPolicy"; linkerd2
    `controller/api/destination/endpoint_translator.go` (`outboundTransportMode`).
    """
    if flow.mtls:
        planes = {member.data_plane for member in (flow.client, flow.server) if member}
        if DataPlane.AMBIENT in planes or (flow.client and flow.client.waypoint):
            return HBONE_PORT
        linkerd_mesh = flow.snapshot.mesh.linkerd or LinkerdConfig()
        sent = in_linkerd(flow.client) and takes(flow.client, flow.connection, Direction.EGRESS)
        if sent and in_linkerd(flow.server) and linkerd_mesh.transport_header:
            return LINKERD_INBOUND_PORT
    return flow.connection.port


def _on_the_wire(flow: Flow, port: int | None) -> Connection:
    """Return the connection as the network layer sees it: of TLS it reads no more than that."""
    hidden = flow.mtls or flow.own_tls
    request = sealed(flow.connection.request) if hidden else flow.connection.request
    return changed(flow.connection, port=port, request=request)


def _by_proxies(flow: Flow) -> tuple[Side, Side]:
    """Return what the proxy of the source says, and that of the destination.

    A pod that calls its own address goes past its proxy.

    Source: Istio `tools/istio-iptables/pkg/capture/run.go`, ztunnel `src/proxy/outbound.rs`;
    linkerd2-proxy `linkerd/app/inbound/src/policy` (localhost).
    """
    itself = flow.connection.service is None and is_itself(flow.snapshot, flow.connection)
    if itself:
        return absent(Direction.EGRESS, "self"), absent(Direction.INGRESS, "self")
    sides = (_egress(flow), _ingress(flow))
    if itself is None:
        return unless_itself(sides[0]), unless_itself(sides[1])
    return sides


def _egress(flow: Flow) -> Side:
    """Return what the proxy of the source says."""
    if flow.client is None:
        return absent(Direction.EGRESS, "no mesh")
    if not takes(flow.client, flow.connection, Direction.EGRESS):
        return absent(Direction.EGRESS, "not taken")
    return linkerd.judge_egress(flow) if in_linkerd(flow.client) else istio.judge_egress(flow)


def _ingress(flow: Flow) -> Side:
    """Return what the proxy of the destination says."""
    if flow.server is None:
        return absent(Direction.INGRESS, "no mesh")
    if not takes(flow.server, flow.connection, Direction.INGRESS):
        return absent(Direction.INGRESS, "not taken")
    return linkerd.judge_ingress(flow) if in_linkerd(flow.server) else istio.judge_ingress(flow)


def _through_waypoint(flow: Flow) -> list[Found] | None:
    """Return what is found in two legs, one way for each of the waypoint's pods; None: it has none.

    Only clients in ambient call by way of the waypoint that the Service is given, or the pod where
    its own address is called; the waypoint itself, sidecars, gateways and whatever is not in the
    mesh go past it, straight to the pod. What the destination's ztunnel sees is the waypoint.

    Source: istio.io "Configure waypoint proxies", "L4 authorization policy"; ztunnel
    `src/proxy/outbound.rs` (build_request).
    """
    client, service = flow.client, flow.service
    gateway = _waypoint_of(flow)
    if client is None or gateway is None:
        return None
    by_ambient = client.data_plane is DataPlane.AMBIENT and not client.gateway
    if not by_ambient or not takes(client, flow.connection, Direction.EGRESS):
        return None
    if flow.request.mtls is False:
        return None
    name = "/".join(gateway)
    ways: list[Found] = []
    for end in _waypoint_pods(flow.snapshot, gateway):
        first = replace(flow, mtls=True, notes=set())
        to_waypoint = changed(flow.connection, destination=end, service=None)
        network = judge_network(
            flow.snapshot, _on_the_wire(replace(first, connection=to_waypoint), HBONE_PORT)
        )
        egress = _egress(first)
        if service is None:
            proxy = membership_of(flow.snapshot, end)
            judged = istio.judge_ingress(replace(first, connection=to_waypoint, server=proxy))
        else:
            judged = istio.judge_waypoint(first, service)
        onward = changed(flow.connection, source=end, service=None)
        second = replace(
            flow, connection=onward, client=membership_of(flow.snapshot, end), service=None
        )
        ways += [
            Found(
                _both_legs(network, leg.network),
                _and(egress, leg.egress),
                _and(judged, leg.ingress),
                leg.mtls,
                HBONE_PORT,
                name,
                leg.assumed,
                frozenset(first.notes) | leg.notes,
            )
            for leg in _straight(second)
        ]
    if ways:
        return ways
    unknown = Side(Verdict.UNKNOWN, (), (NO_WAYPOINT_PODS.format(name),))
    here = replace(flow, mtls=True, notes=set())
    egress = _egress(here)
    judged = absent(Direction.INGRESS, "not taken")
    if service is not None:
        judged = istio.judge_waypoint(here, service)
    nobody = BothSides(unknown, unknown)
    notes = frozenset(here.notes)
    return [Found(nobody, egress, judged, here.mtls, HBONE_PORT, name, (), notes)]


def _waypoint_of(flow: Flow) -> tuple[str, str] | None:
    """Return the Gateway that is the waypoint of what is called; None: it has none."""
    if flow.service is not None:
        return flow.service.waypoint
    if is_itself(flow.snapshot, flow.connection):
        return None
    member = membership_of(flow.snapshot, flow.connection.destination)
    return member.waypoint_of if member else None


def _waypoint_pods(snapshot: Snapshot, gateway: tuple[str, str]) -> list[PodEnd]:
    """Return the proxies of a Gateway that is a waypoint."""
    namespace, name = gateway
    return [
        PodEnd(number, place)
        for number, workload in enumerate(snapshot.workloads)
        for place, identity in enumerate(workload.identities)
        if workload.namespace == namespace
        and identity.mesh is not None
        and identity.mesh.gateway == name
    ]


def _both_legs(one: BothSides, other: BothSides) -> BothSides:
    egress, ingress = _and(one.egress, other.egress), _and(one.ingress, other.ingress)
    return BothSides(egress, ingress, one.notes | other.notes)


def _and(one: Side, other: Side) -> Side:
    """Return what both legs say in one direction."""
    verdict = one.verdict & other.verdict
    because = one.because + other.because
    if verdict is Verdict.ALLOW and one.limits and other.limits:
        verdict, because = Verdict.UNKNOWN, (*because, TWO_LIMITS)
    limits = (one.limits or other.limits) if verdict is Verdict.ALLOW else ()
    return Side(verdict, one.evidence + other.evidence, because, limits)


def _network_alone(found: BothSides) -> Judgement:
    """Return the judgement where no mesh is at either end."""
    allowed = found.verdict is Verdict.ALLOW
    return Judgement(
        verdict=found.verdict,
        egress=found.egress.verdict,
        ingress=found.ingress.verdict,
        evidence=found.egress.evidence + found.ingress.evidence,
        unknown_because=found.because,
        limited_to=(found.egress.limits or found.ingress.limits) if allowed else (),
        notes=tuple(sorted(found.notes)),
    )


def _together(ways: Sequence[Found]) -> Judgement:
    """Return one judgement from all that may be so: where they differ, nothing can be said."""
    first = ways[0]
    differ = any((way.verdict, way.limits) != (first.verdict, first.limits) for way in ways)
    verdict = Verdict.UNKNOWN if differ else first.verdict
    because = [reason for way in ways for reason in way.because]
    if differ:
        because = [*because, *(reason for way in ways for reason in way.assumed)]
    shown = ways if differ else ways[:1]
    pieces = [piece for way in shown for side in way.sides for piece in side.evidence]
    mtls = {way.mtls for way in ways}
    wires = {way.wire for way in ways}
    return Judgement(
        verdict=verdict,
        egress=_one([way.network.egress.verdict for way in ways]),
        ingress=_one([way.network.ingress.verdict for way in ways]),
        evidence=tuple(dict.fromkeys(pieces)),
        unknown_because=tuple(dict.fromkeys(because)),
        limited_to=first.limits if verdict is Verdict.ALLOW else (),
        notes=tuple(sorted({note for way in ways for note in way.notes | way.network.notes})),
        mesh=MeshVerdict(
            egress=_one([way.egress.verdict for way in ways]),
            ingress=_one([way.ingress.verdict for way in ways]),
            mtls=first.mtls if len(mtls) == 1 else None,
            wire=first.wire if len(wires) == 1 else None,
            waypoint=first.waypoint,
        ),
    )


def _one(verdicts: list[Verdict]) -> Verdict:
    return verdicts[0] if len(set(verdicts)) == 1 else Verdict.UNKNOWN
