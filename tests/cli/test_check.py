"""`ringfence check` and `explain` at the command line: shapes, order, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from questions.shop import MANIFESTS
from ringfence.cli.main import main


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    path = tmp_path / "shop.yaml"
    path.write_text(MANIFESTS)
    return str(path)


def answers(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("target", "code", "word"),
    [("shop/db:5432", 0, "ALLOW"), ("shop/db:sql/TCP", 0, "ALLOW"), ("shop/db:22", 1, "DENY")],
)
def test_exit_code_and_word(
    cluster: str, target: str, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", cluster, "shop/web", target]) == code
    assert capsys.readouterr().out.startswith(word)


@pytest.mark.parametrize("target", ["shop/dbb:80", "shop/db:", "shop/db:80/QUIC", ":80"])
def test_a_question_that_cannot_be_understood(
    cluster: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", cluster, "shop/web", target]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("ringfence: ")


def test_unknown_is_no_success(cluster: str) -> None:
    assert main(["check", cluster, "shop/web", "shop/db:/ICMP"]) == 1
    assert main(["check", cluster, "shop/web", "shop/db:/ICMP", "--strict"]) == 3


def test_options_may_stand_between_the_words(cluster: str) -> None:
    pod_cidr = ["--pod-cidr", "10.0.0.0/8"]
    assert main(["check", cluster, *pod_cidr, "shop/web", "shop/db:5432", "--strict"]) == 0
    assert main(["check", *pod_cidr, cluster, "shop/web", "--strict", "shop/db:22"]) == 1


def test_an_ipv6_address_stands_in_brackets(cluster: str) -> None:
    assert main(["check", cluster, "shop/db", "[2001:db8::1]:443"]) == 0


def test_evidence_has_file_and_line(cluster: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", cluster, "shop/web", "shop/db:5432", "-o", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["apiVersion"], answer["kind"]) == ("ringfence.dev/v1", "Check")
    piece = next(e for e in answer["evidence"] if e["direction"] == "ingress")
    line = 1 + MANIFESTS.splitlines().index("  - from: [{podSelector: {matchLabels: {app: web}}}]")
    assert piece == {
        "layer": "network",
        "direction": "ingress",
        "action": "allow",
        "object": "NetworkPolicy/shop/db",
        "rule": "ingress[0]",
        "file": cluster,
        "line": line,
    }


def test_queries_are_answered_in_order_and_errors_stand_in_their_place(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text(
        '{"id":"1","from":"shop/web","to":"shop/db","port":5432,"protocol":"TCP"}\n'
        '{"id":2,"from":"shop/web","to":"shop/db","port":"sql","http":{"method":"GET"}}\n'
        '{"id":"3","from":"shop/nobody","to":"shop/db","port":80}\n'
        "not json\n"
        "\n"
        '{"id":"5","from":"shop/web","to":"shop/db","port":80,"prot":"TCP"}\n'
        '{"id":"6","from":"shop/web","to":"shop/db","port":80}\n'
    )
    assert main(["check", cluster, "--queries", str(queries)]) == 3
    found = answers(capsys)
    assert [answer["id"] for answer in found] == ["1", 2, "3", None, "5", "6"]
    assert [answer.get("verdict") for answer in found] == [
        "allow",
        "allow",
        None,
        None,
        None,
        "deny",
    ]
    assert all(("error" in answer) != ("verdict" in answer) for answer in found)
    assert found[0]["profile"] == "generic"
    assert found[0]["layers"] == {"network": {"egress": "allow", "ingress": "allow"}}
    assert found[0]["unknown_because"] == []


def test_the_exit_code_of_queries_is_that_of_the_worst_answer(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"from":"shop/web","to":"shop/db","protocol":"ICMP"}\n')
    assert main(["check", cluster, "--queries", str(queries)]) == 1
    assert answers(capsys)[0]["verdict"] == "unknown"
    assert main(["check", cluster, "--queries", str(queries), "--strict"]) == 3
    queries.write_text('{"from":"shop/web","to":"shop/db","port":5432}\n')
    assert main(["check", cluster, "--queries", str(queries)]) == 0


def test_a_missing_queries_file_is_told(cluster: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", cluster, "--queries", "/nonexistent"]) == 3
    assert "/nonexistent" in capsys.readouterr().err


def test_a_second_opinion(cluster: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", cluster, "ops/tool", "shop/db:5432", "--judge", "reference"]) == 1
    assert "NetworkPolicy/shop/db" in capsys.readouterr().out


def test_what_could_not_be_read_makes_the_exit_code_3(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: ConfigMap\nmetadata:\n\tname: x\n")
    assert main(["check", cluster, str(broken), "shop/web", "shop/db:5432"]) == 3
    assert f"{broken}:3" in capsys.readouterr().err


def test_explain_shows_the_way_and_the_change(
    cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", cluster, "ops/tool", "svc/shop/db:80"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("ops/tool -> shop/db:5432/TCP: DENY")
    assert "* NetworkPolicy/shop/db, default deny" in shown
    assert "judged anew with it: allowed" in shown


def test_explain_as_json(cluster: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", cluster, "ops/tool", "shop/db:5432", "-o", "json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["apiVersion"], answer["kind"]) == ("ringfence.dev/v1", "Explanation")
    assert [side["verdict"] for side in answer["sides"]] == ["allow", "deny"]
    assert answer["changes"][0]["proved"] is True
