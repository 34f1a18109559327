"""Three-valued sets: what certainly matches, and what perhaps does."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Matches:
    """The elements (or classes) that a peer stands for."""

    certain: int
    """Bit set of those that it matches."""
    perhaps: int = 0
    """Bit set of those that it may match: their address, or their node, is not known."""

    @property
    def possible(self) -> int:
        """Return those that it matches or may match."""
        return self.certain | self.perhaps

    def __or__(self, other: "Matches") -> "Matches":
        """Return what either matches."""
        certain = self.certain | other.certain
        return Matches(certain, (self.perhaps | other.perhaps) & ~certain)

    def __and__(self, other: "Matches") -> "Matches":
        """Return what both match."""
        certain = self.certain & other.certain
        return Matches(certain, self.possible & other.possible & ~certain)

    def without(self, everything: int) -> "Matches":
        """Return what this does not match, of everything."""
        return Matches(everything & ~self.possible, self.perhaps & ~self.certain)

    def unsure(self) -> "Matches":
        """Return the same, each match no more than perhaps one."""
        return Matches(0, self.possible)

    def within(self, members: int) -> "Matches":
        """Return what of it lies in a set."""
        return Matches(self.certain & members, self.perhaps & members)


NOTHING = Matches(0)


def union(found: Iterable[Matches]) -> Matches:
    """Return what any matches."""
    result = NOTHING
    for one in found:
        result |= one
    return result
