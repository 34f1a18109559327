"""One connection followed through a stack, rule by rule, with the evidence for its verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from ringfence.engine.classes import Classes
from ringfence.engine.encounters import Encounters
from ringfence.engine.hearings import Hearing, Passing, passing
from ringfence.engine.matches import NOTHING
from ringfence.engine.reasons import why_clashing, why_perhaps, why_unreadable
from ringfence.engine.redirects import Reader, Readings
from ringfence.engine.stack import Floor, Stack, Stacks
from ringfence.engine.steps import (
    OtherEnd,
    PolicyTrace,
    RuleTrace,
    SideTrace,
    settled,
    settled_side,
)
from ringfence.model import tiers
from ringfence.model.document import Path, path_text
from ringfence.model.rule import NETWORK_POLICY, Action, Direction, Resolution, Ties
from ringfence.model.verdict import Evidence, Verdict

FAILSAFE: Final = "failsafe"
"""What evidence calls the ports of Calico's host endpoints that no policy closes."""


@dataclass
class _State:
    """What may have become of the connection so far."""

    outcomes: set[Action] = field(default_factory=set)
    undecided: bool = True
    passed: bool = False
    """Whether a rule of this tier may have passed it to the next."""
    refused: bool = False
    """Whether a proxy refuses it, whatever audit mode lets pass."""


