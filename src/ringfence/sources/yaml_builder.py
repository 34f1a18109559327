"""Builds values from the events that libyaml tells, as go-yaml v2 and sigs.k8s.io/yaml do.

The lines of all parts are kept in one flat list, in the order in which `Document.lines` has them:
that of the events. Only `<<` and aliases need more: an alias repeats its anchor's lines, and an
object with `<<` is put in order at its end.

Source: go.yaml.in/yaml/v2 2.4.4 `decode.go`; sigs.k8s.io/yaml 1.6.0 `yaml.go`.
"""
# ruff: noqa: ANN401 - a value is whatever YAML can say, and libyaml's marks are typed as optional

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from ringfence.errors import InputError
from ringfence.model.document import count_positions
from ringfence.model.location import Location
from ringfence.sources.yaml_scalars import (
    MERGE_TAG,
    Scalar,
    excerpt,
    json_number,
    key_text,
    plain,
    tagged,
)

try:
    from yaml._yaml import CParser as EventParser
except ImportError:  # PyYAML was built without libyaml: its own parser tells the same, slowly

    class EventParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):  # type: ignore[no-redef]
        """PyYAML's own parser of events."""

        def __init__(self, stream: str) -> None:
            yaml.reader.Reader.__init__(self, stream)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)


MAX_DEPTH: Final = 256
"""How deep lists and objects may nest. The API server allows 10,000; objects that people write
stay below 100, and whatever walks over values here may then do so recursively."""
MAX_CHARACTERS: Final = 64 << 20
"""How long one document may be. The API server takes 3 MiB for an object; lists are longer."""
MAX_ALIASED: Final = 200_000
"""How many keys and items aliases may bring into a document.

go-yaml allows about 396,000 decoded nodes, and a key has two, before it asks for a better ratio.
Source: go-yaml v2 `decode.go` allowedAliasRatio.
"""

_BREAK: Final = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_UNUSUAL_BREAK: Final = re.compile(r"\r(?!\n)|[\x85\u2028\u2029]")


class Chunk(NamedTuple):
    """The text of one document: what stood between two lines that begin with `---`."""

    text: str
    """Without the `---`, but with what follows on its line."""
    line: int
    """The line of the file that the text begins with, from 1."""
    refused: str = ""
    """The beginning of what follows `---` on its line, where that is more than a comment."""


class Parsed(NamedTuple):
    """A document's value, and where its parts stood."""

    value: Any
    """Plain dict, list, str, int, float, bool, None; what aliases repeat is shared, not copied."""
    lines: list[int]
    """As `ringfence.model.document.Document.lines`. What an alias or a merge brings has the
    lines where it was written, beside its anchor."""
    line: int
    """Where the value begins."""
    rest: Chunk | None
    """What follows the end of the document without `---`, which kubectl does not read."""


class _Anchor:
    """What an anchor stands for."""

    __slots__ = ("done", "height", "lines", "value")

    def __init__(self, value: Any = None, *, done: bool = False) -> None:
        self.value = value
        """Of a word what it means before it goes through JSON: it may be used as a key."""
        self.lines: list[int] = []
        self.height = 0
        self.done = done
        """False before its end was seen: an alias to it would contain itself."""


class _Merged:
    """The keys of an object with `<<`: their lines are kept apart until its end is seen."""

    __slots__ = ("explicit", "segments")

    def __init__(self, found: dict[str, Any], lines: list[int], start: int) -> None:
        self.explicit = set(found)
        """Keys that the object itself gives: these may not be given again."""
        self.segments = _segments(found, lines, start)
        del lines[start:]


def _segments(value: dict[str, Any], lines: list[int], start: int) -> dict[str, list[int]]:
    """Return the lines of an object's parts by key, from the list where they begin at `start`."""
    segments = {}
    for key, child in value.items():
        end = start + 1 + count_positions(child)
        segments[key] = lines[start:end]
        start = end
    return segments


