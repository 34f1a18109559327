"""All pairs at once.

A source is worked through against all destinations in a few operations on bit sets: what the
destinations accept is turned round first (`turned`). Where pods take part in a mesh, what the
network lets pass is then laid over what the mesh does (`crossing`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ringfence.engine.compiled import Compiled
from ringfence.engine.crossing import Crossing
from ringfence.engine.pieces import Pieces, add
from ringfence.engine.turned import Turned
from ringfence.model.rule import Direction


@dataclass(frozen=True)
class Reach:
    """Some traffic that one class of sources may send, and where to.

    A destination may stand in several reaches of one source: it gets the traffic of all.
    """

    traffic: int
    certain: int
    """Destinations that get it, as a bit set over classes."""
    unknown: int
    """Destinations of which that is not known; may overlap with `certain` of another reach."""


class Matrix:
    """Both directions, and both layers, ANDed, for every ordered pair of classes."""

    def __init__(self, compiled: Compiled) -> None:
        """Turn round what the destinations accept."""
        classes = self._classes = compiled.classes
        self._rows = compiled.rows
        self._turned = Turned(classes, compiled.stacks, compiled.rows, compiled.endings)
        self._zoned = classes.traffic.everything & ~classes.traffic.everywhere
        self._crossing: Crossing | None = None
        if compiled.mesh:
            self._crossing = Crossing(classes, compiled.mesh, self._by_network)

    def rows(self, over: bool | None = None) -> Iterator[tuple[int, list[Reach]]]:  # noqa: FBT001
        """Yield, for each class of sources in order, what it may send to whom.

        Where a mesh is, by any way that a connection may take: to an address of the destination,
        or to that of any Service before it. How it is carried is not told by the traffic.

        Shape: pairs of a class and its reaches. A destination may stand in several reaches, and
        gets the traffic of all; one that stands in none gets nothing.

        Args:
            over: only what is over mTLS of a mesh, or only what is not; None: all.
        """
        if self._crossing:
            for source, sure, may in self._crossing.rows(over):
                yield source, self._reaches(sure, may)
            return
        for source, sure, may in self._by_network(0, self._classes.count):
            yield source, [] if over else self._reaches(sure, may)

    def _by_network(self, first: int, end: int) -> Iterator[tuple[int, Pieces, Pieces]]:
        """Yield, for some classes of sources, what they may send to whom by the network alone."""
        for source, certain, perhaps in self._turned.by_source(first, end):
            yield source, *self._sent(source, certain, perhaps)

    def _sent(self, source: int, certain: Pieces, perhaps: Pieces) -> tuple[Pieces, Pieces]:
        """Return what a source may send to whom, by the network: certainly, and perhaps."""
        sure: Pieces = {}
        may: Pieces = {}
        for mask, allowed, possible in self._rows.of(source, Direction.EGRESS):
            unsure = possible & ~allowed
            for traffic, destinations in certain.items():
                if common := mask & traffic:
                    add(sure, common, allowed & destinations)
                    if unsure:
                        add(may, common, unsure & destinations)
            for traffic, destinations in perhaps.items():
                if common := mask & traffic:
                    add(may, common, possible & destinations)
        return sure, may

    def _reaches(self, sure: Pieces, may: Pieces) -> list[Reach]:
        found = [
            Reach(traffic, sure.get(traffic, 0), may.get(traffic, 0)) for traffic in sure | may
        ]
        return list(self._by_zone(found)) if self._zoned else found

    def _by_zone(self, reaches: list[Reach]) -> Iterator[Reach]:
        """Yield reaches so that each has the traffic of one zone alone."""
        zoned = self._zoned
        for reach in reaches:
            if not reach.traffic & zoned:
                yield reach
                continue
            found: dict[int, tuple[int, int]] = {}
            for mask, destinations in self._classes.zones.of(reach.certain | reach.unknown):
                sure, may = reach.certain & destinations, reach.unknown & destinations
                # Most reaches have destinations in few of the zones.
                if (sure or may) and (common := reach.traffic & mask):
                    before = found.get(common)
                    found[common] = (before[0] | sure, before[1] | may) if before else (sure, may)
            for traffic, (sure, may) in found.items():
                yield Reach(traffic, sure, may)
