"""A diff in the form that people read: blocks of peers, a sign, and the traffic in words."""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import cache

import msgspec

from ringfence.model.connectivity import Allowance, Peer
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


def sections(changes: Sequence[Change], peers: Peers) -> Iterator[Section]:
    """Yield what changed, kind by kind; kinds without a change are left out."""
    numbers = cache(peers.numbers)
    for kind in Kind:
        words: list[str] = [""]
        known: dict[str, int] = {}
        cells = []
        pairs = 0
        for change in changes:
            text = _words(kind, change)
            if not text:
                continue
            pairs += 1
            number = known.setdefault(text, len(words))
            if number == len(words):
                words.append(text)
            cells += [
                (source, destination, number)
                for source in numbers(change.source)
                for destination in numbers(change.destination)
            ]
        if cells:
            yield Section(kind, pairs, gather(cells, peers), words)


def _words(kind: Kind, change: Change) -> str:
    """Return the traffic that changed in one way; empty where none did."""
    if kind is Kind.GAINED:
        if change.gained and change.before and is_any(change.now):
            return f"any (before: {traffic_text(change.before)})"
        return traffic_text(change.gained)
    if kind is Kind.LOST:
        if change.lost and is_any(change.before) and change.now and not change.became_unknown:
            return f"any (left: {traffic_text(change.now)})"
        return traffic_text(change.lost)
    chosen: dict[Kind, Callable[[Change], tuple[Allowance, ...]]] = {
        Kind.BECAME_UNKNOWN: lambda c: c.became_unknown,
        Kind.BECAME_ALLOWED: lambda c: c.became_allowed,
        Kind.BECAME_DENIED: lambda c: c.became_denied,
    }
    return traffic_text(chosen[kind](change))


class Part(msgspec.Struct):
    """A part of the diff with the peers among which its changes lie."""

    title: str
    peers: Peers
    sections: list[Section]


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


def headline(diff: Diff) -> str:
    """Return the whole diff in one line."""
    if diff.empty:
        return "no connection changed"
    words = [
        f"{sum(1 for c in diff.changes if _words(kind, c)):,} {TITLES[kind]}"
        for kind in Kind
        if kind in {Kind.GAINED, Kind.LOST} or any(_words(kind, c) for c in diff.changes)
    ]
    text = f"connections: {', '.join(words)}"
    for peers, verb in ((diff.appeared, "appeared"), (diff.disappeared, "disappeared")):
        if peers:
            text += f"; {count(len({workload_of(p) for p in peers}), 'workload')} {verb}"
    return text


def newly_exposed(diff: Diff) -> list[str]:
    """Return the workloads that outside addresses may now send what they could not before."""
    return sorted(
        {
            change.destination
            for change in (*diff.changes, *diff.of_appeared)
            if (change.gained or change.became_allowed) and parse_range(change.source)
        }
    )
