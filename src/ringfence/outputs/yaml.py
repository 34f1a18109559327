"""YAML for people who read what programs read: the same shape as the JSON.

Written by hand, row by row: PyYAML needs the whole document in memory, and a minute for a
million rows.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from ringfence.outputs import Output, Style, Writer
from ringfence.outputs._document import DOCUMENTS, Document, Part
from ringfence.outputs._rows import Rows
from ringfence.outputs._words import encoded

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*([./][A-Za-z0-9_./-]*)?")
"""Strings that no reader of YAML takes for anything else …"""
_TAKEN = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""… other than these words."""
_CACHED_SCALARS = 1 << 16


@functools.lru_cache(_CACHED_SCALARS, typed=True)
def scalar(value: str | float | None) -> str:
    """Return a value that holds no other values as YAML 1.1 and 1.2 both read it."""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if _PLAIN.fullmatch(value) and value.lower() not in _TAKEN:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped)
    return f'"{escaped}"'


def block(value: Any, indent: str) -> Iterator[str]:  # noqa: ANN401
    """Yield a value that follows a key or a dash: its first line is to be put behind that."""
    if isinstance(value, dict) and value:
        first = True
        for key, child in value.items():
            yield from _entry(f"{'' if first else indent}{scalar(key)}:", child, indent)
            first = False
    elif isinstance(value, list | tuple) and value:
        for number, child in enumerate(value):
            lines = block(child, indent + "  ")
            yield f"{indent if number else ''}- {next(lines)}"
            yield from lines
    elif isinstance(value, dict | list | tuple):
        yield "{}" if isinstance(value, dict) else "[]"
    else:
        yield scalar(value)


def _entry(key: str, value: Any, indent: str) -> Iterator[str]:  # noqa: ANN401
    """Yield a key with its value: beside it where that is short, else below it."""
    if isinstance(value, dict | list | tuple) and value:
        yield key
        inner = indent + ("  " if isinstance(value, dict) else "")
        lines = block(value, inner)
        yield inner + next(lines)
        yield from lines
    else:
        yield f"{key} {next(block(value, indent))}"


def _lines(parts: Sequence[Part]) -> Iterator[str]:
    spelled = Rows()
    for key, value in parts:
        if isinstance(value, list | tuple) and value:
            yield f"{key}:"
            for row in value:
                lines = block(msgspec.to_builtins(spelled.row(row)), "  ")
                yield f"- {next(lines)}"
                yield from lines
        else:
            yield from _entry(f"{key}:", msgspec.to_builtins(value), "")


def _writer(parts_of: Document) -> Writer:
    def write(answer: object, style: Style) -> Iterator[bytes]:  # noqa: ARG001
        return encoded(_lines(parts_of(answer)))

    return write


OUTPUT: Final = Output({answer: _writer(parts_of) for answer, parts_of in DOCUMENTS.items()})
