"""JSON as Kubernetes reads it, fast, with lines only where somebody asks for them.

The standard library decodes. The items of a list are decoded one by one, so that each is known
by its place in the text; the lines of an object's parts are worked out by a second look at it.

Source: apimachinery 0.37 `pkg/util/yaml/decoder.go` YAMLOrJSONDecoder; Go `encoding/json`, which
puts U+FFFD in place of half a surrogate pair.
"""

import json
import math
import re
from typing import Any, Final, NamedTuple

from ringfence.errors import InputError
from ringfence.model.location import Location
from ringfence.sources.yaml_builder import MAX_CHARACTERS, MAX_DEPTH
from ringfence.sources.yaml_scalars import excerpt, json_number

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:\n]|[^\s{}\[\],:"]+', re.DOTALL)
_SURROGATE: Final = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_SAFE_DIGITS: Final = 18
"""A number of no more characters fits into 64 bits."""


class Extent(NamedTuple):
    """A value, and where it stands in its text."""

    value: Any
    start: int
    end: int
    """Behind its last character."""
    line: int
    """The line that it begins in, from 1."""
    items: tuple["Extent", ...] = ()
    """What stands under the value's own key `items`, where that holds a list."""


class _RefusedError(ValueError):
    """Something that is JSON, or nearly, and that Kubernetes cannot have."""

    def __init__(self, message: str, token: str) -> None:
        super().__init__(message)
        self.message = message
        self.token = token
        """How it is written; empty for a duplicate key."""


def repaired(text: str) -> str:
    r"""Return the text with `\ufffd` in place of every half of a surrogate pair.

    Python would make strings of those that nothing can print. The length stays the same.
    """
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return _SURROGATE.sub(lambda match: "\\ufffd" if match[1] else match[0], text)


def next_value(text: str, start: int) -> int:
    """Return where the next value begins, behind white space."""
    match = _SPACE.match(text, start)
    return match.end() if match else start


def parse(text: str, start: int, line: int, file: str) -> Extent:
    """Return the value that begins at a place of the text.

    Nesting is limited by what the standard library can decode; `lines_of` is stricter.

    Args:
        text: has no halves of surrogate pairs, see `repaired`.
        start: where the value begins; no white space.
        line: the line that this is in, from 1.
        file: for messages.

    Raises:
        json.JSONDecodeError: it is no JSON; it may be YAML.
        InputError: it is JSON that cannot be read, with file and line.
    """
    try:
        if text.startswith("{", start):
            extent = _object_at(text, start, line)
            if extent.end - start > MAX_CHARACTERS and not extent.items:
                message = f"an object of {(extent.end - start) >> 20} MiB: too large to be read"
                raise InputError(message, Location(file, line))
            return extent
        value, end = _DECODER.raw_decode(text, start)
    except _RefusedError as error:
        if not error.token:
            lines_of(text, start, line, file)  # raises, as it comes upon the key
        tokens = _TOKEN.finditer(text, start)
        place = next((m.start() for m in tokens if m[0].startswith(error.token)), start)
        line += text.count("\n", start, place)
        raise InputError(error.message, Location(file, line)) from error
    except RecursionError as error:
        raise InputError("nested too deep to be read", Location(file, line)) from error
    return Extent(value, start, end, line)


def end_of(text: str, start: int) -> int:
    """Return the place behind a value that may be malformed, as far as its brackets tell."""
    depth = 0
    for match in _TOKEN.finditer(text, start):
        depth += (match[0] in ("{", "[")) - (match[0] in ("}", "]"))
        if depth == 0:
            return match.end()
    return len(text)


def lines_of(text: str, start: int, line: int, file: str) -> list[int]:
    """Return the line of every key and list item of a value, as `Document.lines` has them.

    Args:
        text: what stands at `start` has been decoded without an error, but for duplicate keys.
        start: where the value begins.
        line: the line that this is in, from 1.
        file: for messages.

    Raises:
        InputError: a key is given twice, or the value nests too deep.
    """
    lines: list[int] = []
    # For each object or list that is open: the lines of its keys by key; None for a list.
    keys: list[dict[str, int] | None] = []
    is_key = False
    for match in _TOKEN.finditer(text, start):
        token = match[0]
        if token == "\n":
            line += 1
            continue
        if token in ("}", "]"):
            keys.pop()
            is_key = False
        elif token == ",":
            is_key = keys[-1] is not None
        elif token != ":":
            if keys and (seen := keys[-1]) is None:
                lines.append(line)
            elif is_key and seen is not None:
                key = json.loads(token)
                if key in seen:
                    first = seen[key]
                    message = f"key `{excerpt(key)}` is given twice, first in line {first}"
                    raise InputError(message, Location(file, line))
                seen[key] = line
                lines.append(line)
                is_key = False
            if token in ("{", "["):
                is_key = token == "{"
                keys.append({} if is_key else None)
                if len(keys) > MAX_DEPTH:
                    message = f"nested more than {MAX_DEPTH} levels deep"
                    raise InputError(message, Location(file, line))
        if not keys:
            break
    return lines


def _object_at(text: str, start: int, line: int) -> Extent:
    """Return an object, and where the items of its key `items` stand."""
    pairs: list[tuple[str, Any]] = []
    items: tuple[Extent, ...] = ()
    index = next_value(text, start + 1)
    while not (text.startswith("}", index) and not pairs):
        if not text.startswith('"', index):
            raise json.JSONDecodeError(
                "Expecting property name enclosed in double quotes", text, index
            )
        key, index = _DECODER.raw_decode(text, index)
        index = next_value(text, index)
        if not text.startswith(":", index):
            raise json.JSONDecodeError("Expecting ':' delimiter", text, index)
        index = next_value(text, index + 1)
        if key == "items" and text.startswith("[", index):
            items, index = _items_at(text, index, line + text.count("\n", start, index))
            value: Any = [item.value for item in items]
        else:
            value, index = _DECODER.raw_decode(text, index)
        pairs.append((key, value))
        index = next_value(text, index)
        if text.startswith("}", index):
            break
        index = _behind_comma(text, index)
    return Extent(_object(pairs), start, index + 1, line, items)


def _items_at(text: str, start: int, line: int) -> tuple[tuple[Extent, ...], int]:
    """Return the items of a list, and the place behind its end."""
    items: list[Extent] = []
    counted = start
    index = next_value(text, start + 1)
    while not (text.startswith("]", index) and not items):
        line += text.count("\n", counted, index)
        counted = index
        value, end = _DECODER.raw_decode(text, index)
        items.append(Extent(value, index, end, line))
        index = next_value(text, end)
        if text.startswith("]", index):
            break
        index = _behind_comma(text, index)
    return tuple(items), index + 1


def _behind_comma(text: str, index: int) -> int:
    """Return where what follows a comma begins."""
    if not text.startswith(",", index):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, index)
    return next_value(text, index + 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RefusedError("a key is given twice", "")
    return found


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _SAFE_DIGITS else _real(text)


def _real(text: str) -> int | float:
    """Return a number as it comes out of kubectl, which writes it anew."""
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError(f"the number `{excerpt(text)}` is out of range", text)
    if text.lstrip("-").isdigit() and abs(value) < 1 << 64:
        return json_number(int(text))
    return json_number(value)


def _no_number(text: str) -> None:
    raise _RefusedError(f"JSON has no `{text}`", text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_real,
    parse_int=_integer,
    parse_constant=_no_number,
)
