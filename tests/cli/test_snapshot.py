"""`ringfence snapshot`: a cluster in one file, as a user makes and uses it."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ringfence import assemble
from ringfence.cli import _progress
from ringfence.cli.main import main
from sources.api_server import ApiServer, seal_off, serving, write_kubeconfig

MANIFESTS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, env: [{name: PASSWORD, value: hunter2}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


@pytest.fixture(autouse=True)
def _sealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seal_off(monkeypatch, tmp_path)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(MANIFESTS)
    return path


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[str]:
    with serving(ApiServer()) as api:
        api.add("namespaces", "shop")
        spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
        api.add("networkpolicies", "web", "shop", spec=spec)
        api.forbidden.add(("services", None))
        yield write_kubeconfig(tmp_path / "config", api.url)


def test_a_snapshot_says_what_its_manifests_say(
    manifests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "shop.snapshot"
    assert main(["snapshot", str(manifests), "-o", str(output)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out == (
        f"{output}: 1 namespace, 1 workload, 0 pods, 0 services, 0 nodes, 1 policy; "
        "profile generic\n"
    )
    direct = assemble.load([str(manifests)])
    again = assemble.load([str(output)])
    assert again == msgspec.structs.replace(direct, source=str(output))
    assert len(again.policies) == 1
    assert again.policies[0].ref == "NetworkPolicy/shop/web"


def test_other_verbs_take_a_snapshot_for_their_input(
    manifests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "shop.snapshot"
    main(["snapshot", str(manifests), "-o", str(output)])
    assert main(["check", str(output), "203.0.113.9", "shop/web:80"]) == 1
    assert f"{manifests}:13" in capsys.readouterr().out, "evidence names the manifest, not the file"


def test_values_of_the_environment_stay_out(manifests: Path, tmp_path: Path) -> None:
    output = tmp_path / "shop.snapshot"
    main(["snapshot", str(manifests), "-o", str(output)])
    assert "hunter2" not in repr(assemble.load([str(output)]))


def test_what_could_not_be_read_is_told_and_kept(
    tmp_path: Path, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "live.snapshot")
    assert main(["snapshot", "--kubeconfig", kubeconfig, "-o", output]) == 3
    told = capsys.readouterr()
    message = "live:test: the account may not `list` `services` in all namespaces\n"
    assert f"error: {message}" in told.err
    assert told.err.count("error") == 1
    assert "1 namespace, 0 workloads, 0 pods, 0 services, 0 nodes, 1 policy" in told.out
    assert main(["snapshot", output, "-o", str(tmp_path / "again")]) == 3
    assert message in capsys.readouterr().err


def test_a_dead_cluster_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    output = tmp_path / "live.snapshot"
    assert main(["snapshot", "--kubeconfig", config, "-o", str(output)]) == 4
    assert not output.exists()
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("ringfence: cannot read from `http://127.0.0.1:1`: ")
    assert told.err.count("\n") == 1


def test_a_place_that_cannot_be_written_is_bad_usage(
    manifests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["snapshot", str(manifests), "-o", "/nowhere/at/all"]) == 2
    assert "cannot write `/nowhere/at/all`" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_from_the_first_page_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with _progress.reading_progress() as progress:
        assert progress is not None
        assert terminal.getvalue() == "", "a credential plugin may be asking its user"
        progress("pods", 500)
        progress("pods", 1000)
        progress("services", 17)
    shown = terminal.getvalue()
    assert "1,017 objects (services 17)" in shown
    assert shown.rstrip("\r").endswith("\x1b[2K"), "the line is gone at the end"


def test_progress_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with _progress.reading_progress() as progress:
        assert progress is None


def test_the_verb_shows_its_progress(
    tmp_path: Path, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    main(["snapshot", "--kubeconfig", kubeconfig, "-o", str(tmp_path / "out")])
    assert "reading the cluster" in terminal.getvalue()
