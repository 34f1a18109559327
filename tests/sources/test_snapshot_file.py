"""The snapshot file: what is written is read again, and nothing else is taken for one."""

import gzip
import json
import stat
from pathlib import Path

import msgspec
import pytest

from ringfence.errors import InputError, SnapshotFormatError, UsageError
from ringfence.model.cluster import (
    Backend,
    ContainerPort,
    HostEndpoint,
    Identity,
    Namespace,
    NetworkSet,
    Node,
    Pod,
    Protocol,
    Reference,
    Route,
    Service,
    ServiceAccount,
    ServicePort,
    Workload,
)
from ringfence.model.document import Document, count_positions
from ringfence.model.location import Location, Problem
from ringfence.model.mesh import (
    ClientImports,
    ClientTls,
    DataPlane,
    IstioConfig,
    LinkerdConfig,
    Membership,
    Mesh,
)
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import NETWORK_POLICY, Policy
from ringfence.model.selector import Operator, Requirement, from_labels
from ringfence.model.snapshot import BlindSpot, Snapshot
from ringfence.sources import snapshot_file

HERE = Location("shop.yaml", 7)
BODY = {
    "kind": "NetworkPolicy",
    "apiVersion": "networking.k8s.io/v1",
    "metadata": {"name": "db", "namespace": "shop", "annotations": {"größe": "ß ☃ 🐙 \u2028"}},
    "spec": {
        "podSelector": {},
        "ingress": [{"ports": [{"port": 5432, "endPort": 2**70}, {"port": -1.5}]}, None, True],
    },
}
FULL = Snapshot(
    profile=Profile(Cni.CILIUM, "detected", "DaemonSet kube-system/cilium", "1.18.2", True),
    namespaces=(Namespace("shop", {"kubernetes.io/metadata.name": "shop"}, True, HERE),),
    workloads=(
        Workload(
            "Deployment",
            "shop",
            "db",
            (
                Identity(
                    {"app": "db"},
                    "db",
                    True,
                    (ContainerPort(5432, Protocol.TCP, "pg", True),),
                    (Pod("db-0", ("10.0.0.1", "fd00::1"), "node-1"), Pod("db-1")),
                ),
                Identity({}, mesh=Membership(DataPlane.AMBIENT, "td/ns/shop/sa/db")),
            ),
            HERE,
            {"team": "data"},
            from_labels({"app": "db"}),
            2,
            (Reference("cache", 6379, "env CACHE of container db", HERE),),
        ),
    ),
    services=(
        Service(
            "shop",
            "db",
            "ClusterIP",
            None,
            (ServicePort(1, "pg", Protocol.UDP, "n", 30001, "h2c"), ServicePort(2, 2)),
            HERE,
            ("10.96.0.1",),
            ("203.0.113.9",),
            "db.example",
            True,
            True,
            ("198.51.100.0/24",),
            (Backend("192.0.2.1", (ServicePort(5432, 5432),), "shop/db-0"),),
        ),
    ),
    routes=(
        Route("Ingress", "shop", "web", "shop", "web", "http", HERE, "x.io", "/", "nginx"),
        Route("HTTPRoute", "shop", "web", "shop", "web", 80, HERE),
        Route("TLSRoute", "shop", "web", "shop", "web", None, HERE),
    ),
    nodes=(Node("node-1", {"zone": "a"}, ("192.0.2.7",), ("10.0.0.0/24",)),),
    pod_cidrs=("10.0.0.0/8",),
    pod_cidrs_assumed=True,
    told_apart="digest",
    documents=(
        Document(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "shop",
            "db",
            BODY,
            "shop.yaml",
            7,
            tuple(range(7, 7 + count_positions(BODY))),
        ),
    ),
    problems=(Problem("broken", HERE, ("Pod",), "Pod/shop/x", "warning"),),
    source="shop.yaml",
    service_accounts=(ServiceAccount("shop", "db", {"tier": "back"}),),
    staged=True,
    mesh=Mesh(IstioConfig("mesh.yaml", trust_domain="td"), LinkerdConfig(namespace="mesh")),
)
DERIVED = msgspec.structs.replace(
    FULL,
    policies=(
        Policy(
            document=0,
            kind="NetworkPolicy",
            namespace="shop",
            name="db",
            tier=NETWORK_POLICY,
            subject=None,
        ),
    ),
    ignored=(Problem("not enforced", HERE),),
    blind_spots=(BlindSpot("a file that cannot be read", HERE),),
    network_sets=(NetworkSet(0, "shop", "partners", {}, ("192.0.2.0/24",)),),
    host_endpoints=(HostEndpoint(0, "n1", "n1", {}),),
    client_tls=(ClientTls(0, ("spec",), "shop", "*", "DISABLE"),),
    client_imports=(ClientImports(0, "shop"),),
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "cluster.ringfence")


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def pack(path: str, text: bytes) -> None:
    Path(path).write_bytes(gzip.compress(text, mtime=0))


