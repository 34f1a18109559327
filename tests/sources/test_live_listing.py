"""How lists are read: page by page, and what becomes of what the account may not see."""

import pytest

from ringfence.errors import ClusterError
from ringfence.sources.live import read_cluster
from ringfence.sources.live_listing import EXPIRIES
from sources.api_server import (
    Answer,
    ApiServer,
    Request,
    always,
    just,
    status,
    told,
)
from sources.live_readings import PODS, names, problem

pytestmark = pytest.mark.usefixtures("sealed")


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
