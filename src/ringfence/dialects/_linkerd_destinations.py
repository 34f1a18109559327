"""What takes the routes of an EgressNetwork, and whether it goes where it was meant for.

Authority: linkerd2 `policy-controller/grpc/src/outbound{,/http,/tls,/tcp}.rs`; linkerd2-proxy
`linkerd/tls/route/src`.
"""

from collections.abc import Iterator
from typing import Final

from ringfence.dialects._linkerd_objects import EGRESS_NETWORK, Source
from ringfence.dialects._linkerd_parents import GRPC, HTTP, TCP, TLS, Route
from ringfence.dialects._linkerd_routes import Backend, by_precedence
from ringfence.model.layer7 import DomainPattern, Layer7, Wildcard

ANY_NAME: Final = DomainPattern("*", Wildcard.CILIUM)


def sent(
    listed: list[Route], titles: tuple[str, ...], network: Source
) -> Iterator[tuple[Source, tuple[Layer7, ...] | None, str]]:
    """Yield what takes routes, what of it where, and what leaves open whether it gets out.

    Where that is all alike, the order does not matter.
    """
    parts: list[tuple[Source, tuple[Layer7, ...] | None, str]] = []
    if titles in (HTTP, GRPC):
        for source, box in by_precedence((route.source, route.boxes) for route in listed):
            why = box.uncertain or _elsewhere(source, box.backends, network)
            parts.append((source, (Layer7(http=box.http),), why))
    elif titles is TLS:
        named = [(name, route) for route in listed for name in route.hostnames or ("",)]
        for name, route in sorted(named, key=lambda each: _closeness(each[0])):
            pattern = DomainPattern(name, Wildcard.LABELS) if name else ANY_NAME
            why = _elsewhere(route.source, route.backends, network)
            parts.append((route.source, (Layer7(server_names=(pattern,)),), why))
    else:
        parts += [(r.source, None, _elsewhere(r.source, r.backends, network)) for r in listed]
    if any(why for *_, why in parts) or titles is TCP:
        yield from parts
        return
    for route in listed:
        boxes = [box for source, own, _ in parts if source == route.source for box in own or ()]
        yield route.source, tuple(dict.fromkeys(boxes)), ""


def _closeness(name: str) -> tuple[int, int]:
    """Return what sorts names of TLSRoutes: the closest first, then the oldest route.

    Source: linkerd2-proxy `linkerd/tls/route/src/sni.rs`.
    """
    return (2, 0) if not name else (1 if name.startswith("*") else 0, -len(name))


def _elsewhere(route: Source, backends: tuple[Backend, ...], network: Source) -> str:
    """Return why it is not judged where a route sends what takes it; empty where that is known.

    Source: linkerd2 `policy-controller/grpc/src/outbound/http.rs` convert_backend.
    """
    own = (*EGRESS_NETWORK, network.name, network.namespace)
    if all((*found[:3], found[3] or route.namespace) == own for found in backends):
        return ""
    return "it is sent to another backend, which is not judged"
