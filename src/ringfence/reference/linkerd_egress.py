"""EgressNetworks: what the proxy of a client lets out of the cluster.

Source: linkerd.io "EgressNetwork"; linkerd2 `policy-controller/k8s/index/src/outbound/index.rs`,
`outbound/index/egress_network.rs`, `policy-controller/grpc/src/outbound.rs` (to_proto),
`policy-controller/grpc/src/outbound/{http,grpc,tls,tcp}.rs`.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ringfence.model.connection import DomainEnd, PodEnd
from ringfence.model.document import Document, Path
from ringfence.model.rule import Direction
from ringfence.model.verdict import Verdict
from ringfence.reference import linkerd_requests, linkerd_routes, schema
from ringfence.reference.ends import Address
from ringfence.reference.findings import Side
from ringfence.reference.linkerd_clients import Block, cluster_networks, read_networks
from ringfence.reference.linkerd_objects import (
    GATEWAY,
    LINKERD,
    Scene,
    by_age,
    read_reference,
    spec_of,
)
from ringfence.reference.linkerd_requests import Trial
from ringfence.reference.linkerd_routes import EVERY_CALL, EVERY_REQUEST, IgnoredError, Route
from ringfence.reference.linkerd_servers import Unread
from ringfence.reference.linkerd_trials import (
    Decision,
    pieces_of,
    together,
    unsettled_by_blind_spots,
)
from ringfence.reference.mesh_flow import Flow, absent
from ringfence.reference.outcome import not_understood
from ringfence.reference.schema import NotUnderstoodError

ELSEWHERE = "`{}` sends it to another backend, which is not judged"
REDIRECTED = "`{}` has the proxy answer with a redirect, and where that leads to is not judged"
OUTSIDE = "`{}` is taken to lead outside the networks of the cluster"
DEFAULT_OPAQUE = "25,587,3306,4444,5432,6379,9300,11211"
"""Source: linkerd2 `charts/linkerd-control-plane/values.yaml` proxy.opaquePorts."""
OPAQUE_PORTS = "config.linkerd.io/opaque-ports"

_KINDS = {
    "GRPCRoute": (GATEWAY,),
    "HTTPRoute": (GATEWAY, LINKERD),
    "TLSRoute": (GATEWAY,),
    "TCPRoute": (GATEWAY,),
}
"""The kinds of routes, the one that counts before the others first."""


@dataclass(frozen=True)
class Egress:
    """An EgressNetwork, and the routes to it by one port."""

    document: Document
    networks: tuple[Block, ...]
    policy: str
    """Allow or Deny: of what no route takes."""
    kind: str
    """Of the routes that count; empty: there are none."""
    routes: tuple[Route, ...]
    loose: tuple[Unread, ...]


def judge(scene: Scene, flow: Flow) -> Side:
    """Return what a client's proxy says of a connection.

    What is sent to the address of a Service is no egress. Of all else, be it to a pod's own
    address (by which headless Services are called, too), EgressNetworks take what is sent to their
    networks: those of the client's own namespace if it has any at all, else those of the namespace
    that Linkerd keeps for them. What none takes goes out.

    Source: linkerd2 `policy-controller/src/index.rs` lookup_ip (Services first), egress_network.rs
    resolve_egress_network; linkerd2-proxy `linkerd/app/outbound/src/discover.rs` (a policy that
    is found goes before a profile).
    """
    plain = absent(Direction.EGRESS, "default")
    end = flow.connection.source
    service = flow.service
    if service is not None and service.type != "ExternalName" and not service.headless:
        return plain
    if not isinstance(end, PodEnd):
        return plain
    namespace = flow.snapshot.workloads[end.workload].namespace
    common = scene.config.egress_namespace
    listed = scene.of_kind("EgressNetwork", LINKERD, namespace=namespace)
    listed = listed or scene.of_kind("EgressNetwork", LINKERD, namespace=common)
    blind = unsettled_by_blind_spots(scene, namespace)
    if blind is not None:
        return blind
    found: list[Egress] = []
    unread: list[Unread] = []
    for document in listed:
        try:
            found.append(_read(scene, document, namespace, flow.port))
        except NotUnderstoodError as error:
            why = not_understood(document, error)
            unread.append(Unread(scene.unread(document, error), why))
    if unread:
        pieces = tuple(one.evidence for one in unread)
        return Side(Verdict.UNKNOWN, pieces, tuple(one.because for one in unread))
    if not found:
        return plain
    place = _places(scene, flow, [block for one in found for block in one.networks])

    def decide(trial: Trial) -> list[Decision]:
        return [_decided(scene, _taking(found, address), trial) for address in place]

    return together(_trials(found, flow), decide, flow.destination.why_unsure)


def _places(scene: Scene, flow: Flow, blocks: list[Block]) -> list[Address | None]:
    """Return an address of each part of where the destination may be that the networks tell apart.

    A name of the outside leads somewhere outside the networks of the cluster.
    """
    if not isinstance(flow.connection.destination, DomainEnd):
        return pieces_of(flow.destination.place, flow.family, blocks)
    cluster = cluster_networks(scene)
    found = pieces_of(flow.destination.place, flow.family, [*blocks, *cluster])
    scene.notes.add(OUTSIDE.format(flow.destination.name))
    return [one for one in found if not any(block.holds(one) for block in cluster)]


# -- which network -------------------------------------------------------------------------------


def _read(scene: Scene, document: Document, namespace: str, port: int) -> Egress:
    """Return an EgressNetwork; without `networks` it is all but the networks of the cluster."""
    spec = spec_of(document, ("networks", "trafficPolicy"))
    at: Path = ("spec", "trafficPolicy")
    policy = schema.choice(schema.required(spec, "trafficPolicy", ("spec",)), at, ("Allow", "Deny"))
    if "networks" in spec:
        networks = tuple(read_networks(spec["networks"], ("spec", "networks")))
        if not networks:
            raise NotUnderstoodError("must have at least one item", ("spec", "networks"))
    else:
        networks = tuple(_all_but(cluster_networks(scene)))
    kind, routes, loose = _routes(scene, document, namespace, port)
    return Egress(document, networks, policy, kind, routes, loose)


def _all_but(cluster: tuple[Block, ...]) -> Iterator[Block]:
    for whole in ("0.0.0.0/0", "::/0"):
        network = ipaddress.ip_network(whole)
        inside = [one.network for one in cluster if one.network.version == network.version]
        yield Block(network, tuple(inside))


def _taking(found: list[Egress], address: Address | None) -> Egress | None:
    """Return the EgressNetwork that takes what is sent to an address.

    That with the smallest network that holds it; of these the oldest, then the first by
    namespace and name.

    Source: egress_network.rs match_network, compare_matched_egress_network.
    """
    holding = [
        (min(map(_size, held)), by_age(one.document), number)
        for number, one in enumerate(found)
        if (held := [block for block in one.networks if block.holds(address)])
    ]
    return found[min(holding)[2]] if holding else None


def _size(block: Block) -> int:
    """Return how large a network is counted, without what it leaves out.

    Source: linkerd2 `policy-controller/k8s/api/src/policy/network.rs` block_size.
    """
    return _hosts(block) - sum(_hosts(Block(other)) for other in block.excepts)


def _hosts(block: Block) -> int:
    count = block.network.num_addresses
    return count - 2 if block.network.version == 4 and count > 2 else count


# -- its routes ----------------------------------------------------------------------------------


def _routes(
    scene: Scene, network: Document, namespace: str, port: int
) -> tuple[str, tuple[Route, ...], tuple[Unread, ...]]:
    """Return the kind of routes that counts, the routes of that kind, and those not understood.

    gRPC before HTTP, TLS, TCP; at an opaque port TCP alone. Routes of the network's own namespace
    are for all clients, those of a client's namespace for the clients there.

    Source: outbound.rs to_proto; outbound/index.rs apply (producer and consumer routes).
    """
    opaque = _is_opaque(network, port)
    for kind, groups in _KINDS.items():
        if opaque and kind != "TCPRoute":
            continue
        routes: list[Route] = []
        loose: list[Unread] = []
        for document in scene.of_kind(kind, *groups):
            if document.namespace not in (network.namespace, namespace):
                continue
            try:
                if _is_attached(document, network, port):
                    routes.append(_route(document, kind))
            except IgnoredError as error:
                scene.notes.add(f"`{document.ref}` has no effect: {error}")
            except NotUnderstoodError as error:
                if linkerd_routes.may_name(document, "EgressNetwork", network.name):
                    why = not_understood(document, error)
                    loose.append(Unread(scene.unread(document, error), why))
        if routes or loose:
            return kind, tuple(routes), tuple(loose)
    return "TCPRoute" if opaque else "", (), ()


def _is_attached(document: Document, network: Document, port: int) -> bool:
    for parent in linkerd_routes.parents(document, "EgressNetwork"):
        if linkerd_routes.is_refused(document, parent.name, "EgressNetwork"):
            continue
        if parent.port is None:
            raise NotUnderstoodError(
                "an EgressNetwork is named with a port", ("spec", "parentRefs")
            )
        named = (parent.namespace, parent.name, parent.port)
        if named == (network.namespace, network.name, port):
            return True
    return False


def _route(document: Document, kind: str) -> Route:
    """Return a route; of those for TLS and TCP it is known by their hosts alone.

    Source: linkerd2 admission.rs Validate<TLSRouteSpec>, Validate<TCPRouteSpec> (one rule).
    """
    if kind in ("GRPCRoute", "HTTPRoute"):
        return linkerd_routes.read(document)
    spec = spec_of(document, linkerd_routes.KNOWN)
    at: Path = ("spec", "hostnames")
    hosts = [
        schema.text(host, (*at, index)).lower()
        for index, host in enumerate(schema.items(spec.get("hostnames"), at))
    ]
    at = ("spec", "rules")
    rules = schema.items(spec.get("rules"), at)
    if len(rules) != 1:
        raise NotUnderstoodError("must have one rule alone", at)
    given = schema.fields(rules[0], (*at, 0), ("name", "backendRefs"))
    backends = schema.items(given.get("backendRefs"), (*at, 0, "backendRefs"))
    rule = linkerd_routes.RouteRule((), (*at, 0), backends=tuple(backends))
    return Route(document, tuple(hosts), (rule,))


def _is_opaque(network: Document, port: int) -> bool:
    """Return whether a port of a network is opaque; what is no list of ports names none.

    Source: outbound/index.rs apply (opaque_ports), `policy-controller/k8s/index/src/ports.rs`.
    """
    metadata = network.body.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    written = notes.get(OPAQUE_PORTS) if isinstance(notes, dict) else None
    try:
        for part in (DEFAULT_OPAQUE if written is None else str(written)).split(","):
            first, _, last = part.strip().partition("-")
            if first and int(first) <= port <= int(last or first):
                return True
    except ValueError:
        return False
    return False


# -- the verdict ---------------------------------------------------------------------------------


def _trials(found: list[Egress], flow: Flow) -> list[Trial]:
    """Return what a question may mean, also of TLS where routes tell its names apart.

    HTTP may be said within TLS, unless the question says that there is none.
    """
    request = flow.request
    routes = [r for one in found if one.kind in ("GRPCRoute", "HTTPRoute") for r in one.routes]
    plain = linkerd_requests.trials(routes, request)
    over_tls = [one for one in found if one.kind == "TLSRoute"]
    if not over_tls or request.dns or request.sni == "":
        return plain
    if request.sni:
        return [Trial(trial.sent, trial.like, request.sni) for trial in plain]
    hosts = {host for one in over_tls for route in one.routes for host in route.hosts}
    named = [
        Trial(
            trial.sent,
            {"tls": {"server_name": host}},
            host.replace("*.", f"{linkerd_requests.OTHER_SEGMENT}.", 1),
        )
        for host in sorted(hosts | {linkerd_requests.OTHER_HOST})
        for trial in plain
    ]
    return [*plain, *named]


def _decided(scene: Scene, egress: Egress | None, trial: Trial) -> Decision:
    """Return what becomes of a request, or of a connection that is no HTTP.

    HTTP and gRPC: the route that it takes, else what the network says of all else. What is no
    HTTP beside HTTPRoutes: what the network says. Beside GRPCRoutes what is no call is refused,
    and beside TLSRoutes what has no server name. Of TCPRoutes the oldest takes everything.
    """
    if egress is None:
        return Decision(Verdict.ALLOW, (scene.plain("allow", "default"),))
    network = egress.document
    at: Path = ("spec", "trafficPolicy")
    default = (
        Decision(Verdict.ALLOW, (scene.piece(network, "allow", at),))
        if egress.policy == "Allow"
        else Decision(Verdict.DENY, (scene.piece(network, "deny", at),))
    )
    refused = Decision(Verdict.DENY, (scene.piece(network, "deny", ("spec",), "no route"),))
    if egress.loose:
        pieces = tuple(one.evidence for one in egress.loose)
        return Decision(Verdict.UNKNOWN, pieces, tuple(one.because for one in egress.loose))
    match egress.kind:
        case "TCPRoute":
            if not egress.routes:
                return default
            return _sent(scene, network, egress.routes[0], egress.routes[0].rules[0])
        case "TLSRoute":
            if not trial.server_name:
                return refused
            route = _by_server_name(egress.routes, trial.server_name)
            return default if route is None else _sent(scene, network, route, route.rules[0])
        case _ if trial.sent is None:
            return refused if egress.kind == "GRPCRoute" else default
        case kind:
            last = EVERY_CALL if kind == "GRPCRoute" else EVERY_REQUEST
            taken = linkerd_requests.choose([*egress.routes, last], trial.sent)
            if taken is None:
                return refused
            return default if taken[0] is last else _sent(scene, network, *taken)


def _by_server_name(routes: tuple[Route, ...], name: str) -> Route | None:
    """Return the route that TLS with a server name takes: the closest name, then the oldest.

    Source: linkerd2-proxy `linkerd/tls/route/src/lib.rs`, `sni.rs`.
    """
    best: tuple[tuple[int, ...], Route] | None = None
    for route in routes:
        ranks = [linkerd_requests.host_rank(host, name) for host in route.hosts]
        if route.hosts and not any(ranks):
            continue
        if best is None or max(ranks, default=()) > best[0]:
            best = max(ranks, default=()), route
    return best[1] if best else None


def _sent(
    scene: Scene, network: Document, route: Route, rule: linkerd_routes.RouteRule
) -> Decision:
    """Return what becomes of what a route takes: it goes out, unless it is sent elsewhere.

    Source: outbound/http.rs convert_backend (no backend is the network itself).
    """
    document = route.document
    if document is None:
        raise ValueError("a route that is written nowhere sends nothing")
    found = scene.piece(document, "allow", rule.place)
    if rule.redirects:
        return Decision(Verdict.UNKNOWN, (found,), (REDIRECTED.format(document.ref),))
    if not all(_is_itself(backend, document, network) for backend in rule.backends):
        return Decision(Verdict.UNKNOWN, (found,), (ELSEWHERE.format(document.ref),))
    return Decision(Verdict.ALLOW, (found,))


def _is_itself(backend: Any, route: Document, network: Document) -> bool:  # noqa: ANN401
    """Return whether a backend is the EgressNetwork that a route is attached to."""
    known = ("group", "kind", "name", "namespace", "port", "weight", "filters")
    try:
        if not isinstance(backend, dict) or not backend.keys() <= set(known):
            return False
        said = {key: backend[key] for key in known[:4] if key in backend}
        ref = read_reference(said, (), known[:4])
    except NotUnderstoodError:
        return False
    where = (ref.namespace or route.namespace, ref.name)
    return ref.is_to(LINKERD, "EgressNetwork") and where == (network.namespace, network.name)
