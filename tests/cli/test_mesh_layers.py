"""Both layers at the command line: which denied, and how the connection is carried."""

import json
from pathlib import Path

import pytest

from questions.mesh_shop import AMBIENT, ONLY_8080, ONLY_WEB, text
from ringfence.cli.main import main

Captured = pytest.CaptureFixture[str]
PAY = "svc/shop/pay:80"


def cluster(folder: Path, *more: str, mesh: str = "istio-injection: enabled") -> str:
    path = folder / "shop.yaml"
    path.write_text(text(*more, mesh=mesh))
    return str(path)


@pytest.mark.parametrize("verb", ["check", "explain"])
def test_which_layer_denies_is_told(verb: str, tmp_path: Path, capsys: Captured) -> None:
    assert main([verb, cluster(tmp_path, ONLY_WEB, ONLY_8080), "legacy/batch", PAY]) == 1
    told = capsys.readouterr().out
    assert "denied by the mesh: AuthorizationPolicy/shop/pay isolation\n  in plaintext\n" in told


@pytest.mark.parametrize("verb", ["check", "explain"])
def test_both_layers_may_deny(verb: str, tmp_path: Path, capsys: Captured) -> None:
    path = cluster(tmp_path, ONLY_WEB, ONLY_8080, mesh=AMBIENT)
    assert main([verb, path, "shop/web", PAY]) == 1
    told = capsys.readouterr().out
    assert "denied by the network: NetworkPolicy/shop/pay isolation; and by the mesh: " in told
    assert "over mTLS, on the wire at port 15008" in told


@pytest.mark.parametrize("verb", ["check", "explain"])
def test_the_json_has_both_layers(verb: str, tmp_path: Path, capsys: Captured) -> None:
    path = cluster(tmp_path, mesh=AMBIENT)
    assert main([verb, path, "shop/web", PAY, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"] == {
        "network": {"egress": "allow", "ingress": "allow"},
        "mesh": {
            "egress": "allow",
            "ingress": "allow",
            "mtls": True,
            "wire_port": 15008,
            "waypoint": None,
        },
    }


def test_what_differs_between_the_ways_is_not_told_as_one(tmp_path: Path, capsys: Captured) -> None:
    """By the Service it is mTLS, by the pod's own address it is not."""
    assert main(["check", cluster(tmp_path), "shop/web", "shop/pay:8080", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"]["mesh"]["mtls"] is None


def test_without_a_mesh_nothing_of_one_is_told(tmp_path: Path, capsys: Captured) -> None:
    assert main(["check", cluster(tmp_path), "10.9.9.9", "legacy/batch:80", "-o", "json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["layers"]) == ["network"]


def test_warnings_are_told_by_explain_and_by_the_wide_output(
    tmp_path: Path, capsys: Captured
) -> None:
    path = cluster(tmp_path, ONLY_8080, mesh=AMBIENT)
    told = "NetworkPolicy/shop/pay: allows what the mesh carries on TCP 15008, but not"
    assert main(["explain", path, "shop/web", PAY]) == 1
    assert f"warning: {told}" in capsys.readouterr().out
    assert main(["connectivity", path, "-o", "wide"]) == 0
    assert f"WARNINGS\n  {told}" in capsys.readouterr().out
    assert main(["connectivity", path]) == 0
    assert told not in capsys.readouterr().out
