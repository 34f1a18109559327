"""What a dependency map says that the proxies of a mesh let in.

Written apart from `ringfence.learn.propose_mesh`. A mesh knows a caller by what it proves to be, so
that whoever proves the same is meant, too; by its address; or not at all.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from ringfence.learn.cluster_dns import DnsAnswer
from ringfence.learn.dependency_map import (
    Dependency,
    DependencyMap,
    Pods,
    Port,
    ServiceName,
    WorkloadName,
)
from ringfence.learn.wishes import ISTIO, LINKERD, PLAIN
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import HttpMatch, Layer7, exact
from ringfence.model.mesh import DataPlane, LinkerdConfig
from ringfence.model.outside import AddressRange
from ringfence.model.proposal import Substitute
from ringfence.model.rule import Direction, PortRange, Traffic
from ringfence.model.snapshot import Snapshot
from ringfence.prove import amounts, peer_sets, port_sets, requests
from ringfence.prove.amounts import Amount
from ringfence.prove.backends import Services
from ringfence.prove.carriage import TCP, Carriage
from ringfence.prove.elements import Element, Places, PodElement, block
from ringfence.prove.meanings import Meanings, PortsAt
from ringfence.prove.peer_sets import Meant, PeerSet
from ringfence.questions.naming import Names

MOST_PORTS: Final = 100
"""That are written out of a range, in languages that know only single ports."""
LOCALHOST: Final = ("127.0.0.1/32", "::1/128")
"""Linkerd lets in whatever comes from the pod itself."""
PLANES: Final = {
    ISTIO: (DataPlane.SIDECAR, DataPlane.AMBIENT),
    LINKERD: (DataPlane.LINKERD,),
}


class MeshStated(NamedTuple):
    """What generation said that it did in the mesh beyond the map's own words."""

    mesh: str
    twins: Mapping[int, tuple[int, ...]]
    substitutes: tuple[Substitute, ...]


class Admitted(NamedTuple):
    """What passes by a mesh, as `Expected` has it."""

    certain: Amount
    possible: Amount


EVERYTHING: Final = Admitted(amounts.EVERYTHING, amounts.EVERYTHING)


class _Grant(NamedTuple):
    """Whom a destination's proxy lets in."""

    amount: Amount
    principals: frozenset[str] = frozenset()
    peers: PeerSet | None = None
    plaintext: bool = False
    perhaps: bool = False
    """Whether it is only not to be refused, and need not be allowed."""


