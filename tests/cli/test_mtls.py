"""`ringfence mtls` at the command line."""

import json
from pathlib import Path

import pytest

from questions.mesh_shop import text
from ringfence.cli.main import main

Captured = pytest.CaptureFixture[str]
MAP = """
apiVersion: ringfence.dev/v1
kind: DependencyMap
namespaces: [shop]
workloads:
  - workload: shop/web
    calls: [{to: svc/shop/pay, ports: [80]}]
"""


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    path = tmp_path / "shop.yaml"
    path.write_text(text())
    return str(path)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls" / "map.yaml"
    path.parent.mkdir()
    path.write_text(MAP)
    return path


def test_plaintext_that_remains_is_a_finding(cluster: str, capsys: Captured) -> None:
    assert main(["mtls", cluster]) == 1
    told = capsys.readouterr().out
    assert "2 of 6 pairs of workloads with a served port open are over mTLS, 4 plaintext" in told
    assert "FIRST, BEFORE shop CAN BE STRICT" in told
    assert "legacy/batch  →  shop/pay:8080, shop/web:8080  is in no mesh" in told


def test_only_what_the_map_lists_counts(cluster: str, calls: Path, capsys: Captured) -> None:
    assert main(["mtls", cluster, "--map", str(calls)]) == 0
    told = capsys.readouterr().out
    assert (
        "1 of 1 pair of workloads with a served port open is over mTLS, 0 plaintext; only" in told
    )
    assert "CAN BE STRICT NOW" in told
    assert "mode: STRICT" in told


def test_json_has_the_plan(cluster: str, capsys: Captured) -> None:
    assert main(["mtls", cluster, "-o", "json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["kind"], answer["from_map"]) == ("Mtls", False)
    steps = {namespace["name"]: namespace["step"] for namespace in answer["namespaces"]}
    assert steps == {"legacy": "not in a mesh", "shop": "callers first"}
    assert {"from", "to", "ports", "kind", "why"} <= set(answer["callers"][0])


def test_a_map_of_another_cluster_is_told(cluster: str, calls: Path, capsys: Captured) -> None:
    calls.write_text(MAP.replace("shop/web", "shop/nobody"))
    assert main(["mtls", cluster, "--map", str(calls)]) == 2
    assert "no workload `shop/nobody` in the input" in capsys.readouterr().err
