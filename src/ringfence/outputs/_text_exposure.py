"""An exposure as text: the ways in with what decides each, then the ways out."""

import textwrap
from collections.abc import Iterator

from ringfence.model.exposure import Exposure
from ringfence.model.verdict import Verdict
from ringfence.outputs import Style
from ringfence.outputs._layout import Paint, painted, paragraphs, table
from ringfence.outputs._peers import Peers
from ringfence.outputs._text_connectivity import names, profile_text
from ringfence.outputs._ways import WORDS, callers, headline, path, reasons, target, ways
from ringfence.outputs._words import encoded, inert

PAINTS = {Verdict.ALLOW: Paint.YELLOW, Verdict.UNKNOWN: Paint.YELLOW, Verdict.DENY: Paint.GREEN}


def exposure_text(exposure: Exposure, style: Style) -> Iterator[bytes]:
    """Yield the headline, the ways in, the ways out."""
    return encoded(_lines(exposure, style))


def _lines(exposure: Exposure, style: Style) -> Iterator[str]:
    yield f"{painted('EXPOSURE', Paint.BOLD, style)}  {profile_text(exposure.profile)}"
    yield f"  {headline(exposure)}"
    yield ""
    if exposure.entrances:
        yield from _ways_in(exposure, style)
    else:
        yield "Nothing in the input lets the outside in: no Ingress, route, NodePort, LoadBalancer,"
        yield "external IP or host network."
    peers = Peers((*exposure.workloads, *exposure.nodes))
    for title, passages in (
        ("MAY REACH THE OUTSIDE", exposure.exits),
        ("NOT EXPOSED, BUT OPEN TO OUTSIDE ADDRESSES", exposure.admitted),
    ):
        if passages:
            rows = [[names(w.workloads), w.outside, w.traffic] for w in ways(passages, peers)]
            yield ""
            yield painted(title, Paint.BOLD, style)
            yield from list(table(["", "", ""], rows, style, indent="  "))[1:]
    yield from paragraphs("UNKNOWN BECAUSE", exposure.unknown_because, style)
    yield from paragraphs("NOTES", exposure.notes, style)
    yield from paragraphs("COULD NOT BE READ", [str(p) for p in exposure.problems], style)


def _ways_in(exposure: Exposure, style: Style) -> Iterator[str]:
    told: list[str] = []
    rows = []
    for entrance in exposure.entrances:
        marks = []
        for reason in reasons(entrance):
            if reason not in told:
                told.append(reason)
            marks.append(f"[{told.index(reason) + 1}]")
        rows.append(
            [
                " ".join([WORDS[entrance.verdict], *marks]),
                inert(entrance.address),
                inert(path(entrance)),
                inert(target(entrance)),
                callers(entrance),
            ]
        )
    yield from table(["STATE", "ADDRESS", "THROUGH", "TO", "FROM"], rows, style)
    for number, reason in enumerate(told, 1):
        yield from textwrap.wrap(
            inert(reason),
            style.width,
            initial_indent=f"  [{number}] ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        )
