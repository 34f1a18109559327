"""Protocols, ports and ICMP types of a Calico rule.

Source: Calico `api/pkg/lib/numorstring/port.go` (PORT), `protocol.go` (PROTO);
`libcalico-go/lib/validator/v3/validator.go` (VAL); `felix/calc/rule_scanner.go` (SCAN).
"""

import re
from dataclasses import dataclass
from typing import Any

from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.reference import calico_ends, schema
from ringfence.reference.calico_ends import Known
from ringfence.reference.ends import Approach, Party
from ringfence.reference.outcome import (
    NO,
    YES,
    Match,
    all_of,
    any_of,
    certain,
    negated,
    perhaps,
)
from ringfence.reference.schema import NotUnderstoodError

NUMBERS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}
WITH_PORTS = {6: "TCP", 17: "UDP", 132: "SCTP"}
SOURCE_PORT = "the rule asks for a source port, of which the question says nothing"
NOT_ICMP = "a notICMP without protocol ICMP means different things to Felix's dataplanes"
ICMP_TYPE = "the rule asks for a type of ICMP, of which the question says nothing"

_RANGE = re.compile(r"([0-9]+)(?::([0-9]+))?")
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


@dataclass(frozen=True)
class Traffic:
    """Whether the connection's protocol is the rule's, and of which the rule's ports are."""

    match: Match
    given: bool
    """Whether the rule names a protocol at all."""
    ports_of: str
    """TCP, UDP or SCTP: that of the rule's named ports. Empty if its protocol has no ports."""


def traffic(rule: dict[str, Any], path: Path, here: Approach) -> Traffic:
    """Return whether protocol and ICMP type are what a rule asks for.

    `icmp` needs protocol ICMP or ICMPv6; these are of one IP version each. Named ports are TCP
    where the rule names no protocol.

    Source: VAL validateRule; SCAN ruleToParsedRule (namedPortProto).

    Raises:
        NotUnderstoodError: something of it is not understood.
    """
    wanted = _protocol(rule.get("protocol"), (*path, "protocol"))
    unwanted = _protocol(rule.get("notProtocol"), (*path, "notProtocol"))
    for value in (rule.get("protocol"), rule.get("notProtocol")):
        version = {"ICMP": 4, "ICMPv6": 6}.get(value) if isinstance(value, str) else None
        if version and rule.get("ipVersion", version) != version:
            raise NotUnderstoodError(f"must be {version} with protocol {value}", path)
    number = _number_of(here)
    matches = [certain(wanted in (None, number)), certain(unwanted != number)]
    for name in ("icmp", "notICMP"):
        if name not in rule:
            continue
        named = rule.get("protocol") in ("ICMP", "ICMPv6")
        if name == "icmp" and not named:
            raise NotUnderstoodError("needs protocol ICMP or ICMPv6", (*path, name))
        found = _icmp(rule[name], (*path, name), here)
        if name == "notICMP" and wanted not in (1, 58) and "type" in rule[name]:
            # Nothing refuses it; what Felix's dataplanes make of it differs.
            matches.append(perhaps(NOT_ICMP))
        else:
            matches.append(found if name == "icmp" else _unless(found, rule[name]))
    ports_of = "TCP" if wanted is None else WITH_PORTS.get(wanted, "")
    return Traffic(all_of(matches), wanted is not None, ports_of)


def _unless(found: Match, icmp: dict[str, Any]) -> Match:
    """Return whether a `notICMP` holds: one that says no type takes nothing away."""
    return negated(found) if icmp.get("type") is not None else YES


def _protocol(value: Any, path: Path) -> int | None:  # noqa: ANN401
    """Return a protocol's number: it is written as a number from 1 to 255, or by a name.

    Source: VAL protocolRegex, validateProtocol.
    """
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 4:
        value = int(value)
    if isinstance(value, str):
        return NUMBERS[schema.choice(value, path, NUMBERS)]
    return schema.integer(value, path, 1, 255)


def _number_of(here: Approach) -> int:
    if here.protocol is Protocol.ICMP:
        return 1 if here.family == 4 else 58
    return NUMBERS[here.protocol.value]


