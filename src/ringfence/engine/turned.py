"""What the destinations of one layer accept, turned round: per source, those that accept it.

For destinations whose policies end in a union of what they allow this is done peer by peer, because
a peer ("the monitoring namespace") is shared by many policies where their unions are not. What is
denied whatever the union allows is taken out of the result in the same way, and what decides before
both, which many destinations share, is laid over it.
"""

from collections import defaultdict
from collections.abc import Iterator

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.engine.endings import Ending, Endings, HeadRow
from ringfence.engine.pieces import Pieces, add, cut_out
from ringfence.engine.rows import Row, Rows
from ringfence.engine.rules import CompiledRule
from ringfence.engine.stack import Stack, Stacks
from ringfence.model.rule import Direction, Layer

BLOCK = 1024
"""Sources are worked through in blocks of so many, which bounds the memory."""

LARGE = 64
"""From so many members on, a set of sources is merged with the other large ones once."""

Decided = tuple[int, bool, bool, bool]
"""Some traffic of a source's, and whether it may be allowed, may be denied, may be left to what
comes after."""


class Turned:
    """The destinations of a layer, to be read by source."""

    def __init__(self, classes: Classes, stacks: Stacks, rows: Rows, endings: Endings) -> None:
        """Turn round what the destinations accept."""
        self._classes, self._stacks = classes, stacks
        self._rows, self._endings = rows, endings
        self._certain, self._perhaps = _Accepting(classes.count), _Accepting(classes.count)
        self._denied, self._maybe_denied = _Accepting(classes.count), _Accepting(classes.count)
        """What is taken out of what the unions accept."""
        self._governed: dict[tuple[HeadRow, ...], int] = defaultdict(int)
        """What the head of a stack says → the destinations that it says it of."""
        self._concerned: list[dict[Decided, int]] = [{} for _ in range(classes.count)]
        """Per source, what the heads decide of it → the destinations of which they do. Every
        destination has one head, the rows of which have no traffic in common."""
        whole: dict[tuple[Row, ...], list[int]] = defaultdict(list)
        for destination in range(classes.count):
            stack = self._stack_that_decides(destination)
            ending = stack and endings.of(stack)
            if stack and ending:
                self._add_union(destination, stack, ending)
            else:
                whole[rows.of(destination, Direction.INGRESS)].append(destination)
        for accepted, destinations in whole.items():
            accepting = bits.from_members(destinations)
            for mask, certain, possible in accepted:
                self._certain.add(mask, certain, accepting)
                self._perhaps.add(mask, possible & ~certain, accepting)

        for head, governed in self._governed.items():
            for mask, allowed, denied, undecided in head:
                for source in bits.members(allowed | denied):
                    decided = (
                        mask,
                        bool(allowed >> source & 1),
                        bool(denied >> source & 1),
                        bool(undecided >> source & 1),
                    )
                    concerned = self._concerned[source]
                    concerned[decided] = concerned.get(decided, 0) | governed

    def _stack_that_decides(self, destination: int) -> Stack | None:
        """Return the stack of a destination of which policies, and nothing else, decide."""
        stacks = self._stacks
        if not stacks.policed >> destination & 1 or stacks.inert:
            return None
        if not self._rows.is_settled(destination):
            return None
        return stacks.stack(destination, Direction.INGRESS)

    def _add_union(self, destination: int, stack: Stack, ending: Ending) -> None:
        classes, here = self._classes, 1 << destination
        self._add_rules(ending.tail, destination, self._certain, self._perhaps)
        self._add_rules(ending.denying, destination, self._denied, self._maybe_denied)
        if classes.icmp_is_open and self._stacks.layer is Layer.NETWORK:
            self._perhaps.add(classes.traffic.icmp, classes.everything, here)
        head = self._endings.head(destination, stack, ending)
        if any(allowed | denied for _, allowed, denied, _ in head):
            self._governed[head] |= here

    def _add_rules(
        self,
        rules: tuple[CompiledRule, ...],
        destination: int,
        certain: "_Accepting",
        perhaps: "_Accepting",
    ) -> None:
        """Add what rules of a destination match."""
        here = 1 << destination
        for rule in rules:
            applies = rule.applies(destination)
            if applies is False:
                continue
            for share in self._classes.shares.at(rule, destination):
                for peer in rule.peers:
                    found = peer.within(share.peers)
                    if applies:
                        certain.add(share.certain, found.certain, here)
                        perhaps.add(share.certain, found.perhaps, here)
                    else:
                        perhaps.add(share.certain, found.possible, here)
                    perhaps.add(share.perhaps, found.possible, here)

    def by_source(
        self, first: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, Pieces, Pieces]]:
        """Yield, for each class of sources in order, what accepts which of its traffic.

        Shape: triples of a class, what certainly accepts it, and what perhaps does; they must not
        be changed.

        Args:
            first: the first class of sources.
            end: the one behind the last; None: all.
        """
        end = self._classes.count if end is None else end
        for start in range(first, end, BLOCK):
            past = min(start + BLOCK, end)
            block = zip(
                range(start, past),
                self._certain.by_source(start, past),
                self._perhaps.by_source(start, past),
                self._denied.by_source(start, past),
                self._maybe_denied.by_source(start, past),
                strict=True,
            )
            for source, certain, perhaps, denied, maybe_denied in block:
                accepted = certain, perhaps
                if denied or maybe_denied:
                    accepted = _without(*accepted, denied, maybe_denied)
                if self._concerned[source]:
                    accepted = self._govern(source, *map(dict, accepted))
                yield source, *accepted

    def _govern(self, source: int, certain: Pieces, perhaps: Pieces) -> tuple[Pieces, Pieces]:
        """Lay what decides before over what the unions of the destinations accept."""
        concerned = self._concerned[source]
        for (mask, may_allow, may_deny, may_pass), destinations in concerned.items():
            if may_pass and may_allow and not may_deny:
                # Allowed here or further on: what the union denies is unknown.
                add(perhaps, mask, destinations)
                continue
            reached = cut_out(certain, mask, destinations)
            maybe = cut_out(perhaps, mask, destinations)
            if may_allow and not may_deny:
                add(certain, mask, destinations)
            elif may_allow:
                add(perhaps, mask, destinations)
            elif may_pass:
                # Denied here, or left to the union.
                for traffic, found in (*reached.items(), *maybe.items()):
                    add(perhaps, traffic, found)
        return certain, perhaps


