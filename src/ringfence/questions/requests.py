"""What a query says above the port, as judges take it; what contradicts itself is refused."""

from typing import Final

import msgspec

from ringfence.errors import UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.query import Http, Query

HTTP, DNS, SNI = "http", "dns", "sni"
_SPOKEN_OVER: Final = {
    HTTP: (Protocol.TCP,),
    SNI: (Protocol.TCP,),
    DNS: (Protocol.UDP, Protocol.TCP),
}
"""HTTP/3 and QUIC are no matter: no policy language looks into them."""
PORTED: Final = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


class Asked(msgspec.Struct, frozen=True):
    """What is asked of every pair of ends that a query stands for."""

    protocols: tuple[Protocol, ...]
    """Those to judge: several only where the query says neither protocol nor port."""
    port: int | str | None = None
    request: Request = ANYTHING
    icmp: tuple[int, int] | None = None
    """First and last number, as `model.icmp` counts, of the ICMP asked for; None: all of it."""


def asked(query: Query) -> Asked:
    """Return what a query asks.

    Raises:
        UsageError: one of its fields contradicts another, or has no meaning.
    """
    said = _said(query)
    protocols = _protocols(query, said)
    span = _icmp(query, protocols)
    if isinstance(query.port, int) and not 0 <= query.port <= 65535:
        raise UsageError(f"`{query.port}` is not a port: 0 to 65535")
    # Who is in no mesh but in Cilium's mutual authentication is asked by the same word.
    request = msgspec.structs.replace(_request(query), authenticated=query.mtls, mtls=query.mtls)
    port = None if protocols == (Protocol.ICMP,) else query.port
    return Asked(protocols, port, request, span)


def parse_protocol(name: str | None) -> Protocol:
    """Return the protocol of a name, TCP where none is given.

    Raises:
        UsageError: none of the four.
    """
    try:
        return Protocol((name or "TCP").upper())
    except ValueError:
        raise UsageError(f"`{name}` is none of TCP, UDP, SCTP, ICMP") from None


def _said(query: Query) -> list[str]:
    """Return what the query says is spoken, as the keys of `_SPOKEN_OVER`."""
    given = [name for name in ("http", "grpc", "dns", "sni") if getattr(query, name) is not None]
    if "http" in given and "grpc" in given:
        raise UsageError("`http` and `grpc` contradict each other: gRPC says the HTTP by itself")
    others = [name for name in given if name != "dns"]
    if "dns" in given and others:
        raise UsageError(f"`dns` and `{others[0]}` contradict each other: it is one or the other")
    return [HTTP if name == "grpc" else name for name in given]


def _protocols(query: Query, said: list[str]) -> tuple[Protocol, ...]:
    """Return the protocols that are asked about; of DNS without one, UDP, as clients use it."""
    if query.protocol:
        protocol = parse_protocol(query.protocol)
        for name in said:
            if protocol not in _SPOKEN_OVER[name]:
                over = " or ".join(_SPOKEN_OVER[name])
                raise UsageError(f"`{name}` is not said over {protocol.value}, only over {over}")
        return (protocol,)
    if query.icmp is not None:
        if said:
            raise UsageError(f"`icmp` and `{said[0]}` contradict each other")
        return (Protocol.ICMP,)
    if said:
        return _SPOKEN_OVER[said[0]] if query.port is None else _SPOKEN_OVER[said[0]][:1]
    return PORTED if query.port is None else (Protocol.TCP,)


def _icmp(query: Query, protocols: tuple[Protocol, ...]) -> tuple[int, int] | None:
    if query.icmp is None:
        return None
    if protocols != (Protocol.ICMP,):
        raise UsageError(f"`icmp` and protocol {protocols[0].value} contradict each other")
    if query.port is not None:
        raise UsageError("`icmp` and `port` contradict each other: ICMP has no ports")
    if "type" not in query.icmp or query.icmp.keys() - {"type", "code"}:
        raise UsageError("`icmp` takes `type`, and perhaps `code`")
    if not all(0 <= number <= 255 for number in query.icmp.values()):
        raise UsageError("types and codes of ICMP are 0 to 255")
    from ringfence.model import icmp  # noqa: PLC0415 - rarely asked for

    return icmp.span(query.icmp["type"], query.icmp.get("code"))


def _request(query: Query) -> Request:
    if query.grpc is not None:
        if query.grpc.keys() != {"service", "method"} or not all(query.grpc.values()):
            raise UsageError("`grpc` takes `service` and `method`, both of them")
        # Source: gRPC over HTTP2, "Requests": :method POST, :path "/" Service-Name "/" {method}.
        path = f"/{query.grpc['service']}/{query.grpc['method']}"
        return _authority(Request(http=True, method="POST", path=path), query.sni)
    if query.dns is not None:
        if query.dns.keys() != {"query"} or not query.dns["query"].strip("."):
            raise UsageError("`dns` takes `query`, the name that is asked for")
        return Request(dns=query.dns["query"].lower().removesuffix("."))
    if query.http is not None:
        return _authority(_http(query.http), query.sni)
    return _authority(ANYTHING, query.sni)


def _http(http: Http) -> Request:
    if http.path is not None and not http.path.startswith(("/", "*")):
        raise UsageError(f"`{http.path}` is no path: it begins with `/`")
    headers = None
    if http.headers is not None:
        headers = tuple(sorted((name.lower(), value) for name, value in http.headers.items()))
    return Request(http=True, method=http.method, path=http.path, host=http.host, headers=headers)


def _authority(request: Request, sni: str | None) -> Request:
    if sni is None:
        return request
    return msgspec.structs.replace(request, sni=sni.lower().removesuffix("."))
