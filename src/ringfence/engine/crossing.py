"""All pairs through both layers: what the network lets pass, laid over what a mesh does."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.engine.compiled import MeshLayer
from ringfence.engine.lanes import Carriage, Kind, Kinds, Lanes
from ringfence.engine.pieces import (
    Known,
    Pieces,
    add,
    cut_out,
    join,
    join_known,
    meet,
    meet_known,
    overlaid,
    pair,
    traffic_to,
    translated,
    within,
)
from ringfence.engine.rows import Row
from ringfence.engine.transport import may_call_as
from ringfence.engine.turned import Turned
from ringfence.engine.waypoints import is_sent_by_ztunnel, of_pods, of_services
from ringfence.model.mesh import HBONE_PORT, Membership
from ringfence.model.rule import Direction

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
        self.waypoints = of_services(classes)
        """Per number of a Service with a waypoint, the classes of its proxies."""
        self.waypointed = bits.from_members(self.service_class[n] for n in self.waypoints)
        """The classes of such Services, which are apart from all others."""
        self.numbers: dict[int, list[int]] = defaultdict(list)
        """Per class of Services, their numbers."""
        for number, service in enumerate(self.service_class):
            self.numbers[service].append(number)
        self.pods = of_pods(classes)
        """Per classes of the proxies of a waypoint, the classes of pods that have it."""
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
            yield source, *_Source(self, source, pair(sent), pair(accepted), over).reached()

    def _from_waypoint(self, source: int, over: bool | None) -> Known:  # noqa: FBT001 - as above
        """Return what a waypoint may send to the own addresses of what is behind it."""
        ((_, *sent),) = self._network(source, source + 1)
        ((_, *accepted),) = self._turned.by_source(source, source + 1)
        return _Source(self, source, pair(sent), pair(accepted), over).reached(direct=True)

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
        clients = may_call_as(member)
        joined = (True, False) if self._carriage.uncertain else (True,)
        found: Known | None = None
        for client, joins in product(clients, joined):
            here = self._as(client, joined=joins, direct=direct)
            found = here if found is None else overlaid(found, here)
        return found or ({}, {})

    def _as(self, client: Membership | None, *, joined: bool, direct: bool) -> Known:
        """Return the same for a client that takes part in some way, or in none."""
        lanes = self._carriage.of(self._source, client, joined=joined)
        found: Known = ({}, {})
        egress: tuple[Row, ...] = self._crossing.unlimited
        if client:
            egress = self._mesh.rows.of(self._source, Direction.EGRESS)
        free = egress == self._crossing.unlimited
        by_pod = self._crossing.pods if client and is_sent_by_ztunnel(client) else {}
        for kinds, pieces in lanes.direct.items():
            here = self._by(kinds, self._past_waypoints(pieces, by_pod, client))
            if not free and client:
                here = self._let_out(here, egress, client, kinds)
            join_known(found, here)
        if direct:
            return found
        waypointed = self._goes_by_waypoints(client)
        if client and by_pod:
            self._go_by_waypoints_of_pods(found, by_pod, egress, client)
        if free and not by_pod:
            # What is carried as to the own address adds nothing.
            for kinds, pieces in lanes.merged.items():
                join_known(found, self._by(kinds, pieces))
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
            found = here if found is None else overlaid(found, here)
        return found or ({}, {})

    def _by_one(self, kind: Kind, pieces: Pieces) -> Known:
        if self._over is not None and kind.mtls is not self._over:
            return {}, {}
        sure, may = (meet(part, pieces) for part in self.network(kind))
        if not kind.taken:
            return sure, may
        return meet_known((sure, may), self.ingress(kind))

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
        return meet_known(found, (sure, may))

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
                    join_known(found, within(here, sure, may))

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
        return client is not None and is_sent_by_ztunnel(client) and bool(self._crossing.waypoints)

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
                    here = within(here, *((mask, 0) if certain else (0, mask)))
                    if not free:
                        here = self._let_out_by(here, one, egress, client, tunnel)
                    join_known(found, here)

    def _past_waypoints(
        self, pieces: Pieces, by_pod: dict[tuple[int, ...], int], client: Membership | None
    ) -> Pieces:
        """Return what does not go by the waypoints of pods."""
        if not by_pod or client is None:
            return pieces
        left = dict(pieces)
        for pods in by_pod.values():
            cut_out(left, self._wire.taken(client.outbound), pods)
        return left

    def _go_by_waypoints_of_pods(
        self,
        found: Known,
        by_pod: dict[tuple[int, ...], int],
        egress: tuple[Row, ...],
        client: Membership,
    ) -> None:
        """Add what goes to the own addresses of pods by their waypoints."""
        if self._over is False:
            return
        tunnel = Kind(taken=True, mtls=True, wire=HBONE_PORT)
        sent, accepted = self.network(tunnel), self.ingress(tunnel)
        for proxies, pods in by_pod.items():
            behind = {self._wire.taken(client.outbound): pods}
            legs: Known | None = None
            for proxy in proxies:
                onward = self._crossing.from_waypoint(proxy, self._over)
                here = meet(onward[0], behind), meet(onward[1], behind)
                for part in (sent, accepted):
                    here = within(here, traffic_to(part[0], proxy), traffic_to(part[1], proxy))
                legs = here if legs is None else overlaid(legs, here)
            legs = ({}, behind) if legs is None else legs
            if egress != self._crossing.unlimited:
                legs = self._let_out(legs, egress, client, (tunnel,))
            join_known(found, legs)

    def _let_out_by(
        self, found: Known, service: int, egress: tuple[Row, ...], client: Membership, kind: Kind
    ) -> Known:
        """Return what the own proxy lets out to one class of Services."""
        numbers = self._crossing.numbers[service.bit_length() - 1]
        return within(found, *self._let_out_to(numbers[0], egress, client, (kind,)))

    def _behind(self, lanes: Lanes, services: int, client: Membership) -> Known:
        """Return what may be sent to what is behind some Services, as far as waypoints let pass."""
        found: Known = ({}, {})
        tunnel = self.network(Kind(taken=True, mtls=True, wire=HBONE_PORT))
        for waypoints, onward in self._crossing.legs(lanes, services, client, self._over).items():
            legs: Known | None = None
            for waypoint, (sure, may) in zip(waypoints, onward, strict=False):
                passing = traffic_to(tunnel[0], waypoint), traffic_to(tunnel[1], waypoint)
                here = within((sure, may), *passing)
                legs = here if legs is None else overlaid(legs, here)
            # Nobody knows the pods of a waypoint that is not in the input.
            join_known(found, onward[0] if legs is None else legs)
        return found


def _alone(number: int) -> int:
    return 1 << number
