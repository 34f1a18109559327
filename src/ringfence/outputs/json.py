"""JSON for programs: one object, each row of it on a line of its own."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from ringfence.outputs import Output, Style, Writer
from ringfence.outputs._document import DOCUMENTS, Document, Part
from ringfence.outputs._rows import Rows

CHUNK_ROWS: Final = 2_000
"""Rows encoded at a time: enough for speed, few enough for memory."""


def rows(values: Sequence[Any]) -> Iterator[bytes]:
    """Yield a JSON array with one value a line, some thousand values at a time."""
    encode = msgspec.json.Encoder().encode_lines
    if not values:
        yield b"[]"
        return
    spelled = Rows()
    for first in range(0, len(values), CHUNK_ROWS):
        chunk = [spelled.row(value) for value in values[first : first + CHUNK_ROWS]]
        # Each row ends with a newline, and no row holds one: JSON escapes those in strings.
        lines = encode(chunk)[:-1].replace(b"\n", b",\n  ")
        yield (b",\n  " if first else b"[\n  ") + lines
    yield b"\n ]"


def document(parts: Sequence[Part]) -> Iterator[bytes]:
    """Yield an object of these keys and values."""
    before = b"{"
    for key, value in parts:
        yield before + msgspec.json.encode(key) + b": "
        before = b",\n "
        if isinstance(value, list | tuple):
            yield from rows(value)
        else:
            yield msgspec.json.encode(value)
    yield b"}\n"


def _writer(parts_of: Document) -> Writer:
    def write(answer: object, style: Style) -> Iterator[bytes]:  # noqa: ARG001
        return document(parts_of(answer))

    return write


OUTPUT: Final = Output({answer: _writer(parts_of) for answer, parts_of in DOCUMENTS.items()})
