"""Finds out which pods may be subject to policies that could not be read."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ringfence.assemble.distinctions import keys, peers
from ringfence.assemble.surroundings import NAME_LABEL
from ringfence.model.kinds import KINDS
from ringfence.model.location import Problem
from ringfence.model.rule import NodePeer, PodPeer, Policy
from ringfence.model.selector import LabelSelector
from ringfence.model.snapshot import BlindSpot

POLICY_KINDS: Final = {kind.kind: kind for kind in KINDS if kind.policy}


def find(problems: Iterable[Problem], policies: Sequence[Policy]) -> tuple[BlindSpot, ...]:
    """Return what must be unknown because of problems.

    Args:
        problems: those of the sources and of this room; what a dialect could not understand
            is left out, as the policies themselves carry it.
        policies: those that could be read; they decide whether labels of namespaces and of
            nodes matter at all.
    """
    by_label = any(
        key != NAME_LABEL for selector in _namespaces(policies) for key in keys(selector)
    )
    by_node = any(isinstance(peer, NodePeer) for policy in policies for peer in peers(policy))
    found: set[tuple[str, str, int, str]] = set()
    spots: list[BlindSpot] = []
    for problem in problems:
        if problem.severity != "error":
            continue
        if (
            not problem.affects
            or not POLICY_KINDS.keys().isdisjoint(problem.affects)
            or ("Namespace" in problem.affects and by_label)
            or ("Node" in problem.affects and by_node)
        ):
            spot = BlindSpot(problem.message, problem.location, _namespace(problem))
            key = _order(spot)
            if key not in found:
                found.add(key)
                spots.append(spot)
    return tuple(sorted(spots, key=_order))


def _namespace(problem: Problem) -> str | None:
    """Return the only namespace whose pods a problem concerns; None for all."""
    kind, _, rest = (problem.object or "").partition("/")
    known = POLICY_KINDS.get(kind)
    namespace, slash, _ = rest.partition("/")
    return namespace if known and known.namespaced and slash and namespace else None


def _namespaces(policies: Sequence[Policy]) -> Iterator[LabelSelector]:
    """Yield every selector by which policies select namespaces."""
    for policy in policies:
        if policy.subject:
            yield policy.subject.namespaces
        for peer in peers(policy):
            if isinstance(peer, PodPeer):
                yield peer.namespaces


def _order(spot: BlindSpot) -> tuple[str, str, int, str]:
    return spot.namespace or "", spot.location.file, spot.location.line or 0, spot.because
