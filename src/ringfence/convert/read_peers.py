"""Reads the peers and subjects of common rules, in whichever label space, as terms of no dialect.

What is no conjunction of literals, and no block, entity or name either, is told in the pods and
addresses that it means now.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

from ringfence.convert import blocks as networks
from ringfence.convert.known import Known
from ringfence.convert.terms import (
    ALL_PODS,
    BlockTerm,
    EntityTerm,
    Literal,
    NameTerm,
    NodesTerm,
    Of,
    OutsideTerm,
    Pods,
    PodsTerm,
    Term,
    TooMany,
    alternatives,
    literals,
    possible,
    simplified,
)
from ringfence.convert.told import Effect
from ringfence.engine import Engine, bits
from ringfence.engine.addresses import text as range_text
from ringfence.engine.labels import NO_IDENTITY, holds, meets
from ringfence.model import label_space as spaces
from ringfence.model.layer7 import DomainPattern, Wildcard
from ringfence.model.outside import parse_range
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.rule import (
    AllPeers,
    AnyPeer,
    DomainPeer,
    Entity,
    EntityPeer,
    FamilyPeer,
    IpPeer,
    LabelPeer,
    NodePeer,
    NotPeer,
    Peer,
    PodPeer,
)
from ringfence.model.selector import LabelAnd, LabelExpression, Operator, Requirement
from ringfence.model.snapshot import Snapshot

Telling = tuple[str, str, Effect]
WORLD: Final[tuple[Term, ...]] = (
    OutsideTerm(IpPeer("0.0.0.0/0")),
    OutsideTerm(IpPeer("::/0")),
)
FAMILIES: Final = {4: "0.0.0.0/0", 6: "::/0"}
_NOW: Final = "the pods and addresses that it means now"
_NOTHING: Final = "nothing: it stays closed"


class PeerReader:
    """Reads peers as one snapshot's profile means them."""

    def __init__(self, snapshot: Snapshot, known: Known) -> None:
        """Take the snapshot whose policies are read."""
        self._snapshot = snapshot
        self._cni = snapshot.profile.cni
        self._config = snapshot.profile.cilium or CiliumConfig()
        self._known = known
        self._engine: Engine | None = None
        self._told: dict[Telling, None] = {}

    def taken(self) -> tuple[Telling, ...]:
        """Return what has to be told since the last time that this was asked."""
        found = tuple(self._told)
        self._told = {}
        return found

    # -- peers -------------------------------------------------------------------------------

    def peers(self, peers: Sequence[Peer] | None, *, cover: bool) -> tuple[Term, ...] | None:
        """Return peers as terms; None for anyone at all.

        Args:
            peers: as a rule has them.
            cover: whether more may be meant rather than less, where it cannot be said exactly.
        """
        if peers is None:
            return None
        found: dict[Term, None] = {}
        for peer in peers:
            terms = self._terms(peer, cover=cover)
            if terms is None:
                return None
            found |= dict.fromkeys(terms)
        return tuple(found)

    def _terms(self, peer: Peer, *, cover: bool) -> tuple[Term, ...] | None:
        match peer:
            case AllPeers(()):
                return None
            case AllPeers((single,)):
                return self._terms(single, cover=cover)
            case AnyPeer(parts):
                return self.peers(parts, cover=cover)
            case PodPeer():
                return tuple(map(PodsTerm, self._of_pod_peer(peer)))
            case LabelPeer(expression):
                return self._labelled(peer, expression, cover=cover)
            case AllPeers(parts):
                found = self._conjunction(parts, cover=cover)
                return self._extent(peer, cover=cover) if found is None else found
            case FamilyPeer(family):
                return (BlockTerm(IpPeer(FAMILIES[family])),)
            case IpPeer():
                return self._block(peer)
            case NodePeer():
                return (NodesTerm(peer.nodes),)
            case EntityPeer(Entity.WORLD):
                return WORLD
            case EntityPeer(Entity.PODS):
                return (PodsTerm(ALL_PODS),)
            case EntityPeer(entity):
                return (EntityTerm(entity),)
            case DomainPeer(pattern):
                return (NameTerm(pattern),)
            case _:
                return self._extent(peer, cover=cover)

    def _block(self, peer: IpPeer) -> tuple[Term, ...]:
        if self._cni is not Cni.CILIUM:
            return (BlockTerm(peer),)
        if self._config.cidrs_match_nodes or self._config.cidrs_match_pods:
            return self._extent(peer, cover=False)
        return (OutsideTerm(peer),)

    def _conjunction(self, parts: Sequence[Peer], *, cover: bool) -> tuple[Term, ...] | None:
        """Return what all the parts hold of: labels, or blocks without others; None for the rest.

        A part that only says of which family the addresses are goes without saying beside blocks,
        and beside labels where the pods have no other.
        """
        labelled = [part for part in parts if isinstance(part, LabelPeer)]
        families = {part.family for part in parts if isinstance(part, FamilyPeer)}
        within = [blocks for part in parts if (blocks := _all_blocks(part)) is not None]
        beyond = [blocks for part in parts if (blocks := _excluded(part)) is not None]
        known = len(labelled) + len(within) + len(beyond)
        if known + sum(isinstance(part, FamilyPeer) for part in parts) < len(parts):
            return None
        if labelled:
            places = {networks.network(cidr).version for cidr in self._known.pod_places}
            if within or beyond or not places <= (families or places):
                return None
            whole = LabelAnd(tuple(part.expression for part in labelled))
            return self._labelled(LabelPeer(whole), whole, cover=cover)
        if self._cni is Cni.CILIUM:
            return None
        left = [IpPeer(FAMILIES[family]) for family in (families or FAMILIES)]
        for chosen in within:
            left = [b for one in left for other in chosen if (b := networks.common(one, other))]
        for taken in (block for excluded in beyond for block in excluded):
            left = [piece for one in left for piece in networks.minus(one, taken)]
        return tuple(map(BlockTerm, left))

    def _labelled(
        self, peer: LabelPeer, expression: LabelExpression, *, cover: bool
    ) -> tuple[Term, ...]:
        pods = self._alternatives(expression)
        if pods is None:
            return self._extent(peer, cover=cover)
        found: list[Term] = list(map(PodsTerm, pods))
        if self._cni is Cni.CALICO:
            for network_set in self._snapshot.network_sets:
                if holds(expression, network_set.labels):
                    found += [BlockTerm(IpPeer(net)) for net in network_set.nets]
                    found += [
                        NameTerm(DomainPattern(name, Wildcard.COMPONENT))
                        for name in network_set.domains
                    ]
        return tuple(found)

    # -- pods --------------------------------------------------------------------------------

    def pods(self, parts: Sequence[Peer], *, cover: bool) -> list[Pods]:
        """Return the pods of which all the peers hold, as alternatives."""
        found = [ALL_PODS]
        for part in parts:
            choices = self._pods(part, cover=cover)
            found = [simplified(one | other) for one, other in product(found, choices)]
            found = [pods for pods in dict.fromkeys(found) if possible(pods)]
        return found

    def _pods(self, peer: Peer, *, cover: bool) -> list[Pods]:
        match peer:
            case PodPeer():
                return self._of_pod_peer(peer)
            case LabelPeer(expression) if (found := self._alternatives(expression)) is not None:
                return found
            case AnyPeer(parts):
                return [pods for part in parts for pods in self._pods(part, cover=cover)]
            case AllPeers(parts):
                return self.pods(parts, cover=cover)
            case NodePeer() | EntityPeer(Entity.HOST | Entity.REMOTE_NODE):
                return []
            case _:
                terms = self._extent(peer, cover=cover)
                return [term.pods for term in terms if isinstance(term, PodsTerm)]

    def _of_pod_peer(self, peer: PodPeer) -> list[Pods]:
        pods = [self._visible(literal) for literal in sorted(literals(Of.POD, peer.pods))]
        whole = literals(Of.NAMESPACE, peer.namespaces)
        return _joined([*pods, *sorted(whole)])

    def _alternatives(self, expression: LabelExpression) -> list[Pods] | None:
        """Return an expression as alternatives; None where it means more than pods, or too much."""
        try:
            choices = alternatives(expression)
        except TooMany as error:
            self._tell(f"a selector is too long: {error}", _NOW, Effect.TODAY)
            return None
        if any(
            literal.requirement.key.startswith(spaces.CILIUM_RESERVED)
            for choice in choices
            for literal in choice
        ):
            return None
        found: dict[Pods, None] = {}
        for choice in choices:
            for pods in _joined([self._translated(literal) for literal in choice]):
                found[pods] = None
        return list(found)

    def _translated(self, literal: Literal) -> Literal | bool:
        """Return a literal of the profile's label space as one of its own kind; or its value."""
        required = literal.requirement
        key = required.key

        def other(of: Of, name: str) -> Literal:
            return Literal(
                of, Requirement(name, required.operator, required.values), literal.negated
            )

        def value(labels: dict[str, str]) -> bool:
            return meets(required, labels) is not literal.negated

        if self._cni is Cni.CALICO:
            if key == spaces.CALICO_ORCHESTRATOR:
                return value({key: "k8s"})
            if key == spaces.CALICO_HOST_ENDPOINT:
                return value({})
            if key in (
                spaces.CALICO_NAMESPACE,
                spaces.CALICO_NAMESPACE_PREFIX + spaces.CALICO_NAME,
            ):
                return _given(other(Of.NAMESPACE, "kubernetes.io/metadata.name"))
            if key.startswith(spaces.CALICO_NAMESPACE_PREFIX):
                return other(Of.NAMESPACE, key.removeprefix(spaces.CALICO_NAMESPACE_PREFIX))
            if key in (
                spaces.CALICO_SERVICE_ACCOUNT,
                spaces.CALICO_SERVICE_ACCOUNT_PREFIX + spaces.CALICO_NAME,
            ):
                return _given(other(Of.ACCOUNT, "name"))
            if key.startswith(spaces.CALICO_SERVICE_ACCOUNT_PREFIX):
                inner = key.removeprefix(spaces.CALICO_SERVICE_ACCOUNT_PREFIX)
                return other(Of.ACCOUNT_LABELS, inner)
        if self._cni is Cni.CILIUM:
            if key == spaces.CILIUM_NAMESPACE:
                return _given(other(Of.NAMESPACE, "kubernetes.io/metadata.name"))
            if key.startswith(spaces.CILIUM_NAMESPACE_LABELS):
                return other(Of.NAMESPACE, key.removeprefix(spaces.CILIUM_NAMESPACE_LABELS))
            if key == spaces.CILIUM_SERVICE_ACCOUNT:
                return _given(other(Of.ACCOUNT, "name"))
            if key == spaces.CILIUM_CLUSTER:
                return value({key: self._config.cluster})
        return self._visible(literal)

    def _visible(self, literal: Literal) -> Literal | bool:
        """Return a literal on a pod's label; its value where Cilium never sees the label."""
        if self._cni is Cni.CILIUM and NO_IDENTITY.match(literal.requirement.key):
            return literal.holds({})
        return literal

    # -- what a peer means now ---------------------------------------------------------------

    def _extent(self, peer: Peer, *, cover: bool) -> tuple[Term, ...]:
        """Return what a combination of peers means now: pods, addresses, hosts, names."""
        self._tell("it combines what can only be said apart", _NOW, Effect.TODAY)
        if self._engine is None:
            self._engine = Engine(self._snapshot)
        found: dict[Term, None] = {}
        for family in (4, 6):
            classes = self._engine.compiled(family).classes
            universe = classes.universe
            matched = classes.peers.match(peer)
            chosen = matched.possible if cover else matched.certain
            members = bits.members(chosen & ((1 << universe.first_twin) - 1))
            here = [e for e in members if family in universe.families[e]]
            found |= dict.fromkeys(self._pods_among(here, universe.first_node, cover=cover))
            hosts = {e for e in here if universe.every_host >> e & 1}
            if hosts and (cover or len(hosts) == universe.every_host.bit_count()):
                found |= {EntityTerm(Entity.HOST): None, EntityTerm(Entity.REMOTE_NODE): None}
            elif hosts:
                self._tell("it means some of the nodes", _NOTHING, Effect.NARROWER)
            for element in here:
                if universe.first_cell <= element < universe.first_name:
                    cell = element - universe.first_cell
                    span = parse_range(range_text(family, *universe.space.span_of(cell)))
                    if span is not None:
                        found |= dict.fromkeys(map(OutsideTerm, _blocks(str(span))))
            if any(element >= universe.first_name for element in here):
                self._tell("it means domain names", _NOTHING, Effect.NARROWER)
        return tuple(found)

    def _pods_among(self, elements: Iterable[int], first: int, *, cover: bool) -> list[Term]:
        assert self._engine is not None  # noqa: S101 - made where this is called
        universe = self._engine.compiled(4).classes.universe
        networked = [e for e in range(first) if not universe.identity(e).host_network]
        number = {element: index for index, element in enumerate(networked)}
        numbers = frozenset(number[e] for e in elements if e in number)
        described = self._known.describe(numbers, cover=cover)
        if not cover and not self._known.told_apart(numbers):
            self._tell("labels cannot tell some pods from others", _NOTHING, Effect.NARROWER)
        return list(map(PodsTerm, described))

    def _tell(self, what: str, instead: str, effect: Effect) -> None:
        self._told[what, instead, effect] = None


