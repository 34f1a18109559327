"""Who of the outside may come in somewhere: a verdict for each range of addresses."""

import functools
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from ringfence.model.outside import AddressRange, merge, parse_range
from ringfence.model.verdict import Evidence, Judgement, Verdict
from ringfence.questions.combining import Limit

Verdicts = dict[AddressRange, Verdict]
T = TypeVar("T")
SOME_LIMITED: Final = "from some addresses only what rules above the port let through is allowed"
OPENEST_FIRST: Final = (Verdict.ALLOW, Verdict.UNKNOWN, Verdict.DENY)


class Admission(msgspec.Struct):
    """Who of the outside may come in somewhere."""

    verdicts: Verdicts
    because: tuple[str, ...] = ()
    """Why something is unknown, and what was taken for granted."""
    evidence: tuple[Evidence, ...] = ()
    limited: tuple[Limit, ...] = ()
    """What may be said there, in the shape of answers; empty: anything."""

    @property
    def verdict(self) -> Verdict:
        """Allow where any address may come in, else unknown where any might."""
        return min(self.verdicts.values(), key=OPENEST_FIRST.index, default=Verdict.DENY)

    def ranges(self, verdict: Verdict) -> tuple[str, ...]:
        """Return the addresses of one verdict, in as few ranges as possible."""
        return tuple(map(str, merge(r for r, found in self.verdicts.items() if found is verdict)))

    def __and__(self, other: "Admission") -> "Admission":
        """Return who may come in both here and there."""
        return Admission(
            {r: v & other.verdicts.get(r, Verdict.DENY) for r, v in self.verdicts.items()},
            _each(self.because, other.because),
            _each(self.evidence, other.evidence),
            other.limited or self.limited,
        )

    def __or__(self, other: "Admission") -> "Admission":
        """Return who may come in here or there."""
        verdicts = dict(self.verdicts)
        for part, verdict in other.verdicts.items():
            verdicts[part] = min(verdicts.get(part, verdict), verdict, key=OPENEST_FIRST.index)
        return Admission(
            verdicts,
            _each(self.because, other.because),
            _each(self.evidence, other.evidence),
            _either(self.limited, other.limited),
        )

    def told(self, words: str) -> "Admission":
        """Return the same with one more thing that a reader must know."""
        if not words:
            return self
        return Admission(self.verdicts, _each(self.because, (words,)), self.evidence, self.limited)

    def within(self, blocks: Sequence[str]) -> "Admission":
        """Return what is left of it behind a filter that lets these CIDRs through; none: all."""
        if not blocks:
            return self
        allowed = [part for block in blocks if (part := parse_range(block))]
        verdicts = {
            AddressRange(part.family, max(part.first, a.first), min(part.last, a.last)): verdict
            for part, verdict in self.verdicts.items()
            for a in allowed
            if a.family == part.family and a.first <= part.last and part.first <= a.last
        }
        return Admission(verdicts, self.because, self.evidence, self.limited)


def _each(first: Sequence[T], second: Sequence[T]) -> tuple[T, ...]:
    """Return the items of both, each once."""
    return tuple(dict.fromkeys((*first, *second)))


def _either(first: tuple[Limit, ...], second: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Return the limits of both; none where either has none."""
    if not first or not second:
        return ()
    return (*first, *(limit for limit in second if limit not in first))


def admission(judgements: dict[AddressRange, Judgement]) -> Admission:
    """Return judgements as an admission, with the evidence of the strictest."""
    verdicts = {part: judgement.verdict for part, judgement in judgements.items()}
    strictest = max(judgements.values(), key=lambda j: OPENEST_FIRST.index(j.verdict), default=None)
    because = dict.fromkeys(why for j in judgements.values() for why in j.unknown_because)
    evidence = strictest.evidence if strictest else ()
    allowing = [j.limited_to for j in judgements.values() if j.verdict is Verdict.ALLOW]
    limited = functools.reduce(_either, allowing) if allowing else ()
    if not limited:
        because |= dict.fromkeys([SOME_LIMITED] if any(allowing) else [])
    told = tuple(e for e in evidence if e.object)
    return Admission(verdicts, tuple(because), told, limited)


def agreed(admissions: Sequence[Admission]) -> Admission:
    """Return what the admissions of several callers agree on; the rest is unknown."""
    first = admissions[0]
    if all(each.verdicts == first.verdicts for each in admissions):
        return msgspec.structs.replace(
            first, limited=functools.reduce(_either, [each.limited for each in admissions])
        )
    verdicts: Verdicts = {}
    for part in dict.fromkeys(part for each in admissions for part in each.verdicts):
        found = {each.verdicts.get(part, Verdict.DENY) for each in admissions}
        verdicts[part] = found.pop() if len(found) == 1 else Verdict.UNKNOWN
    because: tuple[str, ...] = ()
    for each in admissions:
        because = _each(because, each.because)
    return Admission(verdicts, because, first.evidence).told(
        "the workloads that serve it are not treated alike"
    )
