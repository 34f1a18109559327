"""YAML as Kubernetes reads it, with the line of every key and list item.

libyaml tells the events; the values are built here, because no loader of PyYAML has the rules of
go-yaml v2 that Kubernetes goes by, and none tells where things stood. Where YAML and Kubernetes
differ, Kubernetes is followed:

- `<<` merges where it stands: what it brings replaces keys before it, and keys after it replace
  what it brought.
- Documents are parted by lines that begin with `---`, and nothing but a comment may follow on
  such a line.
- One document is read between two such lines. What follows its end (`...`) is ignored by
  kubectl and applied by other tools, so it is told and not read.

It is stricter in one thing: a key given twice is an error, as under strict decoding, where
`kubectl apply` would quietly let the last one win.

Source: go.yaml.in/yaml/v2 2.4.4 `decode.go`; sigs.k8s.io/yaml 1.6.0 `yaml.go`; apimachinery 0.37
`pkg/util/yaml/decoder.go` YAMLReader.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from ringfence.errors import InputError
from ringfence.model.location import Location
from ringfence.sources.yaml_builder import MAX_CHARACTERS, Builder, Chunk, Parsed

__all__ = ["Chunk", "Parsed", "parse", "split"]

_SEPARATOR: Final = re.compile(r"^---(?:[^\S\n]*([^#\s].{0,40}))?", re.MULTILINE)
_INDENTED_BY_TAB: Final = re.compile(r" *\t[^\s{}\[\],\"]")
"""In JSON, which tabs may indent, nothing but these begins a line."""


def split(text: str) -> Iterator[Chunk]:
    """Yield the documents of a stream in their order, empty ones included."""
    start, line, refused = 0, 1, ""
    for match in _SEPARATOR.finditer(text):
        before = text[start : match.start()]
        if _only_directives(before):
            continue
        yield Chunk(before, line, refused)
        line += before.count("\n")
        start, refused = match.start() + 3, match[1] or ""
    yield Chunk(text[start:], line, refused)


def _only_directives(text: str) -> bool:
    """Return whether there is `%YAML` or `%TAG` and nothing else: they belong to what follows."""
    if not (text.startswith("%") or "\n%" in text):
        return False
    return all(line.startswith(("%", "#")) or not line.strip() for line in text.split("\n"))


def parse(chunk: Chunk, file: str) -> Parsed | None:
    """Return the value of a document; None if there is nothing but comments or `null`.

    Raises:
        InputError: it is no YAML, or none that Kubernetes can read; with file and line.
    """
    try:
        return _parse(chunk, file)
    except InputError as error:
        if "{{" not in chunk.text:
            raise
        raise InputError(
            f"{error.message}; `{{{{` suggests a template: render it first, for example with"
            " `helm template`",
            error.location,
        ) from error


def _parse(chunk: Chunk, file: str) -> Parsed | None:
    text = chunk.text
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"a document of {len(text) >> 20} MiB: YAML is read up to {MAX_CHARACTERS >> 20} MiB"
            " (a long list of objects is read as JSON)",
            Location(file, chunk.line),
        )
    if chunk.refused:
        raise InputError(
            f"only a comment may follow `---` on its line, not `{chunk.refused}`",
            Location(file, chunk.line),
        )
    builder = Builder(chunk, file)
    try:
        return builder.document()
    except yaml.MarkedYAMLError as error:
        builder.fail(*_explained(error, text))
    except yaml.reader.ReaderError as error:
        index = max(text.find(chr(error.character)), 0)
        hint = " (UTF-16 without a byte order mark?)" if error.character == 0 else ""
        builder.fail_at(f"character U+{error.character:04X} is not allowed{hint}", index)
    except UnicodeEncodeError as error:
        # Bad bytes come decoded with `surrogateescape`: the documents beside them can be read.
        builder.fail_at("bad UTF-8", error.start)


def _explained(error: yaml.MarkedYAMLError, text: str) -> tuple[str, int]:
    """Return a message and the line, counted by libyaml, that a person would look at."""
    begin: Any = error.context_mark
    mark: Any = error.problem_mark or begin
    problem = error.problem or "cannot be parsed"
    start_of_line = text.rfind("\n", 0, mark.index) + 1
    if "tab character" in problem or _INDENTED_BY_TAB.match(text, start_of_line):
        return "a tab in the indentation: YAML allows only spaces there", mark.line
    if "cannot start any token" in problem:
        found = text[mark.index : mark.index + 1]
        return f"invalid YAML: `{found}` cannot begin a value unless it is quoted", mark.line
    message = f"invalid YAML: {problem}"
    if error.context and begin is not None and begin.line != mark.line:
        if error.context in ("while scanning a simple key", "while scanning a quoted scalar"):
            # libyaml noticed only further down what is wrong in the line where it began.
            return f"{message} {error.context}", begin.line
        lines = mark.line - begin.line
        message += f" {error.context} that begins {lines} line{'s' * (lines > 1)} above"
    return message, mark.line
