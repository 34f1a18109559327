"""What becomes of all peers at once as the policies of a stack decide, one after the other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ringfence.engine.matches import Matches, union
from ringfence.engine.redirects import Readings
from ringfence.engine.rules import CompiledRule, Part
from ringfence.model.rule import Action, Ties

Said = list[tuple[CompiledRule, int, int]]
"""What a policy's rules say of one class of traffic: (rule, certain peers, perhaps peers)."""


@dataclass(frozen=True)
class Lacking:
    """The peers of which some allow rule asks for authentication that some traffic lacks."""

    required: Matches
    never: Matches
    """Those of which a rule asks for what nothing passes."""

    def left_of(self, rule: CompiledRule, found: Matches) -> Matches:
        """Return what another rule still allows.

        Nothing of those peers if it says nothing of authentication. If it says something else, it
        depends on which of the two Cilium goes by.

        Source: Cilium `bpf/lib/policy.h` __policy_check (has_explicit_auth_type).
        """
        asked = self.never if rule.authenticates else self.required | self.never
        doubted = Matches(found.certain & ~asked.possible, found.possible)
        doubted = Matches(doubted.certain, doubted.perhaps & ~doubted.certain)
        if rule.rule.authentication or rule.authenticates:
            return doubted
        return Matches(doubted.certain, doubted.perhaps & ~asked.certain)


@dataclass
class Outcome:
    """Peers by what may become of them so far."""

    undecided: int
    allowed: int = 0
    denied: int = 0
    passed: int = field(default=0)
    unmatched: int = field(default=0)
    """Those that are denied, or perhaps are, for want of a rule that allows them."""

    def first_match(self, policies: list[Said], ties: Ties) -> None:
        """Let the policies of one order decide, each by its first rule that matches.

        Where they disagree the specification leaves the result open, so that each is possible;
        Cilium merges them, deny first.
        """
        allowed = denied = passed = sure_deny = sure_allow = 0
        undecided = self.undecided
        for rules in policies:
            said = {Action.ALLOW: 0, Action.DENY: 0, Action.PASS: 0}
            remaining = self.undecided
            for rule, certain, perhaps in rules:
                said[rule.action] |= remaining & (certain | perhaps)
                remaining &= ~certain
            undecided &= remaining
            allowed |= said[Action.ALLOW]
            denied |= said[Action.DENY]
            passed |= said[Action.PASS]
            sure_deny |= said[Action.DENY] & ~(said[Action.ALLOW] | said[Action.PASS] | remaining)
            sure_allow |= said[Action.ALLOW] & ~(said[Action.DENY] | said[Action.PASS] | remaining)
        if ties is Ties.DENY_FIRST:
            allowed &= ~sure_deny
            passed &= ~(sure_deny | sure_allow)
        self.allowed |= allowed
        self.denied |= denied
        self.passed |= passed
        self.undecided = undecided

    def deny_wins(
        self,
        rules: Said,
        lacking: "Lacking | None" = None,
        read: Readings | None = None,
    ) -> None:
        """Let any rule that denies decide, then any that allows.

        Args:
            rules: what the rules say of this traffic.
            lacking: the peers of which rules ask for authentication that this traffic lacks.
            read: as what proxies read this traffic, where rules send some to them.
        """
        denied = (Matches(c, p) for rule, c, p in rules if rule.action is Action.DENY)
        self._settle(Action.DENY, union(denied))
        allowing = [(rule, Matches(c, p)) for rule, c, p in rules if rule.action is Action.ALLOW]
        if lacking is not None:
            allowing = [(rule, lacking.left_of(rule, found)) for rule, found in allowing]
        allowed = read.allowed(allowing) if read else union(found for _, found in allowing)
        self._settle(Action.ALLOW, allowed)

    def confine(self, found: Matches) -> None:
        """Deny what has not been allowed and a proxy would refuse."""
        self.unmatched |= self.undecided & found.possible
        self._settle(Action.DENY, found)

    def _settle(self, action: Action, found: Matches) -> None:
        decided = self.undecided & found.possible
        if action is Action.DENY:
            self.denied |= decided
        else:
            self.allowed |= decided
        self.undecided &= ~found.certain

    def leave_tier(self) -> None:
        """Hand on what the tier passed, and what it did not decide, to the next."""
        self.undecided |= self.passed
        self.passed = 0


def said(rules: list[CompiledRule], by_rule: Mapping[int, tuple[Part, ...]], cell: int) -> Said:
    """Return what rules say of one class of traffic.

    Args:
        rules: in the order in which they are written.
        by_rule: the parts of those that count, by their id.
        cell: the traffic.
    """
    found = []
    for rule in rules:
        match = matched(by_rule.get(id(rule), ()), cell)
        if match.possible:
            found.append((rule, match.certain, match.perhaps))
    return found


def matched(parts: Iterable[Part], cell: int) -> Matches:
    """Return the peers that the parts of a rule match for one class of traffic."""
    certain = perhaps = 0
    for mask, some, maybe in parts:
        if mask & cell:
            certain |= some
            perhaps |= maybe
    return Matches(certain, perhaps)
