"""One connection followed through a stack, rule by rule, with the evidence for its verdict."""

from dataclasses import dataclass, field
from functools import cache

from ringfence.engine.classes import Classes, CompiledPolicy, CompiledRule
from ringfence.engine.stack import Stacks
from ringfence.engine.universe import name_matches
from ringfence.model.document import Path, path_text
from ringfence.model.profile import Cni
from ringfence.model.rule import Action, Direction, IpPeer, NodePeer
from ringfence.model.verdict import Evidence, Verdict


@dataclass(frozen=True)
class OtherEnd:
    """The end that a subject's rules call the peer."""

    number: int | None
    """Its class; None for a domain name, which is in none."""
    words: str
    """What to call it in reasons."""
    domain: str = ""
    address: int | None = None
    """The class of the outside address that it has, for a node of which one address is meant."""


@dataclass(frozen=True)
class RuleTrace:
    """How one rule of a policy that selects the subject met the connection."""

    compiled: CompiledRule
    peer: bool | None
    """Whether its peers match; None: perhaps."""
    traffic: bool
    """Whether its ports match."""

    @property
    def matches(self) -> bool | None:
        """Whether the rule matches; None: perhaps."""
        return self.peer if self.traffic else False


@dataclass(frozen=True)
class PolicyTrace:
    """How the rules of one policy met the connection, in the order in which they are written."""

    policy: CompiledPolicy
    rules: tuple[RuleTrace, ...]


@dataclass
class SideTrace:
    """The verdict of one direction."""

    direction: Direction
    verdict: Verdict = Verdict.ALLOW
    evidence: list[Evidence] = field(default_factory=list)
    because: list[str] = field(default_factory=list)
    policies: list[PolicyTrace] = field(default_factory=list)
    """Every policy that applies to the subject in this direction, in deciding order."""


@dataclass
class _State:
    outcomes: set[Action] = field(default_factory=set)
    undecided: bool = True
    passed: bool = False


