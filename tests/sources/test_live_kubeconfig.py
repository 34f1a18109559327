"""Which kubeconfigs are read, and what is told of broken ones."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.sources.live import read_cluster
from sources.api_server import (
    ApiServer,
    write_kubeconfig,
)
from sources.live_readings import assert_read, refusal

pytestmark = pytest.mark.usefixtures("sealed")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    assert refusal(kubeconfig=path) == f"2: no kubeconfig file `{path}`"


def test_a_context_that_is_not_there_names_those_that_are(config: Path) -> None:
    path = write_kubeconfig(config, "http://127.0.0.1:1", name="prod")
    assert refusal(kubeconfig=path, context="x") == f"2: {path}: no context `x`; there are: `prod`"


def test_no_current_context(config: Path) -> None:
    content = yaml.safe_load(Path(write_kubeconfig(config, "http://127.0.0.1:1")).read_text())
    del content["current-context"]
    config.write_text(yaml.safe_dump(content))
    assert refusal(kubeconfig=str(config)) == (
        f"2: {config}: no current context; give `--context` with one of: `test`"
    )
    assert "4: cannot read" in refusal(kubeconfig=str(config), context="test")


BROKEN = [
    ("clusters: [", ":1: bad kubeconfig: expected the node content"),
    ("a: b\n\tc: d", ":2: bad kubeconfig: found character '\\t'"),
    ("- a list", ": bad kubeconfig: Expected `object`, got `array`"),
    ("hello", ": bad kubeconfig: Expected `object`, got `str`"),
    ("", ": no current context; give `--context` with one of: none"),
    ("contexts: 7", ": bad kubeconfig: Expected `array | null`, got `int` - at `$.contexts`"),
    ("contexts: [{context: {}}]", ": bad kubeconfig: Object missing required field `name`"),
    ("when: 2024-99-99", ": bad kubeconfig: month must be in 1..12"),
    ("\x00", ": bad kubeconfig: unacceptable character"),
]


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_a_broken_file(config: Path, content: str, message: str) -> None:
    config.write_text(content)
    assert refusal(kubeconfig=str(config)).startswith(f"2: {config}{message}")


def test_a_file_that_is_no_text(config: Path) -> None:
    config.write_bytes(b"\xff\xfe\x00")
    assert "bad kubeconfig: 'utf-8' codec" in refusal(kubeconfig=str(config))


def test_a_file_that_may_not_be_read(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("")

    def denied(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    assert "2: " in (told := refusal(kubeconfig=str(config)))
    assert "cannot read the kubeconfig: Permission denied" in told


PARTS: list[tuple[dict[str, Any], str]] = [
    ({"contexts": [{"name": "test", "context": {}}]}, "missing required field `cluster`"),
    (
        {"contexts": [{"name": "test", "context": {"cluster": "x"}}]},
        "context `test` names no known cluster: `x`",
    ),
    (
        {"contexts": [{"name": "test", "context": {"cluster": "test-cluster", "user": "x"}}]},
        "context `test` names no known user: `x`",
    ),
    ({"clusters": [{"name": "test-cluster"}]}, "cluster `test-cluster` names no server"),
    (
        {"clusters": [{"name": "test-cluster", "cluster": {"server": "ftp://x"}}]},
        "`ftp://x` is no address of a server",
    ),
    (
        {"clusters": [{"name": "test-cluster", "cluster": {"server": "127.0.0.1:6443"}}]},
        "`127.0.0.1:6443` is no address of a server",
    ),
    (
        {"clusters": [{"name": "test-cluster", "cluster": {"server": "https://x:port"}}]},
        "bad kubeconfig: the server's address: ",
    ),
    ({"users": [{"name": "test-user", "user": {"token": 7}}]}, "got `int` - at `$.token`"),
    (
        {"users": [{"name": "test-user", "user": {"auth-provider": {"name": "gcp"}}}]},
        "auth-provider not supported",
    ),
    (
        {"users": [{"name": "test-user", "user": {"tokenFile": "gone"}}]},
        "bad kubeconfig: `tokenFile` leads nowhere: ",
    ),
    (
        {"users": [{"name": "test-user", "user": {"client-certificate-data": "eA=="}}]},
        "a client certificate and its key go together",
    ),
    (
        {
            "users": [
                {
                    "name": "test-user",
                    "user": {"client-certificate-data": "eA==", "client-key-data": "eA=="},
                }
            ]
        },
        "the certificates of `test` cannot be used: ",
    ),
    (
        {
            "clusters": [
                {
                    "name": "test-cluster",
                    "cluster": {"server": "https://x", "certificate-authority-data": "x"},
                }
            ]
        },
        "bad kubeconfig: `certificate-authority-data` is not base64",
    ),
    (
        {
            "clusters": [
                {
                    "name": "test-cluster",
                    "cluster": {"server": "https://x", "certificate-authority": "gone"},
                }
            ]
        },
        "bad kubeconfig: `certificate-authority` leads nowhere: ",
    ),
    (
        {
            "clusters": [
                {
                    "name": "test-cluster",
                    "cluster": {"server": "https://x", "proxy-url": "socks9://x"},
                }
            ]
        },
        "bad kubeconfig: `proxy-url` is no address of a proxy",
    ),
]


@pytest.mark.parametrize(("parts", "message"), PARTS)
def test_a_file_with_a_part_that_cannot_be(
    config: Path, parts: dict[str, Any], message: str
) -> None:
    content = yaml.safe_load(Path(write_kubeconfig(config, "https://127.0.0.1:1")).read_text())
    config.write_text(yaml.safe_dump({**content, **parts}))
    told = refusal(kubeconfig=str(config))
    assert told.startswith(f"2: {config}: ")
    assert message in told


def test_other_contexts_may_be_as_broken_as_they_like(plain: ApiServer, config: Path) -> None:
    content = yaml.safe_load(Path(write_kubeconfig(config, plain.url)).read_text())
    content["users"].append({"name": "other", "user": {"token": 7}})
    content["clusters"].append({"name": "other", "cluster": {"certificate-authority": "gone"}})
    config.write_text(yaml.safe_dump(content))
    assert_read(kubeconfig=str(config))


def test_an_empty_user_is_nobody(plain: ApiServer, config: Path) -> None:
    content = yaml.safe_load(Path(write_kubeconfig(config, plain.url)).read_text())
    del content["contexts"][0]["context"]["user"], content["users"]
    config.write_text(yaml.safe_dump(content))
    assert_read(kubeconfig=str(config))


def test_the_files_of_kubeconfig_are_merged(
    plain: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, folder = tmp_path / "first", tmp_path / "second", tmp_path / "sub"
    folder.mkdir()
    third = folder / "third"
    plain.tokens = {"good"}
    (folder / "token").write_text("good")
    first.write_text(yaml.safe_dump({"current-context": "prod"}))
    write_kubeconfig(second, plain.url, name="stage", user={"tokenFile": "nowhere"})
    write_kubeconfig(third, plain.url, name="prod", user={"tokenFile": "token"})
    paths = [str(path) for path in (first, tmp_path / "none", second, third)]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(paths))
    assert_read()
    assert read_cluster(context="prod").source == "prod"
    assert "leads nowhere" in refusal(context="stage")
    assert "there are: `prod`, `stage`" in refusal(context="x")


def test_the_first_file_of_kubeconfig_wins(
    plain: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_kubeconfig(tmp_path / "first", plain.url)
    second = write_kubeconfig(tmp_path / "second", "http://127.0.0.1:1")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([first, second]))
    assert_read()
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([second, first]))
    assert "4: " in refusal()


def test_kubeconfig_names_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "gone")
    monkeypatch.setenv("KUBECONFIG", path)
    assert refusal() == f"2: KUBECONFIG names no file that exists: `{path}`"


def test_the_default_file(plain: ApiServer, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    write_kubeconfig(tmp_path / ".kube" / "config", plain.url)
    assert_read()


def test_no_file_at_all() -> None:
    assert refusal().startswith("2: no kubeconfig: `~/.kube/config` does not exist")
    assert refusal(context="x") == "2: no kubeconfig in which context `x` could stand"
