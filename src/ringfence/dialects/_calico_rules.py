"""Calico's rules to the common rule.

Authority: Calico `api/pkg/apis/projectcalico/v3/policy_common.go`; `libcalico-go/lib/validator/v3/
validator.go` validateRule, validateNetworkPolicySpec.
"""

from collections.abc import Sequence
from typing import Any, Final

from ringfence.dialects import _calico_traffic as protocols
from ringfence.dialects._calico_entity import Backends, Entity, Scope, entity
from ringfence.dialects._calico_http import layer7
from ringfence.dialects._shared import Malformed, fields, integer, one_of, text
from ringfence.model.document import Path
from ringfence.model.layer7 import Layer7
from ringfence.model.rule import (
    Action,
    AllPeers,
    AnyPeer,
    Direction,
    FamilyPeer,
    Peer,
    Rule,
    Traffic,
    Unreadable,
)
from ringfence.yaml_text import type_text

ACTIONS: Final = {
    "Allow": Action.ALLOW,
    "Deny": Action.DENY,
    "Pass": Action.PASS,
    "Log": Action.LOG,
}
DECIDING: Final = (Action.ALLOW, Action.DENY, Action.PASS)
FIELDS: Final = (
    *("action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP"),
    *("source", "destination", "http", "metadata"),
)
SECTIONS: Final = (("ingress", Direction.INGRESS), ("egress", Direction.EGRESS))
SOURCE_PORT: Final = "the rule asks for a source port, which no question tells"
LOOSE_ICMP: Final = "a notICMP without protocol ICMP means different things to Calico's dataplanes"


def rules(
    value: Any,  # noqa: ANN401
    path: Path,
    direction: Direction,
    scope: Scope,
) -> list[Rule]:
    """Return what one rule says; one that cannot be understood matches perhaps.

    If it is the action that cannot be understood, one rule per action stands for it.
    """
    action: Action | None = None
    if isinstance(value, dict) and isinstance(value.get("action"), str):
        action = ACTIONS.get(value["action"])
    try:
        return _rules(value, path, direction, scope)
    except Malformed as malformed:
        return [_unreadable(a, path, direction, malformed.unreadable) for a in _possible(action)]


def _possible(action: Action | None) -> Sequence[Action]:
    return DECIDING if action is None else (action,)


def _unreadable(action: Action, path: Path, direction: Direction, why: Unreadable) -> Rule:
    return Rule(
        direction=direction, action=action, peers=None, traffic=None, path=path, unreadable=why
    )


def _rules(
    value: Any,  # noqa: ANN401
    path: Path,
    direction: Direction,
    scope: Scope,
) -> list[Rule]:
    given = fields(value, path, FIELDS)
    action = ACTIONS[one_of(given.get("action"), (*path, "action"), tuple(ACTIONS))]
    _metadata(given.get("metadata"), (*path, "metadata"))
    source = entity(given.get("source", {}), (*path, "source"), scope)
    destination = entity(given.get("destination", {}), (*path, "destination"), scope)
    number = _protocol(given, path, "protocol")
    _check_ports(source, number, (*path, "source"))
    _check_ports(destination, number, (*path, "destination"))
    limit = _limit(given, path, direction, action, number)
    inbound = direction is Direction.INGRESS
    peer, own = (source, destination) if inbound else (destination, source)
    own_path = (*path, "destination" if inbound else "source")
    _check_ends(peer, own, own_path, direction, action)
    family = _family(given, path, number, (source, destination))
    wanted, excluded, uncertain = _traffic(given, path, number, destination)
    if source.ports and number is None:
        wanted = protocols.traffic(destination.ports, None) or protocols.whole(6)
    if source.ports and not protocols.cover_all(source.ports):
        uncertain = SOURCE_PORT
    if source.not_ports:
        if protocols.cover_all(source.not_ports):
            wanted = ()
        uncertain = SOURCE_PORT
    parts = (*peer.peers, *((FamilyPeer(family),) if family else ()))
    return [
        Rule(
            direction=direction,
            action=action,
            peers=peers,
            traffic=traffic,
            path=path,
            not_traffic=excluded,
            layer7=limit,
            subjects=_all(own.peers),
            uncertain=uncertain,
        )
        for peers, traffic in _alternatives(peer, parts, wanted, inbound=inbound)
    ]


def _all(parts: tuple[Peer, ...]) -> Peer | None:
    return parts[0] if len(parts) == 1 else AllPeers(parts) if parts else None


def _peers(parts: tuple[Peer, ...]) -> tuple[Peer, ...] | None:
    """Return the peers of whom all these parts hold; those of a lone choice singly."""
    if len(parts) == 1 and isinstance(parts[0], AnyPeer):
        return parts[0].parts
    whole = _all(parts)
    return None if whole is None else (whole,)


def _alternatives(
    peer: Entity, parts: tuple[Peer, ...], wanted: tuple[Traffic, ...] | None, *, inbound: bool
) -> list[tuple[tuple[Peer, ...] | None, tuple[Traffic, ...] | None]]:
    """Return peers with their traffic: more than one where a Service's backends differ in ports.

    Source: rule_scanner.go ruleToParsedRule: as a source, a Service means its addresses alone.
    """
    if peer.backends is None:
        return [(_peers(parts), wanted)]
    if inbound or not peer.backends:
        behind = AnyPeer(tuple(backends.peer for backends in peer.backends))
        return [(_peers((behind, *parts)), wanted)]
    return [(_peers((b.peer, *parts)), _at_backends(b, wanted)) for b in peer.backends]


