"""Requests that a snapshot's policies may tell apart, everything said of each."""

import random
from collections.abc import Iterator
from typing import Any

from cilium_requests import cilium_requests
from ringfence.model.layer7 import Request
from ringfence.model.snapshot import Snapshot

FEW = 24
PLAIN = Request(http=False, dns="", sni="", authenticated=False)
"""Neither HTTP nor DNS nor TLS."""


def requests(snapshot: Snapshot) -> list[Request]:
    """Return what may be sent over a connection; nothing where no document looks above the port.

    Nothing of a request is left open: of what is, the literal judge knows less than the engine.
    """
    found = {value: None for d in snapshot.documents for value in calico_http(d.body.get("spec"))}
    found |= dict.fromkeys(cilium_requests(snapshot))
    if not found:
        return []
    listed = list(found)
    if len(listed) > FEW:
        listed = random.Random(5).sample(listed, FEW)
    return [PLAIN, *listed]


def http(method: str, path: str, host: str = "x.test") -> Request:
    """Return an HTTP request without headers."""
    return Request(
        http=True,
        method=method,
        path=path,
        host=host,
        headers=(),
        dns="",
        sni="",
        authenticated=False,
    )


def calico_http(value: Any) -> Iterator[Request]:
    """Yield requests around every `http` of Calico's below a value."""
    if isinstance(value, list):
        for child in value:
            yield from calico_http(child)
    if not isinstance(value, dict):
        return
    found = value.get("http")
    if isinstance(found, dict):
        methods = [m for m in listed(found.get("methods")) if isinstance(m, str)]
        texts = [t for e in listed(found.get("paths")) if isinstance(e, dict) for t in e.values()]
        for method in ("GET", *methods):
            for text in ("/", *(t for t in texts if isinstance(t, str))):
                yield from (http(method, path) for path in around(text))
    for child in value.values():
        yield from calico_http(child)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def around(path: str) -> list[str]:
    """Return a path, others that a server may take for it, and some that it must not."""
    return [
        path,
        f"{path}/",
        f"{path}x",
        f"{path}/a",
        f"{path}?to=/pub",
        f"{path}#/pub",
        f"/x/..{path}",
        f"/.{path}",
        f"{path}/../adm",
        f"{path};v=1/b;c",
        f"{path}/%2e%2e/adm",
        f"{path}%2f",
        f"{path}%252f",
        f"{path}%0",
        f"{path}%00",
        path.replace("/", "//"),
        path.replace("/", "\\"),
        path.replace("/", "%2F"),
        path.replace("p", "%70"),
        path.removeprefix("/"),
        f"{path}/é",
        "*",
        "",
    ]
