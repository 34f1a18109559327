"""Writes an answer to standard output, in the format asked for and as its reader can show it."""

import os
import shutil
import sys

NARROWEST, WIDEST = 60, 160
"""A terminal's columns are used within these bounds; elsewhere lines have 100."""


def print_answer(answer: object, output: str) -> None:
    """Write an answer chunk by chunk; colours only for a terminal that does not refuse them.

    Source: no-color.org: `NO_COLOR`, present and not empty.
    """
    from ringfence import outputs

    style = outputs.Style()
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        style = outputs.Style(min(max(columns, NARROWEST), WIDEST), colour=not plain)
    sys.stdout.flush()
    for chunk in outputs.write(answer, output, style):
        sys.stdout.buffer.write(chunk)
