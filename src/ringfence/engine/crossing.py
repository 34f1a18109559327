"""All pairs through both layers: what the network lets pass, laid over what a mesh does."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.engine.compiled import MeshLayer
from ringfence.engine.lanes import Carriage, Kind, Kinds, Lanes
from ringfence.engine.pieces import Pieces, add, join, meet, translated
from ringfence.engine.rows import Row
from ringfence.engine.turned import Turned
from ringfence.model.mesh import HBONE_PORT, DataPlane, Membership
from ringfence.model.rule import Direction

Known = tuple[Pieces, Pieces]
"""What certainly is, and what perhaps is beside it."""

Sources = Callable[[int, int], Iterator[tuple[int, Pieces, Pieces]]]
"""From the first class of sources to the one behind the last: of each what it may send."""


class Crossing:
    """What classes may send each other, by any way that a connection may take."""

    def __init__(self, classes: Classes, mesh: MeshLayer, network: Sources) -> None:
        """Turn round what the proxies of destinations accept.

        Args:
            classes: of which ends are.
            mesh: what was compiled of it.
            network: what sources may send by the network alone.
        """
        self.classes, self.mesh, self._network = classes, mesh, network
        self._turned = Turned(classes, mesh.stacks, mesh.rows, mesh.endings)
        self.carriage = Carriage(classes, mesh.transport, mesh.wire)
        self.unlimited = ((classes.traffic.everything, classes.everything, classes.everything),)
        """The rows of a proxy that lets everything pass."""
        self.from_waypoint = cache(self._from_waypoint)
        first = classes.universe.first_service
        self.service_class = [
            classes.class_of[first + n] for n in range(classes.universe.count - first)
        ]
        """Per number of a Service, its class."""
        self.waypoints = self._find_waypoints()
        """Per number of a Service with a waypoint, the classes of its proxies."""
        self.waypointed = bits.from_members(self.service_class[n] for n in self.waypoints)
        """The classes of such Services, which are apart from all others."""
        self.numbers: dict[int, list[int]] = defaultdict(list)
        """Per class of Services, their numbers."""
        for number, service in enumerate(self.service_class):
            self.numbers[service].append(number)
        self._legs: dict[tuple[int, int, bool | None], dict[tuple[int, ...], list[Known]]] = {}

    def rows(self, over: bool | None) -> Iterator[tuple[int, Pieces, Pieces]]:  # noqa: FBT001
        """Yield, for each class of sources in order, what it may send to whom.

        Args:
            over: only what is over mTLS, or only what is not; None: all.
        """
        count = self.classes.count
        both = zip(self._network(0, count), self._turned.by_source(), strict=True)
        for (source, *sent), (_, *accepted) in both:
            if self.classes.services >> source & 1:
                yield source, {}, {}
                continue
            yield source, *_Source(self, source, _pair(sent), _pair(accepted), over).reached()

    def _from_waypoint(self, source: int, over: bool | None) -> Known:  # noqa: FBT001 - as above
        """Return what a waypoint may send to the own addresses of what is behind it."""
        ((_, *sent),) = self._network(source, source + 1)
        ((_, *accepted),) = self._turned.by_source(source, source + 1)
        return _Source(self, source, _pair(sent), _pair(accepted), over).reached(direct=True)

    def legs(
        self,
        lanes: Lanes,
        services: int,
        client: Membership,
        over: bool | None,  # noqa: FBT001 - as above
    ) -> dict[tuple[int, ...], list[Known]]:
        """Return what waypoints may send to what is behind Services.

        Shape: the waypoints' classes → for each, what it may send; where none is known, one entry,
        of all that is perhaps sent.

        Args:
            lanes: of the client.
            services: their classes, as a bit set.
            client: how the source takes part, whose proxy must take what it sends.
            over: as for `rows`.
        """
        key = (id(lanes), services, over)
        if key not in self._legs:
            outbound = self.mesh.wire.taken(client.outbound)
            behind: dict[tuple[int, ...], Pieces] = defaultdict(dict)
            for service in bits.members(services):
                for number in self.numbers[service]:
                    for pieces in lanes.by_service.get(number, {}).values():
                        join(behind[self.waypoints[number]], pieces)
            self._legs[key] = {
                waypoints: self._onward(
                    waypoints, translated(pieces, lambda mask: mask & outbound), over
                )
                for waypoints, pieces in behind.items()
            }
        return self._legs[key]

    def _onward(
        self,
        waypoints: tuple[int, ...],
        behind: Pieces,
        over: bool | None,  # noqa: FBT001 - as above
    ) -> list[Known]:
        if not waypoints:
            return [({}, behind)]
        found = []
        for waypoint in waypoints:
            sure, may = self.from_waypoint(waypoint, over)
            found.append((meet(sure, behind), meet(may, behind)))
        return found

    def _find_waypoints(self) -> dict[int, tuple[int, ...]]:
        """Return the Services with a waypoint, and the classes of its proxies."""
        universe = self.classes.universe
        gateways: dict[tuple[str, str], dict[int, None]] = {}
        for element, (w, _) in enumerate(universe.identities):
            member = universe.identity(element).mesh
            if member and member.gateway:
                key = universe.snapshot.workloads[w].namespace, member.gateway
                gateways.setdefault(key, {})[self.classes.class_of[element]] = None
        return {
            number: tuple(gateways.get(universe.snapshot.services[number].waypoint or ("", ""), ()))
            for number in range(len(self.service_class))
            if universe.snapshot.services[number].waypoint is not None
        }


class _Source:
    """One class of sources, on its way to all destinations."""

    def __init__(
        self,
        crossing: Crossing,
        source: int,
        sent: Known,
        accepted: Known,
        over: bool | None,  # noqa: FBT001 - three values
    ) -> None:
        self._crossing, self._source, self._over = crossing, source, over
        self._classes = crossing.classes
        self._mesh, self._carriage = crossing.mesh, crossing.carriage
        self._wire = crossing.mesh.wire
        self._sent, self._accepted = sent, accepted
        self.network = cache(self._by_network)
        self.ingress = cache(self._by_ingress)

    def reached(self, *, direct: bool = False) -> Known:
        """Return what it may send to whom.

        Args:
            direct: only to the own addresses of destinations.
        """
        member = None
        if self._classes.members_of_mesh >> self._source & 1:
            member = self._carriage.member(self._source)
        clients = (member, None) if member and member.uncertain else (member,)
        joined = (True, False) if self._carriage.uncertain else (True,)
        found: Known | None = None
        for client, joins in product(clients, joined):
            here = self._as(client, joined=joins, direct=direct)
            found = here if found is None else _overlaid(found, here)
        return found or ({}, {})

    def _as(self, client: Membership | None, *, joined: bool, direct: bool) -> Known:
        """Return the same for a client that takes part in some way, or in none."""
        lanes = self._carriage.of(self._source, client, joined=joined)
        found: Known = ({}, {})
        egress: tuple[Row, ...] = self._crossing.unlimited
        if client:
            egress = self._mesh.rows.of(self._source, Direction.EGRESS)
        free = egress == self._crossing.unlimited
        for kinds, pieces in lanes.direct.items():
            here = self._by(kinds, pieces)
            if not free and client:
                here = self._let_out(here, egress, client, kinds)
            _join(found, here)
        if direct:
            return found
        waypointed = self._goes_by_waypoints(client)
        if free:
            # What is carried as to the own address adds nothing.
            for kinds, pieces in lanes.merged.items():
                _join(found, self._by(kinds, pieces))
        elif client:
            self._call(found, lanes, egress, client, waypointed)
        if waypointed and client:
            self._go_by_waypoints(found, lanes, egress, client)
        return found

    # -- one kind of transport ---------------------------------------------------------------

    def _by(self, kinds: Kinds, pieces: Pieces) -> Known:
        """Return what passes in one of several ways, of which any may be."""
        found: Known | None = None
        for kind in kinds:
            here = self._by_one(kind, pieces)
            found = here if found is None else _overlaid(found, here)
        return found or ({}, {})

    def _by_one(self, kind: Kind, pieces: Pieces) -> Known:
        if self._over is not None and kind.mtls is not self._over:
            return {}, {}
        sure, may = (meet(part, pieces) for part in self.network(kind))
        if not kind.taken:
            return sure, may
        return _and((sure, may), self.ingress(kind))

    def _by_network(self, kind: Kind) -> Known:
        """Return what the network lets pass, of what is carried in a way."""
        sure, may = self._sent
        wire = self._wire
        if kind.wire is not None:
            port = kind.wire
            return (
                translated(sure, lambda mask: wire.tunnelled(mask, port)),
                translated(may, lambda mask: wire.tunnelled(mask, port)),
            )
        if kind.mtls or kind.own_tls:
            return translated(sure, wire.sealed), translated(may, wire.sealed)
        return sure, may

    def _by_ingress(self, kind: Kind) -> Known:
        """Return what the proxies of destinations accept, of what is carried in a way."""
        sure, may = (
            translated(part, lambda mask: self._wire.of_mesh(mask, kind.mtls, kind.own_tls))
            for part in self._accepted
        )
        return sure, may

    # -- the proxy of the source -------------------------------------------------------------

    def _let_out(
        self, found: Known, egress: tuple[Row, ...], client: Membership, kinds: Kinds
    ) -> Known:
        """Return what the source's own proxy lets out, to the own addresses of destinations."""
        sure: Pieces = {}
        may: Pieces = {}
        full = self._classes.everything
        outbound = self._wire.taken(client.outbound)
        add(sure, self._classes.traffic.everything & ~outbound, full)
        for mask, certain, possible in egress:
            here = self._as_sent(mask, kinds) & outbound
            add(sure, here, certain)
            add(may, here, possible & ~certain)
        return _and(found, (sure, may))

    def _as_sent(self, mask: int, kinds: Kinds) -> int:
        return self._wire.of_mesh(mask, kinds[0].mtls, kinds[0].own_tls)

    def _call(
        self,
        found: Known,
        lanes: Lanes,
        egress: tuple[Row, ...],
        client: Membership,
        waypointed: bool,  # noqa: FBT001 - whether Services with a waypoint are left out
    ) -> None:
        """Add what the source's proxy lets out to Services."""
        for number, by_kinds in lanes.by_service.items():
            if waypointed and number in self._crossing.waypoints:
                continue
            for kinds, pieces in by_kinds.items():
                sure, may = self._let_out_to(number, egress, client, kinds)
                if sure | may:
                    here = self._by(kinds, pieces)
                    _join(found, _within(here, sure, may))

    def _let_out_to(
        self, number: int, egress: tuple[Row, ...], client: Membership, kinds: Kinds
    ) -> tuple[int, int]:
        """Return which traffic the source's proxy lets out to a Service: surely, and perhaps."""
        service = self._crossing.service_class[number]
        outbound = self._wire.taken(client.outbound)
        sure, may = self._classes.traffic.everything & ~outbound, 0
        for mask, certain, possible in egress:
            here = self._as_sent(mask, kinds) & outbound
            if certain >> service & 1:
                sure |= here
            elif possible >> service & 1:
                may |= here
        return sure, may

    # -- waypoints ---------------------------------------------------------------------------

    def _goes_by_waypoints(self, client: Membership | None) -> bool:
        return (
            client is not None
            and client.data_plane is DataPlane.AMBIENT
            and not client.gateway
            and bool(self._crossing.waypoints)
        )

    def _go_by_waypoints(
        self, found: Known, lanes: Lanes, egress: tuple[Row, ...], client: Membership
    ) -> None:
        """Add what goes by way of a waypoint, in two legs."""
        if self._over is False:
            return
        tunnel = Kind(taken=True, mtls=True, wire=HBONE_PORT)
        free = egress == self._crossing.unlimited
        for certain, part in zip((True, False), self.ingress(tunnel), strict=True):
            for mask, destinations in part.items():
                services = destinations & self._crossing.waypointed
                for one in [services] if free else map(_alone, bits.members(services)):
                    here = self._behind(lanes, one, client)
                    here = _within(here, *((mask, 0) if certain else (0, mask)))
                    if not free:
                        here = self._let_out_by(here, one, egress, client, tunnel)
                    _join(found, here)

    def _let_out_by(
        self, found: Known, service: int, egress: tuple[Row, ...], client: Membership, kind: Kind
    ) -> Known:
        """Return what the own proxy lets out to one class of Services."""
        numbers = self._crossing.numbers[service.bit_length() - 1]
        return _within(found, *self._let_out_to(numbers[0], egress, client, (kind,)))

    def _behind(self, lanes: Lanes, services: int, client: Membership) -> Known:
        """Return what may be sent to what is behind some Services, as far as waypoints let pass."""
        found: Known = ({}, {})
        tunnel = self.network(Kind(taken=True, mtls=True, wire=HBONE_PORT))
        for waypoints, onward in self._crossing.legs(lanes, services, client, self._over).items():
            legs: Known | None = None
            for waypoint, (sure, may) in zip(waypoints, onward, strict=False):
                passing = _to(tunnel[0], waypoint), _to(tunnel[1], waypoint)
                here = _within((sure, may), *passing)
                legs = here if legs is None else _overlaid(legs, here)
            # Nobody knows the pods of a waypoint that is not in the input.
            _join(found, onward[0] if legs is None else legs)
        return found


def _alone(number: int) -> int:
    return 1 << number


def _pair(found: list[Pieces]) -> Known:
    sure, may = found
    return sure, may


def _to(found: Pieces, destination: int) -> int:
    """Return the traffic that one destination gets."""
    return _union(mask for mask, destinations in found.items() if destinations >> destination & 1)


def _union(masks: Iterator[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _join(found: Known, other: Known) -> None:
    join(found[0], other[0])
    join(found[1], other[1])


def _and(one: Known, other: Known) -> Known:
    """Return what both let pass."""
    may = meet(one[0], other[1])
    join(may, meet(one[1], other[0]))
    join(may, meet(one[1], other[1]))
    return meet(one[0], other[0]), may


def _within(found: Known, sure: int, may: int) -> Known:
    """Return what some traffic lets pass, certainly or perhaps."""
    certain = translated(found[0], lambda mask: mask & sure)
    perhaps = translated(found[1], lambda mask: mask & (sure | may))
    join(perhaps, translated(found[0], lambda mask: mask & may))
    return certain, perhaps


def _overlaid(one: Known, other: Known) -> Known:
    """Return what is known where either of two may be right."""
    may: Pieces = {}
    for part in (*one, *other):
        join(may, part)
    return meet(one[0], other[0]), may
