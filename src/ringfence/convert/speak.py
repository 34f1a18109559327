"""Says subjects, peers and traffic as rules in the words of one dialect, or tells what it lacks.

What a rule allows is said exactly or not at all; what it denies is said exactly or with more.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from ringfence.convert import blocks
from ringfence.convert.algebra import Box
from ringfence.convert.known import Known
from ringfence.convert.terms import (
    BlockTerm,
    EntityTerm,
    Literal,
    NameTerm,
    NodesTerm,
    OutsideTerm,
    Pods,
    Term,
)
from ringfence.convert.told import Effect, Origin, Told
from ringfence.convert.traffic import Amount, Resolved, numbers
from ringfence.engine.labels import meets
from ringfence.model.layer7 import Layer7
from ringfence.model.rule import (
    Action,
    Direction,
    Entity,
    IpPeer,
    NamedPort,
    Peer,
    PortRange,
    Rule,
    Traffic,
)
from ringfence.model.selector import LabelSelector
from ringfence.prove.port_sets import PORTED

CLOSED: Final = "nothing: it stays closed"
MORE_DENIED: Final = "more: all peers are denied"
HOSTS: Final[frozenset[Term]] = frozenset(map(EntityTerm, (Entity.HOST, Entity.REMOTE_NODE)))
WHOLE: Final[frozenset[Term]] = frozenset(
    OutsideTerm(IpPeer(cidr)) for cidr in ("0.0.0.0/0", "::/0")
)
TODAY: Final = "the pods that it means now"


class Unsayable(Exception):  # noqa: N818 - it is told, not raised to anybody
    """The dialect has no words for it; the message says why."""


class Speaker(ABC):
    """Says things in one dialect."""

    language: str
    """What a policy of the dialect is called, with its article."""

    def __init__(self, known: Known, resolved: Resolved, *, allow_wider: bool) -> None:
        """Take the cluster, and whether more may be allowed where less cannot be said."""
        self.known = known
        self.resolved = resolved
        self.allow_wider = allow_wider
        self.told: dict[Told, None] = {}

    def tell(self, at: Origin, what: str, instead: str, effect: Effect) -> None:
        """Tell something of a rule."""
        self.told[at.tell(what, instead, effect)] = None

    def rules(self, box: Box, action: Action, direction: Direction, at: Origin) -> list[Rule]:
        """Return rules that say what a box says to a subject; none where nothing can be said."""
        limits = box.layer7
        if limits is not None:
            try:
                self.check_limits(limits, direction)
            except Unsayable as unsayable:
                what = f"{unsayable}"
                if not self.allow_wider:
                    self.tell(at, what, CLOSED, Effect.NARROWER)
                    return []
                self.tell(at, what, "every request on the port", Effect.WIDER)
                limits = None
        traffic = self.traffic(box.traffic, action, at)
        if traffic is not None and not traffic:
            return []
        peers = self.peers(box, action, direction, at)
        if peers is not None and not peers:
            return []
        return [
            Rule(
                direction=direction,
                action=action,
                peers=peers,
                traffic=traffic,
                path=(),
                layer7=limits,
            )
        ]

    @abstractmethod
    def check_limits(self, limits: tuple[Layer7, ...], direction: Direction) -> None:
        """Check that limits above the port can be said.

        Raises:
            Unsayable: they cannot.
        """

    # -- traffic -----------------------------------------------------------------------------

    names_any_protocol = False
    """Whether a port's name stands for whatever protocol a pod declares it with."""

    def traffic(self, amount: Amount, action: Action, at: Origin) -> tuple[Traffic, ...] | None:
        """Return traffic as a rule has it; names that would stand for more, as numbers."""
        if self.names_any_protocol:
            amount = self._names_alone(amount, action, at)
        else:
            amount = _by_protocol(amount)
        if amount.is_all:
            return None
        return amount.traffic(self.icmp(amount.icmp, action, at))

    @abstractmethod
    def icmp(self, found: int, action: Action, at: Origin) -> Sequence[PortRange]:
        """Return what the dialect says of types of ICMP, as in `icmp_sets`.

        Of what is allowed no more, of what is denied no less.
        """

    def _names_alone(self, amount: Amount, action: Action, at: Origin) -> Amount:
        kept: set[NamedPort] = set()
        ports = amount.ports
        for port in sorted(amount.names, key=lambda port: port.name):
            every = {p for (name, p) in self.resolved if name == port.name}
            if port.protocol is None or every <= {port.protocol}:
                kept.add(NamedPort(port.name, None))
            elif action is Action.DENY:
                kept.add(NamedPort(port.name, None))
                ports |= numbers([port], self.resolved)
            else:
                what = f"the port `{port.name}` is declared with other protocols too"
                self.tell(at, what, CLOSED, Effect.NARROWER)
        return Amount(ports, frozenset(kept), amount.icmp)

    # -- peers -------------------------------------------------------------------------------

    def peers(
        self, box: Box, action: Action, direction: Direction, at: Origin
    ) -> tuple[Peer, ...] | None:
        """Return the peers of a box; None for anyone at all."""
        if box.peers is None:
            return self.anyone(direction)
        found: dict[Peer, None] = {}
        for term in box.peers:
            try:
                said = self.term(term, box.peers, action, direction, at)
            except Unsayable as unsayable:
                if action is Action.DENY:
                    self.tell(at, str(unsayable), MORE_DENIED, Effect.NARROWER)
                    return self.anyone(direction)
                self.tell(at, str(unsayable), CLOSED, Effect.NARROWER)
                continue
            found |= dict.fromkeys(said)
        return tuple(found)

    def anyone(self, direction: Direction) -> tuple[Peer, ...] | None:  # noqa: ARG002
        """Return what stands for anyone at all."""
        return None

    @abstractmethod
    def term(
        self,
        term: Term,
        beside: Sequence[Term],
        action: Action,
        direction: Direction,
        at: Origin,
    ) -> Sequence[Peer]:
        """Return the peers that a term comes to.

        Args:
            term: what is meant.
            beside: every term of the rule.
            action: of the rule.
            direction: of the rule.
            at: where the rule comes from.

        Raises:
            Unsayable: the dialect has no words for it.
        """

    # -- pods --------------------------------------------------------------------------------

    @abstractmethod
    def can_say(self, literal: Literal) -> bool:
        """Return whether selectors of the dialect can say a literal."""

    @abstractmethod
    def pods(self, pods: Pods) -> Peer:
        """Return pods, of which every literal can be said, as a peer."""

    def pod_peers(self, pods: Pods, action: Action, at: Origin) -> list[Peer]:
        """Return pods as peers; of those that can only be told as of now, no more are allowed."""
        return [self.pods(p) for p in self.sayable(pods, at, cover=action is Action.DENY)]

    def sayable(self, pods: Pods, at: Origin, *, cover: bool) -> list[Pods]:
        """Return the same pods as the dialect can select them; told where only those of now."""
        if all(map(self.can_say, pods)):
            return [pods]
        chosen = self.known.matching(pods)
        said = [literal for literal in pods if not self.can_say(literal)]
        lacking = ", ".join(sorted({literal.of.value for literal in said}))
        self.tell(at, f"{self.language} cannot say this of {lacking}", TODAY, Effect.TODAY)
        if not self.known.told_apart(chosen):
            what = "labels cannot tell some of these pods from others"
            self.tell(at, what, MORE_DENIED if cover else CLOSED, Effect.NARROWER)
        return list(self.known.describe(chosen, cover=cover))


