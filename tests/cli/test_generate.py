import json
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import yaml

from ringfence.cli.demo import write_example
from ringfence.cli.main import main
from ringfence.examples import MAP as MAP_FILE
from ringfence.model.proposal import GENERATED
from written_maps import HEAD, workload

CLUSTER = workload("a/web") + workload("b/db", ports="[{name: sql, containerPort: 5432}]")
MAP = HEAD + (
    "namespaces: [a, b]\n"
    "workloads:\n"
    "  - workload: a/web\n"
    "    owner: us\n"
    "    calls:\n"
    "      - {to: b/db, ports: [sql], reason: orders, http: [{methods: [GET]}]}\n"
    "      - {to: api.example.com, ports: [443]}\n"
)
FILES = ["a/_namespace.yaml", "a/web.yaml", "b/_namespace.yaml", "b/db.yaml"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    (tmp_path / "map.yaml").write_text(MAP)
    return tmp_path


def generate(*more: str, out: str = "out") -> int:
    return main(["generate", "--map", "map.yaml", "cluster.yaml", "-o", out, *more])


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_policies_are_written_and_proved(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate() == 0
    assert list(written(here / "out")) == FILES
    captured = capsys.readouterr()
    assert captured.out.splitlines()[:2] == [
        "wrote out: 4 new",
        "proved: 2 workloads, 1 connection, nothing more, nothing less",
    ]
    assert "  wider than the map by: HTTP (1)" in captured.out
    assert "  closed, against the map: domain name (1)" in captured.out
    assert (
        "warning: a/web.yaml: egress to api.example.com, TCP 443: a NetworkPolicy knows no domain "
        "names; written: nothing: it stays closed"
    ) in captured.err
    assert "warning: every pod may connect to the cluster's DNS, assumed" in captured.err
    text = (here / "out/a/web.yaml").read_text()
    assert "# Owner: us." in text
    assert "# to b/db, sql: orders (owner us)" in text
    assert sorted(path.name for path in here.iterdir()) == ["cluster.yaml", "map.yaml", "out"]


def test_a_second_run_changes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate() == 0
    before = written(here / "out")
    times = {path: (here / "out" / path).stat().st_mtime_ns for path in before}
    capsys.readouterr()
    assert generate() == 0
    assert "wrote out: 4 unchanged" in capsys.readouterr().out
    assert written(here / "out") == before
    assert times == {path: (here / "out" / path).stat().st_mtime_ns for path in before}


def test_files_that_are_no_longer_needed_are_removed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate() == 0
    (here / "out/b/mine.yaml").write_text("kind: ConfigMap\n")
    (here / "map.yaml").write_text(MAP.replace("[a, b]", "[a]"))
    capsys.readouterr()
    assert generate() == 0
    assert list(written(here / "out")) == ["a/_namespace.yaml", "a/web.yaml", "b/mine.yaml"]
    assert "  removed b/db.yaml" in capsys.readouterr().out


def test_a_file_of_somebody_elses_is_in_the_way(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "out/a").mkdir(parents=True)
    (here / "out/a/web.yaml").write_text("mine")
    assert generate() == 2
    assert "`out/a/web.yaml` was not written by this program: it stays" in capsys.readouterr().err
    assert written(here / "out") == {"a/web.yaml": b"mine"}


def test_a_killed_run_leaves_no_half_written_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate() == 0
    before = written(here / "out")
    (here / "map.yaml").write_text(MAP.replace("reason: orders", "reason: other"))
    moved: list[str] = []

    def interrupted(self: Path, target: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(str(target))
        self.rename(target)
        return target

    monkeypatch.setattr(Path, "replace", interrupted)
    assert generate() == 130
    after = written(here / "out")
    assert list(after) == list(before)
    assert sum(after[path] != before[path] for path in before) == 1
    assert all(
        text.endswith(b"\n") and text.startswith(b"# " + GENERATED.encode())
        for text in after.values()
    )
    assert sorted(path.name for path in here.iterdir()) == ["cluster.yaml", "map.yaml", "out"]


def test_a_dry_run_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("--dry-run") == 0
    assert not (here / "out").exists()
    out = capsys.readouterr().out
    assert "would write out: 4 new" in out
    assert "proved: 2 workloads" in out


def test_policies_on_standard_output(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(out="-") == 0
    captured = capsys.readouterr()
    names = [each["metadata"]["name"] for each in yaml.safe_load_all(captured.out)]
    assert names == [
        *("ringfence-default-deny", "ringfence-dns", "ringfence-web"),
        *("ringfence-default-deny", "ringfence-dns", "ringfence-db"),
    ]
    assert "proved: 2 workloads" in captured.err


def test_the_report_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("--format", "json", "--allow-wider") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["apiVersion"] == "ringfence.dev/v1"
    assert report["kind"] == "Generation"
    assert (report["proved"], report["workloads"], report["connections"]) == (True, 2, 2)
    assert report["files"] == FILES
    assert {each["sort"] for each in report["unsupported"]} == {"HTTP", "domain name"}


def test_differences_are_named_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "map.yaml").write_text(MAP.replace("[a, b]", "[a]"))
    closed = (
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {namespace: b, name: closed}\nspec: {podSelector: {}}\n"
    )
    (here / "cluster.yaml").write_text(CLUSTER + closed)
    assert generate() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NOT proved: 1 workload, 1 connection"
    assert lines[1:3] == ["in the map, but not allowed:", "  a/web -> b/db  TCP 5432"]
    assert any("ingress deny: NetworkPolicy/b/closed isolation (cluster.yaml:" in x for x in lines)
    assert lines[-1] == "nothing was written"
    assert not (here / "out").exists()


def test_unproved_policies_are_not_printed_either(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate("--profile", "none", out="-") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "allowed, but not in the map:" in captured.err


def test_policies_that_stay_are_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = (
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {namespace: a, name: wide}\nspec: {podSelector: {}, ingress: [{}]}\n"
    )
    (here / "cluster.yaml").write_text(CLUSTER + wide)
    assert generate() == 0
    assert "NetworkPolicy/a/wide is not part of the proof" in capsys.readouterr().err


def test_an_unreadable_policy_makes_it_unknown(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = (
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {namespace: b, name: odd}\nspec: {podSelectr: {}}\n"
    )
    (here / "map.yaml").write_text(MAP.replace("[a, b]", "[a]"))
    (here / "cluster.yaml").write_text(CLUSTER + odd)
    assert generate() == 3
    out = capsys.readouterr().out
    assert "cannot be told:" in out
    assert "unknown field `podSelectr`" in out
    assert not (here / "out").exists()


def test_strict_wants_every_address_known(here: Path) -> None:
    host = workload("b/host", kind="DaemonSet", host=True)
    (here / "cluster.yaml").write_text(CLUSTER + host)
    (here / "map.yaml").write_text(MAP + "      - {to: 192.0.2.7, ports: [443]}\n")
    assert generate() == 0
    assert generate("--strict") == 3


def test_names_that_the_cluster_does_not_have(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "map.yaml").write_text(MAP.replace("b/db", "b/dbb"))
    assert generate() == 2
    expected = "ringfence: map.yaml:8: no workload `b/dbb` in the input; did you mean `b/db`?\n"
    assert expected in capsys.readouterr().err


def test_a_map_that_cannot_be_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "map.yaml").write_text(MAP.replace("reason", "reson"))
    assert generate() == 3
    expected = "ringfence: map.yaml:8: unknown key `reson`; did you mean `reason`?\n"
    assert capsys.readouterr().err == expected


def test_the_map_from_standard_input(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(MAP.encode())))
    assert main(["generate", "--map", "-", "cluster.yaml", "-o", "out"]) == 0
    assert main(["generate", "--map", "-", "-", "-o", "out"]) == 2


def test_a_dialect_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("--dialect", "latin") == 2
    assert (
        "cannot be written in `latin`: choose `calico`, `cilium`, `istio`, "
        "`kubernetes`, `linkerd`" in capsys.readouterr().err
    )


def test_a_target_that_is_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "out").write_text("")
    assert generate() == 2
    assert "`out` is not a folder" in capsys.readouterr().err


# -- other languages -------------------------------------------------------------------------


@pytest.fixture
def shop(here: Path) -> Path:
    write_example(here / "shop")
    return here / "shop"


def generate_shop(shop: Path, *more: str) -> int:
    return main(
        ["generate", "--map", str(shop / MAP_FILE), str(shop / "cluster"), "-o", "out", *more]
    )


@pytest.mark.parametrize(
    ("dialect", "kind"), [("calico", "NetworkPolicy"), ("cilium", "CiliumNetworkPolicy")]
)
def test_the_example_in_every_language(
    shop: Path, here: Path, capsys: pytest.CaptureFixture[str], dialect: str, kind: str
) -> None:
    assert generate_shop(shop, "--dialect", dialect) == 0
    captured = capsys.readouterr()
    assert "proved: 12 workloads" in captured.out
    assert f"warning: proved as on {dialect}: the input does not tell which CNI" in captured.err
    assert "note: limits of HTTP hold" in captured.err
    files = written(here / "out")
    assert "shop/payment.yaml" in files
    kinds = {
        document["kind"]
        for text in files.values()
        for document in yaml.safe_load_all(text.decode())
    }
    assert kinds == {kind}
    assert generate_shop(shop, "--dialect", dialect, "--profile", dialect) == 0
    captured = capsys.readouterr()
    assert "unchanged" in captured.out
    assert "warning: proved as on" not in captured.err


def test_a_verb_that_the_map_does_not_list_is_refused(shop: Path) -> None:
    """The policies are asked again, by the verb that people ask with."""
    assert generate_shop(shop, "--dialect", "cilium") == 0
    question = ["check", "--profile", "cilium", str(shop / "cluster"), "out"]
    assert main([*question, "shop/web", "shop/payment:http"]) == 1
    assert main([*question, "shop/api", "shop/payment:http"]) == 0


def test_staged_and_logged(shop: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_shop(shop, "--dialect", "calico", "--staged", "--log-denied") == 0
    captured = capsys.readouterr()
    assert "note: staged policies enforce nothing" in captured.err
    assert "note: denied connections are logged" in captured.err
    text = (here / "out/shop/_namespace.yaml").read_text()
    assert text.count("kind: StagedNetworkPolicy\n") == 2
    assert text.count("action: Log\n") == 2


def test_what_cilium_cannot_stage_is_refused_with_what_it_has(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate_shop(shop, "--dialect", "cilium", "--staged") == 2
    assert "policy-audit-mode" in capsys.readouterr().err


def test_the_edition_and_the_identity(
    shop: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--dialect", "calico", "--calico-edition", "cloud", "--identity", "service-accounts")
    assert generate_shop(shop, *options) == 0
    assert "domain name" not in capsys.readouterr().out
    payment = (here / "out/shop/payment.yaml").read_text()
    assert "- api.stripe.com\n" in payment
    assert "serviceAccounts:\n" in payment
    assert generate_shop(shop, "--identity", "service-accounts") == 2


def test_a_cluster_that_enforces_another_language(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate_shop(shop, "--dialect", "calico", "--profile", "cilium") == 2
    assert "nothing enforces policies of `calico` in this cluster" in capsys.readouterr().err


def test_the_report_in_json_names_the_language(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate_shop(shop, "--dialect", "cilium", "--log-denied", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["dialect"], report["profile"], report["proved"]) == ("cilium", "cilium", True)
    assert any("Hubble" in condition for condition in report["conditions"])
    assert report["unsupported"] == []


def test_kubernetes_cannot_log_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("--log-denied") == 0
    captured = capsys.readouterr()
    assert "  not logged: logging (1)" in captured.out
    assert "a NetworkPolicy cannot log; written: nothing: it is not logged" in captured.err


def test_policies_of_network_and_mesh_are_written_into_folders_of_their_own(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: NAME, labels: {LABEL}}\n---\n"
    namespaces = "".join(
        namespace.replace("NAME", name).replace("LABEL", "istio-injection: enabled")
        for name in ("a", "b")
    )
    (here / "cluster.yaml").write_text(namespaces + CLUSTER)
    assert generate("--dialect", "kubernetes, istio", "--patches", "own") == 0
    assert list(written(here / "out")) == [
        f"{dialect}/{path}"
        for dialect in ("istio", "kubernetes")
        for path in FILES
        if (dialect, path) != ("istio", "a/web.yaml")
    ]
    assert list(written(here / "own")) == [
        "a/deployment-web.patch.yaml",
        "a/deployment-web.serviceaccount.yaml",
        "b/deployment-db.patch.yaml",
        "b/deployment-db.serviceaccount.yaml",
    ]
    captured = capsys.readouterr()
    assert "4 patches in own" in captured.out
    assert "a/web runs as the service account `default`" in captured.err
    assert generate("--dialect", "istio", "--dry-run") == 0
    assert "kubectl -n a set serviceaccount deployment/web web" in capsys.readouterr().out


@pytest.mark.parametrize("dialects", ["istio,linkerd", "calico,cilium", "istio,"])
def test_two_dialects_of_one_sort_are_refused(
    dialects: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate("--dialect", dialects) == 2
    assert "or one of each with a comma between them" in capsys.readouterr().err
