"""EgressNetworks: what proxies of Linkerd's mesh let out to addresses that are no Service's.

Of the EgressNetworks of a pod's own namespace, or where it has none, of those of the namespace that
holds for all, the one with the smallest block around an address decides. What goes to an address
that none holds goes out.

Authority: linkerd2 `policy-controller/k8s/index/src/outbound/index/egress_network.rs`,
`policy-controller/grpc/src/outbound{,/http,/tls,/tcp}.rs`.
"""

import ipaddress
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ringfence.dialects import Context
from ringfence.dialects._linkerd_clients import EVERY_NETWORK, Network, networks
from ringfence.dialects._linkerd_objects import (
    EGRESS_NETWORK,
    Place,
    Source,
    config,
    linkerd_pods,
    sources,
    unreadable_policy,
)
from ringfence.dialects._linkerd_parents import GRPC, HTTP, TCP, TLS, Route, routes
from ringfence.dialects._shared import Malformed, items, one_of
from ringfence.model import tiers
from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.layer7 import DomainPattern, Layer7, Wildcard
from ringfence.model.mesh import DataPlane
from ringfence.model.rule import (
    Action,
    AddressPeer,
    AllPeers,
    Direction,
    DomainPeer,
    MeshPeer,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Rule,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, Operator, Requirement, from_labels

ALLOW: Final = "Allow"
DENY: Final = "Deny"
ANY_NAME: Final = DomainPattern("*", Wildcard.CILIUM)
BY_ADDRESS: Final = "the address behind the name decides which EgressNetwork it is of"


class _Block:
    """A block as the peers that have an address of it, the ones that only have a name among them.

    A name of the outside surely has one only where the block is all of the outside.
    """

    def __init__(self, network: Network, context: Context) -> None:
        within = {cidr for each in _outside(context) for cidr in each.excepts}
        everywhere = AddressPeer(network.cidr) in EVERY_NETWORK and within >= set(network.excepts)
        self.peers: tuple[tuple[Peer, str], ...] = (
            (network.peer, ""),
            (DomainPeer(ANY_NAME), "" if everywhere else BY_ADDRESS),
        )


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
    for order, (network, block) in enumerate(sorted(pairs, key=_precedence)):
        yield from _policies(network, block, float(order), context)
    for each in found:
        if not isinstance(each, EgressNetwork):
            source, malformed = each
            subject = _clients(source.namespace, context)
            yield unreadable_policy(source, tiers.MESH_EGRESS, subject, malformed.unreadable)


def _precedence(pair: tuple[EgressNetwork, Network]) -> tuple[int, float, str, str]:
    """Return what sorts blocks: the smallest first, then by age and name of what they are of.

    Source: linkerd2 `policy-controller/k8s/index/src/outbound/index/egress_network.rs`.
    """
    source = pair[0].source
    return _size(pair[1]), _age(source), source.namespace, source.name


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


def _age(source: Source) -> float:
    """Return when it was created; here what does not say so comes first."""
    return -math.inf if source.created == math.inf else source.created


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
        yield from _of_clients(network, _Block(block, context), near, place)


def _all_but(namespaces: list[str]) -> LabelSelector:
    return LabelSelector((Requirement(NAMESPACE_NAME, Operator.NOT_IN, tuple(namespaces)),))


def _of_clients(
    network: EgressNetwork, block: _Block, near: list[Route], place: Place
) -> Iterator[Policy]:
    number = 0
    for route in sorted(near, key=lambda each: (*each.source.age, each.source.kind)):
        rules = [] if network.allows else list(_let_out(network, block, route, near, place))
        if rules:
            yield place.policy(number, route.source, rules)
            number += 1
    action = Action.ALLOW if network.allows else Action.DENY
    rest = _rules(block, place, action, ("spec", "trafficPolicy"), PortRange(Protocol.TCP))
    yield place.policy(number, network.source, rest)


def heeded(route: Route, port: int, near: list[Route], network: Source) -> bool:
    """Return whether a route counts on a port: only those of the first kind there do.

    Source: linkerd2 `policy-controller/grpc/src/outbound.rs` to_proto.
    """
    for titles in (GRPC, HTTP, TLS, TCP):
        listed = [
            each
            for each in near
            if each.title in titles
            and any(
                parent.port == port
                for parent in each.attached(EGRESS_NETWORK, network.namespace, network.name)
            )
        ]
        if not listed:
            continue
        if titles is TCP:
            first = min(listed, key=lambda each: each.source.age)
            return route == first
        return route in listed
    return False


def _let_out(
    network: EgressNetwork, block: _Block, route: Route, near: list[Route], place: Place
) -> Iterator[Rule]:
    source = network.source
    if route.unreadable:
        yield place.doubtful(route.unreadable)
        return
    for parent in route.attached(EGRESS_NETWORK, source.namespace, source.name):
        if parent.port is None or not heeded(route, parent.port, near, source):
            continue
        port = PortRange(Protocol.TCP, parent.port, parent.port)
        for boxes, why in _limits(route):
            yield from _rules(block, place, Action.ALLOW, route.rules, port, boxes, why)


def _limits(route: Route) -> Iterator[tuple[tuple[Layer7, ...] | None, str]]:
    """Yield the requests that a route is for, and what leaves that open."""
    if route.title in TCP:
        yield None, ""
    elif route.title in TLS:
        names = tuple(DomainPattern(name, Wildcard.LABELS) for name in route.hostnames)
        yield (Layer7(server_names=names or (ANY_NAME,)),), ""
    else:
        for why in sorted({box.allowed_perhaps for box in route.boxes}):
            limits = (Layer7(http=box.http) for box in route.boxes if box.allowed_perhaps == why)
            yield tuple(dict.fromkeys(limits)), why


def _rules(
    block: _Block,
    place: Place,
    action: Action,
    path: Path,
    port: PortRange,
    boxes: tuple[Layer7, ...] | None = None,
    why: str = "",
) -> Iterator[Rule]:
    for peer, open_because in block.peers:
        yield Rule(
            direction=place.direction,
            action=action,
            peers=(peer,),
            traffic=(port,),
            path=path,
            layer7=boxes,
            uncertain=why or open_because,
        )
