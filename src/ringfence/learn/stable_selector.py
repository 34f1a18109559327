"""Finds, for each workload, labels that select its pods and no others, today and tomorrow.

A policy that selects by `pod-template-hash` is void after the next roll-out; one that selects by
a label which a neighbour carries too opens the neighbour. So candidates are tried in the order
in which people would choose them, against the whole inventory.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from ringfence.assemble.distinctions import PER_POD_LABELS
from ringfence.engine.labels import NO_IDENTITY, selects
from ringfence.model.cluster import Workload
from ringfence.model.profile import Cni
from ringfence.model.selector import LabelSelector, Operator, Requirement, from_labels
from ringfence.model.snapshot import Snapshot

_NAMING: Final = (
    ("app.kubernetes.io/name",),
    ("app.kubernetes.io/name", "app.kubernetes.io/component"),
    ("app.kubernetes.io/name", "app.kubernetes.io/instance"),
    ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"),
    ("app",),
    ("k8s-app",),
    ("name",),
)
"""The labels by which workloads are commonly named, the most common first."""


class Choice(msgspec.Struct, frozen=True):
    """The labels chosen for a workload."""

    selector: LabelSelector
    also: tuple[int, ...] = ()
    """Workloads that nothing tells apart from it, as indices: what it may, they may too."""


class StableSelectors:
    """The selectors of a snapshot's workloads, each worked out when first asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Gather the workloads by namespace; those on the host network cannot be selected."""
        self._snapshot = snapshot
        self._cilium = snapshot.profile.cni is Cni.CILIUM
        self._neighbours: dict[str, list[int]] = defaultdict(list)
        for number, workload in enumerate(snapshot.workloads):
            if not on_host_network(workload):
                self._neighbours[workload.namespace].append(number)
        self._chosen: dict[int, Choice] = {}

    def of(self, number: int) -> Choice:
        """Return the selector of a workload, by its index."""
        chosen = self._chosen.get(number)
        if chosen is None:
            chosen = self._chosen[number] = self._choose(number)
        return chosen

    def _choose(self, number: int) -> Choice:
        workload = self._snapshot.workloads[number]
        for candidate in _candidates(workload):
            if self._seen(candidate) and self._selected(candidate, workload) == [number]:
                return Choice(candidate)
        # Every label that all of its pods have, and none that only its neighbours have.
        labels = {key: v for key, v in stable_labels(workload).items() if self._sees(key)}
        widest = from_labels(labels)
        own = {key for identity in workload.identities for key in identity.labels}
        foreign: set[str] = set()
        for other in self._selected(widest, workload):
            if other != number:
                lacking = stable_labels(self._snapshot.workloads[other]).keys() - own
                if seen := [key for key in lacking if self._sees(key)]:
                    foreign.add(min(seen))
        absent = (Requirement(key, Operator.DOES_NOT_EXIST) for key in sorted(foreign))
        exact = LabelSelector((*widest.requirements, *absent))
        also = tuple(n for n in self._selected(exact, workload) if n != number)
        return Choice(exact, also)

    def _seen(self, selector: LabelSelector) -> bool:
        return all(self._sees(requirement.key) for requirement in selector.requirements)

    def _sees(self, key: str) -> bool:
        """Return whether policies see a label at all: Cilium leaves some out of identities."""
        return not (self._cilium and NO_IDENTITY.match(key))

    def _selected(self, selector: LabelSelector, workload: Workload) -> list[int]:
        """Return the workloads of the same namespace with a pod that is selected.

        A workload of which only some pods are selected is not one of them where it is the one
        asked for: the selector is no use to it then.
        """
        found = []
        for number in self._neighbours[workload.namespace]:
            other = self._snapshot.workloads[number]
            hits = [selects(selector, identity.labels) for identity in other.identities]
            if all(hits) if other is workload else any(hits):
                found.append(number)
        return found


def on_host_network(workload: Workload) -> bool:
    """Return whether a workload's pods have no network of their own, so that no policy applies."""
    return all(identity.host_network for identity in workload.identities)


def stable_labels(workload: Workload) -> dict[str, str]:
    """Return the labels that all pods of a workload share and that survive a roll-out."""
    first, *others = (identity.labels for identity in workload.identities)
    return {
        key: value
        for key, value in sorted(first.items())
        if key not in PER_POD_LABELS and all(labels.get(key) == value for labels in others)
    }


def _candidates(workload: Workload) -> Iterator[LabelSelector]:
    if workload.selector and workload.selector.requirements:
        used = {requirement.key for requirement in workload.selector.requirements}
        if PER_POD_LABELS.isdisjoint(used):
            yield workload.selector
    labels = stable_labels(workload)
    for keys in _NAMING:
        if all(key in labels for key in keys):
            yield from_labels({key: labels[key] for key in keys})
