"""Demands of an AuthorizationPolicy's rule to common rules: as Envoy holds them, and as ztunnel.

What only HTTP has is no limit on TCP: there a rule that allows is dropped as a whole, and of any
other rule the rest stays. ztunnel reads no HTTP at all.

Authority: Istio `pilot/pkg/security/authz/model/model.go` (Generate, checkError),
`pilot/pkg/serviceregistry/ambient/authorization.go` handleRule; ztunnel `src/rbac.rs`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import msgspec

from ringfence.dialects._istio_conditions import FORWARDED, Demands
from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.layer7 import HttpMatch, Layer7
from ringfence.model.rule import (
    ANYONE,
    NOBODY,
    Action,
    AllPeers,
    AnyPeer,
    Chain,
    ChainPort,
    Direction,
    NotPeer,
    Peer,
    PortRange,
    Rule,
    Traffic,
)

OVER_MTLS: Final = Layer7(mtls=True)
ANY_HTTP: Final = Layer7(http=HttpMatch())
EVERY_PORT: Final = (PortRange(Protocol.TCP),)
VERSIONS: Final = "versions of Istio differ in what ztunnel gets of trust domains"
ADDRESSED: Final = "the address of a Service, which the waypoint compares, is not compared here"


@dataclass(frozen=True)
class Written:
    """A rule as its policy writes it."""

    path: Path
    sources: tuple[Demands, ...]
    """Any of these; none: whoever."""
    operations: tuple[Demands, ...]
    """Any of these; none: whatever."""
    conditions: tuple[Demands, ...]
    """All of these."""

    def combined(self) -> Iterator[Demands]:
        """Yield what must hold together, for each source with each operation."""
        always = Demands()
        for each in self.conditions:
            always &= each
        for source, operation in product(
            self.sources or (Demands(),), self.operations or (Demands(),)
        ):
            yield source & operation & always

    @property
    def names(self) -> tuple[str, ...]:
        """Return all fields and keys that are written."""
        parts = (*self.sources, *self.operations, *self.conditions)
        return tuple(dict.fromkeys(name for part in parts for name in part.names))

    @property
    def http(self) -> tuple[str, ...]:
        """Return those that only HTTP has."""
        parts = (*self.sources, *self.operations, *self.conditions)
        return tuple(dict.fromkeys(name for part in parts for name in part.http))

    @property
    def beyond_ztunnel(self) -> tuple[str, ...]:
        """Return those that ztunnel does not read."""
        parts = (*self.sources, *self.operations, *self.conditions)
        return tuple(dict.fromkeys(name for part in parts for name in part.beyond_ztunnel))


TargetPorts = Callable[[frozenset[int]], tuple[Traffic, ...]]
"""The traffic to a pod that ports stand for: of a waypoint they are those of the Service."""


def own_ports(ports: frozenset[int]) -> tuple[Traffic, ...]:
    """Return the traffic to ports that are the pod's own."""
    return tuple(PortRange(Protocol.TCP, port, port) for port in sorted(ports))


@dataclass(frozen=True)
class Outcome:
    """What the rules of a policy do."""

    action: Action
    uncertain: str = ""
    """What decides where they match."""
    ports: TargetPorts = own_ports
    at_waypoint: bool = False


# -- Envoy -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a rule is held, by how the proxy reads what comes in."""

    elsewhere: tuple[ChainPort, ...] = ()
    """The ports where it is not."""
    reads_http: bool = False
    """Whether the proxy's filters for HTTP hold it."""
    only_http: bool = False
    """Whether only HTTP is meant there."""
    refused: tuple[Layer7, ...] = ()
    """What is not meant there."""


