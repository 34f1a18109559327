"""Which of the kinds that matter an API server has, and in which version to read them.

Authority: the discovery documents of the Kubernetes API: `/api`, `/apis`, and
`/apis/GROUP/VERSION`.
"""

from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from ringfence.errors import ClusterError
from ringfence.model.kinds import KINDS, Kind
from ringfence.model.location import Location, Problem
from ringfence.sources.live_requests import Refusal, Server

T = TypeVar("T")

NOT_FOUND: Final = 404


class Served(msgspec.Struct, frozen=True):
    """A kind that the server has, and the version in which it is read."""

    kind: Kind
    version: str

    @property
    def api_version(self) -> str:
        """Return `group/version`, or the version alone for the core group."""
        return f"{self.kind.group}/{self.version}" if self.kind.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of the kind's objects: all of them, a namespace's, or one by name."""
        parts = [_group_path(self.kind.group, self.version)]
        if namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.kind.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


class _Core(msgspec.Struct, frozen=True):
    """What `/api` answers."""

    versions: list[str]


class _Version(msgspec.Struct, frozen=True):
    version: str


class _Group(msgspec.Struct, frozen=True):
    name: str
    versions: list[_Version]


class _Groups(msgspec.Struct, frozen=True):
    """What `/apis` answers."""

    groups: list[_Group] | None


class _Resource(msgspec.Struct, frozen=True):
    name: str
    kind: str = ""
    verbs: list[str] = []


class _Resources(msgspec.Struct, frozen=True):
    """What `/apis/GROUP/VERSION` answers."""

    resources: list[_Resource] | None


def discover(server: Server, location: Location) -> tuple[list[Served], list[Problem]]:
    """Return the kinds that the server has, in our order.

    A kind that is served in none of the versions that we know is a problem, as is a version whose
    kinds the server does not tell. Kinds that it does not have at all are told in one note:
    no object of them can exist.

    Raises:
        ClusterError: the server cannot be asked, or does not speak the Kubernetes API.
    """
    core = _must(server.get("/api", _Core), "/api")
    groups = _must(server.get("/apis", _Groups), "/apis")
    offered = {"": core.versions} | {
        group.name: [item.version for item in group.versions] for group in groups.groups or ()
    }
    problems: list[Problem] = []
    listed: dict[tuple[str, str], frozenset[str]] = {}

    def has(kind: Kind, version: str) -> bool:
        key = (kind.group, version)
        if key not in listed:
            listed[key] = _plurals(server, kind.group, version, location, problems)
        return kind.plural in listed[key]

    served: list[Served] = []
    absent: list[str] = []
    for kind in KINDS:
        versions = offered.get(kind.group, [])
        known = [version for version in kind.versions if version in versions]
        chosen = next((version for version in known if has(kind, version)), None)
        if chosen is not None:
            if any((s.kind.group, s.kind.kind) == (kind.family, kind.kind) for s in served):
                continue  # the same objects, in the form in which they are stored
            served.append(Served(kind, chosen))
            continue
        strange = [
            version for version in versions if version not in kind.versions and has(kind, version)
        ]
        if strange:
            problems.append(
                Problem(
                    f"the server has `{full_name(kind)}` only in versions that this program does "
                    f"not know: {', '.join(strange)} (known: {', '.join(kind.versions)})",
                    location,
                    (kind.title,),
                    severity="error" if kind.policy else "warning",
                )
            )
        else:
            absent.append(full_name(kind))
    if absent:
        message = f"the server has no {', '.join(absent)}: no object of these kinds can exist"
        problems.append(Problem(message, location, severity="note"))
    return served, problems


def full_name(kind: Kind) -> str:
    """Return `plural.group`, as kubectl and RBAC messages name a kind."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _plurals(
    server: Server, group: str, version: str, location: Location, problems: list[Problem]
) -> frozenset[str]:
    """Return what a version of a group has that can be listed."""
    path = _group_path(group, version)
    answer = server.get(path, _Resources)
    if isinstance(answer, Refusal):
        if answer.status != NOT_FOUND:
            hidden = tuple(
                kind.title
                for kind in KINDS
                if kind.group == group and (version in kind.versions or kind.policy)
            )
            problems.append(
                Problem(
                    f"`get` of `{path}` failed, which tells the kinds of "
                    f"`{group or 'the core group'}`: {answer.message} ({answer.status})",
                    location,
                    hidden,
                )
            )
        return frozenset()
    return frozenset(item.name for item in answer.resources or () if "list" in item.verbs)


def _group_path(group: str, version: str) -> str:
    """Return the path of one version of a group."""
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _must(answer: T | Refusal, path: str) -> T:
    """Return an answer without which nothing can be read."""
    if isinstance(answer, Refusal):
        raise ClusterError(
            f"the server does not tell what it has: `{path}`: {answer.message} ({answer.status})"
        )
    return answer
