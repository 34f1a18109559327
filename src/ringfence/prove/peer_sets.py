"""Whom a line of a dependency map means, read literally from the map and the manifests.

Written apart from `ringfence.learn.resolve`, which the policies are generated with: what one of
the two misreads, the proof shows.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum

from ringfence.model.outside import LAST_ADDRESS, AddressRange, merge
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.rule import IpPeer
from ringfence.prove.elements import (
    DomainElement,
    Element,
    NodeElement,
    Places,
    PodElement,
    RangeElement,
    block,
    family_of,
    single,
)


class Meant(IntEnum):
    """Whether an element is meant."""

    NO = 0
    PERHAPS = 1
    """Its address, or that of some of its pods, is not known."""
    YES = 2


class Anything:
    """Everything there is."""

    def means(self, element: Element, family: int) -> Meant:  # noqa: ARG002 - as the others
        """Return whether an element is meant, judged by its address of a family."""
        return Meant.YES


class Nothing:
    """What no policy can name, so that it stays closed: a domain name, the nodes."""

    def means(self, element: Element, family: int) -> Meant:  # noqa: ARG002 - as the others
        """Return whether an element is meant, judged by its address of a family."""
        return Meant.NO


class Workloads:
    """The pods of some workloads, those on the host network excepted: nothing can name them."""

    def __init__(self, places: Places, numbers: frozenset[int] | None) -> None:
        """Take the indices of the workloads; None for all."""
        self._places = places
        self.numbers = numbers

    def means(self, element: Element, family: int) -> Meant:  # noqa: ARG002 - as the others
        """Return whether an element is meant, judged by its address of a family."""
        if not isinstance(element, PodElement):
            return Meant.NO
        if self.numbers is not None and element.workload not in self.numbers:
            return Meant.NO
        return Meant.NO if self._places.on_host(element) else Meant.YES


class Addresses:
    """Every element with an address in some ranges."""

    def __init__(
        self, places: Places, ranges: Iterable[AddressRange], *, compared: bool = False
    ) -> None:
        """Take the ranges, in any order.

        Args:
            places: of the cluster.
            ranges: what is meant.
            compared: whether addresses are compared whatever has them, as meshes do.
        """
        self._places = places
        self._compared = compared
        self.ranges = tuple(merge(ranges))

    def means(self, element: Element, family: int) -> Meant:
        """Return whether an element is meant, judged by its address of a family."""
        if isinstance(element, RangeElement):
            return Meant.YES if self._holds(element.addresses) else Meant.NO
        if isinstance(element, DomainElement):
            return self._name(family)
        if not self._heeds(element):
            return Meant.NO
        if known := self._places.known_addresses(element):
            return _all_some_none(
                self._holds(single(address)) for address in known if family_of(address) == family
            )
        own = [part for part in self.ranges if part.family == family]
        if not own:
            return Meant.NO
        if isinstance(element, NodeElement) or self._places.on_host(element):
            whole = (own[0].first, own[0].last) == (0, LAST_ADDRESS[family])
            return Meant.YES if whole else Meant.PERHAPS
        blocks = [place for place in self._places.pod_blocks if place.family == family]
        if not any(part.first <= b.last and b.first <= part.last for part in own for b in blocks):
            return Meant.NO
        return Meant.YES if all(map(self._holds, blocks)) else Meant.PERHAPS

    def _name(self, family: int) -> Meant:
        """Return whether a host is meant of which only the name is known."""
        own = [part for part in self.ranges if part.family == family]
        if not own:
            return Meant.NO
        whole = (own[0].first, own[0].last) == (0, LAST_ADDRESS[family])
        return Meant.YES if whole else Meant.PERHAPS

    def _heeds(self, element: PodElement | NodeElement) -> bool:
        """Return whether blocks can mean an element of the cluster: on Cilium, only if told so.

        Source: Cilium `pkg/labels/cidr.go`, `pkg/policy/types/selector.go` CIDRSelector.Matches.
        """
        profile = self._places.snapshot.profile
        if self._compared or profile.cni is not Cni.CILIUM:
            return True
        config = profile.cilium or CiliumConfig()
        on_host = isinstance(element, NodeElement) or self._places.on_host(element)
        return config.cidrs_match_nodes if on_host else config.cidrs_match_pods

    def _holds(self, part: AddressRange) -> bool:
        return any(
            whole.family == part.family and whole.first <= part.first and part.last <= whole.last
            for whole in self.ranges
        )


class Nodes:
    """The nodes, and with them what is on the host network."""

    def __init__(self, places: Places) -> None:
        """Take the cluster."""
        self._places = places

    def means(self, element: Element, family: int) -> Meant:  # noqa: ARG002 - as the others
        """Return whether an element is meant, judged by its address of a family."""
        if isinstance(element, PodElement):
            return Meant.YES if self._places.on_host(element) else Meant.NO
        return Meant.YES if isinstance(element, NodeElement) else Meant.NO


class World:
    """Everything outside the cluster, whatever its address."""

    def means(self, element: Element, family: int) -> Meant:  # noqa: ARG002 - as the others
        """Return whether an element is meant, judged by its address of a family."""
        outside = isinstance(element, RangeElement | DomainElement)
        return Meant.YES if outside else Meant.NO


class Hosts:
    """Whatever has one of some addresses, be it outside or a node, but no pod."""

    def __init__(self, places: Places, addresses: Iterable[str]) -> None:
        """Take the addresses."""
        self._places = places
        self._addresses = frozenset(addresses)
        self.ranges = tuple(map(single, sorted(self._addresses)))

    def means(self, element: Element, family: int) -> Meant:
        """Return whether an element is meant, judged by its address of a family."""
        match element:
            case RangeElement(addresses):
                return Meant.YES if addresses in self.ranges else Meant.NO
            case DomainElement():
                own = any(part.family == family for part in self.ranges)
                return Meant.PERHAPS if own else Meant.NO
            case PodElement() if not self._places.on_host(element):
                return Meant.NO
            case _:
                known = self._places.known_addresses(element)
                if not known:
                    return Meant.PERHAPS
                own_family = [a for a in known if family_of(a) == family]
                return _all_some_none(a in self._addresses for a in own_family)


class Domains:
    """Hosts by their names; `*.` stands for one or more labels."""

    def __init__(self, name: str) -> None:
        """Take a name or a pattern as a map writes it."""
        self.name = name

    def means(self, element: Element, family: int) -> Meant:  # noqa: ARG002 - as the others
        """Return whether an element is meant, judged by its address of a family."""
        if not isinstance(element, DomainElement):
            return Meant.NO
        if not self.name.startswith("*."):
            return Meant.YES if element.name == self.name else Meant.NO
        below = element.name.removesuffix(self.name[1:])
        return Meant.YES if below and below != element.name else Meant.NO


PeerSet = Anything | Nothing | Workloads | Addresses | Nodes | World | Hosts | Domains


def block_ranges(peer: IpPeer) -> list[AddressRange]:
    """Return what a block covers, its exceptions cut out."""
    return outside_of(block(peer.cidr), [block(cidr) for cidr in peer.excepts])


def outside_of(whole: AddressRange, holes: Sequence[AddressRange]) -> list[AddressRange]:
    """Return a range without the parts that lie in some holes, sorted."""
    found: list[AddressRange] = []
    first = whole.first
    for hole in sorted(hole for hole in holes if hole.family == whole.family):
        if hole.first > first:
            found.append(AddressRange(whole.family, first, min(hole.first - 1, whole.last)))
        first = max(first, hole.last + 1)
    if first <= whole.last:
        found.append(AddressRange(whole.family, first, whole.last))
    return found


def _all_some_none(hits: Iterable[bool]) -> Meant:
    listed = list(hits)
    if not any(listed):
        return Meant.NO
    return Meant.YES if all(listed) else Meant.PERHAPS
