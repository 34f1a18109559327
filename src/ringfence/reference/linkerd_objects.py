"""Objects of Linkerd and of the Gateway API, as far as its policy controller reads them alike.

Source: linkerd2 `policy-controller/k8s/api/src/policy/target_ref.rs`,
`charts/linkerd-crds/templates/policy`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ringfence.model import kinds
from ringfence.model.document import Document, Path, path_text
from ringfence.model.mesh import LinkerdConfig
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence
from ringfence.reference import schema
from ringfence.reference.schema import NotUnderstoodError

LINKERD = "policy.linkerd.io"
GATEWAY = "gateway.networking.k8s.io"
CORE = "core"
DEFAULTS = LinkerdConfig()
ASSUMED = "Linkerd's defaults are assumed, its configuration is not in the input"


@dataclass(frozen=True)
class Scene:
    """What a decision of Linkerd's is taken from."""

    snapshot: Snapshot
    direction: str
    """`ingress` or `egress`."""
    notes: set[str] = field(default_factory=set)

    @property
    def config(self) -> LinkerdConfig:
        """Return how Linkerd is set up."""
        return self.snapshot.mesh.linkerd or DEFAULTS

    def of_kind(self, kind: str, *groups: str, namespace: str = "") -> list[Document]:
        """Return the objects of a kind of some groups, the older ones first, then by name.

        What has no time of creation is still to be created, so that all else is older.

        Source: linkerd2 `policy-controller/k8s/index/src/inbound/index.rs` reindex_servers,
        `policy-controller/grpc/src/inbound/http.rs` to_route_list (by time, by group, by name).
        """
        found = [
            document
            for document in self.snapshot.documents
            if document.kind == kind
            and kinds.group_of(document.api_version) in groups
            and namespace in ("", document.namespace)
        ]
        return sorted(found, key=by_age)

    def piece(self, document: Document, action: str, path: Path, rule: str = "") -> Evidence:
        """Return evidence that names a place in a document."""
        return Evidence(
            "mesh",
            self.direction,
            action,
            document.ref,
            rule or path_text(path[1:]),
            document.file,
            document.line_of(path),
        )

    def plain(self, action: str, rule: str) -> Evidence:
        """Return evidence of what no object brings about."""
        return Evidence("mesh", self.direction, action, None, rule)

    def unread(self, document: Document, error: NotUnderstoodError) -> Evidence:
        """Return evidence of what was not understood."""
        return self.piece(document, "unknown", error.path, path_text(error.path))


@dataclass(frozen=True)
class Reference:
    """What refers to another object."""

    group: str
    kind: str
    name: str
    namespace: str = ""
    """Empty where it says none."""

    def is_to(self, group: str, kind: str) -> bool:
        """Return whether it is to an object of a kind; case counts for nothing.

        Source: target_ref.rs, targets_kind.
        """
        return (self.group.lower(), self.kind.lower()) == (group, kind.lower())


def read_reference(value: Any, path: Path, known: tuple[str, ...]) -> Reference:  # noqa: ANN401
    """Return a reference; without a group it is to the core group's.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    given = schema.fields(value, path, known)
    read: dict[str, str] = {
        key: schema.text(given[key], (*path, key), 253)
        for key in ("group", "kind", "name", "namespace")
        if key in given
    }
    for key in ("kind", "name"):
        if not schema.required(given, key, path):
            raise NotUnderstoodError(f"`{key}` is empty", (*path, key))
    return Reference(
        read.get("group") or CORE, read["kind"], read["name"], read.get("namespace", "")
    )


def by_age(document: Document) -> tuple[datetime, str, str]:
    """Return what orders objects by age; of two of one age, by group and name."""
    return created(document), kinds.group_of(document.api_version), document.name


def created(document: Document) -> datetime:
    """Return when an object was created; the end of time where that is not said."""
    metadata = document.body.get("metadata")
    said = metadata.get("creationTimestamp") if isinstance(metadata, dict) else None
    try:
        found = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        found = None
    if found is None:
        return datetime.max.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def spec_of(document: Document, known: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of an object's `spec`.

    Raises:
        NotUnderstoodError: there is none, or it has a field that is not known.
    """
    body = {key: value for key, value in document.body.items() if value is not None}
    return schema.fields(schema.required(body, "spec", ()), ("spec",), known)


def part_of(document: Document, key: str) -> Any:  # noqa: ANN401
    """Return one field of an object's `spec`, whatever else stands there.

    Raises:
        NotUnderstoodError: there is no such field.
    """
    spec = document.body.get("spec")
    if not isinstance(spec, dict):
        raise NotUnderstoodError("must be a mapping", ("spec",))
    if spec.get(key) is None:
        raise NotUnderstoodError(f"`{key}` is missing", ("spec",))
    return spec[key]


def labels_of(document: Document) -> dict[str, str]:
    """Return an object's own labels.

    Raises:
        NotUnderstoodError: they are no labels.
    """
    at: Path = ("metadata", "labels")
    metadata = document.body.get("metadata")
    found = metadata.get("labels") if isinstance(metadata, dict) else None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise NotUnderstoodError("must be a mapping", at)
    return {key: schema.text(value, (*at, key)) for key, value in found.items()}
