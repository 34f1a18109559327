"""How to reach a cluster: what a kubeconfig says, or the account of the pod we run in.

A kubeconfig goes before the account, as in client-go. The TLS context and the bearer tokens are
lightkube's.
"""

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import (
    DEFAULT_KUBECONFIG,
    SERVICE_ACCOUNT,
    KubeConfig,
    SingleConfig,
)
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError

from ringfence.errors import UsageError
from ringfence.model.location import Location
from ringfence.sources.live_kubeconfig import ClusterEntry, UserEntry, choose, exists, find
from ringfence.sources.live_plugin import PluginAuth

CONNECT_S: Final = 10.0
READ_S: Final = 60.0
"""How long the server may stay silent in the middle of an answer."""
ACCOUNT_FOLDER = SERVICE_ACCOUNT
"""Where a pod finds the account that it runs as."""


@dataclass(frozen=True)
class Access:
    """A way to a cluster's API server."""

    name: str
    """The context, or the server's host where no kubeconfig was read."""
    server: str
    """The server's address for messages: without any password that it may carry."""
    client: httpx2.Client
    extensions: dict[str, Any]
    """Sent along with each request: the name that the server's certificate must have."""


def open_access(*, context: str | None, kubeconfig: str | None) -> Access:
    """Return the way to the cluster that the arguments name; nothing is sent yet.

    Raises:
        UsageError: there is no such file or context, or what it says cannot be used.
        ClusterError: the program that hands out the credentials failed.
    """
    files = find(kubeconfig)
    if files:
        choice = choose(files, context)
        config = SingleConfig(choice.name, choice.context, choice.cluster, choice.user)
        return _connect(config, choice.cluster, choice.user, choice.location)
    if context is not None:
        raise UsageError(f"no kubeconfig in which context `{context}` could stand")
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return _from_account()
    raise UsageError(
        f"no kubeconfig: `{DEFAULT_KUBECONFIG}` does not exist, KUBECONFIG is not set, and this is "
        "no pod with an account; give `--kubeconfig`"
    )


def _from_account() -> Access:
    """Return the way that a pod's own account describes."""
    try:
        config = KubeConfig.from_service_account(ACCOUNT_FOLDER).get()
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the account of this pod cannot be read: {error}") from error
    except KeyError as error:
        raise UsageError(f"{error.args[0]} is not set, and no kubeconfig was found") from error
    assert config is not None  # noqa: S101  (`get` returns None for no configuration, ever)
    host = httpx2.URL(config.cluster.server).host
    location = Location(str(ACCOUNT_FOLDER))
    if not exists(Path(ACCOUNT_FOLDER, "ca.crt")):
        raise UsageError("the account of this pod has no `ca.crt`", location)
    cluster = ClusterEntry(
        server=config.cluster.server, certificate_auth=config.cluster.certificate_auth
    )
    return _connect(config._replace(context_name=host), cluster, UserEntry(), location)


def _connect(
    config: SingleConfig, cluster: ClusterEntry, user: UserEntry, location: Location
) -> Access:
    """Return a client for what was configured."""
    address = _address(cluster.server, location)
    plugin = PluginAuth(user.exec, cluster) if user.exec is not None else None
    parameters = ConnectionParams(
        timeout=httpx2.Timeout(READ_S, connect=CONNECT_S), proxy=cluster.proxy_url
    )
    try:
        # OpenSSL reads keys from files only; once read they are not needed any more.
        with tempfile.TemporaryDirectory(prefix="ringfence-") as folder:
            arguments = parameters.httpx_params(_in_files(config, plugin, Path(folder)))
        context: ssl.SSLContext = arguments["verify"]
        # Python 3.13 asks of certificates what client-go does not; clusters' own authorities
        # often have no key identifiers. The chain, the dates and the name are checked as ever.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        arguments["auth"] = plugin or arguments["auth"]
        client = httpx2.Client(**arguments, headers=_headers(user))
    except (OSError, ValueError) as error:
        # ssl.SSLError is an OSError; a ValueError means an empty or endless file.
        reason = error.strerror if isinstance(error, OSError) else None
        raise UsageError(
            f"the certificates of `{config.context_name}` cannot be used: {reason or error}",
            location,
        ) from error
    except (ConfigError, ImportError, httpx2.InvalidURL) as error:
        raise UsageError(f"`{config.context_name}` cannot be used: {error}", location) from error
    extensions = {"sni_hostname": cluster.tls_server_name} if cluster.tls_server_name else {}
    return Access(config.context_name, address, client, extensions)


def _address(server: str, location: Location) -> str:
    """Return the server's address as messages may show it."""
    try:
        url = httpx2.URL(server)
    except httpx2.InvalidURL as error:
        raise UsageError(f"bad kubeconfig: the server's address: {error}", location) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise UsageError(f"bad kubeconfig: `{server}` is no address of a server", location)
    return str(url.copy_with(userinfo=b"")).rstrip("/")


def _in_files(config: SingleConfig, plugin: PluginAuth | None, folder: Path) -> SingleConfig:
    """Return a configuration whose certificates and keys all stand in files."""
    cluster, user = config.cluster, config.user or User()
    if cluster.certificate_auth_data:
        path = folder / "ca.crt"
        path.write_bytes(base64.b64decode(cluster.certificate_auth_data))
        cluster = msgspec.structs.replace(
            cluster, certificate_auth=str(path), certificate_auth_data=None
        )
    certificate, key = folder / "client.crt", folder / "client.key"
    if plugin is not None:
        user = User()
        if plugin.credential.certificate is not None and plugin.credential.key is not None:
            certificate.write_text(plugin.credential.certificate, encoding="utf-8")
            key.write_text(plugin.credential.key, encoding="utf-8")
            user = User(client_cert=str(certificate), client_key=str(key))
        return config._replace(cluster=cluster, user=user)
    if user.client_cert_data:
        certificate.write_bytes(base64.b64decode(user.client_cert_data))
        user = msgspec.structs.replace(user, client_cert=str(certificate), client_cert_data=None)
    if user.client_key_data:
        key.write_bytes(base64.b64decode(user.client_key_data))
        user = msgspec.structs.replace(user, client_key=str(key), client_key_data=None)
    return config._replace(cluster=cluster, user=user)


def _headers(user: UserEntry) -> list[tuple[str, str]]:
    """Return the headers of every request, impersonation as the kubeconfig asks for it."""
    headers = [("Accept", "application/json"), ("User-Agent", "ringfence")]
    if user.impersonate:
        headers.append(("Impersonate-User", user.impersonate))
    if user.impersonate_uid:
        headers.append(("Impersonate-Uid", user.impersonate_uid))
    headers += [("Impersonate-Group", group) for group in user.impersonate_groups]
    return headers
