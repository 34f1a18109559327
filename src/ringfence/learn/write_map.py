"""Writes a dependency map, so that it reads as if somebody had taken care over it."""

from collections.abc import Iterator, Sequence
from typing import Any

from ringfence import yaml_text
from ringfence.learn.dependency_map import (
    ANY_TRAFFIC,
    API_VERSION,
    KIND,
    Dependency,
    DependencyMap,
    End,
    Entry,
    Pods,
    Port,
    WorkloadName,
)


def write(dependency_map: DependencyMap, comments: Sequence[str] = ()) -> str:
    """Return a map as YAML; what was guessed has its evidence above it, as a comment too.

    Args:
        dependency_map: the map.
        comments: paragraphs to stand above everything.
    """
    return "\n".join(_lines(dependency_map, comments)) + "\n"


def _lines(dependency_map: DependencyMap, comments: Sequence[str]) -> Iterator[str]:
    yield from yaml_text.comment(comments, hang=0)
    head: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
    if dependency_map.name:
        head["metadata"] = {"name": dependency_map.name}
    yield from yaml_text.block(head)
    yield ""
    yield from yaml_text.comment(["In these namespaces, what is not listed below will be denied."])
    yield from yaml_text.block({"namespaces": yaml_text.OneLine(dependency_map.namespaces)})
    if not dependency_map.dns:
        yield "dns: false"
    yield ""
    if not dependency_map.workloads:
        yield "workloads: []"
        return
    yield "workloads:"
    for number, entry in enumerate(dependency_map.workloads):
        if number:
            yield ""
        yield from _entry(entry)


def _entry(entry: Entry) -> Iterator[str]:
    body: dict[str, Any] = {}
    match entry.subject:
        case WorkloadName():
            body["workload"] = str(entry.subject)
        case Pods():
            body["pods"] = _end(entry.subject)
    if entry.owner:
        body["owner"] = entry.owner
    yield from yaml_text.item(body, 2)
    sections = (("calls", "to", entry.calls), ("callers", "from", entry.callers))
    for key, end, dependencies in sections:
        if dependencies:
            yield f"    {key}:"
            for dependency in dependencies:
                yield from _dependency(dependency, end)


def _dependency(dependency: Dependency, key: str) -> Iterator[str]:
    if dependency.evidence:
        yield from yaml_text.comment([f"guessed from {dependency.evidence}"], 6)
    body: dict[str, Any] = {key: _end(dependency.destination if key == "to" else dependency.source)}
    if dependency.ports is None:
        body["ports"] = ANY_TRAFFIC
    elif dependency.ports:
        body["ports"] = yaml_text.OneLine([_port(port) for port in dependency.ports])
    if dependency.http:
        body["http"] = [
            {
                **({"methods": yaml_text.OneLine(request.methods)} if request.methods else {}),
                **({"path": request.path} if request.path else {}),
            }
            for request in dependency.http
        ]
    for name in ("owner", "reason", "evidence"):
        if text := getattr(dependency, name):
            body[name] = text
    yield from yaml_text.item(body, 6)


def _end(end: End) -> str | dict[str, Any]:
    if not isinstance(end, Pods):
        return str(end)
    body: dict[str, Any] = {}
    if end.namespace is None:
        body["namespaceLabels"] = dict(end.namespace_labels)
    else:
        body["namespace"] = end.namespace
    if end.labels:
        body["labels"] = dict(end.labels)
    return body


def _port(port: Port) -> str | int:
    text = str(port)
    return int(text) if text.isdecimal() else text
