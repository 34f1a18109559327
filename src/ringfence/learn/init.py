"""Drafts a dependency map from what manifests already tell.

Hosts in environments and arguments, the Services that they name, Ingresses and other routes,
Services that face the outside. All of it is guesswork, so each guess carries its evidence, and
nothing is enforced by it. What the kubelet does (probes) needs no entry: a pod's own node always
reaches it.
"""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ringfence.learn.dependency_map import (
    Block,
    Dependency,
    DependencyMap,
    Domain,
    End,
    Entry,
    Malformed,
    Place,
    Port,
    ServiceName,
    WorkloadName,
    parse_end,
)
from ringfence.learn.resolve_ports import Ports
from ringfence.learn.resolve_services import Behind, Services, Unresolved
from ringfence.learn.stable_selector import on_host_network
from ringfence.learn.ways_in import Controllers
from ringfence.model.cluster import Protocol, Reference, Route, Service
from ringfence.model.location import Location
from ringfence.model.rule import NamedPort, PortRange
from ringfence.model.snapshot import Snapshot
from ringfence.questions.naming import Names

SYSTEM: Final = frozenset(("kube-system", "kube-public", "kube-node-lease"))
"""Namespaces that a draft does not cover: a mistake there stops the whole cluster."""
HTTPS: Final = Port(first=443, last=443)

_IN_CLUSTER: Final = re.compile(r"(?:.+\.)?([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\..+)?")

_Key = tuple[End, End, tuple[Port, ...]]


class Draft(msgspec.Struct, frozen=True):
    """A drafted map, and what was seen but could not be drafted."""

    map: DependencyMap
    left_out: tuple[str, ...] = ()
    """One sentence each, with its place."""


def draft(snapshot: Snapshot) -> Draft:
    """Return the map that a cluster's manifests suggest."""
    return _Drafter(snapshot).draft()


