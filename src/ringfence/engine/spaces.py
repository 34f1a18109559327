"""What is said on a port, cut into classes: for all rules together, or zone by zone.

Together, the limits that rules set on a port may multiply: eight patterns of the form `.*word.*`
cut paths into 256 classes. But rules meet only where they are for the same destination. So where
all limits of a port are too many or too complex to be told apart together, the destinations are
parted into zones, each with its own limits and its own classes: what one team writes for its pods
does not make anything unknown that another writes for its own.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ringfence.engine import bits
from ringfence.model.layer7 import Form, Layer7, Text

if TYPE_CHECKING:
    from ringfence.layer7.space import Space

MOST_TOGETHER: Final = 1000
"""Of more limits on one port, those for different destinations are never told apart together."""

FAILURES: Final = 24
"""So many times, for one snapshot, cutting may fail; then what is not plain is left out untried."""

EVERYWHERE: Final = -1
"""All elements there can be, as a bit set."""

Boxes = frozenset[Layer7]
Zone = tuple[int, Boxes]
"""Destinations, as a bit set over elements, and the limits that rules set on traffic to them."""


def zones(limits: Iterable[tuple[int, Iterable[Layer7]]]) -> list[Zone]:
    """Return the destinations by what limits rules set on traffic to them.

    The sets of destinations are disjoint; together they are all elements there can be. Their order
    depends on the limits alone.

    Args:
        limits: per rule, the destinations that it may be for, and its limits.
    """
    by_destinations: dict[int, set[Layer7]] = defaultdict(set)
    for destinations, boxes in limits:
        by_destinations[destinations].update(boxes)
    common = frozenset(by_destinations.pop(EVERYWHERE, ()))
    listed = list(by_destinations.items())
    signatures: dict[int, list[int]] = defaultdict(list)
    for number, (destinations, _) in enumerate(listed):
        for element in bits.members(destinations):
            signatures[element].append(number)
    together: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for element, signature in signatures.items():
        together[tuple(signature)].append(element)
    found: dict[Boxes, int] = {}
    for numbers, elements in together.items():
        boxes = common.union(*(listed[number][1] for number in numbers))
        found[boxes] = found.get(boxes, 0) | bits.from_members(elements)
    rest = ~bits.from_members(signatures)
    ordered = sorted(found.items(), key=lambda one: sorted(map(repr, one[0])))
    return [(rest, common), *((elements, boxes) for boxes, elements in ordered)]


class Spaces:
    """Makes the classes of sets of limits, each once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[Boxes, tuple[Space | None, str]] = {}
        self._together: dict[Boxes, Space | None] = {}
        self._alone: dict[Layer7, str] = {}
        self._failures = FAILURES

    def together(self, boxes: Boxes) -> "Space | None":
        """Return the classes that limits tell apart; None where that cannot be done for all."""
        if boxes not in self._together:
            self._together[boxes] = self._try(list(boxes))
        return self._together[boxes]

    def as_far_as_possible(self, boxes: Boxes) -> tuple["Space | None", str]:
        """Return the classes that limits tell apart, and why some had to be left out.

        The rules of those that are left out match perhaps, and no others.
        """
        if boxes not in self._known:
            space = self.together(boxes)
            self._known[boxes] = (space, "") if space else self._without_some(boxes)
        return self._known[boxes]

    def _try(self, boxes: list[Layer7]) -> "Space | None":
        """Return the classes that limits tell apart, where it may and can be found out."""
        if self._failures <= 0 and any(map(_patterns, boxes)):
            return None
        space = self._cut(boxes)
        self._failures -= space is None
        return space

    def _cut(self, boxes: Iterable[Layer7]) -> "Space | None":
        from ringfence.layer7.space import Space  # noqa: PLC0415 - only where a rule needs it
        from ringfence.layer7.undecidable import Undecidable  # noqa: PLC0415

        try:
            return Space(boxes)
        except Undecidable:
            return None

    def _without_some(self, boxes: Boxes) -> tuple["Space | None", str]:
        """Return the classes that as many limits as possible tell apart, the simplest first."""
        reasons = {box: self._why_undecidable(box) for box in boxes}
        told = {reason for reason in reasons.values() if reason}
        sound = sorted((box for box in boxes if not reasons[box]), key=_complexity)
        kept, space = self._keep([], sound)
        if len(kept) < len(sound):
            told.add("the patterns on this port are too complex to be compared with each other")
        return space or self._cut(kept), "; ".join(sorted(told))

    def _keep(
        self, kept: list[Layer7], offered: list[Layer7]
    ) -> tuple[list[Layer7], "Space | None"]:
        """Return what of the limits offered can be told apart beside those that are kept."""
        if not offered:
            return kept, None
        space = self._try([*kept, *offered])
        if space:
            return [*kept, *offered], space
        if len(offered) == 1:
            return kept, None
        half = len(offered) // 2
        kept, space = self._keep(kept, offered[:half])
        more, larger = self._keep(kept, offered[half:])
        return more, larger or (space if more is kept else None)

    def _why_undecidable(self, box: Layer7) -> str:
        from ringfence.layer7.space import why_undecidable  # noqa: PLC0415 - as above

        if box not in self._alone:
            self._alone[box] = why_undecidable(box) or ""
        return self._alone[box]


def _patterns(box: Layer7) -> list[Text]:
    """Return the regular expressions of a limit that are no plainer pattern."""
    http = box.http
    if http is None:
        return []
    listed = (
        *(http.methods or ()),
        *(http.paths or ()),
        *(http.hosts or ()),
        *(header.value for header in http.headers if header.value is not None),
    )
    return [text for text in listed if text.form is Form.REGEX]


def _complexity(box: Layer7) -> tuple[int, int, str]:
    """Return what limits are sorted by: those that multiply least come first."""
    patterns = _patterns(box)
    return len(patterns), sum(len(text.value) for text in patterns), repr(box)
