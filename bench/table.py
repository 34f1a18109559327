"""Prints tables of plain text."""

from collections.abc import Sequence


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first and the last column are words, those between are figures."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    print(f"\n{title}\n")
    for row in (header, ["-" * width for width in widths], *rows):
        cells = [
            cell.ljust(width) if i in {0, len(row) - 1} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def seconds(value: float) -> str:
    """Return a time in seconds."""
    return f"{value:.2f}"


def megabytes(value: float) -> str:
    """Return a size in megabytes."""
    return f"{value:,.0f}"


def share(value: float, target: float | None) -> str:
    """Return what part of a target a figure is; nothing where there is no target."""
    return "" if target is None else f"{value / target:.0%}"


def counts(found: dict[str, float]) -> str:
    """Return counts as words: `12 classes, 3 rules`."""
    return ", ".join(f"{value:,} {name}" for name, value in found.items())