def _by_protocol(amount: Amount) -> Amount:
    """Return the same, its names said of each protocol by itself."""
    names = {
        NamedPort(port.name, protocol)
        for port in amount.names
        for protocol in ((port.protocol,) if port.protocol else PORTED)
    }
    return Amount(amount.ports, frozenset(names), amount.icmp)


class ByAddress(Speaker):
    """A dialect in which a block stands for whatever has an address in it."""

    def blocks(
        self,
        term: Term,
        beside: Sequence[Term],
        action: Action,
        direction: Direction,
        at: Origin,
    ) -> list[IpPeer]:
        """Return what is no pod as blocks.

        Raises:
            Unsayable: its addresses are not known.
        """
        match term:
            case BlockTerm(block):
                return [block]
            case OutsideTerm(block):
                nodes = () if _with_hosts(beside) else self.known.nodes
                inside = (*self._places(block, action, at), *nodes)
                rest = blocks.trimmed(block.cidr, (*block.excepts, *inside))
                return [rest] if rest else []
            case EntityTerm(Entity.KUBE_APISERVER):
                if not self.known.api_servers:
                    raise Unsayable("the addresses of the API server are not known")
                return [IpPeer(cidr) for cidr in self.known.api_servers]
            case EntityTerm(entity):
                return self._hosts(entity, beside, action, direction)
            case NodesTerm():
                return self._of_nodes(term.nodes)
            case NameTerm():
                raise Unsayable(f"{self.language} cannot say the name {term.pattern.pattern}")
            case _:
                raise AssertionError("pods are said by what they carry")

    def _places(self, block: IpPeer, action: Action, at: Origin) -> tuple[str, ...]:
        """Return where pods live; told where that is but assumed, and others may live there."""
        places = self.known.pod_places
        if not self.known.places_assumed or not any(
            blocks.common(block, IpPeer(cidr)) for cidr in places
        ):
            return places
        what = "where pods live is not known (--pod-cidr tells it)"
        if action is Action.ALLOW:
            instead = f"nothing to the ranges that are assumed: {', '.join(places)}"
            self.tell(at, what, instead, Effect.NARROWER)
            return places
        self.tell(at, what, "all but the addresses that pods have now", Effect.TODAY)
        return self.known.pod_addresses

    def _hosts(
        self, entity: Entity, beside: Sequence[Term], action: Action, direction: Direction
    ) -> list[IpPeer]:
        """Return the nodes; the subject's own is always let in, and cannot be told from others."""
        both = set(beside) >= HOSTS
        if _with_hosts(beside):
            return []
        if entity is Entity.HOST and (both or direction is Direction.INGRESS):
            return []
        if not both and direction is Direction.EGRESS and action is Action.ALLOW:
            raise Unsayable(f"{self.language} cannot tell the own node from others")
        return self._of_nodes(None)

    def _of_nodes(self, selector: LabelSelector | None) -> list[IpPeer]:
        nodes = self.known.snapshot.nodes
        if not nodes or not all(node.addresses for node in nodes):
            raise Unsayable("the addresses of the nodes are not known")
        return [
            IpPeer(blocks.single(address))
            for node in nodes
            if selector is None or all(meets(r, node.labels) for r in selector.requirements)
            for address in node.addresses
        ]


def _with_hosts(beside: Sequence[Term]) -> bool:
    """Return whether all nodes are meant, and all of the outside of a family, whose blocks do."""
    return set(beside) >= HOSTS and bool(WHOLE & set(beside))


def pods_within(speaker: Speaker, block: IpPeer, at: Origin, *, cover: bool) -> list[Pods]:
    """Return the pods that live in a block, by labels."""
    held = speaker.known.holds_pods(block)
    if held is not None:
        return [frozenset()] if held else []
    certain, perhaps = speaker.known.inside(block)
    chosen = perhaps if cover else certain
    if not chosen and not perhaps:
        return []
    what = f"some pods live in {block.cidr}, and {speaker.language} cannot say which"
    speaker.tell(at, what, TODAY, Effect.TODAY)
    found = list(speaker.known.describe(chosen, cover=cover))
    if not cover and (chosen != perhaps or not speaker.known.told_apart(chosen)):
        what = f"of some pods it is not known whether they live in {block.cidr}"
        speaker.tell(at, what, CLOSED, Effect.NARROWER)
    return found
