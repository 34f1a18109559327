"""What one rule leaves of another: of its subjects, its peers, its traffic.

A `Box` is what a rule says without an action. What is taken out of a box that allows may be more
than what is meant, of one that denies less: where a difference cannot be said, more is denied.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from ringfence.convert import blocks
from ringfence.convert.known import Known
from ringfence.convert.terms import (
    ALL_PODS,
    EVERYONE,
    MOST,
    BlockTerm,
    EntityTerm,
    NameTerm,
    NodesTerm,
    OutsideTerm,
    Pods,
    PodsTerm,
    Term,
    possible,
    simplified,
    without,
)
from ringfence.convert.traffic import ALL, Amount, Resolved
from ringfence.model.layer7 import Layer7
from ringfence.model.rule import Entity, IpPeer
from ringfence.model.selector import EVERYTHING

HOSTS: Final = (Entity.HOST, Entity.REMOTE_NODE)


class Box(msgspec.Struct, frozen=True):
    """Subjects, peers and traffic: all of them together."""

    subject: Pods
    peers: tuple[Term, ...] | None = None
    """Any of them; None: anyone at all."""
    traffic: Amount = ALL
    layer7: tuple[Layer7, ...] | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether it is all that its subjects send or receive."""
        return self.peers is None and self.traffic.is_all and self.layer7 is None


class Algebra:
    """Differences in one cluster."""

    def __init__(self, known: Known, resolved: Resolved) -> None:
        """Take what is known of the cluster."""
        self._known = known
        self._resolved = resolved
        self._today = self._lost = False

    def taken_today(self) -> bool:
        """Return whether, since this was last asked, pods had to be told as those of now."""
        found, self._today = self._today, False
        return found

    def taken_loss(self) -> bool:
        """Return whether, since this was last asked, anything was left out of what is allowed."""
        found, self._lost = self._lost, False
        return found

    def subtract(self, box: Box, taken: Iterable[Box], *, allow: bool) -> list[Box]:
        """Return what of a box none of the others holds.

        Args:
            box: what is left of it.
            taken: the others.
            allow: whether the box allows. What cannot be said is left out then; of one that
                denies it is kept.
        """
        left = [box]
        for other in taken:
            left = [piece for one in left for piece in self._minus(one, other, allow=allow)]
            if len(left) > MOST:
                self._lost |= allow
                return [] if allow else [box]
        return left

    def _minus(self, box: Box, other: Box, *, allow: bool) -> list[Box]:
        both = box.subject | other.subject
        if not possible(both) or not box.traffic.touches(other.traffic, self._resolved):
            return [box]
        if other.layer7 is not None and not allow:
            # What is allowed of some requests only, denies nothing less of the others.
            return [box]
        rest = () if other.peers is None else self._rest(box.peers, other.peers, allow=allow)
        if rest == (EVERYONE if box.peers is None else box.peers):
            return [box]
        found = [
            msgspec.structs.replace(box, subject=simplified(subject))
            for subject in without(box.subject, other.subject)
        ]
        both = simplified(both)
        if rest:
            found.append(msgspec.structs.replace(box, subject=both, peers=rest))
        if traffic := box.traffic.minus(other.traffic, self._resolved, allow=allow):
            found.append(msgspec.structs.replace(box, subject=both, traffic=traffic))
        return found

    def _rest(
        self, peers: tuple[Term, ...] | None, taken: tuple[Term, ...], *, allow: bool
    ) -> tuple[Term, ...]:
        left = list(EVERYONE if peers is None else peers)
        for other in taken:
            found: list[Term] = []
            for term in left:
                pieces = self._between(term, other)
                if pieces is None:
                    self._lost |= allow
                    pieces = [] if allow else [term]
                found += pieces
            left = found
        return tuple(dict.fromkeys(left))

    # -- terms -------------------------------------------------------------------------------

    def _between(self, term: Term, other: Term) -> list[Term] | None:
        """Return what of a term another does not mean; None where that cannot be said."""
        if term == other:
            return []
        match term, other:
            case PodsTerm(mine), PodsTerm(others):
                return [PodsTerm(simplified(pods)) for pods in without(mine, others)]
            case PodsTerm(mine), BlockTerm(block):
                return self._pods_outside(mine, block)
            case BlockTerm(block) | OutsideTerm(block), BlockTerm(taken):
                return [_like(term, piece) for piece in blocks.minus(block, taken)]
            case OutsideTerm(block), OutsideTerm(taken):
                return [OutsideTerm(piece) for piece in blocks.minus(block, taken)]
            case BlockTerm(block), PodsTerm(others):
                return self._block_without_pods(block, others)
            case BlockTerm(block), EntityTerm() | NodesTerm():
                rest = _without_all(block, self._known.nodes)
                return [BlockTerm(rest)] if rest else []
            case BlockTerm(), OutsideTerm():
                return None
            case OutsideTerm(block), EntityTerm(Entity.KUBE_APISERVER):
                if not self._known.api_servers:
                    return None
                rest = _without_all(block, self._known.api_servers)
                return [OutsideTerm(rest)] if rest else []
            case EntityTerm() | NodesTerm(), BlockTerm(block):
                held = self._known.holds_nodes(block)
                return None if held is None else [] if held else [term]
            case EntityTerm(mine_entity), EntityTerm(taken_entity):
                apart = {mine_entity, taken_entity} == set(HOSTS)
                return [term] if apart else None
            case EntityTerm() | NodesTerm(), NodesTerm(nodes):
                return [] if nodes == EVERYTHING else None
            case NodesTerm(), EntityTerm():
                return None
            case NameTerm(pattern), NameTerm(taken_pattern):
                plain = "*" not in pattern.pattern + taken_pattern.pattern
                return [term] if plain else None
            case NameTerm(), BlockTerm() | OutsideTerm():
                return None
            case _:
                return [term]

    def _pods_outside(self, pods: Pods, block: IpPeer) -> list[Term] | None:
        """Return the pods that do not live in a block."""
        match self._known.holds_pods(block):
            case True:
                return []
            case False:
                return [PodsTerm(pods)]
        chosen = self._known.matching(pods)
        self._today = True
        return [PodsTerm(p) for p in self._known.describe(chosen - self._known.inside(block)[1])]

    def _block_without_pods(self, block: IpPeer, pods: Pods) -> list[Term]:
        """Return what lies in a block and is none of some pods."""
        if self._known.holds_pods(block) is False:
            return [BlockTerm(block)]
        found: list[Term]
        if self._known.places_assumed:
            nodes = (blocks.common(block, IpPeer(cidr)) for cidr in self._known.nodes)
            found = [OutsideTerm(block), *(BlockTerm(node) for node in nodes if node)]
        else:
            rest = _without_all(block, self._known.pod_places)
            found = [BlockTerm(rest)] if rest else []
        if self._known.holds_pods(block):
            return found + [PodsTerm(piece) for piece in without(ALL_PODS, pods)]
        self._today = True
        left = self._known.inside(block)[0] - self._known.matching(pods)
        return found + [PodsTerm(piece) for piece in self._known.describe(left)]


def _like(term: BlockTerm | OutsideTerm, block: IpPeer) -> Term:
    return BlockTerm(block) if isinstance(term, BlockTerm) else OutsideTerm(block)


def _without_all(block: IpPeer, cidrs: Iterable[str]) -> IpPeer | None:
    return blocks.trimmed(block.cidr, (*block.excepts, *cidrs))
