"""Stacks that end in a union: most of what is written allows some peers and denies the rest.

The many rules of a union overlap, and peers are shared by many unions where the unions are not.
`matrix` therefore adds them up peer by peer, and only what decides before is laid over the result.
"""

from dataclasses import dataclass, replace

import msgspec

from ringfence.engine.classes import Classes
from ringfence.engine.outcome import Outcome
from ringfence.engine.protocols import HTTP, TLS, read_as
from ringfence.engine.redirects import Reader
from ringfence.engine.rows import Rows
from ringfence.engine.rules import CompiledRule
from ringfence.engine.stack import Floor, Stack
from ringfence.model.rule import Action, Resolution, Ties

HeadRow = tuple[int, int, int, int]
"""(traffic mask, peers perhaps allowed, peers perhaps denied, peers perhaps left undecided)."""


@dataclass(frozen=True)
class Ending:
    """A stack that ends in allowing what some rules match and denying the rest.

    So that the many rules of a union, which overlap, need not be laid over each other.
    """

    head: tuple[Floor, ...]
    """What decides before, without a default of its own at the end."""
    tail: tuple[CompiledRule, ...]
    """Rules that allow, in an order that means nothing."""
    denying: tuple[CompiledRule, ...] = ()
    """Rules that deny after the head and whatever the tail allows, in no order either."""


class Endings:
    """The endings of all stacks, and what comes before them."""

    def __init__(self, classes: Classes, rows: Rows) -> None:
        """Keep what was compiled; nothing is looked for yet."""
        self._classes, self._rows = classes, rows
        self._endings: dict[int, Ending | None] = {}
        self._heads: dict[tuple[object, ...], tuple[HeadRow, ...]] = {}
        self._reader = Reader(classes)
        self._refusals: dict[int, CompiledRule] = {}

    def of(self, stack: Stack) -> Ending | None:
        """Return a stack as what comes before a union, and the union; None where it has none."""
        if id(stack) not in self._endings:
            found = _find(stack)
            self._endings[id(stack)] = self._as_read(found) if found else None
        return self._endings[id(stack)]

    def _as_read(self, ending: Ending) -> Ending | None:
        """Return an ending with what Cilium's proxies refuse denied; None where more is to it.

        What a proxy reads as HTTP and what is none is denied, by whatever rule it is allowed.
        Server names alone keep a stack a union.
        """
        asked = {read_as(rule.rule.parser): None for rule in ending.tail}.keys() - {""}
        if not asked - {TLS}:
            return ending
        http, perhaps = self._reader.whole[HTTP]
        if asked != {HTTP} or perhaps or self._reader.ranges_yield:
            return None
        others = [rule for rule in ending.tail if not rule.rule.parser]
        refusing = [self._refusal(rule, http) for rule in ending.tail if rule.rule.parser]
        refusing = [one for one in refusing if any(_may_meet(one, rule) for rule in others)]
        return replace(ending, denying=(*ending.denying, *refusing))

    def _refusal(self, rule: CompiledRule, http: int) -> CompiledRule:
        """Return a rule that denies what the proxy of another cannot read."""
        if id(rule) not in self._refusals:
            denying = msgspec.structs.replace(rule.rule, action=Action.DENY, layer7=None)
            only = self._classes.traffic.everything & ~http
            self._refusals[id(rule)] = self._classes.compile_rule(rule.policy, denying, only=only)
        return self._refusals[id(rule)]

    def head(self, subject: int, stack: Stack, ending: Ending) -> tuple[HeadRow, ...]:
        """Return what the head of a stack makes of the peers of a class of subjects.

        The masks of the rows are disjoint; together they are all traffic.
        """
        left_out = set(map(id, ending.tail))
        rules = [
            rule
            for floor in ending.head
            for policy in floor.policies
            for rule in stack.rules_of(policy)
            if rule.action is not Action.LOG and id(rule) not in left_out
        ]
        varying = set(map(id, stack.varying))
        variation = (rule for rule in rules if id(rule) in varying)
        key = (*map(id, rules), *self._rows.variation(variation, stack, subject))
        found = self._heads.get(key)
        if found is None:
            listed = self._rows.laid_out(rules, stack, subject)
            by_rule = dict(zip(map(id, rules), listed, strict=True))
            rows = []
            last = ending.head[-1] if ending.head else None
            for cell in self._rows.cells(listed):
                outcome = Outcome(undecided=self._classes.everything)
                for floor in ending.head:
                    ends = not (floor is last and floor.closes)
                    self._rows.decide(outcome, floor, by_rule, stack, cell, {}, ends=ends)
                rows.append((cell, outcome.allowed, outcome.denied, outcome.undecided))
            found = self._heads[key] = tuple(rows)
        return found


def _may_meet(one: CompiledRule, other: CompiledRule) -> bool:
    """Return whether two rules may be about the same peers and traffic."""
    if not one.matched.possible & other.matched.possible:
        return False
    if one.names or other.names:
        return True
    return bool(_traffic(one) & _traffic(other))


def _traffic(rule: CompiledRule) -> int:
    found = 0
    for share in rule.shares:
        found |= share.certain | share.perhaps
    return found


def _find(stack: Stack) -> Ending | None:
    if any(rule.authenticates for rule in stack.limiting):
        return None
    closing = next((n for n, floor in enumerate(stack.floors) if floor.closes), None)
    if closing is None:
        return None
    floor = stack.floors[closing]
    before = stack.floors[:closing]
    rules = [
        rule
        for policy in floor.policies
        for rule in stack.rules_of(policy)
        if rule.action is not Action.LOG
    ]
    if floor.tier.resolution is Resolution.DENY_WINS:
        tail = tuple(rule for rule in rules if rule.action is Action.ALLOW)
        denying = tuple(rule for rule in rules if rule.action is Action.DENY)
        return Ending(before, tail, denying)
    if floor.tier.ties is not Ties.NAME:
        return None
    length = len(rules)
    while length and rules[length - 1].action is Action.ALLOW:
        length -= 1
    if any(rule.action is Action.PASS for rule in rules[:length]):
        return None
    return Ending((*before, floor) if length else before, tuple(rules[length:]))
