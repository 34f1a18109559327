"""IP space cut into the coarsest cells that the blocks of a snapshot tell apart."""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cache

from ringfence.model.rule import IpPeer

Interval = tuple[int, int]
"""First and last address, both included, as integers."""

LAST = {4: 2**32 - 1, 6: 2**128 - 1}


@cache
def parse(address: str) -> tuple[int, int]:
    """Return family and number of an address; an IPv4-mapped IPv6 address is IPv4.

    Source: RFC 4291, 2.5.5.2.

    Raises:
        ValueError: it is no address.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.version, int(parsed)


@cache
def interval(cidr: str) -> tuple[int, Interval]:
    """Return the family of a CIDR and the interval that it covers.

    Raises:
        ValueError: it is no CIDR, or has host bits.
    """
    network = ipaddress.ip_network(cidr)
    return network.version, (int(network.network_address), int(network.broadcast_address))


@cache
def intervals(block: IpPeer) -> tuple[int, tuple[Interval, ...]]:
    """Return the family of a block and what it covers, its exceptions cut out, ascending.

    Shape: (family, intervals that neither overlap nor touch).
    """
    family, (first, last) = interval(block.cidr)
    covered = []
    for low, high in sorted(interval(cidr)[1] for cidr in block.excepts):
        if low > last:
            break
        if low > first:
            covered.append((first, low - 1))
        first = max(first, high + 1)
    if first <= last:
        covered.append((first, last))
    return family, tuple(covered)


@cache
def together(blocks: tuple[IpPeer, ...], family: int) -> tuple[Interval, ...]:
    """Return what blocks of a family cover together, ascending, neighbours joined."""
    spans = sorted(span for b in blocks if intervals(b)[0] == family for span in intervals(b)[1])
    merged: list[Interval] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def is_whole(covered: Sequence[Interval], family: int) -> bool:
    """Return whether intervals, as `together` has them, are every address of a family."""
    return tuple(covered) == ((0, LAST[family]),)


def covers(covered: Sequence[Interval], family: int, cidrs: Sequence[str]) -> bool | None:
    """Return whether intervals hold every address of some CIDRs (True), none (False), or some.

    Args:
        covered: as `together` has them.
        family: of the intervals.
        cidrs: of both families; those of the other one do not count.
    """
    spans = [span for version, span in map(interval, cidrs) if version == family]
    if not any(a <= high and low <= b for low, high in spans for a, b in covered):
        return False
    inside = all(any(a <= low and high <= b for a, b in covered) for low, high in spans)
    return True if inside else None


class AddressSpace:
    """The cells of both families, numbered from 0: first IPv4's, then IPv6's, ascending."""

    def __init__(self, blocks: Iterable[IpPeer]) -> None:
        """Cut each family at the ends of the blocks."""
        cuts: dict[int, set[int]] = {4: {0}, 6: {0}}
        for block in blocks:
            family, covered = intervals(block)
            for first, last in covered:
                cuts[family] |= {first, last + 1} - {LAST[family] + 1}
        self._starts = {family: sorted(starts) for family, starts in cuts.items()}
        self._offset = {4: 0, 6: len(self._starts[4])}
        self.count = len(self._starts[4]) + len(self._starts[6])

    def cell_of(self, family: int, address: int) -> int:
        """Return the cell that an address lies in."""
        return self._offset[family] + bisect_right(self._starts[family], address) - 1

    def cells_of(self, block: IpPeer) -> list[tuple[int, int]]:
        """Return the runs of cells that a block covers.

        Shape: pairs of the first cell and the one past the last, ascending.
        """
        family, covered = intervals(block)
        return [
            (self.cell_of(family, first), self.cell_of(family, last) + 1) for first, last in covered
        ]

    def family_of(self, cell: int) -> int:
        """Return the family of a cell."""
        return 4 if cell < self._offset[6] else 6

    def span_of(self, cell: int) -> Interval:
        """Return the first and last address of a cell."""
        family = self.family_of(cell)
        starts = self._starts[family]
        index = cell - self._offset[family]
        last = starts[index + 1] - 1 if index + 1 < len(starts) else LAST[family]
        return starts[index], last


def text(family: int, first: int, last: int) -> str:
    """Return a range of addresses as questions and answers name it."""
    make = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    return f"{make(first)}-{make(last)}"
