"""`networking.k8s.io/v1` NetworkPolicy.

Authority: kubernetes/api `networking/v1/types.go`, the validation in kubernetes
`pkg/apis/networking/validation/validation.go`, and, where CNIs differ, their own parsers.
"""

import ipaddress
import re
from typing import Any, Final

from ringfence.dialects import Context, Dialect
from ringfence.dialects._calico_tiers import tie as calico_tie
from ringfence.dialects._emit_kubernetes import emit
from ringfence.dialects._shared import (
    Malformed,
    fields,
    integer,
    items,
    label_selector,
    network,
    one_of,
)
from ringfence.model import tiers
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import (
    Action,
    Direction,
    IpPeer,
    NamedPort,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Rule,
    Traffic,
    Unreadable,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, from_labels
from ringfence.yaml_text import type_text

PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
SECTIONS: Final = (("ingress", "from", Direction.INGRESS), ("egress", "to", Direction.EGRESS))


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return a NetworkPolicy in common form."""
    profile = context.profile
    own_namespace = from_labels({NAMESPACE_NAME: document.namespace})
    unreadable: list[Unreadable] = []
    subject: PodPeer | None = None
    spec: dict[str, Any] = {}
    isolates: tuple[Direction, ...] = ()
    rules: list[Rule] = []
    try:
        fields(document.body, (), ("apiVersion", "kind", "metadata", "spec", "status"))
    except Malformed as malformed:
        unreadable.append(malformed.unreadable)
    try:
        spec = _spec(document.body.get("spec"))
        # Missing and empty select every pod of the namespace (types.go, PodSelector).
        pods = label_selector(spec.get("podSelector", {}), ("spec", "podSelector"))
        subject = PodPeer(own_namespace, pods)
        known = ("podSelector", "policyTypes", "ingress", "egress")
        fields(document.body.get("spec") or {}, ("spec",), known)
        isolates = _isolates(spec, profile)
        for section, peers_key, direction in SECTIONS:
            listed = items(spec.get(section), ("spec", section))
            if direction in isolates:
                rules += [_rule(v, p, direction, peers_key, own_namespace) for p, v in listed]
    except Malformed as malformed:
        unreadable.append(malformed.unreadable)
    policy = Policy(
        document=index,
        kind=document.kind,
        namespace=document.namespace,
        name=document.name,
        tier=tiers.network_policy(profile.cni),
        order=tiers.CALICO_NETWORK_POLICY_ORDER if profile.cni is Cni.CALICO else 0,
        tie=calico_tie(
            "KubernetesNetworkPolicy", document.namespace, document.name, "default", profile
        ),
        subject=subject,
        isolates=isolates,
        isolation_path=("spec", "policyTypes") if spec.get("policyTypes") else ("spec",),
        rules=tuple(rules),
        unreadable=tuple(unreadable),
    )
    return [policy]


def _spec(value: Any) -> dict[str, Any]:  # noqa: ANN401
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"expected a map, found {type_text(value)}", ("spec",))
    return {key: child for key, child in value.items() if child is not None}


def _isolates(spec: dict[str, Any], profile: Profile) -> tuple[Direction, ...]:
    """Return the directions in which the policy isolates its subjects.

    Source: types.go PolicyTypes: Ingress always and Egress where there is an egress rule, unless
    the list is given; Cilium `pkg/k8s/network_policy.go` ParseNetworkPolicy turns the rules of
    an unlisted section into entries all the same.
    """
    listed = [
        one_of(value, path, ("Ingress", "Egress"))
        for path, value in items(spec.get("policyTypes"), ("spec", "policyTypes"), 2)
    ]
    has_rules = {s: bool(items(spec.get(s), ("spec", s))) for s, _, _ in SECTIONS}
    chosen = set(listed) if listed else {"Ingress"} | ({"Egress"} if has_rules["egress"] else set())
    if profile.cni is Cni.CILIUM:
        chosen |= {name.capitalize() for name, present in has_rules.items() if present}
    return tuple(d for _, _, d in SECTIONS if d.value.capitalize() in chosen)


def _rule(
    value: Any,  # noqa: ANN401
    path: Path,
    direction: Direction,
    peers_key: str,
    own_namespace: LabelSelector,
) -> Rule:
    """Return one rule; one that cannot be understood matches perhaps."""
    unreadable = None
    peers: tuple[Peer, ...] | None = None
    traffic: tuple[Traffic, ...] | None = None
    try:
        given = fields(value, path, (peers_key, "ports"))
        # Missing and empty lists do not restrict (types.go, From/To/Ports).
        peers = tuple(
            _peer(v, p, own_namespace) for p, v in items(given.get(peers_key), (*path, peers_key))
        )
        traffic = tuple(_port(v, p) for p, v in items(given.get("ports"), (*path, "ports")))
    except Malformed as malformed:
        unreadable = malformed.unreadable
    return Rule(
        direction=direction,
        action=Action.ALLOW,
        peers=peers or None,
        traffic=traffic or None,
        path=path,
        unreadable=unreadable,
    )


def _peer(value: Any, path: Path, own_namespace: LabelSelector) -> Peer:  # noqa: ANN401
    given = fields(value, path, ("podSelector", "namespaceSelector", "ipBlock"))
    if "ipBlock" in given:
        if len(given) > 1:
            raise Malformed("an ipBlock stands alone, without selectors", path)
        return ip_block(given["ipBlock"], (*path, "ipBlock"))
    if not given:
        raise Malformed("a peer needs podSelector, namespaceSelector or ipBlock", path)
    namespaces, pods = own_namespace, EVERYTHING
    if "namespaceSelector" in given:
        namespaces = label_selector(given["namespaceSelector"], (*path, "namespaceSelector"))
    if "podSelector" in given:
        pods = label_selector(given["podSelector"], (*path, "podSelector"))
    return PodPeer(namespaces, pods)


def ip_block(value: Any, path: Path) -> IpPeer:  # noqa: ANN401
    """Return an ipBlock; `except` must lie inside `cidr`.

    Raises:
        Malformed: what the API server would reject.
    Source: kubernetes `pkg/apis/networking/validation/validation.go` ValidateIPBlock.
    """
    given = fields(value, path, ("cidr", "except"))
    cidr = network(given.get("cidr"), (*path, "cidr"))
    outer = ipaddress.ip_network(cidr)
    excepts = []
    for at, written in items(given.get("except"), (*path, "except")):
        inner = ipaddress.ip_network(network(written, at))
        inside = (
            inner.version == outer.version
            and inner.network_address in outer
            and inner.prefixlen > outer.prefixlen
        )
        if not inside:
            raise Malformed(f"`{written}` does not lie strictly inside `{cidr}`", at)
        excepts.append(str(inner))
    return IpPeer(cidr, tuple(sorted(excepts)))


def _port(value: Any, path: Path) -> Traffic:  # noqa: ANN401
    given = fields(value, path, ("port", "endPort", "protocol"))
    protocol = Protocol(one_of(given.get("protocol", "TCP"), (*path, "protocol"), PROTOCOLS))
    port = given.get("port")
    if "endPort" in given:
        if port is None or isinstance(port, str):
            raise Malformed("endPort needs a numeric port", (*path, "endPort"))
        first = integer(port, (*path, "port"), 1, 65535)
        return PortRange(
            protocol, first, integer(given["endPort"], (*path, "endPort"), first, 65535)
        )
    if port is None:
        return PortRange(protocol)
    if isinstance(port, str):
        # apimachinery `pkg/util/validation` IsValidPortName: so `"80"` is no name.
        if len(port) > 15 or not PORT_NAME.fullmatch(port):
            raise Malformed(f"`{port}` is no port's name", (*path, "port"))
        return NamedPort(port, protocol)
    number = integer(port, (*path, "port"), 1, 65535)
    return PortRange(protocol, number, number)


def inert_because(kind: str, profile: Profile) -> str | None:  # noqa: ARG001
    """Return why the profile enforces no NetworkPolicies; None where it does."""
    if profile.cni is Cni.NONE:
        return "nothing in this cluster enforces network policies (profile none)"
    return None


DIALECT: Final = Dialect(
    kinds=frozenset({("networking.k8s.io", "NetworkPolicy")}),
    parse=parse,
    inert_because=inert_because,
    emit=emit,
)
