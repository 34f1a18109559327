"""What differs between two answers, in connections: gained, lost, become unknown or settled.

Both sides are told in the same peers first, the coarsest that either tells apart; what changed
alike is joined again afterwards.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from ringfence.layer7.undecidable import Undecidable
from ringfence.model.connectivity import Allowance, Connectivity, Peer
from ringfence.model.diff import Change, Diff
from ringfence.model.outside import AddressRange, merge
from ringfence.questions.limits import Limit, difference, intersection
from ringfence.questions.refinement import DOMAIN, EXTERNAL, NODE, NONE, Atom, Side, Written, refine
from ringfence.questions.traffic_sets import Choice, TrafficSet, overlay

UNDECIDED = "whether what is said above a port changed cannot be told: {}"
_CACHED = 1 << 14
Found = tuple[int, int, Change]
"""Two atoms, and what changed between them; the change's own ends are empty."""


def diff(old: Connectivity, new: Connectivity) -> Diff:
    """Return what differs between two answers of `connectivity`.

    Nodes are told apart only where a policy names nodes: ask both sides with `nodes=True` where
    only one does, or they seem to have appeared.
    """
    atoms, notes = refine(old, new)
    before = Side(old, [atom.old for atom in atoms])
    now = Side(new, [atom.new for atom in atoms])
    changes: list[Found] = []
    of_appeared: list[Found] = []
    of_disappeared: list[Found] = []
    comparisons = _Comparisons()
    compared = comparisons.of
    appeared = [atom.appeared for atom in atoms]
    disappeared = [atom.disappeared for atom in atoms]
    for source in range(len(atoms)):
        was, became = before.row(source), now.row(source)
        for destination in was.keys() | became.keys():
            sides = was.get(destination, NONE), became.get(destination, NONE)
            change = compared(*sides)
            if change is None:
                continue
            if appeared[source] or appeared[destination]:
                of_appeared.append((source, destination, change))
            elif disappeared[source] or disappeared[destination]:
                of_disappeared.append((source, destination, change))
            else:
                changes.append((source, destination, change))
    return Diff(
        old_profile=old.profile,
        profile=new.profile,
        endpoints=_sorted(a.peer for a in atoms if not (a.appeared or a.disappeared)),
        appeared=_only([a.peer for a in atoms if a.appeared], new.namespace),
        disappeared=_only([a.peer for a in atoms if a.disappeared], old.namespace),
        changes=_joined(changes, atoms),
        of_appeared=_joined(of_appeared, atoms),
        of_disappeared=_joined(of_disappeared, atoms),
        unknown_because=(
            *_both(old.unknown_because, new.unknown_because),
            *dict.fromkeys((*before.undecided, *now.undecided, *comparisons.undecided)),
        ),
        notes=(*notes, *_both(old.notes, new.notes)),
        problems=tuple(dict.fromkeys((*old.problems, *new.problems))),
    )


def _only(peers: Sequence[Peer], namespace: str | None) -> tuple[Peer, ...]:
    """Return those of a namespace, if one is meant."""
    return _sorted(p for p in peers if not namespace or p.name.startswith(f"{namespace}/"))


def _sorted(peers: Iterable[Peer]) -> tuple[Peer, ...]:
    """Return workloads first, then nodes, then the outside."""
    kinds = {NODE: 1, EXTERNAL: 2, DOMAIN: 2}
    return tuple(sorted(peers, key=lambda peer: (kinds.get(peer.kind, 0), peer.name)))


