"""Reading from a real API server: what the scripted one cannot prove.

Needs `KUBEBUILDER_ASSETS`, a folder with `etcd` and `kube-apiserver`; a server is started from
them. With `KUBECONFIG` alone the cluster that it names is read, and nothing changed there.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.model.kinds import KINDS
from ringfence.sources.live import read_cluster
from sources.api_server import seal_off, told, write_kubeconfig
from sources.control_plane import ADMIN, NOBODY, ControlPlane, running

pytestmark = pytest.mark.cluster

# More than one page; a server of its own fills them in a few seconds.
ACCOUNTS = 620
POLICY = {
    "podSelector": {"matchLabels": {"app": "db"}},
    "policyTypes": ["Ingress"],
    "ingress": [
        {
            "from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
            "ports": [{"protocol": "TCP", "port": 5432}],
        }
    ],
}
GROUP = "policy.networking.k8s.io"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    if not assets:
        pytest.skip("KUBEBUILDER_ASSETS is not set: no kube-apiserver to start")
    for name in ("etcd", "kube-apiserver"):
        if not Path(assets, name).is_file():
            pytest.skip(f"KUBEBUILDER_ASSETS has no {name}")
    with running(Path(assets), tmp_path_factory.mktemp("plane")) as plane:
        _fill(plane)
        yield plane


def _fill(plane: ControlPlane) -> None:
    for name in ("default", "kube-system"):
        # The server makes these itself, a moment after it is ready.
        plane.wait_for(f"/api/v1/namespaces/{name}")
    plane.create("/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {"env": "prod"}}})
    plane.create(
        "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies",
        {"metadata": {"name": "db"}, "spec": POLICY},
    )
    plane.create(
        "/api/v1/namespaces/kube-system/configmaps",
        {"metadata": {"name": "cilium-config"}, "data": {"tunnel-protocol": "vxlan"}},
    )
    plane.create(
        "/api/v1/namespaces/shop/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}}
    )
    for number in range(ACCOUNTS):
        plane.create(
            "/api/v1/namespaces/shop/serviceaccounts", {"metadata": {"name": f"a{number:04}"}}
        )
    plane.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {
            "metadata": {
                "name": f"adminnetworkpolicies.{GROUP}",
                "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
            },
            "spec": {
                "group": GROUP,
                "scope": "Cluster",
                "names": {"plural": "adminnetworkpolicies", "kind": "AdminNetworkPolicy"},
                "versions": [
                    {
                        "name": "v1alpha1",
                        "served": True,
                        "storage": True,
                        "schema": {
                            "openAPIV3Schema": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                            }
                        },
                    }
                ],
            },
        },
    )
    path = f"/apis/{GROUP}/v1alpha1/adminnetworkpolicies"
    plane.wait_for(path)
    plane.create(
        path,
        {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "AdminNetworkPolicy",
            "metadata": {"name": "deny"},
            "spec": {"priority": 7},
        },
    )


@pytest.fixture
def kubeconfig(plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    seal_off(monkeypatch, tmp_path)
    return _as(plane, tmp_path, ADMIN)


def _as(plane: ControlPlane, folder: Path, token: str) -> str:
    authority = {"certificate-authority": str(plane.certificates.authority)}
    return write_kubeconfig(folder / "config", plane.url, user={"token": token}, cluster=authority)


def test_everything_that_matters_is_read(kubeconfig: str) -> None:
    reading = read_cluster(kubeconfig=kubeconfig)
    assert told(reading) == ()
    found = {document.ref: document for document in reading.documents}
    assert {"Namespace/default", "Namespace/kube-system", "Namespace/shop"} <= found.keys()
    assert found["Namespace/shop"].body["metadata"]["labels"]["env"] == "prod"
    assert found["NetworkPolicy/shop/db"].body["spec"] == POLICY
    assert found["AdminNetworkPolicy/deny"].body["spec"] == {"priority": 7}
    assert found["ConfigMap/kube-system/cilium-config"].body["data"] == {"tunnel-protocol": "vxlan"}
    assert "Service/default/kubernetes" in found
    assert not [ref for ref in found if ref.startswith("Secret/")]
    for document in reading.documents:
        assert document.body["kind"] == document.kind
        assert document.body["apiVersion"] == document.api_version
        assert "managedFields" not in document.body["metadata"]


def test_lists_come_in_pages(kubeconfig: str) -> None:
    counts: list[int] = []

    def progress(plural: str, count: int) -> None:
        if plural == "serviceaccounts":
            counts.append(count)

    reading = read_cluster(kubeconfig=kubeconfig, progress=progress)
    assert len(counts) > 1, "the server knows nothing of pages?"
    names = [d.name for d in reading.documents if d.kind == "ServiceAccount" and d.name[0] == "a"]
    assert names == [f"a{number:04}" for number in range(ACCOUNTS)]


def test_a_list_survives_the_end_of_its_past(plane: ControlPlane, kubeconfig: str) -> None:
    """Older servers answer 410 here; newer ones may still have the list in their cache."""

    def progress(plural: str, count: int) -> None:
        if plural == "serviceaccounts" and count == 500:
            path = "/api/v1/namespaces/default/configmaps"
            plane.create(path, {"metadata": {"generateName": "time-goes-by-"}})
            plane.forget_the_past()

    reading = read_cluster(kubeconfig=kubeconfig, progress=progress)
    assert told(reading) == ()
    names = [d.name for d in reading.documents if d.kind == "ServiceAccount" and d.name[0] == "a"]
    assert names == [f"a{number:04}" for number in range(ACCOUNTS)]


def test_an_account_without_rights_is_told_what_it_lacks(
    plane: ControlPlane, kubeconfig: str, tmp_path: Path
) -> None:
    reading = read_cluster(kubeconfig=_as(plane, tmp_path, NOBODY), namespace="shop")
    assert reading.documents == ()
    lacking = {kind for problem in told(reading) for kind in problem.affects}
    served = {kind.kind for kind in KINDS if not kind.group.endswith("networking.k8s.io")}
    assert lacking >= served | {"NetworkPolicy", "Ingress", "AdminNetworkPolicy", "ConfigMap"}
    assert all("may not" in problem.message for problem in told(reading))


def test_a_client_certificate_is_known(
    plane: ControlPlane, kubeconfig: str, tmp_path: Path
) -> None:
    """The certificate's name has no rights: a refusal of each list shows that it was accepted."""
    own = plane.certificates
    user = {"client-certificate": str(own.client), "client-key": str(own.client_key)}
    config = write_kubeconfig(
        tmp_path / "config",
        plane.url,
        user=user,
        cluster={"certificate-authority": str(own.authority)},
    )
    reading = read_cluster(kubeconfig=config)
    assert "Pod" in {kind for problem in told(reading) for kind in problem.affects}


def test_the_cluster_of_kubeconfig_is_read() -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: no cluster to read")
    reading = read_cluster()
    assert reading.source
    lacking = {kind for problem in told(reading) for kind in problem.affects}
    namespaces = {document.name for document in reading.documents if document.kind == "Namespace"}
    assert "kube-system" in namespaces or "Namespace" in lacking
