"""How a connection is carried: which proxies take it, whether by mTLS, at which port on the wire.

Authority: Istio `pilot/pkg/networking/core/cluster_tls.go`, `cluster_builder.go` (auto mTLS),
ztunnel `src/proxy/outbound.rs`; linkerd2 `controller/api/destination/endpoint_translator.go`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from ringfence.engine.classes import Classes
from ringfence.engine.rows import Rows
from ringfence.engine.stack import Stack, Stacks
from ringfence.engine.wire import Wire
from ringfence.model.cluster import Protocol, Service
from ringfence.model.mesh import (
    HBONE_PORT,
    ISTIO,
    LINKERD_INBOUND_PORT,
    DataPlane,
    IstioConfig,
    LinkerdConfig,
    Membership,
)
from ringfence.model.rule import Direction
from ringfence.model.tiers import ISTIO_TRANSPORT

PLAIN: Final = ("DISABLE", "SIMPLE", "MUTUAL")
"""The modes of a DestinationRule that are no mTLS of the mesh."""
OWN_TLS: Final = ("SIMPLE", "MUTUAL")
SEVERAL_MODES: Final = "by which of its ports the Service is called, and so with what TLS, is open"
REFUSAL: Final = "whether the destination takes mTLS is not known"


@dataclass(frozen=True)
class Carried:
    """One way in which a connection may be carried."""

    client: Membership | None
    """How the source takes part, where its proxy takes the connection."""
    server: Membership | None
    """The same of the destination."""
    mtls: bool
    wire: int | None = None
    """The port of a tunnel; None: its own."""
    own_tls: bool = False
    """Whether the client's proxy speaks TLS that is none of the mesh."""
    because: tuple[str, ...] = ()
    """Why it may be carried otherwise."""


class Transport:
    """The transport of connections, of one set of classes."""

    def __init__(self, classes: Classes, stacks: Stacks, rows: Rows, wire: Wire) -> None:
        """Keep what was compiled: stacks and rows of the mesh."""
        self._classes, self._stacks, self._rows, self._wire = classes, stacks, rows, wire
        self._universe = classes.universe
        mesh = classes.snapshot.mesh
        self._istio = mesh.istio or IstioConfig()
        self._linkerd = mesh.linkerd or LinkerdConfig()
        self._transports: dict[int, Stack | None] = {}

    def member(self, element: int) -> Membership | None:
        """Return how an element takes part in a mesh; None: it does not."""
        if not self._universe.meshed >> element & 1:
            return None
        return self._universe.identity(element).mesh

    def ways(
        self,
        source: int,
        destination: int,
        protocol: Protocol,
        port: int | None,
        service: int | None,
        *,
        forced: bool | None = None,
    ) -> list[Carried]:
        """Return in which ways a connection may be carried: one, where all is known.

        Args:
            source: the element that connects.
            destination: the element that is connected to.
            protocol: that of the connection.
            port: of the destination.
            service: the number of the Service that was called.
            forced: whether it is mTLS, where the question says so.
        """
        found: list[Carried] = []
        clients, servers = self.member(source), self.member(destination)
        unsure = [m.uncertain for m in (clients, servers) if m and m.uncertain]
        unsure += [clients.unclear] if clients and clients.unclear else []
        for client, server in product(may_call_as(clients), _either(servers)):
            if protocol is not Protocol.TCP or port is None:
                found.append(Carried(None, None, mtls=False, because=tuple(unsure)))
                continue
            taken = Carried(
                client if client and client.outbound.holds(port) else None,
                server if server and server.inbound.holds(port) else None,
                mtls=False,
                because=tuple(unsure),
            )
            if forced is not None:
                found.append(self.over(taken, mtls=forced))
                continue
            refused = self._refuses(destination, source, port)
            modes = self._modes(source, destination, port, service)
            found += self._carried(taken, refused, modes, by_service=service is not None)
        return list(dict.fromkeys(found))

    def _carried(
        self,
        taken: Carried,
        refused: bool | None,  # noqa: FBT001 - three values
        modes: list[tuple[str, str]],
        *,
        by_service: bool,
    ) -> Iterator[Carried]:
        """Yield the ways by which proxies that take a connection may carry it."""
        client, server = taken.client, taken.server
        if client is None or server is None or not alike(client, server):
            yield taken
            return
        if client.data_plane is DataPlane.LINKERD:
            yield self.over(taken, mtls=True)
            return
        told: list[str] = []
        if not heeds_rules(client):
            modes = [("", "")]
        elif not by_service:
            modes = [("DISABLE", "")]
        elif len(modes) > 1:
            told.append(SEVERAL_MODES)
        for mode, unreadable in modes:
            because = (*taken.because, *told, *([unreadable] if unreadable else []))
            called_by = said(mode, unreadable, client, server)
            for mtls, own in self.by_mode(called_by, client, refused):
                doubted = called_by == "" and refused is None
                reasons = (*because, REFUSAL) if doubted else because
                yield self.over(replace(taken, own_tls=own, because=reasons), mtls=mtls)
            if unreadable:
                yield replace(taken, because=because)

    def by_mode(
        self,
        mode: str,
        client: Membership,
        refused: bool | None,  # noqa: FBT001 - three values
    ) -> list[tuple[bool, bool]]:
        """Return whether a client speaks mTLS of the mesh, or TLS of its own."""
        if mode in PLAIN:
            return [(False, mode in OWN_TLS)]
        if mode:
            return [(True, False)]
        automatic = self._istio.auto_mtls or not heeds_rules(client)
        if not automatic or refused:
            return [(False, False)]
        return [(True, False), (False, False)] if refused is None else [(True, False)]

    def over(self, taken: Carried, *, mtls: bool) -> Carried:
        """Return a way by mTLS, with the port that it has on the wire; or one without."""
        if not mtls or taken.server is None:
            return taken
        planes = {m.data_plane for m in (taken.client, taken.server) if m}
        wire = None
        if DataPlane.AMBIENT in planes or (taken.client and taken.client.waypoint):
            wire = HBONE_PORT
        elif taken.client and planes == {DataPlane.LINKERD} and self._linkerd.transport_header:
            # Otherwise, where a question says that it is mTLS, it is none of a proxy of Linkerd.
            wire = LINKERD_INBOUND_PORT
        return replace(taken, mtls=True, wire=wire)

    # -- what either end says ----------------------------------------------------------------

    def _refuses(self, destination: int, source: int, port: int) -> bool | None:
        """Return whether a destination refuses mTLS; None: perhaps."""
        number = self._classes.class_of[destination]
        # Classes of other zones are nothing that a PeerAuthentication of this one could refuse.
        to_it = self._classes.zones.traffic_to(number)
        mask = self._wire.over_mtls & self._wire.ports_of(port) & to_it
        refused, perhaps = self.refused(number, self._classes.class_of[source])
        if mask & ~refused == 0:
            return True
        return None if mask & perhaps else False

    def refused(self, destination: int, source: int) -> tuple[int, int]:
        """Return of which traffic a class refuses mTLS, certainly and perhaps (DISABLE)."""
        stack = self._transport_of(destination)
        refused = perhaps = 0
        if stack is not None:
            for mask, certain, possible in self._rows.through(stack, destination):
                if not possible >> source & 1:
                    refused |= mask
                elif not certain >> source & 1:
                    perhaps |= mask
        over = self._wire.over_mtls
        return refused & over, perhaps & over

    def is_uniform(self, destination: int) -> bool:
        """Return whether a class refuses the mTLS of all, or of nobody, whatever the traffic."""
        stack = self._transport_of(destination)
        everyone = (0, self._classes.everything)
        return stack is None or all(
            certain in everyone and possible in everyone
            for mask, certain, possible in self._rows.through(stack, destination)
            if mask & self._wire.over_mtls
        )

    def _transport_of(self, destination: int) -> Stack | None:
        """Return what PeerAuthentications say of a class alone; None: nothing."""
        if not self._classes.members_of_mesh >> destination & 1:
            return None
        stack = self._stacks.stack(destination, Direction.INGRESS)
        if id(stack) not in self._transports:
            floors = tuple(floor for floor in stack.floors if floor.tier == ISTIO_TRANSPORT)
            found = Stack(Direction.INGRESS, floors) if floors else None
            self._transports[id(stack)] = found
        return self._transports[id(stack)]

    def _modes(
        self, source: int, destination: int, port: int, service: int | None
    ) -> list[tuple[str, str]]:
        """Return what a client may be told of the TLS to a Service: of that port of it."""
        clients = self._classes.clients
        if service is None or not clients or not self._universe.meshed >> source & 1:
            return [("", "")]
        leading = self._classes.chains.leading.get(destination, ())
        ports = [p.port for number, p, target in leading if (number, target) == (service, port)]
        key = clients.key(source)
        called: list[int | None] = [*ports] or [None]
        return list(dict.fromkeys(clients.mode(key, service, p) for p in called))


