"""HTTPRoutes of both groups, and GRPCRoutes: what they match, and to what they are attached.

Source: linkerd2 `policy-controller/k8s/index/src/inbound/{routes,index/http,index/grpc}.rs`,
`policy-controller/k8s/index/src/routes/{http,grpc}.rs`; for what is written nowhere, the defaults
of Gateway API's own definitions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ringfence.model import kinds
from ringfence.model.document import Document, Path
from ringfence.reference import schema
from ringfence.reference.linkerd_objects import LINKERD, spec_of
from ringfence.reference.schema import NotUnderstoodError

CONTROLLER = "linkerd.io/policy-controller"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
KNOWN = ("parentRefs", "hostnames", "rules", "useDefaultGateways")

_RULE = (
    "name",
    "matches",
    "filters",
    "backendRefs",
    "timeouts",
    "retry",
    "sessionPersistence",
)
_FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect")


@dataclass(frozen=True)
class Pattern:
    """A path, a header or a parameter: `name` is empty for a path."""

    value: str
    form: str = "Exact"
    """Exact, PathPrefix or RegularExpression."""
    name: str = ""
    """A header's in lower case."""


@dataclass(frozen=True)
class HttpMatch:
    """One entry of an HTTPRoute's `matches`: all that is given must hold."""

    path: Pattern | None = None
    method: str = ""
    headers: tuple[Pattern, ...] = ()
    parameters: tuple[Pattern, ...] = ()


@dataclass(frozen=True)
class GrpcMatch:
    """One entry of a GRPCRoute's `matches`."""

    service: str = ""
    method: str = ""
    headers: tuple[Pattern, ...] = ()


RouteMatch = HttpMatch | GrpcMatch


@dataclass(frozen=True)
class RouteRule:
    """One rule: any of its matches; without any, every request."""

    matches: tuple[RouteMatch, ...]
    place: Path
    redirects: bool = False
    """Whether the proxy answers by itself, with another address to go to."""
    backends: tuple[Any, ...] = ()
    """Its `backendRefs`, raw: where the proxy of a client sends what it matches."""


@dataclass(frozen=True)
class Route:
    """A route, read."""

    document: Document | None
    """None for what Linkerd has where no route is attached."""
    hosts: tuple[str, ...] = ()
    """Lower case; none: every host."""
    rules: tuple[RouteRule, ...] = ()
    grpc: bool = False


EVERY_REQUEST = Route(None, rules=(RouteRule((HttpMatch(),), ()),))
EVERY_CALL = Route(None, rules=(RouteRule((GrpcMatch(),), ()),), grpc=True)
"""Source: linkerd2 `policy-controller/core/src/inbound.rs` InboundRoute default."""


def probes(paths: tuple[str, ...]) -> Route:
    """Return the route of the HTTP probes of a port.

    Source: linkerd2 inbound/index.rs default_inbound_http_routes.
    """
    matches = tuple(HttpMatch(Pattern(path), "GET") for path in paths)
    return Route(None, rules=(RouteRule(matches, ()),))


class IgnoredError(Exception):
    """The policy controller puts a route aside as a whole; says why."""


def read(document: Document) -> Route:
    """Return what a route matches.

    Raises:
        NotUnderstoodError: something in it is not understood.
        IgnoredError: it has what Linkerd does not do.
    """
    spec = spec_of(document, KNOWN)
    at: Path = ("spec", "hostnames")
    hosts = tuple(
        schema.text(host, (*at, index)).lower()
        for index, host in enumerate(schema.items(spec.get("hostnames"), at))
    )
    grpc = document.kind == "GRPCRoute"
    at = ("spec", "rules")
    if "rules" not in spec and not grpc:
        return Route(document, hosts, (RouteRule((), ("spec",)),))
    listed = enumerate(schema.items(spec.get("rules"), at))
    rules = tuple(_rule(value, (*at, index), grpc=grpc) for index, value in listed)
    return Route(document, hosts, rules, grpc)


