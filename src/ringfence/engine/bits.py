"""Sets of small numbers as Python integers: bit i is set if i is a member.

Python's integers intersect and unite 20,000 members in about a fifth of a microsecond, need no
fixed width and hash by value; numpy converts where many members are listed at once.
"""

from collections.abc import Iterable

import numpy as np

_SPARSE = 16


def from_members(members: Iterable[int]) -> int:
    """Return the set of the members."""
    listed = list(members)
    if len(listed) < _SPARSE:
        bits = 0
        for member in listed:
            bits |= 1 << member
        return bits
    flags = np.zeros(max(listed) + 1, dtype=np.uint8)
    flags[listed] = 1
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def members(bits: int) -> list[int]:
    """Return the members in ascending order."""
    if bits.bit_count() < _SPARSE:
        found = []
        while bits:
            lowest = bits & -bits
            found.append(lowest.bit_length() - 1)
            bits ^= lowest
        return found
    raw = np.frombuffer(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), dtype=np.uint8)
    listed: list[int] = np.flatnonzero(np.unpackbits(raw, bitorder="little")).tolist()
    return listed