class _Drafter:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._names = Names(snapshot)
        self._services = Services(snapshot, self._names)
        self._by_name = {(s.namespace, s.name): s for s in snapshot.services}
        self._by_address = {
            address: service
            for service in snapshot.services
            for address in service.cluster_ips
            if address != "None"
        }
        self._controllers = Controllers(snapshot)
        self._own_hosts = {route.host for route in snapshot.routes if route.host}
        """The public names of the cluster: links to itself, rarely connections."""
        self._covered = sorted(
            {w.namespace for w in snapshot.workloads if not on_host_network(w)} - SYSTEM
        )
        self._guesses: dict[_Key, dict[str, None]] = {}
        """Source, destination, ports → the evidence."""
        self._left_out: dict[str, None] = {}

    def draft(self) -> Draft:
        for number, workload in enumerate(self._snapshot.workloads):
            for reference in workload.references:
                self._reference(number, reference)
        for route in self._snapshot.routes:
            self._route(route)
        for service in self._snapshot.services:
            self._facing_outside(service)
        entries = tuple(self._entries())
        location = Location(self._snapshot.source or "map")
        drafted = DependencyMap(
            namespaces=tuple(self._covered), workloads=entries, location=location
        )
        return Draft(drafted, tuple(self._left_out))

    # -- what workloads name -----------------------------------------------------------------

    def _reference(self, number: int, reference: Reference) -> None:
        workload = self._snapshot.workloads[number]
        source = self._workload(number)
        evidence = f"{reference.evidence}, {reference.location}"
        service = self._service_of(reference.host, workload.namespace)
        if service:
            self._to_service(source, service, reference.port, evidence)
            return
        try:
            end = parse_end(reference.host)
        except Malformed:
            end = None
        if reference.host in self._own_hosts:
            self._leave_out(
                f"{source} names `{reference.host}`, a public name of this cluster", evidence
            )
            return
        if not isinstance(end, Block | Domain):
            self._leave_out(f"{source} names `{reference.host}`, which is no Service", evidence)
            return
        ports = (Port(first=reference.port, last=reference.port),) if reference.port else (HTTPS,)
        if not reference.port:
            evidence += "; no port is told, 443 is taken"
        self._guess(source, end, ports, evidence)

    def _service_of(self, host: str, namespace: str) -> Service | None:
        """Return the Service that a host name means in a namespace."""
        if found := self._by_address.get(host):
            return found
        if matched := _IN_CLUSTER.fullmatch(host):
            return self._by_name.get((matched[2], matched[1]))
        name, _, other = host.partition(".")
        return self._by_name.get((other or namespace, name))

    def _to_service(
        self, source: WorkloadName, service: Service, port: int | None, evidence: str
    ) -> None:
        end = ServiceName(service.namespace, service.name)
        ports = (Port(first=port, last=port),) if port else ()
        for protocol in (None, Protocol.UDP, Protocol.SCTP):
            # A number alone does not tell the protocol: the first that the Service has is meant.
            wanted = tuple(msgspec.structs.replace(each, protocol=protocol) for each in ports)
            try:
                self._services.behind(end, wanted)
            except Unresolved as unresolved:
                told = unresolved.message
                continue
            self._guess(source, end, wanted, evidence)
            return
        if service.headless and port and (behind := self._behind(end, ())):
            # A headless Service's name leads to its pods, whatever ports it lists.
            for number, _ in behind.workloads:
                self._guess(source, self._workload(number), ports, evidence)
            return
        self._leave_out(f"{source}: {told}", evidence)

    # -- what lets the outside in ------------------------------------------------------------

    def _route(self, route: Route) -> None:
        where = f"{route.host}{route.path}" or "every host"
        evidence = f"{route.kind} {route.namespace}/{route.name} for {where}, {route.location}"
        end = ServiceName(route.service_namespace, route.service)
        ports: tuple[Port, ...] = ()
        if isinstance(route.port, int):
            ports = (Port(first=route.port, last=route.port),)
        elif route.port:
            ports = (Port(name=route.port),)
        behind = self._behind(end, ports, evidence)
        if behind is None:
            return
        through = self._controllers.through(route)
        for number, why in through:
            reason = f"{evidence}; through {self._workload(number)} by its {why}"
            if on_host_network(self._snapshot.workloads[number]):
                self._callers(behind, Place.NODES, reason)
            else:
                self._guess(self._workload(number), end, ports, reason)
        if not through:
            self._callers(behind, Place.OUTSIDE, f"{evidence}; no ingress controller in the input")

    def _facing_outside(self, service: Service) -> None:
        if service.type not in ("NodePort", "LoadBalancer") and not service.external_ips:
            return
        if service.type == "ExternalName":
            return
        sort = service.type if service.type != "ClusterIP" else "externalIPs of"
        evidence = f"{sort} Service {service.namespace}/{service.name}, {service.location}"
        behind = self._behind(ServiceName(service.namespace, service.name), (), evidence)
        if behind is None:
            return
        sources: list[End] = [Block(cidr) for cidr in map(_canonical, service.source_ranges)]
        for source in sources or [Place.OUTSIDE]:
            self._callers(behind, source, evidence)
        if service.external_traffic_local:
            return
        why = "externalTrafficPolicy Cluster puts a node's address in place of the client's"
        if self._snapshot.nodes:
            self._callers(behind, Place.NODES, f"{evidence}; {why}")
        else:
            self._leave_out(f"`{service.ref}` is called by nodes, which are not in the input", why)

    def _behind(
        self, end: ServiceName, ports: tuple[Port, ...], evidence: str = ""
    ) -> Behind | None:
        try:
            return self._services.behind(end, ports)
        except Unresolved as unresolved:
            if evidence:
                self._leave_out(unresolved.message, evidence)
            return None

    def _callers(self, behind: Behind, source: End, evidence: str) -> None:
        for number, traffic in behind.workloads:
            if not on_host_network(self._snapshot.workloads[number]):
                self._guess(source, self._workload(number), _as_ports(traffic), evidence)

    # -- collecting --------------------------------------------------------------------------

    def _workload(self, number: int) -> WorkloadName:
        parts = self._names.workload_name(number).split("/")
        return WorkloadName(parts[0], parts[-1], parts[1] if len(parts) == 3 else "")

    def _guess(self, source: End, destination: End, ports: tuple[Port, ...], evidence: str) -> None:
        ends = (source, destination)
        touched = {e.namespace for e in ends if isinstance(e, WorkloadName | ServiceName)}
        if not touched.isdisjoint(self._covered):
            self._guesses.setdefault((source, destination, ports), {})[evidence] = None

    def _leave_out(self, what: str, evidence: str) -> None:
        self._left_out[f"{what} ({evidence})"] = None

    def _entries(self) -> Iterator[Entry]:
        """Yield an entry per workload, also for those of which nothing is known."""
        calls: dict[End, list[Dependency]] = defaultdict(list)
        callers: dict[End, list[Dependency]] = defaultdict(list)
        for (source, destination, ports), evidence in sorted(self._guesses.items(), key=_order):
            dependency = Dependency(
                source=source,
                destination=destination,
                ports=ports,
                evidence="; ".join(evidence),
                location=Location("map"),
            )
            if isinstance(source, WorkloadName):
                calls[source].append(dependency)
            else:
                callers[destination].append(dependency)
        covered = {
            self._workload(number)
            for number, workload in enumerate(self._snapshot.workloads)
            if workload.namespace in self._covered and not on_host_network(workload)
        }
        named = {end for end in (*calls, *callers) if isinstance(end, WorkloadName)}
        for subject in sorted(covered | named):
            yield Entry(
                subject=subject,
                calls=tuple(calls[subject]),
                callers=tuple(callers[subject]),
                location=Location("map"),
            )


def _order(item: tuple[_Key, object]) -> tuple[str, str, tuple[Port, ...]]:
    (source, destination, ports), _ = item
    return str(source), str(destination), tuple(sorted(ports, key=str))


def _as_ports(traffic: Ports) -> tuple[Port, ...]:
    """Return traffic as a map writes it."""
    found = []
    for part in traffic:
        if isinstance(part, PortRange):
            protocol = None if part.protocol is Protocol.TCP else part.protocol
            found.append(Port(first=part.first, last=part.last, protocol=protocol))
        elif isinstance(part, NamedPort):
            found.append(Port(name=part.name))
    return tuple(dict.fromkeys(found))


def _canonical(cidr: str) -> str:
    return str(ipaddress.ip_network(cidr, strict=False))


def heading(source: str, left_out: Sequence[str]) -> list[str]:
    """Return the paragraphs to stand above a drafted map."""
    finish = (
        "Finish it by hand: strike what is not needed, add what no manifest tells (what monitoring "
        "scrapes, who calls the API server, what runs once a month), and give each entry an owner "
        "and a reason."
    )
    told = [f"Who needs whom: a first draft, guessed from {source}. It enforces nothing.", finish]
    if left_out:
        told += ["", "Seen, but not drafted:", *(f"- {each}" for each in left_out)]
    return told
