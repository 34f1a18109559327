"""The network and a mesh together: one connection through both, by every way that it may take.

A connection lives where both let it. Proxies take it or do not; what they carry by mTLS the network
sees sealed, perhaps on another port; and what goes through a waypoint goes in two legs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import msgspec

from ringfence.engine import bits, repeated_headers
from ringfence.engine.compiled import Compiled, MeshLayer
from ringfence.engine.ends import Ends
from ringfence.engine.overlays import both, overlaid, retold, unclear
from ringfence.engine.sides import LOOPBACK_NOTE
from ringfence.engine.steps import MeshTrace, OtherEnd, SideTrace, Trace, settled_side
from ringfence.engine.transport import Carried, knows
from ringfence.engine.views import NetworkViews, View, cut
from ringfence.engine.wire import SERVER_NAME
from ringfence.model.connection import Connection, NodeEnd, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.mesh import HBONE_PORT, DataPlane, IstioConfig
from ringfence.model.rule import Direction, Layer
from ringfence.model.verdict import Verdict

WAYPOINT_UNKNOWN: Final = "the pods of waypoint {} are not in the input"


@dataclass(frozen=True)
class _Part:
    """Some traffic, and what both proxies of a mesh make of it."""

    traffic: int
    egress: SideTrace
    ingress: SideTrace


class MeshViews:
    """What the network and a mesh together make of questions of one family."""

    def __init__(
        self, compiled: Compiled, mesh: MeshLayer, ends: Ends, network: NetworkViews
    ) -> None:
        """Keep what was compiled, what is known of the ends, and what the network alone makes."""
        self._compiled, self._mesh, self._ends = compiled, mesh, ends
        self._classes = compiled.classes
        self._network = network
        self._last: tuple[Connection, list[View]] | None = None
        """What the network made of the last question: it sees most ways of a connection alike."""
        self._pods_of_gateway = cache(self._find_pods_of_gateway)

    def concern(self, connection: Connection) -> bool:
        """Return whether either end takes part in a mesh, or may."""
        ends = (connection.source, connection.destination)
        meshed = self._classes.universe.meshed
        return any(meshed >> self._compiled.elements(end, None)[0] & 1 for end in ends)

    def of(self, connection: Connection) -> list[View]:
        """Return what becomes of each part of a question that the rules of both ends tell apart."""
        found: list[View] = []
        reasons: list[str] = []
        for carried in self._ways(connection):
            reasons += carried.because
            here = self._by(connection, carried)
            found = overlaid(found, here, reasons) if found else here
        return found

    def _ways(self, connection: Connection) -> list[Carried]:
        source, destination = (
            self._compiled.elements(end, None)[0]
            for end in (connection.source, connection.destination)
        )
        return self._mesh.transport.ways(
            source,
            destination,
            connection.protocol,
            connection.port,
            connection.service,
            forced=connection.request.mtls,
        )

    def _by(self, connection: Connection, carried: Carried) -> list[View]:
        """Return what becomes of a question that is carried in one way."""
        waypoint = self._waypointed(connection, carried)
        if waypoint is None:
            return self._straight(connection, carried)
        namespace, name = waypoint
        found: list[View] = []
        for end in self._pods_of_gateway(namespace, name):
            here = self._two_legs(connection, carried, end, f"{namespace}/{name}")
            found = overlaid(found, here, []) if found else here
        found = found or self._lost(connection, carried, f"{namespace}/{name}")
        ends = (connection.source, connection.destination)
        if connection.service is None and self._ends.may_be_loopback(*ends):
            found = overlaid(found, self._straight(connection, carried), [LOOPBACK_NOTE])
        return found

    # -- straight ----------------------------------------------------------------------------

    def _straight(self, connection: Connection, carried: Carried) -> list[View]:
        """Return what becomes of what goes from the one end to the other."""
        seen = self._as_seen(connection, carried)
        parts = self._parts(connection, carried)
        wire = carried.wire or connection.port if self._is_ported(connection) else None
        joint = []
        views = self._by_network(seen)
        for view, part, traffic in self._joined(connection, carried, views, parts):
            mesh = MeshTrace(part.egress, part.ingress, carried.mtls, wire)
            joint.append(View(traffic, replace(view.trace, mesh=mesh)))
        return joint

    def _by_network(self, seen: Connection) -> list[View]:
        """Return what the network makes of a question, whatever Service was called."""
        if seen.service is not None:
            seen = msgspec.structs.replace(seen, service=None)
        if self._last is None or self._last[0] != seen:
            self._last = seen, self._network.of(seen)
        return self._last[1]

    @staticmethod
    def _is_ported(connection: Connection) -> bool:
        return connection.port is not None and connection.protocol.value != "ICMP"

    def _as_seen(self, connection: Connection, carried: Carried) -> Connection:
        """Return a question as it is to the network."""
        if carried.mtls:
            port = carried.wire or connection.port
            request = _sealed(connection.request)
            return msgspec.structs.replace(connection, port=port, request=request)
        if carried.own_tls:
            return msgspec.structs.replace(connection, request=_sealed(connection.request))
        return connection

    def _joined(
        self,
        connection: Connection,
        carried: Carried,
        views: list[View],
        parts: list[_Part],
    ) -> Iterable[tuple[View, _Part, int]]:
        """Yield what the network says with what the mesh says of the same traffic."""
        wire = self._mesh.wire
        as_read = self._as_read(connection, carried)
        asked = self._asked(connection, as_read)
        alike = as_read == self._network.as_compared(connection.request)
        several = len(views) > 1
        disputed = len({view.trace.verdict for view in views}) > 1
        for part in parts:
            # Whatever is within TLS that proxies do not read is one part to them.
            whole = wire.sealed(part.traffic) if carried.own_tls else wire.either(part.traffic)
            for view in views:
                traffic = whole & asked
                if several and (carried.mtls or carried.own_tls):
                    through = wire.sealed(view.traffic)
                    if carried.wire:
                        through = wire.tunnelled(view.traffic, carried.wire)
                    traffic &= through
                elif several and alike:
                    traffic &= wire.either(view.traffic)
                elif disputed:
                    yield unclear(views), part, traffic
                    break
                elif view is not views[0]:
                    continue
                if traffic:
                    yield view, part, traffic

    # -- the mesh's own part -----------------------------------------------------------------

    def _asked(self, connection: Connection, request: Request) -> int:
        either = msgspec.structs.replace(request, mtls=None)
        return self._network.asked(connection, either)

    def _as_read(self, connection: Connection, carried: Carried) -> Request:
        """Return a request with its path as the proxies of a mesh read it, where they do.

        Where that is not known it is read so by all ways alike, that these can be compared.

        Source: Envoy `source/extensions/filters/common/rbac/matchers.cc` (url_path), Istio
        `pilot/pkg/networking/core/listener_builder.go`; linkerd2-proxy `linkerd/http/route`.
        """
        request = connection.request
        ends = (connection.destination, connection.source)
        found = (self._mesh.transport.member(self._compiled.elements(e, None)[0]) for e in ends)
        member = carried.server or carried.client or next(filter(None, found), None)
        if member is None:
            return request
        if member.data_plane is DataPlane.LINKERD:
            from ringfence.layer7 import linkerd_requests  # noqa: PLC0415 - as below

            return linkerd_requests.as_matched(request)
        if request.path is None:
            return request
        from ringfence.layer7 import istio_paths  # noqa: PLC0415 - only where a path is asked for

        setting = (self._classes.snapshot.mesh.istio or IstioConfig()).normalization
        path = istio_paths.normalised(request.path, setting)
        return msgspec.structs.replace(request, path=path)

    def _parts(
        self, connection: Connection, carried: Carried, waypoint: int | None = None
    ) -> list[_Part]:
        """Return what the mesh makes of a question, cut where its rules tell it apart.

        Args:
            connection: the question.
            carried: how it is carried.
            waypoint: the Service before which a waypoint stands, as an element, where that is to
                judge and not the destination.
        """
        request = self._as_read(connection, carried)
        if carried.own_tls:
            request = _sealed(request)
        mesh = self._mesh
        asked = self._network.asked(connection, msgspec.structs.replace(request, mtls=carried.mtls))
        source, destination = (
            self._compiled.elements(end, None)[0]
            for end in (connection.source, connection.destination)
        )
        class_of = self._classes.class_of
        called = destination
        if (service := self._called(connection, carried)) is not None:
            called = self._classes.universe.first_service + service
        subject = destination if waypoint is None else waypoint
        deciding = []
        if carried.client:
            number = class_of[source]
            deciding.append((mesh.stacks.stack(number, Direction.EGRESS), number))
        if carried.server or waypoint is not None:
            number = class_of[subject]
            deciding.append((mesh.stacks.stack(number, Direction.INGRESS), number))
        icmp = self._classes.traffic.icmp
        cells = cut(asked, deciding, mesh.rows, icmp) if asked.bit_count() > 1 else [asked]
        return [
            _Part(
                cell,
                self._side(
                    Direction.EGRESS, connection, source, called, cell, taken=bool(carried.client)
                ),
                self._side(
                    Direction.INGRESS,
                    connection,
                    subject,
                    source,
                    cell,
                    taken=bool(carried.server) or waypoint is not None,
                ),
            )
            for cell in cells
        ]

    def _side(
        self,
        direction: Direction,
        connection: Connection,
        subject: int,
        other: int,
        cell: int,
        *,
        taken: bool,
    ) -> SideTrace:
        """Return what the proxy of one end says.

        Source: Istio `tools/istio-iptables`, ztunnel and linkerd2-proxy alike: what a pod sends
        to its own address passes no proxy.
        """
        ends = (connection.source, connection.destination)
        direct = connection.service is None
        if direct and self._ends.is_loopback(*ends):
            return settled_side(direction, "self", Layer.MESH)
        if not taken:
            universe = self._classes.universe
            rule = "not taken" if universe.meshed >> subject & 1 else "no mesh"
            return settled_side(direction, rule, Layer.MESH)
        end = self._other_end(connection, direction, other)
        traffic = bits.members(cell & -cell)[0]
        number = self._classes.class_of[subject]
        side = self._mesh.tracer.follow(number, direction, traffic, end)
        if direct and side.verdict is Verdict.DENY and self._ends.may_be_loopback(*ends):
            side.verdict = Verdict.UNKNOWN
            side.because.append(LOOPBACK_NOTE)
        if direction is Direction.INGRESS:
            member = self._mesh.transport.member(subject)
            repeated_headers.doubt(side, connection.request, member)
        return side

    def _other_end(self, connection: Connection, direction: Direction, element: int) -> OtherEnd:
        """Return the other end of a side: a Service, where the source's proxy knows of it."""
        universe = self._classes.universe
        if universe.services >> element & 1:
            service = self._classes.snapshot.services[element - universe.first_service]
            return OtherEnd(element, service.ref)
        egress = direction is Direction.EGRESS
        end = connection.destination if egress else connection.source
        address = None
        if isinstance(end, NodeEnd) and end.address:
            address = self._classes.element_of_address(end.address)
        return OtherEnd(element, self._ends.words(end), address)

    def _called(self, connection: Connection, carried: Carried) -> int | None:
        """Return the Service that the source's proxy takes a connection to be sent to."""
        number = connection.service
        if number is None or not carried.client:
            return None
        return number if knows(carried.client, self._classes.snapshot.services[number]) else None

    # -- by a waypoint -----------------------------------------------------------------------

    def _waypointed(self, connection: Connection, carried: Carried) -> tuple[str, str] | None:
        """Return the waypoint that takes a connection; None: none does.

        Source: ztunnel `src/proxy/outbound.rs` build_request; istio.io "Configure waypoint proxies"
        (sidecars, gateways and whatever is not in the mesh go past it).
        """
        client = carried.client
        if client is None or connection.request.mtls is False:
            return None
        if client.data_plane is not DataPlane.AMBIENT or client.gateway:
            return None
        if connection.service is not None:
            return self._classes.snapshot.services[connection.service].waypoint
        ends = (connection.source, connection.destination)
        if self._ends.is_loopback(*ends):
            return None
        called = self._mesh.transport.member(self._compiled.elements(ends[1], None)[0])
        return called.waypoint_of if called else None

    def _find_pods_of_gateway(self, namespace: str, name: str) -> list[PodEnd]:
        """Return the identities that are a Gateway's proxies."""
        return [
            PodEnd(w, i)
            for w, workload in enumerate(self._classes.snapshot.workloads)
            for i, identity in enumerate(workload.identities)
            if workload.namespace == namespace and identity.mesh and identity.mesh.gateway == name
        ]

    def _two_legs(
        self, connection: Connection, carried: Carried, waypoint: PodEnd, name: str
    ) -> list[View]:
        """Return what becomes of what goes through a waypoint: both legs must be let through."""
        element = self._compiled.elements(waypoint, None)[0]
        proxy = self._mesh.transport.member(element)
        first = replace(carried, server=proxy, mtls=True, wire=HBONE_PORT)
        to_waypoint = msgspec.structs.replace(connection, destination=waypoint, service=None)
        # What is for the own address of a pod its proxies judge as for themselves.
        judging = element
        if connection.service is not None:
            judging = self._classes.universe.first_service + connection.service
        judged = self._parts(connection, first, judging)
        leg = self._by_network(self._as_seen(to_waypoint, first))
        onward = msgspec.structs.replace(connection, source=waypoint, service=None)
        found: list[View] = []
        before_it = list(self._joined(connection, first, leg, judged))
        asked = _together(traffic for *_, traffic in before_it)
        for second in self._ways(onward):
            joint = []
            for view in retold(self._straight(onward, second), asked):
                assert view.trace.mesh is not None  # noqa: S101 - of a mesh's views each has one
                for before, part, traffic in before_it:
                    if common := traffic & view.traffic:
                        mesh = MeshTrace(
                            both(part.egress, view.trace.mesh.egress),
                            both(part.ingress, view.trace.mesh.ingress),
                            second.mtls,
                            HBONE_PORT,
                            name,
                        )
                        trace = Trace(
                            both(before.trace.egress, view.trace.egress),
                            both(before.trace.ingress, view.trace.ingress),
                            tuple(dict.fromkeys((*before.trace.notes, *view.trace.notes))),
                            mesh,
                        )
                        joint.append(View(common, trace))
            found = overlaid(found, joint, second.because) if found else joint
        return found

    def _lost(self, connection: Connection, carried: Carried, name: str) -> list[View]:
        """Return what is known where nobody knows the waypoint's pods: what its rules say."""
        first = replace(carried, server=None, mtls=True, wire=HBONE_PORT)
        judging = None
        if connection.service is not None:
            judging = self._classes.universe.first_service + connection.service
        why = WAYPOINT_UNKNOWN.format(name)
        wire = self._mesh.wire
        asked = self._asked(connection, self._as_read(connection, first))
        return [
            View(
                wire.either(part.traffic) & asked,
                Trace(
                    SideTrace(Direction.EGRESS, Verdict.UNKNOWN, because=[why]),
                    SideTrace(Direction.INGRESS, Verdict.UNKNOWN, because=[why]),
                    (),
                    MeshTrace(part.egress, part.ingress, mtls=True, wire=HBONE_PORT, waypoint=name),
                ),
            )
            for part in self._parts(connection, first, judging)
        ]


def _together(masks: Iterable[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _sealed(request: Request) -> Request:
    """Return a request as whoever cannot read what is within TLS sees it."""
    return msgspec.structs.replace(
        request,
        http=False,
        method=None,
        path=None,
        host=None,
        headers=None,
        dns="",
        sni=SERVER_NAME,
    )