class Tracer:
    """Follows connections through the stacks of one set of classes."""

    def __init__(self, classes: Classes, stacks: Stacks) -> None:
        """Keep what was compiled."""
        self._classes, self._stacks = classes, stacks
        self._layer = stacks.layer
        self._snapshot = classes.snapshot
        self._encounters = Encounters(classes)
        self._reader = Reader(classes)
        self._written = cache(self._locate)

    def follow(
        self,
        subject: int,
        direction: Direction,
        traffic: int,
        other: OtherEnd,
        *,
        let_in: bool = False,
    ) -> SideTrace:
        """Return the verdict of one direction, with its evidence.

        Args:
            subject: the class of the pods, or hosts, whose side this is.
            direction: which side the subject is on.
            traffic: the number of the traffic class.
            other: the other end.
            let_in: whether it is let in unless a rule denies that.
        """
        if self._stacks.inert:
            return settled_side(direction, "never enforced", self._layer)
        stack = self._stacks.stack(subject, direction)
        blind = list(
            why_unreadable(
                self._classes, subject, direction, denying_only=let_in, layer=self._layer
            )
        )
        for clash in self._stacks.clashes(subject):
            blind += why_clashing(self._classes, clash, direction)
        return self.through(stack, subject, traffic, other, blind)

    def through(
        self,
        stack: Stack,
        subject: int,
        traffic: int,
        other: OtherEnd,
        blind: Sequence[tuple[str, Evidence | None]] = (),
    ) -> SideTrace:
        """Return what a stack says of one connection, with its evidence.

        Args:
            stack: the policies.
            subject: the class of the pods, or hosts, whose side this is.
            traffic: the number of the traffic class.
            other: the other end.
            blind: why nothing can be said all the same, with the evidence if there is any.
        """
        direction = stack.direction
        side = SideTrace(direction)
        followed = {
            id(policy): self._encounters.of(policy, stack, subject, traffic, other)
            for policy in stack.policies
        }
        side.policies = list(followed.values())
        if blind:
            side.verdict = Verdict.UNKNOWN
            side.because += [reason for reason, _ in blind]
            side.evidence += [piece for _, piece in blind if piece]
            return side
        state = _State()
        for floor in stack.floors:
            if not state.undecided:
                break
            self._decide(side, state, floor, followed, traffic, other)
        state.refused |= side.unmatched and self._is_refused(stack, side.policies)
        if state.undecided:
            state.outcomes.add(Action.ALLOW)
            side.evidence.append(settled(direction, "default", self._layer))
        side.verdict = _verdict(state.outcomes)
        side.by_isolation &= state.outcomes == {Action.DENY}
        if side.verdict is not Verdict.UNKNOWN:
            side.because.clear()
        return side if state.refused else self._audited(side)

    def _is_refused(self, stack: Stack, policies: list[PolicyTrace]) -> bool:
        """Return whether a proxy would refuse the connection, which no audit mode spares it."""
        limiting = set(map(id, stack.limiting))
        return any(
            id(rule.compiled) in limiting and rule.matches_up_to_port is not False
            for traced in policies
            for rule in traced.rules
            if not rule.traffic or rule.compiled.decides_elsewhere
        )

    def _audited(self, side: SideTrace) -> SideTrace:
        if self._stacks.audited and side.verdict is not Verdict.ALLOW:
            said = "denies" if side.verdict is Verdict.DENY else "might deny"
            side.notes.append(
                f"policy-audit-mode is on: what policy {said} in {side.direction.value} passes, "
                "and is logged"
            )
            side.verdict, side.by_isolation = Verdict.ALLOW, False
            side.because.clear()
        return side

    # -- deciding, as `rows` does for all peers at once ----------------------------------------

    def _decide(
        self,
        side: SideTrace,
        state: _State,
        floor: Floor,
        followed: dict[int, PolicyTrace],
        traffic: int,
        other: OtherEnd,
    ) -> None:
        """Let one tier decide."""
        for group in floor.groups:
            traced = [followed[id(policy)] for policy in group]
            if floor.tier.resolution is Resolution.DENY_WINS:
                self._deny_wins(side, state, traced, traffic, other, floor)
            else:
                self._first_match(side, state, traced, floor.tier.ties, other)
            if not state.undecided:
                break
        if state.undecided and floor.isolated and floor.tier.unmatched is Action.DENY:
            state.undecided = False
            state.outcomes.add(Action.DENY)
            side.by_isolation = side.unmatched = True
            side.evidence += self._isolation(side, floor, "deny")
        elif state.undecided and floor.tier == tiers.CILIUM_NORMAL:
            rules = [t for p in floor.policies for t in followed[id(p)].rules]
            self._confine(side, state, rules)
            if state.undecided:
                self._refuse(side, state, rules, floor, traffic)
        state.undecided |= state.passed
        state.passed = False

    def _confine(self, side: SideTrace, state: _State, rules: list[RuleTrace]) -> None:
        """Deny what a proxy refuses although nothing isolates the subject."""
        for rule in rules:
            compiled = rule.compiled
            if compiled.action is not Action.ALLOW:
                continue
            confines = compiled.rule.confines or compiled.authenticates
            if not confines or rule.matches_up_to_port is False or rule.matches:
                continue
            state.outcomes.add(Action.DENY)
            side.unmatched = True
            side.evidence.append(self._refusal(side, rule))
            if rule.matches_up_to_port and rule.matches is False:
                state.undecided = False
                return

    def _refuse(
        self, side: SideTrace, state: _State, rules: list[RuleTrace], floor: Floor, traffic: int
    ) -> None:
        """Deny what a proxy cannot read although nothing isolates the subject."""
        hearing = Hearing(rules, authenticated=self._is_authenticated(traffic))
        read = self._readings(hearing, floor, traffic)
        refused = read.refused() if read else NOTHING
        if read and refused.possible:
            state.outcomes.add(Action.DENY)
            state.undecided = not refused.certain
            side.unmatched = True
            side.evidence += [self._refusal(side, rule) for rule in hearing.redirecting]
            if state.undecided:
                side.because.append(read.why(0))

    def _first_match(
        self,
        side: SideTrace,
        state: _State,
        group: list[PolicyTrace],
        ties: Ties,
        other: OtherEnd,
    ) -> None:
        """Let the policies of one order decide, each by its first rule that matches."""
        said: list[set[Action]] = []
        sure: list[bool] = []
        told: list[Evidence] = []
        undecided = state.undecided
        for traced in group:
            actions: set[Action] = set()
            decided = False
            for rule in traced.rules:
                if rule.matches is False:
                    continue
                told.append(self._evidence(side, rule, other))
                if rule.compiled.action is Action.LOG:
                    continue
                actions.add(rule.compiled.action)
                if rule.matches:
                    decided = True
                    break
            said.append(actions)
            sure.append(decided)
            undecided &= not decided
        possible = set().union(*said) if said else set()
        if ties is Ties.DENY_FIRST:
            if any(s == {Action.DENY} and c for s, c in zip(said, sure, strict=True)):
                possible = {Action.DENY}
            elif any(s == {Action.ALLOW} and c for s, c in zip(said, sure, strict=True)):
                possible.discard(Action.PASS)
        elif len(possible) > 1 and sum(map(bool, said)) > 1:
            names = ", ".join(t.policy.policy.ref for t, s in zip(group, said, strict=True) if s)
            side.because.append(
                f"{names} have the same tier and priority and disagree: "
                "the specification leaves open which one decides"
            )
        side.evidence += told
        state.outcomes |= possible - {Action.PASS}
        side.perhaps_denied |= Action.DENY in possible and undecided
        state.passed |= Action.PASS in possible
        state.undecided = undecided

    def _deny_wins(
        self,
        side: SideTrace,
        state: _State,
        group: list[PolicyTrace],
        traffic: int,
        other: OtherEnd,
        floor: Floor,
    ) -> None:
        """Let any rule that denies decide, else any that allows."""
        open_ = self._classes.icmp_is_open and floor.tier == NETWORK_POLICY
        if open_ and self._classes.traffic.icmp >> traffic & 1 and floor.isolated:
            state.undecided = False
            state.outcomes |= {Action.ALLOW, Action.DENY}
            side.evidence += self._isolation(side, floor, "unknown")
            side.because.append(
                f"NetworkPolicy leaves to the CNI what becomes of ICMP at an isolated pod, and "
                f"profile {self._snapshot.profile.cni} does not settle it"
            )
            return
        everything = [rule for traced in group for rule in traced.rules]
        denying = [
            rule
            for rule in everything
            if rule.compiled.action is Action.DENY and rule.matches is not False
        ]
        sure = [rule for rule in denying if rule.matches][:1]
        if denying:
            state.outcomes.add(Action.DENY)
            side.evidence += [self._evidence(side, rule, other) for rule in sure or denying]
            if sure:
                state.undecided = False
                return
            side.perhaps_denied = True
        hearing = Hearing(everything, authenticated=self._is_authenticated(traffic))
        heard = hearing.heard()
        read = self._readings(hearing, floor, traffic)
        passes = passing(read, heard) if read else None
        if read and passes:
            self._pass(side, state, hearing, read, passes, other)
            return
        perhaps: list[Evidence] = []
        for one in heard:
            if one.trace.matches and one.lacks is False:
                state.outcomes.add(Action.ALLOW)
                state.undecided = False
                side.evidence.append(self._evidence(side, one.trace, other))
                return
            if one.lacks is not False:
                side.because.append(
                    "which rule Cilium goes by where they ask for different authentication "
                    "is not known"
                    if one.lacks
                    else "whether a rule asks the peers to authenticate each other is not known"
                )
            perhaps.append(self._evidence(side, one.trace, other))
        if perhaps:
            state.outcomes.add(Action.ALLOW)
            side.evidence += perhaps

    def _pass(
        self,
        side: SideTrace,
        state: _State,
        hearing: Hearing,
        read: Readings,
        passes: Passing,
        other: OtherEnd,
    ) -> None:
        """Allow what passes a proxy, of what rules allow."""
        if passes.allowed is not False:
            state.outcomes.add(Action.ALLOW)
            state.undecided = not passes.allowed
            side.evidence += [self._evidence(side, rule, other) for rule in passes.by]
        if not passes.allowed:
            side.evidence += [self._refusal(side, rule) for rule in hearing.redirecting]
        if passes.allowed is None:
            side.because.append(read.why(0))

    def _is_authenticated(self, traffic: int) -> bool:
        return bool(self._stacks.authenticated >> traffic & 1)

    def _readings(self, hearing: Hearing, floor: Floor, traffic: int) -> Readings | None:
        """Return as what proxies read the traffic, where Cilium's rules send any to them."""
        if floor.tier != tiers.CILIUM_NORMAL:
            return None
        return hearing.readings(self._reader, 1 << traffic)

    def _refusal(self, side: SideTrace, rule: RuleTrace) -> Evidence:
        compiled = rule.compiled
        document = compiled.policy.document
        return self._written(side.direction, document, compiled.rule.path, "deny")

    # -- evidence ----------------------------------------------------------------------------

    def _evidence(self, side: SideTrace, rule: RuleTrace, other: OtherEnd) -> Evidence:
        compiled = rule.compiled
        action = compiled.action.value
        if rule.matches is None:
            action = "unknown"
            side.because.append(
                why_perhaps(
                    self._classes,
                    compiled,
                    other.words,
                    peer=rule.peer is None,
                    own=rule.own is None,
                )
            )
        policy = compiled.policy
        rule_name = FAILSAFE if policy.tier == tiers.CALICO_FAILSAFE else ""
        path = compiled.rule.path
        return self._written(side.direction, policy.document, path, action, rule_name)

    def _isolation(self, side: SideTrace, floor: Floor, action: str) -> Iterable[Evidence]:
        for compiled in floor.isolating:
            policy = compiled.policy
            path = policy.isolation_path
            yield self._written(side.direction, policy.document, path, action, "isolation")
        if not floor.isolating:
            yield Evidence(self._layer.value, side.direction.value, action, None, "always enforced")

    def _locate(
        self, direction: Direction, index: int, path: Path, action: str, rule: str = ""
    ) -> Evidence:
        """Return the evidence that stands at a place of a document."""
        document = self._snapshot.documents[index]
        location = document.location_of(path)
        rule = rule or path_text(path).removeprefix("spec.")
        place = document.ref, rule, location.file, location.line
        return Evidence(self._layer.value, direction.value, action, *place)


def _verdict(outcomes: set[Action]) -> Verdict:
    if len(outcomes) > 1:
        return Verdict.UNKNOWN
    return Verdict.ALLOW if outcomes == {Action.ALLOW} else Verdict.DENY
