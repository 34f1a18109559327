"""What is admitted on one port, of what is said there, as a set: all, some of it, or nothing.

The algebra is that of `layer7`, which is only asked where two limits differ: most ports have none.
"""

from typing import TYPE_CHECKING, Final

from ringfence.model.layer7 import Layer7

if TYPE_CHECKING:
    from ringfence.layer7.compare import Limits

Limit = tuple[tuple[Layer7, ...] | None, tuple[Layer7, ...]]
"""As `Allowance.l7` and `l7_except` have it."""
ALL: Final[Limit] = (None, ())


def union(first: Limit | None, second: Limit | None) -> Limit | None:
    """Return what either admits; None for nothing.

    Raises:
        Undecidable: it cannot be told, or not be written.
    """
    if first is None or first == second:
        return second
    if second is None or ALL in (first, second):
        return first if second is None else ALL
    from ringfence.layer7.compare import union as exactly  # noqa: PLC0415

    return _limit(exactly(*_both(first, second)))


def intersection(first: Limit | None, second: Limit | None) -> Limit | None:
    """Return what both admit; None for nothing.

    Raises:
        Undecidable: it cannot be told, or not be written.
    """
    if first is None or second is None or first == second:
        return first if second is not None else None
    if first == ALL:
        return second
    if second == ALL:
        return first
    from ringfence.layer7.compare import intersection as exactly  # noqa: PLC0415

    return _limit(exactly(*_both(first, second)))


def difference(first: Limit | None, second: Limit | None) -> Limit | None:
    """Return what the first admits and the second does not; None for nothing.

    Raises:
        Undecidable: it cannot be told, or not be written.
    """
    if first is None or second is None:
        return first
    if second in (first, ALL):
        return None
    from ringfence.layer7.compare import difference as exactly  # noqa: PLC0415

    return _limit(exactly(*_both(first, second)))


def _both(first: Limit, second: Limit) -> "tuple[Limits, Limits]":
    from ringfence.layer7.compare import Limits  # noqa: PLC0415 - only where ports are limited

    return Limits(*first), Limits(*second)


def _limit(found: "Limits") -> Limit | None:
    return None if found.l7 == () else (found.l7, found.l7_except)
