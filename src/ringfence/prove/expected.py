"""What a dependency map says may connect: the other side of the equation that a proof checks.

A connection is meant to be possible if each of its ends that policies apply to is meant to let it
pass. What an end lets pass are its grants: a peer, and ports. The grants come from the map, from
DNS, and from what generation stated that it had to write in place of what it could not say.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from ringfence.learn.cluster_dns import DnsAnswer
from ringfence.learn.dependency_map import (
    PRIVATE,
    PRIVATE_V6,
    Block,
    Dependency,
    DependencyMap,
    End,
    Place,
    Pods,
    Port,
    ServiceName,
    WorkloadName,
)
from ringfence.model.cluster import Protocol
from ringfence.model.outside import AddressRange
from ringfence.model.proposal import Substitute
from ringfence.model.rule import Direction, IpPeer, NamedPort, PortRange, Traffic
from ringfence.model.snapshot import Snapshot
from ringfence.prove import peer_sets, port_sets
from ringfence.prove.backends import Services
from ringfence.prove.elements import Element, Places, PodElement, block, single
from ringfence.prove.peer_sets import (
    Addresses,
    Anything,
    Meant,
    Nothing,
    PeerSet,
    Workloads,
)
from ringfence.questions.naming import Names

PortsAt = Callable[[Element], int]
"""From the end that a connection goes to, to the ports meant there."""


class Stated(NamedTuple):
    """What generation said that it did beyond the map's own words."""

    dns: DnsAnswer | None
    twins: Mapping[int, tuple[int, ...]]
    substitutes: tuple[Substitute, ...]


class Grant(NamedTuple):
    """What one end lets pass in one direction."""

    peers: PeerSet
    ports_at: PortsAt
    own: bool
    """True for what the map itself lists; False for DNS and substitutes."""


class Expected(NamedTuple):
    """What may pass between two elements."""

    certain: int
    possible: int
    own: bool
    """Whether the map itself lists any of it."""


