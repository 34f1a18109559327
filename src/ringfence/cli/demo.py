"""`ringfence demo`: the whole journey on a bundled example, from wide open to proven."""

import shlex
import sys
import tempfile
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.cli._verb import Verb
from ringfence.errors import UsageError

if TYPE_CHECKING:
    from ringfence.learn.dependency_map import DependencyMap
    from ringfence.learn.init import Draft
    from ringfence.model.connectivity import Connectivity
    from ringfence.model.snapshot import Snapshot
    from ringfence.prove.generated import Generation

EXAMPLES = """
  ringfence demo          in a temporary folder
  ringfence demo shop/    in a folder of your choice
"""
WIDTH = 80
FROM, TO = "shop/web", "shop/db:5432"
"""The connection whose denial is shown: what an intruder in the shop window would try first."""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = f"examples:{EXAMPLES}"
    parser.add_argument(
        "folder", nargs="?", metavar="DIR", help="where to write the example (default: temporary)"
    )


def run(args: Namespace) -> int:
    """Write the example out and walk through it; return 0 if its policies are proved."""
    from ringfence import assemble
    from ringfence.cli import _files
    from ringfence.examples import MAP
    from ringfence.learn.init import draft
    from ringfence.model.proposal import GENERATED
    from ringfence.prove.generated import generate
    from ringfence.questions.connectivity import connectivity

    folder = Path(args.folder or tempfile.mkdtemp(prefix="ringfence-demo-"))
    written = write_example(folder)
    cluster, policies = str(folder / "cluster"), str(folder / "policies")
    page = _Page()
    page.title("From wide open to proven: a small shop")
    page.text(
        f"The example is in {folder}: {written} manifests and a dependency map. No cluster is "
        "touched and nothing leaves this machine."
    )

    page.step("How open is it?", "connectivity", cluster)
    before = assemble.load([cluster])
    page.lines(openness(connectivity(before)))

    page.step("Who needs whom?", "map", "init", cluster)
    page.lines(drafted(draft(before)))
    page.text(f"The example brings the map finished by hand: {folder / MAP}")

    dependency_map = _read_map(str(folder / MAP))
    page.step(
        "Policies that allow just that, proved",
        *("generate", "--map", str(folder / MAP), cluster, "-o", policies),
    )
    generation = generate(dependency_map, before)
    if generation.proof is not None and generation.proof.holds:
        files = {file.path: file.text for file in generation.emission.files}
        _files.write_folder(policies, files, f"# {GENERATED}")
        page.lines([f"wrote {len(files)} files, one per workload and one per namespace"])
    page.lines(proved(generation))
    if generation.proof is None or not generation.proof.holds:
        return 1

    page.step("May the shop window reach the database?", "check", cluster, policies, FROM, TO)
    after = assemble.load([cluster, policies])
    page.lines(denied(after, folder))

    page.step("How open is it now?", "connectivity", cluster, policies)
    page.lines(openness(connectivity(after)))

    page.title("Next")
    page.command("explain", cluster, policies, FROM, TO)
    page.command("connectivity", cluster, policies, "-o", "html", ">", "connectivity.html")
    page.text("And on your own cluster:")
    page.command("connectivity", "--live")
    page.command("map", "init", "--live", "-o", "map.yaml")
    return 0


def write_example(folder: Path) -> int:
    """Write the example into a folder and return how many manifests it has.

    Raises:
        UsageError: a file is there already that differs, or the folder cannot be written.
    """
    from ringfence.cli._files import write_file
    from ringfence.examples import MAP, shop

    files = {
        folder / (name if name == MAP else f"cluster/{name}"): content
        for name, content in shop().items()
    }
    try:
        for path, content in files.items():
            if path.exists() and path.read_bytes() != content:
                raise UsageError(
                    f"`{path}` is there already and differs from the example: it stays"
                )
        (folder / "cluster").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write `{folder}`: {error.strerror or error}") from error
    for path, content in files.items():
        if not path.exists():
            write_file(str(path), content.decode())
    return len(files) - 1


