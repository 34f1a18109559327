"""What ClusterNetworkPolicy and its forerunners have in common: subjects, peers, failing closed.

Authority: kubernetes-sigs/network-policy-api `apis/v1alpha2` and `apis/v1alpha1`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ringfence.dialects._calico_tiers import tie as calico_tie
from ringfence.dialects._shared import (
    Malformed,
    fields,
    integer,
    items,
    label_selector,
    network,
    one_of,
    text,
)
from ringfence.model.document import Document, Path
from ringfence.model.layer7 import DomainPattern, Layer7, Wildcard
from ringfence.model.profile import CiliumConfig, Cni, Profile
from ringfence.model.rule import (
    ADMIN,
    Action,
    AllPeers,
    Direction,
    DomainPeer,
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    Policy,
    Rule,
    Tier,
    Traffic,
    Unreadable,
    leaves,
)
from ringfence.model.selector import EVERYTHING, LabelAnd, LabelIs, Operator, Requirement
from ringfence.yaml_text import type_text

LABEL: Final = r"[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?"
DOMAIN: Final = re.compile(rf"(\*\.)?({LABEL}\.)+{LABEL}\.?")
"""Source: types.go DomainName."""

NOT_PODS: Final = frozenset({"networks", "nodes", "domainNames"})

SECTIONS: Final = (("ingress", "from", Direction.INGRESS), ("egress", "to", Direction.EGRESS))


@dataclass(frozen=True)
class Form:
    """How one of the kinds writes what all of them say."""

    spec_fields: Collection[str]
    actions: dict[str, Action]
    traffic_field: str
    parse_traffic: Callable[[Any, Path], Traffic]
    ingress_peers: Collection[str]
    egress_peers: Collection[str]
    place: Callable[[Document, dict[str, Any], Cni], tuple[Tier, int]]
    """Document and spec to tier and priority under a profile."""
    named_port: str
    """The key by which a container port's name is given."""
    most: int
    """How many items a list may have."""
    namespaces_required: bool
    """Whether `pods` must have a `namespaceSelector`; all namespaces are meant where not."""


def parse(form: Form, index: int, document: Document, profile: Profile) -> list[Policy]:
    """Return a policy of one of these kinds in common form.

    Cilium ranks each rule by itself: the rules of one number are one level of the tier, whatever
    policy they are of. There a policy is one of each number.

    Source: Cilium `pkg/k8s/cluster_network_policy.go`.
    """
    unreadable: list[Unreadable] = []
    subject: PodPeer | None = None
    tier, priority = ADMIN, 0
    rules: list[Rule] = []
    try:
        fields(document.body, (), ("apiVersion", "kind", "metadata", "spec", "status"))
    except Malformed as malformed:
        unreadable.append(malformed.unreadable)
    try:
        spec = document.body.get("spec")
        if not isinstance(spec, dict):
            raise Malformed(f"expected a map, found {type_text(spec)}", ("spec",))
        subject = _subject(form, spec.get("subject"), ("spec", "subject"))
        given = fields(spec, ("spec",), form.spec_fields)
        tier, priority = form.place(document, given, profile.cni)
        for section, peers_key, direction in SECTIONS:
            for path, value in items(given.get(section), ("spec", section), form.most):
                rules += _rules(form, value, path, direction, peers_key, profile)
    except Malformed as malformed:
        unreadable.append(malformed.unreadable)
    if profile.cni is Cni.CILIUM:
        unreadable += _refused_by_cilium(rules, profile)
    if profile.cni is Cni.CILIUM and profile.cluster_network_policy is None:
        why = "cilium enforces this only where `enable-k8s-cluster-network-policy` is on, unknown"
        unreadable.append(Unreadable(why))
    kind = "KubernetesClusterNetworkPolicy"
    policy = Policy(
        document=index,
        kind=document.kind,
        namespace=document.namespace,
        name=document.name,
        tier=tier,
        order=priority,
        tie=calico_tie(kind, "", document.name, tier.name, profile),
        subject=subject,
        rules=tuple(rules),
        unreadable=tuple(unreadable),
    )
    if profile.cni is not Cni.CILIUM or not rules:
        return [policy]
    levels: dict[int, list[Rule]] = {}
    for rule in rules:
        levels.setdefault(int(rule.path[2]), []).append(rule)
    return [
        msgspec.structs.replace(policy, order=priority + number / 100, rules=tuple(of_level))
        for number, of_level in levels.items()
    ]


