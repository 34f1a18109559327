"""All pairs at once."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.engine.stack import Row, Stacks
from ringfence.model.rule import Direction

BLOCK = 1024
"""Sources are worked through in blocks of so many, which bounds the memory."""


@dataclass(frozen=True)
class Reach:
    """What one class of sources may send to some classes of destinations."""

    destinations: int
    """Bit set over classes."""
    certain: int
    """Traffic that is allowed."""
    possible: int
    """Traffic that is allowed or unknown."""


class Matrix:
    """Both directions ANDed, for every ordered pair of classes."""

    def __init__(self, classes: Classes, stacks: Stacks) -> None:
        """Group the destinations by what they accept."""
        self._classes, self._stacks = classes, stacks
        accepting: dict[tuple[Row, ...], int] = defaultdict(int)
        for destination in range(classes.count):
            accepting[stacks.rows(destination, Direction.INGRESS)] |= 1 << destination
        # (traffic, sources) → the destinations that accept it from them.
        self._certain: dict[tuple[int, int], int] = defaultdict(int)
        self._possible: dict[tuple[int, int], int] = defaultdict(int)
        for rows, destinations in accepting.items():
            for mask, certain, possible in rows:
                if certain:
                    self._certain[mask, certain] |= destinations
                if possible & ~certain:
                    self._possible[mask, possible & ~certain] |= destinations

    def rows(self) -> Iterator[tuple[int, list[Reach]]]:
        """Yield, for each class of sources in order, what it may send to whom.

        The destinations of one source's reaches are disjoint; destinations that it cannot reach
        at all are in none.
        """
        for start in range(0, self._classes.count, BLOCK):
            past = min(start + BLOCK, self._classes.count)
            certain = self._accepted(self._certain, start, past)
            possible = self._accepted(self._possible, start, past)
            for source in range(start, past):
                index = source - start
                yield source, self._reaches(source, certain[index], possible[index])

    def _accepted(
        self, accepting: dict[tuple[int, int], int], start: int, past: int
    ) -> list[dict[int, int]]:
        """Return per source of a block: traffic mask → destinations that accept it."""
        window = (1 << (past - start)) - 1
        found: list[dict[int, int]] = [{} for _ in range(past - start)]
        for (mask, sources), destinations in accepting.items():
            seen = sources >> start & window
            if not seen:
                continue
            for index in bits.members(seen):
                row = found[index]
                row[mask] = row.get(mask, 0) | destinations
        return found

    def _reaches(
        self, source: int, accepted: dict[int, int], perhaps: dict[int, int]
    ) -> list[Reach]:
        sure: dict[int, int] = {}
        may: dict[int, int] = {}
        for mask, certain, possible in self._stacks.rows(source, Direction.EGRESS):
            for traffic, destinations in accepted.items():
                if common := mask & traffic:
                    _add(sure, common, certain & destinations)
                    _add(may, common, possible & ~certain & destinations)
            for traffic, destinations in perhaps.items():
                if common := mask & traffic:
                    _add(may, common, possible & destinations)
        return _by_destination(sure, may)


def _add(found: dict[int, int], mask: int, destinations: int) -> None:
    if destinations:
        found[mask] = found.get(mask, 0) | destinations


def _by_destination(sure: dict[int, int], may: dict[int, int]) -> list[Reach]:
    """Turn traffic → destinations into disjoint destinations → traffic."""
    parts: list[tuple[int, int, int]] = []
    for found, certain in ((sure, True), (may, False)):
        for mask, destinations in found.items():
            rest, refined = destinations, []
            for seen, allowed, possible in parts:
                if common := seen & rest:
                    rest &= ~common
                    if seen != common:
                        refined.append((seen & ~common, allowed, possible))
                    refined.append(
                        (common, allowed | mask if certain else allowed, possible | mask)
                    )
                else:
                    refined.append((seen, allowed, possible))
            if rest:
                refined.append((rest, mask if certain else 0, mask))
            parts = refined
    merged: dict[tuple[int, int], int] = {}
    for seen, allowed, possible in parts:
        merged[allowed, possible] = merged.get((allowed, possible), 0) | seen
    return [Reach(seen, allowed, possible) for (allowed, possible), seen in merged.items()]
