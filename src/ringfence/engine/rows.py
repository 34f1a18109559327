"""What stacks let their subjects exchange with all peers at once, class of traffic by class.

Evaluating a stack for all peers at once gives two sets: the peers that may be allowed and those
that may be denied; a peer in both is unknown. A rule that matches only perhaps adds its outcome,
and evaluation goes on as if it had not matched.
"""

from collections.abc import Iterable
from typing import Protocol

from ringfence.engine.classes import Classes
from ringfence.engine.matches import union
from ringfence.engine.outcome import Lacking, Outcome, matched, said
from ringfence.engine.redirected import Laid, Redirected
from ringfence.engine.redirects import Reader
from ringfence.engine.rules import CompiledRule, Part
from ringfence.engine.shares import parts
from ringfence.engine.stack import Floor, Stack, Stacks
from ringfence.model import tiers
from ringfence.model.profile import Cni
from ringfence.model.rule import NETWORK_POLICY, Action, Direction, Layer, Resolution

Row = tuple[int, int, int]
"""(traffic mask, peers certainly allowed, peers perhaps allowed)."""


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


class Rows:
    """What every class of subjects may exchange with all peers."""

    def __init__(self, classes: Classes, stacks: Stacks) -> None:
        """Keep what was compiled; nothing is evaluated yet."""
        self._classes, self._stacks = classes, stacks
        cilium = classes.snapshot.profile.cni is Cni.CILIUM
        self._merges = cilium and stacks.layer is Layer.NETWORK
        self.forwarding: Narrowing | None = None
        """What is said of traffic that nodes forward, if anything is."""
        self._rows: dict[tuple[object, ...], tuple[Row, ...]] = {}
        self._reader = Reader(classes)

    def is_settled(self, subject: int) -> bool:
        """Return whether policies, and nothing that hides them, decide for a class of subjects."""
        if self._is_hidden(subject) or self._stacks.audited or self.forwarding:
            return False
        return not self._stacks.clashes(subject)

    def _is_hidden(self, subject: int) -> bool:
        """Return whether something of the policies of a class could not be understood."""
        return bool(self._classes.unreadable[self._stacks.layer] >> subject & 1)

    def of(self, subject: int, direction: Direction) -> tuple[Row, ...]:
        """Return what a class of subjects may exchange with all peers.

        The masks of the rows are disjoint; together they are all traffic.
        """
        classes = self._classes
        full = classes.everything
        traffic = classes.traffic.everything
        of_network = self._stacks.layer is Layer.NETWORK
        if of_network and classes.crowded >> subject & 1:
            return ((traffic, 0, full),)
        if of_network and subject in classes.ways:
            return self._either(subject, direction)
        if not self._stacks.policed >> subject & 1 or self._stacks.inert:
            return ((traffic, full, full),)
        if self._is_hidden(subject) or self._stacks.clashes(subject):
            return ((traffic, 0, full),)
        rows = self.through(self._stacks.stack(subject, direction), subject)
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
                rows = self.of(subject, direction)
            found = rows if found is None else overlaid(found, rows)
        return found or ()

    def through(self, stack: Stack, subject: int) -> tuple[Row, ...]:
        """Return what a stack lets a class of subjects exchange with all peers."""
        key = (id(stack), *self.variation(stack.varying, stack, subject))
        rows = self._rows.get(key)
        if rows is None:
            rows = self._rows[key] = self._evaluate(stack, subject)
        return rows

    def variation(
        self, rules: Iterable[CompiledRule], stack: Stack, subject: int
    ) -> list[tuple[object, ...]]:
        """Return what tells the rules for one subject from those for another."""
        by_name = stack.direction is Direction.INGRESS
        return [
            (
                rule.applies(subject),
                self._classes.shares.at(rule, subject) if by_name else (),
            )
            for rule in rules
        ]

    def laid_out(
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
            found = tuple(parts(self._classes.shares.at(rule, subject), rule.matched))
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
        if not self._merges:
            return {}
        widened = self._classes.widened
        return {id(r): self.parts(widened(r), stack, subject) for r in stack.limiting}

    def _evaluate(self, stack: Stack, subject: int) -> tuple[Row, ...]:
        listed = self.laid_out(stack.rules, stack, subject)
        by_rule = dict(zip(map(id, stack.rules), listed, strict=True))
        wide = self.wide(stack, subject)
        told_apart = [*listed, *wide.values()]
        redirected = self._redirected(stack, subject, by_rule, wide) if stack.redirects else None
        if redirected:
            told_apart += redirected.parts()
        told_apart += [((mask, 0, 0),) for mask in self.told_apart(stack)]
        rows: dict[tuple[int, int], int] = {}
        for cell in self.cells(told_apart):
            outcome = Outcome(undecided=self._classes.everything)
            for floor in stack.floors:
                self.decide(outcome, floor, by_rule, stack, cell, wide, redirected)
            allowed, denied = outcome.allowed | outcome.undecided, outcome.denied
            if self._stacks.audited:
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

    def decide(
        self,
        outcome: Outcome,
        floor: Floor,
        by_rule: dict[int, tuple[Part, ...]],
        stack: Stack,
        cell: int,
        wide: dict[int, tuple[Part, ...]],
        redirected: Redirected | None = None,
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
            redirected: what is sent to proxies, if anything is.
            ends: whether the tier's default is applied.
        """
        normal = floor.tier == tiers.CILIUM_NORMAL
        lacking = read = None
        if floor.tier.resolution is Resolution.DENY_WINS:
            lacking = self._lacking(stack, wide, cell)
            read = redirected.read(cell, lacking) if redirected and normal else None
        for group in floor.groups:
            spoken = [said(stack.rules_of(policy), by_rule, cell) for policy in group]
            if floor.tier.resolution is Resolution.DENY_WINS:
                together = [part for one in spoken for part in one]
                outcome.deny_wins(together, lacking, read)
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
        elif normal and ends:
            confining = (r for r in stack.limiting if r.rule.confines or r.authenticates)
            confined = union(matched(wide.get(id(r), ()), cell) for r in confining)
            outcome.confine(confined | read.refused() if read else confined)
        outcome.leave_tier()

    def told_apart(self, stack: Stack) -> set[int]:
        """Return what traffic a stack tells apart beside what its rules say above the port."""
        found = set()
        if stack.redirects:
            found |= {mask for masks in self._reader.whole.values() for mask in masks}
        if any(rule.authenticates for rule in stack.limiting):
            found.add(self._stacks.authenticated)
        return found - {0}

    def _redirected(
        self,
        stack: Stack,
        subject: int,
        by_rule: dict[int, tuple[Part, ...]],
        wide: dict[int, tuple[Part, ...]],
    ) -> Redirected:
        """Return what the rules of a stack send to proxies, and what else may be read there."""

        def laid_out(rule: CompiledRule | None) -> tuple[Part, ...]:
            return () if rule is None else self.parts(rule, stack, subject)

        reader = self._reader
        rules = [
            rule
            for rule in stack.rules
            if rule.action is Action.ALLOW and rule.policy.tier == tiers.CILIUM_NORMAL
        ]
        return Redirected(
            reader,
            [
                Laid(
                    rule,
                    wide.get(id(rule), by_rule[id(rule)]),
                    laid_out(reader.resolved(rule, stack.resolving)),
                    laid_out(reader.single(rule)),
                )
                for rule in rules
            ],
            self._stacks.authenticated,
        )

    def _lacking(
        self, stack: Stack, wide: dict[int, tuple[Part, ...]], cell: int
    ) -> Lacking | None:
        """Return the peers of which rules ask for authentication that traffic lacks."""
        asking = [rule for rule in stack.limiting if rule.authenticates] if wide else []
        if not asking:
            return None
        by_rule = [(rule, matched(wide.get(id(rule), ()), cell)) for rule in asking]
        met = bool(cell & self._stacks.authenticated)
        return Lacking(
            union(m for rule, m in by_rule if not (met or rule.never_authenticates)),
            union(m for rule, m in by_rule if rule.never_authenticates),
        )
