"""What all of Linkerd's objects have in common: groups, ages, references, and how they are read.

Authority: linkerd2 `policy-controller/k8s/api/src/policy`, `charts/linkerd-crds/templates/policy`.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._calico_metadata import own_labels
from ringfence.dialects._shared import fields, filled, text
from ringfence.model.document import Document, Path
from ringfence.model.kinds import group_of
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.mesh import DataPlane, LinkerdConfig, Membership
from ringfence.model.rule import (
    Action,
    AllPeers,
    Direction,
    MeshPeer,
    Peer,
    PodPeer,
    Policy,
    Rule,
    Tier,
    Unreadable,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, from_labels

GROUP: Final = "policy.linkerd.io"
GATEWAY: Final = "gateway.networking.k8s.io"
CORE: Final = "core"
"""The core group, where a reference names it; it may as well leave it out."""
BODY: Final = ("apiVersion", "kind", "metadata", "spec", "status")

SERVER: Final = (GROUP, "server")
EGRESS_NETWORK: Final = (GROUP, "egressnetwork")


class Ignored(Exception):  # noqa: N818 - not an error of the program
    """Linkerd takes the object, and heeds it not."""

    def __init__(self, reason: str, path: Path) -> None:
        """Keep the reason and the place."""
        super().__init__(reason)
        self.reason, self.path = reason, path


@dataclass(frozen=True)
class Source:
    """A document, and its index."""

    index: int
    document: Document

    @property
    def namespace(self) -> str:
        """Return the namespace of the object."""
        return self.document.namespace

    @property
    def name(self) -> str:
        """Return the name of the object."""
        return self.document.name

    @property
    def kind(self) -> tuple[str, str]:
        """Return group and kind, in lower case."""
        return group_of(self.document.api_version).lower(), self.document.kind.lower()

    @property
    def created(self) -> float:
        """Return when the object was created; `math.inf` where the manifest does not say.

        Units: seconds since 1970.
        """
        metadata = self.document.body.get("metadata")
        written = metadata.get("creationTimestamp") if isinstance(metadata, dict) else None
        if not isinstance(written, str):
            return math.inf
        try:
            found = datetime.fromisoformat(written)
        except ValueError:
            return math.inf
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

    @property
    def age(self) -> tuple[float, str]:
        """Return what sorts objects of one namespace: the oldest first, then by name.

        Source: linkerd2 `policy-controller/k8s/index/src/inbound/index.rs`, pull request 13676.
        """
        return self.created, self.name

    def spec(self, known: Iterable[str]) -> dict[str, Any]:
        """Return the fields of `spec`, all of them known.

        Raises:
            Malformed: a field of the body or of the spec that is not known, or no spec.
        """
        given = fields(self.document.body, (), BODY)
        return fields(given.get("spec"), ("spec",), tuple(known))

    def labels(self) -> dict[str, str]:
        """Return the labels of the object.

        Raises:
            Malformed: not a map of texts.
        """
        return own_labels(self.document)


def sources(context: Context, *titles: str) -> Iterator[Source]:
    """Yield the documents of some kinds, as `kinds.title` has these."""
    for title in titles:
        for index, document in context.by_title.get(title, ()):
            yield Source(index, document)


def config(context: Context) -> LinkerdConfig:
    """Return how Linkerd is set up; its own defaults where that is not known."""
    return context.mesh.linkerd or LinkerdConfig()


def linkerd_members(context: Context) -> list[Membership]:
    """Return the ways in which pods take part in Linkerd's mesh."""
    return [each for each in context.memberships if each.data_plane is DataPlane.LINKERD]


@dataclass(frozen=True)
class Reference:
    """An object that another one names."""

    group: str
    """Lower case; `core` for the core group."""
    kind: str
    """Lower case."""
    name: str
    namespace: str
    """Empty where it names none."""
    path: Path

    @property
    def target(self) -> tuple[str, str]:
        """Return group and kind."""
        return self.group, self.kind


def reference(value: Any, path: Path, *extra: str) -> Reference:  # noqa: ANN401
    """Return a reference; group and kind are compared whatever their case.

    Args:
        value: as written.
        path: where.
        extra: the fields that it may have beside group, kind and name.

    Raises:
        Malformed: no kind or no name, or an unknown field.
    Source: linkerd2 `policy-controller/k8s/api/src/policy/target_ref.rs`.
    """
    given = fields(value, path, ("group", "kind", "name", *extra))
    group = text(given.get("group", ""), (*path, "group")).lower()
    kind = filled(given.get("kind"), (*path, "kind")).lower()
    name = filled(given.get("name"), (*path, "name"))
    namespace = text(given.get("namespace", ""), (*path, "namespace"))
    return Reference(group or CORE, kind, name, namespace, path)


# -- policies --------------------------------------------------------------------------------------


def linkerd_pods(namespace: str, pods: LabelSelector = EVERYTHING) -> Peer:
    """Return the pods of Linkerd's mesh that a selector selects in a namespace."""
    own = from_labels({NAMESPACE_NAME: namespace})
    return AllPeers((MeshPeer((DataPlane.LINKERD,)), PodPeer(own, pods)))


@dataclass(frozen=True)
class Place:
    """Where policies stand in a tier of first match, and to whom they apply."""

    tier: Tier
    order: float
    tie: str
    """What comes first of one order; numbers behind it sort what it holds."""
    subject: Peer
    direction: Direction

    def policy(
        self,
        number: int,
        source: Source,
        rules: Iterable[Rule],
    ) -> Policy:
        """Return the part of an object that decides as the `number`th."""
        return Policy(
            document=source.index,
            kind=source.document.title,
            namespace=source.namespace,
            name=source.name,
            tier=self.tier,
            order=self.order,
            # A space sorts before all that a name may hold: `a` comes before `a-b`.
            tie=f"{self.tie} {number:05}",
            subject=self.subject,
            rules=tuple(rules),
        )

    def unreadable(self, source: Source, part: Unreadable) -> Policy:
        """Return a policy of which nothing is known but whom it may concern, and which way."""
        rules = [
            Rule(
                direction=self.direction,
                action=action,
                peers=None,
                traffic=None,
                path=part.path,
                unreadable=part,
            )
            for action in (Action.ALLOW, Action.DENY)
        ]
        return self.policy(0, source, rules)


def doubt(source: Source, part: Unreadable) -> str:
    """Return the words for why what an object says is not known."""
    document = source.document
    where = document.location_of(part.path)
    return f"{document.ref} could not be understood: {part.reason} ({where})"
