"""Reads a dependency map: strictly, with the line of everything that is wrong in it.

A key that is not known is an error, never ignored: in a map, a misspelled `ports` would be a
hole or an outage.
"""

import difflib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

import msgspec

from ringfence.assemble.distinctions import PER_POD_LABELS
from ringfence.errors import InputError
from ringfence.learn import dependency_map as written
from ringfence.learn.dependency_map import (
    ANY_TRAFFIC,
    API_VERSION,
    KIND,
    Block,
    Dependency,
    DependencyMap,
    Domain,
    End,
    Entry,
    HttpRequest,
    Malformed,
    Place,
    Pods,
    Port,
    ServiceName,
    WorkloadName,
)
from ringfence.model.document import Document, Path, PathPart
from ringfence.model.location import Location, Problem
from ringfence.sources import kubernetes_yaml
from ringfence.yaml_text import type_text

T = TypeVar("T")

MAP_KEYS: Final = ("apiVersion", "kind", "metadata", "namespaces", "dns", "workloads")
ENTRY_KEYS: Final = ("workload", "pods", "owner", "calls", "callers")
DEPENDENCY_KEYS: Final = ("ports", "http", "owner", "reason", "evidence")
PODS_KEYS: Final = ("namespace", "namespaceLabels", "labels")
HTTP_KEYS: Final = ("methods", "path")


class MapReading(msgspec.Struct, frozen=True):
    """What came of reading a map."""

    map: DependencyMap | None
    """None where there are problems: half a map is not what its author meant."""
    problems: tuple[Problem, ...] = ()
    """All of them at once, in the order of their lines."""


def read_file(path: str) -> MapReading:
    """Return the map in a file; `-` is standard input.

    Raises:
        InputError: the file cannot be read at all.
    """
    try:
        raw = sys.stdin.buffer.read() if path == "-" else FilePath(path).read_bytes()
    except OSError as error:
        raise InputError(f"`{path}`: {error.strerror or error}".lower()) from error
    return read_text(raw.decode("utf-8-sig", "surrogateescape"), path)


def read_text(text: str, file: str) -> MapReading:
    """Return the map in a text.

    Args:
        text: YAML; bytes that are no UTF-8 stand in it as lone surrogates.
        file: what to call it in messages.
    """
    found: list[Document] = []
    try:
        for chunk in kubernetes_yaml.split(text):
            parsed = kubernetes_yaml.parse(chunk, file)
            if parsed is not None:
                body = parsed.value if isinstance(parsed.value, dict) else {"": parsed.value}
                lines = tuple(parsed.lines) if isinstance(parsed.value, dict) else ()
                found.append(Document("", "", "", "", body, file, parsed.line, lines))
    except InputError as error:
        location = error.location or Location(file)
        return MapReading(None, (Problem(error.message, location, (KIND,)),))
    if len(found) != 1:
        many = "holds no document" if not found else "holds more than one document"
        line = found[1].line if found else None
        problem = Problem(f"{many}: a dependency map is one", Location(file, line), (KIND,))
        return MapReading(None, (problem,))
    return _Reader(found[0]).map()