class _Accepting:
    """Which destinations accept which traffic from which sources, to be read by source."""

    def __init__(self, count: int) -> None:
        """Begin with nothing accepted among so many classes."""
        self._count = count
        self._by_sources: dict[int, Pieces] = {}
        self._common: list[list[Pieces]] | None = None
        self._merged: dict[tuple[int, ...], Pieces] = {}

    def add(self, traffic: int, sources: int, destinations: int) -> None:
        """Let some destinations accept some traffic from some sources."""
        if sources and traffic:
            add(self._by_sources.setdefault(sources, {}), traffic, destinations)

    def by_source(self, start: int, past: int) -> list[Pieces]:
        """Return, for each source of a block, the destinations that accept it.

        Large sets of sources are few, and many sources lie in the same ones: what these accept
        is merged once for all of them. The result must not be changed.
        """
        if self._common is None:
            self._common = [[] for _ in range(self._count)]
            for sources, accepted in self._by_sources.items():
                if sources.bit_count() >= LARGE:
                    for source in bits.members(sources):
                        self._common[source].append(accepted)
        self._merged.clear()
        own: list[Pieces | None] = [None] * (past - start)
        window = (1 << (past - start)) - 1
        for sources, accepted in self._by_sources.items():
            if sources.bit_count() < LARGE and (seen := sources >> start & window):
                for index in bits.members(seen):
                    row = own[index]
                    if row is None:
                        row = own[index] = dict(self._shared(start + index))
                    for traffic, destinations in accepted.items():
                        row[traffic] = row.get(traffic, 0) | destinations
        return [
            self._shared(start + index) if row is None else row for index, row in enumerate(own)
        ]

    def _shared(self, source: int) -> Pieces:
        common = self._common[source] if self._common else []
        if len(common) == 1:
            return common[0]
        key = tuple(map(id, common))
        found = self._merged.get(key)
        if found is None:
            found = self._merged[key] = {}
            for accepted in common:
                for traffic, destinations in accepted.items():
                    found[traffic] = found.get(traffic, 0) | destinations
        return found


def _without(
    certain: Pieces, perhaps: Pieces, denied: Pieces, maybe_denied: Pieces
) -> tuple[Pieces, Pieces]:
    """Return what is accepted without what is denied; what may be denied is perhaps accepted."""
    certain, perhaps = dict(certain), dict(perhaps)
    for mask, destinations in denied.items():
        cut_out(certain, mask, destinations)
        cut_out(perhaps, mask, destinations)
    for mask, destinations in maybe_denied.items():
        for traffic, found in cut_out(certain, mask, destinations).items():
            add(perhaps, traffic, found)
    return certain, perhaps
