"""One end of a Calico rule: its source or its destination.

Authority: Calico `api/pkg/apis/projectcalico/v3/policy_common.go` EntityRule; `libcalico-go/lib/
validator/v3/validator.go` validateEntityRule and validateRule; `felix/calc/rule_scanner.go`.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects import _calico_labels as labels
from ringfence.dialects import _calico_traffic as protocols
from ringfence.dialects._calico_domains import domain
from ringfence.dialects._shared import Malformed, fields, filled, items, network
from ringfence.model.cluster import Backend, Service
from ringfence.model.document import Path
from ringfence.model.label_space import CALICO_NAMESPACE, NAMESPACE_NAME
from ringfence.model.layer7 import DomainPattern, Wildcard
from ringfence.model.rule import (
    AnyPeer,
    DomainPeer,
    IpPeer,
    LabelPeer,
    NamedPort,
    NotPeer,
    Peer,
    PodPeer,
    PortRange,
    Traffic,
)
from ringfence.model.selector import LabelAnd, LabelExpression, LabelNot, equals

FIELDS: Final = (
    "nets",
    "notNets",
    "selector",
    "notSelector",
    "namespaceSelector",
    "serviceAccounts",
    "services",
    "ports",
    "notPorts",
    "domains",
)
NOT_BESIDE_SERVICES: Final = (
    "nets",
    "notNets",
    "selector",
    "notSelector",
    "namespaceSelector",
    "serviceAccounts",
)
NOT_BESIDE_DOMAINS: Final = ("nets", "selector", "namespaceSelector", "serviceAccounts")


@dataclass(frozen=True)
class Scope:
    """What a rule's selectors and Services are read by."""

    context: Context
    namespace: str
    """Of the policy; empty for one of the cluster."""


@dataclass(frozen=True)
class Backends:
    """What stands behind a Service at some of its ports."""

    peer: Peer
    traffic: tuple[Traffic, ...]


@dataclass(frozen=True)
class Entity:
    """What one end must be, and which of its ports are meant."""

    peers: tuple[Peer, ...] = ()
    """All of them must match."""
    ports: tuple[protocols.Port, ...] = ()
    not_ports: tuple[protocols.Port, ...] = ()
    family: int | None = None
    """Of its nets: a rule with nets of one family never matches the other, also where it only
    excludes some.

    Source: `felix/rules/policy.go` filterNets, FilterRuleToIPVersion."""
    backends: tuple[Backends, ...] | None = None
    """Of the Service named; None where none is."""
    has_domains: bool = False


def entity(value: Any, path: Path, scope: Scope) -> Entity:  # noqa: ANN401
    """Return one end of a rule.

    Raises:
        Malformed: what the API server would refuse.
    """
    given = {k: v for k, v in fields(value, path, FIELDS).items() if v not in ("", [])}
    _refuse_beside("services", NOT_BESIDE_SERVICES, given, path)
    _refuse_beside("domains", NOT_BESIDE_DOMAINS, given, path)
    nets = _nets(given.get("nets"), (*path, "nets"))
    not_nets = _nets(given.get("notNets"), (*path, "notNets"))
    for at, cidr in zip(items(given.get("notNets"), (*path, "notNets")), not_nets, strict=True):
        if cidr in ("0.0.0.0/0", "::/0"):
            raise Malformed(f"without `{cidr}` nothing is left", at[0])
    families = {ipaddress.ip_network(cidr).version for cidr in (*nets, *not_nets)}
    if len(families) > 1:
        raise Malformed("nets of both IP families in one rule", path)
    domains = [domain(v, p) for p, v in items(given.get("domains"), (*path, "domains"))]
    parts: list[Peer] = []
    if nets:
        parts.append(AnyPeer(tuple(map(IpPeer, nets))))
    if not_nets:
        parts.append(NotPeer(AnyPeer(tuple(map(IpPeer, not_nets)))))
    parts += _by_labels(given, path, scope)
    if domains:
        patterns = (DomainPattern(name, Wildcard.COMPONENT) for name in domains)
        parts.append(AnyPeer(tuple(map(DomainPeer, patterns))))
    return Entity(
        peers=tuple(parts),
        ports=protocols.ports(given.get("ports"), (*path, "ports")),
        not_ports=protocols.ports(given.get("notPorts"), (*path, "notPorts")),
        family=families.pop() if families else None,
        backends=_services(given, path, scope),
        has_domains=bool(domains),
    )