class Builder:
    """Builds the value of one document."""

    def __init__(self, chunk: Chunk, file: str) -> None:
        """Take the text of the document, and the file's name for messages."""
        self.chunk = chunk
        self.file = file
        self.next: Any = None
        self.lines: list[int] = []
        """As `Parsed.lines`, but as libyaml counts them."""
        self.anchors: dict[str, _Anchor] = {}
        self.aliased = 0
        self.deepest = 0

    def document(self) -> Parsed | None:
        """Return the first document of the text; None if there is nothing or `null`.

        Raises:
            InputError: the events make no value that Kubernetes can have.
            yaml.YAMLError: it is no YAML.
            UnicodeEncodeError: it holds lone surrogates.
        """
        self.next = EventParser(self.chunk.text).get_event
        self.next()
        if self.next().__class__ is not DocumentStartEvent:
            return None
        event = self.next()
        value = self.value(event, 0)
        rest = self.rest(self.next().end_mark.index)
        if value is None and rest is None:
            return None
        places = self.places()
        lines = [places[line] for line in self.lines]
        return Parsed(value, lines, places[event.start_mark.line], rest)

    def rest(self, index: int) -> Chunk | None:
        """Return what follows the end of the document; None for comments and nothing."""
        try:
            if self.next().__class__ is StreamEndEvent:
                return None
        except yaml.YAMLError:
            pass  # whatever is wrong there, it is no part of the document
        text = self.chunk.text
        index += len(text) - index - len(text[index:].lstrip())
        return Chunk(text[index:], self.chunk.line + text.count("\n", 0, index))

    def value(self, event: Any, depth: int) -> Any:
        """Return the value that begins with an event, and append the lines of its parts."""
        kind = event.__class__
        if kind is ScalarEvent:
            scalar = self.scalar(event)
            return scalar if scalar.__class__ is str else self.number(scalar, event)
        if kind is AliasEvent:
            anchor = self.alias(event, depth)
            self.lines += anchor.lines
            return self.number(anchor.value, event)
        if depth == MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} levels deep", event.start_mark.line)
        build = self.mapping if kind is MappingStartEvent else self.sequence
        if event.anchor is None:
            return build(depth + 1)
        return self.anchored(event.anchor, build, depth + 1)

    def mapping(self, depth: int) -> dict[str, Any]:
        """Return the object whose start was just seen."""
        self.deepest = max(self.deepest, depth)
        following, lines = self.next, self.lines
        start = len(lines)
        found: dict[str, Any] = {}
        merged: _Merged | None = None
        while (event := following()).__class__ is not MappingEndEvent:
            if event.__class__ is ScalarEvent and event.value == "<<" and _is_merge(event):
                merged = merged or _Merged(found, lines, start)
                self.merge(following(), found, merged, depth)
                continue
            key = self.key(event)
            here = len(lines)
            if key in (found if merged is None else merged.explicit):
                segments = merged.segments if merged else _segments(found, lines, start)
                first = self.places()[segments[key][0]]
                self.fail(
                    f"key `{excerpt(key)}` is given twice, first in line {first}",
                    event.start_mark.line,
                )
            lines.append(event.start_mark.line)
            found[key] = self.value(following(), depth)
            if merged is not None:
                merged.explicit.add(key)
                merged.segments[key] = lines[here:]
                del lines[here:]
        if merged is not None:
            for key in found:
                lines += merged.segments[key]
        return found

    def merge(self, event: Any, found: dict[str, Any], merged: _Merged, depth: int) -> None:
        """Put into an object what the value of its `<<` brings."""
        lines = self.lines
        start = len(lines)
        value = self.value(event, depth)
        several = event.__class__ is SequenceStartEvent
        sources = value if several else [value]
        if not all(isinstance(source, dict) for source in sources):
            self.fail("`<<` takes an object or a list of objects", event.start_mark.line)
        brought = []
        position = start
        for source in sources:
            position += several  # the line of the list's item
            brought.append(_segments(source, lines, position))
            position += count_positions(source)
        del lines[start:]
        # The first of several takes precedence, so it is put in last.
        for source, segments in zip(reversed(sources), reversed(brought), strict=True):
            found.update(source)
            merged.segments.update(segments)

    def sequence(self, depth: int) -> list[Any]:
        """Return the list whose start was just seen."""
        self.deepest = max(self.deepest, depth)
        following, lines = self.next, self.lines
        found = []
        while (event := following()).__class__ is not SequenceEndEvent:
            lines.append(event.start_mark.line)
            found.append(self.value(event, depth))
        return found

    def anchored(self, name: str, build: Callable[[int], Any], depth: int) -> Any:
        """Return the object or list whose start was just seen, and keep it for its aliases."""
        anchor = self.anchors[name] = _Anchor()
        start, above, self.deepest = len(self.lines), self.deepest, depth
        anchor.value = build(depth)
        anchor.lines = self.lines[start:]
        anchor.height = self.deepest - depth + 1
        anchor.done = True
        self.deepest = max(above, self.deepest)
        return anchor.value

    def alias(self, event: Any, depth: int) -> _Anchor:
        """Return what an alias stands for, within the limits of what aliases may bring."""
        line = event.start_mark.line
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            self.fail(f"no anchor `&{excerpt(event.anchor)}` stands before this alias", line)
        if not anchor.done:
            self.fail(f"`&{excerpt(event.anchor)}` contains itself", line)
        self.aliased += 1 + len(anchor.lines)
        if self.aliased > MAX_ALIASED:
            self.fail(f"aliases bring more than {MAX_ALIASED:,} keys and items", line)
        if depth + anchor.height > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} levels deep", line)
        self.deepest = max(self.deepest, depth + anchor.height)
        return anchor

    def scalar(self, event: Any) -> Scalar:
        """Return what a word means, before it goes through JSON."""
        tag: str | None = event.tag
        text: str = event.value
        if tag is None:
            scalar = plain(text) if event.implicit[0] else text
        else:
            try:
                scalar = tagged(tag, text)
            except ValueError as error:
                self.fail(str(error), event.start_mark.line)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(scalar, done=True)
        return scalar

    def number(self, value: Any, event: Any) -> Any:
        """Return a value as it comes out of JSON, which only concerns numbers."""
        if value.__class__ is not int and value.__class__ is not float:
            return value
        try:
            return json_number(value)
        except ValueError as error:
            self.fail(str(error), event.start_mark.line)

    def key(self, event: Any) -> str:
        """Return the text of a key."""
        kind = event.__class__
        key: Any = []
        if kind is ScalarEvent:
            key = self.scalar(event)
            if key.__class__ is str:
                return key
        elif kind is AliasEvent:
            key = self.alias(event, 0).value
        if isinstance(key, dict | list):
            self.fail("a key must be a word, not an object or a list", event.start_mark.line)
        try:
            return key_text(key)
        except ValueError as error:
            self.fail(str(error), event.start_mark.line)

    def places(self) -> Sequence[int]:
        """Return the line of the file for each line that libyaml counts.

        YAML 1.1 also ends lines at some characters that editors do not.
        """
        text, first, _ = self.chunk
        if (text.isascii() and "\r" not in text) or not _UNUSUAL_BREAK.search(text):
            return range(first, first + text.count("\n") + 1)
        places = [first]
        for match in _BREAK.finditer(text):
            places.append(places[-1] + match[0].endswith("\n"))
        return places

    def fail(self, message: str, line: int) -> NoReturn:
        """Raise an error at a line that libyaml counted, which may be one behind the last."""
        places = self.places()
        raise InputError(message, Location(self.file, places[min(line, len(places) - 1)]))

    def fail_at(self, message: str, index: int) -> NoReturn:
        """Raise an error at a character of the text."""
        line = self.chunk.line + self.chunk.text.count("\n", 0, index)
        raise InputError(message, Location(self.file, line))


def _is_merge(event: Any) -> bool:
    """Return whether a word that reads `<<` is the merge key, as it is unless quoted."""
    return bool(event.implicit[0]) or event.tag == MERGE_TAG
