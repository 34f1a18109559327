"""Writes common rules as ClusterNetworkPolicies of tier Admin, and NetworkPolicies beside them.

Authority: kubernetes-sigs/network-policy-api `apis/v1alpha2/clusternetworkpolicy_types.go`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from ringfence import yaml_text
from ringfence.dialects._cidrs import pieces
from ringfence.dialects._emission import MANAGED_BY, Body, Telling
from ringfence.dialects._emit_kubernetes import _selector
from ringfence.dialects._write_kubernetes import Writer as NetworkPolicies
from ringfence.model.proposal import ProposedPolicy
from ringfence.model.rule import (
    ADMIN,
    Action,
    Direction,
    DomainPeer,
    IpPeer,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    PortRange,
    Rule,
    Traffic,
    of_a_mesh,
)
from ringfence.model.selector import EVERYTHING

MOST: Final = 25
"""Peers or protocols of a rule, and rules of a direction."""
ACTIONS: Final = {Action.ALLOW: "Accept", Action.DENY: "Deny", Action.PASS: "Pass"}


class Writer(NetworkPolicies):
    """Writes policies of tier `ADMIN` as ClusterNetworkPolicies, all others as NetworkPolicies."""

    def policy(self, path: str, proposed: ProposedPolicy) -> Iterator[str]:
        """Yield the lines of one object."""
        policy = proposed.policy
        if policy.tier != ADMIN:
            yield from super().policy(path, proposed)
            return
        subject = policy.subject
        assert isinstance(subject, PodPeer)  # noqa: S101 - so the caller makes it
        yield from yaml_text.block(
            {
                "apiVersion": "policy.networking.k8s.io/v1alpha2",
                "kind": "ClusterNetworkPolicy",
                "metadata": {"name": policy.name, "labels": MANAGED_BY},
            }
        )
        yield "spec:"
        yield from yaml_text.block(
            {"tier": "Admin", "priority": int(policy.order), "subject": _pods(subject)}, 2
        )
        for direction in Direction:
            lines, written = self.section(path, proposed, direction)
            if written:
                yield f"  {direction.value}:"
            yield from lines

    def bodies(self, telling: Telling) -> list[Body]:
        """Return what one rule comes to."""
        if telling.proposed.policy.tier != ADMIN:
            return super().bodies(telling)
        found = list(_bodies(telling.rule))
        self.record(telling, found)
        return found


def _bodies(rule: Rule) -> Iterator[Body]:
    """Yield what one rule comes to; ports by name go with pods alone, whose names they are."""
    end = "from" if rule.direction is Direction.INGRESS else "to"
    peers = _peers(rule.peers or ())
    if rule.traffic is None:
        for some in _chunks(peers):
            yield {"action": ACTIONS[rule.action], end: some}
        return
    named = [part for part in rule.traffic if isinstance(part, NamedPort)]
    numbers = [part for part in rule.traffic if not isinstance(part, NamedPort)]
    pods = [peer for peer in peers if peer.keys() & {"pods", "namespaces"}]
    for chosen, traffic in ((peers, numbers), (pods, named)):
        for some in _chunks(chosen):
            for protocols in _chunks(list(map(_protocol, traffic))):
                yield {"action": ACTIONS[rule.action], end: some, "protocols": protocols}


def _chunks(found: Sequence[Body]) -> list[list[Body]]:
    return [list(found[n : n + MOST]) for n in range(0, len(found), MOST)]


def _peers(peers: Sequence[Peer]) -> list[Body]:
    """Return peers; networks, which have no exceptions, together as far as they may be."""
    found: list[Body] = []
    networks: list[str] = []
    names: list[str] = []
    for peer in peers:
        match peer:
            case PodPeer():
                found.append(_pods(peer))
            case NodePeer():
                found.append({"nodes": _selector(peer.nodes)})
            case IpPeer():
                networks += pieces(peer)
            case DomainPeer():
                names.append(peer.pattern.pattern)
            case _:
                raise AssertionError("such a peer is put into others before it is written")
    for key, values in (("networks", networks), ("domainNames", names)):
        each = list(dict.fromkeys(values))
        found += [{key: each[n : n + MOST]} for n in range(0, len(each), MOST)]
    return found


def _pods(peer: PodPeer) -> Body:
    namespaces = _selector(peer.namespaces)
    if peer.pods == EVERYTHING:
        return {"namespaces": namespaces}
    return {"pods": {"namespaceSelector": namespaces, "podSelector": _selector(peer.pods)}}


def _protocol(part: Traffic) -> Body:
    match part:
        case NamedPort(name, _):
            return {"destinationNamedPort": name}
        case PortRange(protocol, first, last):
            first = max(first, 1)
            port: Body = {"number": first}
            if last > first:
                port = {"range": {"start": first, "end": last}}
            return {protocol.value.lower(): {"destinationPort": port}}
        case _:
            raise of_a_mesh(part)
