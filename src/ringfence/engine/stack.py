"""The order in which policies decide: tiers, order within them, and what ties mean.

A subject's stack is what applies to it in one direction. Evaluating it for a set of peers at
once gives two sets: the peers that may be allowed and those that may be denied; a peer in both
is unknown. A rule that matches only perhaps adds its outcome, and evaluation goes on as if it
had not matched.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Protocol

from ringfence.engine import bits
from ringfence.engine.classes import Classes, parts
from ringfence.engine.matches import union
from ringfence.engine.outcome import Lacking, Outcome, matched, said
from ringfence.engine.proxy import Clash, Proxied, Proxy
from ringfence.engine.rules import CompiledPolicy, CompiledRule, Part
from ringfence.model import tiers
from ringfence.model.layer7 import Layer7
from ringfence.model.profile import CiliumConfig, Cni, Enforcement
from ringfence.model.rule import NETWORK_POLICY, Action, Direction, Resolution, Tier, Ties

Row = tuple[int, int, int]
"""(traffic mask, peers certainly allowed, peers perhaps allowed)."""

HeadRow = tuple[int, int, int, int]
"""(traffic mask, peers perhaps allowed, peers perhaps denied, peers perhaps left undecided)."""


class Narrowing(Protocol):
    """What else may stop the traffic of pods (`forwarding.Forwarding`)."""

    def __bool__(self) -> bool:
        """Return whether there is anything."""

    def narrow(self, subject: int, direction: Direction, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """Return what is left of what a class of subjects may exchange with all peers."""


def overlaid(one: tuple[Row, ...], other: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return what is known where either of two may hold."""
    return tuple(
        (mask & also, certain & sure, possible | may)
        for mask, certain, possible in one
        for also, sure, may in other
        if mask & also
    )


@dataclass(frozen=True)
class Floor:
    """The policies of one tier that apply to a subject in one direction."""

    tier: Tier
    groups: tuple[tuple[CompiledPolicy, ...], ...]
    """Groups of which none decides before another of the same group."""
    isolating: tuple[CompiledPolicy, ...]
    """Those because of which the subject gets the tier's `unmatched`."""
    isolated: bool
    """Whether it does: also where no policy brings it about (Cilium, enforcement `always`)."""

    @property
    def policies(self) -> list[CompiledPolicy]:
        """Return all of them in the order in which they decide."""
        return [policy for group in self.groups for policy in group]

    @property
    def closes(self) -> bool:
        """Whether nothing that comes after it can matter, but for what it passes."""
        return self.isolated and self.tier.unmatched is Action.DENY


@dataclass(frozen=True)
class Stack:
    """The policies that apply to a subject in one direction, by tier, in deciding order."""

    direction: Direction
    floors: tuple[Floor, ...]
    proxied: Proxied = field(default_factory=Proxied)
    """What Cilium's proxy makes of the rules."""

    def rules_of(self, policy: CompiledPolicy) -> list[CompiledRule]:
        """Return a policy's rules in this direction, as they are enforced, in their order."""
        return self.proxied.rules.get(id(policy)) or policy.rules(self.direction)

    @cached_property
    def policies(self) -> list[CompiledPolicy]:
        """Return all of them in the order in which they decide."""
        return [policy for floor in self.floors for policy in floor.policies]

    @cached_property
    def rules(self) -> list[CompiledRule]:
        """Return their rules in this direction, but for those that decide nothing."""
        return [
            rule
            for policy in self.policies
            for rule in self.rules_of(policy)
            if rule.action is not Action.LOG
        ]

    @cached_property
    def limiting(self) -> list[CompiledRule]:
        """Return the rules of Cilium's that allow up to a port and look above it."""
        return [
            rule
            for rule in self.rules
            if rule.action is Action.ALLOW
            and (
                rule.rule.layer7 is not None
                or rule.rule.confines
                or rule.merged
                or rule.decides_elsewhere
            )
        ]

    @cached_property
    def varying(self) -> list[CompiledRule]:
        """Return the rules that are not the same for all subjects of the stack."""
        by_name = self.direction is Direction.INGRESS
        return [
            rule
            for rule in self.rules
            if rule.subjects is not None or (by_name and (rule.names or rule.not_names))
        ]

    @cached_property
    def learns_names(self) -> bool:
        """Whether any rule has Cilium learn the addresses of names."""
        return any(rule.teaches_names for rule in self.rules)


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


