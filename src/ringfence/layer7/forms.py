"""One way of writing a pattern, so that equal languages are mostly equal values."""

from ringfence.layer7 import regex
from ringfence.layer7.characters import ANY, NOT_NEWLINE
from ringfence.layer7.language import (
    EMPTY,
    Alternate,
    Begin,
    Chars,
    Concat,
    End,
    Literal,
    Node,
    Pattern,
    Repeat,
)
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import Form, Text


def simplest(pattern: Pattern) -> Pattern:
    """Return a pattern, regular expressions in their canonical form."""
    return canonical(pattern) if isinstance(pattern, Text) else pattern


def canonical(text: Text) -> Text:
    """Return a pattern that holds for the same strings, in the simplest form that says it.

    A regular expression that is plain text becomes EXACT, with `.*` behind it PREFIX, before it
    SUFFIX, with `(/.*)?` behind it SEGMENTS. Strings hold no line breaks (RFC 9110 section 5.5),
    so that `.*` is everything. What cannot be understood is returned as it is.
    """
    if text.form is not Form.REGEX:
        return text
    try:
        node = regex.parse(text.value)
    except Undecidable:
        return text
    match _unanchored(node):
        case (Literal(value),):
            return Text(Form.EXACT, value)
        case ():
            return Text(Form.EXACT, "")
        case (tail,) if _is_dot_star(tail):
            return Text(Form.PREFIX, "")
        case (Literal(value), tail) if _is_dot_star(tail):
            return Text(Form.PREFIX, value)
        case (head, Literal(value)) if _is_dot_star(head):
            return Text(Form.SUFFIX, value)
        case (Literal(value), tail) if _is_below(tail) and not value.endswith("/"):
            return Text(Form.SEGMENTS, value)
        case _:
            return text


def _unanchored(node: Node) -> tuple[Node, ...]:
    """Return the parts of a concatenation without what only repeats that it is anchored."""
    parts = node.parts if isinstance(node, Concat) else (node,)
    while parts and isinstance(parts[0], Begin):
        parts = parts[1:]
    while parts and isinstance(parts[-1], End):
        parts = parts[:-1]
    return () if parts == (EMPTY,) else parts


def _is_dot_star(node: Node) -> bool:
    match node:
        case Repeat(Chars(chars), 0, None):
            return chars in (NOT_NEWLINE, ANY)
        case _:
            return False


def _is_below(node: Node) -> bool:
    """Return whether this is `(/.*)?`, or `(|/.*)` in either order."""
    match node:
        case Repeat(Concat((Literal("/"), tail)), 0, 1):
            return _is_dot_star(tail)
        case Alternate((Literal(""), Concat((Literal("/"), tail)))):
            return _is_dot_star(tail)
        case Alternate((Concat((Literal("/"), tail)), Literal(""))):
            return _is_dot_star(tail)
        case _:
            return False
