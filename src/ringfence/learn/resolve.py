"""From what a dependency map names to what the cluster has: workloads, ports, addresses."""

import difflib
import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ringfence.engine.labels import selects
from ringfence.learn import resolve_ports
from ringfence.learn.accounts import OwnAccounts
from ringfence.learn.dependency_map import (
    KIND,
    PRIVATE,
    PRIVATE_V6,
    Block,
    Dependency,
    DependencyMap,
    Domain,
    End,
    Place,
    Pods,
    ServiceName,
    WorkloadName,
)
from ringfence.learn.resolve_ports import Ports
from ringfence.learn.resolve_services import Services, Unresolved
from ringfence.learn.stable_selector import StableSelectors, on_host_network
from ringfence.learn.wishes import CILIUM, PLAIN, Wishes
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.layer7 import DomainPattern
from ringfence.model.location import Location, Problem
from ringfence.model.rule import DomainPeer, Entity, EntityPeer, IpPeer, NodePeer, Peer, PodPeer
from ringfence.model.selector import EVERYTHING, from_labels
from ringfence.model.snapshot import Snapshot
from ringfence.questions.naming import Names

ALL_NODES: Final = NodePeer(EVERYTHING)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Destination(msgspec.Struct, frozen=True):
    """One part of what a dependency leads to, and the traffic that it takes there."""

    peers: tuple[Peer, ...] | None
    """How the caller's policy names it; None for everything."""
    traffic: Ports | None
    """None for all traffic."""
    workloads: tuple[tuple[int, Ports | None], ...] = ()
    """The workloads meant, by index, each with the traffic at that workload alone."""


class Source(msgspec.Struct, frozen=True):
    """What a dependency comes from."""

    peers: tuple[Peer, ...] | None
    """How the callee's policy names it; None for everything."""
    workloads: tuple[int, ...] = ()


class ResolvedDependency(msgspec.Struct, frozen=True):
    """A dependency in terms of a cluster."""

    dependency: Dependency
    owner: str
    """The dependency's own, else that of the entry that it stands in."""
    source: Source
    destinations: tuple[Destination, ...]


