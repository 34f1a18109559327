"""Sets of types and codes of ICMP as integers: those of ICMP in the low bits, ICMPv6 above them.

A type with a code is a number, as in `model.icmp`, so that all sets are exact.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from ringfence.model.cluster import Protocol
from ringfence.model.rule import PortRange

SIZE: Final = 65536
NOTHING: Final = 0
OF_A_FAMILY: Final = (1 << SIZE) - 1
EVERYTHING: Final = OF_A_FAMILY | OF_A_FAMILY << SIZE
MOST: Final = 40
"""So many single types of a family are listed in the place of a range; no more.

Source: Cilium `pkg/policy/api/icmp.go`, MaxItems of `fields`.
"""


def of_family(found: int, family: int) -> int:
    """Return the numbers of one family alone, as a set of their own."""
    return found & OF_A_FAMILY if family == 4 else found >> SIZE


def of(part: PortRange) -> int:
    """Return what a range of ICMP stands for; one of no family stands for both."""
    numbers = ((1 << (part.last - part.first + 1)) - 1) << part.first
    found = NOTHING
    if part.family in (None, 4):
        found |= numbers
    if part.family in (None, 6):
        found |= numbers << SIZE
    return found


def union(parts: Iterable[PortRange]) -> int:
    """Return what any of the ranges stands for."""
    found = NOTHING
    for part in parts:
        found |= of(part)
    return found


def parts(found: int) -> Iterator[PortRange]:
    """Yield a set as ranges: all of a family, single types, single codes, and runs of many types.

    What both families have in common is said of both at once.
    """
    four, six = of_family(found, 4), of_family(found, 6)
    for family, numbers in ((None, four & six), (4, four & ~six), (6, six & ~four)):
        for first, last in runs(numbers):
            yield from _split(first, last, family)


def _split(first: int, last: int, family: int | None) -> Iterator[PortRange]:
    def part(low: int, high: int) -> PortRange:
        return PortRange(Protocol.ICMP, low, high, family)

    if (first, last) == (0, SIZE - 1):
        yield part(first, last)
        return
    low = first
    while low <= last and low % 256:
        yield part(low, low)
        low += 1
    whole = (last + 1 - low) // 256 if low <= last else 0
    if whole > MOST:
        yield part(low, low + 256 * whole - 1)
    else:
        yield from (part(at, at + 255) for at in range(low, low + 256 * whole, 256))
    yield from (part(at, at) for at in range(low + 256 * whole, last + 1))


def runs(numbers: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of a set of numbers, as first and last."""
    position = 0
    while numbers:
        gap = (numbers & -numbers).bit_length() - 1
        numbers >>= gap
        length = (~numbers & (numbers + 1)).bit_length() - 1
        yield position + gap, position + gap + length - 1
        numbers >>= length
        position += gap + length
