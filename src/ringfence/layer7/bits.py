"""Sets of small numbers as Python integers: bit i is set if i is a member."""

from collections.abc import Iterable


def from_members(members: Iterable[int]) -> int:
    """Return the set of the members."""
    listed = list(members)
    if not listed:
        return 0
    flags = bytearray(max(listed) // 8 + 1)
    for member in listed:
        flags[member >> 3] |= 1 << (member & 7)
    return int.from_bytes(flags, "little")


def members(bits: int) -> list[int]:
    """Return the members in ascending order."""
    found = []
    for position, byte in enumerate(bits.to_bytes((bits.bit_length() + 7) // 8, "little")):
        if byte:
            base = position << 3
            found += [base + offset for offset in _OFFSETS[byte]]
    return found


def lowest(bits: int) -> int:
    """Return the lowest member of a set that is not empty."""
    return (bits & -bits).bit_length() - 1


_OFFSETS = [[offset for offset in range(8) if byte >> offset & 1] for byte in range(256)]
