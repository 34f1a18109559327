import re
import shlex
from pathlib import Path

import pytest

from ringfence import assemble
from ringfence.cli.demo import write_example
from ringfence.cli.main import main
from ringfence.model.query import Http
from ringfence.model.verdict import Judgement
from ringfence.questions.check import check

PLANES = pytest.mark.parametrize("plane", ["sidecar", "ambient"])


def demo(folder: Path, plane: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["demo", str(folder), "--mesh", plane]) == 0
    return capsys.readouterr().out


def asked(folder: Path, plane: str, source: str, request: str, to: str) -> Judgement:
    write_example(folder, plane)
    snapshot = assemble.load([str(folder / "cluster")])
    assert snapshot.problems == ()
    method, _, path = request.partition(" ")
    port = 80 if to.startswith("svc/") else 8080
    return check(snapshot, source, to, port, http=Http(method, path))


@PLANES
@pytest.mark.parametrize("to", ["svc/shop/payment", "shop/payment"])
@pytest.mark.parametrize(
    ("source", "request_", "layers"),
    [
        ("shop/api", "GET /v1/payment", "mesh"),
        ("shop/api", "POST /v1/refund", "mesh"),
        ("shop/web", "POST /v1/payment", "mesh"),
        ("shop/debug", "POST /v1/payment", "mesh"),
        ("batch/nightly-report", "POST /v1/payment", "network, mesh"),
    ],
)
def test_payment_takes_nothing_else(
    tmp_path: Path, plane: str, to: str, source: str, request_: str, layers: str
) -> None:
    judgement = asked(tmp_path, plane, source, request_, to)
    assert judgement.verdict.value == "deny"
    denying = [piece.layer for piece in judgement.evidence if piece.action == "deny"]
    assert ", ".join(dict.fromkeys(denying)) == layers


@PLANES
def test_payment_takes_the_request_of_the_api_over_mtls(tmp_path: Path, plane: str) -> None:
    judgement = asked(tmp_path, plane, "shop/api", "POST /v1/payment", "svc/shop/payment")
    assert judgement.verdict.value == "allow"
    assert judgement.mesh is not None
    assert judgement.mesh.mtls is True
    assert judgement.mesh.wire == (8080 if plane == "sidecar" else 15008)
    assert judgement.mesh.waypoint == ("" if plane == "sidecar" else "shop/waypoint")


@PLANES
def test_it_says_by_which_layer_a_pod_outside_the_mesh_is_refused(
    tmp_path: Path, plane: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = demo(tmp_path, plane, capsys)
    _, _, stranger = out.partition("2. And a pod outside the mesh")
    assert "DENY  shop/debug -> svc/shop/payment:80 POST /v1/payment" in stranger
    assert "in plaintext" in stranger
    assert "denied by the mesh: PeerAuthentication/shop/payment mtls" in stranger
    assert "network allow: NetworkPolicy/shop/shop ingress[0]" in stranger


@PLANES
def test_every_command_that_it_shows_works(
    tmp_path: Path, plane: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = demo(tmp_path / "a shop", plane, capsys)
    assert all(len(line) <= 80 or "/" in line for line in out.splitlines())
    shown = re.findall(r"\$ ringfence (.*)", out.replace("\\\n", ""))
    assert len(shown) >= 6
    for line in shown:
        words = shlex.split(line)
        if "--live" not in words:
            assert main(words) in (0, 1), line


def test_a_mesh_goes_without_a_dialect(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--mesh", "sidecar", "--dialect", "cilium"]) == 2
    assert "it goes without --dialect" in capsys.readouterr().err
