"""How calls between workloads are carried through a mesh: by mTLS or without, on which port.

Sources: Istio `pilot/pkg/networking/core/cluster_tls.go`, ztunnel `src/proxy/outbound.rs`,
linkerd2 `controller/api/destination/endpoint_translator.go`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

from ringfence.engine.chains import chain_of
from ringfence.engine.labels import selects
from ringfence.learn.wishes import ISTIO, LINKERD
from ringfence.model import mesh
from ringfence.model.cluster import Identity, Protocol, Service
from ringfence.model.mesh import HBONE_PORT, LINKERD_INBOUND_PORT, DataPlane, Membership
from ringfence.model.rule import Chain, NamedPort, PortRange, Traffic
from ringfence.model.snapshot import Snapshot

PLANES: Final = {ISTIO: mesh.ISTIO, LINKERD: (DataPlane.LINKERD,)}
"""The data planes of each mesh."""
EVERY_PORT: Final = ((1, 65535),)

Runs = tuple[tuple[int, int], ...]
"""Ranges of TCP ports, both ends included."""


class MeshWays:
    """The ways from workload to workload, of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Keep the snapshot."""
        self._snapshot = snapshot
        self._istio = snapshot.mesh.istio or mesh.IstioConfig()
        self._linkerd = snapshot.mesh.linkerd or mesh.LinkerdConfig()

    def members(self, number: int, dialect: str) -> tuple[Identity, ...]:
        """Return the identities of a workload that take part in a mesh.

        Waypoints are left out: no policy selects them by labels.
        """
        found = self._snapshot.workloads[number].identities
        return tuple(
            identity
            for identity in found
            if identity.mesh
            and identity.mesh.data_plane in PLANES[dialect]
            and not identity.mesh.waypoint
        )

    def is_member(self, number: int) -> bool:
        """Return whether pods of a workload take part in any mesh."""
        return any(identity.mesh for identity in self._snapshot.workloads[number].identities)

    def tcp(self, number: int, traffic: Iterable[Traffic] | None) -> Runs:
        """Return the TCP ports that traffic means at a workload."""
        return tcp_runs(traffic, self._snapshot.workloads[number].identities)

    def tunnels_of(self, number: int) -> tuple[int, ...]:
        """Return the ports on the wire at which tunnels from or to a workload can end."""
        found = set()
        for identity in self._snapshot.workloads[number].identities:
            if identity.mesh is None:
                continue
            if identity.mesh.data_plane in mesh.ISTIO:
                found.add(HBONE_PORT)
            elif self._linkerd.transport_header:
                found.add(LINKERD_INBOUND_PORT)
        return tuple(sorted(found))

    def principals(self, source: int, destination: int, runs: Runs) -> tuple[str, ...]:
        """Return what pods of a workload prove to be when they call another's ports."""
        pairs = self._by_mtls(source, destination, runs)
        return tuple(sorted({client.principal for client, _ in pairs}))

    def comes_plain(self, source: int, destination: int, runs: Runs, dialect: str) -> bool:
        """Return whether pods of a workload cannot call another's ports by mTLS, or not all."""
        able = {id(client) for client, _ in self._by_mtls(source, destination, runs)}
        all_of_it = all(id(i.mesh) in able for i in self._snapshot.workloads[source].identities)
        return bool(self.members(destination, dialect)) and not all_of_it

    def tunnels(self, source: int, destination: int) -> tuple[int, ...]:
        """Return the ports on the wire at which tunnels from one workload to another end."""
        found = set()
        for client, server in self._by_mtls(source, destination, EVERY_PORT):
            planes = {client.data_plane, server.data_plane}
            if DataPlane.AMBIENT in planes or client.waypoint:
                found.add(HBONE_PORT)
            elif DataPlane.LINKERD in planes and self._linkerd.transport_header:
                found.add(LINKERD_INBOUND_PORT)
        return tuple(sorted(found))

    def chains(self, number: int, runs: Runs) -> set[Chain | None]:
        """Return as what proxies read ports of a workload; None where Services disagree."""
        found: set[Chain | None] = set()
        for position in range(len(self._snapshot.workloads[number].identities)):
            said: defaultdict[int, set[Chain]] = defaultdict(set)
            for _, target, chain in self._leading.get((number, position), ()):
                said[target].add(chain)
            here = {p: c for p, c in said.items() if any(f <= p <= last for f, last in runs)}
            found |= {next(iter(c)) if len(c) == 1 else None for c in here.values()}
            if sum(last - first + 1 for first, last in runs) > len(here):
                found.add(Chain.DETECTED)
        return found

    def known_ports(self, number: int) -> set[int]:
        """Return the TCP ports that containers of a workload declare, or that Services lead to."""
        workload = self._snapshot.workloads[number]
        found = {
            own.port
            for identity in workload.identities
            for own in identity.ports
            if own.protocol is Protocol.TCP and not own.init
        }
        for position in range(len(workload.identities)):
            found |= {target for _, target, _ in self._leading.get((number, position), ())}
        return found

    def detour(self, sources: Iterable[int], destination: int, runs: Runs) -> str:
        """Return the waypoint that callers from ambient go through to ports; empty for none."""
        identities = (i for n in sources for i in self._snapshot.workloads[n].identities)
        if not any(i.mesh and i.mesh.data_plane is DataPlane.AMBIENT for i in identities):
            return ""
        found = set()
        for position, identity in enumerate(self._snapshot.workloads[destination].identities):
            if identity.mesh and identity.mesh.waypoint_of:
                found.add("/".join(identity.mesh.waypoint_of))
            for service, target, _ in self._leading.get((destination, position), ()):
                if service.waypoint and any(first <= target <= last for first, last in runs):
                    found.add("/".join(service.waypoint))
        return ", ".join(sorted(found))

    def _by_mtls(
        self, source: int, destination: int, runs: Runs
    ) -> Iterator[tuple[Membership, Membership]]:
        """Yield the pairs of members between which some of the ports can be called by mTLS."""
        for identity in self._snapshot.workloads[source].identities:
            client = identity.mesh
            if client is None:
                continue
            for position, each in enumerate(self._snapshot.workloads[destination].identities):
                server = each.mesh
                if server is None or not _alike(client, server):
                    continue
                if any(self._carries(client, server, destination, position, r) for r in runs):
                    yield client, server

    def _carries(
        self,
        client: Membership,
        server: Membership,
        destination: int,
        position: int,
        run: tuple[int, int],
    ) -> bool:
        first, last = run
        led = {
            target
            for _, target, _ in self._leading.get((destination, position), ())
            if first <= target <= last
        }
        if client.data_plane is DataPlane.SIDECAR and not client.waypoint:
            tried: Iterable[int] = led if self._istio.auto_mtls else ()
        else:
            tried = led | {first, last} | _edges(client, server, run)
        return any(client.outbound.holds(p) and server.inbound.holds(p) for p in tried)

    @cached_property
    def _leading(self) -> dict[tuple[int, int], list[tuple[Service, int, Chain]]]:
        """Per identity the Services that lead to it, to which TCP ports of it, and as what."""
        found: defaultdict[tuple[int, int], list[tuple[Service, int, Chain]]] = defaultdict(list)
        by_namespace: defaultdict[str, list[tuple[int, int, Identity]]] = defaultdict(list)
        by_pod: dict[str, tuple[int, int]] = {}
        for number, workload in enumerate(self._snapshot.workloads):
            for position, identity in enumerate(workload.identities):
                if identity.host_network:
                    continue
                by_namespace[workload.namespace].append((number, position, identity))
                for pod in identity.pods:
                    by_pod[f"{workload.namespace}/{pod.name}"] = number, position
        for service in self._snapshot.services:
            if service.selector is None:
                for backend in service.backends:
                    for port in backend.ports:
                        if backend.pod in by_pod and port.protocol is Protocol.TCP:
                            where = by_pod[backend.pod]
                            found[where].append((service, port.port, chain_of(port)))
                continue
            for number, position, identity in by_namespace[service.namespace]:
                if not selects(service.selector, identity.labels):
                    continue
                for port in service.ports:
                    if port.protocol is Protocol.TCP:
                        for target in _targets(identity, port.target):
                            found[number, position].append((service, target, chain_of(port)))
        return dict(found)


