"""The ends that a proof looks at: identities, nodes, and ranges of addresses."""

import ipaddress
from collections.abc import Iterable, Iterator

import msgspec

from ringfence.model.cluster import Identity
from ringfence.model.outside import AddressRange
from ringfence.model.snapshot import Snapshot


class PodElement(msgspec.Struct, frozen=True, order=True, tag="pod"):
    """All pods of one identity."""

    workload: int
    identity: int


class NodeElement(msgspec.Struct, frozen=True, order=True, tag="node"):
    """A node."""

    node: int


class RangeElement(msgspec.Struct, frozen=True, order=True, tag="range"):
    """Addresses outside the cluster that nothing tells apart."""

    addresses: AddressRange


class DomainElement(msgspec.Struct, frozen=True, order=True, tag="domain"):
    """A host of the outside of which the domain name is known."""

    name: str


Element = PodElement | NodeElement | RangeElement | DomainElement


class Places:
    """Where the elements of one snapshot are, each looked up once."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Index the nodes by name."""
        self.snapshot = snapshot
        self._nodes = {node.name: node.addresses for node in snapshot.nodes}
        self.node_addresses = frozenset(a for node in snapshot.nodes for a in node.addresses)
        self._known: dict[PodElement | NodeElement, tuple[str, ...]] = {}
        self.pod_blocks = tuple(map(block, snapshot.pod_cidrs))
        """Where pods live that have no known address."""

    def identity(self, element: PodElement) -> Identity:
        """Return the identity that an element stands for."""
        return self.snapshot.workloads[element.workload].identities[element.identity]

    def on_host(self, element: PodElement) -> bool:
        """Return whether an element's pods are on the host network."""
        return self.identity(element).host_network

    def known_addresses(self, element: PodElement | NodeElement) -> tuple[str, ...]:
        """Return every known address of an element; a host-network pod has its node's."""
        known = self._known.get(element)
        if known is None:
            known = self._known[element] = tuple(dict.fromkeys(self._look_up(element)))
        return known

    def _look_up(self, element: PodElement | NodeElement) -> Iterator[str]:
        if isinstance(element, NodeElement):
            yield from self.snapshot.nodes[element.node].addresses
            return
        identity = self.identity(element)
        for pod in identity.pods:
            if pod.addresses or not identity.host_network:
                yield from pod.addresses
            else:
                yield from self._nodes.get(pod.node, ())

    def families(self, element: Element) -> frozenset[int]:
        """Return the IP families that an element can be reached over."""
        if isinstance(element, RangeElement):
            return frozenset({element.addresses.family})
        if isinstance(element, DomainElement):
            return frozenset({4, 6})
        if known := self.known_addresses(element):
            return frozenset(map(family_of, known))
        if isinstance(element, NodeElement) or self.on_host(element):
            return frozenset({4, 6})
        return frozenset(place.family for place in self.pod_blocks)


def block(cidr: str) -> AddressRange:
    """Return the range of a CIDR."""
    network = ipaddress.ip_network(cidr)
    return AddressRange(
        network.version, int(network.network_address), int(network.broadcast_address)
    )


def single(address: str) -> AddressRange:
    """Return the range of one address."""
    parsed = ipaddress.ip_address(address)
    return AddressRange(parsed.version, int(parsed), int(parsed))


def family_of(address: str) -> int:
    """Return the family of an address."""
    return ipaddress.ip_address(address).version


def cut(addresses: AddressRange, blocks: Iterable[AddressRange]) -> list[AddressRange]:
    """Return a range in pieces that lie wholly inside or wholly outside each block."""
    starts = {addresses.first}
    for block in blocks:
        if block.family == addresses.family:
            starts |= {block.first, block.last + 1}
    inside = sorted(start for start in starts if addresses.first <= start <= addresses.last)
    ends = [start - 1 for start in inside[1:]] + [addresses.last]
    return [
        AddressRange(addresses.family, first, last)
        for first, last in zip(inside, ends, strict=True)
    ]
