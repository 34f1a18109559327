"""Holds the verdicts of two snapshots of one cluster against each other, pair by pair.

Both are cut by what either tells apart: the same pods, the same ranges of addresses, the same
names, the same ports. What counts are TCP, UDP and SCTP, and what is said above them, and ICMP,
between pods, nodes, the outside's addresses, and the domain names that a policy speaks of. A pod's
own node is left out, which the profiles treat differently on purpose. Where one side leaves ICMP
to the CNI, as NetworkPolicy does, and the other settles it, that is told by itself.
"""

from functools import cached_property
from typing import Final

import msgspec

from ringfence.assemble import distinctions, identities
from ringfence.convert import blocks
from ringfence.convert.sides import Allowed, Known, Side, Traffic
from ringfence.engine.addresses import interval, parse
from ringfence.engine.addresses import text as range_text
from ringfence.engine.universe import Universe
from ringfence.layer7 import Undecidable
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.layer7 import DomainPattern, Wildcard
from ringfence.model.rule import (
    NOBODY,
    Action,
    Direction,
    DomainPeer,
    IpPeer,
    Peer,
    Policy,
    Rule,
    Tier,
)
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement
from ringfence.prove.amounts import NOTHING, Amount
from ringfence.questions.naming import Names

UNUSED: Final = Tier(0, "compared")
ALLOWED: Final = "allowed"
DENIED: Final = "denied"
CNI: Final = "left to the CNI"


class Difference(msgspec.Struct, frozen=True, order=True):
    """A pair of which the two sides say different things."""

    source: str
    destination: str
    ports: str


class Wider(msgspec.Struct, frozen=True):
    """A difference that allows more, with what decided on one connection that shows it."""

    said: Difference
    was: Judgement
    now: Judgement


class LeftToCni(msgspec.Struct, frozen=True, order=True):
    """ICMP that NetworkPolicy leaves to the CNI on one side, and that the other side settles."""

    was: str
    """`allowed`, `denied`, or `left to the CNI`."""
    now: str
    pairs: int
    example: Difference


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; equal where nothing is listed."""

    pairs: int
    """Ordered pairs of workloads, nodes and ranges that were compared, once for each IP family
    that they talk over."""
    differing: int = 0
    """How many of them are listed below."""
    wider: tuple[Wider, ...] = ()
    """Allowed now, or perhaps allowed, and was not."""
    narrower: tuple[Difference, ...] = ()
    """Was allowed, and is not, or only perhaps."""
    unknown: int = 0
    """Pairs of which something was unknown before; the same is unknown now, unless listed."""
    undecided: tuple[str, ...] = ()
    """Why what is said on some ports could not be compared."""
    left_to_cni: tuple[LeftToCni, ...] = ()
    """What becomes of ICMP where one side leaves it to the CNI; counted apart, no difference."""

    @property
    def equal(self) -> bool:
        """Whether every verdict is the same on both sides."""
        return not (self.wider or self.narrower or self.undecided)


def compare(old: Snapshot, new: Snapshot) -> Comparison:
    """Return what differs between two snapshots of the same workloads."""
    one, other = alike(old, new)
    sides = Side(one, other=other), Side(other, other=one)
    found = _Found(sides)
    for family in (4, 6):
        found.look(family)
    return found.comparison()


def alike(old: Snapshot, new: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Return both, the pods folded by what either tells apart, and all else cut alike."""
    told_apart = distinctions.find(
        (*old.policies, *new.policies),
        old.services,
        (*old.network_sets, *new.network_sets),
        (*old.host_endpoints, *new.host_endpoints),
        (*old.client_tls, *new.client_tls),
    )
    folder = identities.Folder(told_apart, old.nodes, old.pod_cidrs)
    workloads = tuple(folder.refold(workload) for workload in old.workloads)
    cutting = (_cutting(old), _cutting(new))
    return tuple(  # type: ignore[return-value]
        msgspec.structs.replace(side, workloads=workloads, policies=(*side.policies, *cutting))
        for side in (old, new)
    )