_AT_TCP, _AT_HTTP = ChainPort(Chain.TCP), ChainPort(Chain.HTTP)
_BUT_HTTP = ChainPort(Chain.HTTP, others=True)
_BUT_TCP = ChainPort(Chain.TCP, others=True)
_BUT_DETECTED = ChainPort(Chain.DETECTED, others=True)
EVERYWHERE: Final = Place()
HTTP: Final = Place((_AT_TCP,), reads_http=True, only_http=True)
"""HTTP, wherever it is read: what is none meets no field of it."""
ANY_PORT: Final = Place(reads_http=True, only_http=True)
"""The same and TCP, too: for what TCP reads alike, or as more."""
HTTP_PORTS: Final = Place((_BUT_HTTP,), reads_http=True)
HTTP_DETECTED: Final = Place((_BUT_DETECTED,), reads_http=True, only_http=True)
TCP_PORTS: Final = Place((_BUT_TCP,))
TCP_DETECTED: Final = Place((_BUT_DETECTED,), refused=(ANY_HTTP,))
NO_HTTP: Final = Place((_AT_HTTP,), refused=(ANY_HTTP,))
"""What is none, wherever it may be so."""


def for_envoy(written: Written, outcome: Outcome) -> list[Rule]:
    """Return the rules as which Envoy holds one."""
    allows = outcome.action is Action.ALLOW
    only_http = bool(written.http)
    found: list[Rule] = []
    for demands in written.combined():
        if allows and only_http:
            places = [HTTP]
        elif demands.http and not demands.forwarded:
            # Whatever is meant of HTTP, is on TCP too: these rules hold however a port is read.
            places = [ANY_PORT, TCP_PORTS, NO_HTTP]
        elif demands.http:
            places = [HTTP, TCP_PORTS, TCP_DETECTED]
        elif demands.forwarded:
            places = [HTTP_PORTS, HTTP_DETECTED, TCP_PORTS, TCP_DETECTED]
        else:
            places = [EVERYWHERE]
        for place in places:
            found += _rules(written.path, demands, outcome, place)
    return merged(found)


def _rules(
    path: Path, demands: Demands, outcome: Outcome, place: Place = EVERYWHERE
) -> Iterator[Rule]:
    """Yield the rules for what is over mTLS, for what is not, or for both, at one place."""
    traffic, not_traffic = _traffic(demands, outcome.ports)
    if traffic == ():
        return
    not_traffic += place.elsewhere
    boxes: tuple[Layer7, ...] | None = None
    refused = place.refused
    open_to = (outcome.uncertain, *demands.open)
    addresses = demands.addresses
    if place.only_http:
        boxes = tuple(_boxes(demands))
    if place.reads_http:
        refused += tuple(Layer7(http=match) for match in demands.not_http)
        open_to += (*demands.tokens, *((FORWARDED,) if demands.forwarded else ()))
    else:
        addresses += demands.forwarded
    if outcome.at_waypoint and demands.subjects:
        open_to += (ADDRESSED,)
    subjects = () if outcome.at_waypoint else demands.subjects
    for peers, mtls in _peers(demands, addresses):
        if mtls is None:
            limit, without = boxes, refused
        elif mtls:
            limit = tuple(Layer7(http=box.http, mtls=True) for box in boxes or (Layer7(),))
            without = refused
        else:
            limit, without = boxes, (*refused, OVER_MTLS)
        yield Rule(
            direction=Direction.INGRESS,
            action=outcome.action,
            peers=peers,
            traffic=traffic,
            path=path,
            not_traffic=not_traffic,
            layer7=limit,
            not_layer7=without,
            subjects=_all(subjects) if subjects else None,
            uncertain="; ".join(dict.fromkeys(filter(None, open_to))),
        )


def _traffic(
    demands: Demands, target: TargetPorts
) -> tuple[tuple[Traffic, ...], tuple[Traffic, ...]]:
    """Return the traffic of the ports demanded, and what is taken from it; of no port: none."""
    if not demands.ports:
        return EVERY_PORT, target(demands.not_ports)
    ports = frozenset.intersection(*demands.ports) - demands.not_ports
    return target(ports), ()


def _boxes(demands: Demands) -> Iterator[Layer7]:
    for headers in product(*demands.headers):
        yield Layer7(
            http=HttpMatch(
                methods=demands.methods or None,
                paths=demands.paths or None,
                hosts=demands.hosts or None,
                headers=tuple(dict.fromkeys(headers)),
            )
        )


