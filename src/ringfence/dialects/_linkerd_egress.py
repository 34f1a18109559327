"""EgressNetworks: what proxies of Linkerd's mesh let out to addresses that are no Service's.

Of the EgressNetworks of a pod's own namespace, or where it has none, of those of the namespace that
holds for all, the one with the smallest block around an address decides. What goes to an address
that none holds goes out.

Authority: linkerd2 `policy-controller/k8s/index/src/outbound/index/egress_network.rs`,
`policy-controller/grpc/src/outbound{,/http,/tls,/tcp}.rs`.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ringfence.dialects import Context
from ringfence.dialects._linkerd_clients import EVERY_NETWORK, Network, networks
from ringfence.dialects._linkerd_destinations import ANY_NAME, sent
from ringfence.dialects._linkerd_objects import (
    EGRESS_NETWORK,
    Place,
    Source,
    config,
    doubt,
    linkerd_pods,
    sources,
)
from ringfence.dialects._linkerd_parents import GRPC, HTTP, TCP, TLS, Route, routes
from ringfence.dialects._linkerd_routes import ANY_CALL
from ringfence.dialects._shared import Malformed, items, one_of
from ringfence.model import tiers
from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.layer7 import Layer7
from ringfence.model.mesh import DataPlane
from ringfence.model.rule import (
    Action,
    AddressPeer,
    AllPeers,
    AnyPeer,
    Direction,
    DomainPeer,
    FamilyPeer,
    MeshPeer,
    NotPeer,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Rule,
    Unreadable,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, Operator, Requirement, from_labels

ALLOW: Final = "Allow"
DENY: Final = "Deny"
OPAQUE: Final = "config.linkerd.io/opaque-ports"
OPAQUE_PORTS: Final = "25,587,3306,4444,5432,6379,9300,11211"
"""Source: linkerd2 `charts/linkerd-control-plane/values.yaml` proxy.opaquePorts."""


@dataclass(frozen=True)
class EgressNetwork:
    """Some addresses, and what is let out to them."""

    source: Source
    networks: tuple[Network, ...]
    allows: bool


def policies(context: Context) -> Iterator[Policy]:
    """Yield what EgressNetworks let out."""
    found = context.once(_read)
    readable = [network for network in found if isinstance(network, EgressNetwork)]
    pairs = [(network, block) for network in readable for block in network.networks]
    met: list[tuple[str, Network]] = []
    for order, (network, block) in enumerate(sorted(pairs, key=_precedence)):
        namespace = network.source.namespace
        # What an earlier one of the same clients holds is never asked of a later one.
        if not any(n == namespace and _holds(other, block) for n, other in met):
            yield from _policies(network, block, float(order), context)
        met.append((namespace, block))
    for each in found:
        if not isinstance(each, EgressNetwork):
            source, malformed = each
            subject = _clients(source.namespace, context)
            tie = f"{source.namespace}/{source.name}"
            # Its blocks may be the smallest of all.
            place = Place(tiers.MESH_EGRESS, -1, tie, subject, Direction.EGRESS)
            yield place.policy(0, source, _unread(source, malformed.unreadable, place))


def _unread(source: Source, part: Unreadable, place: Place) -> list[Rule]:
    """Return what an EgressNetwork may say that is not understood: of Services it says nothing."""
    addresses = (AddressPeer("0.0.0.0/0"), AddressPeer("::/0"), DomainPeer(ANY_NAME))
    ports = (PortRange(Protocol.TCP),)
    services = Decision(source, part.path, Action.PASS, ports)
    return [
        _rule(services, (NotPeer(AnyPeer(addresses)),), place),
        *place.unreadable(source, part).rules,
    ]


def _precedence(pair: tuple[EgressNetwork, Network]) -> tuple[int, float, str, str]:
    """Return what sorts blocks: the smallest first, then by age and name of what they are of.

    Source: linkerd2 `policy-controller/k8s/index/src/outbound/index/egress_network.rs`.
    """
    source = pair[0].source
    return _size(pair[1]), source.created, source.namespace, source.name


def _read(context: Context) -> list[EgressNetwork | tuple[Source, Malformed]]:
    found: list[EgressNetwork | tuple[Source, Malformed]] = []
    for source in sources(context, "EgressNetwork"):
        try:
            found.append(_network(source, context))
        except Malformed as malformed:
            found.append((source, malformed))
    return found


def _network(source: Source, context: Context) -> EgressNetwork:
    given = source.spec(("trafficPolicy", "networks"))
    at = ("spec", "trafficPolicy")
    allows = one_of(given.get("trafficPolicy"), at, (ALLOW, DENY)) == ALLOW
    if "networks" not in given:
        return EgressNetwork(source, _outside(context), allows)
    at = ("spec", "networks")
    found = networks(given["networks"], at)
    if not items(given["networks"], at):
        raise Malformed("at least one network is required", at)
    return EgressNetwork(source, tuple(dict.fromkeys(found)), allows)


def _outside(context: Context) -> tuple[Network, ...]:
    """Return what is no network of the cluster."""
    within = [
        str(ipaddress.ip_network(cidr, strict=False)) for cidr in config(context).cluster_networks
    ]
    return (
        Network("0.0.0.0/0", tuple(sorted(cidr for cidr in within if ":" not in cidr))),
        Network("::/0", tuple(sorted(cidr for cidr in within if ":" in cidr))),
    )


def _peers(block: Network, context: Context) -> tuple[Peer, ...]:
    """Return who is in a block, pods of the cluster too, when they are called by their addresses.

    A host of which only the name is known is taken to be outside the networks of the cluster.
    """
    own = [ipaddress.ip_network(cidr) for each in _outside(context) for cidr in each.excepts]

    def is_within_the_cluster(cidr: str) -> bool:
        inner = ipaddress.ip_network(cidr)
        return any(
            one.version == inner.version
            and one.prefixlen <= inner.prefixlen
            and inner.network_address in one
            for one in own
        )

    if AddressPeer(block.cidr) in EVERY_NETWORK and all(map(is_within_the_cluster, block.excepts)):
        family = ipaddress.ip_network(block.cidr).version
        return (block.peer, AllPeers((DomainPeer(ANY_NAME), FamilyPeer(family))))
    if is_within_the_cluster(block.cidr):
        return (AllPeers((block.peer, NotPeer(DomainPeer(ANY_NAME)))),)
    return (block.peer,)


def _holds(one: Network, other: Network) -> bool:
    return one.cidr == other.cidr and set(one.excepts) <= set(other.excepts)


def _size(block: Network) -> int:
    """Return how many addresses a network has, as Linkerd counts them.

    Source: linkerd2 `policy-controller/k8s/api/src/policy/network.rs` Network.block_size.
    """
    return _hosts(block.cidr) - sum(map(_hosts, block.excepts))


def _hosts(cidr: str) -> int:
    found = ipaddress.ip_network(cidr)
    if found.version == 4 and found.prefixlen < 31:
        return found.num_addresses - 2
    return found.num_addresses


# -- clients ---------------------------------------------------------------------------------------


def _clients(namespace: str, context: Context) -> Peer:
    """Return the pods for which the EgressNetworks of a namespace are looked at."""
    if namespace != config(context).egress_namespace:
        return linkerd_pods(namespace)
    local = {source.namespace for source in sources(context, "EgressNetwork")} - {namespace}
    return _others(local)


def _others(without: set[str]) -> Peer:
    wanted = Requirement(NAMESPACE_NAME, Operator.NOT_IN, tuple(sorted(without)))
    own = LabelSelector((wanted,)) if without else EVERYTHING
    return AllPeers((MeshPeer((DataPlane.LINKERD,)), PodPeer(own, EVERYTHING)))


# -- policies --------------------------------------------------------------------------------------


def _policies(
    network: EgressNetwork, block: Network, order: float, context: Context
) -> Iterator[Policy]:
    """Yield what an EgressNetwork makes of what goes to one of its blocks.

    A route of another namespace is for the clients of that namespace alone.

    Source: linkerd2 `policy-controller/k8s/index/src/outbound/index.rs`.
    """
    source = network.source
    attached = [
        route
        for route in context.once(routes)
        if route.attached(EGRESS_NETWORK, source.namespace, source.name)
    ]
    consumers = sorted({route.source.namespace for route in attached} - {source.namespace})
    for number, namespace in enumerate(["", *consumers]):
        own = PodPeer(from_labels({NAMESPACE_NAME: namespace}), EVERYTHING)
        without = PodPeer(_all_but(consumers), EVERYTHING)
        within = own if namespace else without
        subject = AllPeers((_clients(source.namespace, context), within))
        place = Place(
            tiers.MESH_EGRESS,
            order,
            f"{source.namespace}/{source.name} {number:05}",
            subject if consumers else _clients(source.namespace, context),
            Direction.EGRESS,
        )
        near = [r for r in attached if r.source.namespace in (source.namespace, namespace)]
        yield from _of_clients(network, _peers(block, context), near, place)


def _all_but(namespaces: list[str]) -> LabelSelector:
    return LabelSelector((Requirement(NAMESPACE_NAME, Operator.NOT_IN, tuple(namespaces)),))


def _of_clients(
    network: EgressNetwork, peers: tuple[Peer, ...], near: list[Route], place: Place
) -> Iterator[Policy]:
    """Yield the parts of what an EgressNetwork says, in the order of its routes."""
    runs = groupby(_decisions(network, near), lambda each: each.source.index)
    for number, (_, run) in enumerate(runs):
        decisions = list(run)
        rules = [_rule(each, peers, place) for each in decisions]
        yield place.policy(number, decisions[0].source, rules)


@dataclass(frozen=True)
class Decision:
    """What is let out, or is not. Apart from what is uncertain, no two are of one request."""

    source: Source
    path: Path
    action: Action
    ports: tuple[PortRange, ...]
    without: tuple[PortRange, ...] = ()
    boxes: tuple[Layer7, ...] | None = None
    without_boxes: tuple[Layer7, ...] = ()
    uncertain: str = ""


def _decisions(network: EgressNetwork, near: list[Route]) -> Iterator[Decision]:
    source = network.source
    policy = ("spec", "trafficPolicy")
    rest = Action.ALLOW if network.allows else Action.DENY
    apart: list[PortRange] = []
    for port in sorted({p for route in near for p in _ports(route, source)}):
        titles, listed = counted(port, near, source)
        if not listed:
            continue
        here = PortRange(Protocol.TCP, port, port)
        apart.append(here)
        let_out: list[Layer7] = []
        # What may take any request comes before what surely takes some.
        for route in sorted(listed, key=lambda each: each.unreadable is None):
            if route.unreadable:
                yield from _perhaps(route, here)
        for one, boxes, why in sent([r for r in listed if r.unreadable is None], titles, source):
            let_out += () if why else boxes or ()
            for action in (Action.ALLOW, Action.DENY) if why else (Action.ALLOW,):
                yield Decision(one, ("spec", "rules"), action, (here,), boxes=boxes, uncertain=why)
        if titles is TCP:
            if all(route.unreadable for route in listed):
                yield Decision(source, policy, rest, (here,))
            continue
        yield from _others_at(here, titles, tuple(let_out), network)
    every = PortRange(Protocol.TCP)
    for route in near:
        if _anywhere(route):
            yield from _perhaps(route, every)
    yield Decision(source, policy, rest, (every,), tuple(apart))


def _perhaps(route: Route, here: PortRange) -> Iterator[Decision]:
    why = doubt(route.source, route.unreadable) if route.unreadable else ""
    for action in (Action.ALLOW, Action.DENY):
        yield Decision(route.source, route.rules, action, (here,), uncertain=why)


def _others_at(
    here: PortRange, titles: tuple[str, ...], let_out: tuple[Layer7, ...], network: EgressNetwork
) -> Iterator[Decision]:
    """Yield what becomes at a port with routes of what takes none of them.

    What is not of the protocol that the routes are for is refused, whatever the policy; HTTP
    alone is found out first.

    Source: linkerd2 `policy-controller/grpc/src/outbound/{http,grpc,tls}.rs`
    default_outbound_egress_route.
    """
    source, policy = network.source, ("spec", "trafficPolicy")
    any_of: dict[tuple[str, ...], Layer7] = {
        GRPC: ANY_CALL,
        TLS: Layer7(server_names=(ANY_NAME,)),
    }
    own = any_of.get(titles)
    if titles is HTTP and network.allows:
        yield Decision(source, policy, Action.ALLOW, (here,))
        return
    if own is not None and network.allows:
        yield Decision(source, policy, Action.ALLOW, (here,), boxes=(own,))
        let_out = (*let_out, own)
    yield Decision(source, policy, Action.DENY, (here,), without_boxes=let_out)


def _ports(route: Route, network: Source) -> list[int]:
    found = route.attached(EGRESS_NETWORK, network.namespace, network.name)
    return [parent.port for parent in found if parent.port is not None]


def counted(port: int, near: list[Route], network: Source) -> tuple[tuple[str, ...], list[Route]]:
    """Return the kinds of routes that count at a port of an EgressNetwork, and these routes.

    Only those of the first kind there do; at a port that is opaque, only TCPRoutes, of which the
    oldest counts.

    Source: linkerd2 `policy-controller/grpc/src/outbound.rs` to_proto, `outbound/tcp.rs`.
    """
    opaque = _is_opaque(port, network)
    for titles in (TCP,) if opaque else (GRPC, HTTP, TLS, TCP):
        listed = [
            route
            for route in near
            if route.title in titles and (port in _ports(route, network) or _anywhere(route))
        ]
        if listed:
            listed.sort(key=lambda each: (*each.source.age, each.source.kind))
            return titles, listed[:1] if titles is TCP else listed
    return (), []


def _anywhere(route: Route) -> bool:
    """Return whether a route may be attached to any port: what it names is not understood."""
    return route.unreadable is not None and all(parent.port is None for parent in route.parents)


def _is_opaque(port: int, network: Source) -> bool:
    """Return whether a proxy does not look at what goes to a port of an EgressNetwork.

    Source: linkerd2 `policy-controller/k8s/index/src/outbound/index.rs`.
    """
    metadata = network.document.body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    written = annotations.get(OPAQUE) if isinstance(annotations, dict) else None
    for part in (OPAQUE_PORTS if written is None else str(written)).split(","):
        first, _, last = part.strip().partition("-")
        numbers = first.isdigit() and (last or first).isdigit()
        if numbers and int(first) <= port <= int(last or first):
            return True
    return False


def _rule(decision: Decision, peers: tuple[Peer, ...], place: Place) -> Rule:
    return Rule(
        direction=place.direction,
        action=decision.action,
        peers=peers,
        traffic=decision.ports,
        path=decision.path,
        not_traffic=decision.without,
        layer7=decision.boxes,
        not_layer7=decision.without_boxes,
        uncertain=decision.uncertain,
    )
