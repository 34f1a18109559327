"""All pairs as Markdown: figures, a table of namespaces, and the pairs in few lines."""

from collections.abc import Iterator

from ringfence.model.connectivity import Connectivity
from ringfence.outputs import Style
from ringfence.outputs._condense import Line, condense, say
from ringfence.outputs._marks import bullets, code, fold_if_long, prose, table
from ringfence.outputs._peers import Group, GroupKind, Peers
from ringfence.outputs._summary import mtls_text, summarize
from ringfence.outputs._text_connectivity import MOST_LINES, foremost, profile_text
from ringfence.outputs._words import count, encoded, pair_text, percent


def connectivity_markdown(connectivity: Connectivity, style: Style) -> Iterator[bytes]:  # noqa: ARG001
    """Yield the figures, then the pairs, as blocks with an empty line between them."""
    return encoded(f"{block}\n" for block in _blocks(connectivity))


def _blocks(connectivity: Connectivity) -> Iterator[str]:
    peers = Peers(connectivity.endpoints)
    summary = summarize(connectivity, peers)
    share = percent(summary.open, summary.pairs)
    yield f"### Connectivity: {share} of the pairs of workloads are open"
    yield (
        f"{count(summary.workloads, 'workload')} in {count(len(peers.namespaces), 'namespace')}; "
        f"{summary.open:,} of {count(summary.pairs, 'pair')} open, {summary.unlimited:,} of them "
        f"for any traffic; {prose(profile_text(connectivity.profile))}."
    )
    if told := mtls_text(summary):
        yield f"{told}."
    if summary.unknown:
        yield f"{count(summary.unknown, 'pair')} with something **unknown**."
    head = [
        "Namespace",
        "Workloads",
        "Open pairs into it",
        "",
        "Any traffic",
        "From outside",
        "To outside",
    ]
    yield table(
        head,
        [
            [
                code(home.name),
                f"{home.workloads:,}",
                percent(home.open, home.pairs),
                f"{home.open:,} of {home.pairs:,}",
                f"{home.unlimited:,}",
                f"{home.from_outside:,}",
                f"{home.to_outside:,}",
            ]
            for home in summary.namespaces
        ],
        right=range(1, 7),
    )
    lines = condense(connectivity, peers)
    if len(lines) > MOST_LINES:
        yield f"The pairs would take {len(lines):,} lines: see `-o html` or `-o json`."
    elif lines:
        pairs = table(["From", "To", "Traffic"], [_row(line, peers) for line in lines])
        yield fold_if_long("Pairs", pairs, len(lines))
    yield from bullets("Unknown because", connectivity.unknown_because)
    yield from bullets("Notes", connectivity.notes)
    yield from bullets("Could not be read", [str(p) for p in connectivity.problems])


def _row(line: Line, peers: Peers) -> list[str]:
    sources, destinations = say(line.sources, line.destinations, peers)
    return [names(sources), names(destinations), prose(pair_text(line.allow, line.unknown))]


def names(groups: list[Group]) -> str:
    """Return groups as a list: peers as code, words as words; beyond a few, the rest counted."""
    shown, rest = foremost(groups)
    general = {GroupKind.ANYTHING, GroupKind.WORKLOADS, GroupKind.NODES}
    text = ", ".join(
        f"*{prose(group.text)}*"
        if group.kind in general or group.text == "outside"
        else code(group.text)
        for group in shown
    )
    return f"{text} and {rest:,} more" if rest else text
