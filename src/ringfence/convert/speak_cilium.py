"""Says things in the words of Cilium, where blocks stand for the outside alone."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ringfence.convert import calico_paths, icmp_sets
from ringfence.convert.algebra import Box
from ringfence.convert.speak import Speaker, Unsayable, pods_within
from ringfence.convert.terms import (
    ALL_PODS,
    BlockTerm,
    EntityTerm,
    LabelKeys,
    Literal,
    NameTerm,
    NodesTerm,
    Of,
    OutsideTerm,
    Pods,
    PodsTerm,
    Term,
    of,
)
from ringfence.convert.told import Effect, Origin
from ringfence.convert.traffic import Amount
from ringfence.dialects import _emit_cilium_layer7 as layer7
from ringfence.engine.labels import NO_IDENTITY
from ringfence.model.cluster import Protocol
from ringfence.model.label_space import (
    CILIUM_NAMESPACE,
    CILIUM_NAMESPACE_LABELS,
    CILIUM_SERVICE_ACCOUNT,
)
from ringfence.model.layer7 import Layer7
from ringfence.model.profile import Cni
from ringfence.model.rule import (
    Action,
    Direction,
    DomainPeer,
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    Peer,
    PortRange,
    Rule,
)
from ringfence.model.selector import (
    EVERYTHING,
    KUBERNETES_OPERATORS,
    LabelAnd,
    LabelIs,
    Operator,
    Requirement,
)
from ringfence.prove import port_sets

HOSTS: tuple[Peer, ...] = (EntityPeer(Entity.HOST), EntityPeer(Entity.REMOTE_NODE))


class Cilium(Speaker):
    """CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy."""

    language = "a CiliumNetworkPolicy"
    version = ""

    def can_say(self, literal: Literal) -> bool:
        """Return whether it is a requirement of Kubernetes' kind on a label that Cilium sees."""
        if literal.of is Of.POD and NO_IDENTITY.match(literal.requirement.key):
            return False
        known = literal.of in (Of.POD, Of.NAMESPACE, Of.ACCOUNT)
        return known and literal.requirement.operator in KUBERNETES_OPERATORS

    def rules(self, box: Box, action: Action, direction: Direction, at: Origin) -> list[Rule]:
        """Return rules that say what a box says; of HTTP only over TCP, where alone it is said."""
        if box.layer7 and all(limit.http is not None for limit in box.layer7):
            named = {port for port in box.traffic.names if port.protocol in (None, Protocol.TCP)}
            tcp = Amount(box.traffic.ports & port_sets.ports(Protocol.TCP), frozenset(named))
            limits = tuple(self._plain(limit, at) for limit in box.layer7)
            box = msgspec.structs.replace(box, traffic=tcp, layer7=limits)
        return super().rules(box, action, direction, at)

    def _plain(self, limit: Layer7, at: Origin) -> Layer7:
        """Return a limit without the paths that Calico takes for others than were sent."""
        calico = self.known.snapshot.profile.cni is Cni.CALICO
        if not calico or limit.http is None or limit.http.paths is None:
            return limit
        what = "Calico normalises paths before it compares them"
        instead = "only paths of plain segments, which need no normalising"
        self.tell(at, what, instead, Effect.NARROWER)
        return calico_paths.narrowed(limit) or limit

    def icmp(self, found: int, action: Action, at: Origin) -> Sequence[PortRange]:  # noqa: ARG002
        """Return single types of ICMP, with all their codes, which is all that Cilium lists."""
        said, rest = types(found)
        if rest:
            # What is denied comes here without the rest (`deniable`).
            what = "Cilium lists some single types of ICMP, without codes"
            self.tell(at, what, "nothing of the other ICMP", Effect.NARROWER)
        return said

    def pods(self, pods: Pods) -> LabelPeer:
        """Return pods as a peer."""
        return LabelPeer(expression(pods))

    def check_limits(self, limits: tuple[Layer7, ...], direction: Direction) -> None:
        """Check that limits are ones that Cilium has.

        Raises:
            Unsayable: they are not.
        """
        if all(box.dns is not None for box in limits):
            if direction is Direction.INGRESS:
                raise Unsayable("Cilium limits DNS in egress")
            return
        try:
            layer7.http_rules(limits)
        except layer7.Unsayable as unsayable:
            raise Unsayable(str(unsayable)) from None

    def anyone(self, direction: Direction) -> tuple[Peer, ...] | None:  # noqa: ARG002
        """Return what stands for anyone at all: a rule without peers and ports allows nothing."""
        return (
            self.pods(ALL_PODS),
            EntityPeer(Entity.WORLD),
            *HOSTS,
        )

    def term(
        self,
        term: Term,
        beside: Sequence[Term],
        action: Action,
        direction: Direction,
        at: Origin,
    ) -> Sequence[Peer]:
        """Return the peers that a term comes to."""
        cover = action is Action.DENY
        match term:
            case PodsTerm(pods):
                return self.pod_peers(pods, action, at)
            case BlockTerm(block):
                return self._within(block, action, at)
            case OutsideTerm(block):
                both = {OutsideTerm(IpPeer("0.0.0.0/0")), OutsideTerm(IpPeer("::/0"))}
                if both <= set(beside) and term in both:
                    return [EntityPeer(Entity.WORLD)]
                return [block]
            case EntityTerm(entity):
                return [EntityPeer(entity)]
            case NodesTerm(nodes) if nodes == EVERYTHING or cover:
                return HOSTS
            case NodesTerm():
                raise Unsayable("Cilium selects nodes by their labels only where that is set up")
            case NameTerm(pattern):
                if cover or direction is Direction.INGRESS:
                    raise Unsayable("domain names stand only where egress is allowed")
                try:
                    layer7.names((pattern,), self.version)
                except layer7.Unsayable as unsayable:
                    raise Unsayable(str(unsayable)) from None
                return [DomainPeer(pattern, seen_by_proxy=True)]

    def _within(self, block: IpPeer, action: Action, at: Origin) -> list[Peer]:
        """Return what has an address in a block: the outside, pods, and nodes."""
        cover = action is Action.DENY
        found: list[Peer] = [block]
        for pods in pods_within(self, block, at, cover=cover):
            found += self.pod_peers(pods, action, at)
        match self.known.holds_nodes(block):
            case True:
                found += HOSTS
            case None if cover:
                found += HOSTS
            case None if self.known.snapshot.nodes:
                what = f"some nodes have addresses in {block.cidr}, which Cilium cannot say"
                self.tell(at, what, "nothing of the nodes", Effect.NARROWER)
            case _:
                pass
        return found


