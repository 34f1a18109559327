"""Says things in the words of Calico."""

from collections.abc import Sequence
from typing import Final

from ringfence.convert import icmp_sets
from ringfence.convert.speak import ByAddress, Unsayable
from ringfence.convert.terms import LabelKeys, Literal, NameTerm, Of, Pods, PodsTerm, Term, of
from ringfence.convert.told import Effect, Origin
from ringfence.dialects._emit_calico_selectors import Unsayable as NoSelector
from ringfence.dialects._emit_calico_selectors import selector_text
from ringfence.model.cluster import Protocol
from ringfence.model.label_space import (
    CALICO_NAMESPACE,
    CALICO_NAMESPACE_PREFIX,
    CALICO_ORCHESTRATOR,
    CALICO_SERVICE_ACCOUNT,
    CALICO_SERVICE_ACCOUNT_PREFIX,
)
from ringfence.model.layer7 import Form, Layer7
from ringfence.model.profile import Cni
from ringfence.model.proposal import Edition
from ringfence.model.rule import Action, Direction, DomainPeer, LabelPeer, Peer, PortRange
from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    Operator,
    Requirement,
)

ANYWHERE: Final = LabelIs(Requirement(CALICO_NAMESPACE, Operator.EXISTS))
"""Pods of any namespace."""


class Calico(ByAddress):
    """NetworkPolicy and GlobalNetworkPolicy."""

    language = "a policy of Calico"
    edition = Edition.OSS

    def can_say(self, literal: Literal) -> bool:
        """Return whether the key and the values can be written at all."""
        try:
            selector_text(LabelIs(literal.requirement))
        except NoSelector:
            return False
        return True

    @property
    def _as_normalised(self) -> bool:
        """Whether paths were compared as Calico compares them, or may be said wider."""
        return self.allow_wider or self.known.snapshot.profile.cni is Cni.CALICO

    def icmp(self, found: int, action: Action, at: Origin) -> Sequence[PortRange]:
        """Return ICMP as Calico says it: all of a family, or type by type, or code by code.

        Source: Calico `libcalico-go/lib/validator/v3/validator.go`, types are 0 to 254.
        """
        said: dict[PortRange, None] = {}
        for part in icmp_sets.parts(found):
            if _is_sayable(part):
                said[part] = None
                continue
            what = "Calico lists single types of ICMP, up to 254"
            if action is Action.ALLOW:
                self.tell(at, what, "nothing of the other ICMP", Effect.NARROWER)
            else:
                self.tell(at, what, "more: all ICMP is denied", Effect.NARROWER)
                said[PortRange(Protocol.ICMP, family=part.family)] = None
        return tuple(said)

    def pods(self, pods: Pods) -> LabelPeer:
        """Return pods as a peer."""
        return LabelPeer(expression(pods))

    def check_limits(self, limits: tuple[Layer7, ...], direction: Direction) -> None:
        """Check that limits are of HTTP, and of what Calico sees of it.

        Raises:
            Unsayable: they are not.
        """
        for box in limits:
            if box.http is None or box != Layer7(http=box.http):
                raise Unsayable(f"{self.language} limits HTTP alone")
            if direction is Direction.EGRESS:
                raise Unsayable(f"{self.language} looks into requests only where they come in")
            if box.http.hosts is not None or box.http.headers:
                raise Unsayable(f"{self.language} limits neither hosts nor headers")
            if box.http.paths is not None and not self._as_normalised:
                raise Unsayable(f"{self.language} normalises paths, so that more would pass")
            if any(method.form is not Form.EXACT for method in box.http.methods or ()):
                raise Unsayable(f"{self.language} lists methods")

    def term(
        self,
        term: Term,
        beside: Sequence[Term],
        action: Action,
        direction: Direction,
        at: Origin,
    ) -> Sequence[Peer]:
        """Return the peers that a term comes to."""
        match term:
            case PodsTerm(pods):
                return self.pod_peers(pods, action, at)
            case NameTerm(pattern):
                allows = action is Action.ALLOW and direction is Direction.EGRESS
                if self.edition is Edition.OSS or not allows:
                    raise Unsayable(f"{self.language} cannot say the name {pattern.pattern}")
                return [DomainPeer(pattern)]
            case _:
                return self.blocks(term, beside, action, direction, at)


def _is_sayable(part: PortRange) -> bool:
    whole = (part.first, part.last) == (0, icmp_sets.SIZE - 1)
    return whole or (part.first // 256 == part.last // 256 < 255)


KEYS: Final = LabelKeys(
    CALICO_NAMESPACE,
    CALICO_NAMESPACE_PREFIX,
    CALICO_SERVICE_ACCOUNT,
    CALICO_SERVICE_ACCOUNT_PREFIX,
)


def expression(pods: Pods) -> LabelAnd:
    """Return pods in Calico's label space; network sets, which have labels too, are kept out."""
    parts: list[LabelExpression] = [
        LabelIs(Requirement(CALICO_ORCHESTRATOR, Operator.IN, ("k8s",)))
    ]
    if not of(pods, Of.NAMESPACE):
        parts.append(ANYWHERE)
    return LabelAnd((*parts, *map(in_label_space, sorted(pods))))


def in_label_space(literal: Literal) -> LabelExpression:
    """Return a literal as Calico knows the labels of endpoints."""
    found = LabelIs(KEYS.requirement(literal))
    return LabelNot(found) if literal.negated else found
