"""Which kinds, in which versions, a server has."""

import pytest

from ringfence.sources.live import read_cluster
from sources.api_server import (
    Answer,
    ApiServer,
    Resource,
    always,
    status,
    told,
)
from sources.live_readings import POLICIES, problem

pytestmark = pytest.mark.usefixtures("sealed")


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
