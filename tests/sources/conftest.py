"""API servers to read from, and kubeconfigs that name them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.api_server import ApiServer, seal_off, serving, write_kubeconfig
from sources.certificates import Certificates, make_certificates


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide whatever cluster this machine knows."""
    seal_off(monkeypatch, tmp_path)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """Serve an empty cluster without TLS."""
    with serving(ApiServer()) as api:
        yield api


@pytest.fixture
def kubeconfig(api: ApiServer, tmp_path: Path) -> str:
    """Write a kubeconfig for the empty cluster."""
    return write_kubeconfig(tmp_path / "config", api.url)


@pytest.fixture
def many(api: ApiServer) -> list[str]:
    """Store 1,203 pods: three pages."""
    for number in range(1203):
        api.add("pods", f"p{number:04}", "shop" if number % 2 else "app")
    return sorted(f"{namespace}/{name}" for namespace, name in api.objects["pods"])


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make an authority, and certificates of a server and of a client."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def plain() -> Iterator[ApiServer]:
    """Serve one namespace without TLS."""
    with serving(ApiServer()) as api:
        api.add("namespaces", "shop")
        yield api


@pytest.fixture
def secured(certificates: Certificates) -> Iterator[ApiServer]:
    """Serve one namespace with TLS."""
    with serving(ApiServer(), certificates) as api:
        api.add("namespaces", "shop")
        yield api


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return where to write a kubeconfig."""
    return tmp_path / "config"
