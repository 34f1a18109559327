from pathlib import Path

import pytest

from ringfence.cli.main import main
from ringfence.learn.read_map import read_text
from written_maps import service, workload

CLUSTER = (
    workload("shop/db")
    + service("shop/db", "app: db", "[{port: 5432}]")
    + workload(
        "shop/web", env="[{name: DB_ADDR, value: 'db:5432'}, {name: X_URL, value: 'http://gone'}]"
    )
)


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    file = tmp_path / "cluster.yaml"
    file.write_text(CLUSTER)
    return str(file)


def test_a_draft_is_printed(cluster: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "init", cluster]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Who needs whom: a first draft, guessed from")
    assert "      # guessed from env DB_ADDR of container c" in out
    assert "# - shop/web names `gone`, which is no Service" in out
    reading = read_text(out, "draft.yaml")
    assert reading.map is not None
    assert [str(d.destination) for d in reading.map.dependencies] == ["svc/shop/db"]


def test_a_draft_is_kept_in_a_file(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "map.yaml"
    assert main(["map", "init", cluster, "-o", str(target)]) == 0
    out = capsys.readouterr().out
    assert out == f"{target}: 1 guess, each with its evidence; 1 seen but not drafted\n"
    assert "workload: shop/web" in target.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.yaml", "map.yaml"]


def test_a_map_that_exists_is_not_replaced(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "map.yaml"
    target.write_text("mine")
    assert main(["map", "init", cluster, "-o", str(target)]) == 2
    assert "exists, perhaps finished by hand" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert main(["map", "init", cluster, "-o", str(target), "--force"]) == 0
    assert "DependencyMap" in target.read_text()


def test_a_folder_that_cannot_be_written_is_told(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "absent" / "map.yaml"
    assert main(["map", "init", cluster, "-o", str(target)]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_an_input_without_workloads_has_no_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text(workload("kube-system/dns"))
    assert main(["map", "init", str(tmp_path)]) == 3
    assert "nothing to map" in capsys.readouterr().err


def test_an_unreadable_input_is_told_and_the_rest_drafted(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.yaml").write_text("apiVersion: v1\nkind: [\n")
    assert main(["map", "init", str(tmp_path)]) == 3
    captured = capsys.readouterr()
    assert "broken.yaml" in captured.err
    assert "svc/shop/db" in captured.out


def test_map_alone_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["map"])
    assert stopped.value.code == 2
    assert "ACTION" in capsys.readouterr().err
