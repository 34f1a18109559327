"""Languages as trees: what patterns of every form are written as before they become automata."""

import msgspec

from ringfence.layer7.characters import ANY, NOT_NEWLINE, Ranges, complement, only, ranges
from ringfence.model.layer7 import DomainPattern, Form, Text, Wildcard

Pattern = Text | DomainPattern


class Literal(msgspec.Struct, frozen=True, tag=True):
    """One string; empty: the empty string."""

    text: str


class Chars(msgspec.Struct, frozen=True, tag=True):
    """One character of a set."""

    ranges: Ranges


class Concat(msgspec.Struct, frozen=True, tag=True):
    """One part behind the other."""

    parts: tuple["Node", ...]


class Alternate(msgspec.Struct, frozen=True, tag=True):
    """Any of the parts."""

    parts: tuple["Node", ...]


class Repeat(msgspec.Struct, frozen=True, tag=True):
    """A part, `low` to `high` times; None: without end."""

    part: "Node"
    low: int
    high: int | None


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Nothing, and only at the start of the string."""


class End(msgspec.Struct, frozen=True, tag=True):
    """Nothing, and only at the end of the string."""


Node = Literal | Chars | Concat | Alternate | Repeat | Begin | End

EMPTY = Literal("")
NOTHING = Alternate(())
"""The language without strings."""


def any_number_of(chars: Ranges) -> Repeat:
    """Return all strings over a set of characters."""
    return Repeat(Chars(chars), 0, None)


ANYTHING = any_number_of(ANY)
DOT_STAR = any_number_of(NOT_NEWLINE)
"""RE2's `.*`: in the universes below the same as everything."""

# -- universes: what strings there are at all ------------------------------------------------------

SENDABLE = complement(only("\0\r\n"))
"""What any part of an HTTP message may hold. Source: RFC 9110 section 5.5."""

VALUES = any_number_of(SENDABLE)
"""Values of headers."""

PATHS = Repeat(Chars(SENDABLE), 1, None)
"""Paths and hosts: never empty. Source: RFC 9113 section 8.3.1."""

METHODS = Repeat(
    Chars(ranges((*only("!#$%&'*+-.^_`|~"), (0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)))), 1, None
)
"""A token. Source: RFC 9110 sections 5.6.2 and 9.1."""

LABEL_CHARS = ranges((*only("-_"), (0x30, 0x39), (0x61, 0x7A)))
_LABEL = Repeat(Chars(LABEL_CHARS), 1, None)
_LABELS = Concat((_LABEL, Repeat(Concat((Literal("."), _LABEL)), 0, None)))

NAMES = _LABELS
"""Domain names in lower case, without a final dot: labels, none of them empty.

Source: Cilium `pkg/fqdn/matchpattern/matchpattern.go`, `allowedDNSCharsREGroup`."""


# -- patterns --------------------------------------------------------------------------------------


def of_pattern(pattern: Pattern) -> Node:
    """Return the language of a pattern.

    Raises:
        Undecidable: it is a regular expression that cannot be represented exactly.
    """
    return _of_text(pattern) if isinstance(pattern, Text) else _of_domain(pattern)


def _of_text(text: Text) -> Node:
    match text.form:
        case Form.EXACT:
            return Literal(text.value)
        case Form.PREFIX:
            return Concat((Literal(text.value), ANYTHING))
        case Form.SUFFIX:
            return Concat((ANYTHING, Literal(text.value)))
        case Form.SEGMENTS:
            # A slash at the end is the boundary already.
            stem = text.value.rstrip("/")
            below = Concat((Literal("/"), ANYTHING))
            return Concat((Literal(stem), Alternate((EMPTY, below))))
        case Form.REGEX:
            from ringfence.layer7 import regex  # noqa: PLC0415 - it is built from this file's nodes

            return regex.parse(text.value)


def _of_domain(domain: DomainPattern) -> Node:
    if "*" not in domain.pattern:
        return Literal(domain.pattern)
    match domain.wildcard:
        case Wildcard.LABELS:
            return _whole_labels(domain.pattern, leading_only=True)
        case Wildcard.COMPONENT:
            return _whole_labels(domain.pattern, leading_only=False)
        case Wildcard.CILIUM | Wildcard.CILIUM_BEFORE_1_19:
            return _cilium(domain)


def _whole_labels(pattern: str, *, leading_only: bool) -> Node:
    """Return the names in which every `*` that is a component stands for one or more labels.

    A `*` anywhere else is the character itself, which no name holds.
    """
    parts: list[Node] = []
    components = pattern.split(".")
    for number, component in enumerate(components):
        wild = component == "*" and (number == 0 < len(components) - 1 if leading_only else True)
        if number:
            parts.append(Literal("."))
        parts.append(_LABELS if wild else Literal(component))
    return Concat(tuple(parts))


def _cilium(domain: DomainPattern) -> Node:
    pattern = domain.pattern
    if not pattern.strip("*"):
        return NAMES
    parts: list[Node] = []
    rest = pattern.lstrip("*")
    stars = len(pattern) - len(rest)
    if stars >= 2 and rest.startswith(".") and domain.wildcard is Wildcard.CILIUM:
        parts.append(_LABELS)
        pattern = rest
    for number, piece in enumerate(pattern.split("*")):
        if number:
            parts.append(any_number_of(LABEL_CHARS))
        parts.append(Literal(piece))
    return Concat(tuple(parts))
