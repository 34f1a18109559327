import json
from pathlib import Path

import pytest

from ringfence.cli.main import main
from ringfence.dialects._writing import CONVERTED
from written_policies import CLUSTER, POLICIES

LIMITED = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts:
    - ports: [{port: "8080", protocol: TCP}]
      rules: {http: [{method: GET}]}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    for name, text in {**POLICIES, "limited": LIMITED}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def convert(policies: str, *more: str) -> int:
    return main(["convert", "cluster.yaml", f"{policies}.yaml", *more])


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_policies_are_written_and_proved(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("kubernetes", "--to", "calico", "-o", "out") == 0
    assert files(here / "out") == ["shop/db.yaml"]
    text = (here / "out/shop/db.yaml").read_text()
    assert text.splitlines()[:2] == [
        f"# {CONVERTED}",
        "# Converted from NetworkPolicy/shop/db (kubernetes.yaml).",
    ]
    assert "    # From NetworkPolicy/shop/db ingress[0] (kubernetes.yaml:8)." in text
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == [
        "wrote out: 1 new",
        "1 policy object (generic) -> 1 policy object of calico (calico)",
    ]
    assert out[2].startswith("proved: ")


def test_what_was_written_allows_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("cilium", "--profile", "cilium", "--to", "kubernetes", "-o", "out") == 0
    for asked, code in (("shop/web shop/db:5432", 0), ("lab/tester shop/db:5432", 1)):
        before = main(
            ["check", "cluster.yaml", "cilium.yaml", "--profile", "cilium", *asked.split()]
        )
        after = main(["check", "cluster.yaml", "out", *asked.split()])
        assert (before, after) == (code, code), asked
    capsys.readouterr()


def test_standard_output_holds_the_policies_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("kubernetes", "--to", "cilium") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"# {CONVERTED}\n")
    assert "proved: " not in captured.out
    assert "proved: " in captured.err


def test_check_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("kubernetes", "--to", "cilium", "-o", "out", "--check") == 0
    assert not (here / "out").exists()
    assert capsys.readouterr().out.startswith("would write out: 1 new\n")
    assert convert("kubernetes", "--to", "cilium", "--dry-run") == 0
    assert capsys.readouterr().out == ""


def test_what_cannot_be_said_stays_closed_and_the_exit_code_tells(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert("limited", "--profile", "cilium", "--to", "kubernetes", "-o", "out") == 1
    assert files(here / "out") == ["shop/db.yaml"]
    out = capsys.readouterr().out
    assert "closed:\n  shop/web -> shop/db  TCP 8080 (GET *)\n" in out
    assert (
        "cannot be said:\n  limited.yaml:7: CiliumNetworkPolicy/shop/db ingress[0]: a "
        "NetworkPolicy does not look into connections; nothing: it stays closed\n"
    ) in out


def test_wider_is_written_only_where_it_is_asked_for(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("--profile", "cilium", "--to", "kubernetes", "-o", "out", "--allow-wider")
    assert convert("limited", *args) == 1
    assert "port: 8080" in (here / "out/shop/db.yaml").read_text()
    assert "allowed, and was not:\n  shop/web -> shop/db  TCP 8080" in capsys.readouterr().out


def test_a_second_run_changes_nothing_and_foreign_files_stay(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert("kubernetes", "--to", "calico", "-o", "out") == 0
    assert convert("kubernetes", "--to", "calico", "-o", "out") == 0
    assert "wrote out: 1 unchanged" in capsys.readouterr().out
    (here / "out/shop/db.yaml").write_text("mine: true\n")
    assert convert("kubernetes", "--to", "calico", "-o", "out") == 2
    assert "was not written by this program: it stays" in capsys.readouterr().err


def test_json_has_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        convert("limited", "--profile", "cilium", "--to", "calico", "-o", "out", "--format", "json")
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["apiVersion"], found["kind"]) == ("ringfence.dev/v1", "Conversion")
    assert (found["proved"], found["wider"], found["narrower"]) == (True, [], [])
    assert found["files"] == ["shop/db.yaml"]


def test_an_unreadable_policy_stops_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = POLICIES["kubernetes"].replace("policyTypes", "policyKinds")
    (here / "kubernetes.yaml").write_text(text)
    assert convert("kubernetes", "--to", "calico", "-o", "out") == 3
    assert not (here / "out").exists()
    assert "nothing was converted: these could not be read" in capsys.readouterr().out


def test_a_dialect_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        convert("kubernetes")
    assert "--to" in capsys.readouterr().err


@pytest.mark.parametrize("mesh", ["istio", "linkerd"])
def test_meshes_are_told_not_to_be_there_yet(
    mesh: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert("kubernetes", "--to", mesh, "-o", "out") == 2
    told = capsys.readouterr().err
    assert f"not converted to `{mesh}` yet" in told
    assert f"ringfence generate --dialect {mesh}" in told
    assert not (here / "out").exists()
