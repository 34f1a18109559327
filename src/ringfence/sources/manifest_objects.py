"""Which objects of the Kubernetes API a value holds: one, the items of a list, or none.

Knows the kinds that are read (`ringfence.model.kinds`), the groups where some of them began, and
the policy languages that exist beside them and are not judged yet.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeGuard

from ringfence.errors import InputError
from ringfence.model import kinds
from ringfence.model.document import Document, Path
from ringfence.model.kinds import Kind
from ringfence.model.location import Location, Problem
from ringfence.sources import config_maps
from ringfence.sources.manifest_values import Part
from ringfence.sources.yaml_scalars import excerpt

_POD_HOLDERS: Final = frozenset(
    {
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
    }
)
"""The kinds that are pods or hold a template of them: their parts are pointed at, too."""

_FORMER_GROUPS: Final = {
    ("extensions", "DaemonSet"): "apps",
    ("extensions", "Deployment"): "apps",
    ("extensions", "ReplicaSet"): "apps",
    ("extensions", "Ingress"): "networking.k8s.io",
    ("extensions", "NetworkPolicy"): "networking.k8s.io",
}
"""The group that has a kind now, by the group where it began and was removed from.

Source: Kubernetes deprecated API migration guide, v1.16 and v1.22.
"""

_INCOMPATIBLE: Final = frozenset({"Ingress"})
"""Kinds that are no policies, but were written differently before: `serviceName` in an Ingress."""

_OTHER_LANGUAGES: Final = {
    "cilium.io": "CiliumLocalRedirectPolicy CiliumEgressGatewayPolicy",
    "crd.antrea.io": "NetworkPolicy ClusterNetworkPolicy Tier Group ClusterGroup",
    "networking.istio.io": "EnvoyFilter",
    "extensions.istio.io": "WasmPlugin",
}
"""Kinds that decide about connections in languages that are not judged yet, by API group."""

_ROUTING: Final = {"networking.istio.io": "VirtualService WorkloadEntry WorkloadGroup"}
"""Kinds that only say where connections go, which is not judged: worth a note, by API group."""

_NAMES: Final = frozenset(kind.kind for kind in kinds.KINDS)
_POLICY_NAMES: Final = frozenset(kind.kind for kind in kinds.KINDS if kind.policy and not kind.mesh)
"""Those that mean a policy in whatever group: `Server` or `Sidecar` mean many things."""
_DEEPEST_LIST: Final = 8
"""How deep lists may stand in lists; nobody writes even one into another."""


class _MalformedError(Exception):
    """A field that every object has is missing or of the wrong type."""

    def __init__(self, reason: str, path: Path) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


def read(
    part: Part, file: str, *, named: bool, of: tuple[str, str] = ("", ""), level: int = 0
) -> Iterator[Document | Problem]:
    """Yield the objects of a value that are of interest, and what is wrong with them.

    Args:
        part: one value of a manifest.
        file: where it stood.
        named: whether the user named this file. In one that was merely found in a directory, a
            value that is no object of Kubernetes is no error.
        of: API version and kind that a typed list gives its items, which may leave them out.
        level: how many lists the value stands in.
    """
    body = part.value
    api_version, kind = of
    if isinstance(body, dict):
        api_version = api_version if body.get("apiVersion") is None else body["apiVersion"]
        kind = kind if body.get("kind") is None else body["kind"]
        if _is_word(api_version) and _is_word(kind):
            if kind.endswith("List") and isinstance(body.get("items"), list):
                yield from _items(part, file, api_version, kind, named=named, level=level)
            else:
                yield from _one(part, file, api_version, kind)
            return
    if not level or not of[1] or of[1] in _NAMES:
        yield _no_object(part, file, api_version, kind, lenient=not named and not level)


def _items(
    part: Part, file: str, api_version: str, kind: str, *, named: bool, level: int
) -> Iterator[Document | Problem]:
    """Yield what the items of a list hold."""
    if level == _DEEPEST_LIST:
        message = f"lists in lists, more than {_DEEPEST_LIST} levels deep"
        yield Problem(message, Location(file, part.line))
        return
    item_kind = kind.removesuffix("List")
    of = (api_version, item_kind) if item_kind else ("", "")
    for item in part.items():
        yield from read(item, file, named=named, of=of, level=level + 1)


def _one(part: Part, file: str, api_version: str, name: str) -> Iterator[Document | Problem]:
    """Yield the object that a value is, unless its kind is of no interest."""
    group = kinds.group_of(api_version)
    kind = kinds.find(api_version, name) or kinds.BY_NAME.get(
        (_FORMER_GROUPS.get((group, name), group), name)
    )
    if kind is None:
        if name in _POLICY_NAMES or name in _OTHER_LANGUAGES.get(group, "").split():
            yield _not_judged(part, file, api_version, name)
        elif name in _ROUTING.get(group, "").split():
            yield _not_followed(part, file, name)
        elif name == "ConfigMap" and not group:
            yield from _config_map(part, file, api_version)
        return
    try:
        namespace, own_name = _names(part.value, kind)
    except _MalformedError as error:
        yield Problem(f"{name}: {error.reason}", _place(part, file, error.path), (kind.title,))
        return
    known = f"{kind.group}/{kind.versions[0]}".lstrip("/")
    is_known = group == kind.group and api_version.rpartition("/")[2] in kind.versions
    ref = _ref(kind.title, namespace, own_name)
    if not is_known and (kind.policy or name in _INCOMPATIBLE):
        message = f"API version `{api_version}` of {name} is not read: it takes `{known}`"
        yield Problem(message, _place(part, file, ("apiVersion",)), (kind.title,), ref)
        return
    lines: list[int] = []
    try:
        if kind.policy or kind.mesh:
            lines = part.lines()
        elif name in _POD_HOLDERS:
            lines = part.lines_at_hand()
    except InputError as error:
        yield Problem(
            error.message, error.location or Location(file, part.line), (kind.title,), ref
        )
        return
    document = Document(
        # What was written for another version is read as the known one, and found under it.
        api_version=api_version if is_known else known,
        kind=name,
        namespace=namespace,
        name=own_name,
        body=part.value,
        file=file,
        line=part.line,
        lines=tuple(lines),
    )
    if not is_known:
        message = f"API version `{api_version}` of {name} is not known: read as `{known}`"
        place = _place(part, file, ("apiVersion",))
        yield Problem(message, place, (kind.title,), ref, severity="warning")
    yield document


def _names(body: dict[str, Any], kind: Kind) -> tuple[str, str]:
    """Return namespace and name; the name is empty where the API server is to make one up.

    Raises:
        _MalformedError: they cannot be told.
    """
    metadata = body.get("metadata")
    if metadata is None:
        raise _MalformedError("`metadata.name` is missing", ())
    if not isinstance(metadata, dict):
        raise _MalformedError("`metadata` is not an object", ("metadata",))
    fields = {}
    for field in ("namespace", "name", "generateName"):
        value = metadata.get(field)
        if value is not None and not isinstance(value, str):
            reason = f"`metadata.{field}` is `{excerpt(str(value))}`, not a string: quote it"
            raise _MalformedError(reason, ("metadata", field))
        fields[field] = value or ""
    if not fields["name"] and not fields["generateName"]:
        raise _MalformedError("`metadata.name` is missing", ("metadata",))
    return (fields["namespace"] or "default") if kind.namespaced else "", fields["name"]


def _not_judged(part: Part, file: str, api_version: str, name: str) -> Problem:
    """Return what is to be said of a policy that no dialect of ringfence reads."""
    group = kinds.group_of(api_version)
    place = _place(part, file, ("apiVersion",))
    if group not in _OTHER_LANGUAGES and (not group.count(".") or group.endswith(".k8s.io")):
        # These groups are Kubernetes' own and have no such kind: a policy was meant.
        return Problem(f"API version `{api_version}` has no kind {name}", place, (name,))
    metadata = part.value.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    ref = _ref(name, *(str(names.get(field) or "") for field in ("namespace", "name")))
    message = f"{ref}: {name} of `{group}` is not judged yet, no verdict takes it into account"
    return Problem(message, place, (f"{name}.{group}",), ref, severity="warning")


def _not_followed(part: Part, file: str, name: str) -> Problem:
    """Return what is to be said of what routes connections."""
    metadata = part.value.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    ref = _ref(name, *(str(names.get(field) or "") for field in ("namespace", "name")))
    message = f"{ref}: where it sends connections is not judged"
    return Problem(message, _place(part, file, ("apiVersion",)), (), ref, severity="note")


def _no_object(part: Part, file: str, api_version: Any, kind: Any, *, lenient: bool) -> Problem:  # noqa: ANN401 - they may be anything
    """Return what is to be said of a value that is no object of Kubernetes.

    A chart's values among the manifests of a directory are no error, a policy whose kind is
    missing is one: what was meant is told by what it does say.
    """
    meant: set[str] = set()
    if _is_word(kind):
        meant = {known.title for known in kinds.KINDS if known.kind == kind}
    elif _is_word(api_version):
        group = kinds.group_of(api_version)
        meant = {known.title for known in kinds.KINDS if known.policy and known.group == group}
    elif isinstance(part.value, list):
        items = [item.get("kind") for item in part.value if isinstance(item, dict)]
        meant = {kind for kind in items if _is_word(kind)}
    if isinstance(part.value, dict):
        missing = [
            f"`{field}`"
            for field, value in (("apiVersion", api_version), ("kind", kind))
            if not _is_word(value)
        ]
        message = f"no object of Kubernetes: {' and '.join(missing)} must be given, as a string"
    else:
        message = "no object of Kubernetes, which has `apiVersion` and `kind`"
    is_warning = lenient and not meant
    return Problem(
        message + ", skipped" * is_warning,
        Location(file, part.line),
        tuple(sorted(meant)),
        severity="warning" if is_warning else "error",
    )


def _is_word(value: Any) -> TypeGuard[str]:  # noqa: ANN401 - it may be anything
    return isinstance(value, str) and bool(value)


def _config_map(part: Part, file: str, api_version: str) -> Iterator[Document]:
    """Yield a ConfigMap if it is one of the few that are read; it begins where what counts does."""
    kept = config_maps.wanted(part.value.get("metadata"), part.value.get("data"))
    if kept is None:
        return
    body, line = part.value, part.line
    if kept.key:
        line = _place(part, file, ("data", kept.key)).line or line
        body = config_maps.reduced(part.value, kept.key)
    yield Document(api_version, "ConfigMap", kept.namespace, kept.name, body, file, line)


def _ref(*parts: str) -> str:
    """Return `Kind/namespace/name` without the parts that are empty."""
    return "/".join(filter(None, parts))


def _place(part: Part, file: str, path: Path) -> Location:
    """Return where a key of a value stands."""
    try:
        lines = tuple(part.lines())
    except InputError:
        lines = ()
    return Document("", "", "", "", part.value, file, part.line, lines).location_of(path)
