"""HTTPRoute and GRPCRoute as Linkerd's proxies match them, and which of them a request goes by.

Authority: linkerd2-proxy `linkerd/http/route/src`, linkerd2
`policy-controller/k8s/index/src/{routes,inbound/routes.rs}`, `policy-controller/grpc/src/inbound`.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ringfence.dialects._linkerd_objects import Ignored, Source
from ringfence.dialects._shared import Malformed, fields, filled, items, one_of, text
from ringfence.layer7 import canonical, invalid_pattern, linkerd_requests
from ringfence.model.document import Path
from ringfence.model.layer7 import Form, HeaderMatch, HttpMatch, Layer7, Text, exact
from ringfence.yaml_text import type_text

LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
HOSTNAME: Final = re.compile(rf"(\*\.)?{LABEL}(\.{LABEL})*")
METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
)
HTTP_RULE: Final = (
    "name",
    "matches",
    "filters",
    "backendRefs",
    "timeouts",
    "retry",
    "sessionPersistence",
)
GRPC_RULE: Final = ("name", "matches", "filters", "backendRefs", "sessionPersistence")
REDIRECT: Final = "RequestRedirect"
HEEDED: Final = ("RequestHeaderModifier", "ResponseHeaderModifier", REDIRECT)
FILTERS: Final = (
    *HEEDED,
    "RequestMirror",
    "URLRewrite",
    "ExtensionRef",
    "CORS",
    "ExternalAuth",
)
ODD: Final = ("urlRewrite", "cors")
"""Fields of filters that are not written as their types are."""
REDIRECTED: Final = "the proxy answers with a redirect, and where that leads to is not judged"

ROOT: Final = "/"
WHOLE: Final = math.inf
"""How much of a path an exact or a regular expression matches: all of it."""

ANY_HTTP: Final = Layer7(http=HttpMatch())
ANY_CALL: Final = Layer7(
    http=HttpMatch((exact("POST"),), (Text(Form.REGEX, "/[^/]*/.*"),)),
)
"""What a gRPC route takes that asks for no method.

