"""How long a server in trouble is waited for."""

import pytest

from ringfence.errors import ClusterError
from ringfence.sources import live_requests
from ringfence.sources.live import read_cluster
from sources.api_server import (
    Answer,
    ApiServer,
    always,
    just,
    status,
    told,
)
from sources.live_readings import PAGE, PODS, POLICIES, names, problem

pytestmark = pytest.mark.usefixtures("sealed")


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(status(429, "slow down"), id="busy"),
        pytest.param(status(500, "etcd leader changed"), id="internal"),
        pytest.param(Answer(502, b"<html>Bad gateway</html>"), id="proxy"),
        pytest.param(status(503, "starting"), id="unavailable"),
        pytest.param(status(504, "took too long"), id="timeout"),
        pytest.param(Answer(body=PAGE, sent=30), id="cut off"),
        pytest.param(Answer(body=PAGE, sent=0), id="cut off before its body"),
        pytest.param(Answer(body=PAGE[:40]), id="cut off by a proxy that then counts anew"),
        pytest.param(Answer(reset=True), id="reset"),
    ],
)
def test_trouble_that_passes_is_waited_for(
    api: ApiServer, kubeconfig: str, trouble: Answer
) -> None:
    api.add("pods", "web", "shop")
    api.scripts[PODS] = just(trouble, trouble)
    reading = read_cluster(kubeconfig=kubeconfig)
    assert told(reading) == ()
    assert names(reading, "Pod") == ["shop/web"]
    assert len(api.asked(PODS)) == 3


def test_trouble_in_the_middle_of_a_list_repeats_only_that_page(
    api: ApiServer, kubeconfig: str, many: list[str]
) -> None:
    api.scripts[PODS] = just(None, Answer(body=PAGE, sent=9), None, Answer(reset=True))
    assert names(read_cluster(kubeconfig=kubeconfig), "Pod") == many
    tokens = [request.query.get("continue") for request in api.asked(PODS)]
    assert tokens[1] == tokens[2] != tokens[3] == tokens[4]
    assert len(tokens) == 5


def test_the_server_says_how_long_to_wait(
    api: ApiServer, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(live_requests, "sleep", slept.append)
    busy = status(429, "slow down")
    api.scripts[PODS] = just(
        Answer(429, busy.body, {"Retry-After": "3"}),
        status(429, "slow down", details={"retryAfterSeconds": 2}),
        Answer(429, busy.body, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    )
    assert told(read_cluster(kubeconfig=kubeconfig)) == ()
    assert slept == [3.0, 2.0, 0.04]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(
    api: ApiServer, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(live_requests, "sleep", slept.append)
    api.scripts[PODS] = always(Answer(429, b"{}", {"Retry-After": "3600"}))
    reading = read_cluster(kubeconfig=kubeconfig)
    assert slept == []
    assert told(reading) == (problem("`list` of `pods` failed: Too Many Requests (429)", "Pod"),)


def test_patience_is_for_the_whole_reading(
    api: ApiServer, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(live_requests, "sleep", slept.append)
    monkeypatch.setattr(live_requests, "FIRST_PAUSE_S", 20.0)
    for path in (PODS, POLICIES):
        api.scripts[path] = always(status(503, "starting"))
    reading = read_cluster(kubeconfig=kubeconfig)
    assert sum(slept) < live_requests.PATIENCE_S
    assert len(api.asked(PODS)) > 1
    assert len(told(reading)) == 2


def test_a_kind_that_fails_for_ever_is_a_problem(api: ApiServer, kubeconfig: str) -> None:
    api.add("pods", "web", "shop")
    api.scripts[POLICIES] = always(status(500, "conversion webhook failed:\n  no route"))
    reading = read_cluster(kubeconfig=kubeconfig)
    assert names(reading, "Pod") == ["shop/web"]
    assert told(reading) == (
        problem(
            "`list` of `networkpolicies.networking.k8s.io` failed: conversion webhook failed: no "
            "route (500)",
            "NetworkPolicy",
        ),
    )
    assert len(api.asked(POLICIES)) == live_requests.TRIES


def test_other_refusals_are_not_repeated(api: ApiServer, kubeconfig: str) -> None:
    api.scripts[PODS] = always(status(400, "no such thing"))
    reading = read_cluster(kubeconfig=kubeconfig)
    assert told(reading) == (problem("`list` of `pods` failed: no such thing (400)", "Pod"),)
    assert len(api.asked(PODS)) == 1


def test_a_server_that_fails_at_everything_has_failed(api: ApiServer, kubeconfig: str) -> None:
    for resource in api.resources:
        api.scripts[f"{resource.prefix}/{resource.plural}"] = always(status(500, "no etcd"))
    with pytest.raises(ClusterError, match=r"fails at every list: no etcd \(500\)") as caught:
        read_cluster(kubeconfig=kubeconfig)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "trouble", [Answer(body=PAGE, sent=30), Answer(body=PAGE[:30]), Answer(reset=True)]
)
def test_answers_that_never_come_whole_are_an_error(
    api: ApiServer, kubeconfig: str, trouble: Answer
) -> None:
    api.scripts[PODS] = always(trouble)
    with pytest.raises(ClusterError, match=r"cannot read from `http://127\.0\.0\.1:") as caught:
        read_cluster(kubeconfig=kubeconfig)
    assert "\n" not in str(caught.value)
    assert len(api.asked(PODS)) == live_requests.TRIES


def test_a_slow_server_is_waited_for(api: ApiServer, kubeconfig: str) -> None:
    api.scripts[PODS] = just(
        Answer(body=PAGE[:-1] + b',"metadata":{"continue":"x"}}', delay_s=0.3),
        Answer(body=PAGE, trickle_s=0.002),
    )
    assert names(read_cluster(kubeconfig=kubeconfig), "Pod") == ["shop/web"]


def test_a_silent_server_is_not_waited_for_for_ever(
    api: ApiServer, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.sources.live_access.READ_S", 0.1)
    monkeypatch.setattr(live_requests, "TRIES", 2)
    api.scripts[PODS] = always(Answer(delay_s=0.5))
    with pytest.raises(ClusterError, match="no answer within"):
        read_cluster(kubeconfig=kubeconfig)
    assert len(api.asked(PODS)) == 2


def test_an_answer_that_trickles_in_is_not_waited_for_for_ever(
    api: ApiServer, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_requests, "ANSWER_S", 0.1)
    monkeypatch.setattr(live_requests, "TRIES", 1)
    api.scripts[PODS] = always(Answer(body=PAGE, trickle_s=0.02))
    with pytest.raises(ClusterError, match="no whole answer within"):
        read_cluster(kubeconfig=kubeconfig)


@pytest.mark.parametrize("path", ["/api", "/apis"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>Welcome to nginx</html>"),
        Answer(body=b'{"hello":"world"}'),
        Answer(body=b"[]"),
        Answer(404, b"not found"),
        Answer(302, b"", {"Location": "https://login.example/"}),
        status(403, 'User "system:anonymous" cannot get path "/api"'),
        status(500, "no etcd"),
    ],
)
def test_what_is_no_api_server_is_told_as_such(
    api: ApiServer, kubeconfig: str, path: str, answer: Answer
) -> None:
    api.scripts[path] = always(answer)
    with pytest.raises(ClusterError) as caught:
        read_cluster(kubeconfig=kubeconfig)
    assert path in str(caught.value) or "no JSON" in str(caught.value)
    assert "\n" not in str(caught.value)
