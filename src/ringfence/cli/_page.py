"""Prints what the demonstrations show: headings, text, commands, and what these answer."""

import shlex
import sys
import textwrap
from collections.abc import Iterator
from typing import Final

WIDTH: Final = 80


class Page:
    """Prints headings, text and commands; with colour where a terminal wants it."""

    def __init__(self) -> None:
        """Begin; colour is for terminals."""
        self._console = None
        self._steps = 0
        if sys.stdout.isatty():
            from rich.console import Console

            self._console = Console(highlight=False)

    def title(self, words: str) -> None:
        """Print a heading."""
        self._print("")
        self._print(words, "bold")

    def step(self, question: str, *command: str) -> None:
        """Print a question with its number, and the command that answers it."""
        self._steps += 1
        self.title(f"{self._steps}. {question}")
        if command:
            self.command(*command)

    def command(self, *words: str) -> None:
        """Print a command as it is typed, on several lines where one is too narrow."""
        line = "   $ ringfence"
        for word in (word if word == ">" else shlex.quote(word) for word in words):
            if len(line) + len(word) + 3 > WIDTH and line.strip():
                self._print(f"{line} \\", "cyan")
                line = "      "
            line += f" {word}"
        self._print(line, "cyan")

    def text(self, words: str) -> None:
        """Print a paragraph."""
        for line in textwrap.wrap(words, WIDTH - 3, break_on_hyphens=False):
            self._print(f"   {line}")

    def lines(self, lines: "Iterator[str] | list[str]") -> None:
        """Print lines, those that are too long on several."""
        for line in lines:
            indent = " " * (3 + len(line) - len(line.lstrip()))
            wrapped = textwrap.wrap(
                line.lstrip(),
                WIDTH,
                initial_indent=indent,
                subsequent_indent=f"{indent}  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            for part in wrapped:
                self._print(part)

    def _print(self, words: str, style: str = "") -> None:
        if self._console is None:
            print(words)
        else:
            from rich.text import Text

            self._console.print(Text(words, style=style), soft_wrap=True)
