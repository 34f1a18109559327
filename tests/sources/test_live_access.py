"""How a cluster is found and entered: kubeconfigs, tokens, certificates, plug-ins, accounts."""

import base64
import json
import os
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.errors import ClusterError, UsageError
from ringfence.sources import live_access
from ringfence.sources.live import read_cluster
from sources.api_server import (
    UNAUTHORIZED,
    ApiServer,
    Certificates,
    Request,
    make_certificates,
    seal_off,
    serving,
    told,
    write_kubeconfig,
)


@pytest.fixture(autouse=True)
def _sealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seal_off(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def plain() -> Iterator[ApiServer]:
    with serving(ApiServer()) as api:
        api.add("namespaces", "shop")
        yield api


@pytest.fixture
def api(certificates: Certificates) -> Iterator[ApiServer]:
    with serving(ApiServer(), certificates) as api:
        api.add("namespaces", "shop")
        yield api


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


def inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def assert_read(kubeconfig: str | None = None) -> None:
    reading = read_cluster(kubeconfig=kubeconfig)
    assert [document.ref for document in reading.documents] == ["Namespace/shop"]
    assert told(reading) == ()


def refusal(kubeconfig: str | None = None, context: str | None = None) -> str:
    """Return the message of the error, which must be one line and say what exit code it means."""
    with pytest.raises((UsageError, ClusterError)) as caught:
        read_cluster(kubeconfig=kubeconfig, context=context)
    assert "\n" not in str(caught.value)
    return f"{caught.value.exit_code}: {caught.value}"


# --- who comes in ------------------------------------------------------------------------------


def test_a_token(api: ApiServer, config: Path, certificates: Certificates) -> None:
    api.tokens = {"good"}
    authority = {"certificate-authority-data": inline(certificates.authority)}
    assert_read(
        kubeconfig=write_kubeconfig(config, api.url, user={"token": "good"}, cluster=authority)
    )
    bad = write_kubeconfig(config, api.url, user={"token": "bad"}, cluster=authority)
    assert refusal(kubeconfig=bad) == (
        f"4: cannot read from `{api.url}`: it refuses the credentials (401): Unauthorized"
    )
    nobody = write_kubeconfig(config, api.url, cluster=authority)
    assert "refuses the credentials" in refusal(kubeconfig=nobody)


def test_a_token_in_a_file_beside_the_kubeconfig(plain: ApiServer, config: Path) -> None:
    plain.tokens = {"good"}
    (config.parent / "token").write_text("good\n")
    assert_read(kubeconfig=write_kubeconfig(config, plain.url, user={"tokenFile": "token"}))


def test_a_token_that_is_replaced_while_we_read(plain: ApiServer, config: Path) -> None:
    plain.tokens = {"old"}
    (config.parent / "token").write_text("old")

    def script(request: Request) -> None:
        plain.tokens = {"new"}
        (config.parent / "token").write_text("new")

    plain.scripts["/apis"] = script
    assert_read(kubeconfig=write_kubeconfig(config, plain.url, user={"tokenFile": "token"}))


def test_a_token_that_expires_while_we_read(plain: ApiServer, config: Path) -> None:
    plain.scripts["/api/v1/pods"] = lambda _: UNAUTHORIZED
    assert "4: cannot read" in refusal(kubeconfig=write_kubeconfig(config, plain.url))


@pytest.mark.parametrize("how", ["data", "absolute paths", "relative paths"])
def test_a_client_certificate(
    api: ApiServer, certificates: Certificates, tmp_path: Path, how: str
) -> None:
    api.certificate_wanted = True
    folder = certificates.authority.parent
    if how == "data":
        user = {
            "client-certificate-data": inline(certificates.client),
            "client-key-data": inline(certificates.client_key),
        }
        cluster = {"certificate-authority-data": inline(certificates.authority)}
        path = tmp_path / "config"
    else:
        start = folder if how == "absolute paths" else Path()
        user = {
            "client-certificate": str(start / "client.crt"),
            "client-key": str(start / "client.key"),
        }
        cluster = {"certificate-authority": str(start / "ca.crt")}
        path = (tmp_path if how == "absolute paths" else folder) / "config"
    assert_read(kubeconfig=write_kubeconfig(path, api.url, user=user, cluster=cluster))


def test_no_client_certificate_where_one_is_wanted(
    api: ApiServer, config: Path, certificates: Certificates
) -> None:
    api.certificate_wanted = True
    path = write_kubeconfig(
        config, api.url, cluster={"certificate-authority": str(certificates.authority)}
    )
    assert "4: " in (told := refusal(kubeconfig=path))
    assert "refuses the credentials" in told


def test_data_in_the_kubeconfig_goes_before_paths(
    api: ApiServer, config: Path, certificates: Certificates
) -> None:
    path = write_kubeconfig(
        config,
        api.url,
        cluster={
            "certificate-authority-data": inline(certificates.authority),
            "certificate-authority": str(certificates.client),
        },
    )
    assert_read(kubeconfig=path)


def test_impersonation(plain: ApiServer, config: Path) -> None:
    assert_read(
        kubeconfig=write_kubeconfig(
            config, plain.url, user={"as": "eve", "as-uid": "7", "as-groups": ["a", "b"]}
        )
    )
    headers = plain.requests[0].headers
    assert headers["impersonate-user"] == "eve"
    assert headers["impersonate-uid"] == "7"
    assert "impersonate-group" in headers


def test_a_server_behind_a_path(config: Path) -> None:
    api = ApiServer()
    api.prefix = "/k8s/clusters/c-x7"
    api.add("namespaces", "shop")
    with serving(api):
        assert api.url.endswith("/c-x7")
        assert_read(kubeconfig=write_kubeconfig(config, api.url))
        assert_read(kubeconfig=write_kubeconfig(config, api.url + "/"))


# --- plug-ins ----------------------------------------------------------------------------------

V1 = "client.authentication.k8s.io/v1"


def plugin(folder: Path, code: str) -> str:
    """Write a credential plug-in in Python and return its path."""
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def hand_over(**fields: object) -> str:
    credential = {"kind": "ExecCredential", "apiVersion": V1, "status": fields}
    return f"print({json.dumps(json.dumps(credential))})"


@pytest.mark.parametrize("version", [V1, "client.authentication.k8s.io/v1beta1"])
def test_a_plugins_token(plain: ApiServer, tmp_path: Path, config: Path, version: str) -> None:
    plain.tokens = {"from-plugin"}
    command = plugin(
        tmp_path,
        "open(sys.argv[1], 'w').write(os.environ['KUBERNETES_EXEC_INFO'] + os.environ['COLOUR'])\n"
        + hand_over(token="from-plugin"),
    )
    user = {
        "exec": {
            "apiVersion": version,
            "command": "./plugin",
            "args": [str(tmp_path / "told")],
            "env": [{"name": "COLOUR", "value": "blue"}],
            "interactiveMode": "Never",
            "provideClusterInfo": True,
        }
    }
    assert command == str(tmp_path / "plugin")
    assert_read(kubeconfig=write_kubeconfig(config, plain.url, user=user))
    told = (tmp_path / "told").read_text()
    assert told.endswith("blue")
    assert json.loads(told.removesuffix("blue")) == {
        "apiVersion": version,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {"server": plain.url, "insecure-skip-tls-verify": False},
        },
    }


