"""Which Services lead to which pods of a mesh, at which ports, and as what proxies read these."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from ringfence.engine import bits
from ringfence.engine.universe import Universe
from ringfence.model.cluster import Protocol, Service, ServicePort
from ringfence.model.rule import Chain
from ringfence.model.tiers import MESH_EGRESS

_HTTP: Final = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
_TCP: Final = frozenset({"tcp", "tls", "https", "mongo", "mysql", "redis", "hbone"})
_STANDARD: Final = {
    "kubernetes.io/h2c": Chain.HTTP,
    "kubernetes.io/ws": Chain.HTTP,
    "kubernetes.io/wss": Chain.TCP,
}
_GRPC_WEB: Final = "grpc-web"
_SERVER_FIRST: Final = frozenset({25, 53, 3306, 27017})
"""Ports of which Istio does not wait for the client to speak where nothing names a protocol.

Source: Istio `pkg/config/kube/conversion.go` wellKnownPorts."""


def chain_of(port: ServicePort) -> Chain:
    """Return as what proxies read a port of a Service.

    Source: Istio `pkg/config/kube/conversion.go` ConvertProtocol; `pkg/config/protocol/instance.go`
    Parse, IsHTTP.
    """
    name = (port.app_protocol or port.name).lower()
    if port.app_protocol in _STANDARD:
        return _STANDARD[port.app_protocol]
    said = _GRPC_WEB if name.startswith(_GRPC_WEB) else name.partition("-")[0]
    if said in _HTTP:
        return Chain.HTTP
    if said in _TCP or port.port in _SERVER_FIRST:
        return Chain.TCP
    return Chain.DETECTED


class Chains:
    """The ports of the members of a mesh, and of whom they call, as Services have them."""

    def __init__(self, universe: Universe) -> None:
        """Find which Services lead to which pods."""
        self._universe = universe
        self.leading: dict[int, list[tuple[int, ServicePort, int]]] = defaultdict(list)
        """Per identity of a mesh, and of any where proxies judge what they send: the
        Services that lead to it, each as its number, the port of it, and the port of the pod."""
        self._by_service: dict[int, dict[tuple[int, int], ServicePort]] = defaultdict(dict)
        snapshot = universe.snapshot
        limited = any(policy.tier == MESH_EGRESS for policy in snapshot.policies)
        self._called = universe.networked if limited else universe.meshed
        """The identities of which it matters which Services lead to them."""
        services = snapshot.services if universe.meshed else ()
        for number, service in enumerate(services):
            for element, port, target in self._led(service):
                self.leading[element].append((number, port, target))

    def _led(self, service: Service) -> Iterator[tuple[int, ServicePort, int]]:
        """Yield the identities that a Service leads to, at which of its ports, to which of theirs.

        Source: Kubernetes `pkg/controller/endpointslice`; `pkg/api/v1/pod/util.go` FindPort.
        """
        universe = self._universe
        if service.selector is None:
            yield from self._listed(service)
            return
        ported = [port for port in service.ports if port.protocol is Protocol.TCP]
        behind = universe.pods.behind(service.namespace, service.selector) & self._called
        for element in bits.members(behind) if ported else ():
            for port in ported:
                for target in self._targets(element, port):
                    yield element, port, target

    def _targets(self, element: int, port: ServicePort) -> list[int]:
        if isinstance(port.target, int):
            return [port.target]
        return [
            declared.port
            for declared in self._universe.identity(element).ports
            if declared.name == port.target
            and declared.protocol is Protocol.TCP
            and not declared.init
        ][:1]

    def _listed(self, service: Service) -> Iterator[tuple[int, ServicePort, int]]:
        """Yield the same for a Service without a selector, by what its EndpointSlices name."""
        for backend in service.backends:
            if backend.pod not in self._named:
                continue
            for port in backend.ports:
                if port.protocol is Protocol.TCP:
                    yield self._named[backend.pod], port, port.port

    @cached_property
    def _named(self) -> dict[str, int]:
        """Return the members by the names of their pods."""
        universe = self._universe
        return {
            f"{universe.snapshot.workloads[universe.identities[e][0]].namespace}/{pod.name}": e
            for e in bits.members(self._called)
            for pod in universe.identity(e).pods
        }

    def of(self, element: int) -> dict[int, frozenset[Chain]]:
        """Return as what a destination's ports are read that Services name.

        Several where they disagree. All other ports are detected.

        Args:
            element: an identity, or a Service: of it what its own ports lead to.
        """
        universe = self._universe
        found: dict[int, set[Chain]] = defaultdict(set)
        if element < universe.first_service:
            for _, port, target in self.leading.get(element, ()):
                found[target].add(chain_of(port))
        else:
            for target, port in self.led_by(element - universe.first_service):
                found[target].add(chain_of(port))
        return {target: frozenset(said) for target, said in sorted(found.items())}

    def led_by(self, number: int) -> list[tuple[int, ServicePort]]:
        """Return the ports of pods that the ports of a Service lead to."""
        if not self._by_service:
            for listed in self.leading.values():
                for service, port, target in listed:
                    self._by_service[service].setdefault((target, port.port), port)
        known = self._by_service.get(number)
        if known is not None:
            return [(target, port) for (target, _), port in sorted(known.items())]
        ports = self._universe.snapshot.services[number].ports
        return [
            (port.target, port)
            for port in ports
            if isinstance(port.target, int) and port.protocol is Protocol.TCP
        ]
