"""Pieces of GitHub-flavoured Markdown in which names of any kind stay inert."""

import re
from collections.abc import Iterable, Iterator, Sequence

from ringfence.outputs._words import inert

FOLD_ROWS = 12
"""A table of more rows than this is folded away."""


def code(text: str) -> str:
    """Return text as a code span that also holds within a table."""
    plain = inert(text)
    longest = max((len(run) for run in re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") or not plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}".replace("|", "\\|")


def prose(text: str) -> str:
    """Return a sentence whose quoted names stay code and whose other signs mean nothing."""
    parts = re.split(r"(`[^`]*`)", inert(text))
    return "".join(
        part.replace("|", "\\|")
        if part.startswith("`") and len(part) > 1
        else re.sub(r"([\\`*_{}\[\]<>|~@#])", r"\\\1", part)
        for part in parts
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Return a table; cells are Markdown already."""
    aligned = set(right)
    rule = ["---:" if column in aligned else "---" for column in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def folded(summary: str, body: str) -> str:
    """Return a body that opens when its summary is clicked; the summary is Markdown-free text."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def fold_if_long(summary: str, table_text: str, rows: int) -> str:
    """Return a table under its title, folded away where it is long."""
    if rows > FOLD_ROWS:
        return folded(summary, table_text)
    return f"**{summary}**\n\n{table_text}"


def bullets(title: str, texts: Sequence[str]) -> Iterator[str]:
    """Yield a titled list of sentences; nothing where there are none."""
    if texts:
        body = "\n".join(f"- {prose(text)}" for text in texts)
        yield f"**{title}**\n\n{body}" if len(texts) <= FOLD_ROWS else folded(title, body)
