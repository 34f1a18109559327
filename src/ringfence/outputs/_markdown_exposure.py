"""An exposure as Markdown: a table of the ways in, one of the ways out."""

from collections.abc import Iterator

from ringfence.model.exposure import Exposure
from ringfence.outputs import Style
from ringfence.outputs._markdown_connectivity import names
from ringfence.outputs._marks import bullets, code, fold_if_long, prose, table
from ringfence.outputs._peers import Peers
from ringfence.outputs._text_connectivity import profile_text
from ringfence.outputs._ways import WORDS, callers, headline, path, reasons, target, ways
from ringfence.outputs._words import encoded


def exposure_markdown(exposure: Exposure, style: Style) -> Iterator[bytes]:  # noqa: ARG001
    """Yield the headline, the ways in, the ways out, with an empty line between them."""
    return encoded(f"{block}\n" for block in _blocks(exposure))


def _blocks(exposure: Exposure) -> Iterator[str]:
    yield f"### Exposure: {headline(exposure)}"
    yield f"Judged by {prose(profile_text(exposure.profile))}."
    if exposure.entrances:
        rows = [
            [
                f"**{WORDS[entrance.verdict]}**",
                code(entrance.address),
                code(path(entrance)),
                code(target(entrance)),
                prose(callers(entrance)),
                "<br>".join(map(prose, reasons(entrance))),
            ]
            for entrance in exposure.entrances
        ]
        head = ["State", "Address", "Through", "To", "From", "Because"]
        yield fold_if_long("Ways in", table(head, rows), len(rows))
    peers = Peers((*exposure.workloads, *exposure.nodes))
    for title, passages in (
        ("May reach the outside", exposure.exits),
        ("Not exposed, but open to outside addresses", exposure.admitted),
    ):
        if passages:
            found = ways(passages, peers)
            rows = [[names(w.workloads), prose(w.outside), prose(w.traffic)] for w in found]
            yield fold_if_long(title, table(["Workloads", "Outside", "Traffic"], rows), len(rows))
    yield from bullets("Unknown because", exposure.unknown_because)
    yield from bullets("Notes", exposure.notes)
    yield from bullets("Could not be read", [str(problem) for problem in exposure.problems])
