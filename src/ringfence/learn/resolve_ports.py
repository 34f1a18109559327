"""What a dependency's ports mean at one workload, as policies see them."""

from collections.abc import Iterable

from ringfence.learn.dependency_map import Port
from ringfence.learn.stable_selector import on_host_network
from ringfence.model.cluster import ContainerPort, Protocol, ServicePort, Workload
from ringfence.model.rule import NamedPort, PortRange, Traffic

Ports = tuple[Traffic, ...]


def declared(workload: Workload) -> list[ContainerPort]:
    """Return the ports that a workload's containers declare, init containers excepted."""
    return sorted({p for identity in workload.identities for p in identity.ports if not p.init})


def fits(port: Port, own: ContainerPort) -> bool:
    """Return whether a port given by its name means a container port."""
    return own.name == port.name and port.protocol in (None, own.protocol)


def numbers(ports: Iterable[Port]) -> Ports:
    """Return the ports given by number; names are left out."""
    return tuple(
        PortRange(port.protocol or Protocol.TCP, port.first, port.last)
        for port in ports
        if not port.name
    )


def at_workload(workload: Workload, ports: tuple[Port, ...] | None) -> Ports | None:
    """Return what ports mean at a workload; None for all traffic."""
    if ports is None:
        return None
    found: list[Traffic] = []
    for port in ports:
        if not port.name:
            found += numbers((port,))
            continue
        found += [_by_name(workload, own) for own in declared(workload) if fits(port, own)]
    return tuple(dict.fromkeys(found))


def behind_service(workload: Workload, port: ServicePort) -> Traffic | None:
    """Return the traffic at a workload behind a Service's port; None if it has no such port."""
    if isinstance(port.target, int):
        return PortRange(port.protocol, port.target, port.target)
    for own in declared(workload):
        if own.name == port.target and own.protocol is port.protocol:
            return _by_name(workload, own)
    return None


def _by_name(workload: Workload, own: ContainerPort) -> Traffic:
    """Return a named container port: by number where no policy can resolve the name."""
    if on_host_network(workload):
        return PortRange(own.protocol, own.port, own.port)
    return NamedPort(own.name, own.protocol)
