"""The options that say what is sent above the port: HTTP, gRPC, DNS, TLS, ICMP."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ringfence.errors import UsageError

if TYPE_CHECKING:
    from ringfence.model.query import Http, Query

OPTIONS = ("http", "host", "header", "grpc", "dns", "sni", "icmp", "mtls")


def add_request_options(parser: ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("what is sent (left out: anything)")
    group.add_argument("--http", metavar="'[METHOD] [PATH]'", help="HTTP, as `POST /v1/payment`")
    group.add_argument("--host", help="the host that the HTTP request is for")
    group.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="an HTTP header (repeatable; then there are no others)",
    )
    group.add_argument("--grpc", metavar="SERVICE/METHOD", help="a gRPC call")
    group.add_argument("--dns", metavar="NAME", help="a DNS query for this name")
    group.add_argument("--sni", metavar="NAME", help="TLS with this server name")
    group.add_argument("--icmp", metavar="TYPE[/CODE]", help="ICMP of this type")
    group.add_argument(
        "--mtls",
        choices=("yes", "no"),
        help="whether it is mTLS of the mesh, or the peers authenticated each other in Cilium "
        "(left out: as both ends are set up)",
    )


def with_request(query: "Query", args: Namespace) -> "Query":
    """Return a query with what the options say is sent.

    Raises:
        UsageError: an option cannot be understood.
    """
    import msgspec

    return msgspec.structs.replace(
        query,
        http=_http(args),
        grpc=None if args.grpc is None else _grpc(args.grpc),
        dns=None if args.dns is None else {"query": args.dns},
        sni=args.sni,
        icmp=None if args.icmp is None else _icmp(args.icmp),
        mtls=None if args.mtls is None else args.mtls == "yes",
    )


def words(query: "Query") -> str:
    """Return what a query says is sent, as people read it; empty where it says nothing."""
    parts = []
    if query.http is not None:
        http = query.http
        parts.append(" ".join(filter(None, (http.method, http.path))) or "HTTP")
        parts += [f"on host {http.host}"] if http.host else []
        parts += [f"with {name}: {value}" for name, value in (http.headers or {}).items()]
    if query.grpc is not None:
        parts.append(f"gRPC {query.grpc.get('service')}/{query.grpc.get('method')}")
    parts += [f"DNS {query.dns.get('query')}"] if query.dns is not None else []
    parts += [f"SNI {query.sni}"] if query.sni is not None else []
    if query.icmp is not None:
        parts.append("type " + "/".join(map(str, query.icmp.values())))
    if query.mtls is not None:
        parts.append("with mTLS" if query.mtls else "without mTLS")
    return " ".join(parts)


def _http(args: Namespace) -> "Http | None":
    if args.http is None and args.host is None and not args.header:
        return None
    from ringfence.model.query import Http

    given = (args.http or "").split()
    paths = [word for word in given if word.startswith("/")]
    methods = [word for word in given if not word.startswith("/")]
    if len(methods) > 1 or len(paths) > 1 or (paths and given[-1] != paths[0]):
        raise UsageError(f"`{args.http}` is not METHOD PATH: `POST /v1/payment`")
    headers = {}
    for header in args.header:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise UsageError(f"`{header}` is no header: `NAME:VALUE`")
        headers[name.strip()] = value.strip()
    return Http(
        method=methods[0] if methods else None,
        path=paths[0] if paths else None,
        host=args.host,
        headers=headers or None,
    )


def _grpc(text: str) -> dict[str, str]:
    service, slash, method = text.strip("/").rpartition("/")
    if not slash:
        raise UsageError(f"`{text}` is not SERVICE/METHOD")
    return {"service": service, "method": method}


def _icmp(text: str) -> dict[str, int]:
    kind, slash, code = text.partition("/")
    if not kind.isdigit() or (slash and not code.isdigit()):
        raise UsageError(f"`{text}` is not TYPE[/CODE] of ICMP, as `8` or `3/4`")
    return {"type": int(kind)} | ({"code": int(code)} if slash else {})