def _read_map(path: str) -> "DependencyMap":
    from ringfence.learn.read_map import read_file

    reading = read_file(path)
    assert reading.map is not None  # noqa: S101 - it was written a moment ago
    return reading.map


# -- what each step shows --------------------------------------------------------------------


def openness(answer: "Connectivity") -> Iterator[str]:
    """Yield the figures of an answer: pairs of workloads, and the outside."""
    workloads = {peer.name for peer in answer.endpoints if peer.kind not in ("External", "Node")}
    outside = {peer.name for peer in answer.endpoints if peer.kind == "External"}
    open_pairs = [pair for pair in answer.connections if pair.allow]
    inside = [p for p in open_pairs if p.source in workloads and p.destination in workloads]
    total = len(workloads) * (len(workloads) - 1)
    reached = {p.destination for p in open_pairs if p.source in outside}
    reaching = {p.source for p in open_pairs if p.destination in outside}
    yield f"{len(inside)} of {total} pairs of workloads may connect"
    yield f"{len(reached)} of {len(workloads)} workloads can be reached from outside"
    yield f"{len(reaching)} of {len(workloads)} workloads can reach some of the outside"


def drafted(draft: "Draft") -> Iterator[str]:
    """Yield some of the guesses of a draft, each with its evidence."""
    guesses = draft.map.dependencies
    shown = [guess for guess in guesses if "env " in guess.evidence or guess.source == "outside"]
    yield f"{len(guesses)} guesses from the manifests, each with its evidence:"
    for guess in shown[:: max(1, len(shown) // 4)][:4]:
        evidence = guess.evidence.rpartition("/")
        place = f"{evidence[0].partition(',')[0]}, {evidence[2]}" if evidence[0] else evidence[2]
        yield f"  {guess.source} -> {guess.destination}  {guess.traffic}"
        yield f"      {place}"


def proved(generation: "Generation") -> Iterator[str]:
    """Yield what was proved, and what could not be said."""
    from ringfence.cli.generate import proof_text

    if generation.proof is not None:
        yield from proof_text(generation, generation.proof)
    for each in generation.emission.unsupported:
        if each.sort != "HTTP" or each.direction == "ingress":
            yield f"  {each.subject[0]}, {each.what}: {each.because}"
            yield f"      written: {each.instead}"


def denied(snapshot: "Snapshot", folder: Path) -> Iterator[str]:
    """Yield the verdict on the example's connection, with its evidence."""
    from ringfence.cli.check import parse_query
    from ringfence.questions.check import Checker

    judgement = Checker(snapshot).ask(parse_query(FROM, TO))
    yield f"{judgement.verdict.value.upper()}  {FROM} -> {TO}"
    for evidence in judgement.evidence:
        file = Path(evidence.file or "")
        inside = file.is_relative_to(folder)
        place = f"{file.relative_to(folder) if inside else file}:{evidence.line}"
        yield f"  {evidence.direction} {evidence.action}: {evidence.object} {evidence.rule}"
        yield f"      {place}"


# -- the page --------------------------------------------------------------------------------


class _Page:
    """Prints headings, text and commands; with colour where a terminal wants it."""

    def __init__(self) -> None:
        self._console = None
        self._steps = 0
        if sys.stdout.isatty():
            from rich.console import Console

            self._console = Console(highlight=False)

    def title(self, words: str) -> None:
        self._print("")
        self._print(words, "bold")

    def step(self, question: str, *command: str) -> None:
        self._steps += 1
        self.title(f"{self._steps}. {question}")
        self.command(*command)

    def command(self, *words: str) -> None:
        quoted = " ".join(word if word == ">" else shlex.quote(word) for word in words)
        self._print(f"   $ ringfence {quoted}", "cyan")

    def text(self, words: str) -> None:
        for line in textwrap.wrap(words, WIDTH - 3, break_on_hyphens=False):
            self._print(f"   {line}")

    def lines(self, lines: "Iterator[str] | list[str]") -> None:
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


VERB = Verb("walk through the whole journey on a bundled example", configure, run)
