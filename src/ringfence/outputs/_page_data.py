"""What the page knows: peers in groups, and the rows of the matrix, equal rows only once."""

from array import array

import msgspec

from ringfence.model.connectivity import Connectivity, Peer
from ringfence.outputs._condense import Interned, Line, condense, say
from ringfence.outputs._peers import Peers, namespace_of
from ringfence.outputs._summary import mtls_text, summarize
from ringfence.outputs._text_connectivity import names, profile_text
from ringfence.outputs._words import is_any, pair_text

MOST_LINES = 1_000
"""More lines than this are left out of the page: nobody reads them."""
MOST_NAMES = 200
"""So many names on one side of a line can be searched for."""


class PageProfile(msgspec.Struct):
    """The profile in the words of the page."""

    cni: str
    why: str


class PageSummary(msgspec.Struct):
    """The figures at the top."""

    workloads: int
    pairs: int
    open: int
    any: int
    unknown: int
    from_outside: int
    to_outside: int


class PageData(msgspec.Struct):
    """The whole answer in the page's own form."""

    profile: PageProfile
    summary: PageSummary
    peers: list[tuple[str, str, str]]
    """Name, kind, and name as people write it (`10.0.0.0/8`); those of a group together."""
    groups: list[tuple[str, str, int, int]]
    """Name, kind (`namespace`, `nodes`, `outside`), first peer, number of peers."""
    traffic: list[tuple[str, bool, bool, bool]]
    """In words; whether any traffic, some traffic is allowed; whether something is unknown."""
    rows: list[list[int]]
    """Distinct rows of the matrix as runs: first destination, how many, index into `traffic`."""
    row_of: list[int]
    """Index into `rows`, per source."""
    lines: list[tuple[str, str, str, bool, str]]
    """Sources, destinations, traffic; whether that is any; all names, to search in."""
    line_count: int
    namespace: str | None
    """Only pairs with this namespace are told; None for all."""
    policed: bool
    """Whether policies decide about nodes, so that their pairs with the outside are told."""
    notes: tuple[str, ...]
    unknown_because: tuple[str, ...]
    problems: list[str]


def page_data(connectivity: Connectivity) -> PageData:
    """Return what the page needs of an answer."""
    peers = Peers(connectivity.endpoints)
    summary = summarize(connectivity, peers)
    groups: list[tuple[str, str, int, int]] = []
    order: list[int] = []
    for name, kind, members in (
        *((namespace, "namespace", inside) for namespace, inside in peers.namespaces.items()),
        ("(nodes)", "nodes", peers.nodes),
        ("(outside)", "outside", [*peers.ranges, *peers.domains]),
    ):
        if members:
            groups.append((name, kind, len(order), len(members)))
            order += members
    interned = Interned()
    rows, row_of = _rows(connectivity, [peers.all[number] for number in order], interned)
    lines = condense(connectivity, peers)
    return PageData(
        profile=PageProfile(
            connectivity.profile.cni.value,
            profile_text(connectivity.profile).partition("(")[2].removesuffix(")"),
        ),
        summary=PageSummary(
            summary.workloads,
            summary.pairs,
            summary.open,
            summary.unlimited,
            summary.unknown,
            sum(home.from_outside for home in summary.namespaces),
            sum(home.to_outside for home in summary.namespaces),
        ),
        peers=[
            (peers.all[number].name, peers.all[number].kind, peers.single(number).text)
            for number in order
        ],
        groups=groups,
        traffic=[
            (pair_text(allow, unknown), is_any(allow), bool(allow), bool(unknown))
            for allow, unknown in interned.kinds
        ],
        rows=rows,
        row_of=row_of,
        lines=[_line(line, peers) for line in (lines if len(lines) <= MOST_LINES else [])],
        line_count=len(lines),
        namespace=connectivity.namespace,
        policed=connectivity.namespace is None and any(p.policed for p in peers.all),
        notes=(*filter(None, [mtls_text(summary)]), *connectivity.notes),
        unknown_because=connectivity.unknown_because,
        problems=[str(problem) for problem in connectivity.problems],
    )


def _line(line: Line, peers: Peers) -> tuple[str, str, str, bool, str]:
    sides = say(line.sources, line.destinations, peers)
    every = " ".join(group.text for side in sides for group in side[:MOST_NAMES])
    sources, destinations = map(names, sides)
    traffic = pair_text(line.allow, line.unknown)
    return sources, destinations, traffic, is_any(line.allow), every


def _rows(
    connectivity: Connectivity, peers: list[Peer], interned: Interned
) -> tuple[list[list[int]], list[int]]:
    """Return the distinct rows as runs, and which of them each peer has."""
    place = {peer.name: number for number, peer in enumerate(peers)}
    found: dict[bytes, int] = {}
    rows: list[list[int]] = []
    row_of = [0] * len(peers)
    cells = [array("l") for _ in peers]
    for pair in connectivity.connections:
        cells[place[pair.source]].extend((place[pair.destination], interned.number(pair)))
    for source, flat in enumerate(cells):
        row = array("l", [0]) * len(peers)
        for index in range(0, len(flat), 2):
            row[flat[index]] = flat[index + 1]
        if namespace_of(peers[source]) is not None:
            # The page leaves a workload to itself out, whatever stands here: what its neighbour
            # has makes runs longer, and rows equal.
            before, after = row[source - 1] if source else 0, row[(source + 1) % len(row)]
            row[source] = before or after
        key = row.tobytes()
        if key not in found:
            found[key] = len(rows)
            rows.append(_runs(row))
        row_of[source] = found[key]
    return rows, row_of


def _runs(row: "array[int]") -> list[int]:
    runs: list[int] = []
    for destination, number in enumerate(row):
        if not number:
            continue
        if runs and runs[-1] == number and runs[-3] + runs[-2] == destination:
            runs[-2] += 1
        else:
            runs += (destination, 1, number)
    return runs
