"""What a dependency map says may connect: the other side of the equation that a proof checks.

A connection is meant to be possible if each of its ends that policies apply to is meant to let it
pass. What an end lets pass are its grants: a peer, ports, and what may be said on them. The grants
come from the map, from DNS, and from what generation stated that it had to write in place of what
it could not say.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ringfence.learn.cluster_dns import DnsAnswer
from ringfence.learn.control_plane import ControlPlane
from ringfence.learn.dependency_map import (
    Dependency,
    DependencyMap,
    End,
    Pods,
    ServiceName,
    WorkloadName,
)
from ringfence.learn.wishes import CILIUM, PLAIN, Wishes
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import DomainPattern, Layer7, Wildcard
from ringfence.model.mesh import HBONE_PORT, LINKERD_INBOUND_PORT, DataPlane
from ringfence.model.outside import AddressRange
from ringfence.model.profile import older_than
from ringfence.model.proposal import Substitute
from ringfence.model.rule import Direction, Entity, IpPeer
from ringfence.model.snapshot import Snapshot
from ringfence.prove import amounts, peer_sets, port_sets, requests
from ringfence.prove.amounts import Amount
from ringfence.prove.backends import Services
from ringfence.prove.elements import DomainElement, Element, Places, PodElement, single
from ringfence.prove.grants import EVERY_NAME, TCP, Expected, Grant, read_as, unread
from ringfence.prove.meanings import Meanings, PortsAt
from ringfence.prove.mesh_expected import MeshIntent, MeshStated
from ringfence.prove.peer_sets import (
    Addresses,
    Anything,
    Domains,
    Meant,
    PeerSet,
    Workloads,
    World,
)
from ringfence.questions.naming import Names

CLUSTER_NAMES: Final = DomainPattern("*.cluster.local")
WIRES: Final = port_sets.ports(Protocol.TCP, HBONE_PORT, HBONE_PORT) | port_sets.ports(
    Protocol.TCP, LINKERD_INBOUND_PORT, LINKERD_INBOUND_PORT
)
"""Where the tunnels of meshes end."""


class Stated(NamedTuple):
    """What generation said that it did beyond the map's own words."""

    dns: DnsAnswer | None
    twins: Mapping[int, tuple[int, ...]]
    substitutes: tuple[Substitute, ...]
    wishes: Wishes = PLAIN
    by_account: frozenset[int] = frozenset()
    api_servers: tuple[str, ...] = ()
    mesh: MeshStated | None = None
    control: ControlPlane | None = None


