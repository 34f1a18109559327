"""What the ends and ports of a dependency map mean in one cluster, read literally from both."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from ringfence.learn.dependency_map import (
    PRIVATE,
    PRIVATE_V6,
    Block,
    Domain,
    End,
    Place,
    Pods,
    Port,
    WorkloadName,
)
from ringfence.learn.wishes import CILIUM, Wishes
from ringfence.model.cluster import Protocol
from ringfence.model.outside import AddressRange
from ringfence.model.proposal import Edition
from ringfence.model.rule import NamedPort, PortRange, Traffic
from ringfence.model.snapshot import Snapshot
from ringfence.prove import peer_sets, port_sets
from ringfence.prove.elements import Element, Places, PodElement, block, single
from ringfence.prove.peer_sets import (
    Addresses,
    Anything,
    Domains,
    Hosts,
    Nodes,
    Nothing,
    PeerSet,
    Workloads,
    World,
)

PortsAt = Callable[[Element], int]
"""From the end that a connection goes to, to the ports meant there."""


class Meanings:
    """What a map's words mean in one cluster, to one language."""

    def __init__(
        self,
        snapshot: Snapshot,
        places: Places,
        wishes: Wishes,
        *,
        resolved: bool,
        compared: bool = False,
    ) -> None:
        """Index the workloads by their names.

        Args:
            snapshot: the cluster.
            places: of the same cluster.
            wishes: for the language.
            resolved: whether pods may look names up, without which Cilium knows none.
            compared: whether blocks mean whatever has an address of theirs, as to meshes.
        """
        self._snapshot = snapshot
        self._places = places
        self._wishes = wishes
        self._resolved = resolved
        self._compared = compared
        self._numbers_by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, workload in enumerate(snapshot.workloads):
            self._numbers_by_name[workload.namespace, workload.name].append(number)
        self.ranges: list[AddressRange] = []
        """Every range that was spoken of: the outside is cut at their ends."""
        self.names: set[str] = set()
        """Every domain name or pattern that was spoken of."""

    # -- ends --------------------------------------------------------------------------------

    def numbers(self, end: End) -> frozenset[int]:
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

    def place(self, end: End) -> PeerSet:
        """Return whom an end means that is no workload of the cluster."""
        cilium = self._wishes.dialect == CILIUM
        match end:
            case Block(cidr):
                return self.addresses([block(cidr)])
            case Place.OUTSIDE if cilium:
                return World()
            case Place.OUTSIDE:
                return self.addresses(self._outside(()))
            case Place.INTERNET:
                return self.addresses(self._outside((*PRIVATE, *PRIVATE_V6)))
            case Place.ANYWHERE:
                return Anything()
            case Place.NODES:
                return self.nodes()
            case Domain(name):
                return self.domain(name)
            case _:
                return Nothing()

    def nodes(self) -> PeerSet:
        """Return the nodes, where the language can name them."""
        return Nodes(self._places) if self._wishes.dialect == CILIUM else Nothing()

    def domain(self, name: str) -> PeerSet:
        """Return a domain name, where the language can say it."""
        self.names.add(name)
        match self._wishes.dialect:
            case "calico":
                says = self._wishes.edition is not Edition.OSS
            case "cilium":
                says = self._resolved
            case _:
                says = False
        return Domains(name) if says else Nothing()

    def workloads(self, numbers: frozenset[int] | None) -> Workloads:
        """Return the pods of some workloads; None for all."""
        return Workloads(self._places, numbers)

    def addresses(self, ranges: Iterable[AddressRange]) -> Addresses:
        """Return whatever has an address in some ranges."""
        found = Addresses(self._places, ranges, compared=self._compared)
        self.ranges += found.ranges
        return found

    def hosts(self, addresses: Iterable[str]) -> Hosts:
        """Return whatever has one of some addresses and is no pod."""
        found = Hosts(self._places, addresses)
        self.ranges += found.ranges
        return found

    def _outside(self, also: Iterable[str]) -> list[AddressRange]:
        """Return every address that is no pod's, in the families that pods have.

        Args:
            also: CIDRs to leave out beside the pods'.
        """
        pods = list(self._places.pod_blocks)
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

    # -- ports -------------------------------------------------------------------------------

    def ports_at(self, ports: tuple[Port, ...] | None, meant: frozenset[int]) -> PortsAt:
        """Return what ports mean at an element.

        A name given without a protocol is of those that the workloads meant declare it with: a
        workload that merely cannot be told apart from them adds none of its own.
        """
        hosts = self.are_hosts(meant)

        def at(element: Element) -> int:
            if ports is None:
                return port_sets.EVERYTHING
            found = port_sets.NOTHING
            for port in ports:
                if port.name and hosts:
                    found |= self._on_hosts(meant, port.name, port.protocol)
                    continue
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

    def target(self, protocol: Protocol, target: int | str, meant: frozenset[int]) -> PortsAt:
        """Return what a Service's target port means at an element."""
        if isinstance(target, int):
            return lambda _: port_sets.ports(protocol, target, target)
        if self.are_hosts(meant):
            return lambda _: self._on_hosts(meant, target, protocol)
        return lambda element: self._named(element, target, protocol)

    def are_hosts(self, numbers: frozenset[int]) -> bool:
        """Return whether workloads are on the host network, so that policies see their nodes."""
        identities = [i for number in numbers for i in self._snapshot.workloads[number].identities]
        return bool(identities) and all(identity.host_network for identity in identities)

    def _on_hosts(self, numbers: frozenset[int], name: str, protocol: Protocol | None) -> int:
        """Return the numbers of a port that workloads on the host network name so.

        No policy resolves the name there, so it stands for its numbers, on whatever node.
        """
        found = port_sets.NOTHING
        for number in numbers:
            for identity in self._snapshot.workloads[number].identities:
                for own in identity.ports:
                    if own.name == name and not own.init and protocol in (None, own.protocol):
                        found |= port_sets.ports(own.protocol, own.port, own.port)
        return found

    def _named(self, element: Element, name: str, protocol: Protocol | None) -> int:
        """Return the container ports of a name at an element."""
        if not isinstance(element, PodElement) or self._places.on_host(element):
            return port_sets.NOTHING
        found = port_sets.NOTHING
        for own in self._places.identity(element).ports:
            if own.name == name and not own.init and protocol in (None, own.protocol):
                found |= port_sets.ports(own.protocol, own.port, own.port)
        return found

    def traffic_at(self, traffic: tuple[Traffic, ...] | None) -> PortsAt:
        """Return what traffic in common form means at an element."""

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