def test_a_plugins_expired_token_is_replaced(
    plain: ApiServer, tmp_path: Path, config: Path
) -> None:
    command = plugin(
        tmp_path,
        f"path = {str(tmp_path / 'runs')!r}\n"
        "open(path, 'a').write('x')\n"
        "token = 'token-%d' % len(open(path).read())\n"
        "print(json.dumps({'kind': 'ExecCredential', 'status': {'token': token}}))",
    )
    plain.tokens = {"token-1"}

    def script(request: Request) -> None:
        plain.tokens = {"token-2"}

    plain.scripts["/apis"] = script
    user = {"exec": {"apiVersion": V1, "command": command}}
    assert_read(kubeconfig=write_kubeconfig(config, plain.url, user=user))
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_plugins_certificate(
    api: ApiServer, tmp_path: Path, config: Path, certificates: Certificates
) -> None:
    api.certificate_wanted = True
    command = plugin(
        tmp_path,
        hand_over(
            clientCertificateData=certificates.client.read_text(),
            clientKeyData=certificates.client_key.read_text(),
        ),
    )
    user = {"exec": {"apiVersion": V1, "command": command}}
    authority = {"certificate-authority": str(certificates.authority)}
    assert_read(kubeconfig=write_kubeconfig(config, api.url, user=user, cluster=authority))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit(3)", "failed with exit code 3"),
        ("print('hello')", "hands over no ExecCredential"),
        ("print('{}')", "hands over no ExecCredential"),
        (hand_over(), "hands over neither a token nor a certificate"),
        (hand_over(clientKeyData="x"), "half of a certificate"),
    ],
)
def test_a_plugin_that_fails(
    plain: ApiServer, tmp_path: Path, config: Path, code: str, message: str
) -> None:
    user = {"exec": {"apiVersion": V1, "command": plugin(tmp_path, code)}}
    told = refusal(kubeconfig=write_kubeconfig(config, plain.url, user=user))
    assert told.startswith("4: the credential plugin `")
    assert message in told
    assert plain.requests == []


