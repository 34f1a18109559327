"""Holds the verdicts of two snapshots of one cluster against each other, pair by pair.

Both are cut by what either tells apart: the same pods, the same ranges of addresses, the same
names, the same ports. What counts are TCP, UDP and SCTP, and what is said above them, between
pods, nodes, the outside's addresses, and the domain names that a policy speaks of. ICMP is left
out, which NetworkPolicy leaves to the implementation; so is a pod's own node, which the profiles
treat differently on purpose.
"""

from functools import cached_property
from typing import Final

import msgspec

from ringfence.assemble import distinctions, identities
from ringfence.engine import Engine
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
from ringfence.prove import amounts, port_sets
from ringfence.prove.amounts import Amount
from ringfence.questions.connectivity import spread
from ringfence.questions.naming import Names

UNUSED: Final = Tier(0, "compared")


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


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; equal where nothing is listed."""

    pairs: int
    """Ordered pairs of workloads, nodes and ranges that were compared."""
    wider: tuple[Wider, ...] = ()
    """Allowed now, or perhaps allowed, and was not."""
    narrower: tuple[Difference, ...] = ()
    """Was allowed, and is not, or only perhaps."""
    unknown: int = 0
    """Pairs of which something was unknown before; the same is unknown now, unless listed."""
    undecided: tuple[str, ...] = ()
    """Why what is said on some ports could not be compared."""

    @property
    def equal(self) -> bool:
        """Whether every verdict is the same on both sides."""
        return not (self.wider or self.narrower or self.undecided)


def compare(old: Snapshot, new: Snapshot) -> Comparison:
    """Return what differs between two snapshots of the same workloads."""
    one, other = alike(old, new)
    sides = _Side(one), _Side(other)
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


class _Side:
    """The verdicts of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.engine = Engine(snapshot)
        self._rows: dict[int, dict[int, dict[int, tuple[int, int]]]] = {}
        self._known: dict[tuple[int, int, int], tuple[Amount, Amount]] = {}

    def class_of(self, family: int, element: int) -> int:
        return self.engine.compiled(family).classes.class_of[element]

    def between(self, family: int, source: int, destination: int) -> tuple[Amount, Amount]:
        """Return what is certainly allowed between two classes, and what perhaps is."""
        if family not in self._rows:
            icmp = self.engine.compiled(family).classes.traffic.icmp
            self._rows[family] = {
                number: spread(reaches, icmp)
                for number, reaches in self.engine.matrix(family).rows()
            }
        masks = self._rows[family][source].get(destination, (0, 0))
        key = (family, *masks)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = (
                self._amount(family, masks[0]),
                self._amount(family, masks[1]),
            )
        return found

    def _amount(self, family: int, mask: int) -> Amount:
        traffic = self.engine.compiled(family).classes.traffic
        ported = mask & ~traffic.icmp
        if ported == traffic.everything & ~traffic.icmp:
            return amounts.EVERYTHING
        return amounts.of_allowances(traffic.allowances(ported, ported), family)


class _Found:
    """Collects the differences."""

    def __init__(self, sides: tuple[_Side, _Side]) -> None:
        self._old, self._new = sides
        self._names = Names(self._old.snapshot)
        self._pairs = self._unknown = 0
        self._wider: dict[Difference, Wider] = {}
        self._narrower: dict[Difference, None] = {}
        self._undecided: dict[str, None] = {}
        self._differing: dict[tuple[Amount, ...], tuple[Amount, Amount] | str | None] = {}

    def comparison(self) -> Comparison:
        return Comparison(
            pairs=self._pairs,
            wider=tuple(self._wider.values()),
            narrower=tuple(sorted(self._narrower)),
            unknown=self._unknown,
            undecided=tuple(self._undecided),
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
        self._pairs += len(ends)
        was, perhaps = self._old.between(family, classes[0][0], classes[1][0])
        now, maybe = self._new.between(family, classes[0][1], classes[1][1])
        self._unknown += len(ends) * (was != perhaps)
        if not ends or (was, perhaps) == (now, maybe):
            return
        four = (was, perhaps, now, maybe)
        if four not in self._differing:
            self._differing[four] = _difference(*four)
        found = self._differing[four]
        if isinstance(found, str):
            self._undecided[found] = None
        elif found is not None:
            for source, destination in ends:
                self._tell(family, source, destination, *found)

    def _tell(self, family: int, source: int, destination: int, more: Amount, less: Amount) -> None:
        ends = self._name(family, source), self._name(family, destination)
        if less:
            self._narrower[Difference(*ends, less.text())] = None
        if more:
            said = Difference(*ends, more.text())
            protocol, port = port_sets.edges(more.ports)[0]
            connection = Connection(
                self._end(family, source), self._end(family, destination), protocol, port, family
            )
            self._wider[said] = Wider(
                said, self._old.engine.judge(connection), self._new.engine.judge(connection)
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


def _difference(
    was: Amount, perhaps: Amount, now: Amount, maybe: Amount
) -> tuple[Amount, Amount] | str | None:
    """Return what is allowed more, and less; why that cannot be told; None where it is equal."""
    try:
        more = (maybe - perhaps) | (now - was)
        less = (was - now) | (perhaps - maybe)
    except Undecidable as undecidable:
        return str(undecidable)
    return (more, less) if more or less else None
