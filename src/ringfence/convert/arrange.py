"""Arranges steps as policies of one dialect: as a union, or in an order.

NetworkPolicies and Cilium's policies are a union. Calico and ClusterNetworkPolicy decide in an
order; there each step becomes a rule, and only what would need more rules than steps is left to
what ends a tier.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Final

import msgspec

from ringfence.convert import icmp_sets
from ringfence.convert.algebra import Algebra, Box
from ringfence.convert.drafts import Draft, Drafts
from ringfence.convert.flatten import Deniable, Flat, flatten
from ringfence.convert.lift import Step
from ringfence.convert.speak import Speaker
from ringfence.convert.terms import ALL_PODS, NameTerm, Pods, PodsTerm, possible
from ringfence.convert.told import Effect, Origin, Told
from ringfence.convert.traffic import ALL, Amount
from ringfence.dialects._write_calico import EARLY
from ringfence.errors import UsageError
from ringfence.model.layer7 import DomainPattern, Layer7, Wildcard
from ringfence.model.rule import ADMIN, Action, Direction, Entity, EntityPeer, Rule
from ringfence.model.tiers import CALICO_DEFAULT
from ringfence.prove import port_sets

Steps = dict[Direction, list[Step]]
Banned = set[tuple[Origin, Rule]]

CALICO_ORDER: Final = 1000.0
"""Where Kubernetes' own policies stand in the tier `default`."""
LAST_PRIORITY: Final = 1000
MOST_RULES: Final = 25
OWN_NODE: Final = (EntityPeer(Entity.HOST),)
DNS: Final = Amount(
    port_sets.ports(port_sets.PORTED[0], 53, 53) | port_sets.ports(port_sets.PORTED[1], 53, 53)
)


