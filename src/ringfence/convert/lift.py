"""Reads policies in common form as an ordered list of steps, of which the first match decides.

Tiers, orders, ties and passes are worked into the order and the extent of the steps: a rule that
passes takes what it matches out of all that follows it in its tier. What a step says is the same
in every dialect; what only the labels of a profile can say is told in the pods that meet it now.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeVar

import msgspec

from ringfence.convert.algebra import Algebra, Box
from ringfence.convert.known import Known
from ringfence.convert.read_peers import PeerReader
from ringfence.convert.terms import ALL_PODS, Pods
from ringfence.convert.told import Effect, Origin, Told, origin
from ringfence.convert.traffic import Resolved, read
from ringfence.model.profile import CiliumConfig, Cni, Enforcement
from ringfence.model.rule import Action, Direction, Policy, Resolution, Rule, Tier, Ties
from ringfence.model.snapshot import Snapshot
from ringfence.model.tiers import CILIUM_NORMAL

_Found = TypeVar("_Found")


class Step(msgspec.Struct, frozen=True):
    """What is decided of a box that no earlier step holds."""

    action: Action
    """Allow or deny."""
    box: Box
    origin: Origin
    isolation: bool = False
    """Whether it denies because the tier does, not because a rule says so."""


@dataclass
class _Passed:
    """What the rules of a tier leave to the next one, of what follows them in their own."""

    surely: list[Box]
    """No more than they say: nothing else may be taken out of what is denied."""
    perhaps: list[Box]
    """No less than they say: nothing of it may stay in what is allowed."""


ALWAYS: Final = Step(
    Action.DENY,
    Box(ALL_PODS),
    Origin(-1, "ConfigMap/kube-system/cilium-config", "", "always", "", "cilium-config", None),
    isolation=True,
)
"""What Cilium's `enable-policy: always` says: everyone is isolated, selected or not."""


