"""What Linkerd's proxy is told of one port of a pod: the Server there, or else the defaults.

Source: linkerd2 `policy-controller/k8s/index/src/inbound/{index,server,workload}.rs`,
`policy-controller/k8s/index/src/defaults.rs`, `charts/linkerd-crds/templates/policy/server.yaml`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ringfence.model.cluster import Identity, Protocol
from ringfence.model.document import Document
from ringfence.model.mesh import Membership
from ringfence.model.verdict import Evidence
from ringfence.reference import linkerd_routes, ports, schema, selectors
from ringfence.reference.linkerd_authorizations import of_route, of_server
from ringfence.reference.linkerd_clients import (
    MODES,
    Authorization,
    default_authorizations,
    localhost,
    probe,
)
from ringfence.reference.linkerd_objects import GATEWAY, LINKERD, Scene, labels_of, spec_of
from ringfence.reference.linkerd_routes import EVERY_CALL, EVERY_REQUEST, IgnoredError, Route
from ringfence.reference.outcome import not_understood
from ringfence.reference.schema import NotUnderstoodError

PROTOCOLS = ("unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS")
DETECTED, GRPC, OPAQUE, TLS = PROTOCOLS[0], PROTOCOLS[3], PROTOCOLS[4], PROTOCOLS[5]

_KNOWN = {
    "v1beta1": ("podSelector", "port", "proxyProtocol"),
    "v1beta2": ("podSelector", "externalWorkloadSelector", "port", "proxyProtocol"),
    "v1beta3": (
        "podSelector",
        "externalWorkloadSelector",
        "port",
        "proxyProtocol",
        "accessPolicy",
    ),
}


@dataclass(frozen=True)
class Pod:
    """The pod that is connected to."""

    namespace: str
    labels: dict[str, str]
    identity: Identity
    membership: Membership


@dataclass(frozen=True)
class Unread:
    """Something that may decide, and was not understood."""

    evidence: Evidence
    because: str


@dataclass(frozen=True)
class Inbound:
    """What decides about a port."""

    protocol: str
    authorizations: tuple[Authorization, ...]
    """Of the Server as a whole, or of the default policy."""
    denied: Evidence
    """Of whoever none of them lets in."""
    routes: tuple[tuple[Route, tuple[Authorization, ...]], ...] = ()
    """In their order, each with the authorizations of its own."""
    not_found: Evidence | None = None
    """Of a request that takes none of the routes."""
    loose: tuple[tuple[Unread, tuple[Authorization, ...]], ...] = field(default=())
    """Routes that may take any request, with their authorizations."""
    alone: "Inbound | None" = None
    """What decides if none of the routes that are not understood is attached, where that may be."""


def find(scene: Scene, pod: Pod, port: int) -> tuple[Inbound, list[Unread]]:
    """Return what decides about a port, and the Servers that may decide instead of it.

    Of several Servers that select the port it is the oldest, then the first by name; one that is
    not understood may be for any port of the pods that it selects. Without any, the default policy
    of the pod holds.

    Source: linkerd2 inbound/index.rs reindex_servers.
    """
    unread: list[Unread] = []
    chosen: ServerSpec | None = None
    for document in scene.of_kind("Server", LINKERD, namespace=pod.namespace):
        try:
            server = _read(document, pod)
        except NotUnderstoodError as error:
            if _may_select(document, pod):
                why = not_understood(document, error)
                unread.append(Unread(scene.unread(document, error), why))
            continue
        if chosen is None and server.selected and is_port(server.port, pod, port):
            chosen = server
    if chosen is None:
        return _by_default(scene, pod, port), unread
    return _of_server(scene, chosen, pod, port), unread


# -- a Server ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ServerSpec:
    """A Server, read with an eye to one pod."""

    document: Document
    selected: bool
    """Whether it selects the pod."""
    port: int | str
    protocol: str
    access: str
    """Its `accessPolicy`."""


def _read(document: Document, pod: Pod) -> ServerSpec:
    """Return what a Server says. One of external workloads selects no pod.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    version = document.api_version.rpartition("/")[2]
    spec = spec_of(document, _KNOWN.get(version, _KNOWN["v1beta3"]))
    given = [key for key in ("podSelector", "externalWorkloadSelector") if key in spec]
    if len(given) != 1:
        raise NotUnderstoodError("must select either pods or external workloads", ("spec",))
    selected = selectors.matches(spec[given[0]], ("spec", given[0]), pod.labels)
    port = schema.required(spec, "port", ("spec",))
    if port == "" or not isinstance(port, str):
        port = ports.port_number(port, ("spec", "port"))
    labels_of(document)
    return ServerSpec(
        document,
        selected and given[0] == "podSelector",
        port,
        schema.choice(spec.get("proxyProtocol", DETECTED), ("spec", "proxyProtocol"), PROTOCOLS),
        schema.choice(spec.get("accessPolicy", "deny"), ("spec", "accessPolicy"), MODES),
    )


def _may_select(document: Document, pod: Pod) -> bool:
    """Return whether a Server that is not understood may be for a pod."""
    spec = document.body.get("spec")
    selector = spec.get("podSelector") if isinstance(spec, dict) else None
    if selector is None:
        return True
    try:
        return selectors.matches(selector, ("spec", "podSelector"), pod.labels)
    except NotUnderstoodError:
        return True


def is_port(wanted: int | str, pod: Pod, port: int) -> bool:
    """Return whether a port is meant: by its number, or by a name that some container gives it.

    A name may be given to several ports, also by init containers; only those of TCP count. A text
    is a name even if it is made of digits.

    Source: linkerd2 inbound/index.rs select_ports, inbound/workload.rs pod_tcp_ports_by_name;
    `policy-controller/k8s/api/src/policy/server.rs` Port.
    """
    if isinstance(wanted, int):
        return wanted == port
    return any(
        (declared.name, declared.port, declared.protocol) == (wanted, port, Protocol.TCP)
        for declared in pod.identity.ports
    )