def _refused_by_cilium(rules: Iterable[Rule], profile: Profile) -> Iterator[Unreadable]:
    """Yield why Cilium refuses a policy as a whole.

    Source: Cilium `pkg/k8s/cluster_network_policy.go`.
    """
    config = profile.cilium or CiliumConfig()
    for rule in rules:
        parts = [leaf for peer in rule.peers or () for leaf in leaves(peer)]
        at = (*rule.path, "to")
        if any(isinstance(part, NodePeer) for part in parts) and not config.node_selectors:
            why = "cilium refuses `nodes` unless `enable-node-selector-labels` is on"
            yield Unreadable(why, at)
        if rule.action is not Action.ALLOW and any(isinstance(p, DomainPeer) for p in parts):
            yield Unreadable("cilium refuses domainNames in what does not accept", at)


def _lookups(rule: Rule) -> Iterator[Rule]:
    """Yield the rule by which Cilium lets names be looked up that a rule accepts.

    Source: Cilium `pkg/k8s/cluster_network_policy.go`.
    """
    names = tuple(peer.pattern for peer in rule.peers or () if isinstance(peer, DomainPeer))
    if names:
        dns = LabelAnd((LabelIs(Requirement("k8s-app", Operator.IN, ("kube-dns",))),))
        yield msgspec.structs.replace(
            rule,
            peers=(LabelPeer(dns),),
            traffic=(NamedPort("dns", None), NamedPort("dns-tcp", None)),
            layer7=(Layer7(dns=names),),
        )


def _subject(form: Form, value: Any, path: Path) -> PodPeer:  # noqa: ANN401
    given = fields(value, path, ("namespaces", "pods"))
    if len(given) != 1:
        raise Malformed("a subject has exactly one of namespaces and pods", path)
    if "namespaces" in given:
        return PodPeer(label_selector(given["namespaces"], (*path, "namespaces")), EVERYTHING)
    peer = _pods(form, given["pods"], (*path, "pods"))
    return PodPeer(peer.namespaces, peer.pods)


def _pods(form: Form, value: Any, path: Path) -> PodPeer:  # noqa: ANN401
    given = fields(value, path, ("namespaceSelector", "podSelector"))
    required = (
        ("namespaceSelector", "podSelector") if form.namespaces_required else ("podSelector",)
    )
    for name in required:
        if name not in given:
            raise Malformed(f"`{name}` is required", path)
    namespaces = given.get("namespaceSelector", {})
    return PodPeer(
        label_selector(namespaces, (*path, "namespaceSelector")),
        label_selector(given["podSelector"], (*path, "podSelector")),
    )


def _rules(
    form: Form,
    value: Any,  # noqa: ANN401
    path: Path,
    direction: Direction,
    peers_key: str,
    profile: Profile,
) -> list[Rule]:
    """Return one rule; one that cannot be understood matches perhaps.

    If it is the action that cannot be understood, one rule per action stands for it.
    """
    action: Action | None = None
    if isinstance(value, dict) and isinstance(value.get("action"), str):
        action = form.actions.get(value["action"])
    try:
        given = fields(value, path, ("name", "action", peers_key, form.traffic_field))
        if len(text(given.get("name", ""), (*path, "name"))) > 100:
            raise Malformed("a rule's name has at most 100 characters", (*path, "name"))
        action = form.actions[one_of(given.get("action"), (*path, "action"), form.actions)]
        listed = items(given.get(peers_key), (*path, peers_key), form.most)
        if not listed:
            raise Malformed(f"`{peers_key}` needs at least one peer", path)
        known = form.ingress_peers if direction is Direction.INGRESS else form.egress_peers
        found = [_peer(form, peer, at, known, action, profile) for at, peer in listed]
        peers = [peer for group in found for peer in group or ()]
        ports = items(given.get(form.traffic_field), (*path, form.traffic_field), form.most)
        traffic = tuple(form.parse_traffic(port, at) for at, port in ports)
        named = any(isinstance(port, NamedPort) for port in traffic)
        if named and any(NOT_PODS & peer.keys() for _, peer in listed):
            raise Malformed("a named port goes with pods only", path)
    except Malformed as malformed:
        return [
            Rule(
                direction=direction,
                action=possible,
                peers=None,
                traffic=None,
                path=path,
                unreadable=malformed.unreadable,
            )
            for possible in ([action] if action else form.actions.values())
        ]
    # A rule with a peer of which the implementation knows no field fails closed: an Accept
    # matches nothing, a Deny or Pass denies everything (types.go, IngressPeer). Calico treats
    # a named port so, which the standard channel does not have
    # (`conversion/clusternetworkpolicy.go` k8sCNPPortToCalicoFields).
    if profile.cni is Cni.CILIUM and None in found:
        # Cilium lets each such peer fail closed by itself, on the rule's ports.
        denial = Rule(
            direction=direction, action=Action.DENY, peers=None, traffic=traffic or None, path=path
        )
        failed = [] if action is Action.ALLOW else [denial]
        found = [group for group in found if group is not None]
    else:
        failed = []
    unknown_port = named and form.named_port == "destinationNamedPort" and _is_calico(profile)
    if unknown_port or None in found:
        if action is Action.ALLOW:
            return [Rule(direction=direction, action=action, peers=(), traffic=None, path=path)]
        return [Rule(direction=direction, action=Action.DENY, peers=None, traffic=None, path=path)]
    rule = Rule(
        direction=direction,
        action=action,
        peers=tuple(peers),
        traffic=traffic or None,
        path=path,
    )
    return [*failed, rule, *_lookups(rule)] if profile.cni is Cni.CILIUM else [rule]