class Lift:
    """Reads the policies of one snapshot."""

    def __init__(self, snapshot: Snapshot, known: Known, resolved: Resolved) -> None:
        """Take the cluster; nothing is read yet."""
        self._snapshot = snapshot
        self._algebra = Algebra(known, resolved)
        self._resolved = resolved
        self._reader = PeerReader(snapshot, known)
        self.told: list[Told] = []

    def steps(self, direction: Direction) -> list[Step]:
        """Return what decides for all that is sent, or received."""
        config = self._snapshot.profile.cilium or CiliumConfig()
        cilium = self._snapshot.profile.cni is Cni.CILIUM
        if cilium and (config.audit or config.enforcement is Enforcement.NEVER):
            return []
        ordered = sorted(self._snapshot.policies, key=lambda p: (p.tier, p.order, p.tie))
        found: list[Step] = []
        always = cilium and config.enforcement is Enforcement.ALWAYS
        for tier, policies in groupby(ordered, key=lambda policy: policy.tier):
            if always and tier > CILIUM_NORMAL:
                found.append(ALWAYS)
                always = False
            found += self._of_tier(tier, list(policies), direction)
            if always and tier == CILIUM_NORMAL:
                found.append(ALWAYS)
                always = False
        return [*found, ALWAYS] if always else found

    def _of_tier(self, tier: Tier, policies: Sequence[Policy], direction: Direction) -> list[Step]:
        found: list[Step] = []
        passed = _Passed([], [])
        for policy, rule in _in_order(tier, policies, direction):
            if rule.action is Action.LOG:
                self._tell(policy, rule, "it logs, which is not converted", "nothing", Effect.NOTE)
                continue
            if rule.action is Action.PASS:
                passed.surely += self._boxes(policy, rule, cover=False)
                passed.perhaps += self._boxes(policy, rule, cover=True)
                continue
            allow = rule.action is Action.ALLOW
            boxes = self._boxes(policy, rule, cover=not allow)
            found += self._steps(policy, rule, boxes, passed.perhaps if allow else passed.surely)
        for policy in policies:
            if direction in policy.isolates and tier.unmatched is Action.DENY:
                whole = [Box(subject) for subject in self._subjects(policy, None)]
                for box in whole:
                    left = self._algebra.subtract(box, passed.surely, allow=False)
                    found += [
                        Step(Action.DENY, each, origin(self._snapshot, policy), isolation=True)
                        for each in left
                    ]
        return found

    def _steps(
        self, policy: Policy, rule: Rule, boxes: Iterable[Box], passed: Sequence[Box]
    ) -> Iterator[Step]:
        at = origin(self._snapshot, policy, rule)
        allow = rule.action is Action.ALLOW
        for box in boxes:
            for left in self._algebra.subtract(box, passed, allow=allow):
                yield Step(rule.action, left, at)

    # -- one rule ----------------------------------------------------------------------------

    def _boxes(self, policy: Policy, rule: Rule, *, cover: bool) -> list[Box]:
        """Return what a rule says, for each alternative of its subject.

        Args:
            policy: the rule's.
            rule: the rule.
            cover: whether more may be meant than it says, rather than less.
        """
        allow = rule.action is Action.ALLOW
        if rule.uncertain:
            if allow:
                what = f"it allows on a condition that is not converted: {rule.uncertain}"
                self._tell(policy, rule, what, "nothing: it stays closed", Effect.NARROWER)
                return []
            what = f"its condition is not converted: {rule.uncertain}"
            if rule.action is Action.PASS:
                self._tell(policy, rule, what, "nothing is passed on", Effect.NARROWER)
                return []
            self._tell(policy, rule, what, "it holds without the condition", Effect.NARROWER)
        traffic = read(rule.traffic, rule.not_traffic, self._resolved, cover=cover)
        if not traffic or rule.layer7 == ():
            return []
        peers = self._telling(policy, rule, lambda: self._reader.peers(rule.peers, cover=cover))
        if peers is not None and not peers:
            return []
        return [
            Box(subject, peers, traffic, rule.layer7)
            for subject in self._subjects(policy, rule, cover=cover)
        ]

    def _subjects(self, policy: Policy, rule: Rule | None, *, cover: bool = True) -> list[Pods]:
        """Return the pods that a policy, or one of its rules, is for."""
        parts = [policy.subject]
        if rule is not None and rule.subjects is not None:
            parts.append(rule.subjects)
        given = [part for part in parts if part is not None]
        return self._telling(policy, rule, lambda: self._reader.pods(given, cover=cover))

    def _telling(self, policy: Policy, rule: Rule | None, look: Callable[[], _Found]) -> _Found:
        found = look()
        for what, instead, effect in self._reader.taken():
            self._tell(policy, rule, what, instead, effect)
        return found

    def _tell(
        self, policy: Policy, rule: Rule | None, what: str, instead: str, effect: Effect
    ) -> None:
        told = origin(self._snapshot, policy, rule).tell(what, instead, effect)
        if told not in self.told:
            self.told.append(told)


def _in_order(
    tier: Tier, policies: Sequence[Policy], direction: Direction
) -> Iterator[tuple[Policy, Rule]]:
    """Yield the rules of a tier in the order in which they decide."""
    if tier.resolution is Resolution.DENY_WINS:
        yield from _denials_first(policies, direction)
        return
    for _, tied in groupby(
        policies, key=lambda p: (p.order, p.tie if tier.ties is Ties.NAME else "")
    ):
        together = list(tied)
        if len(together) == 1:
            yield from ((together[0], r) for r in together[0].rules if r.direction is direction)
        else:
            yield from _denials_first(together, direction)


def _denials_first(
    policies: Sequence[Policy], direction: Direction
) -> Iterator[tuple[Policy, Rule]]:
    """Yield what denies, then what allows, then what passes: no order is known among policies."""
    for action in (Action.DENY, Action.LOG, Action.ALLOW, Action.PASS):
        for policy in policies:
            for rule in policy.rules:
                if (rule.direction, rule.action) == (direction, action):
                    yield policy, rule