class MeshIntent:
    """All that a map says to a mesh."""

    def __init__(
        self,
        dependency_map: DependencyMap,
        snapshot: Snapshot,
        stated: MeshStated,
        dns: DnsAnswer | None,
    ) -> None:
        """Work out the grants of every member of the mesh."""
        says = Meanings(snapshot, Places(snapshot), PLAIN, resolved=False, compared=True)
        self.carriage = Carriage(snapshot)
        self._snapshot, self._stated, self._says = snapshot, stated, says
        self._services = Services(snapshot)
        self._covered = frozenset(dependency_map.namespaces)
        names = Names(snapshot)
        self._by_name = {names.workload_name(n): n for n in range(len(snapshot.workloads))}
        self._grants: defaultdict[int, list[_Grant]] = defaultdict(list)
        self._served: defaultdict[int, int] = defaultdict(int)
        for dependency in dependency_map.dependencies:
            self._add(dependency)
        for number, traffic in dns.workloads if dns else ():
            ports = self._at(number, says.traffic_at(traffic))
            self._grant(number, _Grant(Amount(ports), peers=peer_sets.Anything()))
        for substitute in stated.substitutes:
            self._add_substitute(substitute)
        if stated.mesh == LINKERD:
            for number in range(len(snapshot.workloads)):
                self._add_defaults(number)

    @property
    def ranges(self) -> list[AddressRange]:
        """Every range that some grant speaks of."""
        return self._says.ranges

    def judges(self, element: Element) -> bool:
        """Return whether the mesh's policies apply to an element."""
        if not isinstance(element, PodElement):
            return False
        member = self.carriage.member(element)
        inside = self._snapshot.workloads[element.workload].namespace in self._covered
        if member is None or member.waypoint:
            # Nothing is written for waypoints, which no policy selects by labels.
            return False
        return inside and member.data_plane in PLANES[self._stated.mesh]

    def admits(
        self, source: Element, destination: Element, family: int, *, over_mtls: bool
    ) -> Admitted:
        """Return what a destination's proxy lets in from a source, of what it takes."""
        if not self.judges(destination):
            return EVERYTHING
        assert isinstance(destination, PodElement)  # noqa: S101 - others have no proxy
        member = self.carriage.member(source) if over_mtls else None
        certain = possible = amounts.NOTHING
        for grant in self._grants[destination.workload]:
            meant = Meant.NO
            if grant.peers is not None:
                meant = grant.peers.means(source, family)
            elif (grant.plaintext and not over_mtls) or (
                member is not None and member.principal in grant.principals
            ):
                meant = Meant.YES
            amount = grant.amount
            if self._stated.mesh == LINKERD and amount.ports == TCP and not grant.perhaps:
                amount = amount.on(self._with_servers(destination.workload))
            if meant is not Meant.NO:
                possible |= amount
            if meant is Meant.YES and not grant.perhaps:
                certain |= amount
        return Admitted(certain, possible)

    # -- the map -----------------------------------------------------------------------------

    def _add(self, dependency: Dependency) -> None:
        end = dependency.destination
        ports = self._written(dependency.ports)
        if isinstance(end, ServiceName):
            for behind in self._services.behind(end, dependency.ports):
                ports_at = self._says.target(behind.protocol, behind.target, behind.numbers)
                self._add_callers(dependency, behind.numbers, ports_at)
        elif isinstance(end, WorkloadName | Pods):
            numbers = self._says.numbers(end)
            self._add_callers(dependency, numbers, self._says.ports_at(ports, numbers))

    def _add_callers(
        self, dependency: Dependency, numbers: frozenset[int], ports_at: PortsAt
    ) -> None:
        limits = requests.limits(dependency.http, Direction.INGRESS, self._stated.mesh)
        source = dependency.source
        for number in numbers:
            ports = self._at(number, ports_at)
            amount = self._limited(number, ports, limits)
            if isinstance(source, WorkloadName | Pods):
                principals = frozenset(
                    identity.mesh.principal
                    for caller in self._says.numbers(source)
                    for identity in self._snapshot.workloads[caller].identities
                    if identity.mesh and identity.mesh.data_plane in PLANES[self._stated.mesh]
                )
                self._grant(number, _Grant(amount, principals))
            else:
                self._grant(number, _Grant(amount, peers=self._says.place(source)))

    def _written(self, ports: tuple[Port, ...] | None) -> tuple[Port, ...] | None:
        """Return the ports that the mesh can list."""
        return ports and tuple(p for p in ports if p.name or self._listed(p.first, p.last))

    def _listed(self, first: int, last: int) -> bool:
        whole = first <= 1 and last == 65535 and self._stated.mesh == ISTIO
        return whole or last - first < MOST_PORTS

    def _limited(self, number: int, ports: int, limits: tuple[Layer7, ...] | None) -> Amount:
        unread = self.carriage.unread(number, self._stated.mesh)
        if limits is None:
            return Amount(ports)
        return Amount(ports & unread) | amounts.limited(ports & ~unread, limits)

    def _at(self, number: int, ports_at: PortsAt) -> int:
        """Return the TCP ports meant at a workload, at whichever of its pods."""
        found = port_sets.NOTHING
        for position in range(len(self._snapshot.workloads[number].identities)):
            found |= ports_at(PodElement(number, position)) & TCP
        return found

    def _grant(self, number: int, grant: _Grant) -> None:
        for each in (number, *self._stated.twins.get(number, ())):
            self._grants[each].append(grant)
            if grant.amount.ports != TCP:
                self._served[each] |= grant.amount.ports

    # -- what generation stated --------------------------------------------------------------

    def _add_substitute(self, substitute: Substitute) -> None:
        mesh = self._stated.mesh
        traffic = substitute.traffic and tuple(filter(self._is_listed, substitute.traffic))
        limits = requests.stated(substitute.layer7, substitute.direction, mesh)
        for name in substitute.subject:
            number = self._by_name[name]
            ports = self._at(number, self._says.traffic_at(traffic))
            amount = amounts.limited(ports, limits)
            if substitute.plaintext and mesh == LINKERD:
                # What comes without mTLS can only be let in together with all else.
                self._grant(number, _Grant(amount, peers=peer_sets.Anything()))
            elif substitute.plaintext:
                self._grant(number, _Grant(amount, plaintext=True))
            if substitute.blocks:
                ranges = [r for p in substitute.blocks for r in peer_sets.block_ranges(p)]
                self._grant(number, _Grant(amount, peers=self._says.addresses(ranges)))

    def _is_listed(self, part: Traffic) -> bool:
        return not isinstance(part, PortRange) or self._listed(part.first, part.last)

    # -- Linkerd -----------------------------------------------------------------------------

    def _with_servers(self, number: int) -> int:
        """Return the ports of a workload that Servers are for."""
        found = port_sets.NOTHING
        for each in (number, *self._stated.twins.get(number, ())):
            found |= self.carriage.known(each) | self._served[each]
        return found

    def _add_defaults(self, number: int) -> None:
        """Add what Linkerd lets in beside: probes, and by default where no Server is."""
        config = self._snapshot.mesh.linkerd or LinkerdConfig()
        within = self._says.addresses(map(block, LOCALHOST))
        self._grants[number].append(_Grant(Amount(TCP), peers=within, perhaps=True))
        for identity in self._snapshot.workloads[number].identities:
            member = identity.mesh
            if member is None or member.data_plane is not DataPlane.LINKERD:
                continue
            for port, path in member.probes:
                box = Layer7(http=HttpMatch((exact("GET"),), (exact(path),)))
                probed = amounts.limited(port_sets.ports(Protocol.TCP, port, port), (box,))
                self._grant(number, _Grant(probed, peers=peer_sets.Anything()))
        for identity in self._snapshot.workloads[number].identities:
            member = identity.mesh
            if member is None or (member.default_inbound or config.default_inbound) == "deny":
                continue
            rest = TCP & ~self._with_servers(number)
            left = _Grant(Amount(rest), peers=peer_sets.Anything(), perhaps=True)
            self._grants[number].append(left)
