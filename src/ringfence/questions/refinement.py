"""The peers of two answers, cut as fine as either tells them apart.

Outside ranges are cut at the ends of both sides' ranges. A workload whose pods one side alone
tells apart is cut into these parts on both. A domain name that one side alone knows may, on the
other, be any of the outside's addresses.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from ringfence.layer7.undecidable import Undecidable
from ringfence.model.connectivity import Allowance, Connectivity, Pair, Peer
from ringfence.model.outside import AddressRange, parse_range
from ringfence.questions.traffic_sets import NOTHING, TrafficSet

EXTERNAL, DOMAIN, NODE = "External", "Domain", "Node"
Written = tuple[tuple[Allowance, ...], tuple[Allowance, ...]]
"""What is allowed, and what is unknown."""

NONE: Written = ((), ())


class Atom(msgspec.Struct, frozen=True):
    """A peer of both sides, as fine as either tells it apart."""

    peer: Peer
    old: tuple[str, ...]
    """Names of the old side's peers that it belongs to; none where that side lacks it. Several
    where it may be any of them: what holds for all of them holds, the rest is unknown."""
    new: tuple[str, ...]
    whole: str = ""
    """The workload that it is a part of, where only one side tells the parts apart."""
    addresses: AddressRange | None = None

    @property
    def appeared(self) -> bool:
        """Whether it is a workload or node that only the new side has."""
        return not self.old and self.peer.kind not in {EXTERNAL, DOMAIN}

    @property
    def disappeared(self) -> bool:
        """Whether it is a workload or node that only the old side has."""
        return not self.new and self.peer.kind not in {EXTERNAL, DOMAIN}


def refine(old: Connectivity, new: Connectivity) -> tuple[list[Atom], list[str]]:
    """Return the atoms of two answers, and what a reader must know of them."""
    notes: list[str] = []
    atoms = _outside(_ranges(old), _ranges(new))
    olds, news = _by_identity(old), _by_identity(new)
    for key in sorted(olds.keys() | news.keys()):
        before, now = olds.get(key, {}), news.get(key, {})
        if key[0] == DOMAIN:
            peer = next(iter((now or before).values()))
            sides = [
                (peer.name,) if known else tuple(_ranges(answer).values())
                for known, answer in ((before, old), (now, new))
            ]
            atoms.append(Atom(peer, sides[0], sides[1]))
        else:
            atoms += _workload(before, now, notes)
    return atoms, notes


def _ranges(answer: Connectivity) -> dict[AddressRange, str]:
    parsed = ((parse_range(p.name), p.name) for p in answer.endpoints if p.kind == EXTERNAL)
    return {part: name for part, name in parsed if part}


def _outside(old: Mapping[AddressRange, str], new: Mapping[AddressRange, str]) -> list[Atom]:
    """Return the outside's addresses, cut at the ends of both sides' ranges."""
    atoms = []
    for family in (4, 6):
        parts = [part for part in (*old, *new) if part.family == family]
        starts = sorted({part.first for part in parts} | {part.last + 1 for part in parts})
        sides = [sorted(part for part in side if part.family == family) for side in (old, new)]
        for first, after in pairwise(starts):
            cell = AddressRange(family, first, after - 1)
            names: list[tuple[str, ...]] = []
            for side, by_range in zip(sides, (old, new), strict=True):
                while side and side[0].last < first:
                    side.pop(0)
                here = side and side[0].first <= first
                names.append((by_range[side[0]],) if here else ())
            if any(names):
                peer = Peer(str(cell), EXTERNAL)
                atoms.append(Atom(peer, names[0], names[1], addresses=cell))
    return atoms


Identity = tuple[str, str, str]
"""Kind, namespace and name: the same on both sides, however ambiguous a name is on one."""


def _by_identity(answer: Connectivity) -> dict[Identity, dict[str, Peer]]:
    """Return the peers other than addresses by what they are, then by part (empty: whole)."""
    found: dict[Identity, dict[str, Peer]] = defaultdict(dict)
    for peer in answer.endpoints:
        if peer.kind == EXTERNAL:
            continue
        base, bracket, part = peer.name.partition("[")
        namespace, _, name = base.partition("/")
        if peer.kind not in {DOMAIN, NODE}:
            name = name.removeprefix(f"{peer.kind}/")
        found[peer.kind, namespace, name][bracket + part] = peer
    return found


def _workload(before: dict[str, Peer], now: dict[str, Peer], notes: list[str]) -> list[Atom]:
    """Return a workload or node in the parts that either side tells apart."""
    if not before or not now or before.keys() == now.keys():
        return [
            Atom(
                peer,
                (before[part].name,) if part in before else (),
                (now[part].name,) if part in now else (),
            )
            for part, peer in (now or before).items()
        ]
    if "" in before:
        whole = before[""].name
        return [Atom(part, (whole,), (part.name,), whole) for part in now.values()]
    if "" in now:
        whole = now[""].name
        return [Atom(part, (part.name,), (whole,), whole) for part in before.values()]
    some = next(iter(now.values()))
    whole = some.name.partition("[")[0]
    notes.append(
        f"the two sides tell the pods of `{whole}` apart in different ways: what not all of them "
        "may do counts as unknown"
    )
    olds, news = (tuple(p.name for p in side.values()) for side in (before, now))
    return [Atom(Peer(whole, some.kind), olds, news)]


class Side:
    """One answer, told in atoms."""

    def __init__(self, answer: Connectivity, names: Sequence[tuple[str, ...]]) -> None:
        """Index the answer's pairs.

        Args:
            answer: the answer.
            names: per atom, the names of the answer's peers that it belongs to.
        """
        self._pairs = answer.connections
        self._names = names
        self._atoms: dict[str, list[int]] = defaultdict(list)
        for atom, peers in enumerate(names):
            for peer in peers:
                self._atoms[peer].append(atom)
        self.undecided: dict[str, None] = {}
        """Why it could not be told what some peers have in common."""
        self._rows: dict[str, tuple[int, int]] = {}
        first = 0
        for number, pair in enumerate(answer.connections):
            if number and pair.source != answer.connections[number - 1].source:
                self._rows[answer.connections[number - 1].source] = (first, number)
                first = number
        if answer.connections:
            self._rows[answer.connections[-1].source] = (first, len(answer.connections))

    def row(self, atom: int) -> dict[int, Written]:
        """Return what an atom may send, by destination; what may be nothing is left out."""
        rows = [self._one_row(peer) for peer in self._names[atom]]
        if len(rows) == 1:
            return rows[0]
        return {
            destination: self._any_of([row.get(destination, NONE) for row in rows])
            for destination in dict.fromkeys(d for row in rows for d in row)
        }

    def _one_row(self, source: str) -> dict[int, Written]:
        first, last = self._rows.get(source, (0, 0))
        row: dict[int, Written] = {}
        shared: dict[int, list[Pair]] = defaultdict(list)
        for pair in self._pairs[first:last]:
            for atom in self._atoms[pair.destination]:
                if len(self._names[atom]) == 1:
                    row[atom] = (pair.allow, pair.unknown)
                else:
                    shared[atom].append(pair)
        for atom, pairs in shared.items():
            missing = len(self._names[atom]) - len(pairs)
            row[atom] = self._any_of([*((p.allow, p.unknown) for p in pairs), *[NONE] * missing])
        return row

    def _any_of(self, choices: Iterable[Written]) -> Written:
        """Return what holds for all choices as allowed, and what does not as unknown."""
        listed = list(choices)
        certain: TrafficSet | None = None
        possible = NOTHING
        try:
            for allow, unknown in listed:
                allowed = TrafficSet.of(allow)
                certain = allowed if certain is None else certain & allowed
                possible = possible | allowed | TrafficSet.of(unknown)
            certain = certain or NOTHING
            return certain.allowances(), (possible - certain).allowances()
        except Undecidable as reason:
            self.undecided[f"what several peers have in common cannot be told: {reason}"] = None
            return (), tuple(dict.fromkeys(a for sides in listed for side in sides for a in side))
