"""Servers, and what the authorizations and routes that are for them make of a request.

In one tier of first match stand, of the oldest Server of a namespace first: what lets in whoever
is authorized on the Server; then route by route, in the order in which one is chosen, who is
authorized on the route, and the denial of all others' requests that go by it; then the denial of
all that is left on the Server's ports.

Authority: linkerd2 `policy-controller/k8s/index/src/inbound/{index,server}.rs`,
`policy-controller/grpc/src/inbound.rs`; linkerd2-proxy `linkerd/proxy/server-policy/src/lib.rs`,
`linkerd/app/inbound/src/policy/{http,tcp}.rs`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._linkerd_authorizations import Authorization, authorizations
from ringfence.dialects._linkerd_clients import (
    DEFAULTS,
    LOCALHOST,
    Clients,
    by_default,
    of_cidrs,
)
from ringfence.dialects._linkerd_objects import (
    SERVER,
    Place,
    Source,
    config,
    doubt,
    linkerd_members,
    linkerd_pods,
    sources,
)
from ringfence.dialects._linkerd_parents import GRPC, HTTP, Route, routes
from ringfence.dialects._linkerd_routes import ANY_CALL, ANY_HTTP, Box, by_precedence
from ringfence.dialects._shared import (
    Malformed,
    filled,
    integer,
    label_selector,
    one_of,
)
from ringfence.model import tiers
from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.layer7 import HttpMatch, Layer7, exact
from ringfence.model.rule import (
    Action,
    Direction,
    NamedPort,
    Peer,
    Policy,
    PortRange,
    PortUse,
    ProxyPort,
    Rule,
    Traffic,
)
from ringfence.model.selector import LabelSelector

DETECT: Final = "unknown"
GRPC_PROTOCOL: Final = "gRPC"
WITHOUT_HTTP: Final = ("opaque", "TLS")
PROTOCOLS: Final = (DETECT, "HTTP/1", "HTTP/2", GRPC_PROTOCOL, *WITHOUT_HTTP)

PODS: Final = "podSelector"
EXTERNAL: Final = "externalWorkloadSelector"
VERSIONS: Final = {
    "v1beta1": (PODS, "port", "proxyProtocol"),
    "v1beta2": (PODS, EXTERNAL, "port", "proxyProtocol"),
}
"""The fields of older versions; the newest knows `accessPolicy`, too."""


@dataclass(frozen=True)
class Server:
    """A Server of pods."""

    source: Source
    pods: LabelSelector
    port: PortRange | NamedPort
    protocol: str = DETECT
    access: str = "deny"
    labels: dict[str, str] | None = None

    @property
    def subject(self) -> Peer:
        """Return the pods that it is of."""
        return linkerd_pods(self.source.namespace, self.pods)


def servers(context: Context) -> list[Server]:
    """Return the Servers that could be understood, the oldest first."""
    return [found for _, found in context.once(_read) if isinstance(found, Server)]


def unreadable(context: Context) -> Iterator[Policy]:
    """Yield a policy for each Server that could not be understood."""
    for source, found in context.once(_read):
        if isinstance(found, Malformed):
            subject = linkerd_pods(source.namespace)
            try:
                spec = source.document.body.get("spec")
                if isinstance(spec, dict) and PODS in spec:
                    pods = label_selector(spec[PODS], ("spec", PODS))
                    subject = linkerd_pods(source.namespace, pods)
            except Malformed:
                pass
            # It may be for any port, and older than the others.
            yield _place(source, subject, -1).unreadable(source, found.unreadable)


def _place(source: Source, subject: Peer, order: float) -> Place:
    return Place(
        tiers.LINKERD_SERVER,
        order,
        f"{source.namespace}/{source.name}",
        subject,
        Direction.INGRESS,
    )


def external(context: Context) -> list[Source]:
    """Return the Servers of external workloads, which are no pods."""
    return [source for source, found in context.once(_read) if found is None]


def _read(context: Context) -> list[tuple[Source, Server | Malformed | None]]:
    found: list[tuple[Source, Server | Malformed | None]] = []
    for source in sorted(sources(context, "Server"), key=lambda s: (s.namespace, *s.age)):
        try:
            found.append((source, _server(source)))
        except Malformed as malformed:
            found.append((source, malformed))
    return found


def _server(source: Source) -> Server | None:
    version = source.document.api_version.rpartition("/")[2]
    newest = (PODS, EXTERNAL, "port", "proxyProtocol", "accessPolicy")
    spec = source.spec(VERSIONS.get(version, newest))
    port = _port(spec.get("port"), ("spec", "port"))
    protocol = one_of(spec.get("proxyProtocol", DETECT), ("spec", "proxyProtocol"), PROTOCOLS)
    access = one_of(spec.get("accessPolicy", "deny"), ("spec", "accessPolicy"), DEFAULTS)
    chosen = [key for key in (PODS, EXTERNAL) if key in spec]
    if len(chosen) != 1:
        raise Malformed(f"exactly one of {PODS} and {EXTERNAL}", ("spec",))
    pods = label_selector(spec[chosen[0]], ("spec", chosen[0]))
    if chosen == [EXTERNAL]:
        return None
    return Server(source, pods, port, protocol, access, source.labels())


def _port(value: Any, path: Path) -> PortRange | NamedPort:  # noqa: ANN401
    """Return a Server's port; a text is a name, even one of digits.

    Source: linkerd2 `policy-controller/k8s/api/src/policy/server.rs` Port.
    """
    if isinstance(value, str):
        return NamedPort(filled(value, path), Protocol.TCP)
    number = integer(value, path, 1, 65535)
    return PortRange(Protocol.TCP, number, number)


# -- policies --------------------------------------------------------------------------------------


def policies(context: Context) -> Iterator[Policy]:
    """Yield what Servers make of requests to their ports."""
    yield from unreadable(context)
    for server in servers(context):
        yield from _Compiler(server, context).policies()


def _heeded(context: Context) -> dict[str, list[Authorization]]:
    """Return the authorizations that are heeded, by namespace."""
    found: defaultdict[str, list[Authorization]] = defaultdict(list)
    for authorization in context.once(authorizations):
        if not authorization.ignored:
            found[authorization.source.namespace].append(authorization)
    return found


def _by_parent(context: Context) -> dict[tuple[str, str], dict[int, Route]]:
    """Return the routes by namespace and name of what may be a parent, in their order."""
    found: defaultdict[tuple[str, str], dict[int, Route]] = defaultdict(dict)
    for number, route in enumerate(context.once(routes)):
        for parent in route.parents:
            found[parent.namespace, parent.name][number] = route
    return found


def _near(namespace: str, name: str, context: Context) -> list[Route]:
    """Return the routes of which an object may be the parent; of some no name is understood."""
    known = context.once(_by_parent)
    found: dict[int, Route] = {}
    for key in ((namespace, name), (namespace, ""), ("", name), ("", "")):
        found |= known.get(key, {})
    return [found[number] for number in sorted(found)]


class _Compiler:
    """Turns one Server, and all that is attached to it, into policies."""

    def __init__(self, server: Server, context: Context) -> None:
        source = server.source
        self.server = server
        self.context = context
        self.place = _place(source, server.subject, source.created)
        self.near = context.once(_heeded).get(source.namespace, [])
        kinds = GRPC if server.protocol == GRPC_PROTOCOL else HTTP
        self.routes = [
            route
            for route in _near(source.namespace, source.name, context)
            if server.protocol not in WITHOUT_HTTP
            and route.title in kinds
            and route.attached(SERVER, source.namespace, source.name)
        ]
        self.chosen = by_precedence((route.source, route.boxes) for route in self.routes)
        # What is redirected must be told from what a route of lower precedence lets through.
        self.by_route = any(box.redirects for _, box in self.chosen)

    def policies(self) -> Iterator[Policy]:
        """Yield the parts of the Server in the order in which they decide."""
        numbers = count()
        source = self.server.source
        labels = self.server.labels or {}
        whole = [a for a in self.near if a.target.holds(source.name, labels)]
        yield self.place.policy(next(numbers), source, self._own())
        for authorization in whole:
            rules = self._of_server(authorization)
            yield self.place.policy(next(numbers), authorization.source, rules)
        broken = [route for route in self.routes if route.unreadable]
        for route in [] if self.by_route else broken:
            rules = self._perhaps(route, whole, ANY_HTTP)
            yield self.place.policy(next(numbers), route.source, rules)
        for route_source, box in self.chosen:
            limit = Layer7(http=box.http)
            own = [a for a in self.near if _is_for(a, route_source)]
            if self.by_route:
                lets_in = [self._through(clients, box, path) for clients, path in self._lets_in()]
                yield self.place.policy(next(numbers), source, lets_in)
                for authorization in whole:
                    rules = self._of_route(authorization, box)
                    yield self.place.policy(next(numbers), authorization.source, rules)
                for route in broken:
                    rules = self._perhaps(route, whole, limit)
                    yield self.place.policy(next(numbers), route.source, rules)
            for authorization in own:
                rules = self._of_route(authorization, box)
                yield self.place.policy(next(numbers), authorization.source, rules)
            denial = self._rule(Action.DENY, box.path, None, (limit,))
            yield self.place.policy(next(numbers), route_source, [denial])
        for route in broken if self.by_route else []:
            rules = self._perhaps(route, whole, ANY_HTTP)
            yield self.place.policy(next(numbers), route.source, rules)
        rest = self._rule(Action.DENY, ("spec",), None, None)
        yield self.place.policy(next(numbers), source, [rest])

    def _perhaps(self, route: Route, whole: list[Authorization], limit: Layer7) -> Iterator[Rule]:
        """Yield what becomes of requests that may go by a route that is not understood.

        It lets in nobody but those authorized on it or on the Server, and keeps out all others.
        """
        part = route.unreadable
        why = doubt(route.source, part) if part else ""
        every = (limit,)
        yield self._rule(Action.DENY, route.rules, None, every, uncertain=why)
        let_in = [
            *(clients for clients, _ in self._lets_in()),
            *(
                authorization.clients or Clients()
                for authorization in self.near
                if authorization in whole or _is_for(authorization, route.source)
            ),
        ]
        for clients in let_in:
            yield self._rule(Action.ALLOW, route.rules, clients, every, uncertain=why)

    def _lets_in(self) -> Iterator[tuple[Clients, Path]]:
        """Yield whom the Server lets in by itself: its own pod, and by its `accessPolicy`."""
        yield LOCALHOST, ("spec",)
        admitted = by_default(self.server.access, config(self.context))
        if admitted is not None:
            yield admitted, ("spec", "accessPolicy")

    # -- rules -------------------------------------------------------------------------------------

    def _rule(
        self,
        action: Action,
        path: Path,
        clients: Clients | None,
        boxes: tuple[Layer7, ...] | None,
        without: tuple[Layer7, ...] = (),
        uncertain: str = "",
    ) -> Rule:
        return Rule(
            direction=self.place.direction,
            action=action,
            peers=None if clients is None else clients.peers,
            traffic=(self.server.port,),
            path=path,
            layer7=boxes if clients is None else clients.limited(boxes),
            not_layer7=without,
            uncertain=uncertain,
        )

    def _own(self) -> Iterator[Rule]:
        """Yield what the Server lets in by itself, probes too where it has no routes."""
        for clients, path in self._lets_in():
            yield from self._admitted(clients, path)
        if self.server.protocol not in (*WITHOUT_HTTP, GRPC_PROTOCOL) and not self.routes:
            yield from probes(self.context, ("spec",), self.server.port)

    def _of_server(self, authorization: Authorization) -> Iterable[Rule]:
        if authorization.clients is None:
            return self._admitted(Clients(), authorization.path, _doubt(authorization))
        return self._admitted(authorization.clients, authorization.path)

    def _of_route(self, authorization: Authorization, box: Box) -> Iterable[Rule]:
        if authorization.clients is None:
            why = _doubt(authorization)
            return [self._through(Clients(), box, authorization.path, why)]
        return [self._through(authorization.clients, box, authorization.path)]

    def _through(self, clients: Clients, box: Box, path: Path, why: str = "") -> Rule:
        """Return what lets clients through by one box of a route."""
        limit = (Layer7(http=box.http),)
        return self._rule(Action.ALLOW, path, clients, limit, uncertain=why or box.uncertain)

    def _admitted(self, clients: Clients, path: Path, why: str = "") -> Iterator[Rule]:
        """Yield what clients may do that are authorized on the Server: whatever it takes."""
        allow = Action.ALLOW
        if self.server.protocol in WITHOUT_HTTP:
            yield self._rule(allow, path, clients, None, uncertain=why)
            return
        detects = self.server.protocol == DETECT
        if not self.routes:
            every = ANY_CALL if self.server.protocol == GRPC_PROTOCOL else ANY_HTTP
            yield self._rule(allow, path, clients, None if detects else (every,), uncertain=why)
            return
        limits = tuple(dict.fromkeys(Layer7(http=box.http) for _, box in self.chosen))
        if not self.by_route:
            yield self._rule(allow, path, clients, limits, uncertain=why)
        if detects:
            yield self._rule(allow, path, clients, None, (ANY_HTTP,), uncertain=why)


def probes(
    context: Context,
    path: Path,
    port: PortRange | NamedPort | None = None,
    without: tuple[Traffic, ...] = (),
) -> Iterator[Rule]:
    """Yield what lets in the HTTP probes of pods, which no identity stands behind.

    Args:
        context: knows all probes there are, and where they may come from.
        path: what lets them in.
        port: the only port at which it does; None: all.
        without: ports at which it does not.

    Source: linkerd2 `policy-controller/k8s/index/src/inbound/index.rs`
    default_inbound_http_routes.
    """
    setup = config(context)
    for probe in sorted({p for each in linkerd_members(context) for _, p in each.probes}):
        yield Rule(
            direction=Direction.INGRESS,
            action=Action.ALLOW,
            peers=of_cidrs(setup.probe_networks),
            traffic=(ProxyPort(PortUse.PROBE, probe, port),),
            path=path,
            not_traffic=without,
            layer7=(Layer7(http=HttpMatch((exact("GET"),), (exact(probe),))),),
        )


def _doubt(authorization: Authorization) -> str:
    part = authorization.unreadable
    return doubt(authorization.source, part) if part else ""


def _is_for(authorization: Authorization, source: Source) -> bool:
    group, kind = source.kind
    wanted = (group, kind, source.name.lower())
    return authorization.target.anything or authorization.target.route == wanted
