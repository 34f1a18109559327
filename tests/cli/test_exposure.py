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
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: NodePort, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80}]}
"""
POLICY = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_exposure_is_a_fact_and_no_failure_unless_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = write(tmp_path / "a.yaml", CLUSTER)
    assert main(["exposure", cluster]) == 0
    assert "1 of 1 workload can be reached from outside" in capsys.readouterr().out
    assert main(["exposure", cluster, "--fail-on-exposed"]) == 1


def test_what_policies_close_is_not_exposed(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    cluster = write(tmp_path / "a.yaml", CLUSTER + POLICY)
    assert main(["exposure", cluster, "--fail-on-exposed", "-o", "json"]) == 0
    told = json.loads(capsysbinary.readouterr().out)
    assert [entrance["verdict"] for entrance in told["entrances"]] == ["deny"]
    assert told["exits"] == []


def test_an_unknown_way_in_is_exit_code_3_only_when_strict(tmp_path: Path) -> None:
    text = CLUSTER.replace("externalTrafficPolicy: Local, ", "") + POLICY.replace(
        "policyTypes: [Ingress, Egress]", "ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]"
    )
    cluster = write(tmp_path / "a.yaml", text)
    assert main(["exposure", cluster]) == 0
    assert main(["exposure", cluster, "--strict"]) == 3


def test_what_cannot_be_read_is_exit_code_3(tmp_path: Path) -> None:
    assert main(["exposure", write(tmp_path / "a.yaml", CLUSTER + "---\n{")]) == 3
