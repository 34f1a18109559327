"""How a cluster is entered: tokens, certificates, TLS, the account of a pod."""

import socket
import ssl
from pathlib import Path

import pytest

from ringfence.sources import live_access
from ringfence.sources.live import read_cluster
from sources.api_server import UNAUTHORIZED, ApiServer, Request, serving, write_kubeconfig
from sources.certificates import Certificates, make_certificates
from sources.live_readings import assert_read, inline, refusal

pytestmark = pytest.mark.usefixtures("sealed")


# --- who comes in ------------------------------------------------------------------------------


def test_a_token(secured: ApiServer, config: Path, certificates: Certificates) -> None:
    secured.tokens = {"good"}
    authority = {"certificate-authority-data": inline(certificates.authority)}
    assert_read(
        kubeconfig=write_kubeconfig(config, secured.url, user={"token": "good"}, cluster=authority)
    )
    bad = write_kubeconfig(config, secured.url, user={"token": "bad"}, cluster=authority)
    assert refusal(kubeconfig=bad) == (
        f"4: cannot read from `{secured.url}`: it refuses the credentials (401): Unauthorized"
    )
    nobody = write_kubeconfig(config, secured.url, cluster=authority)
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
    secured: ApiServer, certificates: Certificates, tmp_path: Path, how: str
) -> None:
    secured.certificate_wanted = True
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
    assert_read(kubeconfig=write_kubeconfig(path, secured.url, user=user, cluster=cluster))


def test_no_client_certificate_where_one_is_wanted(
    secured: ApiServer, config: Path, certificates: Certificates
) -> None:
    secured.certificate_wanted = True
    path = write_kubeconfig(
        config, secured.url, cluster={"certificate-authority": str(certificates.authority)}
    )
    assert "4: " in (told := refusal(kubeconfig=path))
    assert "refuses the credentials" in told


def test_data_in_the_kubeconfig_goes_before_paths(
    secured: ApiServer, config: Path, certificates: Certificates
) -> None:
    path = write_kubeconfig(
        config,
        secured.url,
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


# --- TLS and the network -----------------------------------------------------------------------


def test_an_unknown_authority_is_refused(secured: ApiServer, config: Path) -> None:
    told = refusal(kubeconfig=write_kubeconfig(config, secured.url))
    assert told.startswith(f"4: cannot read from `{secured.url}`: ")
    assert "CERTIFICATE_VERIFY_FAILED" in told
    assert "_ssl.c" not in told
    assert secured.requests == []


def test_verification_can_be_switched_off_by_the_kubeconfig_only(
    secured: ApiServer, config: Path
) -> None:
    assert_read(
        kubeconfig=write_kubeconfig(config, secured.url, cluster={"insecure-skip-tls-verify": True})
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


def test_no_tls_to_a_server_with_it(secured: ApiServer, config: Path) -> None:
    url = secured.url.replace("https:", "http:")
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


# --- inside a cluster --------------------------------------------------------------------------


@pytest.fixture
def account(
    secured: ApiServer, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Lay out a pod's account, as the kubelet mounts it."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("good")
    (folder / "namespace").write_text("tools")
    (folder / "ca.crt").write_bytes(certificates.authority.read_bytes())
    monkeypatch.setattr(live_access, "ACCOUNT_FOLDER", str(folder))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", secured.url.rpartition(":")[2])
    return folder


def test_the_account_of_the_pod(secured: ApiServer, account: Path) -> None:
    secured.tokens = {"good"}
    reading = read_cluster()
    assert [document.ref for document in reading.documents] == ["Namespace/shop"]
    assert reading.source == "127.0.0.1"
    assert reading.documents[0].file == "live:127.0.0.1"


def test_the_accounts_token_is_read_anew_when_it_expires(secured: ApiServer, account: Path) -> None:
    secured.tokens = {"good"}

    def script(request: Request) -> None:
        secured.tokens = {"newer"}
        (account / "token").write_text("newer")

    secured.scripts["/apis"] = script
    assert_read()


def test_a_token_that_goes_away_while_we_read(secured: ApiServer, account: Path) -> None:
    secured.tokens = {"good"}

    def script(request: Request) -> None:
        secured.tokens = {"newer"}
        (account / "token").unlink()

    secured.scripts["/apis"] = script
    assert refusal().startswith(f"4: cannot read from `{secured.url}`: Token file ")


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