def _of_server(scene: Scene, server: ServerSpec, pod: Pod, port: int) -> Inbound:
    """Return what a Server says: how its port is read, and who is let in.

    `accessPolicy` is one more authorization, and without it there is none.

    Source: linkerd2 inbound/server.rs, inbound/index.rs inbound_server, client_authzs.
    """
    document = server.document
    opened = scene.piece(document, "allow", ("spec", "accessPolicy"))
    authorizations = (
        *of_server(scene, document),
        *default_authorizations(server.access, scene, opened),
        localhost(scene),
    )
    denied = scene.piece(document, "deny", ("spec",), "isolation")
    plain = Inbound(server.protocol, authorizations, denied)
    attached = _attached(scene, document, server.protocol)
    if attached is None:
        return _without_routes(scene, plain, pod, port)
    routes, loose, sure = attached
    return Inbound(
        protocol=server.protocol,
        authorizations=authorizations,
        denied=denied,
        routes=routes,
        not_found=scene.piece(document, "deny", ("spec",), "no route"),
        loose=loose,
        alone=None if sure else _without_routes(scene, plain, pod, port),
    )


Attached = tuple[
    tuple[tuple[Route, tuple[Authorization, ...]], ...],
    tuple[tuple[Unread, tuple[Authorization, ...]], ...],
    bool,
]
"""The routes of a Server, those not understood, and whether any is attached for sure."""


def _attached(scene: Scene, server: Document, protocol: str) -> Attached | None:
    """Return the routes that are attached to a Server; None where there are none.

    HTTPRoutes of both groups where it is read as HTTP, GRPCRoutes alone where it is read as gRPC:
    the proxy is told of no others.

    Source: linkerd2 `policy-controller/grpc/src/inbound.rs` to_server; inbound/index.rs
    http_routes, grpc_routes.
    """
    if protocol in (OPAQUE, TLS):
        return None
    grpc = protocol == GRPC
    kind, groups = ("GRPCRoute", (GATEWAY,)) if grpc else ("HTTPRoute", (GATEWAY, LINKERD))
    routes: list[tuple[Route, tuple[Authorization, ...]]] = []
    loose: list[tuple[Unread, tuple[Authorization, ...]]] = []
    sure = False
    for document in scene.of_kind(kind, *groups, namespace=server.namespace):
        own = tuple(of_route(scene, document, linkerd_routes.group_of(document)))
        known = False
        try:
            named = {parent.name for parent in linkerd_routes.parents(document, "Server")}
            if server.name not in named or linkerd_routes.is_refused(document, server.name):
                continue
            known = True
            routes.append((linkerd_routes.read(document), own))
        except IgnoredError as error:
            scene.notes.add(f"`{document.ref}` has no effect: {error}")
            continue
        except NotUnderstoodError as error:
            if not linkerd_routes.may_name(document, "Server", server.name):
                continue
            why = not_understood(document, error)
            loose.append((Unread(scene.unread(document, error), why), own))
        sure |= known
    return (tuple(routes), tuple(loose), sure) if routes or loose else None


# -- defaults ------------------------------------------------------------------------------------


def _without_routes(scene: Scene, plain: Inbound, pod: Pod, port: int) -> Inbound:
    """Return what decides where no route is attached: every request takes one and the same.

    Beside it the probes of the port have a route: what gets an HTTP probe's very path is let in
    from the networks of probes. Where the port is read as gRPC, they have none.

    Source: linkerd2 inbound/index.rs default_inbound_http_routes, grpc_routes.
    """
    if plain.protocol == GRPC:
        every: Sequence[tuple[Route, tuple[Authorization, ...]]] = ((EVERY_CALL, ()),)
    else:
        every = ((EVERY_REQUEST, ()),)
        paths = tuple(path for number, path in pod.membership.probes if number == port)
        if paths and scene.config.probe_networks:
            every = (*every, (linkerd_routes.probes(paths), (probe(scene),)))
    return Inbound(plain.protocol, plain.authorizations, plain.denied, tuple(every), plain.denied)


def _by_default(scene: Scene, pod: Pod, port: int) -> Inbound:
    """Return what the default policy says of a port without a Server.

    The pod's own annotation, else the cluster's setting; one that is no policy counts for nothing.
    Ports that require an identity turn what lets in everyone into what lets in the meshed; `deny`
    and `audit` stay what they are. Nothing else has a say: not even an AuthorizationPolicy for
    the namespace.

    Source: linkerd2 inbound/index.rs default_inbound_server, inbound/workload.rs default_policy.
    """
    member = pod.membership
    mode = member.default_inbound
    if mode not in MODES:
        mode = scene.config.default_inbound
        if not scene.config.source:
            scene.notes.add(f"Linkerd's default `defaultInboundPolicy` is assumed: `{mode}`")
    if _holds(member.identity_ports, port):
        mode = mode.replace("-unauthenticated", "-authenticated")
    protocol = OPAQUE if _holds(member.opaque, port) else DETECTED
    authorizations = (
        *default_authorizations(mode, scene, scene.plain("allow", "default")),
        localhost(scene),
    )
    plain = Inbound(protocol, authorizations, scene.plain("deny", "default"))
    return _without_routes(scene, plain, pod, port)


def _holds(ranges: tuple[tuple[int, int], ...], port: int) -> bool:
    return any(first <= port <= last for first, last in ranges)
