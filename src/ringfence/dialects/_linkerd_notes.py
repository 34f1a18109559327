"""What is told of Linkerd's objects that have no effect, or a part of which has none.

Authority: as of the files that read them.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._linkerd_authorizations import (
    Authentication,
    Authorization,
    authentications,
    authorizations,
)
from ringfence.dialects._linkerd_egress import counted
from ringfence.dialects._linkerd_objects import EGRESS_NETWORK, GROUP, SERVER, Source, sources
from ringfence.dialects._linkerd_parents import GRPC, HTTP, ROUTES, Route, routes
from ringfence.dialects._linkerd_servers import (
    GRPC_PROTOCOL,
    WITHOUT_HTTP,
    Server,
    external,
    servers,
)
from ringfence.model.document import Path
from ringfence.model.location import Problem
from ringfence.model.mesh import NO_MESH
from ringfence.model.rule import Unreadable

SERVER_AUTHORIZATION: Final = (GROUP, "serverauthorization")


def notes(context: Context) -> list[Problem]:
    """Return what is to be told, in the order of the kinds."""
    found = [
        *_of_servers(context),
        *(note for a in context.once(authorizations) for note in _of_authorization(a, context)),
        *(note for a in context.once(authentications).values() for note in _of_authentication(a)),
        *(note for route in context.once(routes) for note in _of_route(route, context)),
        *_of_callers(context),
    ]
    return list(dict.fromkeys(found))


def _told(source: Source, message: str, path: Path, severity: str = "warning") -> Problem:
    document = source.document
    return Problem(
        f"{document.ref} {message}",
        document.location_of(path),
        (document.title,) if severity == "error" else (),
        document.ref,
        severity,
    )


def _not_understood(source: Source, part: Unreadable) -> Problem:
    document = source.document
    where = document.location_of(part.path)
    return Problem(f"{document.ref}: {part.reason}", where, (document.title,), document.ref)


# -- Servers ---------------------------------------------------------------------------------------


def _of_servers(context: Context) -> Iterator[Problem]:
    for source in context.once(external):
        message = "is of external workloads, which are not judged"
        yield _told(source, message, ("spec", "externalWorkloadSelector"), "note")
    for near in context.once(_servers_by_namespace).values():
        for older, newer in combinations(near, 2):
            if _overlap(older, newer):
                message = (
                    f"gives way to the older {older.source.document.ref} where both select a pod: "
                    "one Server decides of a port"
                )
                yield _told(newer.source, message, ("spec", "port"))


def _overlap(one: Server, other: Server) -> bool:
    """Return whether two Servers surely select the same pods at one port.

    Source: linkerd2 `policy-controller/runtime/src/admission.rs` overlaps.
    """
    pods = {one.pods.requirements, other.pods.requirements}
    return one.port == other.port and (len(pods) == 1 or () in pods)


def _servers_by_namespace(context: Context) -> dict[str, list[Server]]:
    found: defaultdict[str, list[Server]] = defaultdict(list)
    for server in servers(context):
        found[server.source.namespace].append(server)
    return found


def _servers_by_name(context: Context) -> dict[tuple[str, str], Server]:
    return {(server.source.namespace, server.source.name): server for server in servers(context)}


def _known_servers(context: Context) -> dict[str, set[str]]:
    """Return the names of a namespace's Servers, those that are not understood included."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for source in sources(context, "Server"):
        found[source.namespace].add(source.name)
    return found


def _known_parents(context: Context) -> set[tuple[tuple[str, str], str, str]]:
    known = context.once(_known_servers)
    return {
        *((SERVER, namespace, name) for namespace, names in known.items() for name in names),
        *((EGRESS_NETWORK, s.namespace, s.name) for s in sources(context, "EgressNetwork")),
    }


def _heeded_routes(context: Context) -> set[tuple[str, tuple[str, str, str]]]:
    """Return the routes that have a Server as a parent, each by its namespace and by its name."""
    return {
        (route.source.namespace, (*route.source.kind, route.source.name.lower()))
        for route in context.once(routes)
        if not route.ignored and any(parent.kind == SERVER for parent in route.parents)
    }


# -- authorizations --------------------------------------------------------------------------------


