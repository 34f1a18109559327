"""Classes as boxes that hold for them alone, by what each thing may be and what it may not.

A box says only what is there: what is not HTTP, a header that is missing, a connection that is not
over mTLS cannot be said so. Classes that need it are refused.
"""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Final

from ringfence.layer7.automaton import UNIVERSE, Budget, Nfa, determinise
from ringfence.layer7.bits import members
from ringfence.layer7.cover import cover
from ringfence.layer7.dimension import FLAGS, Dimension
from ringfence.layer7.expression import eliminated
from ringfence.layer7.language import of_pattern
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import DomainPattern, HeaderMatch, HttpMatch, Layer7, Text

if TYPE_CHECKING:
    from ringfence.layer7.space import Space

MAX_BOXES: Final = 50
"""More than people are shown of one port."""
MAX_STEPS: Final = 20_000
WORK: Final = 500_000
REFUSED: Final = "what is allowed on this port cannot be written as limits"

Cell = tuple[int, ...]
"""Of each dimension the values that it may have."""


def exactly(space: "Space", target: int) -> tuple[Layer7, ...]:
    """Return boxes that hold for some classes and no others.

    Raises:
        Undecidable: it cannot be said in this way, or only by too many.
    """
    of_http = any(box.http is not None for box in space.boxes)
    if of_http and any(target >> number & 1 for number in space.without_http):
        raise Undecidable(REFUSED)
    dimensions = list(space.dimensions.values())
    cells = _Cells(dimensions, space.numbers, target).solve(0, (1 << len(space.boxes)) - 1)
    found: dict[Layer7, None] = {}
    for cell in sorted(cells):
        found |= dict.fromkeys(_boxes(dimensions, cell, of_http=of_http))
        if len(found) > MAX_BOXES:
            raise Undecidable(REFUSED)
    return tuple(sorted(found, key=space.order))


class _Cells:
    """Finds the cells of some classes, dimension by dimension; what makes no difference is one."""

    def __init__(self, dimensions: list[Dimension], numbers: dict[int, int], target: int) -> None:
        self._dimensions = dimensions
        self._numbers = numbers
        self._target = target
        self._known: dict[tuple[int, int], frozenset[Cell]] = {}
        self._steps = 0

    def solve(self, level: int, alive: int) -> frozenset[Cell]:
        """Return the cells of the dimensions from a level on, where some boxes are still alive."""
        if level == len(self._dimensions):
            return frozenset([()] if self._target >> self._numbers[alive] & 1 else [])
        if (level, alive) not in self._known:
            self._known[level, alive] = frozenset(self._cut(level, alive))
        return self._known[level, alive]

    def _cut(self, level: int, alive: int) -> Iterator[Cell]:
        dimension = self._dimensions[level]
        values_of: dict[int, int] = {}
        for value, holding in enumerate(dimension.alive):
            self._steps += 1
            values_of[alive & holding] = values_of.get(alive & holding, 0) | 1 << value
        if self._steps > MAX_STEPS:
            raise Undecidable(REFUSED)
        same: dict[Cell, int] = {}
        for left, values in values_of.items():
            for rest in self.solve(level + 1, left):
                same[rest] = same.get(rest, 0) | values
        return ((values, *rest) for rest, values in same.items())


def _boxes(dimensions: list[Dimension], cell: Cell, *, of_http: bool) -> Iterator[Layer7]:
    texts: dict[str, tuple[Text, ...]] = {}
    headers: list[list[HeaderMatch]] = []
    names: dict[str, tuple[DomainPattern, ...]] = {}
    flags: set[str] = set()
    for dimension, values in zip(dimensions, cell, strict=True):
        if values == dimension.everything:
            continue
        if dimension.optional and values & 1:
            raise Undecidable(REFUSED)
        if dimension.name in FLAGS:
            flags.add(dimension.name)
        elif dimension.name.startswith("header "):
            name = dimension.name.removeprefix("header ")
            there = values == dimension.everything & ~1
            listed = (None,) if there else _texts(dimension, values >> 1)
            headers.append([HeaderMatch(name, value) for value in listed])
        elif dimension.optional:
            names[dimension.name] = _names(dimension, values >> 1)
        else:
            texts[dimension.name] = _texts(dimension, values)
    for chosen in product(*headers):
        yield Layer7(
            http=HttpMatch(
                methods=texts.get("method"),
                paths=texts.get("path"),
                hosts=texts.get("host"),
                headers=chosen,
            )
            if of_http
            else None,
            dns=names.get("dns"),
            server_names=names.get("sni"),
            authenticated="authenticated" in flags,
            mtls="mtls" in flags,
        )


def _names(dimension: Dimension, wanted: int) -> tuple[DomainPattern, ...]:
    """Return domain patterns that hold for some atoms and no others."""
    patterns = [each for each in dimension.atoms.patterns if isinstance(each, DomainPattern)]
    chosen, rest = cover(wanted, wanted, [dimension.atoms.mask(each) for each in patterns])
    if rest:
        raise Undecidable(REFUSED)
    return tuple(patterns[number] for number in chosen)


def _texts(dimension: Dimension, wanted: int) -> tuple[Text, ...]:
    """Return patterns that hold for some atoms and no others: given ones, or one of their own."""
    atoms = dimension.atoms
    patterns = [each for each in atoms.patterns if isinstance(each, Text)]
    chosen, rest = cover(wanted, wanted, [atoms.mask(each) for each in patterns])
    if not rest:
        return tuple(patterns[number] for number in chosen)
    nfa = Nfa(Budget(WORK))
    nfa.add(atoms.universe, UNIVERSE)
    universe_end = len(nfa.tags)
    for number, each in enumerate(atoms.patterns):
        nfa.add(of_pattern(each), number)
    accepted = {atoms.signatures[atom] for atom in members(wanted)}
    return (eliminated(determinise(nfa, universe_end), accepted),)
