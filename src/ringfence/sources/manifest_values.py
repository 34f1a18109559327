"""The values of a text, one by one, each knowing its lines, whether it is YAML or JSON.

A text is read as JSON, and as several values of JSON in a row, for as long as it is that; from
where it is not, it is YAML. Source: apimachinery 0.37 `pkg/util/yaml/decoder.go`
YAMLOrJSONDecoder.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from ringfence.errors import InputError
from ringfence.model.document import count_positions
from ringfence.model.location import Location
from ringfence.sources import kubernetes_json, kubernetes_yaml
from ringfence.sources.kubernetes_json import Extent
from ringfence.sources.kubernetes_yaml import Chunk

_BAD_BYTE: Final = re.compile("[\udc80-\udcff]")
_JSON_LIKE: Final = re.compile(r'\s*[\[{]\s*["\[{]')


class Part(Protocol):
    """A value and its place."""

    @property
    def value(self) -> Any:  # noqa: ANN401 - whatever YAML or JSON can say
        """Plain dict, list, str, int, float, bool, None."""

    @property
    def line(self) -> int:
        """The line of an object's first key; of the value itself where it has none."""

    def lines(self) -> list[int]:
        """Return the line of every key and item, as `Document.lines` has them.

        Raises:
            InputError: the value nests too deep.
        """

    def lines_at_hand(self) -> list[int]:
        """Return the same where that costs next to nothing, else an empty list."""

    def items(self) -> Iterator["Part"]:
        """Yield what the value, an object, has in the list under its key `items`."""


class Broken(NamedTuple):
    """Text that could not be read, and why."""

    error: InputError
    text: str


@dataclass(frozen=True, slots=True)
class _YamlPart:
    """A value within a document of YAML."""

    value: Any
    begin: int
    """The line that the value begins in."""
    document_lines: list[int]
    start: int
    """Where in `document_lines` the value's own begin."""

    @property
    def line(self) -> int:
        if not (isinstance(self.value, dict) and self.value):
            return self.begin
        # What a merge brings first was written further up.
        return max(self.begin, self.document_lines[self.start])

    def lines(self) -> list[int]:
        if self.start == 0:
            return self.document_lines  # the document itself: an item has a line before its own
        return self.document_lines[self.start : self.start + count_positions(self.value)]

    def lines_at_hand(self) -> list[int]:
        return self.lines()

    def items(self) -> Iterator[Part]:
        position = self.start
        for key, child in self.value.items():
            if key == "items":
                break
            position += 1 + count_positions(child)
        for item in self.value["items"]:
            position += 1
            yield _YamlPart(item, self.document_lines[position], self.document_lines, position + 1)
            position += count_positions(item)


@dataclass(frozen=True, slots=True)
class _JsonPart:
    """A value within a text of JSON."""

    extent: Extent
    text: str
    file: str

    @property
    def value(self) -> Any:  # noqa: ANN401 - whatever JSON can say
        return self.extent.value

    @property
    def line(self) -> int:
        _, start, end, line, _ = self.extent
        first_key = self.text.find('"', start, end) if isinstance(self.value, dict) else -1
        return line if first_key < 0 else line + self.text.count("\n", start, first_key)

    def lines(self) -> list[int]:
        _, start, _, line, _ = self.extent
        return kubernetes_json.lines_of(self.text, start, line, self.file)

    def lines_at_hand(self) -> list[int]:
        return []

    def items(self) -> Iterator[Part]:
        _, start, _, line, items = self.extent
        if not items and self.value["items"]:
            # A list within a list was decoded as a whole: now its items' places are needed.
            items = kubernetes_json.parse(self.text, start, line, self.file).items
        for item in items:
            yield _JsonPart(item, self.text, self.file)


def read(text: str, file: str) -> Iterator[Part | Broken]:
    """Yield the values of a text in their order, and the stretches that could not be read.

    Args:
        text: bytes that are no UTF-8 stand in it as lone surrogates (`surrogateescape`).
        file: for locations.
    """
    start = kubernetes_json.next_value(text, 0)
    if not text.startswith(("{", "["), start):
        return _yaml(text, 1, file)
    return _json(kubernetes_json.repaired(text), start, file)


def _json(text: str, start: int, file: str) -> Iterator[Part | Broken]:
    """Yield the values of a text that begins as JSON does."""
    line, end = 1, 0
    bad = _BAD_BYTE.search(text)
    while start < len(text):
        line += text.count("\n", end, start)
        try:
            extent = kubernetes_json.parse(text, start, line, file)
            end = extent.end
            if bad and bad.start() < end:
                bad_line = line + text.count("\n", start, bad.start())
                raise InputError("bad UTF-8", Location(file, bad_line))
            yield _JsonPart(extent, text, file)
        except json.JSONDecodeError as error:
            yield from _instead_of_json(text[start:], line, file, error)
            return
        except InputError as error:
            end = kubernetes_json.end_of(text, start)
            yield Broken(error, text[start:end])
        if bad:
            bad = _BAD_BYTE.search(text, end)
        line += text.count("\n", start, end)
        start = kubernetes_json.next_value(text, end)


def _instead_of_json(
    text: str, line: int, file: str, error: json.JSONDecodeError
) -> Iterator[Part | Broken]:
    """Yield the values of YAML that begins like JSON, or the error of the JSON that it looks."""
    json_error = InputError(
        f"invalid JSON: {error.msg[:1].lower()}{error.msg[1:]}", Location(file, error.lineno)
    )
    for index, part in enumerate(_yaml(text, line, file)):
        if index == 0 and isinstance(part, Broken) and _JSON_LIKE.match(text):
            yield Broken(json_error, part.text)
        else:
            yield part


def _yaml(text: str, line: int, file: str) -> Iterator[Part | Broken]:
    """Yield the values of a stream of YAML that begins in a line of its file."""
    for chunk in kubernetes_yaml.split(text):
        placed = chunk if line == 1 else Chunk(chunk.text, chunk.line + line - 1, chunk.refused)
        try:
            parsed = kubernetes_yaml.parse(placed, file)
        except InputError as error:
            yield Broken(error, chunk.text)
            continue
        if parsed is None:
            continue
        if parsed.value is not None:
            yield _YamlPart(parsed.value, parsed.line, parsed.lines, 0)
        if parsed.rest is not None:
            message = "what follows is not read by kubectl: put `---` before it"
            yield Broken(InputError(message, Location(file, parsed.rest.line)), parsed.rest.text)
