"""Meshes at the command line: their configuration, and questions about mTLS."""

import json
from pathlib import Path

import pytest

from ringfence.cli.main import main

CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: out}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {spec: {serviceAccountName: web, containers: [{name: app}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: app, ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: tool, namespace: out}
spec: {template: {spec: {containers: [{name: app}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: api, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  rules: [{from: [{source: {principals: [corp/ns/shop/sa/web]}}]}]
"""


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER)
    return str(path)


@pytest.fixture
def configuration(tmp_path: Path) -> str:
    path = tmp_path / "mesh.yaml"
    path.write_text("trustDomain: corp\n")
    return str(path)


Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_the_trust_domain_that_is_given_decides(
    cluster: str, configuration: str, judge: str, capsys: Captured
) -> None:
    asked = ["check", cluster, "shop/web", "svc/shop/api:80", "--judge", judge]
    assert main(asked) == 1
    assert "Istio's mesh configuration is not in the input" in capsys.readouterr().err
    assert main([*asked, "--mesh-config", configuration]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_mtls_may_be_denied_to_a_question(
    cluster: str, configuration: str, judge: str, capsys: Captured
) -> None:
    asked = ["check", cluster, "shop/web", "svc/shop/api:80", "--mesh-config", configuration]
    asked += ["--judge", judge, "--mtls"]
    assert main([*asked, "yes"]) == 0
    assert "-> svc/shop/api:80 with mTLS" in capsys.readouterr().out
    assert main([*asked, "no"]) == 1
    assert "without mTLS" in capsys.readouterr().out


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_a_workload_is_reached_by_the_ways_that_are_told(
    cluster: str, configuration: str, judge: str, capsys: Captured
) -> None:
    asked = ["check", cluster, "shop/web", "shop/api:8080", "--mesh-config", configuration]
    asked += ["--judge", judge]
    assert main(asked) == 0
    assert "only through svc/shop/api:80" in capsys.readouterr().out
    assert main([*asked, "-o", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["limited_to"] == [{"through": "svc/shop/api:80"}]


def test_explain_tells_the_other_ways(cluster: str, configuration: str, capsys: Captured) -> None:
    asked = ["explain", cluster, "shop/web", "shop/api:8080", "--mesh-config", configuration]
    assert main(asked) == 1
    assert "shop/web -> shop/api:8080 through svc/shop/api:80: allow" in capsys.readouterr().out


def test_a_configuration_that_cannot_be_understood_is_told_with_its_line(
    cluster: str, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "mesh.yaml"
    path.write_text("trustDomain: corp\nrootNamespace: []\n")
    asked = ["check", cluster, "shop/web", "svc/shop/api:80", "--mesh-config", str(path)]
    assert main(asked) == 3
    assert "mesh.yaml:2: expected a string" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["connectivity", "exposure", "snapshot"])
def test_every_verb_that_looks_at_a_cluster_takes_it(
    cluster: str, configuration: str, tmp_path: Path, verb: str, capsys: Captured
) -> None:
    asked = [verb, cluster, "--mesh-config", configuration]
    if verb == "snapshot":
        asked += ["-o", str(tmp_path / "saved")]
    assert main(asked) == 0
    assert "mesh configuration" not in capsys.readouterr().err


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_a_config_map_that_cannot_be_understood_leaves_the_mesh_unknown(
    cluster: str, judge: str, capsys: Captured
) -> None:
    written = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: corp
    outboundTrafficPolicy:
      mode: SOME
"""
    with Path(cluster).open("a") as file:
        file.write(written)
    line = len(Path(cluster).read_text().splitlines())
    asked = ["check", cluster, "shop/web", "svc/shop/api:80", "--judge", judge]
    assert main(asked) == 3
    told = capsys.readouterr()
    assert told.out.startswith("UNKNOWN")
    assert f"cluster.yaml:{line}: ConfigMap/istio-system/istio: `SOME` is none of" in told.err
