"""How connections are carried through a mesh, read literally from memberships and Services.

Written apart from `ringfence.learn.mesh_ways` and from the engine: what one of them misreads, the
proof shows.
"""

from collections import defaultdict
from typing import Final, NamedTuple

from ringfence.engine.labels import selects
from ringfence.learn.wishes import ISTIO
from ringfence.model.cluster import Identity, Protocol, ServicePort
from ringfence.model.mesh import DataPlane, IstioConfig, LinkerdConfig, Membership, Ports
from ringfence.model.snapshot import Snapshot
from ringfence.prove import port_sets
from ringfence.prove.elements import Element, PodElement

TCP: Final = port_sets.ports(Protocol.TCP)
_TCP_NAMES: Final = ("tcp", "tls", "https", "mongo", "mysql", "redis", "hbone")
_HTTP_NAMES: Final = ("http", "http2", "http_proxy", "grpc")
_WAITS_NOT: Final = (25, 53, 3306, 27017)


class Carried(NamedTuple):
    """The TCP ports of a destination by how they can be reached from a source."""

    untaken: int = port_sets.EVERYTHING
    """No proxy of the destination sees it; everything that is not TCP, too."""
    plain: int = port_sets.NOTHING
    mtls: int = port_sets.NOTHING
    tunnelled: bool = False
    """Whether what comes by mTLS has another port on the wire."""


class Carriage:
    """The ways between the elements of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Find which Services lead where."""
        self._snapshot = snapshot
        self._istio = snapshot.mesh.istio or IstioConfig()
        self._linkerd = snapshot.mesh.linkerd or LinkerdConfig()
        self._led: defaultdict[PodElement, dict[int, set[str]]] = defaultdict(dict)
        """Per identity the ports that Services lead to, and as what they are read."""
        for service in snapshot.services:
            for number, workload in enumerate(snapshot.workloads):
                if workload.namespace != service.namespace:
                    continue
                for position, identity in enumerate(workload.identities):
                    if identity.host_network:
                        continue
                    ports: tuple[ServicePort, ...] = service.ports
                    if service.selector is None:
                        own = {f"{workload.namespace}/{pod.name}" for pod in identity.pods}
                        ports = tuple(p for b in service.backends if b.pod in own for p in b.ports)
                    elif not selects(service.selector, identity.labels):
                        continue
                    for port in ports:
                        for target in _leads_to(port, identity):
                            led = self._led[PodElement(number, position)]
                            led.setdefault(target, set()).add(_read_as(port))

    def identity(self, element: Element) -> Identity | None:
        """Return the identity that an element stands for; None for what is no pod."""
        if not isinstance(element, PodElement):
            return None
        return self._snapshot.workloads[element.workload].identities[element.identity]

    def member(self, element: Element) -> Membership | None:
        """Return how an element takes part in a mesh."""
        identity = self.identity(element)
        return identity.mesh if identity else None

    def of(self, source: Element, destination: Element) -> Carried:
        """Return how a source reaches the ports of a destination."""
        server = self.member(destination)
        if server is None:
            return Carried()
        taken = _held(server.inbound)
        client = self.member(source)
        if client is None or (_is_istio(client) != _is_istio(server)):
            return Carried(port_sets.EVERYTHING & ~taken, taken)
        both = taken & _held(client.outbound)
        plain = taken & ~both
        planes = {client.data_plane, server.data_plane}
        if DataPlane.LINKERD in planes:
            tunnelled = self._linkerd.transport_header
        else:
            tunnelled = DataPlane.AMBIENT in planes or client.waypoint
        if client.data_plane is DataPlane.SIDECAR and not client.waypoint:
            # By the pod's own address a sidecar sends what it gets as it is.
            plain = taken
            both &= self._led_ports(destination) if self._istio.auto_mtls else port_sets.NOTHING
        return Carried(port_sets.EVERYTHING & ~taken, plain, both, tunnelled)

    def unread(self, number: int, mesh: str) -> int:
        """Return the ports of a workload at which what is to judge them reads no HTTP."""
        if mesh != ISTIO:
            return port_sets.NOTHING
        found = port_sets.NOTHING
        for position, identity in enumerate(self._snapshot.workloads[number].identities):
            if identity.mesh and identity.mesh.data_plane is DataPlane.AMBIENT:
                return TCP
            for port, said in self._led.get(PodElement(number, position), {}).items():
                if len(said) > 1 or said == {"tcp"}:
                    found |= port_sets.ports(Protocol.TCP, port, port)
        return found

    def known(self, number: int) -> int:
        """Return the TCP ports that a workload declares, or that Services lead to."""
        found = port_sets.NOTHING
        for position, identity in enumerate(self._snapshot.workloads[number].identities):
            found |= self._led_ports(PodElement(number, position))
            for own in identity.ports:
                if own.protocol is Protocol.TCP and not own.init:
                    found |= port_sets.ports(Protocol.TCP, own.port, own.port)
        return found

    def _led_ports(self, element: Element) -> int:
        found = port_sets.NOTHING
        if isinstance(element, PodElement):
            for port in self._led.get(element, ()):
                found |= port_sets.ports(Protocol.TCP, port, port)
        return found


def _is_istio(member: Membership) -> bool:
    return member.data_plane is not DataPlane.LINKERD


def _held(ports: Ports) -> int:
    listed = port_sets.NOTHING
    for first, last in ports.listed:
        listed |= port_sets.ports(Protocol.TCP, first, last)
    return TCP & ~listed if ports.all_but else listed


def _leads_to(port: ServicePort, identity: Identity) -> list[int]:
    if port.protocol is not Protocol.TCP:
        return []
    if isinstance(port.target, int):
        return [port.target]
    named = [
        own.port
        for own in identity.ports
        if own.name == port.target and own.protocol is Protocol.TCP and not own.init
    ]
    return named[:1]


def _read_as(port: ServicePort) -> str:
    """Return `http`, `tcp` or `any`: Istio goes by `appProtocol`, else by the name's first part.

    Source: istio.io "Protocol selection"; Istio `pkg/config/kube/conversion.go`.
    """
    standard = {"kubernetes.io/h2c": "http", "kubernetes.io/ws": "http", "kubernetes.io/wss": "tcp"}
    if port.app_protocol in standard:
        return standard[port.app_protocol]
    said = (port.app_protocol or port.name).lower()
    first = said.split("-")[0]
    if first in _HTTP_NAMES or said.startswith("grpc-web"):
        return "http"
    if first in _TCP_NAMES or port.port in _WAITS_NOT:
        return "tcp"
    return "any"
