import json
from pathlib import Path

import pytest

from ringfence.cli.main import main

CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: db}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: pay}
spec: {containers: [{name: api}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 5432}]
"""
BROKEN = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: broken, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: 7}]}]}
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER, encoding="utf-8")
    return path


def test_text_is_the_default_and_plain_when_nobody_looks(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["connectivity", str(cluster)]) == 0
    told = capsys.readouterr()
    assert "shop/web  →  shop/db" in told.out
    assert "\x1b" not in told.out
    assert told.err == ""


def test_json_lists_who_may_reach_the_database(
    cluster: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["connectivity", str(cluster), "-o", "json"]) == 0
    told = json.loads(capsysbinary.readouterr().out)
    assert [c for c in told["connections"] if c["to"] == "shop/db"] == [
        {
            "from": "shop/web",
            "to": "shop/db",
            "allow": [{"protocol": "TCP", "ports": "5432"}],
            "unknown": [],
        }
    ]
    assert {"name": "pay/api", "kind": "Pod"} in told["endpoints"]


def test_one_namespace_alone(cluster: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["connectivity", str(cluster), "-o", "json", "-n", "pay"]) == 0
    told = json.loads(capsysbinary.readouterr().out)
    assert all("pay/api" in {c["from"], c["to"]} for c in told["connections"])
    assert main(["connectivity", str(cluster), "-o", "json", "-n", "pay", "-A"]) == 0
    told = json.loads(capsysbinary.readouterr().out)
    assert any("pay/api" not in {c["from"], c["to"]} for c in told["connections"])


@pytest.mark.parametrize("output", ["wide", "yaml", "markdown", "dot", "html"])
def test_every_format_is_written_to_standard_output(
    output: str, cluster: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["connectivity", str(cluster), "-o", output]) == 0
    assert len(capsysbinary.readouterr().out) > 300


def test_a_policy_that_cannot_be_understood_makes_the_exit_code_3(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.with_name("broken.yaml").write_text(BROKEN, encoding="utf-8")
    assert main(["connectivity", str(cluster.parent)]) == 3
    told = capsys.readouterr()
    assert "unknown" in told.out
    assert "broken.yaml:" in told.err


def test_nothing_to_look_at_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connectivity"]) == 2
    assert "nothing to look at" in capsys.readouterr().err


def test_colours_are_for_terminals_that_do_not_refuse_them(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    main(["connectivity", str(cluster)])
    assert "\x1b[1m" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    main(["connectivity", str(cluster)])
    assert "\x1b" not in capsys.readouterr().out