class Tracer:
    """Follows connections through the stacks of one set of classes."""

    def __init__(self, classes: Classes, stacks: Stacks) -> None:
        """Keep what was compiled."""
        self._classes, self._stacks = classes, stacks
        self._snapshot = classes.snapshot
        self._written = cache(self._locate)

    def follow(
        self, subject: int, direction: Direction, traffic: int, other: OtherEnd
    ) -> SideTrace:
        """Return the verdict of one direction, with its evidence.

        Args:
            subject: the class of the pods whose side this is.
            direction: which side the subject is on.
            traffic: the number of the traffic class.
            other: the other end.
        """
        side = SideTrace(direction)
        stack = self._stacks.stack(subject, direction)
        followed = {
            id(policy): self._meet(policy, subject, direction, traffic, other)
            for policy in stack.policies
        }
        side.policies = list(followed.values())
        if self._classes.unreadable >> subject & 1:
            self._tell_unreadable(side, subject)
            return side
        state = _State()
        for group in stack.admin:
            self._decide_group(side, state, [followed[id(p)] for p in group], other)
            if not state.undecided:
                break
        state.undecided |= state.passed
        state.passed = False
        if state.undecided and stack.isolating:
            self._decide_network_policies(
                side, state, [followed[id(p)] for p in stack.isolating], traffic, other
            )
        for group in stack.baseline if state.undecided else ():
            self._decide_group(side, state, [followed[id(p)] for p in group], other)
            if not state.undecided:
                break
        if state.undecided or state.passed:
            state.outcomes.add(Action.ALLOW)
            side.evidence.append(_default(direction))
        side.verdict = _verdict(state.outcomes)
        if side.verdict is not Verdict.UNKNOWN:
            side.because.clear()
        return side

    def _meet(
        self,
        policy: CompiledPolicy,
        subject: int,
        direction: Direction,
        traffic: int,
        other: OtherEnd,
    ) -> PolicyTrace:
        traced = []
        for rule in policy.rules(direction):
            mask = rule.mask
            if direction is Direction.INGRESS:
                mask = self._classes.mask_at(rule, subject)
            elif other.number is not None:
                for port in rule.names:
                    mask |= self._classes.named_at(port, other.number)
            matched = self._match(rule, other)
            traced.append(RuleTrace(rule, matched, traffic=bool(mask >> traffic & 1)))
        return PolicyTrace(policy, tuple(traced))

    def _match(self, compiled: CompiledRule, other: OtherEnd) -> bool | None:
        """Return whether a rule's peers match the other end; None: perhaps."""
        if other.number is not None and other.address is None:
            return _holds(compiled.certain, compiled.perhaps, other.number)
        if compiled.rule.unreadable:
            return None
        if compiled.rule.peers is None:
            return True
        found: bool | None = False
        for peer, match in zip(compiled.rule.peers, compiled.peers, strict=True):
            if other.number is None:
                matched = name_matches(peer, other.domain, self._classes.family)
            elif isinstance(peer, IpPeer) and other.address is not None:
                matched = _holds(match.certain, match.perhaps, other.address)
            else:
                matched = _holds(match.certain, match.perhaps, other.number)
            if matched:
                return True
            if matched is None:
                found = None
        return found

    def _decide_group(
        self, side: SideTrace, state: _State, group: list[PolicyTrace], other: OtherEnd
    ) -> None:
        """Let the policies of one priority decide, as `Stacks` does for all peers at once."""
        said: list[set[Action]] = []
        told: list[Evidence] = []
        undecided = state.undecided
        for traced in group:
            actions: set[Action] = set()
            open_ = True
            for rule in traced.rules:
                if rule.matches is False:
                    continue
                actions.add(rule.compiled.action)
                told.append(self._evidence(side, rule, other))
                if rule.matches:
                    open_ = False
                    break
            said.append(actions)
            if not open_:
                undecided = False
        possible = set().union(*said) if said else set()
        if self._classes.snapshot.profile.cni is Cni.CILIUM:
            if any(s == {Action.DENY} and _sure(t) for s, t in zip(said, group, strict=True)):
                possible = {Action.DENY}
            elif any(s == {Action.ALLOW} and _sure(t) for s, t in zip(said, group, strict=True)):
                possible.discard(Action.PASS)
        elif len(possible) > 1 and sum(map(bool, said)) > 1:
            names = ", ".join(t.policy.policy.ref for t, s in zip(group, said, strict=True) if s)
            side.because.append(
                f"{names} have the same tier and priority and disagree: "
                "the specification leaves open which one decides"
            )
        side.evidence += told
        state.outcomes |= possible - {Action.PASS}
        state.passed |= Action.PASS in possible
        state.undecided = undecided

    def _decide_network_policies(
        self,
        side: SideTrace,
        state: _State,
        isolating: list[PolicyTrace],
        traffic: int,
        other: OtherEnd,
    ) -> None:
        state.undecided = False
        if 1 << traffic == self._classes.traffic.icmp and self._classes.icmp_is_open:
            state.outcomes |= {Action.ALLOW, Action.DENY}
            side.evidence += [self._isolation(side, t, "unknown") for t in isolating]
            side.because.append(
                f"NetworkPolicy leaves to the CNI what becomes of ICMP at an isolated pod, and "
                f"profile {self._classes.snapshot.profile.cni} does not settle it"
            )
            return
        perhaps: list[Evidence] = []
        for traced in isolating:
            for rule in traced.rules:
                if rule.matches:
                    state.outcomes.add(Action.ALLOW)
                    side.evidence.append(self._evidence(side, rule, other))
                    return
                if rule.matches is None:
                    perhaps.append(self._evidence(side, rule, other))
        state.outcomes.add(Action.DENY)
        if perhaps:
            state.outcomes.add(Action.ALLOW)
        side.evidence += perhaps
        side.evidence += [self._isolation(side, traced, "deny") for traced in isolating]

    # -- evidence ----------------------------------------------------------------------------

    def _evidence(self, side: SideTrace, rule: RuleTrace, other: OtherEnd) -> Evidence:
        compiled = rule.compiled
        action = compiled.action.value
        if rule.matches is None:
            action = "unknown"
            side.because.append(self._why_perhaps(compiled, other))
        policy = compiled.policy
        return self._written(side.direction, policy.document, compiled.rule.path, action)

    def _isolation(self, side: SideTrace, traced: PolicyTrace, action: str) -> Evidence:
        policy = traced.policy.policy
        path = policy.isolation_path
        return self._written(side.direction, policy.document, path, action, "isolation")

    def _locate(
        self, direction: Direction, index: int, path: Path, action: str, rule: str = ""
    ) -> Evidence:
        """Return the evidence that stands at a place of a document."""
        document = self._snapshot.documents[index]
        location = document.location_of(path)
        rule = rule or path_text(path).removeprefix("spec.")
        return Evidence(
            "network", direction.value, action, document.ref, rule, location.file, location.line
        )

    def _why_perhaps(self, compiled: CompiledRule, other: OtherEnd) -> str:
        document = self._snapshot.documents[compiled.policy.document]
        rule = compiled.rule
        where = f"{document.ref} {path_text(rule.path).removeprefix('spec.')}"
        if rule.unreadable:
            at = document.location_of(rule.unreadable.path)
            return f"{where} could not be understood: {rule.unreadable.reason} ({at})"
        if any(isinstance(peer, NodePeer) for peer in rule.peers or ()):
            return f"{where}: the node of {other.words} is not known"
        blocks = ", ".join(peer.cidr for peer in rule.peers or () if isinstance(peer, IpPeer))
        hint = "; --pod-cidr settles it" if self._snapshot.pod_cidrs_assumed else ""
        return f"{where}: whether {blocks} holds {other.words} is not known: no address{hint}"

    def _tell_unreadable(self, side: SideTrace, subject: int) -> None:
        side.verdict = Verdict.UNKNOWN
        for compiled in self._classes.policies:
            policy = compiled.policy
            if (policy.unreadable or policy.subject is None) and compiled.subjects >> subject & 1:
                document = self._snapshot.documents[policy.document]
                for part in policy.unreadable:
                    at = document.location_of(part.path)
                    side.because.append(
                        f"{policy.ref} could not be understood: {part.reason} ({at})"
                    )
                    side.evidence.append(
                        Evidence(
                            "network",
                            side.direction.value,
                            "unknown",
                            policy.ref,
                            path_text(part.path).removeprefix("spec.") or "spec",
                            at.file,
                            at.line,
                        )
                    )
        for spot, concerned in zip(self._snapshot.blind_spots, self._classes.blind, strict=True):
            if concerned >> subject & 1:
                side.because.append(f"{spot.because} ({spot.location})")


def _holds(certain: int, perhaps: int, number: int) -> bool | None:
    """Return whether a class is in a set; None: perhaps."""
    if certain >> number & 1:
        return True
    return None if perhaps >> number & 1 else False


def _sure(traced: PolicyTrace) -> bool:
    return any(rule.matches for rule in traced.rules)


def _verdict(outcomes: set[Action]) -> Verdict:
    if len(outcomes) > 1:
        return Verdict.UNKNOWN
    return Verdict.ALLOW if outcomes == {Action.ALLOW} else Verdict.DENY


def _default(direction: Direction) -> Evidence:
    return Evidence("network", direction.value, "allow", None, "default")