def _both(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return the sentences of both sides; those of one side alone with its name before them."""
    return (
        *(text for text in new if text in old),
        *(f"before: {text}" for text in old if text not in new),
        *(f"now: {text}" for text in new if text not in old),
    )


class _Comparisons:
    """Remembers what changed between traffic and traffic: of a million pairs, most are alike."""

    def __init__(self) -> None:
        # The traffic compared is kept, so that an `id` never comes to mean another.
        self._known: dict[tuple[int, ...], tuple[Written, Written, Change | None]] = {}
        self.undecided: dict[str, None] = {}
        """Why some traffic could not be compared."""

    def of(self, old: Written, new: Written) -> Change | None:
        """Return the change of a pair, its ends still empty; None where nothing changed."""
        key = (id(old[0]), id(old[1]), id(new[0]), id(new[1]))
        found = self._known.get(key)
        if found is None:
            change, reasons = _compare(*old, *new)
            self.undecided |= dict.fromkeys(reasons)
            found = self._known[key] = (old, new, change)
        return found[2]


@lru_cache(_CACHED)
def _compare(
    allowed: tuple[Allowance, ...],
    unknown: tuple[Allowance, ...],
    now_allowed: tuple[Allowance, ...],
    now_unknown: tuple[Allowance, ...],
) -> tuple[Change | None, tuple[str, ...]]:
    """Return the change of a pair, its ends still empty, and what of it cannot be told.

    The change is None where nothing changed. What cannot be compared counts as become unknown.
    """
    if (allowed, unknown) == (now_allowed, now_unknown):
        return None, ()
    undecided: dict[str, None] = {}
    four = (allowed, unknown, now_allowed, now_unknown)
    try:
        sets = [TrafficSet.of(each) for each in four]
    except Undecidable as reason:
        change = Change("", "", became_unknown=now_allowed or allowed, before=allowed)
        return msgspec.structs.replace(change, now=now_allowed), (UNDECIDED.format(reason),)

    def rule(choice: Choice) -> Choice:
        try:
            return _changed(*choice)
        except Undecidable as reason:
            undecided[UNDECIDED.format(reason)] = None
            return None, None, choice[2] or choice[0] or choice[3] or choice[1], None, None

    found = overlay(sets, 5, rule)
    if not any(found):
        return None, ()
    gained, lost, became_unknown, became_allowed, became_denied = found
    change = Change(
        "",
        "",
        gained=gained.allowances(),
        lost=lost.allowances(),
        became_unknown=became_unknown.allowances(),
        became_allowed=became_allowed.allowances(),
        became_denied=became_denied.allowances(),
        before=sets[0].allowances(),
        now=sets[2].allowances(),
    )
    return change, tuple(undecided)


def _changed(
    a0: Limit | None, u0: Limit | None, a1: Limit | None, u1: Limit | None
) -> tuple[Limit | None, ...]:
    """Return what changed on one port, as the fields of a `Change` are ordered.

    Args:
        a0: what was allowed.
        u0: what was unknown.
        a1: what is allowed.
        u1: what is unknown.

    Raises:
        Undecidable: it cannot be told, or not be written.
    """
    if (a0, u0) == (a1, u1):
        return (None,) * 5
    u0, u1 = difference(u0, a0), difference(u1, a1)
    return (
        difference(difference(a1, a0), u0),
        difference(difference(a0, a1), u1),
        difference(u1, u0),
        intersection(u0, a1),
        difference(difference(u0, a1), u1),
    )


# -- joining what changed alike --------------------------------------------------------------

End = str | AddressRange
Row = tuple[End, End, Change]


def _joined(found: Sequence[Found], atoms: Sequence[Atom]) -> tuple[Change, ...]:
    """Return changes by name, those of a workload's parts and of adjacent ranges joined."""
    parts: dict[str, set[str]] = defaultdict(set)
    whole: dict[str, str] = {}
    for atom in atoms:
        if atom.whole:
            parts[atom.whole].add(atom.peer.name)
            whole[atom.peer.name] = atom.whole
    ends: list[End] = [atom.addresses or atom.peer.name for atom in atoms]
    rows: list[Row] = [(ends[source], ends[other], change) for source, other, change in found]
    for side in (0, 1) if whole else ():
        rows = _join_parts(rows, side, parts, whole)
    for side in (0, 1):
        rows = _join_ranges(rows, side)
    changes = (
        msgspec.structs.replace(change, source=str(source), destination=str(destination))
        for source, destination, change in rows
    )
    return tuple(sorted(changes, key=lambda change: (change.source, change.destination)))


def _join_parts(
    rows: Sequence[Row], side: int, parts: dict[str, set[str]], whole: dict[str, str]
) -> list[Row]:
    """Return the rows with a workload's name where all of its parts changed alike."""
    joined: list[Row] = []
    alike: dict[tuple[str, End, Change], list[str]] = defaultdict(list)
    for row in rows:
        end, other = row[:2] if side == 0 else (row[1], row[0])
        if isinstance(end, str) and end in whole:
            alike[whole[end], other, row[2]].append(end)
        else:
            joined.append(row)
    for (name, other, change), found in alike.items():
        names = [name] if parts[name] == set(found) else found
        joined += [_row(end, other, change, side) for end in names]
    return joined


def _join_ranges(rows: Sequence[Row], side: int) -> list[Row]:
    """Return the rows with as few ranges as possible."""
    joined: list[Row] = []
    alike: dict[tuple[End, Change], list[AddressRange]] = defaultdict(list)
    for row in rows:
        end, other = row[:2] if side == 0 else (row[1], row[0])
        if isinstance(end, AddressRange):
            alike[other, row[2]].append(end)
        else:
            joined.append(row)
    for (other, change), ranges in alike.items():
        joined += [_row(part, other, change, side) for part in merge(ranges)]
    return joined


def _row(end: End, other: End, change: Change, side: int) -> Row:
    return (end, other, change) if side == 0 else (other, end, change)
