"""From the names that people use to the ends that policies judge.

A workload is `namespace/name`, or `namespace/Kind/name` where that is ambiguous; a pod
`namespace/pod`; a Service `svc/namespace/name`; a node `node/name`; the outside an address, a
CIDR, a range `first-last`, or a domain name.
"""

import difflib
import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache, cached_property

import msgspec

from ringfence.engine.addresses import AddressSpace, parse, text
from ringfence.engine.peers import api_server
from ringfence.errors import UnknownNameError, UsageError
from ringfence.model.cluster import Identity, Protocol, Service, ServicePort, Workload
from ringfence.model.connection import AddressEnd, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.profile import Cni
from ringfence.model.rule import IpPeer, leaves
from ringfence.model.selector import LabelSelector, Operator
from ringfence.model.snapshot import Snapshot

DOMAIN = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?\.?")
CLUSTER_DNS = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.cluster\.local)?\.?")


class Named(msgspec.Struct, frozen=True):
    """One end that a name stands for."""

    end: End
    label: str
    """What to call it where a name stands for several."""


class Target(msgspec.Struct, frozen=True):
    """A destination with the port that the kernel will see, Services already resolved."""

    end: End
    label: str
    port: int | None
    protocol: Protocol


class Names:
    """The names of one snapshot."""

    def __init__(self, snapshot: Snapshot, namespace: str | None = None) -> None:
        """Index the workloads; pods and addresses are indexed when first asked for.

        Args:
            snapshot: the cluster.
            namespace: where a bare name is looked for first.
        """
        self.snapshot = snapshot
        self._namespace = namespace
        self._by_ref: dict[str, list[int]] = defaultdict(list)
        self._by_kind: dict[str, int] = {}
        for number, workload in enumerate(snapshot.workloads):
            self._by_ref[workload.ref].append(number)
            self._by_kind[f"{workload.namespace}/{workload.kind}/{workload.name}"] = number
        self._services = {(s.namespace, s.name): s for s in snapshot.services}
        self._resolved: dict[str, tuple[Named, ...]] = {}
        self.selected = cache(self._selected)

    def workload_name(self, number: int) -> str:
        """Return the shortest unambiguous name of a workload."""
        workload = self.snapshot.workloads[number]
        if len(self._by_ref[workload.ref]) == 1:
            return workload.ref
        return f"{workload.namespace}/{workload.kind}/{workload.name}"

    def identity_label(self, number: int, identity: int) -> str:
        """Return the name of a workload's identity: with its pods where there are several."""
        workload = self.snapshot.workloads[number]
        name = self.workload_name(number)
        if len(workload.identities) == 1:
            return name
        pods = [pod.name for pod in workload.identities[identity].pods]
        shown = ", ".join(pods[:3]) + (f", … {len(pods)} pods" if len(pods) > 3 else "")
        return f"{name}[{shown or identity}]"

    # -- ends --------------------------------------------------------------------------------

    def ends(self, name: str) -> tuple[Named, ...]:
        """Return the ends that a name stands for, Services excepted.

        Raises:
            UnknownNameError: nothing has that name.
            UsageError: the name is ambiguous, or cannot be one.
        """
        found = self._resolved.get(name)
        if found is None:
            found = self._resolved[name] = tuple(self._find(name))
        return found

    def _find(self, name: str) -> Iterable[Named]:
        if name in self._by_kind:
            return self._identities(self._by_kind[name])
        if numbers := self._by_ref.get(name):
            if len(numbers) > 1:
                choices = ", ".join(f"`{self.workload_name(n)}`" for n in numbers)
                raise UsageError(f"`{name}` is ambiguous: {choices}")
            return self._identities(numbers[0])
        if name.startswith("node/"):
            return [self._node(name.removeprefix("node/"))]
        if outside := self._outside(name):
            return outside
        if name in self._pods:
            return [Named(self._pods[name], name)]
        if "/" not in name and not DOMAIN.fullmatch(name.lower()):
            return self._bare(name)
        if DOMAIN.fullmatch(name.lower()) and "/" not in name:
            lowered = name.lower().removesuffix(".")
            return [Named(DomainEnd(lowered), lowered)]
        raise self._unknown(name)

    def _identities(self, number: int) -> list[Named]:
        workload = self.snapshot.workloads[number]
        return [
            Named(PodEnd(number, i), self.identity_label(number, i))
            for i in range(len(workload.identities))
        ]

    def _node(self, name: str) -> Named:
        for number, node in enumerate(self.snapshot.nodes):
            if node.name == name:
                return Named(NodeEnd(number), f"node/{name}")
        raise UnknownNameError(f"no node `{name}` in the input")

    def _bare(self, name: str) -> list[Named]:
        if self._namespace and (numbers := self._by_ref.get(f"{self._namespace}/{name}")):
            return self._identities(numbers[0])
        matching = [n for n, w in enumerate(self.snapshot.workloads) if w.name == name]
        if len(matching) == 1:
            return self._identities(matching[0])
        if matching:
            choices = ", ".join(f"`{self.workload_name(n)}`" for n in matching)
            raise UsageError(f"`{name}` is ambiguous: {choices}")
        raise self._unknown(name)

    def _unknown(self, name: str) -> UnknownNameError:
        known = [*self._by_ref, *(s.ref for s in self.snapshot.services)]
        near = difflib.get_close_matches(name, known, 3)
        if not near:
            tail = name.rsplit("/", 1)[-1]
            near = [ref for ref in known if ref.rsplit("/", 1)[-1] == tail][:3]
        hint = f"; did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else ""
        return UnknownNameError(f"no workload, pod or Service `{name}` in the input{hint}")

    @cached_property
    def _pods(self) -> dict[str, PodEnd]:
        return {
            f"{workload.namespace}/{pod.name}": PodEnd(w, i, p)
            for w, workload in enumerate(self.snapshot.workloads)
            for i, identity in enumerate(workload.identities)
            for p, pod in enumerate(identity.pods)
        }

    # -- addresses ---------------------------------------------------------------------------

    @cached_property
    def _by_address(self) -> dict[str, Named]:
        """What has an address: nodes first, then live pods with a network of their own."""
        found: dict[str, Named] = {}
        for n, node in enumerate(self.snapshot.nodes):
            for address in node.addresses:
                found[address] = Named(NodeEnd(n, address), f"node/{node.name}")
        for w, workload in enumerate(self.snapshot.workloads):
            for i, identity in enumerate(workload.identities):
                for p, pod in enumerate(identity.pods):
                    for address in pod.addresses:
                        label = f"{workload.namespace}/{pod.name}"
                        found.setdefault(address, Named(PodEnd(w, i, p), label))
        return found

    @cached_property
    def _space(self) -> AddressSpace:
        snapshot = self.snapshot
        peers = (peer for p in snapshot.policies for rule in p.rules for peer in rule.peers or ())
        blocks = {leaf: None for peer in peers for leaf in leaves(peer) if isinstance(leaf, IpPeer)}
        blocks |= {IpPeer(net): None for each in snapshot.network_sets for net in each.nets}
        blocks |= {IpPeer(f"{a}/{128 if ':' in a else 32}"): None for a in api_server(snapshot)}
        return AddressSpace(blocks)

    def _outside(self, name: str) -> list[Named] | None:
        """Return the ends that an address, CIDR or range stands for; None if it is none of them."""
        try:
            if "/" in name:
                network = ipaddress.ip_network(name, strict=False)
                return self._range(
                    network.version, int(network.network_address), int(network.broadcast_address)
                )
            if "-" in name:
                first, last = (parse(part) for part in name.split("-", 1))
                if first[0] != last[0] or first[1] > last[1]:
                    raise UsageError(f"`{name}` is not a range of addresses")
                return self._range(first[0], first[1], last[1])
            address = str(ipaddress.ip_address(name))
        except ValueError:
            return None
        return [self._by_address.get(address) or Named(AddressEnd(address), address)]

    def _range(self, family: int, first: int, last: int) -> list[Named]:
        make = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
        found = []
        for cell in range(
            self._space.cell_of(family, first), self._space.cell_of(family, last) + 1
        ):
            low, high = self._space.span_of(cell)
            low, high = max(low, first), min(high, last)
            found.append(Named(AddressEnd(str(make(low))), text(family, low, high)))
        return found

    # -- destinations ------------------------------------------------------------------------

    def targets(
        self, name: str, port: int | str | None, protocol: Protocol, near: str | None = None
    ) -> list[Target]:
        """Return the destinations that a name and port stand for, as the kernel sees them.

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
        for named in self.ends(name):
            if isinstance(port, str):
                numbers = self._named_port(named.end, port, protocol)
                if not numbers:
                    raise UnknownNameError(f"`{name}` has no {protocol} port named `{port}`")
                found += [Target(named.end, named.label, n, protocol) for n in numbers]
            else:
                found.append(Target(named.end, named.label, port, protocol))
        return found

    def mistaken(self, target: Target) -> Service | None:
        """Return the Service whose port was named as if it were the pod's own; None if none was.

        That is so where the pod declares no such port, and a Service before it has one that leads
        to another.
        """
        if not isinstance(target.end, PodEnd) or target.port is None:
            return None
        identity = self.snapshot.workloads[target.end.workload].identities[target.end.identity]
        asked = (target.port, target.protocol)
        if any((port.port, port.protocol) == asked for port in identity.ports):
            return None
        for service in self._offering.get(asked, ()):
            if service.selector is not None and selects(service.selector, identity.labels):
                namespace = self.snapshot.workloads[target.end.workload].namespace
                if service.namespace == namespace:
                    return service
        return None

    @cached_property
    def _offering(self) -> dict[tuple[int, Protocol], list[Service]]:
        """The Services that have a port which leads to another number."""
        found: dict[tuple[int, Protocol], list[Service]] = defaultdict(list)
        for service in self.snapshot.services:
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
            service = self._services.get((near or self._namespace or "default", parts[0]))
            same = [s for (_, n), s in self._services.items() if n == parts[0]]
            if service is None and len(same) == 1:
                service = same[0]
            elif service is None and same:
                raise UsageError(f"`{name}` is ambiguous: {', '.join(f'`{s.ref}`' for s in same)}")
        if service is None:
            raise self._unknown(name)
        return service

    @cached_property
    def _by_cluster_ip(self) -> dict[str, Service]:
        return {
            address: service
            for service in self.snapshot.services
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
        if service.selector is None:
            for backend in service.backends:
                named = self._by_address.get(backend.address)
                end = named.end if named else AddressEnd(backend.address)
                label = named.label if named else backend.address
                for offered in backend.ports:
                    if offered.name == port.name and offered.protocol is port.protocol:
                        yield Target(end, label, offered.port, port.protocol)
            return
        for w, i in self.selected(service.namespace, service.selector):
            label = self.identity_label(w, i)
            if isinstance(port.target, int):
                yield Target(PodEnd(w, i), label, port.target, port.protocol)
            else:
                for number in self._named_port(PodEnd(w, i), port.target, port.protocol):
                    yield Target(PodEnd(w, i), label, number, port.protocol)

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
        for number, workload in enumerate(self.snapshot.workloads):
            found[workload.namespace].append((number, workload))
        return found

    def _named_port(self, end: End, name: str, protocol: Protocol) -> list[int]:
        if not isinstance(end, PodEnd):
            return []
        identity: Identity = self.snapshot.workloads[end.workload].identities[end.identity]
        with_init = self.snapshot.profile.cni is Cni.CALICO
        return sorted(
            {
                p.port
                for p in identity.ports
                if p.name == name and p.protocol is protocol and (with_init or not p.init)
            }
        )


def selects(selector: LabelSelector, labels: dict[str, str]) -> bool:
    """Return whether labels meet every requirement of a selector."""
    for requirement in selector.requirements:
        value = labels.get(requirement.key)
        match requirement.operator:
            case Operator.IN:
                met = value in requirement.values
            case Operator.NOT_IN:
                met = value is None or value not in requirement.values
            case Operator.EXISTS:
                met = value is not None
            case Operator.DOES_NOT_EXIST:
                met = value is None
        if not met:
            return False
    return True