def test_a_plugin_that_is_not_there(plain: ApiServer, config: Path) -> None:
    user = {"exec": {"apiVersion": V1, "command": "no-such-plugin", "installHint": "get it\nthere"}}
    assert refusal(kubeconfig=write_kubeconfig(config, plain.url, user=user)) == (
        "4: the credential plugin `no-such-plugin` cannot be run: No such file or directory "
        "(get it there)"
    )


def test_a_plugin_of_another_api(plain: ApiServer, config: Path) -> None:
    user = {"exec": {"apiVersion": "v1", "command": "x"}}
    told = refusal(kubeconfig=write_kubeconfig(config, plain.url, user=user))
    assert told == f"2: {config}: bad kubeconfig: unknown credential plugin API `v1`"


# --- TLS and the network -----------------------------------------------------------------------


def test_an_unknown_authority_is_refused(api: ApiServer, config: Path) -> None:
    told = refusal(kubeconfig=write_kubeconfig(config, api.url))
    assert told.startswith(f"4: cannot read from `{api.url}`: ")
    assert "CERTIFICATE_VERIFY_FAILED" in told
    assert "_ssl.c" not in told
    assert api.requests == []


def test_verification_can_be_switched_off_by_the_kubeconfig_only(
    api: ApiServer, config: Path
) -> None:
    assert_read(
        kubeconfig=write_kubeconfig(config, api.url, cluster={"insecure-skip-tls-verify": True})
    )


def test_a_certificate_of_another_name_is_refused(config: Path, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path, "kubernetes.default")
    authority = {"certificate-authority": str(certificates.authority)}
    api = ApiServer()
    api.add("namespaces", "shop")
    with serving(api, certificates):
        told = refusal(kubeconfig=write_kubeconfig(config, api.url, cluster=authority))
        assert "CERTIFICATE_VERIFY_FAILED" in told
        named = {**authority, "tls-server-name": "kubernetes.default"}
        assert_read(kubeconfig=write_kubeconfig(config, api.url, cluster=named))


