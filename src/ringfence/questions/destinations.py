"""From a name and a port to where a connection goes: Services stand for their backends.

Policies never see a Service: the kernel has rewritten its address and port before.

Source: kubernetes.io "Virtual IPs and Service Proxies".
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache, cached_property
from typing import Final

import msgspec

from ringfence.engine.labels import selects
from ringfence.errors import UnknownNameError, UsageError
from ringfence.model.cluster import Identity, Protocol, Service, ServicePort, Workload
from ringfence.model.connection import End, PodEnd
from ringfence.model.profile import Cni
from ringfence.model.selector import LabelSelector
from ringfence.questions.naming import CLUSTER_DNS, Names

PROXY_PORTS: Final = frozenset((4143, 4190, 4191, 15020, 15021, 15090))
"""What injected containers declare for themselves.

Source: Istio `manifests/charts/istio-control/istio-discovery/files/injection-template.yaml`;
linkerd2 `charts/partials/templates/_proxy.tpl`.
"""
OWN_ADDRESS: Final = "its own address"
"""What a way to a workload is called that is none of a Service."""


class Target(msgspec.Struct, frozen=True):
    """A destination with the port that the kernel will see, Services already resolved."""

    end: End
    label: str
    port: int | None
    protocol: Protocol
    service: int | None = None
    """The Service by whose address it is reached, as `Connection.service` has it."""
    through: str = ""
    """Which of several ways to the same port this is: that Service's name and port, or
    `OWN_ADDRESS`; empty where there is but one, or it makes no difference."""


class Destinations:
    """Where connections to the names of one snapshot go."""

    def __init__(self, names: Names) -> None:
        """Index the Services.

        Args:
            names: what everything is called.
        """
        self._names = names
        self._snapshot = names.snapshot
        self._services = {(s.namespace, s.name): s for s in names.snapshot.services}
        self._numbers = {(s.namespace, s.name): n for n, s in enumerate(names.snapshot.services)}
        self.selected = cache(self._selected)
        self._services_before = cache(self._find_services_before)

    def targets(
        self, name: str, port: int | str | None, protocol: Protocol, near: str | None = None
    ) -> list[Target]:
        """Return the destinations that a name and port stand for, as the kernel sees them.

        Where a mesh is, the port of a workload stands for every way to it: proxies judge by the
        address that was called.

        Args:
            name: any name, Services included.
            port: a number or a port's name; None for ICMP.
            protocol: what the port is of.
            near: the namespace in which a Service without one is looked for first.

        Raises:
            UnknownNameError: nothing has that name, or no port there has that name.
            UsageError: a Service has no backends or no such port.
        """
        if service := self.service(name, near):
            return self._behind(service, port, protocol)
        found = []
        for named in self._names.ends(name):
            if isinstance(port, str):
                numbers = self._named_port(named.end, port, protocol)
                if not numbers:
                    raise UnknownNameError(f"`{name}` has no {protocol} port named `{port}`")
                for number in numbers:
                    found += self._ways(Target(named.end, named.label, number, protocol))
            else:
                found += self._ways(Target(named.end, named.label, port, protocol))
        return found

    def _ways(self, target: Target) -> list[Target]:
        """Return the ways to a port: by its own address, and by each Service that leads there."""
        end = target.end
        if not (self.meshed and isinstance(end, PodEnd) and target.protocol is Protocol.TCP):
            return [target]
        found = [
            msgspec.structs.replace(target, port=port, service=service, through=through)
            for port, service, through in self._services_before(end.workload, end.identity)
            if target.port in (port, None)
        ]
        if not found:
            return [target]
        return [msgspec.structs.replace(target, through=OWN_ADDRESS), *found]

    def _find_services_before(self, number: int, identity: int) -> list[tuple[int, int, str]]:
        """Return the TCP ports of pods that Services lead to: port, Service, and how it is told."""
        workload = self._snapshot.workloads[number]
        labels = workload.identities[identity].labels
        return [
            (port, self._numbers[service.namespace, service.name], f"{service.ref}:{offered.port}")
            for service in self._selecting.get(workload.namespace, ())
            if service.selector is not None and selects(service.selector, labels)
            for offered in service.ports
            if offered.protocol is Protocol.TCP
            for port in self._led_to(PodEnd(number, identity), offered)
        ]

    def served(self, end: PodEnd) -> frozenset[int]:
        """Return the TCP ports that pods are known to serve: declared, or led to by a Service."""
        identity = self._snapshot.workloads[end.workload].identities[end.identity]
        declared = (
            p.port
            for p in identity.ports
            if p.protocol is Protocol.TCP
            and not p.init
            and not (identity.mesh and p.port in PROXY_PORTS)
        )
        led_to = (port for port, _, _ in self._services_before(end.workload, end.identity))
        return frozenset((*declared, *led_to))

    def leading(self, end: PodEnd) -> list[tuple[int, int]]:
        """Return the TCP ports of pods that Services lead to, each with the Service's number."""
        found = self._services_before(end.workload, end.identity)
        return [(port, service) for port, service, _ in found]

    def _led_to(self, end: PodEnd, offered: ServicePort) -> list[int]:
        """Return the ports of a pod that a port of a Service leads to."""
        if isinstance(offered.target, int):
            return [offered.target]
        return self._named_port(end, offered.target, offered.protocol)

    @cached_property
    def meshed(self) -> bool:
        """Whether any pod takes part in a mesh."""
        return any(
            identity.mesh is not None
            for workload in self._snapshot.workloads
            for identity in workload.identities
        )

    @cached_property
    def _selecting(self) -> dict[str, list[Service]]:
        """The Services with a selector, by namespace."""
        found: dict[str, list[Service]] = defaultdict(list)
        for service in self._snapshot.services:
            if service.selector is not None:
                found[service.namespace].append(service)
        return found

    def mistaken(self, target: Target) -> Service | None:
        """Return the Service whose port was named as if it were the pod's own; None if none was.

        That is so where the pod declares no such port, and a Service before it has one that leads
        to another.
        """
        if not isinstance(target.end, PodEnd) or target.port is None:
            return None
        identity = self._snapshot.workloads[target.end.workload].identities[target.end.identity]
        asked = (target.port, target.protocol)
        if any((port.port, port.protocol) == asked for port in identity.ports):
            return None
        for service in self._offering.get(asked, ()):
            if service.selector is not None and selects(service.selector, identity.labels):
                namespace = self._snapshot.workloads[target.end.workload].namespace
                if service.namespace == namespace:
                    return service
        return None

    @cached_property
    def _offering(self) -> dict[tuple[int, Protocol], list[Service]]:
        """The Services that have a port which leads to another number."""
        found: dict[tuple[int, Protocol], list[Service]] = defaultdict(list)
        for service in self._snapshot.services:
            for port in service.ports:
                if port.target != port.port:
                    found[port.port, port.protocol].append(service)
        return found

    def service(self, name: str, near: str | None) -> Service | None:
        """Return the Service that a name stands for; None if it stands for something else.

        Raises:
            UnknownNameError: it is written as a Service's, and none has it.
            UsageError: it is ambiguous.
        """
        if matched := CLUSTER_DNS.fullmatch(name.lower()):
            key = (matched[2], matched[1])
            if key not in self._services:
                raise UnknownNameError(f"no Service `{key[0]}/{key[1]}` in the input")
            return self._services[key]
        if not name.startswith("svc/"):
            return self._by_cluster_ip.get(name)
        parts = name.split("/")[1:]
        if len(parts) == 2:
            service = self._services.get((parts[0], parts[1]))
        else:
            service = self._services.get((near or self._names.namespace or "default", parts[0]))
            same = [s for (_, n), s in self._services.items() if n == parts[0]]
            if service is None and len(same) == 1:
                service = same[0]
            elif service is None and same:
                raise UsageError(f"`{name}` is ambiguous: {', '.join(f'`{s.ref}`' for s in same)}")
        if service is None:
            raise self._names.unknown(name)
        return service

    @cached_property
    def _by_cluster_ip(self) -> dict[str, Service]:
        return {
            address: service
            for service in self._snapshot.services
            for address in (*service.cluster_ips, *service.external_ips)
            if address != "None"
        }

    def _behind(self, service: Service, port: int | str | None, protocol: Protocol) -> list[Target]:
        """Return the backends of a Service and the port that each is reached at."""
        if service.type == "ExternalName":
            return self.targets(service.external_name, port, protocol)
        fitting = [
            p
            for p in service.ports
            if p.protocol is protocol and (port is None or port in (p.port, p.name))
        ]
        if not fitting:
            offered = ", ".join(f"{p.port}/{p.protocol}" for p in service.ports) or "none"
            raise UsageError(
                f"`{service.ref}` has no {protocol} port `{port}`; its ports: {offered}",
                service.location,
            )
        found = [target for p in fitting for target in self._backends(service, p)]
        if not found:
            raise UsageError(self._why_no_backends(service, fitting[0]), service.location)
        return found

    def _backends(self, service: Service, port: ServicePort) -> Iterable[Target]:
        number = self._numbers[service.namespace, service.name]
        if service.selector is None:
            for backend in service.backends:
                named = self._names.at(backend.address)
                for offered in backend.ports:
                    if offered.name == port.name and offered.protocol is port.protocol:
                        yield Target(named.end, named.label, offered.port, port.protocol, number)
            return
        for w, i in self.selected(service.namespace, service.selector):
            label = self._names.identity_label(w, i)
            for led_to in self._led_to(PodEnd(w, i), port):
                yield Target(PodEnd(w, i), label, led_to, port.protocol, number)

    def _why_no_backends(self, service: Service, port: ServicePort) -> str:
        if service.selector is not None and self.selected(service.namespace, service.selector):
            return (
                f"`{service.ref}` has targetPort `{port.target}`, "
                "which none of the pods that it selects declares"
            )
        return f"`{service.ref}` selects no workload of the input"

    def _selected(self, namespace: str, selector: LabelSelector) -> tuple[tuple[int, int], ...]:
        """Return (workload, identity) of the pods that a Service's selector selects."""
        return tuple(
            (w, i)
            for w, workload in self._by_namespace[namespace]
            for i, identity in enumerate(workload.identities)
            if selects(selector, identity.labels)
        )

    @cached_property
    def _by_namespace(self) -> dict[str, list[tuple[int, Workload]]]:
        found: dict[str, list[tuple[int, Workload]]] = defaultdict(list)
        for number, workload in enumerate(self._snapshot.workloads):
            found[workload.namespace].append((number, workload))
        return found

    def _named_port(self, end: End, name: str, protocol: Protocol) -> list[int]:
        if not isinstance(end, PodEnd):
            return []
        identity: Identity = self._snapshot.workloads[end.workload].identities[end.identity]
        with_init = self._snapshot.profile.cni is Cni.CALICO
        return sorted(
            {
                p.port
                for p in identity.ports
                if p.name == name and p.protocol is protocol and (with_init or not p.init)
            }
        )