Source: linkerd2-proxy `linkerd/http/route/src/grpc/match.rs`."""

Rank = tuple[float, ...]
Backend = tuple[str, str, str, str | None]
"""Group and kind in lower case, name, and the namespace if one is said."""


@dataclass(frozen=True)
class Box:
    """Requests that one `matches` of a route admits, for one of its host names."""

    http: HttpMatch
    rank: Rank
    """The highest wins."""
    path: Path
    prefix: str | None = None
    """The path prefix without its slash at the end; None where the path is matched as a whole."""
    redirects: bool = False
    """Whether whom it lets in is sent elsewhere."""
    backends: tuple[Backend, ...] = ()
    """Where it sends what goes out by it; nothing: where that was meant for."""

    @property
    def uncertain(self) -> str:
        """Return why it is not known whether what it lets in gets through."""
        return REDIRECTED if self.redirects else ""


@dataclass(frozen=True)
class Host:
    """One host name of a route: a pattern, and how well it matches."""

    pattern: tuple[Text, ...] | None = None
    rank: Rank = (0, 0)


def boxes(spec: dict[str, Any], *, grpc: bool) -> list[Box]:
    """Return the requests that a route is for.

    Raises:
        Malformed: what the API server or Linkerd would reject.
        Ignored: Linkerd takes it, and drops it.
    """
    hosts = _hosts(spec.get("hostnames"))
    at = ("spec", "rules")
    if "rules" not in spec and not grpc:
        # The schema's default: one rule for every request.
        return [_http({}, ("spec",), host) for host in hosts]
    found: list[Box] = []
    dropped: Ignored | None = None
    for path, value in items(spec.get("rules"), at):
        given = fields(value, path, GRPC_RULE if grpc else HTTP_RULE)
        redirects = False
        try:
            redirects = _redirects(given.get("filters"), (*path, "filters"))
        except Ignored as ignored:
            dropped = dropped or ignored
        sent_to = backends(given, path)
        matches: list[tuple[Path, Any]] = items(given.get("matches"), (*path, "matches"))
        own: list[Box] = []
        for host in hosts:
            if not matches:
                every = Box(HttpMatch(hosts=host.pattern), (*host.rank, 0, 0, 0), path)
                own.append(every if grpc else _http({}, path, host))
            read = _grpc if grpc else _http
            own += [read(match, where, host) for where, match in matches]
        found += [replace(box, redirects=redirects, backends=sent_to) for box in own]
    if dropped is not None:
        raise dropped
    return found


def backends(rule: dict[str, Any], path: Path) -> tuple[Backend, ...]:
    """Return where a rule of a route sends what takes it.

    Raises:
        Malformed: not a list of maps.
    """
    found: list[Backend] = []
    for where, item in items(rule.get("backendRefs"), (*path, "backendRefs")):
        if not isinstance(item, dict):
            raise Malformed(f"expected a map, found {type_text(item)}", where)
        group, kind, name = (str(item.get(key, "")) for key in ("group", "kind", "name"))
        namespace = item.get("namespace")
        within = None if namespace is None else str(namespace)
        found.append((group.lower(), kind.lower(), name, within))
    return tuple(found)


def _redirects(value: Any, path: Path) -> bool:  # noqa: ANN401
    """Return whether filters send a request elsewhere, instead of through.

    Raises:
        Malformed: not a list of maps, or of a type that is none.
        Ignored: of a type for which Linkerd drops the route.
    Source: linkerd2 `policy-controller/k8s/index/src/inbound/index/http.rs`.
    """
    found = set()
    for at, item in items(value, path):
        given = fields(item, at, ("type", *(name[0].lower() + name[1:] for name in FILTERS), *ODD))
        form = one_of(given.get("type"), (*at, "type"), FILTERS)
        if form not in HEEDED:
            raise Ignored(f"it has a filter {form}, which linkerd does not take", at)
        found.add(form)
    return REDIRECT in found


def by_precedence(routes: Iterable[tuple[Source, Sequence[Box]]]) -> list[tuple[Source, Box]]:
    """Return the boxes of routes in such an order that the first that matches is chosen.

    How much of a path a prefix matches never depends on the request, except where that is all of
    it: there it ties with what matches paths as a whole, and is written apart.

    Source: linkerd2-proxy `linkerd/http/route/src/{lib,http/match}.rs`: by host, length of the
    path, method, headers and query parameters (pull request 4604); linkerd2
    `policy-controller/grpc/src/inbound/http.rs`: then the older route, then by group, kind, name.
    """
    listed = sorted(routes, key=lambda each: (each[0].created, each[0].kind, each[0].name))
    every = [box for _, found in listed for box in found]
    whole = {p for box in every if box.prefix is None for p in box.http.paths or ()}
    patterns = any(path.form is not Form.EXACT for path in whole)
    split = [
        (source, part)
        for source, found in listed
        for box in found
        for part in _parted(box, whole, patterns=patterns)
    ]
    return sorted(split, key=lambda each: tuple(-part for part in each[1].rank))


def _parted(box: Box, whole: set[Text], *, patterns: bool) -> Iterator[Box]:
    if box.prefix is not None and (patterns or exact(box.prefix) in whole):
        host, length, _, *rest = box.rank
        http = HttpMatch(box.http.methods, (exact(box.prefix),), box.http.hosts, box.http.headers)
        yield replace(box, http=http, rank=(host, length, WHOLE, *rest), prefix=None)
    yield box


# -- hosts -----------------------------------------------------------------------------------------


def hostnames(value: Any) -> list[str]:  # noqa: ANN401
    """Return the host names of a route; none where it is for all.

    Raises:
        Malformed: one that is no host name.
    """
    at = ("spec", "hostnames")
    found = []
    for path, item in items(value, at, 16):
        written = text(item, path)
        if not HOSTNAME.fullmatch(written) or _is_address(written):
            raise Malformed(f"`{written}` is no host name", path)
        found.append(written)
    return found


def _is_address(written: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+){3}", written) is not None


def _hosts(value: Any) -> list[Host]:  # noqa: ANN401
    """Return the hosts of a route, as `linkerd_requests.as_matched` has those of requests.

    Source: linkerd2-proxy `linkerd/http/route/src/http/match/host.rs`.
    """
    found = []
    for name in dict.fromkeys(hostnames(value)):
        if name.startswith("*."):
            found.append(Host((Text(Form.SUFFIX, name[1:]),), (1, len(name) - 1)))
        else:
            found.append(Host((exact(name),), (2, len(name))))
    return found or [Host()]


# -- HTTP ------------------------------------------------------------------------------------------


def _http(value: Any, path: Path, host: Host) -> Box:  # noqa: ANN401
    given = fields(value, path, ("path", "headers", "queryParams", "method"))
    headers = _headers(given.get("headers"), (*path, "headers"))
    queries = _queries(given.get("queryParams"), (*path, "queryParams"))
    methods = None
    if "method" in given:
        methods = (exact(one_of(given["method"], (*path, "method"), METHODS)),)
    paths, length, prefix = _path(given.get("path", {}), (*path, "path"))
    both = tuple(sorted((*headers, *queries), key=_by_name))
    return Box(
        HttpMatch(methods, paths, host.pattern, both),
        (*host.rank, length, float(methods is not None), len(headers), len(queries)),
        path,
        prefix,
    )


def _path(value: Any, path: Path) -> tuple[tuple[Text, ...] | None, float, str | None]:  # noqa: ANN401
    """Return a pattern of paths, how much of a path it matches, and the prefix if it is one.

    Source: linkerd2-proxy `linkerd/http/route/src/http/match/path.rs`; linkerd2
    `policy-controller/k8s/index/src/routes/http.rs`.
    """
    given = fields(value, path, ("type", "value"))
    written = text(given.get("value", ROOT), (*path, "value"))
    form = one_of(
        given.get("type", "PathPrefix"),
        (*path, "type"),
        ("Exact", "PathPrefix", "RegularExpression"),
    )
    if form == "RegularExpression":
        return (regular_expression(written, (*path, "value")),), WHOLE, None
    if not written.startswith("/"):
        raise Malformed(f"`{written}` does not begin with a slash", (*path, "value"))
    if form == "Exact":
        return (exact(written),), WHOLE, None
    if written == ROOT:
        return None, len(ROOT), ROOT
    stem = written.rstrip("/")
    return (Text(Form.SEGMENTS, stem),), len(stem), stem


def regular_expression(written: str, path: Path) -> Text:
    """Return a pattern that a whole text must meet.

    Raises:
        Malformed: it is no regular expression.
    """
    if reason := invalid_pattern(written):
        raise Malformed(f"`{written}` is no regular expression: {reason}", path)
    return canonical(Text(Form.REGEX, written))


def _headers(value: Any, path: Path) -> tuple[HeaderMatch, ...]:  # noqa: ANN401
    found = []
    for at, item in items(value, path):
        name, pattern = _named(item, at)
        found.append(HeaderMatch(name.lower(), pattern))
    return tuple(sorted(found, key=_by_name))


def _by_name(header: HeaderMatch) -> tuple[str, str]:
    return header.name, header.value.value if header.value else ""


def _queries(value: Any, path: Path) -> list[HeaderMatch]:  # noqa: ANN401
    """Return the query parameters that are asked for, which are compared as headers are."""
    found = [_named(item, at) for at, item in items(value, path)]
    return [HeaderMatch(linkerd_requests.query_header(name), pattern) for name, pattern in found]


def _named(value: Any, path: Path) -> tuple[str, Text]:  # noqa: ANN401
    given = fields(value, path, ("type", "name", "value"))
    form = one_of(given.get("type", "Exact"), (*path, "type"), ("Exact", "RegularExpression"))
    name = filled(given.get("name"), (*path, "name"))
    written = text(given.get("value"), (*path, "value"))
    if form == "RegularExpression":
        return name, regular_expression(written, (*path, "value"))
    return name, exact(written)


# -- gRPC ------------------------------------------------------------------------------------------


def _grpc(value: Any, path: Path, host: Host) -> Box:  # noqa: ANN401
    """Return the calls that a match admits; what stands behind the method's name means nothing.

    Source: linkerd2-proxy `linkerd/http/route/src/grpc/match.rs`; linkerd2
    `policy-controller/k8s/index/src/routes/grpc.rs`.
    """
    given = fields(value, path, ("method", "headers"))
    headers = _headers(given.get("headers"), (*path, "headers"))
    at = (*path, "method")
    named = fields(given.get("method", {}), at, ("type", "service", "method"))
    if one_of(named.get("type", "Exact"), (*at, "type"), ("Exact", "RegularExpression")) != "Exact":
        raise Malformed("linkerd takes no regular expressions for methods", (*at, "type"))
    service = text(named.get("service", ""), (*at, "service"))
    method = text(named.get("method", ""), (*at, "method"))
    return Box(
        HttpMatch((exact("POST"),), (_call(service, method),), host.pattern, headers),
        (*host.rank, len(service), len(method), len(headers)),
        path,
    )


def _call(service: str, method: str) -> Text:
    if service and method:
        return Text(Form.SEGMENTS, f"/{service}/{method}")
    if service:
        return Text(Form.PREFIX, f"/{service}/")
    quoted = re.sub(r"[^A-Za-z0-9_]", lambda found: "\\" + found.group(), method)
    return Text(Form.REGEX, rf"/[^/]*/{quoted}(/.*)?" if method else "/[^/]*/.*")
