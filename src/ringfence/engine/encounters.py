"""How the rules of a policy meet one connection: whether peers, ports and subject match.

Where one address of a node is meant, blocks are asked of that address, and labels of the node.
"""

from ringfence.engine.classes import Classes
from ringfence.engine.matches import Matches
from ringfence.engine.redirects import Reader
from ringfence.engine.rules import CompiledPolicy, CompiledRule
from ringfence.engine.stack import Stack
from ringfence.engine.steps import OtherEnd, PolicyTrace, RuleTrace, all_of, any_of
from ringfence.model.rule import (
    AddressPeer,
    AllPeers,
    AnyPeer,
    Direction,
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    NotPeer,
    Peer,
)


class Encounters:
    """Matches rules with connections, one at a time."""

    def __init__(self, classes: Classes) -> None:
        """Keep what the rules were compiled to."""
        self._classes = classes
        self._reader = Reader(classes)

    def of(
        self, policy: CompiledPolicy, stack: Stack, subject: int, traffic: int, other: OtherEnd
    ) -> PolicyTrace:
        """Return how the rules of a policy meet a connection.

        Args:
            policy: that applies to the subject.
            stack: that the policy is of.
            subject: the class of the pods, or hosts, whose side this is.
            traffic: the number of the traffic class.
            other: the other end.
        """
        classes = self._classes
        number = classes.class_of[other.element]
        destination = subject if stack.direction is Direction.INGRESS else number

        def on_port(rule: CompiledRule | None) -> bool:
            found = rule and self._traffic_of(rule, destination, number)
            return bool(found and found.certain >> traffic & 1)

        traced = []
        for rule in stack.rules_of(policy):
            ports = on_port(classes.widened(rule))
            said = _holds(self._traffic_of(rule, destination, number), traffic)
            unlearned = rule.unseen is not None and not stack.learns_names
            traced.append(
                RuleTrace(
                    rule,
                    self._match(rule, other, number, unlearned=unlearned),
                    said,
                    ports,
                    rule.applies(subject),
                    stack.redirects and on_port(self._reader.resolved(rule, stack.resolving)),
                    stack.redirects and on_port(self._reader.single(rule)),
                    unlearned,
                )
            )
        return PolicyTrace(policy, tuple(traced))

    def _traffic_of(self, rule: CompiledRule, destination: int, peer: int) -> Matches:
        """Return the classes of traffic that a rule means at a destination, of one peer."""
        certain = perhaps = 0
        for share in self._classes.shares.at(rule, destination):
            if share.peers >> peer & 1:
                certain |= share.certain
                perhaps |= share.perhaps
        return Matches(certain, perhaps)

    def _match(
        self, compiled: CompiledRule, other: OtherEnd, number: int, *, unlearned: bool
    ) -> bool | None:
        """Return whether a rule's peers match the other end; None: perhaps."""
        rule = compiled.rule
        if other.address is not None and rule.peers is not None and not rule.unreadable:
            found = [self._match_at(peer, other) for peer in rule.peers]
            held = any_of(found)
            return None if held and rule.uncertain else held
        if unlearned and compiled.unseen is not None:
            certain = perhaps = 0
            for match in compiled.unseen:
                certain |= match.certain
                perhaps |= match.perhaps
            return _holds(Matches(certain, perhaps), number)
        return _holds(compiled.matched, number)

    def _match_at(self, peer: Peer, other: OtherEnd) -> bool | None:
        """Return whether a peer matches a node of which one address is meant; None: perhaps."""
        assert other.address is not None  # noqa: S101 - only such ends are matched so
        match = self._classes.peers.match
        match peer:
            case AllPeers():
                return all_of([self._match_at(part, other) for part in peer.parts])
            case AnyPeer():
                return any_of([self._match_at(part, other) for part in peer.parts])
            case NotPeer():
                held = self._match_at(peer.part, other)
                return None if held is None else not held
            case IpPeer() | AddressPeer() | EntityPeer(Entity.KUBE_APISERVER):
                return _holds(match(peer), other.address)
            case LabelPeer():
                by_labels = self._classes.peers.match_own_labels(peer.expression)
                by_address = _holds(match(peer), other.address)
                return by_address or _holds(by_labels, other.element) or by_address
            case _:
                return _holds(match(peer), other.element)


def _holds(found: Matches, number: int) -> bool | None:
    """Return whether a member is in a set; None: perhaps."""
    if found.certain >> number & 1:
        return True
    return None if found.perhaps >> number & 1 else False