def _refuse_beside(name: str, others: Sequence[str], given: dict[str, Any], path: Path) -> None:
    if name in given:
        for other in others:
            if other in given:
                raise Malformed(f"`{name}` and `{other}` do not go together", (*path, other))


def _nets(value: Any, path: Path) -> list[str]:  # noqa: ANN401
    """Return CIDRs; a bare address and host bits are refused.

    Source: validator.go validateIPNetwork, validateRule scanNets.
    """
    found = []
    for at, written in items(value, path):
        cidr = network(written, at)
        if ipaddress.ip_interface(str(written)).ip != ipaddress.ip_network(cidr)[0]:
            raise Malformed(f"`{written}` has host bits: `{cidr}` is its network", at)
        found.append(cidr)
    return found


def _by_labels(given: dict[str, Any], path: Path, scope: Scope) -> list[Peer]:
    """Return what the selectors mean.

    What they select is confined to the namespace of the policy, if it has one, and no
    namespaceSelector says otherwise. A notSelector takes away from what the others select; with
    nothing to take away from, whatever it does not select is meant, also outside.
    Source: `updateprocessors/rules.go` getEndpointSelector; rule_scanner.go
    combineMatchesIfPossible.
    """
    chosen = labels.selector(given.get("selector", ""), (*path, "selector"))
    refused = labels.selector(given.get("notSelector", ""), (*path, "notSelector"))
    inside = labels.namespaces(given.get("namespaceSelector", ""), (*path, "namespaceSelector"))
    accounts = None
    if "serviceAccounts" in given:
        at = (*path, "serviceAccounts")
        accounts = labels.service_accounts(
            fields(given["serviceAccounts"], at, ("names", "selector")), at
        )
    wanted: LabelExpression | None = labels.every(accounts, chosen)
    if inside is not None:
        wanted = labels.every(inside, wanted)
    elif scope.namespace and (wanted is not None or refused is not None):
        wanted = labels.every(labels.one_of(CALICO_NAMESPACE, scope.namespace), wanted)
    if wanted is None:
        return [] if refused is None else [NotPeer(LabelPeer(refused))]
    if refused is not None:
        wanted = LabelAnd((wanted, LabelNot(refused)))
    return [LabelPeer(wanted)]


def _services(given: dict[str, Any], path: Path, scope: Scope) -> tuple[Backends, ...] | None:
    """Return what stands behind the Service named; nothing behind one that is not there."""
    if "services" not in given:
        return None
    at = (*path, "services")
    chosen = fields(given["services"], at, ("name", "namespace"))
    name = filled(chosen.get("name", ""), (*at, "name"))
    namespace = chosen.get("namespace") or scope.namespace
    if not namespace:
        raise Malformed("a policy of the cluster must say the Service's namespace", at)
    filled(namespace, (*at, "namespace"))
    service = scope.context.service.get((namespace, name))
    return () if service is None else _behind(service)


def _behind(service: Service) -> tuple[Backends, ...]:
    """Return the addresses of a Service's EndpointSlices, each with its own ports.

    Source: Calico `felix/serviceindex`: the addresses and ports of every slice.
    """
    if service.selector is not None:
        pods = PodPeer(equals(**{NAMESPACE_NAME: service.namespace}), service.selector)
        found: list[Traffic] = [
            NamedPort(port.target, port.protocol)
            if isinstance(port.target, str)
            else PortRange(port.protocol, port.target, port.target)
            for port in service.ports
        ]
        return (Backends(pods, tuple(found)), *_at_addresses(service.host_backends))
    return _at_addresses(service.backends)


def _at_addresses(backends: Iterable[Backend]) -> tuple[Backends, ...]:
    return tuple(
        Backends(
            IpPeer(str(ipaddress.ip_network(backend.address))),
            tuple(
                PortRange(port.protocol, port.target, port.target)
                for port in backend.ports
                if isinstance(port.target, int)
            ),
        )
        for backend in backends
    )
