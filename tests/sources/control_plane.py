"""A real etcd and kube-apiserver on 127.0.0.1, from the binaries in `KUBEBUILDER_ASSETS`.

Nothing else of a cluster runs: no controllers, no nodes. The flags are the fewest that a server
starts with. Authority: the reference of kube-apiserver's and etcd's command lines.
"""

import base64
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sources.certificates import Certificates, make_certificates

START_S = 90
ADMIN, NOBODY = "token-of-the-admin", "token-of-nobody-much"
USERS = f'{ADMIN},admin,1,"system:masters"\n{NOBODY},eve,2\n'
"""The server's static tokens: who may do everything, and who may do nothing."""


@dataclass(frozen=True)
class ControlPlane:
    """What runs, and how it is reached."""

    url: str
    etcd: str
    certificates: Certificates
    client: httpx2.Client
    """Speaks as the admin."""

    def create(self, path: str, body: dict[str, Any]) -> None:
        """Create an object under a path of the API."""
        response = self.client.post(path, json=body)
        assert response.status_code == httpx2.codes.CREATED, response.text

    def wait_for(self, path: str) -> None:
        """Wait until the API has a path."""
        _wait(lambda: self.client.get(path).status_code == httpx2.codes.OK, path)

    def forget_the_past(self) -> None:
        """Compact etcd, as the server itself does every five minutes: old lists expire."""
        now = self._ask_etcd("range", {"key": base64.b64encode(b"\0").decode()})
        revision = now["header"]["revision"]
        self._ask_etcd("compaction", {"revision": revision, "physical": True})

    def _ask_etcd(self, what: str, body: dict[str, Any]) -> Any:
        response = httpx2.post(f"{self.etcd}/v3/kv/{what}", json=body, trust_env=False)
        assert response.status_code == httpx2.codes.OK, response.text
        return response.json()


@contextmanager
def running(assets: Path, folder: Path) -> Iterator[ControlPlane]:
    """Run etcd and kube-apiserver until the end of the block."""
    certificates = make_certificates(folder)
    account_key = folder / "accounts.key"
    account_key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    tokens = folder / "tokens.csv"
    tokens.write_text(USERS)
    etcd, peers = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
    port = _free_port()
    url = f"https://127.0.0.1:{port}"
    # Python 3.13 wants key identifiers of authorities, which this one has as little as others.
    trust = ssl.create_default_context(cafile=certificates.authority)
    trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with ExitStack() as stack:
        stack.enter_context(
            _process(
                folder / "etcd.log",
                assets / "etcd",
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peers}",
            )
        )
        server = stack.enter_context(
            _process(
                folder / "kube-apiserver.log",
                assets / "kube-apiserver",
                f"--etcd-servers={etcd}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={port}",
                f"--cert-dir={folder}",
                f"--tls-cert-file={certificates.server}",
                f"--tls-private-key-file={certificates.server_key}",
                f"--client-ca-file={certificates.authority}",
                f"--token-auth-file={tokens}",
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
                "--service-cluster-ip-range=10.0.0.0/24",
                f"--service-account-issuer={url}",
                f"--service-account-key-file={account_key}",
                f"--service-account-signing-key-file={account_key}",
            )
        )
        client = stack.enter_context(
            httpx2.Client(
                base_url=url,
                verify=trust,
                headers={"Authorization": f"Bearer {ADMIN}"},
                trust_env=False,
            )
        )

        def ready() -> bool:
            assert server.poll() is None, (folder / "kube-apiserver.log").read_text()[-2000:]
            try:
                return client.get("/readyz").status_code == httpx2.codes.OK
            except httpx2.TransportError:
                return False

        _wait(ready, "the server")
        yield ControlPlane(url, etcd, certificates, client)


@contextmanager
def _process(log: Path, program: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as output,
        subprocess.Popen([program, *arguments], stdout=output, stderr=output) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come up within {START_S} s"
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
