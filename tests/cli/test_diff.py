import json
from pathlib import Path

import pytest

from ringfence.cli import diff
from ringfence.cli.main import main

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: db}]}
"""
POLICY = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}}
"""
NODE = """
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.0.10}]}
"""
NODE_POLICY = """
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: nodes}
spec:
  tier: Admin
  priority: 1
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}
  egress:
  - {action: Deny, to: [{nodes: {}}]}
"""


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_same_is_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = write(tmp_path / "a.yaml", PODS)
    assert main(["diff", cluster, cluster]) == 0
    assert "no connection changed" in capsys.readouterr().out


def test_a_difference_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = write(tmp_path / "a.yaml", PODS), write(tmp_path / "b.yaml", PODS + POLICY)
    assert main(["diff", old, new]) == 1
    assert "-  anything  →  shop/db  any" in capsys.readouterr().out
    assert main(["diff", new, old, "-o", "markdown"]) == 1
    assert "**Outside addresses may now send more to** `shop/db`" in capsys.readouterr().out


def test_a_snapshot_can_be_a_side(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    cluster = write(tmp_path / "a.yaml", PODS)
    saved = str(tmp_path / "old.snapshot")
    assert main(["snapshot", cluster, "-o", saved]) == 0
    capsysbinary.readouterr()
    assert main(["diff", saved, write(tmp_path / "b.yaml", PODS + POLICY), "-o", "json"]) == 1
    told = json.loads(capsysbinary.readouterr().out)
    assert {change["to"] for change in told["changes"]} == {"shop/db"}


def test_nodes_that_only_one_sides_policies_name_do_not_appear(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    old = write(tmp_path / "a.yaml", PODS + NODE)
    new = write(tmp_path / "b.yaml", PODS + NODE + NODE_POLICY)
    assert main(["diff", old, new, "-o", "json"]) == 1
    told = json.loads(capsysbinary.readouterr().out)
    assert told["appeared"] == []
    assert [(c["from"], c["to"]) for c in told["changes"]] == [("shop/web", "node/n1")]


def test_what_cannot_be_read_is_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = write(tmp_path / "a.yaml", PODS), write(tmp_path / "b.yaml", PODS + "---\n{")
    assert main(["diff", old, new]) == 3
    assert "b.yaml:" in capsys.readouterr().err


@pytest.mark.parametrize("sides", [["a"], ["a", "b", "c"], ["a", "b", "c", "--live"]])
def test_two_sides_are_needed(sides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *sides]) == 2
    assert "OLD and NEW" in capsys.readouterr().err


def test_a_side_may_be_live_with_a_context_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(args: object, inputs: list[str]) -> object:
        asked.append((args.live, args.context, inputs))  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(diff, "load_cluster", load)
    for side in ("live:staging", "live", "a"):
        main(["diff", side, "b", "--context", "prod"])
    assert asked == [(True, "staging", []), (True, "prod", []), (False, None, ["a"])]
