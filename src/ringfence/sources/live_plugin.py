"""Credential plug-ins: the programs that a kubeconfig names to obtain credentials (`exec`).

Clouds' own kubeconfigs nearly all work this way. lightkube runs such programs too, but only
for the versions before `v1`, without telling them what is asked (`KUBERNETES_EXEC_INFO`), and
takes no certificates from them; hence this file.

Authority: the Kubernetes documentation, "client-go credential plugins", and its API
`client.authentication.k8s.io/v1`.
"""

import base64
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
from lightkube.config.models import Cluster, UserExec

from ringfence.errors import ClusterError

GROUP: Final = "client.authentication.k8s.io/"
TIMEOUT_S: Final = 300
"""Generous: a plug-in may send its user through a login in a browser."""


class Plugin(UserExec):
    """The `exec` part of a kubeconfig's user."""

    interactive_mode: str = msgspec.field(name="interactiveMode", default="IfAvailable")
    provide_cluster_info: bool = msgspec.field(name="provideClusterInfo", default=False)


class Credential(msgspec.Struct, frozen=True):
    """What a plug-in hands over: a token, a client certificate, or both. All text is PEM."""

    token: str | None = None
    certificate: str | None = msgspec.field(name="clientCertificateData", default=None)
    key: str | None = msgspec.field(name="clientKeyData", default=None)


class _Output(msgspec.Struct, frozen=True):
    kind: str
    status: Credential


class PluginAuth(httpx2.Auth):
    """Sends a plug-in's token, and asks the plug-in for another where the server refuses it."""

    def __init__(self, plugin: Plugin, cluster: Cluster) -> None:
        """Run the plug-in for its first credential.

        Raises:
            ClusterError: the plug-in cannot be run, failed, or hands over nothing of use.
        """
        self._plugin = plugin
        self._cluster = cluster
        self.credential = run(plugin, cluster)

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a request with the token, and once more with a new one if it has expired."""
        if self.credential.token is None:
            yield request
            return
        request.headers["Authorization"] = f"Bearer {self.credential.token}"
        response = yield request
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            self.credential = run(self._plugin, self._cluster)
            request.headers["Authorization"] = f"Bearer {self.credential.token}"
            yield request


def run(plugin: Plugin, cluster: Cluster) -> Credential:
    """Run a plug-in and return its credential; what it says on standard error goes through.

    Raises:
        ClusterError: the plug-in cannot be run, failed, or hands over nothing of use.
    """
    named = f"credential plugin `{plugin.command}`"
    interactive = sys.stdin is not None and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not interactive:
        raise ClusterError(f"the {named} wants a terminal, and standard input is none")
    interactive = interactive and plugin.interactive_mode != "Never"
    try:
        task = msgspec.json.encode(_task(plugin, cluster, interactive=interactive)).decode()
        # The kubeconfig names the program: whoever wrote it is trusted, as by every other client.
        done = subprocess.run(  # noqa: S603
            [plugin.command, *(plugin.args or ())],
            env={
                **os.environ,
                **{variable.name: variable.value for variable in plugin.env or ()},
                "KUBERNETES_EXEC_INFO": task,
            },
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"the {named} failed with exit code {error.returncode}") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"the {named} gave no answer within {TIMEOUT_S} s") from error
    except (OSError, ValueError) as error:
        hint = " ".join((plugin.installHint or "").split())
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ClusterError(
            f"the {named} cannot be run: {reason}{f' ({hint})' if hint else ''}"
        ) from error
    try:
        output = msgspec.json.decode(done.stdout, type=_Output)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClusterError(f"the {named} hands over no ExecCredential: {error}") from error
    credential = output.status
    if (credential.certificate is None) != (credential.key is None):
        raise ClusterError(f"the {named} hands over half of a certificate and its key")
    if credential.token is None and credential.certificate is None:
        raise ClusterError(f"the {named} hands over neither a token nor a certificate")
    return credential


def _task(plugin: Plugin, cluster: Cluster, *, interactive: bool) -> dict[str, Any]:
    """Return what the plug-in is told of its task."""
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.provide_cluster_info:
        authority = cluster.certificate_auth_data
        if authority is None and cluster.certificate_auth is not None:
            authority = base64.b64encode(Path(cluster.certificate_auth).read_bytes()).decode()
        spec["cluster"] = {
            "server": cluster.server,
            "insecure-skip-tls-verify": cluster.insecure,
            **({"certificate-authority-data": authority} if authority else {}),
        }
    return {"apiVersion": plugin.apiVersion, "kind": "ExecCredential", "spec": spec}