def _peers(
    demands: Demands, addresses: tuple[Peer, ...]
) -> Iterator[tuple[tuple[Peer, ...] | None, bool | None]]:
    """Yield peers, with whether they are meant over mTLS, over anything else, or (None) over both.

    A peer that proves nothing is none of those that an identity is demanded of, and none of those
    that are excluded by theirs.
    """
    if not demands.identities and not demands.not_identities:
        yield _either(addresses), None
        return
    if ANYONE not in demands.not_identities:
        proved = tuple(each for each in demands.identities if each != ANYONE)
        others = tuple(NotPeer(each) for each in demands.not_identities)
        yield _either((*proved, *others, *addresses)), True
    if not demands.identities:
        yield _either(addresses), False


def _either(parts: tuple[Peer, ...]) -> tuple[Peer, ...] | None:
    """Return the peers that meet all parts, as a rule lists them."""
    if not parts:
        return None
    if len(parts) > 1:
        return (AllPeers(parts),)
    (part,) = parts
    return part.parts if isinstance(part, AnyPeer) else (part,)


def _all(parts: tuple[Peer, ...]) -> Peer:
    return parts[0] if len(parts) == 1 else AllPeers(parts)


def merged(rules: Iterable[Rule]) -> list[Rule]:
    """Return rules of which those that differ in their peers alone are one."""
    found: dict[Rule, dict[Peer, None] | None] = {}
    for rule in rules:
        key = _without_peers(rule)
        if rule.peers is None or found.get(key, {}) is None:
            found[key] = None
            continue
        same = found.setdefault(key, {})
        if same is not None:
            same |= dict.fromkeys(rule.peers)
    return [_with_peers(key, peers) for key, peers in found.items()]


def _without_peers(rule: Rule) -> Rule:
    return msgspec.structs.replace(rule, peers=(NOBODY,))


def _with_peers(rule: Rule, peers: dict[Peer, None] | None) -> Rule:
    return msgspec.structs.replace(rule, peers=None if peers is None else tuple(peers))


# -- ztunnel ---------------------------------------------------------------------------------------


def for_ztunnel(written: Written, outcome: Outcome) -> list[Rule]:
    """Return the rules as which ztunnel holds one.

    Of a rule that allows nothing is left where it says anything that ztunnel does not read. Of
    another, what of a source, an operation or a condition is left must hold; of whichever nothing
    is left, that never holds.
    """
    if outcome.action is Action.ALLOW and written.beyond_ztunnel:
        return _of_trust_domains(written, outcome)
    left = replace(
        written,
        sources=tuple(filter(None, map(_at_ztunnel, written.sources))),
        operations=tuple(filter(None, map(_at_ztunnel, written.operations))),
        conditions=tuple(filter(None, map(_at_ztunnel, written.conditions))),
    )
    if (
        (written.sources and not left.sources)
        or (written.operations and not left.operations)
        or len(left.conditions) < len(written.conditions)
    ):
        return []
    return merged(
        rule for demands in left.combined() for rule in _rules(written.path, demands, outcome)
    )


def _of_trust_domains(written: Written, outcome: Outcome) -> list[Rule]:
    """Return what is left of a rule that allows, and that ztunnel may get without trust domains."""
    if set(written.beyond_ztunnel) - {"trustDomains", "notTrustDomains"}:
        return []
    sources = tuple(filter(None, map(_at_ztunnel, written.sources)))
    if not sources:
        return []
    left = replace(written, sources=sources)
    doubtful = replace(outcome, uncertain=VERSIONS)
    return merged(
        rule for demands in left.combined() for rule in _rules(written.path, demands, doubtful)
    )


def _at_ztunnel(demands: Demands) -> Demands | None:
    """Return what ztunnel reads of demands; None where that is nothing."""
    left = replace(
        demands,
        forwarded=(),
        methods=(),
        paths=(),
        hosts=(),
        headers=(),
        not_http=(),
        tokens=(),
        open=(),
    )
    read = len(demands.names) > len(demands.beyond_ztunnel)
    return left if read else None
