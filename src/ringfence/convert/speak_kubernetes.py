"""Says things as NetworkPolicies and ClusterNetworkPolicies, which share their selectors."""

from collections.abc import Iterable, Sequence

from ringfence.convert.speak import ByAddress, Unsayable, pods_within
from ringfence.convert.terms import BlockTerm, Literal, NodesTerm, Of, Pods, PodsTerm, Term, of
from ringfence.convert.told import Effect, Origin
from ringfence.convert.traffic import Amount
from ringfence.model.layer7 import Layer7
from ringfence.model.rule import (
    Action,
    Direction,
    IpPeer,
    NodePeer,
    Peer,
    PodPeer,
    PortRange,
    Traffic,
)
from ringfence.model.selector import KUBERNETES_OPERATORS, LabelSelector


class ByLabels(ByAddress):
    """What has Kubernetes' own selectors: pods by labels, and namespaces by theirs."""

    def can_say(self, literal: Literal) -> bool:
        """Return whether it is a requirement of Kubernetes' kind."""
        return literal.of in (Of.POD, Of.NAMESPACE) and (
            literal.requirement.operator in KUBERNETES_OPERATORS
        )

    def check_limits(self, limits: tuple[Layer7, ...], direction: Direction) -> None:  # noqa: ARG002
        """Refuse: there are none.

        Raises:
            Unsayable: always.
        """
        raise Unsayable(f"{self.language} does not look into connections")

    def pods(self, pods: Pods) -> PodPeer:
        """Return pods as a peer."""
        return pod_peer(pods)


def pod_peer(pods: Pods) -> PodPeer:
    """Return pods as Kubernetes' selectors say them."""
    return PodPeer(selector(of(pods, Of.NAMESPACE)), selector(of(pods, Of.POD)))


def selector(literals: Iterable[Literal]) -> LabelSelector:
    """Return literals as one selector."""
    return LabelSelector(tuple(literal.requirement for literal in literals))


class Kubernetes(ByLabels):
    """NetworkPolicy."""

    language = "a NetworkPolicy"

    def icmp(self, found: int, action: Action, at: Origin) -> Sequence[PortRange]:  # noqa: ARG002
        """Return nothing: only a rule for all traffic means ICMP too."""
        if found:
            instead = "it is left to the CNI, and most close it"
            self.tell(at, f"{self.language} cannot say ICMP apart", instead, Effect.NARROWER)
        return ()

    def term(
        self,
        term: Term,
        beside: Sequence[Term],
        action: Action,
        direction: Direction,
        at: Origin,
    ) -> Sequence[Peer]:
        """Return the peers that a term comes to."""
        if isinstance(term, PodsTerm):
            return self.pod_peers(term.pods, action, at)
        return self.blocks(term, beside, action, direction, at)


class ClusterNetworkPolicy(ByLabels):
    """ClusterNetworkPolicy: in ingress it knows pods alone."""

    language = "a ClusterNetworkPolicy"
    names_any_protocol = True

    def traffic(self, amount: Amount, action: Action, at: Origin) -> tuple[Traffic, ...] | None:
        """Return traffic as a rule has it: with ICMP only where it is all traffic."""
        if action is Action.DENY and amount.icmp and not amount.is_all:
            what = f"{self.language} cannot deny ICMP apart"
            self.tell(at, what, "more: all traffic is denied", Effect.NARROWER)
            return None
        return super().traffic(amount, action, at)

    def icmp(self, found: int, action: Action, at: Origin) -> Sequence[PortRange]:  # noqa: ARG002
        """Return nothing: only a rule for all traffic means ICMP too."""
        if found:
            what = f"{self.language} cannot allow ICMP apart"
            self.tell(at, what, "nothing of ICMP", Effect.NARROWER)
        return ()

    def anyone(self, direction: Direction) -> tuple[Peer, ...] | None:
        """Return all pods, and of what is sent, all addresses."""
        everyone: tuple[Peer, ...] = (pod_peer(frozenset()),)
        if direction is Direction.EGRESS:
            everyone = (*everyone, IpPeer("0.0.0.0/0"), IpPeer("::/0"))
        return everyone

    def term(
        self,
        term: Term,
        beside: Sequence[Term],
        action: Action,
        direction: Direction,
        at: Origin,
    ) -> Sequence[Peer]:
        """Return the peers that a term comes to."""
        if isinstance(term, PodsTerm):
            return self.pod_peers(term.pods, action, at)
        if direction is Direction.INGRESS:
            # What is no pod is left to the NetworkPolicy that stands beside.
            return self._pods_within(term, action, at)
        if isinstance(term, NodesTerm):
            return [NodePeer(term.nodes)]
        return self.blocks(term, beside, action, direction, at)

    def _pods_within(self, term: Term, action: Action, at: Origin) -> list[Peer]:
        if not isinstance(term, BlockTerm):
            return []
        return [
            pod_peer(pods)
            for pods in pods_within(self, term.block, at, cover=action is Action.DENY)
        ]
