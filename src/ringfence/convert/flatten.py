"""Turns steps, of which the first match decides, into what a language without order can say.

A union of what is allowed: of each rule that allows, what no earlier step denies. Where a subject
is closed by rules alone, and not by an isolation, all that they leave is allowed beside.
"""

from collections.abc import Callable, Sequence

import msgspec

from ringfence.convert.algebra import Algebra, Box
from ringfence.convert.lift import Step
from ringfence.convert.terms import Pods, possible, simplified
from ringfence.convert.told import Effect, Origin, Told
from ringfence.convert.traffic import Amount
from ringfence.model.rule import Action

Said = tuple[Box, Origin]
Deniable = Callable[[Amount], tuple[Amount, Amount]]


class Flat(msgspec.Struct, frozen=True):
    """One direction without order."""

    allowed: tuple[Said, ...]
    denied: tuple[Said, ...]
    """Wins over what is allowed; only where the language can deny."""
    isolated: tuple[tuple[Pods, Origin], ...]
    """The subjects to whom, or from whom, nothing else may pass."""
    told: tuple[Told, ...]


def flatten(steps: Sequence[Step], algebra: Algebra, deniable: Deniable | None = None) -> Flat:
    """Return steps without order.

    Args:
        steps: of one direction.
        algebra: of the cluster.
        deniable: parts traffic into what rules can deny, which win over those that allow, and
            what they cannot; None where the language has no such rules.
    """
    isolated: dict[tuple[Pods, int], Origin] = {}
    closed: list[Box] = []
    before: list[Box] = []
    allowed: list[Said] = []
    denied: list[Said] = []
    told: dict[Told, None] = {}
    for step in steps:
        if step.action is Action.ALLOW:
            pieces = algebra.subtract(step.box, closed, allow=True)
            if algebra.taken_loss():
                what = "what is denied before it cannot be taken out of it exactly"
                told[step.origin.tell(what, "less is allowed", Effect.NARROWER)] = None
            if algebra.taken_today():
                what = "what is denied before it was taken out of it"
                told[step.origin.tell(what, "the pods that are left now", Effect.TODAY)] = None
            allowed += [(piece, step.origin) for piece in pieces]
            before.append(step.box)
            continue
        unsaid = [step.box]
        if deniable and not step.isolation:
            pieces = algebra.subtract(step.box, before, allow=False)
            parted = [(piece, deniable(piece.traffic)) for piece in pieces]
            denied += [(_with(piece, said), step.origin) for piece, (said, _) in parted if said]
            unsaid = [_with(piece, other) for piece, (_, other) in parted if other]
        for box in unsaid:
            closed.append(box)
            isolated.setdefault((box.subject, step.origin.document), step.origin)
    subjects = [(subject, origin) for (subject, _), origin in isolated.items()]
    allowed = [said for one in allowed for said in _confined(one, [s for s, _ in subjects])]
    for subject, origin in subjects:
        rest = algebra.subtract(Box(subject), closed, allow=True)
        if algebra.taken_loss():
            what = "what it leaves open cannot be said exactly"
            told[origin.tell(what, "less is allowed", Effect.NARROWER)] = None
        allowed += [(piece, origin) for piece in rest]
    return Flat(tuple(dict.fromkeys(allowed)), tuple(denied), tuple(subjects), tuple(told))


def _with(box: Box, traffic: Amount) -> Box:
    return msgspec.structs.replace(box, traffic=traffic)


def _confined(said: Said, subjects: Sequence[Pods]) -> list[Said]:
    """Return what is said to subjects that are closed: to others it says nothing."""
    box, origin = said
    if any(subject <= box.subject for subject in subjects):
        return [said]
    return [
        (msgspec.structs.replace(box, subject=simplified(box.subject | subject)), origin)
        for subject in subjects
        if possible(box.subject | subject)
    ]
