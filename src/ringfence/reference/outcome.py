"""What may come of a rule, a policy, a tier: three-valued matches and sets of possible outcomes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from ringfence.model.document import Document, Path
from ringfence.model.rule import Direction
from ringfence.model.verdict import Evidence
from ringfence.reference.ends import Approach
from ringfence.reference.schema import NotUnderstoodError


class Degree(IntEnum):
    """Whether something matches, as far as can be told."""

    NO = 0
    PERHAPS = 1
    YES = 2


@dataclass(frozen=True)
class Match:
    """A degree, and for a perhaps the reasons why more cannot be said."""

    degree: Degree
    because: tuple[str, ...] = ()


NO = Match(Degree.NO)
YES = Match(Degree.YES)


def perhaps(because: str) -> Match:
    """Return a match of which it cannot be told whether it is one."""
    return Match(Degree.PERHAPS, (because,))


def certain(holds: bool) -> Match:  # noqa: FBT001 - the argument is the whole content
    """Return yes or no."""
    return YES if holds else NO


def negated(match: Match) -> Match:
    """Return whether something does not match: a perhaps stays one."""
    return {Degree.YES: NO, Degree.NO: YES}.get(match.degree, match)


def any_of(matches: Iterable[Match]) -> Match:
    """Return whether at least one matches: lists of peers and of ports are ORed."""
    found = list(matches)
    degree = max((match.degree for match in found), default=Degree.NO)
    return _with_reasons(degree, found)


def all_of(matches: Iterable[Match]) -> Match:
    """Return whether each matches: a rule is (any peer) AND (any traffic)."""
    found = list(matches)
    degree = min((match.degree for match in found), default=Degree.YES)
    return _with_reasons(degree, found)


def _with_reasons(degree: Degree, found: list[Match]) -> Match:
    if degree is not Degree.PERHAPS:
        return Match(degree)
    reasons = [reason for match in found for reason in match.because]
    return Match(degree, tuple(dict.fromkeys(reasons)))


class Outcome(StrEnum):
    """What a rule or a policy does to a connection; NONE where nothing of it matches."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"
    NONE = "none"


@dataclass(frozen=True)
class Possible:
    """One outcome that is possible, what brings it about, and why there may be others."""

    outcome: Outcome
    evidence: tuple[Evidence, ...] = ()
    because: tuple[str, ...] = ()


NOTHING = Possible(Outcome.NONE)

RuleReader = Callable[[Any, Path, Approach], tuple[Match, Outcome]]
"""Reads rule `i` of a section and says whether it matches, and what it does then.

Raises NotUnderstoodError where something in the rule is not understood.
"""


@dataclass(frozen=True)
class Selected:
    """A policy that selects the pod, read as far as its rules."""

    document: Document
    sections: Mapping[Direction, list[Any]]
    """The rules of each direction, raw."""
    read_rule: RuleReader
    possible_actions: Callable[[Any], tuple[Outcome, ...]]
    """What a rule that is not understood might do: its action, or any where that is unreadable."""
    priority: int = 0
    isolates: frozenset[Direction] = frozenset()
    """For NetworkPolicy: the directions in which the pod is denied what no rule allows."""
    baseline: bool = False
    """For ClusterNetworkPolicy: of the tier Baseline, not Admin."""


def evidence(
    document: Document, direction: Direction, action: str, rule: str, path: Path
) -> Evidence:
    """Return evidence that names a place in a document."""
    line = document.line_of(path)
    return Evidence("network", direction.value, action, document.ref, rule, document.file, line)


def not_understood(document: Document, error: NotUnderstoodError) -> str:
    """Return what of a document was not understood, and where it stands."""
    return f"{document.location_of(error.path)}: `{document.ref}`: {error}"
