"""An HTTP(S) server on 127.0.0.1 that speaks as much of the Kubernetes API as reading takes.

It serves discovery, lists in pages, and single objects; refuses who has no token or certificate;
and misbehaves where a test scripts it to.
"""

import base64
import json
import os
import ssl
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from ringfence.model.kinds import KINDS
from ringfence.model.location import Problem
from ringfence.model.reading import Reading
from ringfence.sources import live_requests
from sources.certificates import Certificates

Body = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """An answer as it goes out."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    sent: int | None = None
    """How many bytes of the body are really sent before the connection breaks off."""
    reset: bool = False
    """Break the connection before anything is sent."""
    trickle_s: float = 0.0
    """Pause after each byte of the body."""


Script = Callable[[Request], Answer | None]
"""Answers in the server's place; None leaves the answer to the server."""


def status(code: int, message: str, *, reason: str = "", **more: object) -> Answer:
    """Return a refusal as API servers word it: an object of kind Status."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    return Answer(code, json.dumps({**body, "reason": reason, "code": code, **more}).encode())


def always(answer: Answer) -> Script:
    return lambda _: answer


def just(*answers: Answer | None) -> Script:
    """Return a script for the first requests of a path; the rest is the server's."""
    rest = list(answers)
    return lambda _: rest.pop(0) if rest else None