class Arrangement:
    """Arranges for one dialect."""

    def __init__(self, speaker: Speaker, beside: Speaker, algebra: Algebra, banned: Banned) -> None:
        """Take the dialect, that of NetworkPolicies, and the rules found to allow too much."""
        self._speaker = speaker
        self._beside = beside
        self._algebra = algebra
        self._banned = banned
        self.told: dict[Told, None] = {}

    def _rules(
        self,
        box: Box,
        action: Action,
        direction: Direction,
        origin: Origin,
        speaker: Speaker | None = None,
    ) -> list[tuple[Rule, Origin]]:
        said = (speaker or self._speaker).rules(box, action, direction, origin)
        return [(kept, origin) for rule in said for kept in self._tame(rule, origin)]

    def _tame(self, rule: Rule, origin: Origin) -> list[Rule]:
        """Return a rule without what of it was found to allow too much: peer by peer."""
        if (origin, rule) not in self._banned:
            return [rule]
        if rule.peers is None or len(rule.peers) == 1:
            what = "as it would stand, it would allow more than before"
            self.told[origin.tell(what, "nothing: it stays closed", Effect.NARROWER)] = None
            return []
        parts = (msgspec.structs.replace(rule, peers=(peer,)) for peer in rule.peers)
        kept = [each for part in parts for each in self._tame(part, origin)]
        # The own node is let in whatever a rule says: of itself, it is no reason for one.
        ingress = rule.direction is Direction.INGRESS
        return [] if ingress and all(each.peers == OWN_NODE for each in kept) else kept

    def _flat(self, steps: Sequence[Step], deniable: Deniable | None = None) -> Flat:
        flat = flatten(steps, self._algebra, deniable)
        self.told |= dict.fromkeys(flat.told)
        return flat

    # -- unions ------------------------------------------------------------------------------

    def union(self, steps: Steps, deniable: Deniable | None = None) -> list[Draft]:
        """Return policies of which all together say what is allowed, and what is denied."""
        drafts = Drafts()
        for direction in Direction:
            flat = self._flat(steps[direction], deniable)
            self._gather(drafts, flat, direction)
        return drafts.all()

    def _gather(
        self,
        drafts: Drafts,
        flat: Flat,
        direction: Direction,
        suffix: str = "",
        speaker: Speaker | None = None,
    ) -> None:
        for subject, origin in flat.isolated:
            drafts.of(origin, subject, suffix).isolates[direction] = None
        for box, origin in flat.allowed:
            draft = drafts.of(origin, box.subject, suffix)
            draft.isolates[direction] = None
            draft.rules += self._rules(box, Action.ALLOW, direction, origin, speaker)
        for box, origin in flat.denied:
            draft = drafts.of(origin, box.subject, suffix)
            draft.rules += self._rules(box, Action.DENY, direction, origin, speaker)

    def with_lookups(self, steps: Steps) -> Steps:
        """Return steps for Cilium, which learns names only from lookups that it lets through.

        Beside each rule that lets subjects of rules with names send to port 53, one that has
        Cilium read what is sent there.
        """
        found = list(steps[Direction.EGRESS])
        for step in steps[Direction.EGRESS]:
            if not any(isinstance(term, NameTerm) for term in step.box.peers or ()):
                continue
            lookups = [
                other
                for other in steps[Direction.EGRESS]
                if other.action is Action.ALLOW
                and other.box.layer7 is None
                and other.box.subject <= step.box.subject
                and other.box.traffic.ports & DNS.ports
                and not any(isinstance(term, NameTerm) for term in other.box.peers or ())
            ]
            if not lookups and not _reads_dns(steps[Direction.EGRESS], step.box.subject):
                what = "no rule lets the name be looked up, so that Cilium never learns it"
                told = step.origin.tell(what, "nothing: it stays closed", Effect.NARROWER)
                self.told[told] = None
                found[found.index(step)] = _without_names(step)
                continue
            for other in lookups:
                box = msgspec.structs.replace(
                    other.box,
                    subject=step.box.subject,
                    traffic=Amount(other.box.traffic.ports & DNS.ports),
                    layer7=(Layer7(dns=(DomainPattern("*", Wildcard.CILIUM),)),),
                )
                read = Step(Action.ALLOW, box, step.origin)
                if read not in found:
                    found.insert(found.index(other) + 1, read)
        return {**steps, Direction.EGRESS: found}

    # -- in an order -------------------------------------------------------------------------

    def calico(self, steps: Steps) -> list[Draft]:
        """Return policies of which the first match decides; what ends them is their tier."""
        drafts = Drafts()
        early: dict[Direction, list[Step]] = {}
        for direction in Direction:
            early[direction], last = _tail(steps[direction])
            for step in last:
                draft = drafts.of(step.origin, step.box.subject)
                draft.tier, draft.order = CALICO_DEFAULT, CALICO_ORDER
                draft.isolates[direction] = None
                if step.action is Action.ALLOW:
                    draft.rules += self._rules(step.box, Action.ALLOW, direction, step.origin)
        ordered = self._in_order(early, "-early" if drafts.all() else "", MOST_RULES * 40)
        for number, draft in enumerate(ordered):
            draft.tier, draft.order = EARLY, float(10 * number + 10)
            for rule, _ in draft.rules:
                draft.isolates[rule.direction] = None
        return [*ordered, *drafts.all()]

    def cluster_network_policies(self, steps: Steps) -> list[Draft]:
        """Return ClusterNetworkPolicies, and NetworkPolicies for what comes in from outside."""
        beside = Drafts()
        ingress = list(steps[Direction.INGRESS])
        if any(_of_others(step.box) for step in ingress if step.action is Action.DENY):
            flat = self._flat([_without_pods(step) for step in ingress])
            self._gather(beside, flat, Direction.INGRESS, "-outside", self._beside)
            closed = {s.box.subject for s in ingress if s.action is Action.DENY and s.box.is_whole}
            for subject, origin in flat.isolated:
                if subject not in closed:
                    # The NetworkPolicy isolates from pods too: what is left is decided before it.
                    box = Box(subject, (PodsTerm(ALL_PODS),))
                    ingress.append(Step(Action.ALLOW, box, origin))
        listed = {
            Direction.INGRESS: [
                step
                for step in self._icmp_last(ingress)
                if step.box.peers is None or step.box.peers
            ],
            Direction.EGRESS: self._icmp_last(steps[Direction.EGRESS]),
        }
        ordered = self._in_order(listed, "", MOST_RULES)
        if len(ordered) > LAST_PRIORITY:
            ordered = self._in_order(listed, "", MOST_RULES, by_object=False)
        for draft, number in zip(ordered, _priorities(ordered), strict=True):
            draft.tier, draft.order = ADMIN, number
        return [*ordered, *beside.all()]

    def _icmp_last(self, steps: Sequence[Step]) -> list[Step]:
        """Return steps of which none denies ICMP apart, which a ClusterNetworkPolicy cannot say.

        It is taken out of what is allowed after it; at the very end, where all else was allowed,
        ports are allowed and what is left is denied.
        """
        found: list[Step] = []
        closed: list[Box] = []
        last: list[Step] = []
        for step in steps:
            traffic = step.box.traffic
            if step.action is Action.ALLOW:
                pieces = self._algebra.subtract(step.box, closed, allow=True)
                if self._algebra.taken_loss():
                    what = "the ICMP that is denied before it cannot be taken out of it exactly"
                    told = step.origin.tell(what, "less is allowed", Effect.NARROWER)
                    self.told[told] = None
                found += [msgspec.structs.replace(step, box=piece) for piece in pieces]
            elif traffic.icmp and not traffic.is_all:
                if ported := traffic.ported():
                    found.append(_with_traffic(step, ported))
                closed.append(_with_traffic(step, Amount(0, icmp=traffic.icmp)).box)
                ported = ALL.ported()
                allowing = msgspec.structs.replace(step, action=Action.ALLOW, isolation=False)
                last += [_with_traffic(allowing, ported), _with_traffic(step, ALL)]
                if traffic.icmp != icmp_sets.EVERYTHING:
                    what = f"{self._speaker.language} cannot deny some ICMP alone"
                    told = step.origin.tell(what, "more: all ICMP is denied", Effect.NARROWER)
                    self.told[told] = None
            else:
                found.append(step)
        return [*found, *last]

    def _in_order(
        self, steps: Steps, suffix: str, most: int, *, by_object: bool = True
    ) -> list[Draft]:
        """Return one policy for each run of steps of one subject, in their order.

        Args:
            steps: what is to be said.
            suffix: of the policies' names.
            most: so many rules of a direction may one policy have.
            by_object: whether those of several objects are kept apart.
        """
        runs = {
            direction: self._runs(found, direction, most, by_object=by_object)
            for direction, found in steps.items()
        }
        sequence = _merged(
            [run.key for run in runs[Direction.INGRESS]],
            [run.key for run in runs[Direction.EGRESS]],
        )
        if sequence is None:
            return [
                _draft([run], f"-{direction.value}{suffix}")
                for direction in Direction
                for run in runs[direction]
            ]
        return [
            _draft([run for way in Direction for run in runs[way] if run.key == key], suffix)
            for key in sequence
        ]

    def _runs(
        self, steps: Sequence[Step], direction: Direction, most: int, *, by_object: bool
    ) -> list["_Run"]:
        runs: list[_Run] = []
        for step in steps:
            rules = self._rules(step.box, step.action, direction, step.origin)
            if not rules:
                continue
            key = (step.origin.document if by_object else 0, step.box.subject)
            if not runs or runs[-1].key != key or len(runs[-1].rules) + len(rules) > most:
                runs.append(_Run(key, step.origin))
            runs[-1].rules += rules
        return runs


