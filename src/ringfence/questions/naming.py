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
from functools import cached_property

import msgspec

from ringfence.engine.addresses import AddressSpace, parse, text
from ringfence.errors import UnknownNameError, UsageError
from ringfence.model.cluster import address_block, api_servers
from ringfence.model.connection import AddressEnd, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.rule import AddressPeer, IpPeer, leaves
from ringfence.model.snapshot import Snapshot

DOMAIN = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?\.?")
CLUSTER_DNS = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.cluster\.local)?\.?")


class Named(msgspec.Struct, frozen=True):
    """One end that a name stands for."""

    end: End
    label: str
    """What to call it where a name stands for several."""


class Names:
    """The names of one snapshot."""

    def __init__(self, snapshot: Snapshot, namespace: str | None = None) -> None:
        """Index the workloads; pods and addresses are indexed when first asked for.

        Args:
            snapshot: the cluster.
            namespace: where a bare name is looked for first.
        """
        self.snapshot = snapshot
        self.namespace = namespace
        self._by_ref: dict[str, list[int]] = defaultdict(list)
        self._by_kind: dict[str, int] = {}
        for number, workload in enumerate(snapshot.workloads):
            self._by_ref[workload.ref].append(number)
            self._by_kind[f"{workload.namespace}/{workload.kind}/{workload.name}"] = number
        self._resolved: dict[str, tuple[Named, ...]] = {}

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
        raise self.unknown(name)

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
        if self.namespace and (numbers := self._by_ref.get(f"{self.namespace}/{name}")):
            return self._identities(numbers[0])
        matching = [n for n, w in enumerate(self.snapshot.workloads) if w.name == name]
        if len(matching) == 1:
            return self._identities(matching[0])
        if matching:
            choices = ", ".join(f"`{self.workload_name(n)}`" for n in matching)
            raise UsageError(f"`{name}` is ambiguous: {choices}")
        raise self.unknown(name)

    def unknown(self, name: str) -> UnknownNameError:
        """Return the error for a name that nothing has, with the names most like it."""
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

    def at(self, address: str) -> Named:
        """Return what has an address: a node, a pod, or the outside."""
        return self._by_address.get(address) or Named(AddressEnd(address), address)

    @cached_property
    def _space(self) -> AddressSpace:
        snapshot = self.snapshot
        peers = (peer for p in snapshot.policies for rule in p.rules for peer in rule.peers or ())
        named = {leaf: None for peer in peers for leaf in leaves(peer)}
        blocks = {leaf: None for leaf in named if isinstance(leaf, IpPeer)}
        blocks |= {IpPeer(leaf.cidr): None for leaf in named if isinstance(leaf, AddressPeer)}
        blocks |= {IpPeer(net): None for each in snapshot.network_sets for net in each.nets}
        blocks |= {IpPeer(address_block(a)): None for a in api_servers(snapshot.services)}
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
        return [self.at(address)]

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