class _Reader:
    """Reads one document, and goes on after what it could not read, to tell all of it at once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.lines = dict(_lines(document.body, (), iter(document.lines)))
        self.problems: list[Problem] = []

    def map(self) -> MapReading:
        body = self.document.body
        if body.get("apiVersion") != API_VERSION or body.get("kind") != KIND:
            given = f"`{body.get('apiVersion')}`, `{body.get('kind')}`"
            self.fail((), f"no dependency map: expected `{API_VERSION}`, `{KIND}`, found {given}")
            return MapReading(None, tuple(self.problems))
        given_map = self.fields(body, (), MAP_KEYS)
        metadata = self.fields(given_map.get("metadata", {}), ("metadata",), ("name",))
        name = self.text(metadata.get("name", ""), ("metadata", "name"))
        namespaces = [
            self.namespace(value, path) for path, value in self.items(given_map, (), "namespaces")
        ]
        if not namespaces:
            self.fail((), "`namespaces` is missing: say which namespaces the map covers")
        for index, namespace in enumerate(namespaces):
            if namespace in namespaces[:index]:
                self.fail(("namespaces", index), f"`{namespace}` is listed twice")
        dns = given_map.get("dns", True)
        if not isinstance(dns, bool):
            self.fail(("dns",), "`dns` is true or false")
            dns = True
        entries = [
            entry
            for path, value in self.items(given_map, (), "workloads")
            if (entry := self.entry(value, path)) is not None
        ]
        self.check_subjects(entries)
        if self.problems:
            ordered = sorted(self.problems, key=lambda problem: problem.location.line or 0)
            return MapReading(None, tuple(ordered))
        return MapReading(
            DependencyMap(
                name=name,
                namespaces=tuple(namespaces),
                dns=dns,
                workloads=tuple(entries),
                location=self.at(()),
            )
        )

    def entry(self, value: Any, path: Path) -> Entry | None:  # noqa: ANN401
        given = self.fields(value, path, ENTRY_KEYS)
        subject: WorkloadName | Pods | None = None
        if ("workload" in given) == ("pods" in given):
            self.fail(path, "an entry says either `workload` or `pods`")
        elif "workload" in given:
            at = (*path, "workload")
            subject = self.parsed(written.parse_workload, given["workload"], at)
        else:
            subject = self.pods(given["pods"], (*path, "pods"))
        owner = self.text(given.get("owner", ""), (*path, "owner"))
        # Without a subject the rest is read all the same: its problems are told at once.
        anchor = subject or Pods("")
        calls = [
            self.dependency(call, at, "to", anchor) for at, call in self.items(given, path, "calls")
        ]
        callers = [
            self.dependency(caller, at, "from", anchor)
            for at, caller in self.items(given, path, "callers")
        ]
        if subject is None:
            return None
        return Entry(
            subject=subject,
            owner=owner,
            calls=tuple(call for call in calls if call),
            callers=tuple(caller for caller in callers if caller),
            location=self.at(path),
        )

    def dependency(
        self,
        value: Any,  # noqa: ANN401
        path: Path,
        key: str,
        subject: WorkloadName | Pods,
    ) -> Dependency | None:
        given = self.fields(value, path, (key, *DEPENDENCY_KEYS))
        if key not in given:
            self.fail(path, f"`{key}` is missing")
            return None
        other = self.end(given[key], (*path, key))
        if other is None:
            return None
        if key == "from" and isinstance(other, ServiceName | Domain):
            sort = "a Service" if isinstance(other, ServiceName) else "a domain name"
            self.fail((*path, key), f"`{other}` is {sort}, which calls nobody: name what does")
        ports = self.ports(given, path, other)
        http = tuple(
            request
            for at, item in self.items(given, path, "http")
            if (request := self.http(item, at)) is not None
        )
        if http and ports is None:
            self.fail((*path, "http"), "`http` needs the ports on which HTTP is spoken")
        numbered = isinstance(other, Block | Domain) and key == "to"
        numbered = numbered or (
            key == "to" and other in (Place.INTERNET, Place.OUTSIDE, Place.NODES)
        )
        for port in ports or ():
            if port.name and numbered:
                self.fail((*path, "ports"), f"`{other}` has no port names: write `{port}`'s number")
        return Dependency(
            source=subject if key == "to" else other,
            destination=other if key == "to" else subject,
            ports=ports,
            http=http,
            owner=self.text(given.get("owner", ""), (*path, "owner")),
            reason=self.text(given.get("reason", ""), (*path, "reason")),
            evidence=self.text(given.get("evidence", ""), (*path, "evidence")),
            location=self.at(path),
        )

    def ports(self, given: dict[str, Any], path: Path, other: End) -> tuple[Port, ...] | None:
        if given.get("ports") == ANY_TRAFFIC:
            return None
        ports = []
        for at, item in self.items(given, path, "ports"):
            if isinstance(item, bool) or not isinstance(item, str | int):
                self.fail(at, f"expected a port, found {type_text(item)}")
            elif (port := self.parsed(written.parse_port, item, at)) is not None:
                ports.append(port)
        if "ports" not in given and not isinstance(other, ServiceName):
            self.fail(path, f"`ports` is missing: list them, or write `ports: {ANY_TRAFFIC}`")
        elif given.get("ports") == []:
            self.fail((*path, "ports"), "`ports` lists none: strike the entry, or the key")
        return tuple(ports)

    def http(self, value: Any, path: Path) -> HttpRequest | None:  # noqa: ANN401
        given = self.fields(value, path, HTTP_KEYS)
        methods = [
            method
            for at, item in self.items(given, path, "methods")
            if (method := self.parsed(written.parse_method, item, at)) is not None
        ]
        request_path = ""
        if "path" in given:
            request_path = self.parsed(written.parse_path, given["path"], (*path, "path")) or ""
        if given.get("methods") == [] or not given:
            self.fail(path, "a request says `methods`, a `path`, or both")
            return None
        return HttpRequest(tuple(methods), request_path)

    def end(self, value: Any, path: Path) -> End | None:  # noqa: ANN401
        if isinstance(value, dict):
            return self.pods(value, path)
        return self.parsed(written.parse_end, value, path)

    def pods(self, value: Any, path: Path) -> Pods | None:  # noqa: ANN401
        given = self.fields(value, path, PODS_KEYS)
        if ("namespace" in given) == ("namespaceLabels" in given):
            self.fail(path, "pods are selected in a `namespace`, or by `namespaceLabels`")
            return None
        labels = self.labels(given, path, "labels")
        if "namespace" in given:
            return Pods(self.namespace(given["namespace"], (*path, "namespace")), (), labels)
        return Pods(None, self.labels(given, path, "namespaceLabels"), labels)

    def labels(self, given: dict[str, Any], path: Path, key: str) -> tuple[tuple[str, str], ...]:
        value = given.get(key, {})
        if not isinstance(value, dict):
            self.fail((*path, key), f"expected labels, found {type_text(value)}")
            return ()
        found = []
        for label, wanted in value.items():
            at = (*path, key, label)
            if label in PER_POD_LABELS:
                self.fail(at, f"`{label}` changes with every roll-out or run: select by another")
            found.append((label, self.text(wanted, at)))
        return tuple(sorted(found))

    def check_subjects(self, entries: Sequence[Entry]) -> None:
        seen: dict[WorkloadName | Pods, Entry] = {}
        for entry in entries:
            before = seen.setdefault(entry.subject, entry)
            if before is not entry:
                message = f"`{entry.subject}` has an entry already, at line {before.location.line}"
                self.problems.append(Problem(message, entry.location, (KIND,)))

    # -- values ------------------------------------------------------------------------------

    def fields(self, value: Any, path: Path, known: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401
        """Return a mapping's fields; those that are null count as absent."""
        if not isinstance(value, dict):
            self.fail(path, f"expected a map, found {type_text(value)}")
            return {}
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}"
                self.fail((*path, key), f"unknown key `{key}`; {hint}")
        return {key: child for key, child in value.items() if child is not None}

    def items(self, given: dict[str, Any], path: Path, key: str) -> Iterator[tuple[Path, Any]]:
        value = given.get(key, [])
        if not isinstance(value, list):
            self.fail((*path, key), f"`{key}` is a list, found {type_text(value)}")
            return
        for index, item in enumerate(value):
            yield (*path, key, index), item

    def namespace(self, value: Any, path: Path) -> str:  # noqa: ANN401
        name = self.text(value, path)
        if not name:
            self.fail(path, "a namespace's name may not be empty")
        return name

    def text(self, value: Any, path: Path) -> str:  # noqa: ANN401
        if not isinstance(value, str):
            hint = "" if isinstance(value, dict | list) else ": put it in quotes"
            self.fail(path, f"expected text, found {type_text(value)}{hint}")
            return ""
        return value

    def parsed(self, parse: Callable[[Any], T], value: Any, path: Path) -> T | None:  # noqa: ANN401
        """Return what a text stands for; None, with a problem, where it stands for nothing."""
        if not isinstance(value, int) or parse is not written.parse_port:
            value = self.text(value, path)
            if not value:
                return None
        try:
            return parse(value)
        except Malformed as malformed:
            self.fail(path, str(malformed))
            return None

    def at(self, path: Path) -> Location:
        """Return where a key or item stands, or the nearest above it that stands anywhere."""
        while path and path not in self.lines:
            path = path[:-1]
        return Location(self.document.file, self.lines.get(path, self.document.line))

    def fail(self, path: Path, message: str) -> None:
        self.problems.append(Problem(message, self.at(path), (KIND,)))


def _lines(value: Any, path: Path, lines: Iterator[int]) -> Iterator[tuple[Path, int]]:  # noqa: ANN401
    """Yield path and line of every key and item; see `Document.lines` for their order."""
    pairs: Iterable[tuple[PathPart, Any]] = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for key, child in pairs:
        line = next(lines, None)
        if line is not None:
            yield (*path, key), line
        yield from _lines(child, (*path, key), lines)
