"""Writes YAML and comments that mean the same to every reader of YAML, old or new."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

WIDTH: Final = 96

_PLAIN: Final = re.compile(
    r"[A-Za-z]((?:[A-Za-z0-9 ,.;()\[\]/_=+-]|:(?=[^ ]))*[A-Za-z0-9.)\]])?"
    r"|/[A-Za-z0-9/_.*-]*"
    r"|[0-9]{1,5}(-[0-9]{1,5})?/[A-Z]+|[0-9]{1,5}-[0-9]{1,5}"
    r"|[0-9]+(\.[0-9]+){3}(/[0-9]+)?"
)
"""Text that needs no quotes: words, paths, `53/UDP`, `8000-8100`, addresses of IPv4."""
_MISREAD: Final = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "none")
)
"""What some version of YAML, or a careless reader of it, takes for something else than text."""


class OneLine(tuple[str | int, ...]):
    """Short values to be written on one line: `[8080, metrics]`."""

    __slots__ = ()


def scalar(value: str | float | bool) -> str:  # noqa: FBT001 - a value, not a switch
    """Return a value as YAML writes it; text is quoted wherever a reader might misread it."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _MISREAD and "  " not in value:
        return value
    return _quoted(value)


def _quoted(value: str) -> str:
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(char: str) -> str:
    code = ord(char)
    if char in '"\\':
        return "\\" + char
    if 0x20 <= code < 0x7F:
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\U{code:08x}"


def block(value: Any, indent: int = 0) -> Iterator[str]:  # noqa: ANN401
    """Yield the lines of a value in block style, the keys in the order given."""
    space = " " * indent
    if isinstance(value, dict) and value:
        for key, child in value.items():
            if isinstance(child, dict | list) and child:
                yield f"{space}{scalar(key)}:"
                yield from block(child, indent + 2)
            else:
                yield f"{space}{scalar(key)}: {_inline(child)}"
    elif isinstance(value, list) and value:
        for child in value:
            yield from item(child, indent)
    else:
        yield space + _inline(value)


def item(value: Any, indent: int) -> Iterator[str]:  # noqa: ANN401
    """Yield the lines of one item of a list."""
    lines = block(value, indent + 2)
    yield " " * indent + "- " + next(lines).lstrip(" ")
    yield from lines


def _inline(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, OneLine):
        return f"[{', '.join(map(_in_flow, value))}]"
    if isinstance(value, dict):
        return "{}"
    return "[]" if isinstance(value, list) else scalar(value)


def _in_flow(value: str | int) -> str:
    """Return a value between brackets, where commas and brackets must be quoted."""
    if isinstance(value, str) and any(char in ",[]{}" for char in value):
        return _quoted(value)
    return scalar(value)


def comment(sentences: Iterable[str], indent: int = 0, hang: int = 2) -> Iterator[str]:
    """Yield comment lines: each sentence begins a line of its own and is wrapped to `WIDTH`.

    Control characters, line separators among them, become spaces: no text can leave the comment.

    Args:
        sentences: an empty one gives an empty comment line.
        indent: columns before the `#`.
        hang: by how many more the continuation lines are set in.
    """
    start = " " * indent + "#"
    for sentence in sentences:
        line = start
        words = "".join(char if char.isprintable() else " " for char in sentence).split()
        for position, word in enumerate(words):
            if position and len(line) + 1 + len(word) > WIDTH:
                yield line
                line = start + " " * hang
            line += " " + word
        yield line


def type_text(value: object) -> str:
    """Return a value's type in the words of a manifest's author."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the truth value `{str(value).lower()}`"
        case int() | float():
            return f"the number `{value}`"
        case str():
            return f"the text `{value[:60]}`"
        case list():
            return "a list"
        case _:
            return "a map"