def packed_header(**changes: object) -> bytes:
    header = {"apiVersion": "ringfence.dev/v1", "kind": "Snapshot", "version": 3, **changes}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n"


def test_every_field_survives(path: str) -> None:
    snapshot_file.write(FULL, path)
    again = snapshot_file.read(path)
    assert again == FULL
    assert again.documents[0].body == BODY
    assert list(again.documents[0].body) == list(BODY), "line numbers follow the order of the keys"
    assert again.workloads[0].selector is not None
    assert again.workloads[0].selector.requirements == (Requirement("app", Operator.IN, ("db",)),)


def test_full_has_every_field_of_a_snapshot_set() -> None:
    empty = Snapshot()
    derived = {"policies", "ignored", "blind_spots", "network_sets", "host_endpoints"}
    derived |= {"client_tls", "client_imports"}
    unset = [
        name for name in Snapshot.__struct_fields__ if getattr(FULL, name) == getattr(empty, name)
    ]
    assert set(unset) == derived


def test_what_follows_from_the_rest_is_left_out(path: str) -> None:
    snapshot_file.write(DERIVED, path)
    assert snapshot_file.read(path) == FULL


def test_an_empty_cluster_survives(path: str) -> None:
    snapshot_file.write(Snapshot(), path)
    assert snapshot_file.read(path) == Snapshot()


def test_equal_snapshots_give_equal_bytes_whatever_the_name(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "a-much-longer-name.snapshot"
    snapshot_file.write(FULL, str(one))
    snapshot_file.write(snapshot_file.read(str(one)), str(other))
    assert one.read_bytes() == other.read_bytes()
    assert b"one" not in one.read_bytes()[:20]
    assert one.read_bytes()[3:8] == bytes(5), "neither flags (a name) nor a time"


def test_the_file_begins_with_one_line_that_says_what_it_is(path: str) -> None:
    snapshot_file.write(FULL, path)
    with gzip.open(path) as stream:
        assert json.loads(stream.readline()) == {
            "apiVersion": "ringfence.dev/v1",
            "kind": "Snapshot",
            "version": 3,
        }
        assert json.loads(stream.read())["source"] == "shop.yaml"


@pytest.mark.parametrize("length", [2, 3, 10, 12, 20, 64, 512, 100_000])
def test_a_snapshot_is_recognised_by_its_head(path: str, length: int) -> None:
    snapshot_file.write(FULL, path)
    assert snapshot_file.looks_like_snapshot(Path(path).read_bytes()[:length])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x1f",
        b"apiVersion: v1\n",
        b'{"apiVersion":"ringfence.dev/v1","kind":"Snapshot"}',
        gzip.compress(b"apiVersion: v1\nkind: List\n", mtime=0),
    ],
)
def test_other_files_are_not_taken_for_one(head: bytes) -> None:
    assert not snapshot_file.looks_like_snapshot(head)


def test_a_damaged_head_is_left_to_read_to_tell(path: str) -> None:
    Path(path).write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + b"\xff" * 90)
    assert snapshot_file.looks_like_snapshot(Path(path).read_bytes())
    with pytest.raises(SnapshotFormatError, match=r"cluster\.ringfence: damaged snapshot: "):
        snapshot_file.read(path)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.99])