def _either(member: Membership | None) -> tuple[Membership | None, ...]:
    return (member, None) if member and member.uncertain else (member,)


def may_call_as(client: Membership | None) -> tuple[Membership | None, ...]:
    """Return how a client may take part in what it sends."""
    return (client, None) if client and (client.uncertain or client.unclear) else (client,)


def said(mode: str, unreadable: str, client: Membership, server: Membership) -> str:
    """Return the mode by which a client calls, where nothing may be said of it.

    What could not be understood may ask for mTLS; the server's label asks for none.

    Source: Istio `pilot/pkg/xds/endpoints/mtls_checker.go`.
    """
    if not heeds_rules(client):
        return mode
    if unreadable:
        return "ISTIO_MUTUAL"
    return "DISABLE" if mode == "" and server.plaintext else mode


def heeds_rules(client: Membership) -> bool:
    """Return whether a client calls as DestinationRules say, and by the addresses of Services.

    Ztunnels and waypoints speak mTLS with whatever takes it.

    Source: ztunnel `src/proxy/outbound.rs`; Istio `pilot/pkg/networking/core/waypoint.go`.
    """
    return client.data_plane is DataPlane.SIDECAR and not client.waypoint


def knows(client: Membership, service: Service) -> bool:
    """Return whether a client's proxy can tell a call of a Service from one of the pod's address.

    Linkerd's goes by the address alone, and a headless Service has none.

    Source: linkerd2 `controller/api/destination/server.go` GetProfile; Istio
    `pilot/pkg/networking/core/listener.go` (headless Services have listeners of their own).
    """
    if client.data_plane is not DataPlane.LINKERD:
        return True
    return not service.headless and service.type != "ExternalName"


def alike(client: Membership, server: Membership) -> bool:
    """Return whether two members are of one mesh."""
    return (client.data_plane in ISTIO) == (server.data_plane in ISTIO)