def _rule(value: Any, path: Path, *, grpc: bool) -> RouteRule:  # noqa: ANN401
    given = schema.fields(value, path, _RULE)
    at = (*path, "matches")
    matches: list[RouteMatch] = []
    for index, entry in enumerate(schema.items(given.get("matches"), at)):
        here = (*at, index)
        matches.append(_grpc_match(entry, here) if grpc else _http_match(entry, here))
    at = (*path, "filters")
    redirects = False
    for index, entry in enumerate(schema.items(given.get("filters"), at)):
        if not isinstance(entry, dict):
            raise NotUnderstoodError("must be a mapping", (*at, index))
        kind = schema.text(schema.required(entry, "type", (*at, index)), (*at, index, "type"))
        if kind not in _FILTERS or (grpc and kind == "RequestRedirect"):
            raise IgnoredError(f"Linkerd knows no filter `{kind}`")
        redirects |= kind == "RequestRedirect"
    backends = schema.items(given.get("backendRefs"), (*path, "backendRefs"))
    return RouteRule(tuple(matches), path, redirects, tuple(backends))


def _http_match(value: Any, path: Path) -> HttpMatch:  # noqa: ANN401
    """Return an entry of an HTTPRoute's `matches`; without a path it is every path.

    Source: linkerd2 routes/http.rs try_match.
    """
    given = schema.fields(value, path, ("path", "method", "headers", "queryParams"))
    method = given.get("method", "")
    if method:
        schema.choice(method, (*path, "method"), METHODS)
    return HttpMatch(
        path=_path(given["path"], (*path, "path")) if "path" in given else None,
        method=method,
        headers=tuple(_named(given.get("headers"), (*path, "headers"), lower=True)),
        parameters=tuple(_named(given.get("queryParams"), (*path, "queryParams"), lower=False)),
    )


def _path(value: Any, path: Path) -> Pattern:  # noqa: ANN401
    given = schema.fields(value, path, ("type", "value"))
    forms = ("Exact", "PathPrefix", "RegularExpression")
    form = schema.choice(given.get("type", "PathPrefix"), (*path, "type"), forms)
    written = schema.text(given.get("value", "/"), (*path, "value"))
    if form == "RegularExpression":
        _check(written, (*path, "value"))
    elif not written.startswith("/"):
        raise NotUnderstoodError("must begin with `/`", (*path, "value"))
    return Pattern(written, form)


def _named(value: Any, path: Path, *, lower: bool) -> Iterator[Pattern]:  # noqa: ANN401
    """Yield the entries of `headers` or `queryParams`: a name, and its value or an expression."""
    for index, entry in enumerate(schema.items(value, path)):
        at = (*path, index)
        given = schema.fields(entry, at, ("type", "name", "value"))
        forms = ("Exact", "RegularExpression")
        form = schema.choice(given.get("type", "Exact"), (*at, "type"), forms)
        name = schema.text(schema.required(given, "name", at), (*at, "name"))
        written = schema.text(schema.required(given, "value", at), (*at, "value"))
        if form == "RegularExpression":
            _check(written, (*at, "value"))
        yield Pattern(written, form, name.lower() if lower else name)


def _check(written: str, path: Path) -> None:
    import re2  # noqa: PLC0415 - only those whose routes have expressions wait for it

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(written, options)
    except re2.error as error:
        raise NotUnderstoodError(f"`{written}` is no regular expression: {error}", path) from None


def _grpc_match(value: Any, path: Path) -> GrpcMatch:  # noqa: ANN401
    """Return an entry of a GRPCRoute's `matches`; expressions for methods are not supported.

    Source: linkerd2 routes/grpc.rs try_match.
    """
    given = schema.fields(value, path, ("method", "headers"))
    headers = tuple(_named(given.get("headers"), (*path, "headers"), lower=True))
    at = (*path, "method")
    said = schema.fields(given.get("method", {}), at, ("type", "service", "method"))
    schema.choice(said.get("type", "Exact"), (*at, "type"), ("Exact",))
    return GrpcMatch(
        service=schema.text(said.get("service", ""), (*at, "service")),
        method=schema.text(said.get("method", ""), (*at, "method")),
        headers=headers,
    )