def _icmp(value: Any, path: Path, here: Approach) -> Match:  # noqa: ANN401
    """Return whether the connection is of an ICMP type, and code if one is given.

    Source: VAL validateICMPFields (a code needs a type); V3 ICMPFields.
    """
    given = schema.fields(value, path, ("type", "code"))
    if "type" not in given:
        if "code" in given:
            raise NotUnderstoodError("a code needs a type", (*path, "code"))
        return YES
    kind = schema.integer(given["type"], (*path, "type"), 0, 254)
    code = None
    if "code" in given:
        code = schema.integer(given["code"], (*path, "code"), 0, 255)
    if here.protocol is not Protocol.ICMP:
        return NO
    if here.port is None:
        return perhaps(ICMP_TYPE)
    return certain(here.port >> 8 == kind and code in (None, here.port & 255))


def entity_ports(
    given: dict[str, Any],
    path: Path,
    which: str,
    party: Party,
    here: Approach,
    rule: Traffic,
    all_: Known,
) -> list[Match]:
    """Return whether `ports` and `notPorts` of a source or destination hold.

    Numbers and ranges need a protocol that has ports; names do without.

    Args:
        given: the fields of the source or destination.
        path: where it stands.
        which: `source` or `destination`.
        party: the end that it is about.
        here: the connection.
        rule: the protocol that the rule names.
        all_: what has labels, and so named ports.

    Source: VAL validateRule (AllPortsAreNamed, SupportsPorts).

    Raises:
        NotUnderstoodError: something is no port, or has no protocol that has ports.
    """
    matches = []
    for name in ("ports", "notPorts"):
        at = (*path, name)
        entries = schema.items(given.get(name), at)
        found = []
        listed: list[tuple[int, int] | str] = []
        for index, entry in enumerate(entries):
            wanted = _port(entry, (*at, index))
            if not rule.ports_of or (not rule.given and not isinstance(wanted, str)):
                raise NotUnderstoodError("needs protocol TCP, UDP or SCTP", (*at, index))
            listed.append(wanted)
            found.append(_destination_port(wanted, party, here, rule, all_))
        if which == "source" and entries:
            found = [_source_port(listed)]
            if name == "ports" and here.protocol.value != rule.ports_of:
                found = [NO]
        if entries:
            matches.append(any_of(found) if name == "ports" else negated(any_of(found)))
    return matches


def _port(value: Any, path: Path) -> tuple[int, int] | str:  # noqa: ANN401
    """Return a range of ports, or a port's name: `80`, `"80"`, `80:90`, `http`.

    Source: PORT PortFromString; VAL validatePort (1 to 65535).
    """
    if not isinstance(value, str):
        number = schema.integer(value, path, 1, 65535)
        return number, number
    numbers = _RANGE.fullmatch(value)
    if not numbers:
        if not _NAME.fullmatch(value):
            raise NotUnderstoodError(f"`{value}` is no port", path)
        return value
    first = int(numbers[1][-9:])
    last = int((numbers[2] or numbers[1])[-9:])
    if not 1 <= first <= last <= 65535 or len(value) > 11:
        raise NotUnderstoodError(f"`{value}` is no range of ports", path)
    return first, last


def _destination_port(
    wanted: tuple[int, int] | str, party: Party, here: Approach, rule: Traffic, all_: Known
) -> Match:
    """Return whether the connection goes to a port; a name is looked up on who it goes to.

    Source: SCAN namedPortsToIPSets.
    """
    if here.protocol.value != rule.ports_of or here.port is None:
        return NO
    if isinstance(wanted, str):
        name, port = wanted, here.port
        return certain(calico_ends.has_named_port(party, name, rule.ports_of, port, all_))
    return certain(wanted[0] <= here.port <= wanted[1])


def _source_port(listed: list[tuple[int, int] | str]) -> Match:
    """Return whether the connection comes from one of several ports.

    A question says nothing of that; only where the ranges leave none out is it sure.
    """
    reached = 0
    for first, last in sorted(wanted for wanted in listed if not isinstance(wanted, str)):
        if first > reached + 1:
            break
        reached = max(reached, last)
    return YES if reached == 65535 else perhaps(SOURCE_PORT)
