"""Ports and ICMP types in Cilium's rules: `toPorts` and `icmps`.

Source: Cilium `pkg/policy/api/l4.go` (PortRule, PortProtocol), `pkg/policy/api/icmp.go`,
`pkg/policy/api/rule_validation.go`, `pkg/policy/rule.go` mergeL4Filter, `pkg/iana` IsSvcName.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.reference import ports, schema
from ringfence.reference.cilium_layer7 import UNLIMITED, Limit, read_limit
from ringfence.reference.ends import Approach
from ringfence.reference.outcome import NO, YES, Match, certain, perhaps
from ringfence.reference.schema import NotUnderstoodError

MOST = 40
"""The most ports of an entry of `toPorts`, and the most fields of one of `icmps`."""

WITH_PORTS = ("TCP", "UDP", "SCTP")
FIELDS = ("ports", "rules", "terminatingTLS", "originatingTLS", "serverNames", "listener")
SOME_TYPES = "only some types of ICMP are meant, and the question does not say which is asked for"

_NUMBER = re.compile(r"0|[1-9][0-9]{0,4}")
_SERVICE_NAME = re.compile(r"(?=.{1,15}$)(?=.*[A-Za-z])[A-Za-z0-9]+(-[A-Za-z0-9]+)*")

V4_TYPES = {
    "EchoReply": 0,
    "DestinationUnreachable": 3,
    "Redirect": 5,
    "Echo": 8,
    "EchoRequest": 8,
    "RouterAdvertisement": 9,
    "RouterSelection": 10,
    "TimeExceeded": 11,
    "ParameterProblem": 12,
    "Timestamp": 13,
    "TimestampReply": 14,
    "Photuris": 40,
    "ExtendedEchoRequest": 42,
    "ExtendedEcho Reply": 43,
}
V6_TYPES = {
    "DestinationUnreachable": 1,
    "PacketTooBig": 2,
    "TimeExceeded": 3,
    "ParameterProblem": 4,
    "EchoRequest": 128,
    "EchoReply": 129,
    "MulticastListenerQuery": 130,
    "MulticastListenerReport": 131,
    "MulticastListenerDone": 132,
    "RouterSolicitation": 133,
    "RouterAdvertisement": 134,
    "NeighborSolicitation": 135,
    "NeighborAdvertisement": 136,
    "RedirectMessage": 137,
    "RouterRenumbering": 138,
    "ICMPNodeInformationQuery": 139,
    "ICMPNodeInformationResponse": 140,
    "InverseNeighborDiscoverySolicitation": 141,
    "InverseNeighborDiscoveryAdvertisement": 142,
    "HomeAgentAddressDiscoveryRequest": 144,
    "HomeAgentAddressDiscoveryReply": 145,
    "MobilePrefixSolicitation": 146,
    "MobilePrefixAdvertisement": 147,
    "DuplicateAddressRequestCodeSuffix": 157,
    "DuplicateAddressConfirmationCodeSuffix": 158,
    "ExtendedEchoRequest": 160,
    "ExtendedEchoReply": 161,
}
"""Source: Cilium `pkg/policy/api/icmp.go`."""


@dataclass(frozen=True)
class PortEntry:
    """One port of one protocol that a rule speaks of."""

    key: str
    """What Cilium keeps it under: entries of the same key are merged."""
    match: Match
    limit: Limit = UNLIMITED
    ranged: bool = False
    """Whether it is several ports, by their numbers."""


EVERYTHING = PortEntry("*", YES)
"""What a rule speaks of that has neither `toPorts` nor `icmps`: ICMP too."""


def read_ports(
    value: Any,  # noqa: ANN401
    path: Path,
    here: Approach,
    *,
    ingress: bool,
    denies: bool,
) -> list[PortEntry]:
    """Return what the entries of `toPorts` speak of; none at all of an entry without ports.

    Args:
        value: the list, absent as None.
        path: where it stands.
        here: the connection.
        ingress: whether it stands in a rule of ingress.
        denies: whether it stands in a rule that denies: that has ports and nothing else.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    found = []
    for index, entry in enumerate(schema.items(value, path)):
        at = (*path, index)
        given = schema.fields(entry, at, FIELDS[:1] if denies else FIELDS)
        listed = schema.items(given.get("ports"), (*at, "ports"), MOST)
        raw = [
            schema.fields(port, (*at, "ports", number), ("port", "endPort", "protocol"))
            for number, port in enumerate(listed)
        ]
        limit = UNLIMITED if denies else read_limit(given, at, ingress=ingress, ports=raw)
        for number, port in enumerate(raw):
            found += _port(port, (*at, "ports", number), here, limit)
    return found