# -- attachment ----------------------------------------------------------------------------------

_PARENT = ("group", "kind", "namespace", "name", "sectionName", "port")


@dataclass(frozen=True)
class Parent:
    """An entry of `parentRefs` that names an object of Linkerd's."""

    name: str
    namespace: str
    port: int | None


def parents(document: Document, kind: str) -> Iterator[Parent]:
    """Yield the parents of one of Linkerd's kinds; others are not its business.

    The group must be written out: without one Gateway API's own is meant.

    Source: linkerd2 `policy-controller/k8s/api/src/policy/httproute.rs` parent_ref_targets_kind.

    Raises:
        NotUnderstoodError: something in a parent is not understood.
        IgnoredError: a Server is named in another namespace, or by a port or a section: the
            route as a whole is put aside (inbound/routes.rs InvalidParentRef).
    """
    at: Path = ("spec", "parentRefs")
    spec = document.body.get("spec")
    if not isinstance(spec, dict):
        raise NotUnderstoodError("must be a mapping", ("spec",))
    for index, value in enumerate(schema.items(spec.get("parentRefs"), at)):
        here = (*at, index)
        given = schema.fields(value, here, _PARENT)
        group = schema.text(given.get("group", ""), (*here, "group"))
        named = schema.text(given.get("kind", "Gateway"), (*here, "kind"))
        name = schema.text(schema.required(given, "name", here), (*here, "name"))
        space = schema.text(given.get("namespace", ""), (*here, "namespace"))
        if (group.lower(), named.lower()) != (LINKERD, kind.lower()):
            continue
        port = given.get("port")
        if port is not None:
            port = schema.integer(port, (*here, "port"), 1, 65535)
        if kind == "Server":
            if space not in ("", document.namespace):
                raise IgnoredError("it names a Server in another namespace")
            if port is not None or "sectionName" in given:
                raise IgnoredError("it names a Server by a port or a section")
        yield Parent(name, space or document.namespace, port)


def may_name(document: Document, kind: str, name: str) -> bool:
    """Return whether a route whose parents are not understood may be for an object of Linkerd's."""
    spec = document.body.get("spec")
    listed = spec.get("parentRefs") if isinstance(spec, dict) else None
    if not isinstance(listed, list):
        return listed is not None or not isinstance(spec, dict)
    for parent in listed:
        if not isinstance(parent, dict):
            return True
        said = (("group", LINKERD), ("kind", kind), ("name", name))
        written = [(parent.get(key, ""), wanted) for key, wanted in said]
        # A name is required: where there is none, any may be meant.
        unnamed = not parent.get("name")
        if all(
            not isinstance(is_, str) or is_.lower() == to.lower() or (unnamed and to == name)
            for is_, to in written
        ):
            return True
    return False


def is_refused(document: Document, name: str, kind: str = "Server") -> bool:
    """Return whether the policy controller has said that it does not take a route.

    What it has said nothing of, as in a manifest that was never applied, it will take: the Server
    is there.

    Source: linkerd2 inbound/routes.rs accepted_by_server.
    """
    status = document.body.get("status")
    listed = status.get("parents") if isinstance(status, dict) else None
    said = [
        condition.get("status")
        for parent in (listed if isinstance(listed, list) else ())
        if isinstance(parent, dict) and parent.get("controllerName") == CONTROLLER
        if isinstance(parent.get("parentRef"), dict)
        if (parent["parentRef"].get("kind"), parent["parentRef"].get("name")) == (kind, name)
        for condition in parent.get("conditions") or ()
        if isinstance(condition, dict) and condition.get("type") == "Accepted"
    ]
    return bool(said) and "True" not in said


def group_of(document: Document) -> str:
    """Return the group of a route's kind."""
    return kinds.group_of(document.api_version)