def _is_calico(profile: Profile) -> bool:
    return profile.cni is Cni.CALICO


def _peer(
    form: Form,
    value: Any,  # noqa: ANN401
    path: Path,
    known: Collection[str],
    action: Action,
    profile: Profile,
) -> tuple[Peer, ...] | None:
    """Return what a peer stands for; None for one of which no field is known."""
    given = fields(value, path, known)
    if not given:
        return None
    if len(given) > 1:
        raise Malformed(f"a peer has exactly one of {', '.join(sorted(known))}", path)
    ((name, content),) = given.items()
    at = (*path, name)
    match name:
        case "namespaces":
            return (PodPeer(label_selector(content, at), EVERYTHING),)
        case "pods":
            return (_pods(form, content, at),)
        case "networks":
            return tuple(IpPeer(network(cidr, where)) for where, cidr in _set(form, content, at))
        case "nodes":
            found: tuple[Peer, ...] = (NodePeer(label_selector(content, at)),)
            if profile.cni is Cni.CILIUM:
                # Never the subject's own node (`pkg/policy/api/egress.go`, toNodes).
                found = (AllPeers((EntityPeer(Entity.REMOTE_NODE), *found)),)
        case _:
            names = [_domain(written, where) for where, written in _set(form, content, at)]
            if profile.cni is Cni.CILIUM:
                return tuple(
                    DomainPeer(_cilium_pattern(name), seen_by_proxy=True) for name in names
                )
            if action is not Action.ALLOW and not _is_calico(profile):
                raise Malformed("domainNames can only be accepted", at)
            found = tuple(DomainPeer(DomainPattern(name)) for name in names)
    # Calico implements neither (libcalico-go `conversion/clusternetworkpolicy.go`).
    return None if _is_calico(profile) else found


def _cilium_pattern(name: str) -> DomainPattern:
    """Return a name as Cilium's own rules would have it: `*.` becomes `**.`."""
    return DomainPattern(f"*{name}" if name.startswith("*.") else name, Wildcard.CILIUM)


def _set(form: Form, value: Any, path: Path) -> list[tuple[Path, Any]]:  # noqa: ANN401
    """Return a list's items; it must have some, none twice (`listType=set`)."""
    listed = items(value, path, form.most)
    if not listed:
        raise Malformed("needs at least one item", path)
    seen: list[Any] = []
    for at, item in listed:
        if item in seen:
            raise Malformed(f"`{item}` stands here twice", at)
        seen.append(item)
    return listed


def _domain(value: Any, path: Path) -> str:  # noqa: ANN401
    written = text(value, path)
    if not DOMAIN.fullmatch(written):
        raise Malformed(f"`{written}` is not a domain name", path)
    return written.lower().removesuffix(".")


def priority(value: Any, path: Path) -> int:  # noqa: ANN401
    """Return a priority, 0 to 1000.

    Raises:
        Malformed: anything else.
    """
    return integer(value, path, 0, 1000)