def test_a_file_cut_off_is_told_by_name(path: str, share: float) -> None:
    snapshot_file.write(FULL, path)
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: max(2, int(len(whole) * share))])
    with pytest.raises(
        SnapshotFormatError, match=r"cluster\.ringfence: damaged snapshot"
    ) as caught:
        snapshot_file.read(path)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_no_flipped_bit_goes_unnoticed(path: str) -> None:
    snapshot_file.write(FULL, path)
    whole = Path(path).read_bytes()
    noticed = 0
    for position in range(10, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        Path(path).write_bytes(damaged)
        try:
            # The bits that pad a block to whole bytes mean nothing.
            assert snapshot_file.read(path) == FULL
        except SnapshotFormatError:
            noticed += 1
    assert noticed > 50


def test_trailing_rubbish_is_damage(path: str) -> None:
    snapshot_file.write(FULL, path)
    with Path(path).open("ab") as file:
        file.write(b"rubbish")
    with pytest.raises(SnapshotFormatError, match="damaged"):
        snapshot_file.read(path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"apiVersion: v1\nkind: Pod\n",
        b"x" * 10_000,
        b'{"apiVersion":"ringfence.dev/v1","kind":"Connectivity","version":1}\n{}',
        b'{"apiVersion":"v1","kind":"Snapshot","version":1}\n{}',
        b'{"kind":"Snapshot"}\n{}',
        b"\xff\xfe\n{}",
        b'{"apiVersion":"ringfence.dev/v1","kind":"Snapshot","version":"one"}\n{}',
    ],
)
def test_a_gzip_file_of_something_else_is_told_as_such(path: str, text: bytes) -> None:
    pack(path, text)
    with pytest.raises(SnapshotFormatError, match="no snapshot of ringfence"):
        snapshot_file.read(path)


def test_no_gzip_at_all_is_told(path: str) -> None:
    Path(path).write_text("apiVersion: v1\n")
    with pytest.raises(SnapshotFormatError, match=r"cluster\.ringfence: .*gzip"):
        snapshot_file.read(path)


@pytest.mark.parametrize(
    "changes", [{"version": 2}, {"version": 4}, {"apiVersion": "ringfence.dev/v2"}]
)
def test_a_newer_version_is_refused_by_its_number(path: str, changes: dict[str, object]) -> None:
    pack(path, packed_header(**changes) + b'{"invented":"later"}')
    with pytest.raises(SnapshotFormatError, match="this program reads version 3") as caught:
        snapshot_file.read(path)
    assert caught.value.location == Location(path)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b'{"workloads":[{"kind":1}]}',
        b'{"profile":{"cni":"weave"}}',
        b'{"source":"\xff"}',
        b"{} {}",
        b'{"documents":' + b"[" * 200_000,
        b'{"documents":[{"api_version":"v1","kind":"P","namespace":"","name":"p","file":"f",'
        b'"body":{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}}]}",
    ],
)
def test_a_payload_of_another_shape_is_damage(path: str, payload: bytes) -> None:
    pack(path, packed_header() + payload)
    with pytest.raises(SnapshotFormatError, match="damaged snapshot"):
        snapshot_file.read(path)


def test_a_gzip_bomb_stops_at_the_limit(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "MAX_BYTES", 3_000_000)
    pack(path, packed_header() + b" " * 2_000_000 + b"{}")
    assert snapshot_file.read(path) == Snapshot(), "below the limit"
    pack(path, packed_header() + b" " * 20_000_000)
    with pytest.raises(SnapshotFormatError, match="unpacks to more than 3,000,000 bytes"):
        snapshot_file.read(path)


def test_a_missing_file_is_told(path: str) -> None:
    with pytest.raises(InputError, match=r"cluster\.ringfence: cannot be read: No such file"):
        snapshot_file.read(path)


def test_a_failure_leaves_the_old_file_and_nothing_else(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot_file.write(Snapshot(source="old"), path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gzip.GzipFile, "write", full)
    with pytest.raises(UsageError, match=r"cannot write `.*cluster\.ringfence`: No space left"):
        snapshot_file.write(FULL, path)
    monkeypatch.undo()
    assert names_in(Path(path).parent) == ["cluster.ringfence"]
    assert snapshot_file.read(path).source == "old"


def test_an_interruption_leaves_nothing_behind(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(gzip.GzipFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        snapshot_file.write(FULL, path)
    assert names_in(Path(path).parent) == []


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write `.*/nowhere/x`: No such file or directory"):
        snapshot_file.write(FULL, str(tmp_path / "nowhere" / "x"))


def test_devices_and_folders_are_never_replaced(tmp_path: Path) -> None:
    for target in ("/dev/null", str(tmp_path)):
        with pytest.raises(UsageError, match="not a regular file"):
            snapshot_file.write(FULL, target)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    snapshot_file.write(FULL, str(link))
    assert link.is_symlink()
    assert snapshot_file.read(str(real)) == FULL


def test_text_that_no_file_can_hold_is_an_error_and_writes_nothing(path: str) -> None:
    with pytest.raises(InputError, match="surrogates not allowed"):
        snapshot_file.write(Snapshot(source="\ud800"), path)
    assert not Path(path).exists()
