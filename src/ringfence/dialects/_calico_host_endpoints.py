"""Calico's host endpoints, and the policies that one implies.

Authority: Calico `api/pkg/apis/projectcalico/v3/hostendpoint.go`; `libcalico-go/lib/validator/v3/
validator.go` validateHostEndpointSpec, validateEndpointPort; `felix/config/config_params.go`
(failsafe ports); `felix/rules/endpoints.go`.
"""

import ipaddress
import math
import re
from collections import defaultdict
from typing import Any, Final

import msgspec

from ringfence.dialects import Context
from ringfence.dialects import _calico_traffic as protocols
from ringfence.dialects._calico_metadata import own_labels
from ringfence.dialects._calico_profiles import BOTH, Carrier, host_endpoint, implied, inherited
from ringfence.dialects._calico_tiers import TOP
from ringfence.dialects._shared import Malformed, fields, filled, integer, items, text
from ringfence.model.cluster import ContainerPort, HostEndpoint, Protocol
from ringfence.model.document import Document, Path
from ringfence.model.label_space import CALICO_HOST_ENDPOINT
from ringfence.model.rule import (
    Action,
    Direction,
    LabelPeer,
    Policy,
    PortRange,
    Rule,
    Tier,
    Unreadable,
)
from ringfence.model.tiers import CALICO_FAILSAFE, CALICO_PROFILES

KIND: Final = "HostEndpoint"
FIELDS: Final = ("node", "interfaceName", "expectedIPs", "profiles", "ports")
INTERFACE: Final = re.compile(r"\*|[a-zA-Z0-9_.-]{1,15}")
_ALWAYS: Final = (179, 2379, 2380, 5473, 6443, 6666, 6667)
FAILSAFE: Final = {
    Direction.INGRESS: ((Protocol.TCP, (22, *_ALWAYS)), (Protocol.UDP, (68,))),
    Direction.EGRESS: ((Protocol.TCP, _ALWAYS), (Protocol.UDP, (53, 67))),
}
"""What no policy can close, unless Felix is configured otherwise."""


def carriers(context: Context) -> list[Carrier]:
    """Return the host endpoints, with the names of their profiles."""
    return [_read(i, document, context)[0] for i, document in context.by_title.get(KIND, ())]


def by_profile(context: Context) -> dict[str, list[Carrier]]:
    """Return the host endpoints by the names of their profiles."""
    found: defaultdict[str, list[Carrier]] = defaultdict(list)
    for carrier in context.once(carriers):
        for name in dict.fromkeys(carrier[1]):
            found[name].append(carrier)
    return found


def host_endpoints(context: Context) -> list[HostEndpoint]:
    """Return the host endpoints; one that cannot be understood says why."""
    return [found for found, _ in context.once(carriers)]


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return what a host endpoint implies: failsafe ports, its profiles, and else nothing."""
    carrier, unreadable = _read(index, document, context)
    whom = LabelPeer(host_endpoint(carrier[0]))
    if unreadable:
        return [_policy(index, document, CALICO_PROFILES, whom, 0, unreadable=unreadable)]
    return [
        _policy(index, document, CALICO_FAILSAFE, whom, 0, _failsafe(), isolates=()),
        *implied(index, document, carrier, context),
        _policy(index, document, CALICO_PROFILES, whom, math.inf),
    ]


def _failsafe() -> tuple[Rule, ...]:
    return tuple(
        Rule(
            direction=direction,
            action=Action.ALLOW,
            peers=None,
            traffic=tuple(
                PortRange(protocol, port, port) for protocol, ports in open_ports for port in ports
            ),
            path=("spec",),
        )
        for direction, open_ports in FAILSAFE.items()
    )


def _policy(
    index: int,
    document: Document,
    tier: Tier,
    subject: Any,  # noqa: ANN401
    order: float,
    rules: tuple[Rule, ...] = (),
    *,
    isolates: tuple[Direction, ...] = BOTH,
    unreadable: tuple[Unreadable, ...] = (),
) -> Policy:
    return Policy(
        document=index,
        kind=document.title,
        namespace=document.namespace,
        name=document.name,
        tier=tier,
        order=order,
        tie=document.name,
        subject=subject,
        isolates=isolates,
        rules=rules,
        unreadable=unreadable,
    )


def _read(
    index: int, document: Document, context: Context
) -> tuple[Carrier, tuple[Unreadable, ...]]:
    """Return a host endpoint, and what is unreadable of it."""
    fixed = {CALICO_HOST_ENDPOINT: document.name}
    spec = document.body.get("spec")
    node = spec.get("node") if isinstance(spec, dict) else None
    found = HostEndpoint(
        index,
        document.name,
        node if isinstance(node, str) else "",
        fixed,
        every_interface=False,
        labels_known=False,
    )
    try:
        labels = own_labels(document)
        found = msgspec.structs.replace(found, labels={**labels, **fixed}, labels_known=True)
        profiles = _profiles(fields(spec, ("spec",), FIELDS))
        found = msgspec.structs.replace(found, labels_known=False)
        labels = {**inherited(profiles, context), **labels, **fixed}
        found = msgspec.structs.replace(found, labels=labels, labels_known=True)
        return (_understood(found, document), profiles), ()
    except Malformed as malformed:
        why = malformed.unreadable
        return (msgspec.structs.replace(found, unreadable=why.reason), ()), (why,)


def _understood(found: HostEndpoint, document: Document) -> HostEndpoint:
    """Return a host endpoint with the rest of what its object says."""
    fields(document.body, (), TOP)
    spec = fields(document.body.get("spec"), ("spec",), FIELDS)
    filled(spec.get("node"), ("spec", "node"))
    interface = text(spec.get("interfaceName", ""), ("spec", "interfaceName"))
    addresses = _addresses(spec)
    if interface and not INTERFACE.fullmatch(interface):
        raise Malformed(f"`{interface[:60]}` is no interface", ("spec", "interfaceName"))
    if not interface and not addresses:
        raise Malformed("needs an interfaceName or expectedIPs", ("spec",))
    return msgspec.structs.replace(
        found, every_interface=interface == "*", addresses=addresses, ports=_ports(spec)
    )


def _profiles(spec: dict[str, Any]) -> tuple[str, ...]:
    at: Path = ("spec", "profiles")
    return tuple(filled(name, path) for path, name in items(spec.get("profiles"), at))


def _addresses(spec: dict[str, Any]) -> tuple[str, ...]:
    found = []
    for path, value in items(spec.get("expectedIPs"), ("spec", "expectedIPs")):
        written = text(value, path)
        try:
            found.append(str(ipaddress.ip_address(written)))
        except ValueError:
            raise Malformed(f"`{written[:60]}` is not an address", path) from None
    return tuple(found)


def _ports(spec: dict[str, Any]) -> tuple[ContainerPort, ...]:
    found = []
    for path, value in items(spec.get("ports"), ("spec", "ports")):
        given = fields(value, path, ("name", "protocol", "port"))
        number = protocols.protocol(given.get("protocol"), (*path, "protocol"))
        if number not in protocols.PORTED:
            raise Malformed("a named port is of TCP, UDP or SCTP", (*path, "protocol"))
        name = filled(given.get("name"), (*path, "name"))
        if len(name) > 15 or not protocols.PORT_NAME.fullmatch(name):
            raise Malformed(f"`{name[:60]}` is no port's name", (*path, "name"))
        port = integer(given.get("port"), (*path, "port"), 1, 65535)
        found.append(ContainerPort(port, protocols.PORTED[number], name))
    return tuple(found)