def _port(given: dict[str, Any], path: Path, here: Approach, limit: Limit) -> list[PortEntry]:
    """Return one entry per protocol of a port.

    `port` is a number or the name of a container port; 0 is every port of the protocol. `endPort`
    makes a range, both ends included, and counts for nothing beside a name or where it is not
    larger. No protocol and ANY are TCP, UDP and SCTP, and so never ICMP.

    Source: Cilium `pkg/policy/l4.go` createL4Filter, toMapState (PortRangeToMaskedPorts).
    """
    at = (*path, "protocol")
    protocol = schema.choice(given.get("protocol", "ANY"), at, ("ANY", *WITH_PORTS))
    spoken: tuple[str, ...] = WITH_PORTS if protocol == "ANY" else (protocol,)
    if limit.dns:
        spoken = tuple(one for one in spoken if one != "SCTP")
    written = schema.text(schema.required(given, "port", path), (*path, "port"))
    last = 0
    if "endPort" in given:
        last = schema.integer(given["endPort"], (*path, "endPort"), 0, 65535)
    if _SERVICE_NAME.fullmatch(written):
        name = written.lower()
        return [
            PortEntry(
                f"{one}/{name}", certain(ports.is_named_port(name, Protocol(one), here)), limit
            )
            for one in spoken
        ]
    first = _number(written, (*path, "port"))
    # An end that does not lie behind the beginning makes no difference.
    kept = f"{first}-{last}" if last > first and (first, last) != (0, 65535) else f"{first}"
    ranged = "-" in kept or kept == "0"
    return [
        PortEntry(f"{one}/{kept}", certain(_in_range(one, first, last, here)), limit, ranged)
        for one in spoken
    ]


def policy_keys(rule: Any) -> frozenset[str]:  # noqa: ANN401
    """Return what Cilium keeps the ports of a NetworkPolicy's rule under.

    Source: Cilium `pkg/k8s/network_policy.go` parsePorts.
    """
    listed = rule.get("ports") if isinstance(rule, dict) else None
    found = set()
    for port in listed if isinstance(listed, list) else []:
        given = port if isinstance(port, dict) else {}
        first, last = given.get("port", 0), given.get("endPort", 0)
        ranged = isinstance(first, int) and isinstance(last, int) and last > first
        protocol = given.get("protocol") or "TCP"
        found.add(f"{protocol}/{first}-{last}" if ranged else f"{protocol}/{first}")
    return frozenset(found)


def _number(written: str, path: Path) -> int:
    if not _NUMBER.fullmatch(written) or int(written) > 65535:
        raise NotUnderstoodError(f"`{written}` is neither a port nor a port's name", path)
    return int(written)


def _in_range(protocol: str, first: int, last: int, here: Approach) -> bool:
    if here.protocol != protocol:
        return False
    if first == 0 and last in (0, 65535):
        return True
    return here.port is not None and first <= here.port <= max(first, last)


def read_icmps(value: Any, path: Path, here: Approach, *, denies: bool) -> list[PortEntry]:  # noqa: ANN401
    """Return what the entries of `icmps` speak of: a type, by number or name, of a family.

    The family is IPv4 where none is given.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    found = []
    for index, entry in enumerate(schema.items(value, path)):
        given = schema.fields(entry, (*path, index), ("fields",))
        at = (*path, index, "fields")
        for number, field in enumerate(schema.items(given.get("fields"), at, MOST)):
            found.append(_field(field, (*at, number), here, denies=denies))
    return found


def _field(value: Any, path: Path, here: Approach, *, denies: bool) -> PortEntry:  # noqa: ANN401
    given = schema.fields(value, path, ("family", "type"))
    family = schema.choice(given.get("family", "IPv4"), (*path, "family"), ("IPv4", "IPv6"))
    kind = schema.required(given, "type", path)
    at = (*path, "type")
    names = V4_TYPES if family == "IPv4" else V6_TYPES
    if isinstance(kind, str) and kind in names:
        kind = names[kind]
    elif isinstance(kind, str):
        kind = _number(kind, at)
    number = schema.integer(kind, at, 0, 255)
    return _icmp(number, 4 if family == "IPv4" else 6, here, UNLIMITED, denies=denies)


def _icmp(kind: int, family: int, here: Approach, limit: Limit, *, denies: bool) -> PortEntry:
    """Return the entry of a type of ICMP, which Cilium keeps in the place of a port.

    Asked for every type, it allows some of what is asked for, and denies perhaps.
    """
    key = f"ICMP{family}/{kind}"
    if here.protocol is not Protocol.ICMP or here.family != family:
        return PortEntry(key, NO, limit)
    if here.port is None and denies:
        return PortEntry(key, perhaps(SOME_TYPES), limit)
    if here.port is None:
        return PortEntry(key, YES, replace(limit, icmp=str(kind)))
    return PortEntry(key, certain(here.port // 256 == kind), limit)
