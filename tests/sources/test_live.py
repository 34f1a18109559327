"""Reading a live cluster: what is listed, page by page, and what becomes of what cannot be."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.errors import ClusterError
from ringfence.model.location import Location, Problem
from ringfence.model.reading import Reading
from ringfence.sources import live_requests
from ringfence.sources.live import read_cluster
from ringfence.sources.live_listing import EXPIRIES
from sources.api_server import (
    Answer,
    ApiServer,
    Request,
    Resource,
    always,
    just,
    seal_off,
    serving,
    status,
    told,
    write_kubeconfig,
)

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
PODS = "/api/v1/pods"


@pytest.fixture(autouse=True)
def _sealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seal_off(monkeypatch, tmp_path)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with serving(ApiServer()) as api:
        yield api


@pytest.fixture
def kubeconfig(api: ApiServer, tmp_path: Path) -> str:
    return write_kubeconfig(tmp_path / "config", api.url)


def names(reading: Reading, kind: str) -> list[str]:
    return [
        f"{document.namespace}/{document.name}"
        for document in reading.documents
        if document.kind == kind
    ]


def test_kinds_that_the_server_does_not_have_are_named_in_a_note(
    api: ApiServer, kubeconfig: str
) -> None:
    notes = [p for p in read_cluster(kubeconfig=kubeconfig).problems if p.severity == "note"]
    assert [note.affects for note in notes] == [()]
    assert "adminnetworkpolicies.policy.networking.k8s.io" in notes[0].message
    assert "pods" not in notes[0].message


def problem(message: str, kind: str, severity: str = "error", spared: str | None = None) -> Problem:
    return Problem(message, Location("live:test"), (kind,), severity=severity, spared=spared)


def test_the_module_is_light_until_it_is_used() -> None:
    """Every verb imports it; only `--live` shall wait for the HTTP client."""
    code = (
        "import sys, ringfence.sources.live\n"
        "sys.exit(' '.join({'lightkube', 'httpx2', 'yaml'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_objects_come_as_documents(api: ApiServer, kubeconfig: str) -> None:
    api.add("namespaces", "shop", metadata={"labels": {"env": "prod"}})
    api.add("deployments", "web", "shop", spec={"replicas": 2})
    reading = read_cluster(kubeconfig=kubeconfig)
    assert told(reading) == ()
    assert reading.source == "test"
    namespace, deployment = reading.documents
    assert namespace.ref == "Namespace/shop"
    assert namespace.file == "live:test"
    assert namespace.line is None
    assert deployment.ref == "Deployment/shop/web"
    assert deployment.api_version == "apps/v1"
    assert deployment.body == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "deployments-shop-web"},
        "spec": {"replicas": 2},
    }


def test_kinds_and_objects_come_in_a_fixed_order(api: ApiServer, kubeconfig: str) -> None:
    for name in ("c", "a", "b"):
        api.add("pods", name, "zoo")
        api.add("pods", name, "app")
        api.add("namespaces", name)
    reading = read_cluster(kubeconfig=kubeconfig)
    assert [document.ref for document in reading.documents] == [
        *(f"Namespace/{name}" for name in "abc"),
        *(f"Pod/app/{name}" for name in "abc"),
        *(f"Pod/zoo/{name}" for name in "abc"),
    ]


def test_secrets_are_never_asked_for_nor_all_config_maps(api: ApiServer, kubeconfig: str) -> None:
    api.add("secrets", "password", "kube-system", data={"x": "eA=="})
    api.add("configmaps", "other", "kube-system", data={"x": "y"})
    api.add("configmaps", "cilium-config", "kube-system", data={"tunnel": "vxlan"})
    reading = read_cluster(kubeconfig=kubeconfig, namespace="kube-system")
    paths = [request.path for request in api.requests]
    assert not [path for path in paths if "secret" in path]
    assert [path for path in paths if "configmap" in path] == [
        "/api/v1/namespaces/kube-system/configmaps/cilium-config"
    ]
    assert [document.ref for document in reading.documents] == [
        "ConfigMap/kube-system/cilium-config"
    ]
    assert reading.documents[0].body["data"] == {"tunnel": "vxlan"}


def test_a_forbidden_cilium_config_is_only_a_warning(api: ApiServer, kubeconfig: str) -> None:
    api.forbidden.add(("configmaps", "kube-system"))
    (one,) = told(read_cluster(kubeconfig=kubeconfig))
    assert one.severity == "warning"
    assert one.affects == ("ConfigMap",)
    assert "cilium-config" in one.message


def test_policies_stay_whole_and_the_rest_loses_its_bulk(api: ApiServer, kubeconfig: str) -> None:
    applied = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}}
    spec = {"podSelector": {}, "unheard-of": [None, {"x": 1.5}]}
    api.add("networkpolicies", "p", "shop", metadata=applied, spec=spec, status={"conditions": [1]})
    api.add(
        "pods",
        "web",
        "shop",
        metadata=applied,
        spec={"hostNetwork": True},
        status={
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [1],
            "containerStatuses": [],
        },
    )
    api.add("nodes", "n", status={"addresses": [], "images": [{"names": ["x"]}]})
    node, pod, policy = read_cluster(kubeconfig=kubeconfig).documents
    assert policy.body["metadata"] == {
        "name": "p",
        "namespace": "shop",
        "uid": "networkpolicies-shop-p",
        **applied,
    }
    assert policy.body["spec"] == spec
    assert policy.body["status"] == {"conditions": [1]}
    assert pod.body["metadata"]["annotations"] == {"a": "b"}
    assert pod.body["spec"] == {"hostNetwork": True}
    assert pod.body["status"] == {"phase": "Running", "podIP": "10.0.0.1", "conditions": [1]}
    assert node.body["status"] == {"addresses": []}


def test_an_item_without_a_name_is_a_problem(api: ApiServer, kubeconfig: str) -> None:
    api.scripts[PODS] = just(Answer(body=b'{"items":[{"spec":{}},{"metadata":{"name":"p"}}]}'))
    reading = read_cluster(kubeconfig=kubeconfig)
    assert names(reading, "Pod") == ["/p"]
    assert told(reading) == (problem("an item of `pods` has no name", "Pod"),)


# --- pages -------------------------------------------------------------------------------------


@pytest.fixture
def many(api: ApiServer) -> list[str]:
    """Store 1,203 pods: three pages."""
    for number in range(1203):
        api.add("pods", f"p{number:04}", "shop" if number % 2 else "app")
    return sorted(f"{namespace}/{name}" for namespace, name in api.objects["pods"])


def test_long_lists_come_in_pages(api: ApiServer, kubeconfig: str, many: list[str]) -> None:
    seen: list[tuple[str, int]] = []
    reading = read_cluster(
        kubeconfig=kubeconfig, progress=lambda plural, count: seen.append((plural, count))
    )
    assert names(reading, "Pod") == many
    assert [request.query.get("limit") for request in api.asked(PODS)] == ["500"] * 3
    assert ["continue" in request.query for request in api.asked(PODS)] == [False, True, True]
    assert [count for plural, count in seen if plural == "pods"] == [500, 1000, 1203]
    assert ("namespaces", 0) in seen


def expired(request: Request, *, token: str = "") -> Answer:
    return status(
        410, "the continue token has expired", reason="Expired", metadata={"continue": token}
    )


def test_an_expired_list_starts_again(api: ApiServer, kubeconfig: str, many: list[str]) -> None:
    asked = 0

    def script(request: Request) -> Answer | None:
        nonlocal asked
        asked += 1
        if asked != 3:
            return None
        # The server forgets the list's moment, and the cluster has moved on since.
        del api.objects["pods"]["app", "p0000"]
        api.add("pods", "p0000a", "app")
        return expired(request)

    api.scripts[PODS] = script
    reading = read_cluster(kubeconfig=kubeconfig)
    assert told(reading) == ()
    expected = sorted([*(set(many) - {"app/p0000"}), "app/p0000a"])
    assert names(reading, "Pod") == expected
    assert [bool(request.query.get("continue")) for request in api.asked(PODS)] == [
        *(False, True, True),
        *(False, True, True),
    ]


def test_an_expired_list_goes_on_where_the_server_says(
    api: ApiServer, kubeconfig: str, many: list[str]
) -> None:
    tokens: list[str] = []

    def script(request: Request) -> Answer | None:
        token = request.query.get("continue", "")
        if not token or token in tokens:
            return None
        tokens.append(token)
        # A server may well start anew a little before the key where it stopped.
        return expired(request, token=token)

    api.scripts[PODS] = script
    reading = read_cluster(kubeconfig=kubeconfig)
    assert told(reading) == ()
    assert names(reading, "Pod") == many
    assert len(tokens) == 2
    assert len(api.asked(PODS)) == 5


def test_a_list_that_expires_for_ever_is_a_problem(
    api: ApiServer, kubeconfig: str, many: list[str]
) -> None:
    api.scripts[PODS] = lambda request: expired(request) if "continue" in request.query else None
    reading = read_cluster(kubeconfig=kubeconfig)
    assert names(reading, "Pod") == []
    assert told(reading) == (
        problem("`list` of `pods` failed: the continue token has expired (410)", "Pod"),
    )
    assert len(api.asked(PODS)) == 2 * (EXPIRIES + 1)


def test_an_object_on_two_pages_is_one(api: ApiServer, kubeconfig: str) -> None:
    page = b'{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}],"metadata":{%s}}'
    api.scripts[PODS] = just(
        Answer(body=page % b'"continue":"x"'), Answer(body=page % b'"continue":""')
    )
    assert names(read_cluster(kubeconfig=kubeconfig), "Pod") == ["/a", "/b"]


def test_a_server_that_repeats_a_page_is_not_asked_for_ever(
    api: ApiServer, kubeconfig: str
) -> None:
    api.scripts[PODS] = always(Answer(body=b'{"items":[],"metadata":{"continue":"x"}}'))
    with pytest.raises(ClusterError, match="same page again"):
        read_cluster(kubeconfig=kubeconfig)
    assert len(api.asked(PODS)) == 2


# --- what the account may not see --------------------------------------------------------------


def test_a_forbidden_kind_is_told_and_the_rest_read(api: ApiServer, kubeconfig: str) -> None:
    api.add("pods", "web", "shop")
    api.forbidden.add(("networkpolicies", None))
    reading = read_cluster(kubeconfig=kubeconfig)
    assert names(reading, "Pod") == ["shop/web"]
    assert told(reading) == (
        problem(
            "the account may not `list` `networkpolicies.networking.k8s.io` in all namespaces",
            "NetworkPolicy",
        ),
    )


def test_a_forbidden_kind_of_the_cluster_is_told(api: ApiServer, kubeconfig: str) -> None:
    api.forbidden.add(("nodes", None))
    reading = read_cluster(kubeconfig=kubeconfig, namespace="shop")
    assert told(reading) == (
        problem("the account may not `list` `nodes` at cluster scope", "Node"),
    )


def test_everything_is_read_from_all_namespaces_even_if_one_is_named(
    api: ApiServer, kubeconfig: str
) -> None:
    for namespace in ("shop", "other"):
        api.add("namespaces", namespace)
        api.add("pods", "web", namespace)
    reading = read_cluster(kubeconfig=kubeconfig, namespace="shop")
    assert names(reading, "Namespace") == ["/other", "/shop"]
    assert names(reading, "Pod") == ["other/web", "shop/web"]


def test_the_named_namespace_is_read_where_the_cluster_may_not_be(
    api: ApiServer, kubeconfig: str
) -> None:
    for namespace in ("shop", "other"):
        api.add("namespaces", namespace)
        api.add("pods", "web", namespace)
        api.add("services", "web", namespace)
    api.forbidden |= {
        ("namespaces", None),
        ("pods", None),
        ("services", None),
        ("services", "shop"),
    }
    reading = read_cluster(kubeconfig=kubeconfig, namespace="shop")
    assert names(reading, "Namespace") == ["/shop"]
    assert names(reading, "Pod") == ["shop/web"]
    assert names(reading, "Service") == []
    assert told(reading) == (
        problem(
            "the account may `get` namespace `shop` but not `list` `namespaces` at cluster scope",
            "Namespace",
        ),
        problem(
            "the account may `list` `pods` in namespace `shop` but not in all namespaces",
            "Pod",
            spared="shop",
        ),
        problem(
            "the account may not `list` `services` in all namespaces, nor in namespace `shop`",
            "Service",
        ),
    )


def test_a_namespace_that_may_not_even_be_got_is_told(api: ApiServer, kubeconfig: str) -> None:
    api.add("namespaces", "shop")
    api.forbidden |= {("namespaces", None), ("namespaces", "shop")}
    reading = read_cluster(kubeconfig=kubeconfig, namespace="shop")
    assert reading.documents == ()
    assert told(reading) == (
        problem("the account may not `list` `namespaces` at cluster scope", "Namespace"),
    )


def test_a_namespace_is_no_way_out_of_its_path(api: ApiServer, kubeconfig: str) -> None:
    api.forbidden.add(("pods", None))
    read_cluster(kubeconfig=kubeconfig, namespace="../secrets?x=")
    assert not [
        request for request in api.requests if "secrets" in request.path.split("/namespaces/")[0]
    ]
    assert "/api/v1/namespaces/..%2Fsecrets%3Fx%3D/pods" in {r.path for r in api.requests}


def test_an_account_that_may_list_nothing_still_gets_an_answer(
    api: ApiServer, kubeconfig: str
) -> None:
    api.forbidden |= {(resource.plural, None) for resource in api.resources}
    reading = read_cluster(kubeconfig=kubeconfig)
    assert reading.documents == ()
    assert {kind for one in told(reading) for kind in one.affects} >= {"Pod", "NetworkPolicy"}


# --- what the server has -----------------------------------------------------------------------

GATEWAY = "gateway.networking.k8s.io"
POLICY = "policy.networking.k8s.io"


def test_absent_groups_are_simply_absent(api: ApiServer, kubeconfig: str) -> None:
    assert told(read_cluster(kubeconfig=kubeconfig)) == ()
    assert not [request for request in api.requests if GATEWAY in request.path]


def test_cluster_scoped_policies_are_read(api: ApiServer, kubeconfig: str) -> None:
    api.resources += [
        Resource(POLICY, "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy", False),
        Resource(POLICY, "v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy", False),
    ]
    api.add("adminnetworkpolicies", "a", spec={"priority": 1})
    api.add("clusternetworkpolicies", "c", spec={"priority": 2})
    reading = read_cluster(kubeconfig=kubeconfig, namespace="shop")
    assert told(reading) == ()
    assert [(document.ref, document.api_version) for document in reading.documents] == [
        ("ClusterNetworkPolicy/c", f"{POLICY}/v1alpha2"),
        ("AdminNetworkPolicy/a", f"{POLICY}/v1alpha1"),
    ]


def test_the_newest_known_version_of_each_kind_is_read(api: ApiServer, kubeconfig: str) -> None:
    api.resources += [
        Resource(GATEWAY, "v1alpha2", "tlsroutes", "TLSRoute"),
        Resource(GATEWAY, "v1alpha3", "tlsroutes", "TLSRoute"),
        Resource(GATEWAY, "v1beta1", "httproutes", "HTTPRoute"),
        Resource(GATEWAY, "v1", "httproutes", "HTTPRoute"),
        Resource(GATEWAY, "v1beta1", "gateways", "Gateway"),
        Resource(GATEWAY, "v2", "gateways", "Gateway"),
    ]
    for plural in ("tlsroutes", "httproutes", "gateways"):
        api.add(plural, "x", "shop")
    reading = read_cluster(kubeconfig=kubeconfig)
    assert told(reading) == ()
    assert {document.kind: document.api_version for document in reading.documents} == {
        "Gateway": f"{GATEWAY}/v1beta1",
        "HTTPRoute": f"{GATEWAY}/v1",
        "TLSRoute": f"{GATEWAY}/v1alpha3",
    }


def test_a_policy_kind_in_unknown_versions_only_is_a_problem(
    api: ApiServer, kubeconfig: str
) -> None:
    api.resources += [
        Resource(POLICY, "v1beta1", "clusternetworkpolicies", "ClusterNetworkPolicy", False),
        Resource(POLICY, "v1", "clusternetworkpolicies", "ClusterNetworkPolicy", False),
        Resource(GATEWAY, "v9", "tcproutes", "TCPRoute"),
    ]
    reading = read_cluster(kubeconfig=kubeconfig)
    assert told(reading) == (
        problem(
            f"the server has `tcproutes.{GATEWAY}` only in versions that this program does not "
            "know: v9 (known: v1, v1alpha2)",
            "TCPRoute",
            "warning",
        ),
        problem(
            f"the server has `clusternetworkpolicies.{POLICY}` only in versions that this program "
            "does not know: v1beta1, v1 (known: v1alpha2)",
            "ClusterNetworkPolicy",
        ),
    )


def test_a_group_whose_kinds_are_not_told_hides_them_all(api: ApiServer, kubeconfig: str) -> None:
    api.scripts["/apis/networking.k8s.io/v1"] = always(status(403, "no discovery for eve"))
    (one,) = told(read_cluster(kubeconfig=kubeconfig))
    assert one.affects == ("Ingress", "NetworkPolicy")
    assert "no discovery for eve (403)" in one.message


def test_a_version_that_vanished_is_absent(api: ApiServer, kubeconfig: str) -> None:
    api.scripts["/apis/batch/v1"] = always(status(404, "not found"))
    assert told(read_cluster(kubeconfig=kubeconfig)) == ()


def test_a_kind_that_vanished_is_absent(api: ApiServer, kubeconfig: str) -> None:
    api.scripts[POLICIES] = always(status(404, "not found"))
    assert told(read_cluster(kubeconfig=kubeconfig)) == ()


def test_a_kind_that_cannot_be_listed_is_absent(api: ApiServer, kubeconfig: str) -> None:
    api.scripts["/apis/batch/v1"] = always(
        Answer(body=b'{"resources":[{"name":"jobs","verbs":["create"]}]}')
    )
    assert told(read_cluster(kubeconfig=kubeconfig)) == ()
    assert api.asked("/apis/batch/v1/jobs") == []


# --- a server in trouble -----------------------------------------------------------------------

PAGE = b'{"items":[{"metadata":{"name":"web","namespace":"shop"}}]}'


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
