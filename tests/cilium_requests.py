"""Requests that Cilium's policies may tell apart, everything said of each."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from ringfence.model.layer7 import Request
from ringfence.model.snapshot import Snapshot

KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")
METHODS = ("GET", "GETX", "POST", "HEAD")
PATHS = ("/public", "/public?x=1", "/public/a", "/b", "/v1", "/v1/pay", "/")
HOSTS = ("api.corp.test", "other.test:80", "elsewhere")
HEADERS = (
    (),
    (("x-team", "red"),),
    (("x-role", "reader"), ("x-team", "blue")),
    (("x-team", "red"), ("x-team", "red")),
)
NAMES = ("api.corp.test", "a.api.corp.test", "x.a.api.corp.test", "corp.test", "test", "other.test")


def cilium_requests(snapshot: Snapshot) -> Iterator[Request]:
    """Yield what may be sent over a connection; nothing where no policy looks above the port."""
    seen = {key for d in snapshot.documents if d.kind in KINDS for key in keys(d.body)}
    peers = (False, True) if "authentication" in seen else (False,)
    if peers[1:]:
        yield from (plain_request(authenticated=one) for one in peers)
    if "http" in seen:
        for method, path, host, headers in product(METHODS, PATHS, HOSTS[:1], HEADERS[:2]):
            yield http_request(method, path, host, headers)
        for host, headers in product(HOSTS, HEADERS):
            yield http_request("GET", "/public", host, headers, authenticated=peers[-1])
        # TLS that nobody terminates, and anything else: no HTTP.
        for name, one in product(("", NAMES[0]), peers):
            yield plain_request(sni=name, authenticated=one)
    if "dns" in seen or "domainNames" in seen:
        yield from (plain_request(authenticated=one) for one in peers)
        yield from (plain_request(dns=name, authenticated=one) for name in NAMES for one in peers)
    if "serverNames" in seen:
        yield from (plain_request(sni=name, authenticated=one) for name in NAMES for one in peers)
        yield http_request("GET", "/public", HOSTS[0], (), sni=NAMES[0])
        yield http_request("GET", "/public", HOSTS[0], (), sni=NAMES[-1])


def plain_request(*, dns: str = "", sni: str = "", authenticated: bool = False) -> Request:
    """Return what is no HTTP."""
    return Request(http=False, dns=dns, sni=sni, authenticated=authenticated)


def http_request(
    method: str,
    path: str,
    host: str,
    headers: tuple[tuple[str, str], ...],
    *,
    sni: str = "",
    authenticated: bool = False,
) -> Request:
    """Return an HTTP request."""
    return Request(
        http=True,
        method=method,
        path=path,
        host=host,
        headers=tuple(sorted(headers)),
        dns="",
        sni=sni,
        authenticated=authenticated,
    )


def keys(value: Any) -> Iterator[str]:
    """Yield every key below a value that holds something."""
    if isinstance(value, dict):
        for key, child in value.items():
            if child:
                yield key
            yield from keys(child)
    elif isinstance(value, list):
        for child in value:
            yield from keys(child)
