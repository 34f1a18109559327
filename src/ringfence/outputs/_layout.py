"""Lays out text in columns that fit a width, with colour where the reader wants it."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from ringfence.outputs import Style

GAP = "  "
NARROWEST = 8


class Paint(StrEnum):
    """The colours of a terminal, as ANSI escape sequences. None of them carries a meaning alone."""

    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"


def painted(text: str, paint: Paint, style: Style) -> str:
    """Return text in a colour where the style has colours, else as it is."""
    return f"\x1b[{paint}m{text}\x1b[0m" if style.colour and text else text


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style,
    right: Iterable[int] = (),
    indent: str = "",
) -> Iterator[str]:
    """Yield the lines of a table; cells too long for the width are wrapped at their spaces.

    Args:
        head: one title per column.
        rows: one cell per column each.
        style: for the width, and the colour of the head.
        right: the columns to align at their right.
        indent: what every line begins with.
    """
    aligned = set(right)
    widths = _widths(head, rows, style.width - len(indent))
    for number, row in enumerate([head, *rows]):
        cells = [
            list(_wrapped(cell, width)) or [""] for cell, width in zip(row, widths, strict=True)
        ]
        for line in range(max(map(len, cells))):
            parts = [
                part.rjust(width) if column in aligned else part.ljust(width)
                for column, (width, part) in enumerate(
                    zip(widths, (c[line] if line < len(c) else "" for c in cells), strict=True)
                )
            ]
            text = indent + GAP.join(parts).rstrip()
            yield painted(text, Paint.BOLD, style) if number == 0 else text


def _wrapped(cell: str, width: int) -> Iterator[str]:
    """Yield a cell's lines; a word longer than the width begins a line of its own."""
    line = ""
    for word in cell.split(" "):
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
        while len(line) > width:
            yield line[:width]
            line = line[width:]
    if line:
        yield line


def _widths(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the widths of the columns: the widest give way until all fit.

    No column gets narrower than its longest word while another one has room to give.
    """
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    words = [max((len(w) for cell in c for w in cell.split()), default=0) for c in columns]
    room = width - len(GAP) * (len(widths) - 1)
    for floors in (words, [NARROWEST] * len(widths)):
        while sum(widths) > room:
            giving = [n for n, floor in enumerate(floors) if widths[n] > floor]
            if not giving:
                break
            widest = max(giving, key=lambda n: widths[n])
            widths[widest] -= 1
    return widths


def paragraphs(title: str, texts: Sequence[str], style: Style) -> Iterator[str]:
    """Yield a titled list of sentences, one dash each, wrapped; nothing where there are none."""
    if not texts:
        return
    yield ""
    yield painted(title, Paint.BOLD, style)
    for text in texts:
        yield from textwrap.wrap(
            text,
            style.width,
            initial_indent="  - ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )


def bar(part: int, whole: int, cells: int = 10) -> str:
    """Return a share as a bar of blocks; any share above nothing shows."""
    filled = 0 if not whole else -(-part * cells // whole)
    return "█" * filled + "░" * (cells - filled)
