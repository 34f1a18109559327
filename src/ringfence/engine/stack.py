"""The order in which policies decide: tiers, priorities within them, and what ties mean.

A subject's stack is what applies to it in one direction. Evaluating it for a set of peers at
once gives two sets: the peers that may be allowed and those that may be denied; a peer in both
is unknown. A rule that matches only perhaps adds its outcome, and evaluation goes on as if it
had not matched.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from ringfence.engine import bits
from ringfence.engine.classes import Classes, CompiledPolicy, CompiledRule
from ringfence.model.profile import Cni
from ringfence.model.rule import ADMIN, BASELINE, NETWORK_POLICY, Action, Direction

Cell = list[tuple[Action, int, int]]
"""What a policy's rules say of one class of traffic: (action, certain peers, perhaps peers)."""

Row = tuple[int, int, int]
"""(traffic mask, peers certainly allowed, peers perhaps allowed)."""

AdminRow = tuple[int, int, int, int]
"""(traffic mask, peers perhaps allowed, peers perhaps denied, peers perhaps left undecided)."""


@dataclass(frozen=True)
class Stack:
    """The policies that apply to a subject in one direction."""

    admin: tuple[tuple[CompiledPolicy, ...], ...]
    """Groups of equal priority, the lowest number first."""
    isolating: tuple[CompiledPolicy, ...]
    """The NetworkPolicies that isolate the subject in this direction."""
    baseline: tuple[tuple[CompiledPolicy, ...], ...]

    @property
    def policies(self) -> list[CompiledPolicy]:
        """Return all of them in the order in which they decide."""
        tiers = (*self.admin, self.isolating, *self.baseline)
        return [policy for group in tiers for policy in group]