def _at_backends(backends: Backends, wanted: tuple[Traffic, ...] | None) -> tuple[Traffic, ...]:
    """Return a Service's traffic, of the rule's protocol alone if it has one."""
    if wanted is None:
        return backends.traffic
    protocols_wanted = {traffic.protocol for traffic in wanted}
    return tuple(t for t in backends.traffic if t.protocol in protocols_wanted)


def _metadata(value: Any, path: Path) -> None:  # noqa: ANN401
    """Check what a rule says of itself; it changes nothing."""
    if value is None:
        return
    notes = fields(value, path, ("annotations",)).get("annotations", {})
    if not isinstance(notes, dict):
        raise Malformed(f"expected a map, found {type_text(notes)}", (*path, "annotations"))
    for key, note in notes.items():
        text(note, (*path, "annotations", key))


def _protocol(given: dict[str, Any], path: Path, name: str) -> int | None:
    return protocols.protocol(given[name], (*path, name)) if name in given else None


def _check_ports(end: Entity, number: int | None, path: Path) -> None:
    """Refuse ports without a protocol that has some; names alone may do without any.

    Source: validator.go validateRule; numorstring/port.go AllPortsAreNamed.
    """
    for name, found in (("ports", end.ports), ("notPorts", end.not_ports)):
        if number is None and protocols.all_named(found):
            continue
        if found and number not in protocols.PORTED:
            raise Malformed("ports need the protocol TCP, UDP or SCTP", (*path, name))


def _limit(
    given: dict[str, Any], path: Path, direction: Direction, action: Action, number: int | None
) -> tuple[Layer7, ...] | None:
    """Return the rule's `http`: only ingress rules that allow TCP have one."""
    if "http" not in given:
        return None
    at = (*path, "http")
    found = layer7(given["http"], at)
    if action is not Action.ALLOW:
        raise Malformed("`http` stands only in rules that allow", at)
    if direction is Direction.EGRESS:
        raise Malformed("`http` stands only in ingress rules", at)
    if number is not None and given["protocol"] != "TCP":
        raise Malformed("`http` needs the protocol TCP, or none said", at)
    return (found,)


def _check_ends(
    peer: Entity, own: Entity, own_path: Path, direction: Direction, action: Action
) -> None:
    """Refuse what may stand at one end only.

    Source: validator.go validateNetworkPolicySpec (services); docs.tigera.io (domains).
    """
    if own.backends is not None:
        raise Malformed(
            "services stand only at the other end of the connection", (*own_path, "services")
        )
    if direction is Direction.EGRESS and peer.backends is not None:
        for name, ports in (("ports", peer.ports), ("notPorts", peer.not_ports)):
            if ports:
                raise Malformed(
                    "a Service has its own ports", (*own_path[:-1], "destination", name)
                )
    if own.has_domains:
        raise Malformed("domains stand only in the destination of an egress rule", own_path)
    if peer.has_domains and (direction is Direction.INGRESS or action is not Action.ALLOW):
        raise Malformed(
            "domains stand only in the destination of an egress rule that allows", own_path[:-1]
        )


def _family(
    given: dict[str, Any], path: Path, number: int | None, ends: Sequence[Entity]
) -> int | None:
    """Return the one IP family that the rule can match; None where it is open.

    Source: validator.go validateRule: nets, `ipVersion` and ICMP's version must agree.
    """
    found = {end.family for end in ends if end.family is not None}
    if len(found) > 1:
        raise Malformed("nets of both IP families in one rule", path)
    if "ipVersion" in given:
        at = (*path, "ipVersion")
        version = integer(given["ipVersion"], at, 4, 6)
        if version == 5:
            raise Malformed("`5` is neither 4 nor 6", at)
        excluded = _protocol(given, path, "notProtocol")
        named = (number, given.get("protocol")), (excluded, given.get("notProtocol"))
        # Written as a number, the protocol is not looked at.
        tied = {protocols.FAMILIES.get(n) for n, name in named if n and name in protocols.NUMBERS}
        if (found | tied) - {None, version}:
            raise Malformed(f"IP version {version} does not go with the rest of the rule", at)
        return version
    return next(iter(found), None)


def _traffic(
    given: dict[str, Any], path: Path, number: int | None, destination: Entity
) -> tuple[tuple[Traffic, ...] | None, tuple[Traffic, ...], str]:
    """Return what is wanted, what is taken from it, and why that may be uncertain."""
    wanted: tuple[Traffic, ...] | None = None if number is None else protocols.whole(number)
    uncertain = ""
    if destination.ports:
        wanted = protocols.traffic(destination.ports, number)
    if "icmp" in given:
        chosen = protocols.icmp(given["icmp"], (*path, "icmp"))
        if given.get("protocol") not in ("ICMP", "ICMPv6"):
            raise Malformed("`icmp` needs the protocol ICMP or ICMPv6", (*path, "icmp"))
        if chosen is not None and number is not None:
            wanted = (protocols.icmp_range(chosen, number),)
    excluded: list[Traffic] = list(protocols.traffic(destination.not_ports, number))
    without = _protocol(given, path, "notProtocol")
    if without is not None:
        excluded += protocols.whole(without)
    if "notICMP" in given:
        chosen = protocols.icmp(given["notICMP"], (*path, "notICMP"))
        if chosen is not None and number in protocols.FAMILIES:
            excluded.append(protocols.icmp_range(chosen, number))
        elif chosen is not None:
            uncertain = LOOSE_ICMP
    return wanted, tuple(excluded), uncertain