@dataclass
class _Run:
    """Rules of one direction that stand together in one policy."""

    key: tuple[int, Pods]
    origin: Origin
    rules: list[tuple[Rule, Origin]] = field(default_factory=list)


def _draft(runs: Sequence[_Run], suffix: str) -> Draft:
    rules = [each for run in runs for each in run.rules]
    return Draft(runs[0].origin, runs[0].key[1], rules, suffix=suffix)


def _priorities(drafts: Sequence[Draft]) -> list[int]:
    """Return the priorities of policies that decide one after the other.

    Where there are more policies than priorities, those that have no subject in common share one.

    Raises:
        UsageError: there are still too few.
    """
    if len(drafts) <= LAST_PRIORITY + 1:
        return list(range(len(drafts)))
    after: dict[Pods, int] = {}
    """Per subject, the first priority that is free behind the policies that have it."""
    found = []
    for draft in drafts:
        overlapping = (free for other, free in after.items() if possible(other | draft.subject))
        found.append(max(overlapping, default=0))
        after[draft.subject] = found[-1] + 1
    needed = max(found) + 1
    if needed > LAST_PRIORITY + 1:
        raise UsageError(
            f"these policies would need {needed:,} ClusterNetworkPolicies that decide one after "
            f"the other, and a tier has {LAST_PRIORITY + 1:,} priorities (0 to {LAST_PRIORITY:,}): "
            "nothing was written"
        )
    return found


def _merged(
    one: Sequence[tuple[int, Pods]], other: Sequence[tuple[int, Pods]]
) -> list[tuple[int, Pods]] | None:
    """Return an order that holds both; None where there is none, or a member stands twice."""
    if len(set(one)) < len(one) or len(set(other)) < len(other):
        return None
    sorter: TopologicalSorter[tuple[int, Pods]] = TopologicalSorter()
    for sequence in (one, other):
        for number, key in enumerate(sequence):
            sorter.add(key, *sequence[max(number - 1, 0) : number])
    try:
        return list(sorter.static_order())
    except CycleError:
        return None


def _tail(steps: Sequence[Step]) -> tuple[list[Step], list[Step]]:
    """Return steps parted: those that need an order, and those that the end of a tier says.

    The latter are isolations behind which nothing comes, and what is allowed to their subjects
    right before them.
    """
    end = len(steps)
    while end and steps[end - 1].isolation and steps[end - 1].box.is_whole:
        end -= 1
    isolated = [step.box.subject for step in steps[end:]]
    start = end
    while start and steps[start - 1].action is Action.ALLOW:
        start -= 1
    before = list(steps[:start])
    last: list[Step] = []
    for step in steps[start:end]:
        covered = any(subject <= step.box.subject for subject in isolated)
        (last if covered else before).append(step)
    return before, [*last, *steps[end:]]


def _reads_dns(steps: Sequence[Step], subject: Pods) -> bool:
    return any(
        box.dns is not None
        for step in steps
        if step.box.subject <= subject
        for box in step.box.layer7 or ()
    )


def _with_traffic(step: Step, traffic: Amount) -> Step:
    return msgspec.structs.replace(step, box=msgspec.structs.replace(step.box, traffic=traffic))


def _without_names(step: Step) -> Step:
    others = tuple(t for t in step.box.peers or () if not isinstance(t, NameTerm))
    return msgspec.structs.replace(step, box=msgspec.structs.replace(step.box, peers=others))


def _of_others(box: Box) -> bool:
    """Return whether a box says something of what is no pod."""
    return box.peers is None or not all(isinstance(term, PodsTerm) for term in box.peers)


def _without_pods(step: Step) -> Step:
    """Return a step for what is no pod alone."""
    if step.box.peers is None:
        return step
    others = tuple(term for term in step.box.peers if not isinstance(term, PodsTerm))
    return msgspec.structs.replace(step, box=msgspec.structs.replace(step.box, peers=others))