class Stacks:
    """The stack of every class of pods, and what it allows."""

    def __init__(self, classes: Classes) -> None:
        """Order the policies and find which apply to which class."""
        self._classes = classes
        self._cni = classes.snapshot.profile.cni
        ordered = sorted(classes.policies, key=lambda p: (p.policy.order, p.policy.name))
        self._applying: dict[Direction, list[list[CompiledPolicy]]] = {}
        for direction in Direction:
            applying: list[list[CompiledPolicy]] = [[] for _ in range(classes.count)]
            for policy in ordered:
                isolates = direction in policy.policy.isolates
                if isolates or (policy.rules(direction) and policy.policy.tier != _NP):
                    for subject in bits.members(policy.subjects):
                        applying[subject].append(policy)
            self._applying[direction] = applying
        self._stacks: dict[tuple[int, ...], Stack] = {}
        self._rows: dict[tuple[object, ...], tuple[Row, ...]] = {}
        self._admin_rows: dict[tuple[object, ...], tuple[AdminRow, ...]] = {}

    def stack(self, subject: int, direction: Direction) -> Stack:
        """Return what applies to a class of pods in one direction."""
        applying = self._applying[direction][subject]
        key = tuple(map(id, applying))
        found = self._stacks.get(key)
        if found is None:
            found = self._stacks[key] = Stack(
                admin=self._group(p for p in applying if p.policy.tier == ADMIN),
                isolating=tuple(p for p in applying if p.policy.tier == _NP),
                baseline=self._group(p for p in applying if p.policy.tier == BASELINE),
            )
        return found

    def _group(self, policies: Iterable[CompiledPolicy]) -> tuple[tuple[CompiledPolicy, ...], ...]:
        if self._cni is Cni.CALICO:
            # Calico breaks ties by name (`felix/calc/policy_sorter.go`).
            return tuple((policy,) for policy in policies)
        groups = groupby(policies, key=lambda p: p.policy.order)
        return tuple(tuple(group) for _, group in groups)

    def rows(self, subject: int, direction: Direction) -> tuple[Row, ...]:
        """Return what a class of pods may exchange with all peers.

        The masks of the rows are disjoint; together they are all traffic.
        """
        classes = self._classes
        full = classes.everything
        if classes.unreadable >> subject & 1:
            return ((classes.traffic.everything, 0, full),)
        if not classes.networked >> subject & 1:
            return ((classes.traffic.everything, full, full),)
        stack = self.stack(subject, direction)
        named = tuple(
            classes.mask_at(rule, subject)
            for policy in stack.policies
            for rule in policy.rules(direction)
            if direction is Direction.INGRESS and rule.names
        )
        key = (direction, id(stack), named)
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = self._evaluate(stack, subject, direction)
        return found

    def before_network_policies(self, subject: int) -> tuple[AdminRow, ...]:
        """Return what the admin tier makes of the ingress of a class of pods.

        The masks of the rows are disjoint; together they are all traffic.
        """
        admin = self.stack(subject, Direction.INGRESS).admin
        rules = [rule for group in admin for policy in group for rule in policy.ingress]
        named = tuple(self._classes.mask_at(rule, subject) for rule in rules if rule.names)
        key = (tuple(map(id, rules)), named)
        found = self._admin_rows.get(key)
        if found is None:
            parts, cells = self._cut(rules, subject, Direction.INGRESS)
            rows = []
            for cell in cells:
                outcome = _Outcome(undecided=self._classes.everything)
                for group in admin:
                    listed = [_cell(policy.ingress, parts, cell) for policy in group]
                    self._decide_group(outcome, listed)
                outcome.leave_tier()
                rows.append((cell, outcome.allowed, outcome.denied, outcome.undecided))
            found = self._admin_rows[key] = tuple(rows)
        return found

    def _cut(
        self, rules: list[CompiledRule], subject: int, direction: Direction
    ) -> tuple[dict[int, list[Row]], list[int]]:
        """Return the rules' parts by rule, and all traffic cut where they tell it apart."""
        classes = self._classes
        parts = {id(rule): _parts(classes, rule, subject, direction) for rule in rules}
        cells = [classes.traffic.icmp, classes.traffic.everything & ~classes.traffic.icmp]
        for mask in {part[0] for listed in parts.values() for part in listed}:
            cells = [piece for cell in cells for piece in (cell & mask, cell & ~mask) if piece]
        return parts, cells

    def _evaluate(self, stack: Stack, subject: int, direction: Direction) -> tuple[Row, ...]:
        rules = [rule for policy in stack.policies for rule in policy.rules(direction)]
        parts, cells = self._cut(rules, subject, direction)
        rows: dict[tuple[int, int], int] = {}
        for cell in cells:
            allowed, denied = self._decide(stack, parts, direction, cell)
            row = (allowed & ~denied, allowed)
            rows[row] = rows.get(row, 0) | cell
        return tuple((mask, certain, perhaps) for (certain, perhaps), mask in rows.items())

    def _decide(
        self,
        stack: Stack,
        parts: dict[int, list[Row]],
        direction: Direction,
        cell: int,
    ) -> tuple[int, int]:
        """Return the peers that may be allowed, and those that may be denied, one class."""
        outcome = _Outcome(undecided=self._classes.everything)
        for group in stack.admin:
            self._decide_group(outcome, [_cell(p.rules(direction), parts, cell) for p in group])
        outcome.leave_tier()
        if stack.isolating:
            if cell == self._classes.traffic.icmp and self._classes.icmp_is_open:
                outcome.allowed |= outcome.undecided
            for policy in stack.isolating:
                for _, certain, perhaps in _cell(policy.rules(direction), parts, cell):
                    outcome.allowed |= outcome.undecided & (certain | perhaps)
                    outcome.undecided &= ~certain
            outcome.denied |= outcome.undecided
            outcome.undecided = 0
        for group in stack.baseline:
            self._decide_group(outcome, [_cell(p.rules(direction), parts, cell) for p in group])
        outcome.leave_tier()
        return outcome.allowed | outcome.undecided, outcome.denied

    def _decide_group(self, outcome: "_Outcome", policies: list[Cell]) -> None:
        """Let the policies of one priority decide.

        Each policy's first matching rule speaks for it. Where they disagree the specification
        leaves the result open, so that each is possible; Cilium merges them, deny first.
        """
        allowed = denied = passed = sure_deny = sure_allow = 0
        undecided = outcome.undecided
        for rules in policies:
            said = {Action.ALLOW: 0, Action.DENY: 0, Action.PASS: 0}
            remaining = outcome.undecided
            for action, certain, perhaps in rules:
                said[action] |= remaining & (certain | perhaps)
                remaining &= ~certain
            undecided &= remaining
            allowed |= said[Action.ALLOW]
            denied |= said[Action.DENY]
            passed |= said[Action.PASS]
            sure_deny |= said[Action.DENY] & ~(said[Action.ALLOW] | said[Action.PASS] | remaining)
            sure_allow |= said[Action.ALLOW] & ~(said[Action.DENY] | said[Action.PASS] | remaining)
        if self._cni is Cni.CILIUM:
            allowed &= ~sure_deny
            passed &= ~(sure_deny | sure_allow)
        outcome.allowed |= allowed
        outcome.denied |= denied
        outcome.passed |= passed
        outcome.undecided = undecided


_NP = NETWORK_POLICY


@dataclass
class _Outcome:
    """Peers by what may become of them so far."""

    undecided: int
    allowed: int = 0
    denied: int = 0
    passed: int = 0

    def leave_tier(self) -> None:
        """Hand on what the tier passed, and what it did not decide, to the next."""
        self.undecided |= self.passed
        self.passed = 0


def _parts(classes: Classes, rule: CompiledRule, subject: int, direction: Direction) -> list[Row]:
    if direction is Direction.EGRESS:
        return list(rule.split)
    mask = classes.mask_at(rule, subject)
    return [(mask, rule.certain, rule.perhaps)] if mask else []


def _cell(rules: list[CompiledRule], parts: dict[int, list[Row]], cell: int) -> Cell:
    found = []
    for rule in rules:
        certain = perhaps = 0
        for mask, some, maybe in parts[id(rule)]:
            if mask & cell:
                certain |= some
                perhaps |= maybe
        if certain | perhaps:
            found.append((rule.action, certain, perhaps))
    return found
