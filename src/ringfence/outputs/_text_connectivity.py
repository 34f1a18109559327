"""All pairs as text: what a person wants first, then every pair in as few lines as possible."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from ringfence.model.connectivity import Connectivity, OverMtls
from ringfence.model.profile import Cni, Profile
from ringfence.outputs import Style
from ringfence.outputs._condense import Line, condense, say
from ringfence.outputs._layout import Paint, bar, painted, paragraphs, table
from ringfence.outputs._peers import Group, Peers
from ringfence.outputs._summary import Openness, Summary, mtls_text, summarize
from ringfence.outputs._words import count, encoded, inert, pair_text, percent

MOST_LINES = 150
"""So many lines of pairs are printed; where there are more, only the widest openings."""
WIDEST_LINES = 20
"""So many of them are printed in that case, those that cover most pairs."""
MOST_NAMESPACES = 50
"""So many namespaces have a line of their own."""
MTLS: Final[dict[OverMtls | UnsetType, str]] = {True: "yes", False: "no", "both": "some"}
MOST_NAMES = 7
"""So many names stand in one cell before the rest is counted."""


def connectivity_text(connectivity: Connectivity, style: Style) -> Iterator[bytes]:
    """Yield the figures, then the pairs."""
    return encoded(_lines(connectivity, style))


def wide_text(connectivity: Connectivity, style: Style) -> Iterator[bytes]:  # noqa: ARG001
    """Yield every pair on a line of its own, with every column, nothing abbreviated."""
    return encoded(_wide_lines(connectivity))


def profile_text(profile: Profile) -> str:
    """Return which profile was used and why, in a few words."""
    why = {
        "given": "given",
        "detected": f"detected: {profile.evidence}" if profile.evidence else "detected",
    }.get(profile.chosen, "assumed: the input does not tell the CNI")
    version = f" {profile.version}" if profile.version else ""
    return f"profile {profile.cni}{version} ({why})"


def _lines(connectivity: Connectivity, style: Style) -> Iterator[str]:
    peers = Peers(connectivity.endpoints)
    summary = summarize(connectivity, peers)
    yield f"{painted('CONNECTIVITY', Paint.BOLD, style)}  {profile_text(connectivity.profile)}"
    if connectivity.profile.cni is Cni.NONE:
        yield painted("NOTHING ENFORCES POLICIES IN THIS CLUSTER", Paint.RED, style)
    yield ""
    yield "  " + _population(peers, summary)
    yield from _headline(summary, style)
    if summary.namespaces:
        yield ""
        yield from _namespace_table(summary, connectivity.namespace, style)
        yield ""
        yield from _openness("INGRESS", summary.ingress, peers, style)
        yield from _openness("EGRESS", summary.egress, peers, style)
    lines = condense(connectivity, peers)
    if lines:
        yield ""
        yield from _pairs(lines, peers, style)
    yield from paragraphs("UNKNOWN BECAUSE", connectivity.unknown_because, style)
    yield from paragraphs("NOTES", connectivity.notes, style)
    yield from paragraphs("COULD NOT BE READ", [str(p) for p in connectivity.problems], style)


def _population(peers: Peers, summary: Summary) -> str:
    parts = [
        f"{count(summary.workloads, 'workload')} in {count(len(peers.namespaces), 'namespace')}"
    ]
    if peers.nodes:
        parts.append(count(len(peers.nodes), "node"))
    if peers.ranges:
        parts.append(count(len(peers.ranges), "range") + " of outside addresses")
    if peers.domains:
        parts.append(count(len(peers.domains), "domain name"))
    return ", ".join(parts)


def _headline(summary: Summary, style: Style) -> Iterator[str]:
    if not summary.pairs:
        return
    share = percent(summary.open, summary.pairs)
    text = f"{summary.open:,} of {count(summary.pairs, 'pair')} of workloads are open ({share})"
    if summary.open:
        text += f", {summary.unlimited:,} of them for any traffic"
    paint = Paint.GREEN if 2 * summary.open <= summary.pairs else Paint.YELLOW
    yield "  " + painted(text, Paint.RED if summary.open == summary.pairs else paint, style)
    if told := mtls_text(summary):
        yield "  " + told
    if summary.unknown:
        doubt = f"{count(summary.unknown, 'pair')} with something unknown"
        yield "  " + painted(doubt, Paint.YELLOW, style)


def _namespace_table(summary: Summary, asked: str | None, style: Style) -> Iterator[str]:
    head = ["NAMESPACE", "WORKLOADS", "OPEN PAIRS INTO IT", "", "ANY", "FROM OUTSIDE", "TO OUTSIDE"]
    shown = sorted(
        summary.namespaces, key=lambda home: (-home.open / max(home.pairs, 1), home.name)
    )[:MOST_NAMESPACES]
    rows = [
        [
            inert(home.name),
            f"{home.workloads:,}",
            f"{bar(home.open, home.pairs)} {percent(home.open, home.pairs):>5}",
            f"{home.open:,} of {home.pairs:,}",
            f"{home.unlimited:,}",
            *(
                f"{number:,} of {home.workloads:,}" if asked in {None, home.name} else "-"
                for number in (home.from_outside, home.to_outside)
            ),
        ]
        for home in sorted(shown, key=lambda home: home.name)
    ]
    yield from table(head, rows, style, right=(1, 3, 4, 5, 6))
    if len(summary.namespaces) > len(shown):
        rest = len(summary.namespaces) - len(shown)
        yield f"and {count(rest, 'namespace')} with no larger share of open pairs"


def _openness(
    title: str, found: dict[Openness, list[int]], peers: Peers, style: Style
) -> Iterator[str]:
    """Yield how many workloads are open, limited or closed, and which the fewer ones are."""
    words = ", ".join(f"{len(numbers):,} {state}" for state, numbers in found.items() if numbers)
    yield f"{painted(title, Paint.BOLD, style)}  {words}"
    rows = [
        [state, names(peers.describe(numbers))]
        for state, numbers in found.items()
        if numbers and state is not Openness.OPEN
    ]
    if rows:
        yield from list(table(["", ""], rows, style, indent="  "))[1:]


def names(groups: Sequence[Group]) -> str:
    """Return groups as a list of words; beyond a few, the largest, and the rest counted."""
    shown, rest = foremost(groups)
    text = ", ".join(group.text for group in shown)
    return f"{text} and {rest:,} more" if rest else text


def foremost(groups: Sequence[Group]) -> tuple[list[Group], int]:
    """Return the groups to name, in their order, and how many peers are in the others."""
    if sum(1 + group.exceptions for group in groups) <= MOST_NAMES:
        return list(groups), 0
    shown: list[Group] = []
    room = MOST_NAMES - 1
    for group in sorted(groups, key=lambda group: -len(group.members)):
        if group.exceptions < room:
            shown.append(group)
            room -= 1 + group.exceptions
    rest = sum(len(group.members) for group in groups if group not in shown)
    return [group for group in groups if group in shown], rest


def _pairs(lines: Sequence[Line], peers: Peers, style: Style) -> Iterator[str]:
    if len(lines) <= MOST_LINES:
        rows = [[*_from_to(line, peers), _traffic(line)] for line in lines]
        yield from table(["FROM", "", "TO", "TRAFFIC"], rows, style)
        return
    widest = sorted(lines, key=_size, reverse=True)[:WIDEST_LINES]
    yield painted(f"THE WIDEST OPENINGS, {WIDEST_LINES} of {len(lines):,}", Paint.BOLD, style)
    rows = [[f"{_size(line):,}", *_from_to(line, peers), _traffic(line)] for line in widest]
    yield from table(["PAIRS", "FROM", "", "TO", "TRAFFIC"], rows, style, right=(0,))
    yield ""
    yield "All of them: one namespace at a time (`-n NAMESPACE`), as a page to click through"
    yield "(`-o html > report.html`), or pair by pair (`-o wide`, `-o json`)."


def _size(line: Line) -> int:
    return len(line.sources) * len(line.destinations)


def _from_to(line: Line, peers: Peers) -> list[str]:
    sources, destinations = say(line.sources, line.destinations, peers)
    return [names(sources), "→", names(destinations)]


def _traffic(line: Line) -> str:
    return pair_text(line.allow, line.unknown)


def _wide_lines(connectivity: Connectivity) -> Iterator[str]:
    kinds = {peer.name: peer.kind for peer in connectivity.endpoints}
    name = max((len(inert(peer)) for peer in kinds), default=0)
    kind = max(map(len, kinds.values()), default=0)
    name, kind = max(name, 4), max(kind, 9)
    layered = any(pair.mtls is not UNSET for pair in connectivity.connections)
    head = f"{'FROM':{name}}  {'FROM-KIND':{kind}}  {'TO':{name}}  {'TO-KIND':{kind}}  "
    yield head + ("MTLS  TRAFFIC" if layered else "TRAFFIC")
    words: dict[tuple[int, int], str] = {}
    for pair in connectivity.connections:
        key = (id(pair.allow), id(pair.unknown))
        traffic = words.get(key)
        if traffic is None:
            traffic = words[key] = pair_text(pair.allow, pair.unknown)
        mtls = f"{MTLS.get(pair.mtls, ''):4}  " if layered else ""
        yield (
            f"{inert(pair.source):{name}}  {kinds[pair.source]:{kind}}  "
            f"{inert(pair.destination):{name}}  {kinds[pair.destination]:{kind}}  {mtls}{traffic}"
        )
    if connectivity.warnings:
        yield ""
        yield "WARNINGS"
        for warning in connectivity.warnings:
            yield f"  {inert(warning.object)}: {inert(warning.message)}  ({warning.location})"
            yield f"    shown by {inert(warning.shown_by)}"
