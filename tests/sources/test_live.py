"""Reading a live cluster: which objects are read, and in what form."""

import subprocess
import sys

import pytest

from ringfence.sources.live import read_cluster
from sources.api_server import (
    Answer,
    ApiServer,
    just,
    told,
)
from sources.live_readings import PODS, names, problem

pytestmark = pytest.mark.usefixtures("sealed")


def test_kinds_that_the_server_does_not_have_are_named_in_a_note(
    api: ApiServer, kubeconfig: str
) -> None:
    notes = [p for p in read_cluster(kubeconfig=kubeconfig).problems if p.severity == "note"]
    assert [note.affects for note in notes] == [()]
    assert "adminnetworkpolicies.policy.networking.k8s.io" in notes[0].message
    assert "pods" not in notes[0].message


def test_the_module_is_light_until_it_is_used() -> None:
    """Every verb imports it; only `--live` shall wait for the HTTP client."""
    code = (
        "import sys, ringfence.sources.live\n"
        "sys.exit(' '.join({'lightkube', 'httpx2', 'yaml'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


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
