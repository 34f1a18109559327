"""The output in docs/scenarios is what the program prints.

`RINGFENCE_REWRITE=1` puts what it prints now into the pages, to be read before it is committed.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from ringfence.cli.main import main

FOLDER = Path(__file__).parents[1] / "docs" / "scenarios"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
BLOCK = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
COMMAND = re.compile(r"^\$ (ringfence|cat) (.*)\n", re.MULTILINE)


def run(program: str, words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command prints; on standard error only where it says `2>&1`."""
    if program == "cat":
        return "".join(Path(path).read_text() for path in shlex.split(words))
    main(shlex.split(words.removesuffix("2>&1")))
    told = capsys.readouterr()
    return told.err + told.out if words.endswith("2>&1") else told.out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_output_shown_is_real(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(FOLDER / page.stem, tmp_path / page.stem)
    monkeypatch.chdir(tmp_path / page.stem)
    written = page.read_text()

    def printed(block: re.Match[str]) -> str:
        commands = COMMAND.findall(block[1])
        shown = "".join(f"$ {name} {words}\n{run(name, words, capsys)}" for name, words in commands)
        return f"```console\n{shown}```\n"

    now = BLOCK.sub(printed, written)
    if os.environ.get("RINGFENCE_REWRITE") == "1":
        page.write_text(now)
    assert COMMAND.search(written), "a page without a command shows nothing"
    assert now == written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_scenario_has_a_check_an_explanation_and_a_generation(page: Path) -> None:
    verbs = {words.split()[0] for _, words in COMMAND.findall(page.read_text())}
    assert {"check", "explain", "generate"} <= verbs


def test_every_scenario_is_in_the_index() -> None:
    index = (FOLDER / "README.md").read_text()
    assert [page.name for page in PAGES if f"({page.name})" not in index] == []
