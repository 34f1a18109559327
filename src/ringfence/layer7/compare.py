"""Limits as sets: what two of them have in common, and whether one holds the other.

Each answer comes from one space of all boxes involved; where that cannot be made in bounded time,
`included` is None and the others raise `Undecidable`.
"""

import msgspec

from ringfence.layer7.space import Space
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import Layer7


class Limits(msgspec.Struct, frozen=True):
    """Requests as an `Allowance` has them: any of the boxes, less the excepted ones."""

    l7: tuple[Layer7, ...] | None = None
    """None: everything."""
    l7_except: tuple[Layer7, ...] = ()


def included(part: Limits, whole: Limits) -> bool | None:
    """Return whether every request of one limit is one of the other; None: it cannot be told."""
    try:
        space = _space(part, whole)
    except Undecidable:
        return None
    return not _mask(space, part) & ~_mask(space, whole)


def union(first: Limits, second: Limits) -> Limits:
    """Return the requests of either.

    Raises:
        Undecidable: it cannot be told, or not be written.
    """
    space = _space(first, second)
    return Limits(*space.write(_mask(space, first) | _mask(space, second)))


def intersection(first: Limits, second: Limits) -> Limits:
    """Return the requests of both.

    Raises:
        Undecidable: it cannot be told, or not be written.
    """
    space = _space(first, second)
    return Limits(*space.write(_mask(space, first) & _mask(space, second)))


def difference(first: Limits, second: Limits) -> Limits:
    """Return the requests of the first that are none of the second.

    Raises:
        Undecidable: it cannot be told, or not be written.
    """
    space = _space(first, second)
    return Limits(*space.write(_mask(space, first) & ~_mask(space, second)))


def _space(*limits: Limits) -> Space:
    return Space(box for one in limits for box in (*(one.l7 or ()), *one.l7_except))


def _mask(space: Space, limits: Limits) -> int:
    return space.mask_of_any(limits.l7) & ~space.mask_of_any(limits.l7_except)
