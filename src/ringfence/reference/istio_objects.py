"""Istio's objects as they were written: which of them concern a workload, and which come first."""

from collections.abc import Iterable
from typing import Any

from ringfence.model.document import Document, Path
from ringfence.model.kinds import group_of
from ringfence.model.mesh import IstioConfig
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence
from ringfence.reference import schema
from ringfence.reference.schema import NotUnderstoodError

SECURITY = "security.istio.io"
NETWORKING = "networking.istio.io"
DEFAULTS = IstioConfig()
Labels = dict[str, str]


def config(snapshot: Snapshot) -> IstioConfig:
    """Return how the mesh is set up; Istio's own defaults where that is not known."""
    return snapshot.mesh.istio or DEFAULTS


def of_kind(snapshot: Snapshot, group: str, kind: str) -> list[Document]:
    """Return the objects of a kind, oldest first.

    Those of the same age go by name and namespace; those without a time of creation come last.

    Source: Istio `pilot/pkg/model/config.go` sortConfigByCreationTime.
    """
    found = [
        document
        for document in snapshot.documents
        if document.kind == kind and group_of(document.api_version) == group
    ]
    return sorted(found, key=_age)


def _age(document: Document) -> tuple[bool, str, str]:
    time = created(document)
    return not time, time, f"{document.name}.{document.namespace}"


def created(document: Document) -> str:
    """Return when an object was created; empty where that is not known."""
    metadata = document.body.get("metadata")
    found = metadata.get("creationTimestamp") if isinstance(metadata, dict) else None
    return str(found or "")


def spec_of(document: Document, known: Iterable[str]) -> dict[str, Any]:
    """Return the fields of an object's `spec`; none where it has no `spec`.

    Raises:
        NotUnderstoodError: something in it is not known.
    """
    return schema.fields(document.body.get("spec") or {}, ("spec",), tuple(known))


def labels_of(value: Any, path: Path) -> Labels | None:  # noqa: ANN401
    """Return the labels that a selector asks for; None where there is no selector.

    Source: Istio `pkg/config/validation/validation.go` validateWorkloadSelector: no empty keys, no
    wildcards.

    Raises:
        NotUnderstoodError: Istio would reject it.
    """
    if value is None:
        return None
    given = schema.fields(value, path, ("matchLabels",))
    at = (*path, "matchLabels")
    wanted = given.get("matchLabels", {})
    if not isinstance(wanted, dict):
        raise NotUnderstoodError("must be a mapping", at)
    for key, label in wanted.items():
        text = schema.text(label, (*at, key))
        if not key or "*" in key or "*" in text:
            raise NotUnderstoodError("a selector has no wildcards", (*at, key))
    return wanted


def are_in(wanted: Labels | None, labels: Labels) -> bool:
    """Return whether something with these labels has those that a selector asks for."""
    return all(labels.get(key) == value for key, value in (wanted or {}).items())


def mesh_evidence(
    document: Document, direction: Direction, action: str, rule: str, path: Path
) -> Evidence:
    """Return evidence that names a place in an object of the mesh."""
    line = document.line_of(path)
    return Evidence("mesh", direction.value, action, document.ref, rule, document.file, line)