def tcp_runs(traffic: Iterable[Traffic] | None, identities: Iterable[Identity]) -> Runs:
    """Return the TCP ports that traffic means at some pods; every one for None."""
    if traffic is None:
        return EVERY_PORT
    found: set[tuple[int, int]] = set()
    listed = tuple(identities)
    for part in traffic:
        match part:
            case PortRange(Protocol.TCP, first, last):
                found.add((max(first, 1), last))
            case NamedPort(name, protocol) if protocol in (None, Protocol.TCP):
                for identity in listed:
                    found |= {
                        (own.port, own.port)
                        for own in identity.ports
                        if own.name == name and own.protocol is Protocol.TCP and not own.init
                    }
            case _:
                pass
    return tuple(sorted(found))


def _targets(identity: Identity, target: int | str) -> list[int]:
    if isinstance(target, int):
        return [target]
    named = (
        own.port
        for own in identity.ports
        if own.name == target and own.protocol is Protocol.TCP and not own.init
    )
    return list(named)[:1]


def _edges(client: Membership, server: Membership, run: tuple[int, int]) -> set[int]:
    listed = (*client.outbound.listed, *server.inbound.listed)
    near = {port for first, last in listed for port in (first - 1, first, last, last + 1)}
    return {port for port in near if run[0] <= port <= run[1]}


def _alike(client: Membership, server: Membership) -> bool:
    return (client.data_plane in mesh.ISTIO) == (server.data_plane in mesh.ISTIO)
