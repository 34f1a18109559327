"""The output in docs/mesh.md is what the program prints.

`RINGFENCE_REWRITE=1` puts what it prints now into the page, to be read before it is committed.
"""

import os
import re
from pathlib import Path

import pytest

from ringfence.cli.demo import write_example
from test_scenarios import BLOCK, COMMAND, run

PAGE = Path(__file__).parents[1] / "docs" / "mesh.md"


def test_the_output_shown_is_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_example(tmp_path / "shop", "sidecar")
    write_example(tmp_path / "ambient", "ambient")
    monkeypatch.chdir(tmp_path)
    written = PAGE.read_text()

    def printed(block: re.Match[str]) -> str:
        commands = COMMAND.findall(block[1])
        shown = "".join(f"$ {name} {words}\n{run(name, words, capsys)}" for name, words in commands)
        return f"```console\n{shown}```\n"

    now = BLOCK.sub(printed, written)
    if os.environ.get("RINGFENCE_REWRITE") == "1":
        PAGE.write_text(now)
    assert len(COMMAND.findall(written)) >= 4
    assert now == written
