"""Finds the workload that a pod belongs to: the top of its chain of owners.

Authority: metav1 `OwnerReference`; the names that the Deployment, CronJob and Argo Rollouts
controllers give to what they create, for chains whose middle is not in the input.
"""

import re
from typing import Any, Final

from ringfence.assemble.catalog import Catalog
from ringfence.assemble.values import EMPTY, Malformed, mapping, mappings, text
from ringfence.model.document import Document, Path
from ringfence.model.kinds import group_of

Owner = tuple[str, str]
"""Kind and name; the namespace is that of what is owned."""

TOPS: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet", "CronJob"})
"""What people name, even where a custom resource owns it in turn."""
MIDDLES: Final = frozenset({"ReplicaSet", "ReplicationController", "Job"})
GROUPS: Final = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), "apps"),
    **dict.fromkeys(("Job", "CronJob"), "batch"),
    "ReplicationController": "",
}
HASH_LABELS: Final = (
    ("pod-template-hash", "Deployment"),
    ("rollouts-pod-template-hash", "Rollout"),
)
"""The label whose value ends the name of a ReplicaSet, and the kind that creates such ones."""
SCHEDULED_JOB: Final = re.compile(r"-\d{8,10}$")
"""What a CronJob puts behind its name: the scheduled minute since 1970.

Source: kubernetes `pkg/controller/cronjob/utils.go` getJobName."""
METADATA: Final[Path] = ("metadata",)
REFERENCES: Final[Path] = ("metadata", "ownerReferences")


class Owners:
    """The chains of owners of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        """Index the objects that stand between pods and what people name."""
        self._middles = {
            (kind, document.namespace, document.name): document
            for kind in MIDDLES | {"Pod"}
            for document in catalog.of(kind)
        }
        self._tops = {
            (kind, document.namespace, document.name)
            for kind in TOPS
            for document in catalog.of(kind)
        }
        self._known: dict[tuple[str, str, str], Owner] = {}

    def of_pod(
        self, namespace: str, name: str, metadata: dict[str, Any], labels: dict[str, str]
    ) -> Owner:
        """Return the workload that a pod belongs to; itself if nothing owns it.

        Raises:
            Malformed: an owner reference is not as the API demands.
        """
        owner = controller(metadata)
        if owner is None:
            return "Pod", name
        found = self._known.get((*owner, namespace))
        if found is None:
            top = self._climb(namespace, owner, labels)
            found = self._known[*owner, namespace] = top
        return found

    def of(self, document: Document) -> Owner:
        """Return the workload that a ReplicaSet, ReplicationController or Job belongs to.

        Raises:
            Malformed: an owner reference is not as the API demands.
        """
        owner = controller(mapping(document.body, "metadata", ()))
        if owner is None:
            return document.kind, document.name
        return self._climb(document.namespace, owner, EMPTY)

    def _climb(self, namespace: str, owner: Owner, labels: dict[str, str]) -> Owner:
        """Return the top of the chain that begins with an owner."""
        seen = {owner}
        while owner[0] in MIDDLES or owner[0] == "Pod":
            kind, name = owner
            document = self._middles.get((kind, namespace, name))
            if document is None:
                return self._guess(namespace, owner, labels)
            try:
                above = controller(mapping(document.body, "metadata", ()))
            except Malformed:
                # Told as that object's own; to what it owns it is as good as missing.
                return self._guess(namespace, owner, labels)
            if above is None or above in seen:
                return owner
            owner = above
            seen.add(owner)
        return owner

    def _guess(self, namespace: str, owner: Owner, labels: dict[str, str]) -> Owner:
        """Return the top by the names that controllers give, where the middle is missing."""
        kind, name = owner
        if kind == "ReplicaSet":
            for label, top in HASH_LABELS:
                stem = name.removesuffix(f"-{labels.get(label, '')}")
                if stem not in (name, ""):
                    return top, stem
            stem, _, _ = name.rpartition("-")
            if ("Deployment", namespace, stem) in self._tops:
                return "Deployment", stem
        elif kind == "Job":
            stem = SCHEDULED_JOB.sub("", name)
            if stem != name and ("CronJob", namespace, stem) in self._tops:
                return "CronJob", stem
        return owner


def controller(metadata: dict[str, Any]) -> Owner | None:
    """Return the owner that manages an object, or None.

    A static pod's owner is its node, which is no workload. Where no reference is marked as the
    controller's, the first of a kind that creates pods is taken: manifests written by hand
    leave the mark out.

    Raises:
        Malformed: a reference is not as the API demands.
    """
    if not metadata.get("ownerReferences"):
        return None
    references = mappings(metadata, "ownerReferences", METADATA)
    for reference in references:
        if reference.get("controller") is True:
            return _owner(reference)
    for reference in references:
        group = GROUPS.get(str(reference.get("kind")))
        if group is not None and group == group_of(
            str(reference.get("apiVersion") or f"{group}/v1")
        ):
            return _owner(reference)
    return None


def _owner(reference: dict[str, Any]) -> Owner | None:
    kind = text(reference, "kind", REFERENCES)
    name = text(reference, "name", REFERENCES)
    return (kind, name) if kind and name and kind != "Node" else None
