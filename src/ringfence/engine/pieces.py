"""Sets of traffic to destinations, as pieces: some traffic, and destinations that all get it.

Pieces may overlap; a destination gets the traffic of all in which it stands.
"""

from collections.abc import Callable, Iterator

Pieces = dict[int, int]
"""Traffic mask → destinations."""

Known = tuple[Pieces, Pieces]
"""What certainly is, and what perhaps is beside it."""


def add(found: Pieces, mask: int, destinations: int) -> None:
    """Add a piece, unless it is empty."""
    if destinations and mask:
        found[mask] = found.get(mask, 0) | destinations


def join(found: Pieces, others: Pieces) -> None:
    """Add pieces to others."""
    for mask, destinations in others.items():
        found[mask] = found.get(mask, 0) | destinations


def meet(one: Pieces, other: Pieces) -> Pieces:
    """Return what lies in both."""
    found: Pieces = {}
    for mask, destinations in one.items():
        for also, others in other.items():
            if (common := mask & also) and (both := destinations & others):
                found[common] = found.get(common, 0) | both
    return found


def translated(found: Pieces, by: Callable[[int], int]) -> Pieces:
    """Return pieces with other traffic instead of theirs."""
    result: Pieces = {}
    for mask, destinations in found.items():
        add(result, by(mask), destinations)
    return result


def cut_out(found: Pieces, mask: int, destinations: int) -> Pieces:
    """Remove some traffic to some destinations, and return what of it there was."""
    removed: Pieces = {}
    for traffic in [traffic for traffic in found if traffic & mask]:
        concerned = found[traffic] & destinations
        if concerned:
            found[traffic] &= ~concerned
            if not found[traffic]:
                del found[traffic]
            if rest := traffic & ~mask:
                add(found, rest, concerned)
            add(removed, traffic & mask, concerned)
    return removed


# -- what is known ---------------------------------------------------------------------------------


def pair(found: list[Pieces]) -> Known:
    """Return two pieces as what is known."""
    sure, may = found
    return sure, may


def traffic_to(found: Pieces, destination: int) -> int:
    """Return the traffic that one destination gets."""
    return union(mask for mask, destinations in found.items() if destinations >> destination & 1)


def union(masks: Iterator[int]) -> int:
    """Return all traffic of some masks."""
    found = 0
    for mask in masks:
        found |= mask
    return found


def join_known(found: Known, other: Known) -> None:
    """Add what else is known."""
    join(found[0], other[0])
    join(found[1], other[1])


def meet_known(one: Known, other: Known) -> Known:
    """Return what both let pass."""
    may = meet(one[0], other[1])
    join(may, meet(one[1], other[0]))
    join(may, meet(one[1], other[1]))
    return meet(one[0], other[0]), may


def within(found: Known, sure: int, may: int) -> Known:
    """Return what some traffic lets pass, certainly or perhaps."""
    certain = translated(found[0], lambda mask: mask & sure)
    perhaps = translated(found[1], lambda mask: mask & (sure | may))
    join(perhaps, translated(found[0], lambda mask: mask & may))
    return certain, perhaps


def overlaid(one: Known, other: Known) -> Known:
    """Return what is known where either of two may be right."""
    may: Pieces = {}
    for part in (*one, *other):
        join(may, part)
    return meet(one[0], other[0]), may
