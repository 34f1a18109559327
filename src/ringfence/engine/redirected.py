"""What the rules of a stack send to Cilium's proxies, for all peers at once."""

from collections.abc import Iterator
from dataclasses import dataclass

from ringfence.engine.matches import NOTHING, Matches
from ringfence.engine.outcome import Lacking, matched
from ringfence.engine.redirects import Met, Reader, Readings
from ringfence.engine.rules import CompiledRule, Part


@dataclass(frozen=True)
class Laid:
    """A rule that allows, with its parts as they are for a subject."""

    rule: CompiledRule
    wide: tuple[Part, ...]
    """Up to the port."""
    resolved: tuple[Part, ...]
    """Of a plain rule: on the very ports that DNS rules are for."""
    single: tuple[Part, ...]
    """On the ports that stand in no range."""


class Redirected:
    """As what traffic is read, class by class."""

    def __init__(self, reader: Reader, rules: list[Laid], authenticated: int) -> None:
        """Keep the rules.

        Args:
            reader: what tells as what traffic is read.
            rules: all rules that allow.
            authenticated: the traffic of peers that authenticated each other.
        """
        self._reader, self._rules, self._authenticated = reader, rules, authenticated

    def parts(self) -> Iterator[tuple[Part, ...]]:
        """Yield the parts of rules by which alone traffic must be told apart."""
        for one in self._rules:
            yield from (one.resolved, one.single)

    def read(self, cell: int, lacking: Lacking | None) -> Readings:
        """Return as what one class of traffic is read."""
        return Readings(
            (self._met(one, cell, lacking) for one in self._rules),
            self._reader.is_read(cell),
            ranges_yield=self._reader.ranges_yield,
        )

    def _met(self, one: Laid, cell: int, lacking: Lacking | None) -> Met:
        rule, wide = one.rule, matched(one.wide, cell)
        met: Matches = wide
        if rule.never_authenticates or (rule.authenticates and not cell & self._authenticated):
            met = NOTHING
        elif lacking is not None:
            met = lacking.left_of(rule, wide)
        return Met(rule, wide, met, matched(one.resolved, cell), matched(one.single, cell))