def test_authorities_without_key_identifiers_are_as_good_as_to_client_go(
    config: Path, certificates: Certificates
) -> None:
    path = write_kubeconfig(
        config,
        "https://127.0.0.1:1",
        cluster={"certificate-authority": str(certificates.authority)},
    )
    access = live_access.open_access(context=None, kubeconfig=path)
    with access.client as client:
        context = client._transport._pool._ssl_context  # type: ignore[attr-defined]
    assert isinstance(context, ssl.SSLContext)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_tls_to_a_server_without_it(plain: ApiServer, config: Path) -> None:
    url = plain.url.replace("http:", "https:")
    told = refusal(
        kubeconfig=write_kubeconfig(config, url, cluster={"insecure-skip-tls-verify": True})
    )
    assert told.startswith(f"4: cannot read from `{url}`: ")
    assert "SSL" in told


def test_no_tls_to_a_server_with_it(api: ApiServer, config: Path) -> None:
    url = api.url.replace("https:", "http:")
    assert f"4: cannot read from `{url}`" in refusal(kubeconfig=write_kubeconfig(config, url))


def test_a_dead_server(config: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        told = refusal(kubeconfig=write_kubeconfig(config, url))
    assert told.startswith(f"4: cannot read from `{url}`: ")
    assert "Connection refused" in told


def test_a_name_that_does_not_resolve(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    told = refusal(kubeconfig=write_kubeconfig(config, "https://api.shop.invalid:6443"))
    assert told == (
        "4: cannot read from `https://api.shop.invalid:6443`: Name or service not known"
    )


def test_a_server_that_takes_no_connection(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_access, "CONNECT_S", 0.1)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        # The queue of those who wait to be let in is full.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        told = refusal(kubeconfig=write_kubeconfig(config, f"http://127.0.0.1:{address[1]}"))
        for one in waiting:
            one.close()
    assert "no connection within" in told


def test_a_password_in_the_address_is_not_told(config: Path) -> None:
    told = refusal(kubeconfig=write_kubeconfig(config, "http://eve:secret@127.0.0.1:1/x"))
    assert "`http://127.0.0.1:1/x`" in told
    assert "secret" not in told


# --- kubeconfigs -------------------------------------------------------------------------------


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


# --- inside a cluster --------------------------------------------------------------------------


@pytest.fixture
def account(
    api: ApiServer, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Lay out a pod's account, as the kubelet mounts it."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("good")
    (folder / "namespace").write_text("tools")
    (folder / "ca.crt").write_bytes(certificates.authority.read_bytes())
    monkeypatch.setattr(live_access, "ACCOUNT_FOLDER", str(folder))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", api.url.rpartition(":")[2])
    return folder


def test_the_account_of_the_pod(api: ApiServer, account: Path) -> None:
    api.tokens = {"good"}
    reading = read_cluster()
    assert [document.ref for document in reading.documents] == ["Namespace/shop"]
    assert reading.source == "127.0.0.1"
    assert reading.documents[0].file == "live:127.0.0.1"


def test_the_accounts_token_is_read_anew_when_it_expires(api: ApiServer, account: Path) -> None:
    api.tokens = {"good"}

    def script(request: Request) -> None:
        api.tokens = {"newer"}
        (account / "token").write_text("newer")

    api.scripts["/apis"] = script
    assert_read()


def test_a_token_that_goes_away_while_we_read(api: ApiServer, account: Path) -> None:
    api.tokens = {"good"}

    def script(request: Request) -> None:
        api.tokens = {"newer"}
        (account / "token").unlink()

    api.scripts["/apis"] = script
    assert refusal().startswith(f"4: cannot read from `{api.url}`: Token file ")


@pytest.mark.parametrize("name", ["token", "namespace", "ca.crt"])
def test_half_an_account(account: Path, name: str) -> None:
    (account / name).unlink()
    assert name in refusal()


def test_no_port(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT")
    assert refusal() == "2: KUBERNETES_SERVICE_PORT is not set, and no kubeconfig was found"


def test_a_kubeconfig_goes_before_the_account(
    plain: ApiServer, account: Path, config: Path
) -> None:
    assert read_cluster(kubeconfig=write_kubeconfig(config, plain.url)).source == "test"
