"""Requests, names and staged policies at the command line, under Calico and Cilium."""

import json
from pathlib import Path
from typing import Any

import pytest

from questions.cni_shops import CALICO_SHOP, CILIUM_SHOP, STAGED
from ringfence.cli.main import main

POST = "POST /v1/payment"


@pytest.fixture
def cilium(tmp_path: Path) -> list[str]:
    path = tmp_path / "cilium.yaml"
    path.write_text(CILIUM_SHOP)
    return ["--profile", "cilium", str(path)]


@pytest.fixture
def calico(tmp_path: Path) -> list[str]:
    path = tmp_path / "calico.yaml"
    path.write_text(CALICO_SHOP + STAGED)
    return ["--profile", "calico", str(path)]


Captured = pytest.CaptureFixture[str]


def out(capsys: Captured) -> str:
    return capsys.readouterr().out


@pytest.mark.parametrize("judge", ["engine", "reference"])
def test_only_one_verb_passes(cilium: list[str], judge: str, capsys: Captured) -> None:
    asked = ["check", *cilium, "--judge", judge, "shop/web", "shop/payment:8080"]
    assert main([*asked, "--http", POST]) == 0
    assert "-> shop/payment:8080 POST /v1/payment   (profile cilium)" in out(capsys)
    assert main([*asked, "--http", "GET /v1/payment"]) == 1
    assert main([*asked, "--http", "POST"]) == 0
    assert main(asked) == 0
    assert "\n  only POST /v1/payment\n" in out(capsys)


def test_an_answer_in_json_says_what_was_asked_and_what_it_is_limited_to(
    cilium: list[str], capsys: Captured
) -> None:
    asked = ["check", *cilium, "shop/web", "shop/payment:8080", "-o", "json"]
    assert main([*asked, "--http", "POST", "--header", "X-Id: 7"]) == 0
    answer = json.loads(out(capsys))
    assert answer["http"] == {"method": "POST", "headers": {"X-Id": "7"}}
    assert answer["limited_to"] == [{"http": {"method": "POST", "path": "/v1/payment"}}]
    assert main([*asked[:-1], "yaml", "--grpc", "shop.Pay/Charge"]) == 1
    assert "grpc:\n  service: shop.Pay\n  method: Charge\n" in out(capsys)


def test_a_dns_query_goes_over_udp_and_is_told_as_such(cilium: list[str], capsys: Captured) -> None:
    asked = ["check", *cilium, "shop/web", "svc/kube-system/kube-dns:53", "-o", "json", "--dns"]
    assert main([*asked, "api.stripe.com"]) == 0
    assert json.loads(out(capsys))["protocol"] == "UDP"
    assert main([*asked, "api.other.io"]) == 1


def test_a_name_is_a_peer(cilium: list[str], capsys: Captured) -> None:
    assert main(["check", *cilium, "shop/web", "api.stripe.com:443"]) == 0
    assert main(["check", *cilium, "shop/web", "api.other.io:443"]) == 1
    assert "note: the name cannot be looked up: api.other.io" in out(capsys)


@pytest.mark.parametrize(
    "options",
    [
        ["--http", "GET", "--grpc", "a/b"],
        ["--http", "GET POST /x"],
        ["--http", "GET", "--header", "no colon"],
        ["--grpc", "method"],
        ["--dns", "x.io", "--sni", "x.io"],
        ["--icmp", "echo"],
        ["--icmp", "8"],
    ],
)
def test_what_cannot_be_understood_is_bad_usage(
    cilium: list[str], options: list[str], capsys: Captured
) -> None:
    assert main(["check", *cilium, "shop/web", "shop/payment:8080", *options]) == 2
    assert capsys.readouterr().err.startswith("ringfence: ")


