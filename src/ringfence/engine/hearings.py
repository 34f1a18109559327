"""Which of the rules that allow one connection count, authentication and proxies considered.

The counterpart, for one connection, of what `outcome.Lacking` and `redirected` are for all peers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ringfence.engine.matches import NOTHING, Matches, union
from ringfence.engine.redirects import Met, Reader, Readings
from ringfence.engine.rules import CompiledRule
from ringfence.engine.steps import RuleTrace, any_of
from ringfence.model.rule import Action


@dataclass(frozen=True)
class Heard:
    """A rule that allows and matches, or may."""

    trace: RuleTrace
    lacks: bool | None
    """Whether authentication is lacking that another rule asks for; None: perhaps."""

    @property
    def disputed(self) -> bool:
        """Whether it says something of authentication itself, so that either may hold."""
        return bool(self.trace.compiled.authenticates or self.trace.compiled.rule.authentication)

    @property
    def found(self) -> Matches:
        """Return whether it allows, as a set of one peer."""
        return _set(self.trace.matches if self.lacks is False else None)


def _set(holds: bool | None) -> Matches:  # noqa: FBT001 - three values
    return Matches(1) if holds else Matches(0, 1) if holds is None else NOTHING


class Hearing:
    """The rules of one tier that allow, as they met a connection."""

    def __init__(self, rules: Iterable[RuleTrace], *, authenticated: bool) -> None:
        """Find what of authentication is lacking.

        Args:
            rules: of the tier.
            authenticated: whether the peers authenticated each other.
        """
        self._allowing = [rule for rule in rules if rule.compiled.action is Action.ALLOW]
        self._authenticated = authenticated
        asking = [rule for rule in self._allowing if rule.compiled.authenticates]
        never = [rule for rule in asking if rule.compiled.never_authenticates]
        required = [] if authenticated else [rule for rule in asking if rule not in never]
        self._never = any_of(rule.matches_up_to_port for rule in never)
        self._required = any_of(rule.matches_up_to_port for rule in required)

    def heard(self) -> list[Heard]:
        """Return the rules that allow, or may, in their order."""
        matching = (rule for rule in self._allowing if rule.matches is not False)
        listed = [Heard(rule, self._lacks(rule.compiled)) for rule in matching]
        return [one for one in listed if not one.lacks or one.disputed]

    def _lacks(self, rule: CompiledRule) -> bool | None:
        if rule.authenticates:
            return self._never
        return any_of((self._required, self._never))

    @property
    def redirecting(self) -> list[RuleTrace]:
        """Return the rules that send the connection to a proxy, or may."""
        return [
            rule
            for rule in self._allowing
            if rule.compiled.rule.parser and rule.matches_up_to_port is not False
        ]

    def readings(self, reader: Reader, cell: int) -> Readings | None:
        """Return as what the connection is read; None where nothing sends it to a proxy."""
        if not self.redirecting:
            return None
        met = [self._met(rule) for rule in self._allowing]
        return Readings(met, reader.is_read(cell), ranges_yield=reader.ranges_yield)

    def _met(self, rule: RuleTrace) -> Met:
        compiled = rule.compiled
        wide = _set(rule.matches_up_to_port)
        heard = Heard(rule, self._lacks(compiled))
        unmet = compiled.authenticates and not self._authenticated
        met = wide
        if compiled.never_authenticates or unmet or (heard.lacks and not heard.disputed):
            met = NOTHING
        elif heard.lacks is not False:
            met = wide.unsure()
        return Met(
            compiled,
            wide,
            met,
            wide if rule.resolved else NOTHING,
            wide if rule.single else NOTHING,
        )


@dataclass(frozen=True)
class Passing:
    """What of the rules that allow a connection is left once proxies have read it."""

    allowed: bool | None
    """None: perhaps."""
    by: list[RuleTrace]
    """The rules that allow it by themselves; where none does, all that are heard."""


def passing(read: Readings, heard: list[Heard]) -> Passing | None:
    """Return what passes of what rules allow; None where the proxies change nothing."""
    spoken = [(one.trace.compiled, one.found) for one in heard]
    found = read.allowed(spoken)
    if found == union(each for _, each in spoken) and not found.certain:
        return None
    alone = [one.trace for one, each in zip(heard, spoken, strict=True) if _sure(read, each)]
    listed = alone[:1] or [one.trace for one in heard]
    return Passing(True if found.certain else None if found.possible else False, listed)


def _sure(read: Readings, spoken: tuple[CompiledRule, Matches]) -> bool:
    return bool(read.allowed([spoken]).certain)
