"""Sorts what a source read by kind, and settles what stands there twice."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from ringfence.model import kinds
from ringfence.model.document import Document
from ringfence.model.location import Problem

ROUTES: Final = ("GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute")
"""Kinds of the Gateway API that say what Linkerd authorises, where they are attached to these:"""
MESH_PARENTS: Final = (("policy.linkerd.io", "Server"), ("policy.linkerd.io", "EgressNetwork"))


@dataclass(frozen=True)
class Catalog:
    """The objects of a cluster, each once."""

    by_kind: dict[str, list[Document]] = field(default_factory=dict)
    """Sorted by namespace and name, those without a name last. Policies are not among them."""
    policies: tuple[Document, ...] = ()
    """Sorted by kind, namespace, name. Routes that a mesh heeds are here, too."""
    problems: tuple[Problem, ...] = ()

    def of(self, kind: str) -> list[Document]:
        """Return the objects of a kind."""
        return self.by_kind.get(kind, [])


def sort(documents: Sequence[Document]) -> Catalog:
    """Return the documents by kind.

    Of two documents for the same object the later one counts, as when they are applied one
    after the other; that is told unless they say the same.
    """
    latest: dict[tuple[str, str, str], Document] = {}
    nameless: list[Document] = []
    problems: list[Problem] = []
    policy_kinds = {kind.title for kind in kinds.KINDS if kind.policy}
    for document in documents:
        # An apiVersion names a group and a version: other groups have a Service of their own.
        known = kinds.find(document.api_version, document.kind)
        if known is None and not _is_core_config_map(document):
            continue
        if not document.name:
            nameless.append(document)
            continue
        key = (document.title, document.namespace, document.name)
        before = latest.get(key)
        if before is not None and before.body != document.body:
            problems.append(
                Problem(
                    f"{document.ref} is defined again, differently; this one counts, "
                    f"not the one at {before.location_of()}",
                    document.location_of(),
                    (document.kind,),
                    document.ref,
                    severity="warning",
                )
            )
        latest[key] = document
    by_kind: defaultdict[str, list[Document]] = defaultdict(list)
    for document in latest.values():
        by_kind[document.title].append(document)
    for listed in by_kind.values():
        listed.sort(key=attrgetter("namespace", "name"))
    for document in sorted(nameless, key=_place):
        by_kind[document.title].append(document)
    policies = [
        document
        for kind in sorted({*policy_kinds, *ROUTES})
        for document in (
            by_kind.pop(kind, [])
            if kind in policy_kinds
            else filter(_is_of_mesh, by_kind.get(kind, ()))
        )
    ]
    return Catalog(dict(by_kind), tuple(policies), tuple(problems))


def _is_of_mesh(document: Document) -> bool:
    """Return whether a route says what a mesh authorises; a malformed one is told elsewhere."""
    spec = document.body.get("spec")
    parents = spec.get("parentRefs") if isinstance(spec, dict) else None
    return any(
        isinstance(parent, dict) and (parent.get("group"), parent.get("kind")) in MESH_PARENTS
        for parent in (parents if isinstance(parents, list) else ())
    )


def _place(document: Document) -> tuple[str, str, int]:
    return document.namespace, document.file, document.line or 0


def _is_core_config_map(document: Document) -> bool:
    return document.kind == "ConfigMap" and not kinds.group_of(document.api_version)
