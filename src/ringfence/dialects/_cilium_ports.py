"""The ports and ICMP types of Cilium's rules.

Authority: Cilium `pkg/policy/api/{l4,icmp}.go`, `pkg/policy/api/rule_validation.go`,
`pkg/iana/svcname.go`.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from ringfence.dialects._shared import Malformed, fields, integer, items, one_of, text
from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.rule import NamedPort, PortRange, Traffic

MOST: Final = 40
ANY: Final = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
"""What the protocol `ANY` stands for, or none given: never ICMP.

Source: Cilium `pkg/policy/rule.go`, where a rule is merged for each of the three."""
PROTOCOLS: Final[dict[str, tuple[Protocol, ...]]] = {
    "ANY": ANY,
    "TCP": (Protocol.TCP,),
    "UDP": (Protocol.UDP,),
    "SCTP": (Protocol.SCTP,),
}
SERVICE_NAME: Final = re.compile(r"(?=.*[a-zA-Z])[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*")
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,4}")

ICMP_TYPES: Final = {
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
    "ExtendedEchoReply": 43,
}
ICMPV6_TYPES: Final = {
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
FAMILIES: Final = {"IPv4": (4, ICMP_TYPES), "IPv6": (6, ICMPV6_TYPES)}


@dataclass(frozen=True)
class Port:
    """One item of `ports`."""

    traffic: tuple[Traffic, ...]
    """For each protocol that it stands for."""
    only_tcp: bool
    """Whether it asks for TCP by name, as layer 7 other than DNS must."""
    every: bool
    """Whether it is port 0: every port."""
    ranged: bool


def ports(value: Any, path: Path) -> list[tuple[Path, Port]]:  # noqa: ANN401
    """Return the items of a `ports` list."""
    return [(at, _port(item, at)) for at, item in items(value, path, MOST)]


def _port(value: Any, path: Path) -> Port:  # noqa: ANN401
    given = fields(value, path, ("port", "endPort", "protocol"))
    named = one_of(given.get("protocol", "ANY"), (*path, "protocol"), PROTOCOLS)
    protocols = PROTOCOLS[named]
    last = integer(given.get("endPort", 0), (*path, "endPort"), 0, 65535)
    at = (*path, "port")
    written = text(given.get("port"), at)
    tcp = named == "TCP"
    # What could be a service's name is one, `0x50` too; compared in lower case.
    if len(written) <= 15 and SERVICE_NAME.fullmatch(written):
        names = tuple(NamedPort(written.lower(), protocol) for protocol in protocols)
        return Port(names, tcp, every=False, ranged=False)
    if not NUMBER.fullmatch(written):
        raise Malformed(f"`{written}` is neither a port nor a port's name", at)
    first = integer(int(written), at, 0, 65535)
    ranged = last > first
    if first == 0 and not ranged:
        traffic = tuple(PortRange(protocol) for protocol in protocols)
    else:
        # An end that does not lie behind the beginning is passed over
        # (`pkg/policy/portrange.go` PortRangeToMaskedPorts).
        end = last if ranged else first
        traffic = tuple(PortRange(protocol, first, end) for protocol in protocols)
    return Port(traffic, tcp, every=first == 0, ranged=ranged)


def icmps(value: Any, path: Path) -> tuple[Traffic, ...]:  # noqa: ANN401
    """Return what the items of `icmps` stand for: types of ICMP or ICMPv6, with any code."""
    found: list[Traffic] = []
    for at, item in items(value, path):
        given = fields(item, at, ("fields",))
        for where, field in items(given.get("fields"), (*at, "fields"), MOST):
            found.append(_icmp(field, where))
    return tuple(dict.fromkeys(found))


def _icmp(value: Any, path: Path) -> PortRange:  # noqa: ANN401
    given = fields(value, path, ("family", "type"))
    family = one_of(given.get("family", "IPv4"), (*path, "family"), FAMILIES)
    version, names = FAMILIES[family]
    written, at = given.get("type"), (*path, "type")
    if isinstance(written, str) and written in names:
        number = names[written]
    elif isinstance(written, str) and NUMBER.fullmatch(written):
        number = integer(int(written), at, 0, 255)
    elif isinstance(written, str):
        raise Malformed(f"`{written}` is no type of ICMP over {family}", at)
    else:
        number = integer(written, at, 0, 255)
    return PortRange(Protocol.ICMP, 256 * number, 256 * number + 255, version)
