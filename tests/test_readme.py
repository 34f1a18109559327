"""The README's output is what the program prints; skipped where Online Boutique is absent."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from ringfence.cli.main import main

ROOT = Path(__file__).parents[1]
BOUTIQUE = ROOT.parent / "shared" / "vectors" / "online-boutique"


@pytest.mark.skipif(not BOUTIQUE.is_dir(), reason="no ../shared/vectors/online-boutique here")
def test_the_output_shown_is_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(BOUTIQUE / "kubernetes-manifests.yaml", tmp_path)
    shutil.copytree(BOUTIQUE / "network-policies", tmp_path / "network-policies")
    monkeypatch.chdir(tmp_path)
    shown_by = re.compile(r"^\$ ringfence (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    compared = 0
    for block in blocks:
        for command, shown in shown_by.findall(block):
            main(shlex.split(command))
            assert capsys.readouterr().out == shown, command
            compared += 1
    assert compared == 4