class Intent:
    """All that a map says of one cluster."""

    def __init__(self, dependency_map: DependencyMap, snapshot: Snapshot, stated: Stated) -> None:
        """Work out the grants of every workload."""
        self._snapshot = snapshot
        self.places = Places(snapshot)
        self._services = Services(snapshot)
        self._names = Names(snapshot)
        self._twins = stated.twins
        self._covered = frozenset(dependency_map.namespaces)
        self._by_name = {
            self._names.workload_name(number): number for number in range(len(snapshot.workloads))
        }
        self._numbers_by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, workload in enumerate(snapshot.workloads):
            self._numbers_by_name[workload.namespace, workload.name].append(number)
        self.ranges: list[AddressRange] = []
        """Every range that some grant speaks of: the outside is cut at their ends."""
        self._grants: dict[tuple[int, Direction], list[Grant]] = defaultdict(list)
        for dependency in dependency_map.dependencies:
            self._add(dependency)
        if stated.dns:
            self._add_dns(stated.dns)
        for substitute in stated.substitutes:
            self._add_substitute(substitute)

    def policed(self, element: Element) -> bool:
        """Return whether the map's policies apply to an element."""
        if not isinstance(element, PodElement):
            return False
        namespace = self._snapshot.workloads[element.workload].namespace
        return namespace in self._covered and not self.places.on_host(element)

    def between(self, source: Element, destination: Element, family: int) -> Expected:
        """Return what one element may send another over an IP family."""
        egress = self._passes(source, Direction.EGRESS, destination, destination, family)
        ingress = self._passes(destination, Direction.INGRESS, source, destination, family)
        return Expected(
            egress.certain & ingress.certain,
            egress.possible & ingress.possible,
            egress.own and ingress.own,
        )

    def candidates(self, elements: list[Element]) -> Iterator[tuple[Element, Element]]:
        """Yield every pair that something may pass between, perhaps some more, some twice."""
        meant: dict[PeerSet, list[Element]] = {}
        by_workload: dict[int, list[Element]] = defaultdict(list)
        for element in elements:
            if isinstance(element, PodElement):
                by_workload[element.workload].append(element)
        for element in elements:
            if not isinstance(element, PodElement) or not self.policed(element):
                continue
            for direction in Direction:
                for grant in self._grants[element.workload, direction]:
                    peers = grant.peers
                    if peers not in meant:
                        among: Iterable[Element] = elements
                        if isinstance(peers, Workloads) and peers.numbers is not None:
                            among = (e for n in peers.numbers for e in by_workload[n])
                        meant[peers] = [e for e in among if peers.means(e, 4) or peers.means(e, 6)]
                    for other in meant[peers]:
                        outward = direction is Direction.EGRESS
                        yield (element, other) if outward else (other, element)

    def _passes(
        self,
        subject: Element,
        direction: Direction,
        peer: Element,
        destination: Element,
        family: int,
    ) -> Expected:
        if not self.policed(subject):
            return Expected(port_sets.EVERYTHING, port_sets.EVERYTHING, own=True)
        assert isinstance(subject, PodElement)  # noqa: S101 - others are not policed
        certain = possible = port_sets.NOTHING
        own = False
        for grant in self._grants[subject.workload, direction]:
            meant = grant.peers.means(peer, family)
            if meant is Meant.NO:
                continue
            found = grant.ports_at(destination)
            possible |= found
            own = own or (grant.own and bool(found))
            if meant is Meant.YES:
                certain |= found
        return Expected(certain, possible, own)

    # -- the map -----------------------------------------------------------------------------

    def _add(self, dependency: Dependency) -> None:
        sources = self._numbers(dependency.source)
        callers = self._peers(dependency.source, sources)
        if isinstance(dependency.destination, ServiceName):
            for behind in self._services.behind(dependency.destination, dependency.ports):
                called: PeerSet = self._workloads(behind.numbers)
                if behind.addresses:
                    called = self._addresses(behind.addresses)
                ports_at = self._target(behind.protocol, behind.target)
                self._grant(sources, called, behind.numbers, callers, ports_at)
            return
        numbers = self._numbers(dependency.destination)
        called = self._peers(dependency.destination, numbers)
        ports_at = self._ports_at(dependency.ports, numbers)
        self._grant(sources, called, numbers, callers, ports_at)

    def _grant(
        self,
        sources: frozenset[int],
        called: PeerSet,
        destinations: frozenset[int],
        callers: PeerSet,
        ports_at: PortsAt,
    ) -> None:
        for number in self._with_twins(sources):
            self._grants[number, Direction.EGRESS].append(Grant(called, ports_at, own=True))
        for number in self._with_twins(destinations):
            self._grants[number, Direction.INGRESS].append(Grant(callers, ports_at, own=True))

    def _numbers(self, end: End) -> frozenset[int]:
        """Return the workloads that an end means."""
        match end:
            case WorkloadName(namespace, name, kind):
                return frozenset(
                    number
                    for number in self._numbers_by_name.get((namespace, name), ())
                    if kind in ("", self._snapshot.workloads[number].kind)
                )
            case Pods():
                namespaces = {
                    space.name
                    for space in self._snapshot.namespaces
                    if (end.namespace is None or end.namespace == space.name)
                    and dict(end.namespace_labels).items() <= space.labels.items()
                }
                wanted = dict(end.labels).items()
                return frozenset(
                    number
                    for number, w in enumerate(self._snapshot.workloads)
                    if w.namespace in namespaces
                    and all(wanted <= identity.labels.items() for identity in w.identities)
                )
            case _:
                return frozenset()

    def _peers(self, end: End, numbers: frozenset[int]) -> PeerSet:
        match end:
            case WorkloadName() | Pods():
                return self._workloads(numbers)
            case Block(cidr):
                return self._addresses([block(cidr)])
            case Place.OUTSIDE:
                return self._addresses(self._outside(()))
            case Place.INTERNET:
                return self._addresses(self._outside((*PRIVATE, *PRIVATE_V6)))
            case Place.ANYWHERE:
                return Anything()
            case _:
                return Nothing()

    def _workloads(self, numbers: frozenset[int]) -> Workloads:
        return Workloads(self.places, self._with_twins(numbers))

    def _with_twins(self, numbers: frozenset[int]) -> frozenset[int]:
        return numbers.union(*(self._twins.get(number, ()) for number in numbers))

    def _addresses(self, ranges: Iterable[AddressRange]) -> Addresses:
        found = Addresses(self.places, ranges)
        self.ranges += found.ranges
        return found

    def _outside(self, also: Iterable[str]) -> list[AddressRange]:
        """Return every address that is no pod's, in the families that pods have.

        Args:
            also: CIDRs to leave out beside the pods'.
        """
        pods = list(self.places.pod_blocks)
        for workload in self._snapshot.workloads:
            for identity in workload.identities:
                if not identity.host_network:
                    pods += [single(a) for pod in identity.pods for a in pod.addresses]
        wholes = [block("0.0.0.0/0"), block("::/0")]
        holes = [*pods, *map(block, also)]
        return [
            part
            for whole in wholes
            if any(pod.family == whole.family for pod in pods)
            for part in peer_sets.outside_of(whole, holes)
        ]

    def _ports_at(self, ports: tuple[Port, ...] | None, meant: frozenset[int]) -> PortsAt:
        """Return what ports mean at an element.

        A name given without a protocol is of those that the workloads meant declare it with: a
        workload that merely cannot be told apart from them adds none of its own.
        """

        def at(element: Element) -> int:
            if ports is None:
                return port_sets.EVERYTHING
            found = port_sets.NOTHING
            for port in ports:
                if not port.name:
                    protocol = port.protocol or Protocol.TCP
                    found |= port_sets.ports(protocol, port.first, port.last)
                    continue
                for protocol in self._protocols(port, meant):
                    found |= self._named(element, port.name, protocol)
            return found

        return at

    def _protocols(self, port: Port, meant: frozenset[int]) -> set[Protocol]:
        """Return the protocols that a named port is of."""
        if port.protocol:
            return {port.protocol}
        return {
            own.protocol
            for number in meant
            for identity in self._snapshot.workloads[number].identities
            for own in identity.ports
            if own.name == port.name and not own.init
        }

    def _target(self, protocol: Protocol, target: int | str) -> PortsAt:
        if isinstance(target, int):
            return lambda _: port_sets.ports(protocol, target, target)
        return lambda element: self._named(element, target, protocol)

    def _named(self, element: Element, name: str, protocol: Protocol | None) -> int:
        """Return the container ports of a name at an element."""
        if not isinstance(element, PodElement) or self.places.on_host(element):
            return port_sets.NOTHING
        found = port_sets.NOTHING
        for own in self.places.identity(element).ports:
            if own.name == name and not own.init and protocol in (None, own.protocol):
                found |= port_sets.ports(own.protocol, own.port, own.port)
        return found

    # -- what generation stated --------------------------------------------------------------

    def _add_dns(self, dns: DnsAnswer) -> None:
        covered = [
            number
            for number, workload in enumerate(self._snapshot.workloads)
            if workload.namespace in self._covered
        ]
        everyone = Workloads(self.places, None)
        for number, traffic in dns.workloads:
            ports_at = self._traffic_at(traffic)
            answering = self._workloads(frozenset({number}))
            for asking in covered:
                grant = Grant(answering, ports_at, own=False)
                self._grants[asking, Direction.EGRESS].append(grant)
            for twin in self._with_twins(frozenset({number})):
                grant = Grant(everyone, ports_at, own=False)
                self._grants[twin, Direction.INGRESS].append(grant)
        for peers, traffic in dns.rules:
            ranges = [r for p in peers if isinstance(p, IpPeer) for r in peer_sets.block_ranges(p)]
            if ranges:
                grant = Grant(self._addresses(ranges), self._traffic_at(traffic), own=False)
                for asking in covered:
                    self._grants[asking, Direction.EGRESS].append(grant)

    def _add_substitute(self, substitute: Substitute) -> None:
        ranges = [part for peer in substitute.blocks for part in peer_sets.block_ranges(peer)]
        grant = Grant(self._addresses(ranges), self._traffic_at(substitute.traffic), own=True)
        for name in substitute.subject:
            self._grants[self._by_name[name], substitute.direction].append(grant)

    def _traffic_at(self, traffic: tuple[Traffic, ...] | None) -> PortsAt:
        def at(element: Element) -> int:
            if traffic is None:
                return port_sets.EVERYTHING
            found = port_sets.NOTHING
            for part in traffic:
                match part:
                    case PortRange(protocol, first, last):
                        found |= port_sets.ports(protocol, first, last)
                    case NamedPort(name, protocol):
                        found |= self._named(element, name, protocol)
            return found

        return at
