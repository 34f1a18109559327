"""Says all pairs of a cluster in as few lines as possible, without losing any.

A workload to itself and the outside to the outside are left out of an answer, so whatever a line
says of them is right: such pairs are filled in so that `anything → anything` is one line.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from ringfence.model.connectivity import Allowance, Connectivity, Pair
from ringfence.outputs._peers import Group, Peers, namespace_of

Traffic = tuple[tuple[Allowance, ...], tuple[Allowance, ...]]
"""What is allowed, and what is unknown."""


Cell = tuple[int, int, int]
"""Index of a source, of a destination, and a number from 1 for what is between them."""

Block = tuple[tuple[int, ...], tuple[int, ...], int]
"""Sources and destinations, ascending, and the number that each pair of them has."""


class Line(msgspec.Struct, frozen=True):
    """Every one of the sources may send every one of the destinations the same traffic."""

    sources: tuple[int, ...]
    """Indices of peers, ascending; so are the destinations."""
    destinations: tuple[int, ...]
    allow: tuple[Allowance, ...]
    unknown: tuple[Allowance, ...]


class Interned:
    """Numbers for the kinds of traffic of an answer, from 1; 0 is none at all.

    There are few kinds among a million pairs, and mostly the same objects.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.kinds: list[Traffic] = [((), ())]
        self._by_value: dict[Traffic, int] = {self.kinds[0]: 0}
        self._by_object: dict[tuple[int, int], int] = {}

    def number(self, pair: Pair) -> int:
        """Return the number of a pair's traffic.

        INVARIANT: the pairs outlive this object, so that an `id` never comes to mean another.
        """
        objects = (id(pair.allow), id(pair.unknown))
        number = self._by_object.get(objects)
        if number is None:
            value = (pair.allow, pair.unknown)
            number = self._by_value.setdefault(value, len(self.kinds))
            if number == len(self.kinds):
                self.kinds.append(value)
            self._by_object[objects] = number
        return number


def condense(connectivity: Connectivity, peers: Peers) -> list[Line]:
    """Return lines that say every pair exactly once, sorted by destinations, then sources."""
    interned = Interned()
    index = peers.index
    gathered = gather(
        (
            (index[pair.source], index[pair.destination], interned.number(pair))
            for pair in connectivity.connections
        ),
        peers,
    )
    return [
        Line(sources, destinations, *interned.kinds[number])
        for sources, destinations, number in gathered
    ]


def gather(cells: Iterable[Cell], peers: Peers) -> list[Block]:
    """Return blocks that hold every cell exactly once, sorted by destinations, then sources.

    The sources of a destination are taken with or without the peers whose cells are left out,
    as more of the other destinations have them.
    """
    sources_of = [array("l") for _ in peers.all]
    numbers_of = [array("l") for _ in peers.all]
    for source, destination, number in cells:
        sources_of[destination].append(source)
        numbers_of[destination].append(number)
    columns: list[tuple[int, int, bytes, bytes]] = []
    """Destination, number, and its sources: as they are, and with those left out."""
    times: Counter[tuple[int, bytes]] = Counter()
    favoured: set[tuple[int, int]] = set()
    for destination in range(len(peers.all)):
        sources, numbers = sources_of[destination], numbers_of[destination]
        if not sources:
            continue
        fill = peers.left_out(destination)
        favoured.add((destination, _own_number(destination, sources, numbers, fill, peers)))
        by_number: dict[int, list[int]] = {}
        for source, number in zip(sources, numbers, strict=True):
            by_number.setdefault(number, []).append(source)
        for number, found in by_number.items():
            plain, filled = _key(found), _key([*found, *fill])
            times.update({(number, plain), (number, filled)})
            columns.append((destination, number, plain, filled))
    together: dict[tuple[int, bytes], list[int]] = {}
    for destination, number, plain, filled in columns:
        own = (destination, number) in favoured
        choices = (
            [(number, filled), (number, plain)] if own else [(number, plain), (number, filled)]
        )
        together.setdefault(max(choices, key=times.__getitem__), []).append(destination)
    blocks = []
    for (number, key), destinations in together.items():
        sources = array("l")
        sources.frombytes(key)
        blocks.append((tuple(sources), tuple(destinations), number))
    return sorted(blocks, key=lambda block: (block[1], block[0]))


def _key(sources: list[int]) -> bytes:
    return array("l", sorted(sources)).tobytes()


def _own_number(
    destination: int,
    sources: Sequence[int],
    numbers: Sequence[int],
    left_out: Sequence[int],
    peers: Peers,
) -> int:
    """Return the number by which to fill in a peer's cells that the answer leaves out.

    That of its namespace's others where they agree, else that of more than half of all.
    """
    home = namespace_of(peers.all[destination])
    if home is not None:
        siblings = set(peers.namespaces[home]).difference(left_out)
        if len(siblings) > 1:
            found = dict(zip(sources, numbers, strict=True))
            kinds = {found.get(sibling, 0) for sibling in siblings}
            if len(kinds) == 1:
                return kinds.pop()
    number, times = Counter(numbers).most_common(1)[0]
    others = len(peers.all) - len(peers.domains) - len(left_out)
    return number if 2 * times > others else 0


def say(
    sources: tuple[int, ...], destinations: tuple[int, ...], peers: Peers
) -> tuple[list[Group], list[Group]]:
    """Return the shortest groups that name the sources and the destinations of a block."""
    return (
        _shortest(sources, destinations, peers, sources=True),
        _shortest(destinations, sources, peers, sources=False),
    )


def _shortest(
    members: tuple[int, ...], others: tuple[int, ...], peers: Peers, *, sources: bool
) -> list[Group]:
    """Return the groups that name one side of a line.

    Where the other side is a single peer, those that the answer leaves out may be counted in or
    left out on this side, whichever is shorter: a line about `shop/db` does not speak of
    `shop/db` to itself.
    """
    if len(others) > 1:
        return peers.describe(members, sources=sources)
    left_out = peers.left_out(others[0])
    choices = (
        peers.describe(set(members).difference(left_out), sources=sources),
        peers.describe({*members, *left_out}, sources=sources),
    )
    return min(choices, key=lambda choice: sum(1 + group.exceptions for group in choice))
