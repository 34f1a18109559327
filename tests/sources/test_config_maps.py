"""Which ConfigMaps are read, and what of them is kept."""

import pytest

from ringfence.model.document import Document
from ringfence.sources import config_maps
from ringfence.sources.config_maps import Wanted
from ringfence.sources.live import read_cluster
from sources.api_server import ApiServer, Resource, told
from sources.test_manifest_objects import documents, read

LIVE = pytest.mark.usefixtures("sealed")


def config_map(name: str, data: str, namespace: str = "istio-system") -> str:
    return (
        "apiVersion: v1\nkind: ConfigMap\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\n"
        f"data:\n  other: secret\n  {data}\n"
    )


@pytest.mark.parametrize(
    ("name", "key"), [("istio", "mesh"), ("istio-canary", "mesh"), ("linkerd-config", "values")]
)
def test_of_a_mesh_no_more_than_its_configuration_is_kept(name: str, key: str) -> None:
    (document,) = documents(config_map(name, f"{key}: 'a: b'"))
    assert document.ref == f"ConfigMap/istio-system/{name}"
    assert document.body["data"] == {key: "a: b"}
    assert document.line == 6, "where the configuration stands"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("istio", "values: x"),
        ("istio-ca-root-cert", "root-cert.pem: x"),
        ("istiod", "mesh: x"),
        ("linkerd-config", "mesh: x"),
        ("linkerd-identity-trust-roots", "values: x"),
        ("mesh", "mesh: x"),
    ],
)
def test_no_other_config_map_is_read(name: str, data: str) -> None:
    assert read(config_map(name, data)) == []


def test_a_config_map_without_a_namespace_is_in_the_default_one() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata: {mesh: 'a: b'}\n"
    assert documents(text)[0].namespace == "default"


def pod(namespace: str, **labels: str) -> Document:
    dotted = {key.replace("_", "/").replace("DOT", "."): value for key, value in labels.items()}
    body = {"metadata": {"labels": dotted}}
    return Document("v1", "Pod", namespace, "x", body, "f")


def test_nothing_is_expected_where_nothing_of_a_mesh_is_in_sight() -> None:
    assert config_maps.expected([pod("shop", app="web")]) == []


def test_control_planes_tell_where_their_configuration_is() -> None:
    found = config_maps.expected(
        [
            pod("istio-system", app="istiod", istioDOTio_rev="default"),
            pod("istio-system", app="istiod", istioDOTio_rev="1-26"),
            pod("shop", **{"linkerdDOTio_control-plane-ns": "mesh"}),
        ]
    )
    assert found == [
        Wanted("istio-system", "istio", "mesh"),
        Wanted("istio-system", "istio-1-26", "mesh"),
        Wanted("mesh", "linkerd-config", "values"),
    ]


def test_policies_of_a_mesh_tell_that_it_is_there() -> None:
    policies = [
        Document("security.istio.io/v1", "PeerAuthentication", "a", "b", {}, "f"),
        Document("policy.linkerd.io/v1beta3", "Server", "a", "b", {}, "f"),
    ]
    assert config_maps.expected(policies) == [
        Wanted("istio-system", "istio", "mesh"),
        Wanted("linkerd", "linkerd-config", "values"),
    ]


@LIVE
def test_a_live_cluster_is_asked_for_the_configuration_of_its_meshes_by_name(
    api: ApiServer, kubeconfig: str
) -> None:
    api.add("pods", "istiod-1", "istio-system", metadata={"labels": {"app": "istiod"}})
    data = {"mesh": "trustDomain: corp", "meshNetworks": "networks: {}"}
    api.add("configmaps", "istio", "istio-system", data=data)
    api.add("configmaps", "other", "istio-system", data=data)
    reading = read_cluster(kubeconfig=kubeconfig)
    paths = [request.path for request in api.requests if "configmap" in request.path]
    assert paths == [
        "/api/v1/namespaces/kube-system/configmaps/cilium-config",
        "/api/v1/namespaces/istio-system/configmaps/istio",
    ]
    (found,) = [d for d in reading.documents if d.kind == "ConfigMap"]
    assert found.body["data"] == {"mesh": "trustDomain: corp"}


@LIVE
def test_a_configuration_that_may_not_be_read_is_a_warning(api: ApiServer, kubeconfig: str) -> None:
    api.add("pods", "istiod-1", "istio-system", metadata={"labels": {"app": "istiod"}})
    api.forbidden.add(("configmaps", "istio-system"))
    (one,) = told(read_cluster(kubeconfig=kubeconfig))
    assert one.severity == "warning"
    assert one.message.endswith(
        "`istio` in namespace `istio-system`: the mesh's own defaults are assumed"
    )


@LIVE
def test_kinds_of_a_mesh_that_the_server_has_are_listed(api: ApiServer, kubeconfig: str) -> None:
    api.resources.append(
        Resource("security.istio.io", "v1beta1", "authorizationpolicies", "AuthorizationPolicy")
    )
    api.resources.append(
        Resource("policy.linkerd.io", "v1alpha1", "authorizationpolicies", "AuthorizationPolicy")
    )
    api.add("authorizationpolicies", "db", "shop", spec={})
    refs = [document.ref for document in read_cluster(kubeconfig=kubeconfig).documents]
    assert refs == ["AuthorizationPolicy/shop/db", "AuthorizationPolicy.policy.linkerd.io/shop/db"]
