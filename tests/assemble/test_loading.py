import gzip
import io
from pathlib import Path

import pytest

from assemble.written import from_block, pod, policy, template
from ringfence import assemble
from ringfence.errors import InputError, RingfenceError, SnapshotFormatError, UsageError
from ringfence.model.profile import Cni
from ringfence.model.reading import Reading
from ringfence.sources import live, snapshot_file

CLUSTER = (
    template("Deployment", "web")
    + pod("web-1-a", owner="ReplicaSet web-1", ips="10.1.0.1")
    + policy("p", from_block("10.1.0.0/24"))
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER)
    return path


@pytest.fixture
def saved(manifest: Path, tmp_path: Path) -> Path:
    path = tmp_path / "cluster.snapshot"
    snapshot_file.write(assemble.load([str(manifest)]), str(path))
    return path


def test_a_file_is_loaded_with_its_lines(manifest: Path) -> None:
    found = assemble.load([str(manifest)])
    assert [workload.ref for workload in found.workloads] == ["shop/web"]
    assert found.source == str(manifest)
    assert str(found.workloads[0].location) == f"{manifest}:3"


def test_a_malformed_label_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    metadata:
      labels:
        app: web
        version: 1.0
""")
    (problem,) = assemble.load([str(path)]).problems
    assert problem.location.file == str(path)
    assert problem.location.line == 10
    assert problem.severity == "error"


def test_a_reference_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - name: app
        env:
        - name: DB_ADDR
          value: db:5432
""")
    (reference,) = assemble.load([str(path)]).workloads[0].references
    assert (reference.host, reference.port, reference.location.line) == ("db", 5432, 12)


def test_standard_input_is_loaded() -> None:
    found = assemble.load(["-"], stdin=io.BytesIO(CLUSTER.encode()))
    assert [workload.ref for workload in found.workloads] == ["shop/web"]


def test_a_snapshot_file_is_the_cluster_that_was_saved(manifest: Path, saved: Path) -> None:
    direct = assemble.load([str(manifest)])
    found = assemble.load([str(saved)])
    assert found.source == str(saved)
    for field in ("workloads", "policies", "documents", "problems", "namespaces", "profile"):
        assert getattr(found, field) == getattr(direct, field)


def test_a_snapshot_file_can_be_judged_by_another_profile(saved: Path) -> None:
    found = assemble.load([str(saved)], cni="calico", pod_cidrs=["10.0.0.0/9"])
    assert found.profile.cni is Cni.CALICO
    assert found.pod_cidrs == ("10.0.0.0/9",)
    with pytest.raises(UsageError):
        assemble.load([str(saved)], cni="weave")


def test_a_snapshot_file_stands_alone(manifest: Path, saved: Path) -> None:
    with pytest.raises(UsageError, match="is a snapshot"):
        assemble.load([str(manifest), str(saved)])


def test_a_damaged_snapshot_is_told(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-20])
    with pytest.raises(SnapshotFormatError):
        assemble.load([str(saved)])


def test_a_gzip_file_of_something_else_is_no_cluster(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"hello"))
    try:
        found = assemble.load([str(path)])
    except RingfenceError:
        return
    assert [problem.severity for problem in found.problems] == ["error"]


def test_an_input_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        assemble.load([str(tmp_path / "nothing.yaml")])


def test_a_file_that_holds_nothing_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("")
    found = assemble.load([str(path)])
    assert (found.workloads, found.problems) == ((), ())


def test_a_live_cluster_is_built_from_what_the_source_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, object] = {}

    def read_cluster(**kwargs: object) -> Reading:
        asked.update(kwargs)
        return Reading(source="prod")

    monkeypatch.setattr(live, "read_cluster", read_cluster)
    found = assemble.load_live(context="prod", namespace="shop", cni="cilium")
    assert found.source == "prod"
    assert found.profile.cni is Cni.CILIUM
    assert asked == {"context": "prod", "kubeconfig": None, "namespace": "shop", "progress": None}


BOUTIQUE = Path("../shared/vectors/online-boutique")
needs_boutique = pytest.mark.skipif(
    not BOUTIQUE.is_dir(), reason="the Online Boutique manifests are not there"
)


@needs_boutique
def test_online_boutique_is_read_whole() -> None:
    found = assemble.load(
        [str(BOUTIQUE / "kubernetes-manifests.yaml"), str(BOUTIQUE / "network-policies")]
    )
    assert found.problems == ()
    assert len(found.workloads) == 12
    assert len(found.services) == 12
    assert len(found.policies) == len(found.documents) == 13
    assert all(len(workload.identities) == 1 for workload in found.workloads)
    assert all(identity.service_account for w in found.workloads for identity in w.identities)


@needs_boutique
def test_online_boutique_tells_who_calls_whom() -> None:
    found = assemble.load([str(BOUTIQUE / "kubernetes-manifests.yaml")])
    calls = {
        (workload.name, reference.host, reference.port)
        for workload in found.workloads
        for reference in workload.references
    }
    assert ("frontend", "productcatalogservice", 3550) in calls
    assert ("cartservice", "redis-cart", 6379) in calls
    assert ("checkoutservice", "paymentservice", 50051) in calls
    assert ("loadgenerator", "frontend", 80) in calls
    # The frontend can be told to use one more, which these manifests leave out.
    names = {service.name for service in found.services} | {"shoppingassistantservice"}
    assert {host for _, host, _ in calls} <= names