def test_a_query_that_contradicts_itself_gets_an_error_in_its_place(
    cilium: list[str], tmp_path: Path, capsys: Captured
) -> None:
    pair: dict[str, Any] = {"from": "shop/web", "to": "shop/payment", "port": 8080}
    queries = [
        {**pair, "id": 1, "http": {"method": "POST", "path": "/v1/payment"}},
        {**pair, "id": 2, "http": {"method": "GET"}, "protocol": "UDP"},
        {**pair, "id": 3, "grpc": {"service": "a", "method": "b"}, "http": {}},
        {**pair, "id": 4, "grpc": {"service": "a.B", "method": "c"}},
        {**pair, "id": 5, "dns": {"query": "x.io"}, "protocol": "SCTP"},
        {"from": "shop/web", "to": "shop/payment", "id": 6, "icmp": {"type": 8}},
        {**pair, "id": 7, "http": {"method": "POST"}, "mtls": True},
    ]
    path = tmp_path / "queries.jsonl"
    path.write_text("\n".join(map(json.dumps, queries)))
    assert main(["check", *cilium, "--queries", str(path)]) == 3
    answers = [json.loads(line) for line in out(capsys).splitlines()]
    assert [a.get("verdict", "error") for a in answers] == [
        "allow",
        "error",
        "error",
        "deny",
        "error",
        "deny",
        "allow",
    ]
    assert answers[6]["limited_to"] == [{"http": {"method": "POST", "path": "/v1/payment"}}]


def test_a_version_of_cilium_implies_its_profile(cilium: list[str], capsys: Captured) -> None:
    asked = ["check", cilium[-1], "shop/web", "shop/payment:8080", "--cilium-version", "1.15"]
    assert main(asked) == 0
    assert "(profile cilium)" in out(capsys)
    assert main([*asked, "--profile", "calico"]) == 2
    assert main([*asked[:-1], "newest"]) == 2


# -- staged --------------------------------------------------------------------------------------


def test_staged_policies_answer_where_they_are_asked(calico: list[str], capsys: Captured) -> None:
    asked = ["check", *calico, "shop/web", "shop/payment:8080", "--http", "GET /v1/x"]
    assert main(asked) == 0
    assert main([*asked, "--staged"]) == 1
    assert "StagedNetworkPolicy/shop/payment isolation" in out(capsys)


def test_what_enforcing_them_would_change(calico: list[str], capsys: Captured) -> None:
    assert main(["diff", "--staged", *calico]) == 1
    assert "TCP 8080 (GET|POST /v1[/*]; but not POST /v1/payment)" in out(capsys)
    path = calico[-1]
    assert main(["diff", *calico, path]) == 0
    assert main(["diff", *calico, path, "--staged"]) == 1
    assert main(["diff", *calico]) == 2


def test_an_input_without_staged_policies_would_not_change(cilium: list[str]) -> None:
    assert main(["diff", "--staged", *cilium]) == 0


def test_explain_shows_tier_log_and_what_is_staged(calico: list[str], capsys: Captured) -> None:
    asked = ["explain", *calico, "shop/web", "shop/payment:8080", "--http", "GET /v1/x"]
    assert main(asked) == 0
    shown = out(capsys)
    assert "GlobalNetworkPolicy/security.log, tier security (100), order 10" in shown
    assert "ingress[0] log: matches" in shown
    assert "staged: StagedNetworkPolicy/shop/payment would deny it" in shown
    assert "note: HTTP rules hold only where" in shown


def test_explain_shows_the_lookup_first(cilium: list[str], capsys: Captured) -> None:
    assert main(["explain", *cilium, "shop/web", "api.other.io:443"]) == 1
    shown = out(capsys)
    first = shown.index("First the name must be looked up: shop/web -> kube-system/coredns:53/UDP")
    assert first < shown.index("\nEgress from shop/web: ALLOW")
    assert "What would allow it (judged anew with it: allowed)" in shown
    asked = ["explain", *cilium, "shop/web", "api.other.io:443", "-o", "json"]
    assert main(asked) == 1
    assert json.loads(out(capsys))["lookup"]["judgement"]["verdict"] == "deny"
