"""How what one kind of client sends is carried to all destinations at once.

The counterpart, for all peers, of what `Transport.ways` is for one connection.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.engine.pieces import Pieces, add
from ringfence.engine.transport import Carried, Transport, alike, heeds_rules, knows, said
from ringfence.engine.wire import Wire
from ringfence.model.mesh import DataPlane, Membership


class Kind(NamedTuple):
    """A kind of transport."""

    taken: bool
    """Whether the destination's proxy takes it."""
    mtls: bool = False
    wire: int | None = None
    own_tls: bool = False


ABSENT: Final = Kind(taken=False)
PLAIN: Final = Kind(taken=True)

Kinds = tuple[Kind, ...]
"""One, or several where any of them may be."""


@dataclass
class Lanes:
    """How a client's connections are carried."""

    direct: dict[Kinds, Pieces] = field(default_factory=dict)
    """To the own addresses of destinations."""
    by_service: dict[int, dict[Kinds, Pieces]] = field(default_factory=dict)
    """By a Service, given by its number, to members of the mesh behind it."""
    merged: dict[Kinds, Pieces] = field(default_factory=dict)
    """By any Service: what is carried in another way than to the own address."""


class _Group(NamedTuple):
    """What tells destinations apart in how connections to them are carried."""

    server: Membership
    refused: tuple[int, int]
    """Of which traffic they refuse mTLS, certainly and perhaps."""
    leading: tuple[tuple[int, int, int], ...]
    """The Services that lead to them: number, its port, the port of the destination."""