def _cutting(side: Snapshot) -> Policy:
    """Return a policy of nobody, which only cuts addresses and names as a side's policies do."""
    sets: list[Peer] = [IpPeer(net) for found in side.network_sets for net in found.nets]
    sets += [
        IpPeer(blocks.single(address)) for host in side.host_endpoints for address in host.addresses
    ]
    sets += [
        DomainPeer(DomainPattern(name, Wildcard.COMPONENT))
        for found in side.network_sets
        for name in found.domains
    ]
    sets += [peer for policy in side.policies for peer in distinctions.peers(policy)]
    cut = Rule(
        direction=Direction.EGRESS,
        action=Action.ALLOW,
        peers=tuple(dict.fromkeys(sets)),
        traffic=(),
        path=(),
    )
    return Policy(
        document=0,
        kind="",
        namespace="",
        name="",
        tier=UNUSED,
        subject=NOBODY,
        rules=(cut,),
    )


class _Found:
    """Collects the differences."""

    def __init__(self, sides: tuple[Side, Side]) -> None:
        self._old, self._new = sides
        self._names = Names(self._old.snapshot)
        self._pairs = self._unknown = self._differing = 0
        self._wider: dict[Difference, Wider] = {}
        self._narrower: dict[Difference, None] = {}
        self._undecided: dict[str, None] = {}
        self._left: dict[tuple[str, str], LeftToCni] = {}
        self._known: dict[tuple[Allowed, Allowed], _Change] = {}

    def comparison(self) -> Comparison:
        return Comparison(
            pairs=self._pairs,
            differing=self._differing,
            wider=tuple(self._wider.values()),
            narrower=tuple(sorted(self._narrower)),
            unknown=self._unknown,
            undecided=tuple(self._undecided),
            left_to_cni=tuple(sorted(self._left.values())),
        )

    @cached_property
    def _universe(self) -> Universe:
        return self._old.engine.compiled(4).classes.universe

    @cached_property
    def _labels(self) -> dict[int, str]:
        return dict(self._universe.names_in_writing())

    def _elements(self, family: int) -> list[int]:
        universe = self._universe
        found = [
            element
            for element in range(universe.first_cell)
            if family in universe.families[element]
        ]
        cells = (
            element
            for element in range(universe.first_cell, universe.first_name)
            if family in universe.families[element]
            and not self._is_inside(family, *universe.space.span_of(element - universe.first_cell))
        )
        return [*found, *cells, *sorted(self._labels)]

    def _is_inside(self, family: int, first: int, last: int) -> bool:
        """Return whether a range holds none but the addresses of pods and nodes, known or not."""
        snapshot = self._old.snapshot
        cidrs = [] if snapshot.pod_cidrs_assumed else list(snapshot.pod_cidrs)
        single = [address for node in snapshot.nodes for address in node.addresses]
        single += [
            address
            for workload in snapshot.workloads
            for identity in workload.identities
            for pod in identity.pods
            for address in pod.addresses
        ]
        spans = [interval(cidr) for cidr in cidrs]
        spans += [(number, (value, value)) for number, value in map(parse, single)]
        covered = first
        for low, high in sorted(span for version, span in spans if version == family):
            if low <= covered <= high:
                covered = high + 1
        return covered > last

    def look(self, family: int) -> None:
        """Compare all pairs that talk over a family; ends that neither side tells apart, once."""
        universe = self._universe
        alike: dict[tuple[int, ...], list[int]] = {}
        for element in self._elements(family):
            rank = sum(element >= start for start in (universe.first_cell, universe.first_name))
            sides = (side.class_of(family, element) for side in (self._old, self._new))
            alike.setdefault((rank, *sides), []).append(element)
        for (rank, *sources), senders in alike.items():
            if rank == 2:
                continue
            for (other, *destinations), receivers in alike.items():
                if rank == 0 or other == 0:
                    ends = [
                        (one, two)
                        for one in senders
                        for two in receivers
                        if one != two or not self._is_single(one)
                    ]
                    self._compare(family, (sources, destinations), ends)

    def _is_single(self, element: int) -> bool:
        """Return whether an element is a node, or a single pod by its nature."""
        if element >= self._universe.first_node:
            return True
        number, _ = self._universe.identities[element]
        return self._old.snapshot.workloads[number].kind == "Pod"

    def _compare(
        self,
        family: int,
        classes: tuple[list[int], list[int]],
        ends: list[tuple[int, int]],
    ) -> None:
        """Compare what some pairs may send, that are all of the same two classes on each side."""
        if not ends:
            return
        self._pairs += len(ends)
        was = self._old.between(family, classes[0][0], classes[1][0])
        now = self._new.between(family, classes[0][1], classes[1][1])
        self._unknown += len(ends) * was.is_unknown
        if was == now:
            return
        if (was, now) not in self._known:
            self._known[was, now] = _change(was, now)
        change = self._known[was, now]
        self._undecided |= dict.fromkeys(change.undecided)
        self._differing += len(ends) * change.differs
        for source, destination in ends:
            self._tell(family, source, destination, change)

    def _tell(self, family: int, source: int, destination: int, change: "_Change") -> None:
        ends = self._name(family, source), self._name(family, destination)
        if change.less:
            self._narrower[Difference(*ends, change.less.text(family))] = None
        if change.more:
            said = Difference(*ends, change.more.text(family))
            protocol, port = change.more.sample()
            connection = Connection(
                self._end(family, source), self._end(family, destination), protocol, port, family
            )
            self._wider[said] = Wider(
                said, self._old.engine.judge(connection), self._new.engine.judge(connection)
            )
        for words, icmp in change.left:
            found = self._left.get(words)
            example = Difference(*ends, Traffic(NOTHING, icmp).text(family))
            self._left[words] = (
                msgspec.structs.replace(found, pairs=found.pairs + 1)
                if found
                else LeftToCni(*words, 1, example)
            )

    def _name(self, family: int, element: int) -> str:
        universe = self._universe
        if element >= universe.first_name:
            return self._labels[element]
        if element >= universe.first_cell:
            span = universe.space.span_of(element - universe.first_cell)
            return range_text(family, *span)
        if element >= universe.first_node:
            return f"node/{self._old.snapshot.nodes[element - universe.first_node].name}"
        return self._names.identity_label(*universe.identities[element])

    def _end(self, family: int, element: int) -> End:
        universe = self._universe
        if element >= universe.first_name:
            return DomainEnd(self._labels[element])
        if element >= universe.first_cell:
            return AddressEnd(self._name(family, element).partition("-")[0])
        if element >= universe.first_node:
            return NodeEnd(element - universe.first_node)
        return PodEnd(*universe.identities[element])