class Resolver:
    """Resolves the names of one map in one cluster; what is wrong is kept in `problems`."""

    def __init__(
        self, dependency_map: DependencyMap, snapshot: Snapshot, wishes: Wishes = PLAIN
    ) -> None:
        """Index the cluster by name."""
        self._map = dependency_map
        self._snapshot = snapshot
        self._dialect = wishes.dialect
        self._accounts = OwnAccounts(snapshot, wishes)
        self.names = Names(snapshot)
        self.selectors = StableSelectors(snapshot)
        self._services = Services(snapshot, self.names)
        self.problems: list[Problem] = []
        """Names that the cluster does not have: nothing may be generated then."""
        self.notes: list[Problem] = []
        """What was found to mean less, or other, than its author may think."""
        self.named: set[int] = set()
        """The workloads that some policy will name by their labels."""
        self.by_account: set[int] = set()
        """The workloads that are told by their service accounts wherever they are peers."""
        self._by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, workload in enumerate(snapshot.workloads):
            self._by_name[workload.namespace, workload.name].append(number)

    def all(self) -> list[ResolvedDependency]:
        """Return every dependency of the map, resolved."""
        known = [namespace.name for namespace in self._snapshot.namespaces]
        for namespace in self._map.namespaces:
            if namespace not in known:
                message = f"no namespace `{namespace}` in the input"
                self._fail(message, namespace, known, self._map.location)
        for entry in self._map.workloads:
            # An entry without dependencies must name something too.
            self._workloads_of(entry.subject, entry.location)
        return [
            ResolvedDependency(
                dependency,
                dependency.owner or entry.owner,
                self._source(dependency),
                tuple(self._destinations(dependency)),
            )
            for entry in self._map.workloads
            for dependency in (*entry.calls, *entry.callers)
        ]

    # -- ends --------------------------------------------------------------------------------

    def _source(self, dependency: Dependency) -> Source:
        end = dependency.source
        workloads = self._workloads_of(end, dependency.location)
        match end:
            case WorkloadName():
                return Source(tuple(self._peer_of(n) for n in workloads), workloads)
            case Pods():
                return Source((pods_peer(end),), workloads)
            case _:
                return Source(self._place(end))

    def _destinations(self, dependency: Dependency) -> Iterator[Destination]:
        end, ports = dependency.destination, dependency.ports
        numbers = self._workloads_of(end, dependency.location)
        at = [
            (number, resolve_ports.at_workload(self._snapshot.workloads[number], ports))
            for number in numbers
        ]
        match end:
            case ServiceName():
                yield from self._behind(end, dependency)
            case WorkloadName():
                self._check_port_names(dependency, numbers)
                for number, traffic in at:
                    yield Destination((self._peer_of(number),), traffic, ((number, traffic),))
            case Pods():
                self._check_port_names(dependency, numbers)
                union = dict.fromkeys(part for _, parts in at for part in parts or ())
                everything = None if ports is None else tuple(union)
                yield Destination((pods_peer(end),), everything, tuple(at))
            case _:
                by_number = None if ports is None else resolve_ports.numbers(ports)
                yield Destination(self._place(end), by_number)

    def _behind(self, end: ServiceName, dependency: Dependency) -> Iterator[Destination]:
        try:
            behind = self._services.behind(end, dependency.ports)
        except Unresolved as unresolved:
            wanted, known = unresolved.wanted, unresolved.known
            self._fail(unresolved.message, wanted, known, dependency.location)
            return
        for number, ports in behind.workloads:
            yield Destination((self._peer_of(number),), ports, ((number, ports),))
        for cidr, ports in behind.addresses:
            yield Destination((IpPeer(cidr),), ports)
        if behind.domain:
            yield Destination((DomainPeer(DomainPattern(behind.domain)),), behind.domain_ports)

    def _place(self, end: End) -> tuple[Peer, ...] | None:
        """Return how policies name an end that is no workload of the cluster."""
        match end:
            case Block():
                return (IpPeer(end.cidr),)
            case Domain():
                return (DomainPeer(DomainPattern(end.name)),)
            case Place.OUTSIDE if self._dialect == CILIUM:
                return (EntityPeer(Entity.WORLD),)
            case Place.OUTSIDE:
                return self._all_but(())
            case Place.INTERNET:
                return self._all_but((*PRIVATE, *PRIVATE_V6))
            case Place.NODES:
                return (ALL_NODES,)
            case _:
                return None

    def _peer_of(self, number: int) -> Peer:
        """Return how policies name a workload: by its labels or its service account.

        One on the host network is named as the nodes.
        """
        workload = self._snapshot.workloads[number]
        if on_host_network(workload):
            return ALL_NODES
        if account := self._accounts.of(number):
            self.by_account.add(number)
            return account
        self.named.add(number)
        namespaces = from_labels({NAMESPACE_NAME: workload.namespace})
        return PodPeer(namespaces, self.selectors.of(number).selector)

    def _workloads_of(self, end: End, location: Location) -> tuple[int, ...]:
        match end:
            case WorkloadName():
                return self._named(end, location)
            case Pods():
                return self._selected(end, location)
            case _:
                return ()

    def _named(self, end: WorkloadName, location: Location) -> tuple[int, ...]:
        numbers = self._by_name.get((end.namespace, end.name), [])
        if end.kind:
            numbers = [n for n in numbers if self._snapshot.workloads[n].kind == end.kind]
        if not numbers:
            known = [self.names.workload_name(n) for n in range(len(self._snapshot.workloads))]
            self._fail(f"no workload `{end}` in the input", str(end), known, location)
        elif len(numbers) > 1:
            choices = ", ".join(f"`{self.names.workload_name(n)}`" for n in numbers)
            self._problem(f"`{end}` is ambiguous: {choices}", location)
            return ()
        return tuple(numbers)

    def _selected(self, end: Pods, location: Location) -> tuple[int, ...]:
        peer = pods_peer(end)
        namespaces = {
            namespace.name
            for namespace in self._snapshot.namespaces
            if selects(peer.namespaces, namespace.labels)
        }
        if end.namespace is not None and not namespaces:
            known = [namespace.name for namespace in self._snapshot.namespaces]
            message = f"no namespace `{end.namespace}` in the input"
            self._fail(message, end.namespace, known, location)
            return ()
        found = []
        for number, workload in enumerate(self._snapshot.workloads):
            if workload.namespace not in namespaces:
                continue
            hits = [selects(peer.pods, identity.labels) for identity in workload.identities]
            name = self.names.workload_name(number)
            if any(hits) and not all(hits):
                self._problem(f"{end}: selects only some pods of `{name}`", location)
            elif all(hits) and on_host_network(workload):
                message = f"{end}: `{name}` is on the host network, where labels select nothing"
                self.notes.append(Problem(message, location, (KIND,), severity="warning"))
            elif all(hits):
                found.append(number)
        if not found:
            self._problem(f"{end}: no workload of the input is selected", location)
        return tuple(found)

    def _all_but(self, also: tuple[str, ...]) -> tuple[IpPeer, ...]:
        """Return every address that is no pod's, in the families that pods have.

        Args:
            also: CIDRs to leave out beside the pods'.
        """
        pods = pod_networks(self._snapshot)
        families = {network.version for network in pods}
        inside = collapse((*map(str, pods), *also))
        return tuple(
            IpPeer(everything, tuple(str(n) for n in inside if n.version == version))
            for version, everything in ((4, "0.0.0.0/0"), (6, "::/0"))
            if version in families
        )

    # -- problems ----------------------------------------------------------------------------

    def _check_port_names(self, dependency: Dependency, numbers: Iterable[int]) -> None:
        """Tell port names that no workload meant declares."""
        workloads = [self._snapshot.workloads[number] for number in numbers]
        if not workloads:
            return
        declared = [own for workload in workloads for own in resolve_ports.declared(workload)]
        for port in dependency.ports or ():
            if port.name and not any(resolve_ports.fits(port, own) for own in declared):
                names = ", ".join(sorted({own.name for own in declared if own.name})) or "none"
                message = f"`{dependency.destination}` has no container port named `{port}`"
                self._problem(f"{message}; its names: {names}", dependency.location)

    def _fail(self, message: str, wanted: str, known: Iterable[str], location: Location) -> None:
        near = difflib.get_close_matches(wanted, sorted(set(known)), 2, cutoff=0.5)
        if near:
            message += f"; did you mean {' or '.join(f'`{name}`' for name in near)}?"
        self._problem(message, location)

    def _problem(self, message: str, location: Location) -> None:
        problem = Problem(message, location, (KIND,))
        if problem not in self.problems:
            self.problems.append(problem)


def pods_peer(end: Pods) -> PodPeer:
    """Return a selection as it is written: pods that come later and match are meant too."""
    namespaces = dict(end.namespace_labels)
    if end.namespace is not None:
        namespaces = {NAMESPACE_NAME: end.namespace}
    return PodPeer(from_labels(namespaces), from_labels(dict(end.labels)))


def pod_networks(snapshot: Snapshot) -> list[Network]:
    """Return where pods live: the snapshot's CIDRs, and known pod addresses outside them."""
    addresses = {
        address
        for workload in snapshot.workloads
        for identity in workload.identities
        if not identity.host_network
        for pod in identity.pods
        for address in pod.addresses
    }
    return collapse((*snapshot.pod_cidrs, *addresses))


def collapse(cidrs: Iterable[str]) -> list[Network]:
    """Return the same addresses in as few networks as possible, IPv4 first, ascending."""
    v4: list[ipaddress.IPv4Network] = []
    v6: list[ipaddress.IPv6Network] = []
    for text in cidrs:
        network = ipaddress.ip_network(text)
        if isinstance(network, ipaddress.IPv4Network):
            v4.append(network)
        else:
            v6.append(network)
    return [*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6)]