def _of_authorization(authorization: Authorization, context: Context) -> Iterator[Problem]:
    source, target = authorization.source, authorization.target
    if authorization.unreadable:
        yield _not_understood(source, authorization.unreadable)
    if authorization.ignored:
        message = f"has no effect: {authorization.ignored}"
        yield _told(source, message, authorization.ignored_path)
    if target.anything:
        return
    near = context.once(_known_servers).get(source.namespace, ())
    at = (
        ("spec", "targetRef") if "targetRef" in source.document.body["spec"] else ("spec", "server")
    )
    if target.server and target.server not in near:
        message = f"has no effect: there is no Server/{source.namespace}/{target.server}"
        yield _told(source, message, at)
    elif target.namespace and not near:
        message = (
            "has no effect: its namespace has no Server, and ports without one follow the "
            "default inbound policy"
        )
        yield _told(source, message, at)
    elif target.selector is not None and not any(
        target.holds(server.source.name, server.labels or {})
        for server in context.once(_servers_by_namespace).get(source.namespace, ())
    ):
        yield _told(source, "has no effect: it selects no Server", at)
    elif target.route and (source.namespace, target.route) not in context.once(_heeded_routes):
        message = "has no effect: no such route has a Server as its parent"
        yield _told(source, message, at)


def _of_authentication(authentication: Authentication) -> Iterator[Problem]:
    source = authentication.source
    if authentication.unreadable:
        yield _not_understood(source, authentication.unreadable)
    if authentication.ignored:
        yield _told(source, f"is not heeded: {authentication.ignored}", ("spec",))


# -- routes ----------------------------------------------------------------------------------------


def _of_route(route: Route, context: Context) -> Iterator[Problem]:
    source = route.source
    if route.unreadable:
        yield _not_understood(source, route.unreadable)
    if route.ignored:
        yield _told(source, f"is not heeded: {route.ignored}", route.ignored_path)
        return
    by_name, known = context.once(_servers_by_name), context.once(_known_parents)
    for parent in route.parents:
        title = "Server" if parent.kind == SERVER else "EgressNetwork"
        ref = f"{title}/{parent.namespace}/{parent.name}"
        if not parent.name:
            continue
        if not parent.accepted:
            yield _told(source, f"has no effect on {ref}, which has not accepted it", parent.path)
        elif (parent.kind, parent.namespace, parent.name) not in known:
            yield _told(source, f"has no effect on {ref}, which is not there", parent.path)
        elif parent.kind == SERVER:
            server = by_name.get((parent.namespace, parent.name))
            if server is not None and not _fits(route, server):
                why = f"whose proxyProtocol is {server.protocol}"
                yield _told(source, f"has no effect on {ref}, {why}", parent.path)
        elif parent.port is not None:
            yield from _shadowed(route, parent.name, parent.namespace, parent.port, context)


def _of_callers(context: Context) -> Iterator[Problem]:
    """Yield which routes are for the callers of Services: these may send calls elsewhere.

    Source: Gateway API GEP-1426 (a mesh, too, heeds routes that have a Service as their parent).
    """
    if context.mesh == NO_MESH:
        return
    for title in ROUTES:
        for _, document in context.by_title.get(title, ()):
            for at, name in _service_parents(document.body):
                message = f"{document.ref}: where it sends calls of Service `{name}` is not judged"
                where = document.location_of(at)
                yield Problem(message, where, (), document.ref, severity="warning")


def _service_parents(body: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    spec = body.get("spec")
    listed = spec.get("parentRefs") if isinstance(spec, dict) else None
    for number, parent in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(parent, dict) or parent.get("kind") != "Service":
            continue
        if parent.get("group", "") in ("", "core"):
            yield ("spec", "parentRefs", number), str(parent.get("name", ""))


def _fits(route: Route, server: Server) -> bool:
    """Return whether a Server's protocol is one for which such routes are looked at.

    Source: linkerd2 `policy-controller/grpc/src/inbound.rs` to_server.
    """
    if server.protocol in WITHOUT_HTTP:
        return False
    return route.title in (GRPC if server.protocol == GRPC_PROTOCOL else HTTP)


def _shadowed(
    route: Route, name: str, namespace: str, port: int, context: Context
) -> Iterator[Problem]:
    near = [
        each
        for each in context.once(routes)
        if each.attached(EGRESS_NETWORK, namespace, name)
        and each.source.namespace in (namespace, route.source.namespace)
    ]
    network = next(
        s for s in sources(context, "EgressNetwork") if (s.namespace, s.name) == (namespace, name)
    )
    if not route.unreadable and route not in counted(port, near, network)[1]:
        message = (
            f"has no effect on port {port} of EgressNetwork/{namespace}/{name}: only routes of "
            "one kind count there, of GRPCRoute, HTTPRoute, TLSRoute, and one TCPRoute"
        )
        yield _told(route.source, message, ("spec", "parentRefs"))
