"""One thing that a request carries, cut into the values that boxes tell apart."""

from collections.abc import Callable, Iterable

from ringfence.layer7 import language
from ringfence.layer7.atoms import Atoms
from ringfence.layer7.bits import from_members, members
from ringfence.layer7.language import Node, Pattern
from ringfence.model.layer7 import HeaderMatch, Layer7

Wanted = tuple[tuple[Pattern, ...] | None, ...]
"""What one box demands: of each list one pattern, and all lists; None: only that there is any.
Without any list: no limit."""


class Dimension:
    """The values of one thing, and which boxes admit which of them.

    Where the thing can be missing altogether (a header, a DNS query), value 0 is that it is.
    """

    def __init__(
        self,
        name: str,
        wanted: list[Wanted],
        universe: Node,
        *,
        begin: str = "",
        optional: bool = False,
    ) -> None:
        """Cut the values apart.

        Raises:
            Undecidable: the patterns cannot be told apart within the budget.
        """
        self.name = name
        self.optional = optional
        listed = (pattern for lists in wanted for one in lists for pattern in one or ())
        self.atoms = Atoms(listed, universe, begin)
        self.count = self.atoms.count + optional
        self.everything = (1 << self.count) - 1
        self.admitted = {box: self._admitted(lists) for box, lists in enumerate(wanted) if lists}
        """Of each box that limits this: the values that it admits."""
        self.limited = from_members(self.admitted)
        """The boxes that limit it."""
        boxes_of: dict[int, list[int]] = {}
        for box, values in self.admitted.items():
            boxes_of.setdefault(values, []).append(box)
        everyone = (1 << len(wanted)) - 1
        self.alive = [everyone & ~self.limited] * self.count
        """Of each value, the boxes that admit it."""
        for values, boxes in boxes_of.items():
            admitting = from_members(boxes)
            for value in members(values):
                self.alive[value] |= admitting

    def _admitted(self, lists: Wanted) -> int:
        admitted = self.everything
        for patterns in lists:
            if patterns is None:
                admitted &= ~1
            else:
                admitted &= self.atoms.mask_of_any(patterns) << self.optional
        return admitted

    def values_for(self, group: int) -> Iterable[int]:
        """Return values that between them show all that a set of boxes can be cut into here."""
        limited = group & self.limited
        if not limited:
            return (0,)
        if limited.bit_count() * 2 >= self.count:
            return range(self.count)
        touched = 0
        for box in members(limited):
            touched |= self.admitted[box]
        untouched = self.everything & ~touched
        return members(touched | (untouched & -untouched))

    def value_of(self, said: str | None) -> int:
        """Return the value of what a request carries; None: it carries nothing of the kind.

        Raises:
            Undecidable: no request can carry it.
        """
        return 0 if said is None else self.atoms.atom_of(said) + self.optional

    def example(self, value: int) -> str | None:
        """Return what a request of a value carries; None: nothing of the kind."""
        if self.optional and not value:
            return None
        return self.atoms.witness(value - self.optional)


def of_boxes(boxes: tuple[Layer7, ...]) -> tuple[list[Dimension], list[Dimension]]:
    """Return the dimensions of HTTP, then the others: those that at least one box limits.

    Raises:
        Undecidable: the patterns of one of them cannot be told apart within the budget.
    """
    http = []
    for name, universe, begin, listed in _HTTP:
        wanted = [_one(listed(box)) for box in boxes]
        if any(wanted):
            http.append(Dimension(name, wanted, universe, begin=begin))
    headers = sorted({match.name for box in boxes for match in _headers(box)})
    for header in headers:
        wanted = [
            tuple(
                None if match.value is None else (match.value,)
                for match in _headers(box)
                if match.name == header
            )
            for box in boxes
        ]
        http.append(Dimension(f"header {header}", wanted, language.VALUES, optional=True))
    others = []
    for name, patterns in _NAMES:
        wanted = [_one(patterns(box)) for box in boxes]
        if any(wanted):
            others.append(Dimension(name, wanted, language.NAMES, optional=True))
    for name, is_asked in _FLAGS:
        wanted = [(None,) if is_asked(box) else () for box in boxes]
        if any(wanted):
            others.append(Dimension(name, wanted, language.EMPTY, optional=True))
    return http, others


def _one(patterns: tuple[Pattern, ...] | None) -> Wanted:
    return () if patterns is None else (patterns,)


def _headers(box: Layer7) -> tuple[HeaderMatch, ...]:
    return box.http.headers if box.http else ()


_Listed = Callable[[Layer7], tuple[Pattern, ...] | None]

_HTTP: tuple[tuple[str, Node, str, _Listed], ...] = (
    ("method", language.METHODS, "", lambda box: box.http.methods if box.http else None),
    ("path", language.PATHS, "/", lambda box: box.http.paths if box.http else None),
    ("host", language.PATHS, "", lambda box: box.http.hosts if box.http else None),
)

_NAMES: tuple[tuple[str, _Listed], ...] = (
    ("dns", lambda box: box.dns),
    ("sni", lambda box: box.server_names),
)

_FLAGS: tuple[tuple[str, Callable[[Layer7], bool]], ...] = (
    ("authenticated", lambda box: box.authenticated),
    ("mtls", lambda box: box.mtls),
)
FLAGS = frozenset(name for name, _ in _FLAGS)
"""What a connection is or is not: value 1 that it is."""