class Intent:
    """All that a map says of one cluster."""

    def __init__(self, dependency_map: DependencyMap, snapshot: Snapshot, stated: Stated) -> None:
        """Work out the grants of every workload."""
        self._snapshot = snapshot
        self.places = Places(snapshot)
        self._says = Meanings(snapshot, self.places, stated.wishes, resolved=stated.dns is not None)
        self._services = Services(snapshot)
        self._names = Names(snapshot)
        self._stated = stated
        self._covered = frozenset(dependency_map.namespaces)
        self._by_name = {
            self._names.workload_name(number): number for number in range(len(snapshot.workloads))
        }
        self._grants: dict[tuple[int, Direction], list[Grant]] = defaultdict(list)
        self._mesh: MeshIntent | None = None
        if stated.mesh:
            self._mesh = MeshIntent(dependency_map, snapshot, stated.mesh, stated.dns)
        self._sealed = frozenset(
            number
            for number, workload in enumerate(snapshot.workloads)
            if stated.mesh and any(identity.mesh for identity in workload.identities)
        )
        for dependency in dependency_map.dependencies:
            self._add(dependency)
        if stated.dns:
            self._add_dns(stated.dns)
        for substitute in stated.substitutes:
            self._add_substitute(substitute)
        if stated.control:
            self._add_control(stated.control)

    def policed(self, element: Element) -> bool:
        """Return whether the map's policies apply to an element."""
        if not isinstance(element, PodElement):
            return False
        namespace = self._snapshot.workloads[element.workload].namespace
        return namespace in self._covered and not self.places.on_host(element)

    @property
    def ranges(self) -> list[AddressRange]:
        """Every range that some grant speaks of: the outside is cut at their ends."""
        return [*self._says.ranges, *(self._mesh.ranges if self._mesh else ())]

    def domains(self) -> Iterator[str]:
        """Yield the names that the map speaks of; of a pattern some that it means, and the apex."""
        for name in sorted(self._says.names):
            if name.startswith("*."):
                yield from (f"a{name[1:]}", f"a.b{name[1:]}", name[2:])
            else:
                yield name

    def is_node(self, addresses: AddressRange) -> bool:
        """Return whether a range is no part of the outside: the address of a node, on Cilium.

        Elsewhere a block means a node's address as it means any other, and none needs telling.
        """
        return self._stated.wishes.dialect == CILIUM and any(
            addresses == single(address) for address in self.places.node_addresses
        )

    def listed_name(self, source: Element, destination: DomainElement) -> str:
        """Return the name or pattern by which the map lets a workload call a host; empty if none.

        Only where the language can say names.
        """
        if isinstance(source, PodElement) and self.policed(source):
            for grant in self._grants[source.workload, Direction.EGRESS]:
                if isinstance(grant.peers, Domains) and grant.peers.means(destination, 4):
                    return grant.peers.name
        return ""

    def between(self, source: Element, destination: Element, family: int) -> Expected:
        """Return what one element may send another over an IP family."""
        if self._mesh is None:
            return self._by_network(source, destination, family)
        return self._through_mesh(self._mesh, source, destination, family)

    def _through_mesh(
        self, mesh: MeshIntent, source: Element, destination: Element, family: int
    ) -> Expected:
        """Return what passes by the network and by the mesh, by each way that there is."""
        network = self._by_network(source, destination, family)
        carried = mesh.carriage.of(source, destination)
        plain = mesh.admits(source, destination, family, over_mtls=False)
        proved = mesh.admits(source, destination, family, over_mtls=True)
        through = network
        alone = not self._stated.wishes.dialect
        if not alone:
            sure = self._tunnelled(source, destination, family)
            named = self._meets(source, Direction.EGRESS, destination, destination, family)
            named = named and self._meets(
                destination, Direction.INGRESS, source, destination, family
            )
            may = Amount(TCP) if named else amounts.NOTHING
            # Whoever may use the tunnel can connect to where it ends.
            ends = network.possible | may.on(WIRES)
            network = Expected(network.certain, ends, network.own, network.refused)
            if carried.tunnelled:
                through = Expected(sure, may, network.own)
        everything = amounts.EVERYTHING
        certain = (
            network.certain.on(carried.untaken)
            | (network.certain & plain.certain).on(carried.plain)
            | (through.certain & proved.certain).on(carried.mtls)
        )
        open_network = everything if alone else network.possible
        open_tunnel = everything if alone else through.possible
        possible = (
            open_network.on(carried.untaken)
            | (open_network & plain.possible).on(carried.plain)
            | (open_tunnel & proved.possible).on(carried.mtls)
        )
        return Expected(certain, possible, network.own, network.refused & possible)

    def _tunnelled(self, source: Element, destination: Element, family: int) -> Amount:
        """Return what passes where any port that is open opens the tunnel, and so all.

        What is told by its addresses is not let into tunnels.
        """
        for subject, direction, peer in (
            (source, Direction.EGRESS, destination),
            (destination, Direction.INGRESS, source),
        ):
            found = self._passes(subject, direction, peer, destination, family, by_name=True)
            if not found.certain.on(TCP):
                return amounts.NOTHING
        return Amount(TCP)

    def _meets(
        self,
        subject: Element,
        direction: Direction,
        peer: Element,
        destination: Element,
        family: int,
    ) -> bool:
        """Return whether rules of an end that open the tunnel may be about another.

        One rule is about all that a selection means, whichever of it has the port.
        """
        if not self.policed(subject):
            return True
        assert isinstance(subject, PodElement)  # noqa: S101 - others are not policed
        for grant in self._grants[subject.workload, direction]:
            peers = grant.peers
            if not isinstance(peers, Workloads | Anything) or not peers.means(peer, family):
                continue
            ends = [destination]
            if direction is Direction.EGRESS and isinstance(peers, Workloads):
                ends += [PodElement(number, 0) for number in peers.numbers or ()]
            if any(grant.ports_at(end) & TCP for end in ends):
                return True
        return False

    def _by_network(self, source: Element, destination: Element, family: int) -> Expected:
        egress = self._passes(source, Direction.EGRESS, destination, destination, family)
        ingress = self._passes(destination, Direction.INGRESS, source, destination, family)
        return Expected(
            egress.certain & ingress.certain,
            egress.possible & ingress.possible,
            egress.own and ingress.own,
            (egress.refused & ingress.possible) | (ingress.refused & egress.possible),
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
        *,
        by_name: bool = False,
    ) -> Expected:
        if not self.policed(subject):
            return Expected(amounts.EVERYTHING, amounts.EVERYTHING, own=True)
        assert isinstance(subject, PodElement)  # noqa: S101 - others are not policed
        certain = possible = amounts.NOTHING
        own = False
        read: dict[Layer7, int] = {}
        for grant in self._grants[subject.workload, direction]:
            if by_name and not isinstance(grant.peers, Workloads | Anything):
                continue
            meant = grant.peers.means(peer, family)
            if by_name and isinstance(grant.peers, Anything) and not isinstance(peer, PodElement):
                continue
            if meant is Meant.NO:
                continue
            found = grant.amount_at(destination)
            possible |= found
            if grant.reads(destination):
                for protocol in {read_as(box) for box in grant.limits or ()}:
                    read[protocol] = read.get(protocol, 0) | found.ports
            own = own or (grant.own and bool(found))
            if meant is Meant.YES:
                certain |= found
        if not read or self._stated.wishes.dialect != CILIUM:
            return Expected(certain, possible, own)
        refused = unread(possible, read)
        return Expected(certain - refused, possible, own, refused)

    # -- the map -----------------------------------------------------------------------------

    def _add(self, dependency: Dependency) -> None:
        sources = self._says.numbers(dependency.source)
        callers = self._peers(dependency.source, sources)
        end = dependency.destination
        if isinstance(end, ServiceName):
            for behind in self._services.behind(end, dependency.ports):
                hosts = frozenset(n for n in behind.numbers if self._says.are_hosts(frozenset({n})))
                for numbers in (behind.numbers - hosts, hosts):
                    called: PeerSet = self._workloads(numbers)
                    if behind.addresses:
                        called = self._says.addresses(behind.addresses)
                    elif numbers & hosts:
                        called = self._says.nodes()
                    ports_at = self._says.target(behind.protocol, behind.target, numbers)
                    self._grant(dependency, (sources, called), (numbers, callers), ports_at)
            if outer := self._services.outer(end):
                ports = self._services.outer_ports(end, dependency.ports)
                ports_at = self._says.ports_at(ports, frozenset())
                called = self._says.domain(outer)
                self._grant(dependency, (sources, called), (frozenset(), callers), ports_at)
            return
        numbers = self._says.numbers(end)
        called = self._peers(end, numbers)
        ports_at = self._says.ports_at(dependency.ports, numbers)
        self._grant(dependency, (sources, called), (numbers, callers), ports_at)

    def _grant(
        self,
        dependency: Dependency,
        outward: tuple[frozenset[int], PeerSet],
        inward: tuple[frozenset[int], PeerSet],
        ports_at: PortsAt,
    ) -> None:
        """Add what a dependency lets pass at both its ends.

        Args:
            dependency: for the requests that it is limited to.
            outward: the workloads that call, and whom.
            inward: the workloads that are called, and by whom.
            ports_at: the ports.
        """
        for direction, (numbers, peers) in (
            (Direction.EGRESS, outward),
            (Direction.INGRESS, inward),
        ):
            dialect = self._stated.wishes.dialect
            limits = requests.limits(dependency.http, direction, dialect)
            sealed = inward[0] & self._sealed
            if sealed and isinstance(dependency.destination, Pods):
                # They have one rule in common, which can be about one or the other.
                sealed = inward[0]
            for number in self._with_twins(numbers):
                grant = Grant(peers, ports_at, own=True, limits=limits, sealed=sealed)
                self._grants[number, direction].append(grant)

    def _peers(self, end: End, numbers: frozenset[int]) -> PeerSet:
        if not isinstance(end, WorkloadName | Pods):
            return self._says.place(end)
        if isinstance(end, WorkloadName) and self._says.are_hosts(numbers):
            return self._says.nodes()
        return self._workloads(numbers)

    def _workloads(self, numbers: frozenset[int]) -> Workloads:
        told = numbers & self._stated.by_account
        return self._says.workloads(told | self._with_twins(numbers - told))

    def _with_twins(self, numbers: frozenset[int]) -> frozenset[int]:
        twins = self._stated.twins
        return numbers.union(*(twins.get(number, ()) for number in numbers))

    # -- what generation stated --------------------------------------------------------------

    def _add_dns(self, dns: DnsAnswer) -> None:
        covered = [
            number
            for number, workload in enumerate(self._snapshot.workloads)
            if workload.namespace in self._covered
        ]
        everyone = self._says.workloads(None)
        asking = {number: self._lookups(number) for number in covered}
        for number, traffic in dns.workloads:
            ports_at = self._says.traffic_at(traffic)
            alone = frozenset({number})
            answering: PeerSet = self._workloads(alone)
            if self._says.are_hosts(alone):
                answering = self._says.nodes()
            for each, limits in asking.items():
                grant = Grant(answering, ports_at, own=False, limits=limits)
                self._grants[each, Direction.EGRESS].append(grant)
            for twin in self._with_twins(alone):
                grant = Grant(everyone, ports_at, own=False)
                self._grants[twin, Direction.INGRESS].append(grant)
        for peers, traffic in dns.rules:
            ranges = [r for p in peers if isinstance(p, IpPeer) for r in peer_sets.block_ranges(p)]
            if ranges:
                called = self._says.addresses(ranges)
                ports_at = self._says.traffic_at(traffic)
                for each, limits in asking.items():
                    grant = Grant(called, ports_at, own=False, limits=limits)
                    self._grants[each, Direction.EGRESS].append(grant)

    def _add_control(self, control: ControlPlane) -> None:
        """Add what the proxies of a mesh need of its control plane."""
        proxied, ambient = (
            [
                number
                for number, workload in enumerate(self._snapshot.workloads)
                if any(i.mesh and i.mesh.data_plane in planes for i in workload.identities)
            ]
            for planes in (control.planes, (DataPlane.AMBIENT,))
        )
        for workloads, traffic in control.workloads:
            ports_at = self._says.traffic_at(traffic)
            for number in self._with_twins(frozenset(proxied)):
                grant = Grant(self._says.workloads(workloads), ports_at, own=False)
                self._grants[number, Direction.EGRESS].append(grant)
        for probing_block, probed in control.probes:
            probing = self._says.addresses(peer_sets.block_ranges(probing_block))
            ports_at = self._says.traffic_at(probed)
            for number in self._with_twins(frozenset(ambient)):
                grant = Grant(probing, ports_at, own=False)
                self._grants[number, Direction.INGRESS].append(grant)

    def _lookups(self, number: int) -> tuple[Layer7, ...] | None:
        """Return what a workload may ask the DNS for; None where nothing looks into that.

        The names of the cluster, and of what it calls; any, where it calls addresses outside.
        """
        if self._stated.wishes.dialect != CILIUM:
            return None
        names = [CLUSTER_NAMES, *self._called_names(number)]
        return (Layer7(dns=tuple(p for name in names for p in self._any_depth(name))),)

    def _any_depth(self, name: DomainPattern) -> Iterator[DomainPattern]:
        """Yield what stands for all names below one: before Cilium 1.19, only some depths of them.

        Source: Cilium `pkg/fqdn/matchpattern/matchpattern.go`.
        """
        old = older_than(self._snapshot.profile.version, 1, 19)
        if not old or not name.pattern.startswith("*."):
            yield name
            return
        for labels in range(1, 8):
            yield DomainPattern("*." * labels + name.pattern[2:], Wildcard.CILIUM_BEFORE_1_19)

    def _called_names(self, number: int) -> Iterator[DomainPattern]:
        for grant in self._grants[number, Direction.EGRESS]:
            match grant.peers:
                case Domains(name=name):
                    yield DomainPattern(name)
                case Addresses() | World() | Anything():
                    yield EVERY_NAME
                case _:
                    pass

    def _add_substitute(self, substitute: Substitute) -> None:
        ports_at = self._says.traffic_at(substitute.traffic)
        peers: list[PeerSet] = []
        if substitute.blocks:
            ranges = [r for peer in substitute.blocks for r in peer_sets.block_ranges(peer)]
            peers.append(self._says.addresses(ranges))
        if Entity.KUBE_APISERVER in substitute.entities:
            peers.append(self._says.hosts(self._stated.api_servers))
        elif substitute.entities:
            peers.append(self._says.nodes())
        direction, dialect = substitute.direction, self._stated.wishes.dialect
        limits = requests.stated(substitute.layer7, direction, dialect)
        for name in substitute.subject:
            for each in peers:
                grant = Grant(each, ports_at, own=True, limits=limits)
                self._grants[self._by_name[name], direction].append(grant)
