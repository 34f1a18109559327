"""Protocols, ports and ICMP of a Calico rule.

Authority: Calico `api/pkg/lib/numorstring/{protocol,port}.go`, `libcalico-go/lib/validator/v3/
validator.go` validateRule, `felix/calc/rule_scanner.go` ruleToParsedRule.
"""

import re
from typing import Any, Final

from ringfence.dialects._shared import Malformed, fields, integer, items, text
from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.rule import NamedPort, PortRange, Traffic
from ringfence.yaml_text import type_text

ICMP: Final = 1
ICMPV6: Final = 58
NUMBERS: Final = {"ICMP": ICMP, "TCP": 6, "UDP": 17, "ICMPv6": ICMPV6, "SCTP": 132, "UDPLite": 136}
PORTED: Final = {6: Protocol.TCP, 17: Protocol.UDP, 132: Protocol.SCTP}
FAMILIES: Final = {ICMP: 4, ICMPV6: 6}
RANGE: Final = re.compile(r"(\d{1,10}):(\d{1,10})")
PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")

Port = tuple[int, int] | str
"""The first and the last of a range, or a port's name."""


def protocol(value: Any, path: Path) -> int:  # noqa: ANN401
    """Return a protocol's number, 1 to 255.

    Raises:
        Malformed: no such name, or a number out of range.
    Source: validator.go validateProtocol: names as they are written here, case included.
    """
    if isinstance(value, str):
        if value in NUMBERS:
            return NUMBERS[value]
        if not re.fullmatch(r"\d{1,3}", value, re.ASCII):
            names = ", ".join(NUMBERS)
            raise Malformed(f"`{value[:60]}` is neither a number nor one of {names}", path)
        value = int(value)
    return integer(value, path, 1, 255)


def whole(number: int) -> tuple[PortRange, ...]:
    """Return all of a protocol; nothing for one that no question can name."""
    if number in PORTED:
        return (PortRange(PORTED[number]),)
    if number in FAMILIES:
        return (PortRange(Protocol.ICMP, family=FAMILIES[number]),)
    return ()


def icmp(value: Any, path: Path) -> tuple[int, int] | None:  # noqa: ANN401
    """Return the first and last of ICMP's types and codes; None where the fields say nothing.

    Raises:
        Malformed: a code without a type, or out of range.
    Source: validator.go validateICMPFields; policy_common.go ICMPFields.
    """
    given = fields(value, path, ("type", "code"))
    if "type" not in given:
        if "code" in given:
            raise Malformed("a code needs a type", path)
        return None
    first = 256 * integer(given["type"], (*path, "type"), 0, 254)
    if "code" not in given:
        return first, first + 255
    code = first + integer(given["code"], (*path, "code"), 0, 255)
    return code, code


def icmp_range(found: tuple[int, int], number: int) -> PortRange:
    """Return types and codes as traffic of ICMP or ICMPv6."""
    return PortRange(Protocol.ICMP, *found, family=FAMILIES[number])


def ports(value: Any, path: Path) -> tuple[Port, ...]:  # noqa: ANN401
    """Return a list of ports.

    Raises:
        Malformed: an item that is neither a number, a range `first:last` nor a name.
    """
    return tuple(_port(item, at) for at, item in items(value, path))


def _port(value: Any, path: Path) -> Port:  # noqa: ANN401
    if not isinstance(value, str):
        if value is None or isinstance(value, (bool, dict, list)):
            raise Malformed(f"expected a port, found {type_text(value)}", path)
        number = integer(value, path, 1, 65535)
        return number, number
    written = text(value, path)
    if re.fullmatch(r"\d{1,10}", written, re.ASCII):
        number = integer(int(written), path, 1, 65535)
        return number, number
    if ends := RANGE.fullmatch(written):
        first = integer(int(ends[1]), path, 1, 65535)
        return first, integer(int(ends[2]), path, first, 65535)
    # apimachinery `pkg/util/validation` IsValidPortName.
    if len(written) > 15 or not PORT_NAME.fullmatch(written):
        raise Malformed(f"`{written[:60]}` is no port, range of ports or port's name", path)
    return written


def all_named(found: tuple[Port, ...]) -> bool:
    """Return whether every port is a name; then a rule needs no protocol."""
    return all(isinstance(port, str) for port in found)


def cover_all(found: tuple[Port, ...]) -> bool:
    """Return whether ports cover every number from 1 to 65535."""
    reached = 0
    for first, last in sorted(port for port in found if not isinstance(port, str)):
        if first > reached + 1:
            return False
        reached = max(reached, last)
    return reached == 65535


def traffic(found: tuple[Port, ...], number: int | None) -> tuple[Traffic, ...]:
    """Return ports as traffic of a protocol; names without a protocol are TCP's.

    Source: rule_scanner.go ruleToParsedRule, namedPortProto.
    """
    named = PORTED.get(number or 6, Protocol.TCP)
    return tuple(
        NamedPort(port, named) if isinstance(port, str) else PortRange(named, port[0], port[1])
        for port in found
    )