def _all_blocks(peer: Peer) -> tuple[IpPeer, ...] | None:
    """Return the blocks of which one must hold; None where the peer is something else."""
    match peer:
        case IpPeer():
            return (peer,)
        case AnyPeer(parts) if parts and all(isinstance(part, IpPeer) for part in parts):
            return tuple(part for part in parts if isinstance(part, IpPeer))
        case _:
            return None


def _excluded(peer: Peer) -> tuple[IpPeer, ...] | None:
    return _all_blocks(peer.part) if isinstance(peer, NotPeer) else None


def _given(literal: Literal) -> Literal | bool:
    """Return a literal on a name, which every pod has; its value where it only asks for one."""
    match literal.requirement.operator:
        case Operator.EXISTS:
            return not literal.negated
        case Operator.DOES_NOT_EXIST:
            return literal.negated
        case _:
            return literal


def _joined(parts: Iterable[Literal | bool]) -> list[Pods]:
    """Return the pods of which all the parts hold; nothing where they cannot."""
    found: set[Literal] = set()
    for part in parts:
        if part is False:
            return []
        if part is not True:
            found.add(part)
    pods = frozenset(found)
    return [simplified(pods)] if possible(pods) else []


def _blocks(span: str) -> list[IpPeer]:
    """Return a range of addresses as blocks."""
    first, _, last = span.partition("-")
    ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
    return [IpPeer(str(n)) for n in ipaddress.summarize_address_range(*ends)]
