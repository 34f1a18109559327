import re
import shlex
from pathlib import Path

import pytest

from ringfence.cli.main import main
from ringfence.examples import MAP, shop


def demo(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["demo", str(folder)]) == 0
    return capsys.readouterr().out


def test_it_walks_through_the_journey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = demo(tmp_path / "shop", capsys)
    assert "182 of 182 pairs of workloads may connect" in out
    assert "proved: 12 workloads, 29 connections, nothing more, nothing less" in out
    assert "DENY  shop/web -> shop/db:5432" in out
    assert "egress deny: NetworkPolicy/shop/ringfence-web isolation" in out
    assert (tmp_path / "shop/policies/shop/db.yaml").is_file()
    assert (tmp_path / "shop" / MAP).read_bytes() == shop()[MAP]


def test_it_is_plain_text_of_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = demo(Path("x"), capsys)
    assert out.replace("\n", "").isprintable()
    assert all(len(line) <= 80 for line in out.splitlines())


def test_every_command_that_it_shows_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = demo(tmp_path / "a shop", capsys)
    shown = re.findall(r"\$ ringfence (.*)", out.replace("\\\n", ""))
    assert len(shown) >= 8
    for line in shown:
        words = shlex.split(line.partition(" > ")[0])
        if "--live" not in words:
            assert main(words) in (0, 1), line


def test_it_may_be_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path, capsys) == demo(tmp_path, capsys)


def test_it_replaces_nothing_of_somebody_elses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / MAP).write_text("mine")
    assert main(["demo", str(tmp_path)]) == 2
    assert "is there already and differs from the example: it stays" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [MAP]


def test_a_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert main(["demo", str(file)]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_without_a_folder_it_takes_a_temporary_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["demo"]) == 0
    [made] = tmp_path.iterdir()
    assert made.name.startswith("ringfence-demo-")
    assert str(made) in capsys.readouterr().out


def test_a_terminal_gets_colour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1m" in demo(tmp_path, capsys)
