"""A diff as text: the headline, then what was gained and lost, in as few lines as possible."""

from collections.abc import Iterator, Sequence

from ringfence.model.diff import Diff
from ringfence.outputs import Style
from ringfence.outputs._changes import Kind, Part, headline, newly_exposed, parts
from ringfence.outputs._condense import say
from ringfence.outputs._layout import Paint, painted, paragraphs, table
from ringfence.outputs._peers import Group, Peers
from ringfence.outputs._text_connectivity import MOST_LINES, names, profile_text
from ringfence.outputs._words import count, encoded

PAINTS = {Kind.GAINED: Paint.GREEN, Kind.LOST: Paint.RED}


def diff_text(diff: Diff, style: Style) -> Iterator[bytes]:
    """Yield the headline, then the changes."""
    return encoded(_lines(diff, style))


def _lines(diff: Diff, style: Style) -> Iterator[str]:
    yield f"{painted('DIFF', Paint.BOLD, style)}  {profile_text(diff.profile)}"
    if diff.old_profile.cni != diff.profile.cni:
        yield f"before: {profile_text(diff.old_profile)}"
    told = parts(diff)
    yield f"  {headline(diff, told)}"
    if exposed := newly_exposed(diff):
        text = f"outside addresses may now send more to {', '.join(exposed[:8])}"
        more = f" and {len(exposed) - 8:,} more" if len(exposed) > 8 else ""
        yield "  " + painted(text + more, Paint.YELLOW, style)
    for title, peers in (("APPEARED", diff.appeared), ("DISAPPEARED", diff.disappeared)):
        if peers:
            rows = [[f"{title:11}", names(_plain(Peers(peers)))]]
            yield from list(table(["", ""], rows, style))[1:]
    for part in told:
        yield ""
        yield from _part(part, style)
    yield from paragraphs("UNKNOWN BECAUSE", diff.unknown_because, style)
    yield from paragraphs("NOTES", diff.notes, style)
    yield from paragraphs("COULD NOT BE READ", [str(p) for p in diff.problems], style)


def _plain(peers: Peers) -> Sequence[Group]:
    return [peers.single(number) for number in range(len(peers.all))]


def _part(part: Part, style: Style) -> Iterator[str]:
    rows: list[list[str]] = []
    cut = 0
    for section in part.sections:
        widest = sorted(section.blocks, key=lambda b: len(b[0]) * len(b[1]), reverse=True)
        kept = set(widest[: max(MOST_LINES - len(rows), 0)])
        cut += len(section.blocks) - len(kept)
        for block in section.blocks:
            if block in kept:
                sources, destinations = say(block[0], block[1], part.peers)
                words = section.words[block[2]]
                rows.append([section.kind, names(sources), "→", names(destinations), words])
    lines = list(table(["", "FROM", "", "TO", "TRAFFIC"], rows, style))
    if part.title:
        yield painted(part.title, Paint.BOLD, style)
    yield from _coloured(lines, style)
    if cut:
        yield f"and {count(cut, 'narrower line')}: see `-o json`"


def _coloured(lines: Sequence[str], style: Style) -> Iterator[str]:
    """Yield lines in the colour of their sign, those that a wrapped cell goes on in too."""
    paint: Paint | None = None
    for line in lines:
        sign = line.split(" ", 1)[0]
        if sign:
            paint = next((PAINTS.get(kind) for kind in Kind if kind == sign), None)
        yield painted(line, paint, style) if paint else line
