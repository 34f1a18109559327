"""The conformance suite of ClusterNetworkPolicy, check by check, by both judges.

The vectors were made from kubernetes-sigs/network-policy-api's own suite: states of a cluster,
and connections with the answer that an implementation must give.
"""

import json
from pathlib import Path
from typing import Any

import pytest

import written_cases
from ringfence import assemble
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection
from ringfence.sources import manifests
from test_cases import JUDGES

VECTORS = (
    Path(__file__).parents[2] / "shared" / "vectors" / "cluster-network-policy-conformance.json"
)
CHECKS = 301


@pytest.fixture(scope="module")
def suite() -> dict[str, Any]:
    if not VECTORS.exists():
        pytest.skip("the vectors are not beside this checkout")
    found: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("which", JUDGES)
def test_conformance(suite: dict[str, Any], which: str, tmp_path: Path) -> None:
    wrong: list[str] = []
    asked = 0
    for state, objects in suite["states"].items():
        file = tmp_path / f"{state}.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        snapshot = assemble.build(manifests.read([str(file)]), cni="generic")
        judge = JUDGES[which](snapshot)
        for check in suite["checks"]:
            if check["state"] != state:
                continue
            asked += 1
            source, destination = (
                written_cases.end(snapshot, check[side]) for side in ("from", "to")
            )
            protocol = Protocol(check["protocol"])
            found = judge(Connection(source, destination, protocol, check["port"]))
            if found.verdict != check["expected"]:
                wrong.append(f"{check['id']}: {found.verdict}, not {check['expected']}")
    assert asked == CHECKS
    assert not wrong
