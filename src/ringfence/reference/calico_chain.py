"""How Calico goes through tiers, policies and rules: the first match decides.

Source: Calico `felix/rules/endpoints.go` endpointIptablesChain (CHAIN); `app-policy/checker/
check.go` checkTiers (CHECK).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ringfence.model.document import Path, path_text
from ringfence.model.rule import Action
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference.calico_http import Limit
from ringfence.reference.calico_policies import Rules, Standing, place
from ringfence.reference.calico_rules import Read
from ringfence.reference.ends import Approach
from ringfence.reference.findings import Side
from ringfence.reference.outcome import (
    NOTHING,
    Degree,
    Outcome,
    Possible,
    evidence,
    not_understood,
    perhaps,
)
from ringfence.reference.schema import NotUnderstoodError

OUTCOMES = {"Allow": Outcome.ALLOW, "Deny": Outcome.DENY, "Pass": Outcome.PASS}
UNSURE_LIMIT = "whether a rule about requests is reached cannot be told"
SOME_REQUESTS = "a rule that only some requests match perhaps matches"


@dataclass
class Trail:
    """What was met on the way through the tiers."""

    possible: list[Possible] = field(default_factory=list)
    """Allows and denies, each of which may be the end."""
    passed: list[Evidence] = field(default_factory=list)
    """Rules that passed, or logged."""
    because: list[str] = field(default_factory=list)
    """Why what follows is only perhaps reached."""
    limits: list[Limit] = field(default_factory=list)
    limited_by: list[Evidence] = field(default_factory=list)
    """Rules that allow some of the requests that the question may mean."""
    unsure: bool = False
    """Whether one of these is only perhaps reached."""

    @property
    def is_in_doubt(self) -> bool:
        """Return whether something before may have decided."""
        return bool(self.possible or self.because)

    def end(self, outcome: Outcome, pieces: Iterable[Evidence], because: Iterable[str]) -> None:
        """Note what may be the end."""
        reasons = (*self.because, *because)
        self.possible.append(Possible(outcome, (*self.passed, *pieces), reasons))

    def side(self) -> Side:
        """Return what came of it all."""
        outcomes = {one.outcome for one in self.possible}
        pieces = tuple(dict.fromkeys(p for one in self.possible for p in one.evidence))
        if outcomes == {Outcome.ALLOW}:
            return Side(Verdict.ALLOW, pieces)
        if outcomes == {Outcome.DENY} and not self.limits:
            return Side(Verdict.DENY, pieces)
        limited_by = tuple(dict.fromkeys(self.limited_by))
        if outcomes == {Outcome.DENY} and not self.unsure:
            limits = [limit for i, limit in enumerate(self.limits) if limit not in self.limits[:i]]
            return Side(Verdict.ALLOW, limited_by, limits=tuple(limits))
        reasons = [why for one in self.possible for why in one.because]
        if self.limits:
            reasons.append(UNSURE_LIMIT)
        because = tuple(dict.fromkeys(reasons))
        return Side(Verdict.UNKNOWN, tuple(dict.fromkeys((*limited_by, *pieces))), because)


def through_tiers(
    policies: Sequence[Standing], here: Approach, trail: Trail, *, ends: bool
) -> bool:
    """Go through the tiers in order; return whether what follows may still be reached.

    A tier without a policy that applies in this direction is not there. In the others: the first
    rule that matches decides. Allow and Deny are final; Pass goes on to the next tier; Log is no
    more than noted. Where nothing matches, the tier's default action is taken.

    Args:
        policies: those that select the subject.
        here: the connection.
        trail: where to note what is met.
        ends: whether the ends of tiers count. For untracked and pre-DNAT policies they do not.

    Source: CHAIN; CHECK.
    """
    applicable = sorted((p for p in policies if here.direction in p.directions), key=place)
    for tier, group in groupby(applicable, key=lambda policy: policy.tier):
        members = list(group)
        found: list[Possible] = []
        for policy in members:
            rules = policy.sections[here.direction]
            at = ("spec", here.direction.value)
            found += through_rules(policy, rules, at, here, trail, in_doubt=bool(found))
            if NOTHING not in found:
                break
            found = [one for one in found if one is not NOTHING]
        else:
            denies = ends and tier.unmatched is Action.DENY
            pieces = tuple(_isolation(policy, here) for policy in members)
            found.append(Possible(Outcome.DENY, pieces) if denies else NOTHING)
        if not settle(found, trail):
            return False
    return True


def _isolation(policy: Standing, here: Approach) -> Evidence:
    return evidence(policy.document, here.direction, "deny", "isolation", policy.types_path)


def settle(found: list[Possible], trail: Trail) -> bool:
    """Note what may come of a tier; return whether what follows may still be reached."""
    goes_on = [one for one in found if one.outcome in (Outcome.PASS, Outcome.NONE)]
    for one in found:
        if one not in goes_on:
            trail.end(one.outcome, one.evidence, one.because)
    for one in goes_on:
        trail.passed += one.evidence
        trail.because += one.because
    return bool(goes_on)


def through_rules(
    policy: Rules,
    rules: Sequence[Any],
    at: Path,
    here: Approach,
    trail: Trail,
    *,
    in_doubt: bool = False,
) -> list[Possible]:
    """Return what may come of a list of rules; NOTHING is among it where nothing may match.

    A rule that matches only perhaps may decide, and what follows it may as well; one that is not
    understood perhaps matches. A rule that only some requests match is noted, and passed by.

    Args:
        policy: whose rules they are.
        rules: as they stand in the manifest.
        at: where they stand.
        here: the connection.
        trail: where to note what does not decide.
        in_doubt: whether something before them in their tier may have decided.
    """
    found: list[Possible] = []
    for index, rule in enumerate(rules):
        path = (*at, index)
        try:
            result = policy.read(rule, path, here)
            actions: tuple[str, ...] = (result.action,)
            word = result.action.lower()
        except NotUnderstoodError as error:
            result = Read(perhaps(not_understood(policy.document, error)), "")
            actions = policy.possible(rule)
            word = "unknown"
        degree = result.match.degree
        if degree is Degree.NO:
            continue
        piece = evidence(policy.document, here.direction, word, path_text(path[1:]), path)
        if actions == ("Log",):
            trail.passed.append(piece)
            continue
        if result.limits and degree is Degree.YES:
            trail.limits += result.limits
            trail.limited_by.append(piece)
            trail.unsure |= trail.is_in_doubt or in_doubt or bool(found)
            continue
        because = result.match.because
        if result.limits:
            because = (*because, SOME_REQUESTS)
        found += [Possible(OUTCOMES[one], (piece,), because) for one in actions if one != "Log"]
        if degree is Degree.YES:
            return found
    return [*found, NOTHING]
