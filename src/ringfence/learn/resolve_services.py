"""What stands behind a Service, and at which ports: policies never see the Service itself."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

import msgspec

from ringfence.learn.dependency_map import Port, ServiceName
from ringfence.learn.resolve_ports import Ports, behind_service, numbers
from ringfence.model.cluster import Protocol, Service, ServicePort
from ringfence.model.rule import PortRange, Traffic
from ringfence.model.snapshot import Snapshot
from ringfence.questions.destinations import Destinations
from ringfence.questions.naming import CLUSTER_DNS, Names


class Unresolved(Exception):  # noqa: N818 - becomes a problem of the map, with its line
    """A name or port that the cluster does not have, and what it might have meant."""

    def __init__(self, message: str, wanted: str = "", known: tuple[str, ...] = ()) -> None:
        """Keep the message, and what to look for the nearest name in."""
        super().__init__(message)
        self.message = message
        self.wanted = wanted
        self.known = known


class Behind(msgspec.Struct, frozen=True):
    """What stands behind a Service."""

    workloads: tuple[tuple[int, Ports], ...] = ()
    """Indices, with the ports at each."""
    addresses: tuple[tuple[str, Ports], ...] = ()
    """CIDRs of single addresses that no pod of the input has, with the ports at each."""
    domain: str = ""
    """Of an ExternalName Service that leads out of the cluster."""
    domain_ports: Ports | None = ()
    """None for all traffic."""


class Services:
    """The Services of one snapshot."""

    def __init__(self, snapshot: Snapshot, names: Names) -> None:
        """Index the Services by name.

        Args:
            snapshot: the cluster.
            names: what everything in it is called.
        """
        self._snapshot = snapshot
        self._destinations = Destinations(names)
        self._by_name = {(s.namespace, s.name): s for s in snapshot.services}

    def behind(self, name: ServiceName, ports: tuple[Port, ...] | None) -> Behind:
        """Return what stands behind a Service.

        Args:
            name: the Service.
            ports: those of the Service that are meant; all of them where empty or None.

        Raises:
            Unresolved: there is no such Service, no such port, or nothing behind it.
        """
        service = self._by_name.get((name.namespace, name.name))
        if service is None:
            known = tuple(found.ref for found in self._by_name.values())
            raise Unresolved(f"no Service `{name}` in the input", str(name), known)
        return self._behind(service, ports, ())

    def _behind(
        self, service: Service, ports: tuple[Port, ...] | None, seen: tuple[str, ...]
    ) -> Behind:
        if service.type == "ExternalName":
            return self._external_name(service, ports, seen)
        chosen = _chosen(service, ports)
        workloads: dict[int, dict[Traffic, None]] = defaultdict(dict)
        for port in chosen:
            for number in self._workloads(service):
                if traffic := behind_service(self._snapshot.workloads[number], port):
                    workloads[number][traffic] = None
        addresses: dict[str, dict[Traffic, None]] = defaultdict(dict)
        for backend in service.backends if service.selector is None else ():
            if backend.pod in self._by_pod:
                continue
            for offered in backend.ports:
                if any((offered.name, offered.protocol) == (p.name, p.protocol) for p in chosen):
                    single = str(ipaddress.ip_network(backend.address))
                    traffic = PortRange(offered.protocol, offered.port, offered.port)
                    addresses[single][traffic] = None
        if not workloads and not addresses:
            targets = ", ".join(str(port.target) for port in chosen) or "any port"
            raise Unresolved(
                f"`{service.ref}` leads nowhere: the input has nothing behind it at {targets}"
            )
        return Behind(
            workloads=tuple((n, tuple(found)) for n, found in sorted(workloads.items())),
            addresses=tuple((a, tuple(found)) for a, found in sorted(addresses.items())),
        )

    def _external_name(
        self, service: Service, ports: tuple[Port, ...] | None, seen: tuple[str, ...]
    ) -> Behind:
        name = service.external_name.removesuffix(".").lower()
        if inner := CLUSTER_DNS.fullmatch(name):
            behind = self._by_name.get((inner[2], inner[1]))
            if behind is None or behind.ref in seen:
                raise Unresolved(
                    f"`{service.ref}` stands for `{name}`, which the input does not have"
                )
            return self._behind(behind, ports, (*seen, service.ref))
        if ports is None:
            return Behind(domain=name, domain_ports=None)
        own = tuple(PortRange(port.protocol, port.port, port.port) for port in service.ports)
        wanted: Ports = numbers(ports) if ports else own
        if not wanted:
            raise Unresolved(f"`{service.ref}` names no port: list the ports by number")
        return Behind(domain=name, domain_ports=wanted)

    def _workloads(self, service: Service) -> Iterator[int]:
        if service.selector is not None:
            found = {w for w, _ in self._destinations.selected(service.namespace, service.selector)}
        else:
            found = {self._by_pod[b.pod] for b in service.backends if b.pod in self._by_pod}
        yield from sorted(found)

    @cached_property
    def _by_pod(self) -> dict[str, int]:
        return {
            f"{workload.namespace}/{pod.name}": number
            for number, workload in enumerate(self._snapshot.workloads)
            for identity in workload.identities
            for pod in identity.pods
        }


def _chosen(service: Service, ports: tuple[Port, ...] | None) -> list[ServicePort]:
    """Return the Service's ports that are meant."""
    if not ports:
        return list(service.ports)
    chosen: dict[ServicePort, None] = {}
    for wanted in ports:
        fitting = [port for port in service.ports if _means(wanted, port)]
        if not fitting:
            offered = ", ".join(_offered(port) for port in service.ports) or "none"
            raise Unresolved(f"`{service.ref}` has no port `{wanted}`; its ports: {offered}")
        chosen |= dict.fromkeys(fitting)
    return list(chosen)


def _offered(port: ServicePort) -> str:
    """Return a Service's port as messages list it: `80/TCP (http)`."""
    return f"{port.port}/{port.protocol.value}" + (f" ({port.name})" if port.name else "")


def _means(wanted: Port, offered: ServicePort) -> bool:
    if wanted.name:
        return wanted.name == offered.name and wanted.protocol in (None, offered.protocol)
    inside = wanted.first <= offered.port <= wanted.last
    return inside and (wanted.protocol or Protocol.TCP) is offered.protocol
