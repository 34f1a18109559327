"""Who of the outside may come in somewhere: a verdict for each range of addresses."""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from ringfence.model.outside import AddressRange, merge, parse_range
from ringfence.model.verdict import Evidence, Judgement, Verdict

Verdicts = dict[AddressRange, Verdict]
T = TypeVar("T")
OPENEST_FIRST: Final = (Verdict.ALLOW, Verdict.UNKNOWN, Verdict.DENY)


class Admission(msgspec.Struct):
    """Who of the outside may come in somewhere."""

    verdicts: Verdicts
    because: tuple[str, ...] = ()
    """Why something is unknown, and what was taken for granted."""
    evidence: tuple[Evidence, ...] = ()

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
        )

    def __or__(self, other: "Admission") -> "Admission":
        """Return who may come in here or there."""
        verdicts = dict(self.verdicts)
        for part, verdict in other.verdicts.items():
            verdicts[part] = min(verdicts.get(part, verdict), verdict, key=OPENEST_FIRST.index)
        return Admission(
            verdicts, _each(self.because, other.because), _each(self.evidence, other.evidence)
        )

    def told(self, words: str) -> "Admission":
        """Return the same with one more thing that a reader must know."""
        if not words:
            return self
        return Admission(self.verdicts, _each(self.because, (words,)), self.evidence)

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
        return Admission(verdicts, self.because, self.evidence)


def _each(first: Sequence[T], second: Sequence[T]) -> tuple[T, ...]:
    """Return the items of both, each once."""
    return tuple(dict.fromkeys((*first, *second)))


def admission(judgements: dict[AddressRange, Judgement]) -> Admission:
    """Return judgements as an admission, with the evidence of the strictest."""
    verdicts = {part: judgement.verdict for part, judgement in judgements.items()}
    strictest = max(judgements.values(), key=lambda j: OPENEST_FIRST.index(j.verdict), default=None)
    because = dict.fromkeys(why for j in judgements.values() for why in j.unknown_because)
    evidence = strictest.evidence if strictest else ()
    return Admission(verdicts, tuple(because), tuple(e for e in evidence if e.object))


def agreed(admissions: Sequence[Admission]) -> Admission:
    """Return what the admissions of several callers agree on; the rest is unknown."""
    first = admissions[0]
    if all(each.verdicts == first.verdicts for each in admissions):
        return first
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
