"""One file per way of writing an answer: text, json, markdown, dot, html, ….

A file of this room exposes `OUTPUT`; the folder listing is the registry, and a file's name is
the word that `-o` takes. Writing yields chunks of bytes, never a whole document: a million rows
take no more memory than the answer itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence import rooms


@dataclass(frozen=True)
class Style:
    """Where the answer goes to, as far as it changes how people read it."""

    width: int = 100
    """Columns that lines of text should not pass."""
    colour: bool = False
    """True only for a terminal whose user did not refuse (`NO_COLOR`)."""


Writer = Callable[[Any, Style], Iterator[bytes]]
"""Takes an answer of the type it is registered for; yields UTF-8, ending with a newline."""


@dataclass(frozen=True)
class Output:
    """What a file of this room exposes as `OUTPUT`."""

    writers: Mapping[type, Writer]
    """By the type of answer; a type that is absent makes no sense in this format."""


def find() -> dict[str, Output]:
    """Return every output, by its name."""
    from ringfence import outputs  # noqa: PLC0415 - the package itself, as a room

    return rooms.members(outputs, "OUTPUT", Output)


def formats(answer: type) -> tuple[str, ...]:
    """Return the names of the outputs that can write answers of a type, sorted."""
    return tuple(name for name, output in find().items() if answer in output.writers)


def write(answer: object, output: str, style: Style | None = None) -> Iterator[bytes]:
    """Yield an answer in one format, chunk by chunk.

    Args:
        answer: a `Connectivity`, a `Diff`, an `Exposure`.
        output: the output's name, one of `formats(type(answer))`.
        style: how text is laid out; the default is plain text of 100 columns.

    Raises:
        KeyError: there is no such output, or it does not write such answers.
    """
    return find()[output].writers[type(answer)](answer, style or Style())
