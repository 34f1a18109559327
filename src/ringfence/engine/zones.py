"""Which traffic a destination can get, where what is said on ports is cut zone by zone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ringfence.engine import bits
from ringfence.engine.peers import Peers
from ringfence.engine.spaces import EVERYWHERE
from ringfence.engine.traffic import TrafficSpace
from ringfence.engine.universe import Universe
from ringfence.model.rule import (
    Direction,
    DomainPeer,
    LabelPeer,
    Layer,
    PodPeer,
    Policy,
    Rule,
    leaves,
)


def destinations(universe: Universe, peers: Peers, policy: Policy, rule: Rule) -> int:
    """Return at least the elements to which what a rule is about may go, as a bit set.

    Pods are told apart by labels alone and the rest not at all, so that it is the same whatever
    the family: traffic is numbered alike in both.

    Args:
        universe: the elements.
        peers: finds what the peers of rules stand for.
        policy: that the rule is of.
        rule: which looks above the port.
    """
    networked = universe.networked
    others = universe.everything & ~networked
    if rule.direction is Direction.INGRESS:
        if policy.subject is None or policy.forward:
            return EVERYWHERE
        mesh = policy.tier.layer is Layer.MESH
        chosen = peers.match_subject(policy.subject, mesh=mesh).possible
        if chosen & universe.services:
            # A waypoint's rules are about what goes on to the pods behind it.
            return EVERYWHERE
        selected = chosen & networked
        return selected if policy.namespace else selected | others
    if rule.peers is None or rule.unreadable or rule.uncertain:
        return EVERYWHERE
    found = 0
    for peer in rule.peers:
        if not all(isinstance(leaf, LabelPeer | PodPeer | DomainPeer) for leaf in leaves(peer)):
            return EVERYWHERE
        matched = peers.match(peer).possible
        found |= matched & networked | (others if matched & others else 0)
    return found


class Zones:
    """The classes of destinations by the zones that they are in, on each port that has some."""

    def __init__(self, traffic: TrafficSpace, members: Sequence[Sequence[int]]) -> None:
        """Find for each class, given by its elements, which traffic it can get."""
        self._everything = traffic.everything
        self._to: list[int] = []
        if traffic.zoned:
            self._to = [traffic.everywhere] * len(members)
        for runs in traffic.zoned:
            at = {e: run.mask for run in runs if run.zone > 0 for e in bits.members(run.zone)}
            rest = next(run.mask for run in runs if run.zone < 0)
            for number, elements in enumerate(members):
                self._to[number] |= at.get(elements[0], rest)
        together: dict[int, list[int]] = defaultdict(list)
        for number, mask in enumerate(self._to):
            together[mask].append(number)
        self._by_traffic = {mask: bits.from_members(found) for mask, found in together.items()}
        """What can be got → the classes of destinations that can get that alone."""

    def traffic_to(self, number: int) -> int:
        """Return the classes of traffic that a class of destinations can get at all.

        All of them, but for those of other zones than its own.
        """
        return self._to[number] if self._to else self._everything

    def of(self, destinations: int) -> Iterable[tuple[int, int]]:
        """Return sets of destinations, each with the traffic that all of it can get.

        Only where there are zones.

        Args:
            destinations: that the sets hold between them, as a bit set over classes.
        """
        if destinations.bit_count() >= len(self._by_traffic):
            return self._by_traffic.items()
        return [(self._to[number], 1 << number) for number in bits.members(destinations)]