class _Change(msgspec.Struct, frozen=True):
    """What differs between what two sides allow."""

    more: Traffic
    less: Traffic
    undecided: tuple[str, ...]
    left: tuple[tuple[tuple[str, str], Amount], ...]
    """ICMP, by what becomes of it before and after."""

    @property
    def differs(self) -> bool:
        return bool(self.more or self.less or self.undecided)


def _change(was: Allowed, now: Allowed) -> _Change:
    """Return what is allowed more, and less, by what is certain and by what is possible."""
    more, less = [NOTHING, NOTHING], [NOTHING, NOTHING]
    undecided: dict[str, None] = {}
    left: list[tuple[tuple[str, str], Amount]] = []
    try:
        more[0], less[0] = _more(was.ports, now.at_most), _more(now.ports, was.at_most)
    except Undecidable as error:
        undecided[str(error)] = None
    try:
        more[1], less[1] = _more(was.icmp, now.icmp), _more(now.icmp, was.icmp)
        open_ = was.left_to_cni | now.left_to_cni
        if open_:
            left = _left(was, now)
            more[1], less[1] = more[1] - open_, less[1] - open_
    except Undecidable as error:
        undecided[str(error)] = None
    return _Change(Traffic(*more), Traffic(*less), tuple(undecided), tuple(left))


def _more(was: Known, now: Known) -> Amount:
    """Return what is allowed now and was not, or perhaps is and surely was not."""
    return (now.perhaps - was.perhaps) | (now.surely - was.surely)


def _left(was: Allowed, now: Allowed) -> list[tuple[tuple[str, str], Amount]]:
    """Return the ICMP that one side alone leaves to the CNI, by what becomes of it."""
    only_was, only_now = was.left_to_cni - now.left_to_cni, now.left_to_cni - was.left_to_cni
    return [
        (words, found)
        for words, found in (
            ((CNI, ALLOWED), only_was & now.icmp.surely),
            ((CNI, DENIED), only_was - now.icmp.perhaps),
            ((ALLOWED, CNI), only_now & was.icmp.surely),
            ((DENIED, CNI), only_now - was.icmp.perhaps),
        )
        if found
    ]