def types(found: int) -> tuple[list[PortRange], int]:
    """Return the types that one rule can list, and what is left of the set.

    Source: Cilium `pkg/policy/api/icmp.go`: the type is a number, and there are up to 40 fields.
    """
    listed = [part for part in icmp_sets.parts(found) if _is_single_type(part)]
    if sum(1 if part.family else 2 for part in listed) > icmp_sets.MOST:
        return [], found
    return listed, found & ~icmp_sets.union(listed)


def deniable(amount: Amount) -> tuple[Amount, Amount]:
    """Return what rules that deny can say of some traffic, and what they cannot."""
    if amount.is_all:
        return amount, Amount(0)
    _, rest = types(amount.icmp)
    return Amount(amount.ports, amount.names, amount.icmp & ~rest), Amount(0, icmp=rest)


def _is_single_type(part: PortRange) -> bool:
    return part.first % 256 == 0 and part.last == part.first + 255


KEYS: Final = LabelKeys(CILIUM_NAMESPACE, CILIUM_NAMESPACE_LABELS, CILIUM_SERVICE_ACCOUNT)


def expression(pods: Pods) -> LabelAnd:
    """Return pods in Cilium's label space, their namespace always told."""
    parts = [LabelIs(KEYS.requirement(literal)) for literal in sorted(pods)]
    if not of(pods, Of.NAMESPACE):
        parts.insert(0, LabelIs(Requirement(CILIUM_NAMESPACE, Operator.EXISTS)))
    return LabelAnd(tuple(parts))