@dataclass(frozen=True)
class Resource:
    """A kind that the server has."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def prefix(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


BUILT_IN = [
    Resource(kind.group, kind.versions[0], kind.plural, kind.kind, kind.namespaced)
    for kind in KINDS
    if kind.group in {"", "apps", "batch", "networking.k8s.io", "discovery.k8s.io"}
] + [
    Resource("", "v1", "configmaps", "ConfigMap"),
    Resource("", "v1", "secrets", "Secret"),
]


class ApiServer:
    """The server's content and manners; `requests` is what it was asked."""

    def __init__(self) -> None:
        self.resources = list(BUILT_IN)
        self.objects: dict[str, dict[tuple[str, str], Body]] = defaultdict(dict)
        self.scripts: dict[str, Script] = {}
        self.forbidden: set[tuple[str, str | None]] = set()
        """Plurals and the namespaces where they may not be read; None: cluster-wide."""
        self.tokens: set[str] | None = None
        """Who may come in by a token; None asks nobody."""
        self.certificate_wanted = False
        self.requests: list[Request] = []
        self.url = ""
        self.prefix = ""
        """A path before all others, as proxies before clusters have it."""

    def add(self, plural: str, name: str, namespace: str = "", **body: Any) -> Body:
        """Store an object."""
        metadata: Body = {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "uid": f"{plural}-{namespace}-{name}",
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            **body.pop("metadata", {}),
        }
        self.objects[plural][namespace, name] = {"metadata": metadata, **body}
        return self.objects[plural][namespace, name]

    def asked(self, path: str) -> list[Request]:
        """Return the requests for one path."""
        return [request for request in self.requests if request.path == path]

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request that may come in."""
        if (script := self.scripts.get(request.path)) is not None:
            scripted = script(request)
            if scripted is not None:
                return scripted
        if request.path == "/api":
            return _json({"kind": "APIVersions", "versions": ["v1"]})
        if request.path == "/apis":
            return _json(self._groups())
        for resource in self.resources:
            if request.path == resource.prefix:
                return _json(self._resource_list(resource.api_version))
            if request.path.startswith(resource.prefix + "/"):
                parts = request.path.removeprefix(resource.prefix + "/").split("/")
                namespace = None
                if resource.namespaced and parts[0] == "namespaces" and len(parts) > 2:
                    namespace, parts = parts[1], parts[2:]
                if parts[0] == resource.plural and len(parts) <= 2:
                    return self._read(resource, namespace, parts[1:], request)
        return status(404, "the server could not find the requested resource", reason="NotFound")

    def _read(
        self, resource: Resource, namespace: str | None, name: list[str], request: Request
    ) -> Answer:
        verb = "get" if name else "list"
        scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        key = (resource.plural, name[0] if name and not resource.namespaced else namespace)
        if key in self.forbidden:
            return status(
                403,
                f'{resource.plural} is forbidden: User "eve" cannot {verb} resource '
                f'"{resource.plural}" in API group "{resource.group}" {scope}',
                reason="Forbidden",
            )
        stored = self.objects[resource.plural]
        if name:
            found = stored.get((namespace or "", name[0]))
            if found is None:
                return status(404, f'{resource.plural} "{name[0]}" not found', reason="NotFound")
            return _json({"kind": resource.kind, "apiVersion": resource.api_version, **found})
        return _json(self._page(resource, namespace, request.query))

    def _page(self, resource: Resource, namespace: str | None, query: dict[str, str]) -> Body:
        keys = sorted(key for key in self.objects[resource.plural] if namespace in {None, key[0]})
        if "continue" in query:
            start = tuple(json.loads(base64.b64decode(query["continue"])))
            keys = [key for key in keys if key >= start]
        metadata: Body = {"resourceVersion": "7"}
        limit = int(query.get("limit", "0")) or len(keys)
        if len(keys) > limit:
            metadata["continue"] = base64.b64encode(json.dumps(keys[limit]).encode()).decode()
            metadata["remainingItemCount"] = len(keys) - limit
        items = [self.objects[resource.plural][key] for key in keys[:limit]]
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": metadata,
            "items": items,
        }

    def _groups(self) -> Body:
        versions: dict[str, list[str]] = defaultdict(list)
        for resource in self.resources:
            if resource.group and resource.version not in versions[resource.group]:
                versions[resource.group].append(resource.version)
        groups = [
            {
                "name": name,
                "versions": [
                    {"groupVersion": f"{name}/{version}", "version": version} for version in listed
                ],
            }
            for name, listed in versions.items()
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _resource_list(self, api_version: str) -> Body:
        resources: list[Body] = []
        for resource in self.resources:
            if resource.api_version == api_version:
                entry = {
                    "name": resource.plural,
                    "singularName": resource.kind.lower(),
                    "kind": resource.kind,
                    "namespaced": resource.namespaced,
                    "verbs": ["get", "list", "watch"],
                }
                part = {**entry, "name": f"{resource.plural}/status", "verbs": ["get"]}
                resources += [entry, part]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": api_version,
            "resources": resources,
        }


def _json(body: Body) -> Answer:
    return Answer(body=json.dumps(body).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    disable_nagle_algorithm = True
    api: ApiServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if not parts.path.startswith(self.api.prefix):
            self._send(status(404, "outside of the prefix"))
            return
        request = Request(
            parts.path.removeprefix(self.api.prefix),
            dict(parse_qsl(parts.query)),
            {name.lower(): value for name, value in self.headers.items()},
        )
        self.api.requests.append(request)
        self._send(self.api.answer(request) if self._may_enter(request) else UNAUTHORIZED)

    def _may_enter(self, request: Request) -> bool:
        if self.api.certificate_wanted:
            assert isinstance(self.connection, ssl.SSLSocket)
            return bool(self.connection.getpeercert())
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self.api.tokens is None or bearer in self.api.tokens

    def _send(self, answer: Answer) -> None:
        if answer.reset:
            # A reset instead of a proper end: linger for no time.
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        time.sleep(answer.delay_s)
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        body = answer.body if answer.sent is None else answer.body[: answer.sent]
        if answer.trickle_s:
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(answer.trickle_s)
        self.wfile.write(b"" if answer.trickle_s else body)
        if answer.sent is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


UNAUTHORIZED = status(401, "Unauthorized", reason="Unauthorized")


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.tls is not None:
            # The handshake is left to the connection's own thread.
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""


@contextmanager
def serving(api: ApiServer, certificates: Certificates | None = None) -> Iterator[ApiServer]:
    """Serve an API on a free port of 127.0.0.1; over TLS where certificates are given."""
    handler = type("Handler", (_Handler,), {"api": api})
    server = _Http(("127.0.0.1", 0), handler)
    if certificates is not None:
        server.tls = certificates.server_context()
    scheme = "http" if certificates is None else "https"
    api.url = f"{scheme}://127.0.0.1:{server.server_address[1]}{api.prefix}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        with suppress(OSError):
            server.server_close()


def write_kubeconfig(
    path: Path,
    server: str,
    *,
    user: Body | None = None,
    name: str = "test",
    cluster: Body | None = None,
) -> str:
    """Write a kubeconfig with one context, and return its path."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": name,
                "clusters": [
                    {"name": f"{name}-cluster", "cluster": {"server": server, **(cluster or {})}}
                ],
                "users": [{"name": f"{name}-user", "user": user or {}}],
                "contexts": [
                    {
                        "name": name,
                        "context": {"cluster": f"{name}-cluster", "user": f"{name}-user"},
                    }
                ],
            }
        ),
        encoding="utf-8",
    )
    return str(path)


def seal_off(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Hide this machine's own clusters and proxies, and make tries follow each other quickly."""
    for name in list(os.environ):
        if name.startswith("KUBE") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(live_requests, "FIRST_PAUSE_S", 0.01)


def told(reading: Reading) -> tuple[Problem, ...]:
    """Return what went wrong; the note on kinds that a server does not have is left out."""
    return tuple(problem for problem in reading.problems if problem.severity != "note")
