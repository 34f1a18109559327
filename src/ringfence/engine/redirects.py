"""As what Cilium's proxies read traffic, and what passes there.

Where any rule sends a peer's traffic on a port to a proxy, all that this peer sends there goes to
it, by whatever rule it is allowed: a redirect is of higher precedence than a plain allow. Of two
redirects HTTP is the higher, then TLS, then DNS. What the proxy cannot read does not pass.

Source: Cilium `bpf/lib/policy.h` __policy_can_access, `pkg/policy/types/entry.go`
WithListenerPriority, `pkg/policy/mapstate.go` insertWithChanges; `pkg/fqdn/dnsproxy/proxy.go`
CheckAllowed, GetSelectorRegexMap; cilium/proxy `cilium/network_policy.cc` PortPolicy::forRange.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from ringfence.engine.classes import Classes
from ringfence.engine.matches import NOTHING, Matches, union
from ringfence.engine.protocols import DNS, HTTP, ORDER, OTHER, TLS, WHOLE, read_as
from ringfence.engine.rules import CompiledRule
from ringfence.model.profile import older_than
from ringfence.model.rule import PortRange, Traffic

KINDS: Final = (
    "rules for proxies of two kinds are for this peer and port: what the one lets through of what "
    "the other allows is not known"
)
LISTENER: Final = "a listener of one's own, or a parser that is not known here, decides"
WHICH: Final = "whether this is sent to a proxy, which lets through {} alone, is not known"


@dataclass(frozen=True)
class Met:
    """The peers of a rule that allows, on one class of traffic."""

    rule: CompiledRule
    wide: Matches
    """Those that it matches up to the port."""
    authenticated: Matches
    """Those of them that lack no authentication."""
    resolved: Matches = NOTHING
    """Of a plain rule: those that it matches on a very port that DNS rules are for."""
    single: Matches = NOTHING
    """Those that it matches on a port that stands in no range."""


class Readings:
    """As what one class of traffic may be read, peer by peer."""

    def __init__(
        self, met: Iterable[Met], is_read: dict[str, bool | None], *, ranges_yield: bool
    ) -> None:
        """Work out which peers' traffic goes to which proxy.

        Args:
            met: all rules that allow.
            is_read: whether the traffic is HTTP, whether DNS; None: some of it perhaps.
            ranges_yield: whether a redirect of a range may yield to a plain rule for fewer ports.
        """
        listed = list(met)
        self._is_read = is_read
        self._resolved = {id(one.rule): one.resolved for one in listed}
        plain = union(one.wide for one in listed if not read_as(one.rule.rule.parser)).possible
        self._by_proxy: dict[str, Matches] = {}
        self._loose: dict[str, Matches] = {}
        for parser in ORDER:
            same = [one for one in listed if read_as(one.rule.rule.parser) == parser]
            found = union(one.wide for one in same)
            if ranges_yield:
                single = union(one.single for one in same).certain
                certain = found.certain & (single | ~plain)
                found = Matches(certain, found.possible & ~certain)
            self._by_proxy[parser] = found
            self._loose[parser] = union(one.authenticated for one in same).unsure()

    def _possible(self) -> Iterator[tuple[str, int]]:
        """Yield each way to be read, empty for none, with the peers of which it is possible."""
        left = -1
        for parser in ORDER:
            found = self._by_proxy[parser]
            yield parser, found.possible & left
            left &= ~found.certain
        yield "", left

    def allowed(self, spoken: Iterable[tuple[CompiledRule, Matches]]) -> Matches:
        """Return the peers of which what rules allow passes."""
        listed = list(spoken)
        possible = denied = 0
        for parser, peers in self._possible():
            if peers:
                found = self._passing(parser, listed)
                possible |= peers & found.possible
                denied |= peers & ~found.certain
        return Matches(possible & ~denied, possible & denied)

    def refused(self) -> Matches:
        """Return the peers of which the proxy cannot read the traffic."""
        refused = passing = 0
        for parser, peers in self._possible():
            is_read = self._is_read.get(parser, True)
            if is_read is not True:
                refused |= peers
            if is_read is not False:
                passing |= peers
        return Matches(refused & ~passing, refused & passing)

    def why(self, number: int) -> str:
        """Return why it is not known what becomes of a peer's traffic."""
        ways = [parser for parser, peers in self._possible() if peers >> number & 1]
        if OTHER in ways:
            return LISTENER
        if len(ways) > 1:
            return WHICH.format(" or ".join(parser for parser in ways if parser))
        return KINDS

    def _passing(self, parser: str, spoken: list[tuple[CompiledRule, Matches]]) -> Matches:
        """Return what passes where it is read in one way."""
        if parser == OTHER:
            return union(found for _, found in spoken).unsure()
        passing = [found for rule, found in spoken if read_as(rule.rule.parser) == parser]
        for rule, found in spoken:
            if parser and not read_as(rule.rule.parser):
                # The DNS proxy knows no rules but those for its own ports.
                passing.append(found & self._resolved[id(rule)] if parser == DNS else found)
        if parser == HTTP:
            passing += [self._loose[TLS], self._loose[DNS]]
        elif parser == TLS:
            passing.append(self._loose[DNS])
        found = union(passing)
        is_read = self._is_read.get(parser, True)
        if is_read is None:
            return found.unsure()
        return found if is_read else NOTHING


class Reader:
    """What of rules and traffic tells as what proxies read it."""

    def __init__(self, classes: Classes) -> None:
        """Keep what the rules were compiled to."""
        self._classes = classes
        self.ranges_yield = older_than(classes.snapshot.profile.version, 1, 19)
        """Whether a redirect of a range may yield to a plain rule for fewer of its ports: which of
        two has fewer depends on how Cilium takes ranges apart, and is not followed here."""
        self._narrowed: dict[tuple[int, tuple[Traffic, ...]], CompiledRule] = {}
        self.whole = {parser: classes.traffic.limit((box,)) for parser, box in WHOLE.items()}
        """Per protocol, the classes of traffic that are it, and those that perhaps are."""

    def is_read(self, cell: int) -> dict[str, bool | None]:
        """Return whether some traffic is HTTP, and whether DNS; None: perhaps."""
        return {
            parser: True if certain & cell else None if perhaps & cell else False
            for parser, (certain, perhaps) in self.whole.items()
        }

    def resolved(self, rule: CompiledRule, resolving: frozenset[Traffic]) -> CompiledRule | None:
        """Return a plain rule for those of its ports that DNS rules are for; None: for none."""
        if read_as(rule.rule.parser) or not resolving:
            return None
        return self._narrow(rule, [p for p in rule.rule.traffic or () if p in resolving])

    def single(self, rule: CompiledRule) -> CompiledRule | None:
        """Return a rule for those of its ports that stand in no range, where that matters."""
        if not self.ranges_yield or not read_as(rule.rule.parser):
            return None
        ports = rule.rule.traffic or ()
        return self._narrow(
            rule, [p for p in ports if not isinstance(p, PortRange) or p.first == p.last]
        )

    def _narrow(self, rule: CompiledRule, ports: list[Traffic]) -> CompiledRule | None:
        if not ports:
            return None
        key = id(rule), tuple(ports)
        if key not in self._narrowed:
            part = msgspec.structs.replace(rule.rule, traffic=key[1], layer7=None)
            self._narrowed[key] = self._classes.compile_rule(rule.policy, part)
        return self._narrowed[key]
