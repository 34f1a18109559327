"""What a Service means in a dependency map, read literally from the manifests."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from ringfence.engine.labels import selects
from ringfence.learn.dependency_map import Port, ServiceName
from ringfence.model.cluster import Protocol, Service, ServicePort
from ringfence.model.outside import AddressRange
from ringfence.model.snapshot import Snapshot
from ringfence.prove.elements import single
from ringfence.questions.naming import CLUSTER_DNS


class Backends(NamedTuple):
    """What stands behind one port of a Service: workloads, or addresses that are no pod's."""

    numbers: frozenset[int]
    addresses: tuple[AddressRange, ...]
    protocol: Protocol
    target: int | str
    """A container port's number or name."""


class Services:
    """The Services of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Index the Services by name."""
        self._snapshot = snapshot
        self._by_name = {(s.namespace, s.name): s for s in snapshot.services}

    def behind(self, name: ServiceName, ports: tuple[Port, ...] | None) -> Iterator[Backends]:
        """Yield what stands behind those ports of a Service that are meant; all if none is."""
        service = self._inside(name)
        if service is None:
            return
        wanted = [port for port in service.ports if _is_wanted(port, ports)]
        if service.selector is not None:
            numbers = frozenset(
                number
                for number, w in enumerate(self._snapshot.workloads)
                if w.namespace == service.namespace
                and any(selects(service.selector, identity.labels) for identity in w.identities)
            )
            for port in wanted:
                yield Backends(numbers, (), port.protocol, port.target)
            return
        for backend, port in product(service.backends, wanted):
            for offered in backend.ports:
                if (offered.name, offered.protocol) == (port.name, port.protocol):
                    numbers = self._of_pod(backend.pod)
                    addresses = () if numbers else (single(backend.address),)
                    yield Backends(numbers, addresses, offered.protocol, offered.port)

    def outer(self, name: ServiceName) -> str:
        """Return the domain name that a Service stands for outside the cluster; empty if none."""
        service: Service | None = self._by_name.get((name.namespace, name.name))
        for _ in self._by_name:
            if service is None or service.type != "ExternalName":
                return ""
            outer = service.external_name.removesuffix(".").lower()
            inner = CLUSTER_DNS.fullmatch(outer)
            if inner is None:
                return outer
            service = self._by_name.get((inner[2], inner[1]))
        return ""

    def outer_ports(
        self, name: ServiceName, ports: tuple[Port, ...] | None
    ) -> tuple[Port, ...] | None:
        """Return the ports meant of a Service outside: those listed, else the Service's own."""
        if ports != ():
            return ports
        service = self._by_name[name.namespace, name.name]
        return tuple(
            Port(first=port.port, last=port.port, protocol=port.protocol) for port in service.ports
        )

    def _inside(self, name: ServiceName) -> Service | None:
        """Return the Service meant; None for one that leads out of the cluster."""
        service = self._by_name.get((name.namespace, name.name))
        for _ in self._by_name:
            if service is None or service.type != "ExternalName":
                return service
            inner = CLUSTER_DNS.fullmatch(service.external_name.removesuffix(".").lower())
            service = self._by_name.get((inner[2], inner[1])) if inner else None
        return None

    def _of_pod(self, pod: str) -> frozenset[int]:
        return frozenset(
            number
            for number, w in enumerate(self._snapshot.workloads)
            if any(f"{w.namespace}/{p.name}" == pod for i in w.identities for p in i.pods)
        )


def _is_wanted(port: ServicePort, ports: tuple[Port, ...] | None) -> bool:
    """Return whether a Service's port is among those that a dependency lists, if it lists any."""
    return not ports or any(
        wanted.name == port.name and wanted.protocol in (None, port.protocol)
        if wanted.name
        else wanted.first <= port.port <= wanted.last
        and (wanted.protocol or Protocol.TCP) is port.protocol
        for wanted in ports
    )