class Stacks:
    """The stack of every class of subjects, and what it allows."""

    def __init__(self, classes: Classes) -> None:
        """Order the policies and find which apply to which class."""
        self._classes = classes
        profile = classes.snapshot.profile
        config = profile.cilium or CiliumConfig()
        cilium = profile.cni is Cni.CILIUM
        self.always = cilium and config.enforcement is Enforcement.ALWAYS
        """Whether every subject is isolated both ways, selected or not."""
        self.inert = cilium and config.enforcement is Enforcement.NEVER
        """Whether nothing that policies say is enforced."""
        self.audited = cilium and config.audit
        """Whether what policies deny passes all the same."""
        ordered = sorted(
            classes.policies, key=lambda p: (p.policy.tier, p.policy.order, p.policy.tie)
        )
        self._proxy = Proxy(classes) if cilium else None
        self.authenticated = classes.traffic.limit((Layer7(authenticated=True),))[0]
        """The traffic of peers that authenticated each other, where rules ask for that."""
        self._applying: dict[Direction, list[list[CompiledPolicy]]] = {}
        for direction in Direction:
            applying: list[list[CompiledPolicy]] = [[] for _ in range(classes.count)]
            for policy in () if self.inert else ordered:
                if policy.applies_in(direction):
                    for subject in bits.members(policy.subjects):
                        applying[subject].append(policy)
            self._applying[direction] = applying
        self.forwarding: Narrowing | None = None
        """What is said of traffic that nodes forward, if anything is."""
        self._stacks: dict[tuple[object, ...], Stack] = {}
        self._rows: dict[tuple[object, ...], tuple[Row, ...]] = {}
        self._heads: dict[tuple[object, ...], tuple[HeadRow, ...]] = {}
        self._endings: dict[int, Ending | None] = {}

    def stack(self, subject: int, direction: Direction) -> Stack:
        """Return what applies to a class of subjects in one direction."""
        applying = self._applying[direction][subject]
        key = (direction, *map(id, applying))
        found = self._stacks.get(key)
        if found is None:
            floors = self._floors(applying, direction)
            if self.always and not any(f.tier == tiers.CILIUM_NORMAL for f in floors):
                floors.append(Floor(tiers.CILIUM_NORMAL, (), (), isolated=True))
                floors.sort(key=lambda floor: floor.tier)
            proxied = self._proxy.apply(applying, direction) if self._proxy else Proxied()
            found = self._stacks[key] = Stack(direction, tuple(floors), proxied)
        return found

    def _floors(self, ordered: list[CompiledPolicy], direction: Direction) -> list[Floor]:
        return [
            self._floor(tier, list(policies), direction)
            for tier, policies in groupby(ordered, key=lambda p: p.policy.tier)
        ]

    def layered(self, policies: Iterable[CompiledPolicy], direction: Direction) -> Stack:
        """Return policies as a stack of their own."""
        ordered = sorted(policies, key=lambda p: (p.policy.tier, p.policy.order, p.policy.tie))
        return Stack(direction, tuple(self._floors(ordered, direction)))

    def clashes(self, subject: int) -> list[Clash]:
        """Return the rules of a class of subjects that cannot be enforced together.

        Because of one, in whatever direction, Cilium computes no policy for the subject.
        """
        if self._proxy is None:
            return []
        return [clash for way in Direction for clash in self.stack(subject, way).proxied.clashes]

    def is_settled(self, subject: int) -> bool:
        """Return whether policies, and nothing that hides them, decide for a class of subjects."""
        classes = self._classes
        if classes.unreadable >> subject & 1 or self.audited or self.forwarding:
            return False
        return not self.clashes(subject)

    def _floor(self, tier: Tier, policies: list[CompiledPolicy], direction: Direction) -> Floor:
        isolating = tuple(p for p in policies if direction in p.policy.isolates)
        isolated = bool(isolating) or (self.always and tier == tiers.CILIUM_NORMAL)
        if tier.resolution is Resolution.DENY_WINS:
            groups: tuple[tuple[CompiledPolicy, ...], ...] = (tuple(policies),)
        elif tier.ties is Ties.NAME:
            groups = tuple((policy,) for policy in policies)
        else:
            by_order = groupby(policies, key=lambda p: p.policy.order)
            groups = tuple(tuple(group) for _, group in by_order)
        return Floor(tier, groups, isolating, isolated)

    # -- what a subject may exchange with all peers ------------------------------------------

    def rows(self, subject: int, direction: Direction) -> tuple[Row, ...]:
        """Return what a class of subjects may exchange with all peers.

        The masks of the rows are disjoint; together they are all traffic.
        """
        classes = self._classes
        full = classes.everything
        traffic = classes.traffic.everything
        if classes.crowded >> subject & 1:
            return ((traffic, 0, full),)
        if subject in classes.ways:
            return self._either(subject, direction)
        if not classes.policed >> subject & 1 or self.inert:
            return ((traffic, full, full),)
        if classes.unreadable >> subject & 1 or self.clashes(subject):
            return ((traffic, 0, full),)
        rows = self.evaluated(self.stack(subject, direction), subject)
        if self.forwarding and classes.networked >> subject & 1:
            return self.forwarding.narrow(subject, direction, rows)
        return rows

    def _either(self, host: int, direction: Direction) -> tuple[Row, ...]:
        """Return what is known of a host that policies may select as one or another subject."""
        classes = self._classes
        full = classes.everything
        found: tuple[Row, ...] | None = None
        for subject in classes.ways[host]:
            rows: tuple[Row, ...] = ((classes.traffic.everything, full, full),)
            if subject is not None:
                rows = self.rows(subject, direction)
            found = rows if found is None else overlaid(found, rows)
        return found or ()

    def evaluated(self, stack: Stack, subject: int) -> tuple[Row, ...]:
        """Return what a stack lets a class of subjects exchange with all peers."""
        key = (id(stack), *self._variation(stack.varying, stack, subject))
        rows = self._rows.get(key)
        if rows is None:
            rows = self._rows[key] = self._evaluate(stack, subject)
        return rows

    def _variation(
        self, rules: Iterable[CompiledRule], stack: Stack, subject: int
    ) -> list[tuple[object, ...]]:
        """Return what tells the rules for one subject from those for another."""
        by_name = stack.direction is Direction.INGRESS
        return [
            (
                rule.applies(subject),
                self._classes.shares_at(rule, subject) if by_name else (),
            )
            for rule in rules
        ]

    def _laid_out(
        self, rules: Iterable[CompiledRule], stack: Stack, subject: int
    ) -> list[tuple[Part, ...]]:
        """Return the parts of each rule as they are for a subject."""
        return [self.parts(rule, stack, subject) for rule in rules]

    def parts(self, rule: CompiledRule, stack: Stack, subject: int) -> tuple[Part, ...]:
        """Return the traffic and peers of a rule as they are for a subject."""
        applies = rule.applies(subject)
        if applies is False:
            return ()
        if stack.direction is Direction.EGRESS:
            unseen = rule.unseen is not None and not stack.learns_names
            found = rule.split_unseen if unseen else rule.split
        else:
            found = tuple(parts(self._classes.shares_at(rule, subject), rule.matched))
        if applies is None:
            found = tuple((mask, 0, certain | perhaps) for mask, certain, perhaps in found)
        return found

    def cells(self, listed: Iterable[tuple[Part, ...]]) -> list[int]:
        """Return all traffic cut where the rules with these parts tell it apart."""
        classes = self._classes
        cells = [classes.traffic.icmp, classes.traffic.everything & ~classes.traffic.icmp]
        for mask in {part[0] for found in listed for part in found}:
            cells = [piece for cell in cells for piece in (cell & mask, cell & ~mask) if piece]
        return cells

    def wide(self, stack: Stack, subject: int) -> dict[int, tuple[Part, ...]]:
        """Return the parts, up to the port, of the rules of Cilium's that look above it."""
        if self._proxy is None:
            return {}
        widened = self._classes.widened
        return {id(r): self.parts(widened(r), stack, subject) for r in stack.limiting}

    def _evaluate(self, stack: Stack, subject: int) -> tuple[Row, ...]:
        listed = self._laid_out(stack.rules, stack, subject)
        by_rule = dict(zip(map(id, stack.rules), listed, strict=True))
        wide = self.wide(stack, subject)
        told_apart = [*listed, *wide.values()]
        if any(rule.authenticates for rule in stack.limiting):
            told_apart.append(((self.authenticated, 0, 0),))
        rows: dict[tuple[int, int], int] = {}
        for cell in self.cells(told_apart):
            outcome = Outcome(undecided=self._classes.everything)
            for floor in stack.floors:
                self._decide(outcome, floor, by_rule, stack, cell, wide)
            allowed, denied = outcome.allowed | outcome.undecided, outcome.denied
            if self.audited:
                # What the proxy refuses is refused all the same.
                refused = union(
                    matched(wide[id(rule)], cell)
                    for rule in stack.limiting
                    if rule.decides_elsewhere
                    or not any(part[0] & cell for part in by_rule.get(id(rule), ()))
                ).possible
                refused &= outcome.unmatched
                allowed, denied = allowed | (denied & ~refused), denied & refused
            row = (allowed & ~denied, allowed)
            rows[row] = rows.get(row, 0) | cell
        return tuple((mask, certain, perhaps) for (certain, perhaps), mask in rows.items())

    def _decide(
        self,
        outcome: "Outcome",
        floor: Floor,
        by_rule: dict[int, tuple[Part, ...]],
        stack: Stack,
        cell: int,
        wide: dict[int, tuple[Part, ...]],
        *,
        ends: bool = True,
    ) -> None:
        """Let a tier decide for all peers, one class of traffic.

        Args:
            outcome: what has become of the peers so far.
            floor: the tier's policies.
            by_rule: the parts of each rule that counts.
            stack: that the tier is of.
            cell: the traffic.
            wide: the parts, up to the port, of the rules that look above it.
            ends: whether the tier's default is applied.
        """
        for group in floor.groups:
            spoken = [said(stack.rules_of(policy), by_rule, cell) for policy in group]
            if floor.tier.resolution is Resolution.DENY_WINS:
                together = [part for one in spoken for part in one]
                outcome.deny_wins(together, self._lacking(stack, wide, cell))
            else:
                outcome.first_match(spoken, floor.tier.ties)
        if floor.isolated and ends:
            open_ = self._classes.icmp_is_open and floor.tier == NETWORK_POLICY
            if open_ and cell & self._classes.traffic.icmp:
                outcome.allowed |= outcome.undecided
            if floor.tier.unmatched is Action.DENY:
                outcome.denied |= outcome.undecided
                outcome.unmatched |= outcome.undecided
                outcome.undecided = 0
        elif floor.tier == tiers.CILIUM_NORMAL and ends:
            confining = (r for r in stack.limiting if r.rule.confines or r.authenticates)
            outcome.confine(union(matched(wide.get(id(r), ()), cell) for r in confining))
        outcome.leave_tier()

    def _lacking(
        self, stack: Stack, wide: dict[int, tuple[Part, ...]], cell: int
    ) -> Lacking | None:
        """Return the peers of which rules ask for authentication that traffic lacks."""
        asking = [rule for rule in stack.limiting if rule.authenticates] if wide else []
        if not asking:
            return None
        by_rule = [(rule, matched(wide.get(id(rule), ()), cell)) for rule in asking]
        met = bool(cell & self.authenticated)
        return Lacking(
            union(m for rule, m in by_rule if not (met or rule.never_authenticates)),
            union(m for rule, m in by_rule if rule.never_authenticates),
        )

    # -- stacks that end in a union ----------------------------------------------------------

    def ending(self, stack: Stack) -> Ending | None:
        """Return a stack as what comes before a union, and the union; None where it has none."""
        if id(stack) not in self._endings:
            self._endings[id(stack)] = self._find_ending(stack)
        return self._endings[id(stack)]

    def _find_ending(self, stack: Stack) -> Ending | None:
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
        key = (*map(id, rules), *self._variation(variation, stack, subject))
        found = self._heads.get(key)
        if found is None:
            listed = self._laid_out(rules, stack, subject)
            by_rule = dict(zip(map(id, rules), listed, strict=True))
            rows = []
            last = ending.head[-1] if ending.head else None
            for cell in self.cells(listed):
                outcome = Outcome(undecided=self._classes.everything)
                for floor in ending.head:
                    ends = not (floor is last and floor.closes)
                    self._decide(outcome, floor, by_rule, stack, cell, {}, ends=ends)
                rows.append((cell, outcome.allowed, outcome.denied, outcome.undecided))
            found = self._heads[key] = tuple(rows)
        return found