class Carriage:
    """Lanes of every kind of client, of one set of classes."""

    def __init__(self, classes: Classes, transport: Transport, wire: Wire) -> None:
        """Find which destinations are alike."""
        self._classes, self._transport, self._wire = classes, transport, wire
        self._members = classes.members_of_mesh
        services = classes.services
        self._strangers = classes.everything & ~self._members & ~services
        self._uniform = all(transport.is_uniform(number) for number in bits.members(self._members))
        """Whether who refuses mTLS does so whoever calls."""
        self.uncertain = bits.from_members(
            number for number in bits.members(self._members) if self.member(number).uncertain
        )
        self._groups = cache(self._find_groups)
        self._known: dict[tuple[object, ...], Lanes] = {}

    def member(self, number: int) -> Membership:
        """Return how the elements of a class take part in a mesh."""
        found = self._transport.member(self._classes.members[number][0])
        assert found is not None  # noqa: S101 - only such classes are asked for
        return found

    def of(self, source: int, client: Membership | None, *, joined: bool) -> Lanes:
        """Return how the connections of a class of sources are carried.

        Args:
            source: the class.
            client: how it takes part in a mesh; None: it does not, or that is assumed.
            joined: whether destinations take part of which that is not known.
        """
        asking: tuple[object, ...] = ()
        if client is not None:
            asking = self._classes.clients.key(self._classes.members[source][0])
        proxy = client and (client.data_plane, client.outbound, client.waypoint)
        key = (proxy, asking, joined, None if self._uniform else source)
        if key not in self._known:
            self._known[key] = self._find(source, client, joined=joined)
        return self._known[key]

    def _find_groups(self, source: int | None) -> dict[_Group, int]:
        """Return the members of the mesh by how connections to them are carried.

        Args:
            source: the class that calls; None: any, as all are treated alike.
        """
        found: dict[_Group, list[int]] = defaultdict(list)
        leading = self._classes.chains.leading
        for number in bits.members(self._members):
            led = leading.get(self._classes.members[number][0], ())
            ports = tuple(sorted({(n, port.port, target) for n, port, target in led}))
            refused = self._transport.refused(number, source or 0)
            found[_Group(self.member(number), refused, ports)].append(number)
        return {group: bits.from_members(numbers) for group, numbers in found.items()}

    def _find(self, source: int, client: Membership | None, *, joined: bool) -> Lanes:
        lanes = Lanes()
        wire = self._wire
        everything = self._classes.traffic.everything
        absent = lanes.direct.setdefault((ABSENT,), {})
        add(absent, everything, self._strangers)
        self._add_strangers(lanes, client)
        for group, members in self._groups(None if self._uniform else source).items():
            if group.server.uncertain and not joined:
                add(absent, everything, members)
                for service, _, target in group.leading:
                    if not self._is_known(client, service):
                        continue
                    here = lanes.by_service.setdefault(service, {}).setdefault((ABSENT,), {})
                    add(here, self._wire.ports_of(target), members)
                continue
            inbound = wire.taken(group.server.inbound)
            add(absent, everything & ~inbound, members)
            direct = self._kinds(client, group, inbound, "DISABLE")
            for kinds, mask in direct.items():
                add(lanes.direct.setdefault(kinds, {}), mask, members)
            self._add_services(lanes, source, client, group, members, inbound)
        return lanes

    def _is_known(self, client: Membership | None, number: int) -> bool:
        service = self._classes.snapshot.services[number]
        return client is not None and knows(client, service)

    def _add_strangers(self, lanes: Lanes, client: Membership | None) -> None:
        """Add by which Services those are called that take part in no mesh."""
        for element, led in self._classes.chains.leading.items():
            number = self._classes.class_of[element]
            for service, _, target in led if self._strangers >> number & 1 else ():
                if not self._is_known(client, service):
                    continue
                here = lanes.by_service.setdefault(service, {}).setdefault((ABSENT,), {})
                add(here, self._wire.ports_of(target), 1 << number)

    def _add_services(
        self,
        lanes: Lanes,
        source: int,
        client: Membership | None,
        group: _Group,
        members: int,
        inbound: int,
    ) -> None:
        """Add how Services before some destinations are called."""
        sidecar = client is not None and heeds_rules(client)
        clients = self._classes.clients
        asking = clients.key(self._classes.members[source][0]) if sidecar and clients else None
        for number, port, target in group.leading:
            if not self._is_known(client, number):
                continue
            here = self._wire.ports_of(target)
            mode, unreadable = clients.mode(asking, number, port) if asking else ("", "")
            if client is not None:
                mode = said(mode, unreadable, client, group.server)
            by_port = self._kinds(client, group, inbound & here, mode)
            by_port[ABSENT,] = here & ~inbound
            for kinds, mask in by_port.items():
                if unreadable:
                    kinds = (*kinds, PLAIN)  # noqa: PLW2901 - one way more
                add(lanes.by_service.setdefault(number, {}).setdefault(kinds, {}), mask, members)
                if sidecar and kinds not in ((PLAIN,), (ABSENT,)):
                    add(lanes.merged.setdefault(kinds, {}), mask, members)

    def _kinds(
        self, client: Membership | None, group: _Group, inbound: int, mode: str
    ) -> dict[Kinds, int]:
        """Return how what a destination's proxy takes is carried.

        Args:
            client: how the source takes part.
            group: the destinations.
            inbound: the traffic that their proxies take.
            mode: what a DestinationRule says, for clients that heed one.
        """
        transport = self._transport
        if client is None or not alike(client, group.server):
            return {(PLAIN,): inbound}
        both = inbound & self._wire.taken(client.outbound)
        found: dict[Kinds, int] = defaultdict(int)
        found[PLAIN,] |= inbound & ~both
        refused, perhaps = group.refused
        refusing = self._of_ports(refused)
        doubtful = self._of_ports(perhaps) & ~refusing
        if client.data_plane is DataPlane.LINKERD:
            refusing = doubtful = 0
        heeded = mode if heeds_rules(client) else ""
        parts: tuple[tuple[bool | None, int], ...] = (
            (True, refusing),
            (None, doubtful),
            (False, ~(refusing | doubtful)),
        )
        for state, mask in parts:
            kinds = []
            if client.data_plane is DataPlane.LINKERD:
                ways = [(True, False)]
            else:
                ways = transport.by_mode(heeded, client, state)
            for mtls, own in ways:
                taken = Carried(client, group.server, mtls=False)
                carried = transport.over(taken, mtls=mtls)
                kinds.append(Kind(taken=True, mtls=mtls, wire=carried.wire, own_tls=own))
            found[tuple(kinds)] |= both & mask
        return dict(found)

    def _of_ports(self, over: int) -> int:
        """Return every class of the ports at which mTLS is refused, given the mTLS classes."""
        return self._wire.either(over)
