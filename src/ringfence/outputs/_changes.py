"""A diff in the form that people read: blocks of peers, a sign, and the traffic in words."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cache

import msgspec

from ringfence.model.connectivity import Peer
from ringfence.model.diff import Change, Diff
from ringfence.model.outside import parse_range
from ringfence.outputs._condense import Block, gather
from ringfence.outputs._peers import Peers, workload_of
from ringfence.outputs._words import count, is_any, traffic_text


class Kind(StrEnum):
    """How traffic changed; the value is the sign that stands before it."""

    GAINED = "+"
    LOST = "-"
    BECAME_UNKNOWN = "?"
    BECAME_ALLOWED = "?+"
    BECAME_DENIED = "?-"


TITLES = {
    Kind.GAINED: "gained",
    Kind.LOST: "lost",
    Kind.BECAME_UNKNOWN: "became unknown",
    Kind.BECAME_ALLOWED: "unknown before, now allowed",
    Kind.BECAME_DENIED: "unknown before, now denied",
}


class Section(msgspec.Struct):
    """Changes of one kind, in as few blocks as possible."""

    kind: Kind
    pairs: int
    """How many pairs changed in this way."""
    blocks: list[Block]
    """Their numbers are indices into `words`."""
    words: list[str]


class Part(msgspec.Struct):
    """A part of the diff with the peers among which its changes lie."""

    title: str
    peers: Peers
    sections: list[Section]


def sections(changes: Sequence[Change], peers: Peers) -> Iterator[Section]:
    """Yield what changed, kind by kind; kinds without a change are left out."""
    numbers = cache(peers.numbers)
    told = [(change, words) for change, words in zip(changes, _told(changes), strict=True)]
    for kind in Kind:
        known = {"": 0}
        cells = []
        pairs = 0
        for change, words in told:
            text = words.get(kind)
            if not text:
                continue
            pairs += 1
            number = known.setdefault(text, len(known))
            cells += [
                (source, destination, number)
                for source in numbers(change.source)
                for destination in numbers(change.destination)
            ]
        if cells:
            yield Section(kind, pairs, gather(cells, peers), list(known))


def _told(changes: Sequence[Change]) -> Iterator[dict[Kind, str]]:
    """Yield the traffic of each change in words, by kind; most changes share theirs."""
    known: dict[tuple[int, ...], dict[Kind, str]] = {}
    for change in changes:
        # The changes outlive this loop, so that an `id` never comes to mean another.
        parts = (change.gained, change.lost, change.became_unknown, change.before, change.now)
        rest = (change.became_allowed, change.became_denied)
        key = tuple(map(id, parts + rest))
        words = known.get(key)
        if words is None:
            words = known[key] = {kind: _words(kind, change) for kind in Kind}
        yield words


def _words(kind: Kind, change: Change) -> str:
    """Return the traffic that changed in one way; empty where none did."""
    match kind:
        case Kind.GAINED:
            if change.gained and change.before and is_any(change.now):
                return f"any (before: {traffic_text(change.before)})"
            return traffic_text(change.gained)
        case Kind.LOST:
            if change.lost and is_any(change.before) and change.now and not change.became_unknown:
                return f"any (left: {traffic_text(change.now)})"
            return traffic_text(change.lost)
        case Kind.BECAME_UNKNOWN:
            return traffic_text(change.became_unknown)
        case Kind.BECAME_ALLOWED:
            return traffic_text(change.became_allowed)
        case Kind.BECAME_DENIED:
            return traffic_text(change.became_denied)


def parts(diff: Diff) -> list[Part]:
    """Return the parts that hold any change: among what stayed, then with what came and went."""
    found = []
    for title, changes, endpoints in (
        ("", diff.changes, diff.endpoints),
        (
            f"with {count(len(diff.appeared), 'workload')} that appeared",
            diff.of_appeared,
            _sorted((*diff.endpoints, *diff.appeared)),
        ),
        (
            f"with {count(len(diff.disappeared), 'workload')} that disappeared",
            diff.of_disappeared,
            _sorted((*diff.endpoints, *diff.disappeared)),
        ),
    ):
        peers = Peers(endpoints)
        if changes:
            found.append(Part(title, peers, list(sections(changes, peers))))
    return found


def _sorted(peers: Sequence[Peer]) -> tuple[Peer, ...]:
    return tuple(sorted(peers, key=lambda peer: peer.name))


def headline(diff: Diff, told: Sequence[Part]) -> str:
    """Return the whole diff in one line.

    Args:
        diff: the diff.
        told: its parts.
    """
    if diff.empty:
        return "no connection changed"
    pairs = {s.kind: s.pairs for part in told if not part.title for s in part.sections}
    words = [
        f"{pairs.get(kind, 0):,} {TITLES[kind]}"
        for kind in Kind
        if kind in {Kind.GAINED, Kind.LOST} or kind in pairs
    ]
    text = f"connections: {', '.join(words)}"
    for peers, verb in ((diff.appeared, "appeared"), (diff.disappeared, "disappeared")):
        if peers:
            text += f"; {count(len({workload_of(p) for p in peers}), 'workload')} {verb}"
    return text


def newly_exposed(diff: Diff) -> list[str]:
    """Return the workloads that outside addresses may now send what they could not before."""
    is_range = cache(parse_range)
    return sorted(
        {
            change.destination
            for change in (*diff.changes, *diff.of_appeared)
            if (change.gained or change.became_allowed) and is_range(change.source)
        }
    )
