"""Sets of traffic to destinations, as pieces: some traffic, and destinations that all get it.

Pieces may overlap; a destination gets the traffic of all in which it stands.
"""

from collections.abc import Callable

Pieces = dict[int, int]
"""Traffic mask → destinations."""


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
