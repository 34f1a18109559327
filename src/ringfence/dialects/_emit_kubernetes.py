"""Writes common rules as NetworkPolicies: what the language can say, and what it cannot, told.

Authority: kubernetes/api `networking/v1/types.go`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ringfence import yaml_text
from ringfence.dialects._emission import (
    MANAGED_BY,
    Body,
    Emitter,
    Telling,
    alternatives,
    blocks_for,
    unnamed,
)
from ringfence.dialects._emission_words import layer7_sort, layer7_text, peer_text
from ringfence.model.cluster import Protocol
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.proposal import Emission, ProposedPolicy, Surroundings
from ringfence.model.rule import (
    NETWORK_POLICY,
    Action,
    Direction,
    DomainPeer,
    IpPeer,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    PortRange,
    Traffic,
)
from ringfence.model.selector import LabelSelector, Operator, from_labels

LANGUAGE: Final = "a NetworkPolicy"

_PORTED: Final = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


def emit(policies: Sequence[ProposedPolicy], surroundings: Surroundings) -> Emission:
    """Return NetworkPolicies that say what the policies say, or less, or, told, more.

    A peer that a NetworkPolicy cannot name is left out, so that it stays closed, unless
    `surroundings.allow_wider` asks for blocks that contain it. Equal input gives equal bytes.
    """
    return _Emitter(surroundings).emission(policies)


class _Emitter(Emitter):
    def policy(self, path: str, proposed: ProposedPolicy) -> Iterator[str]:
        policy = proposed.policy
        head = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": policy.name,
                "namespace": policy.namespace,
                "labels": MANAGED_BY,
            },
        }
        yield from yaml_text.block(head)
        yield "spec:"
        subject = policy.subject
        assert isinstance(subject, PodPeer)  # noqa: S101 - a proposal always knows its subject
        yield from yaml_text.block({"podSelector": _selector(subject.pods)}, 2)
        types = [direction.value.capitalize() for direction in policy.isolates]
        yield from yaml_text.block({"policyTypes": types}, 2)
        for direction in policy.isolates:
            lines, written = self.section(path, proposed, direction)
            yield f"  {direction.value}:" if written else f"  {direction.value}: []"
            yield from lines

    def bodies(self, telling: Telling) -> list[Body]:
        rule = telling.rule
        tier = telling.proposed.policy.tier
        if rule.action is Action.LOG:
            telling.leave_out("logging", "log what is denied", f"{LANGUAGE} cannot log")
            return []
        if tier != NETWORK_POLICY or rule.action is not Action.ALLOW:
            what = f"{rule.action.value} in tier {tier.name}"
            telling.leave_out("action", what, f"{LANGUAGE} only allows")
            return []
        if not telling.whole() or rule.layer7 == ():
            return []
        if rule.traffic and any(part.protocol is Protocol.ICMP for part in rule.traffic):
            telling.leave_out("ICMP", "ICMP", f"{LANGUAGE} knows no ICMP")
        ports = _ports(rule.traffic)
        if rule.traffic is not None and not ports:
            return []
        peers = self._peers(telling)
        if peers is not None and not peers:
            return []
        if rule.layer7 is not None:
            what = f"only {layer7_text(rule.layer7)}"
            because = f"{LANGUAGE} does not look into connections"
            sort = layer7_sort(rule.layer7)
            telling.tell(sort, what, because, "every request on the port", wider=True)
        body: Body = {}
        if peers is not None:
            body["from" if rule.direction is Direction.INGRESS else "to"] = peers
        if rule.traffic is not None:
            body["ports"] = ports
        return [body]

    def _peers(self, telling: Telling) -> list[Body] | None:
        """Return the peers that are written; None for any peer at all."""
        peers = alternatives(telling.rule.peers)
        if peers is None:
            return None
        written: list[Body] = []
        for peer in peers:
            match peer:
                case PodPeer() | IpPeer():
                    written.append(_peer(peer, telling.namespace))
                case DomainPeer() | NodePeer():
                    blocks = blocks_for(telling, peer, self.around, unnamed(LANGUAGE, peer))
                    written += [_peer(block, telling.namespace) for block in blocks]
                case _:
                    what = telling.end(peer_text(peer))
                    telling.leave_out("peer", what, f"{LANGUAGE} cannot name such a peer")
        return written


def _ports(traffic: Sequence[Traffic] | None) -> list[dict[str, Any]]:
    """Return the entries that say some traffic; ICMP, which has none, is left out."""
    entries: list[dict[str, Any]] = []
    for part in traffic or ():
        match part:
            case NamedPort():
                protocols = (part.protocol,) if part.protocol else _PORTED
                entries += [{"protocol": p.value, "port": part.name} for p in protocols]
            case PortRange(protocol, first, last):
                if protocol not in _PORTED:
                    continue
                first = max(first, 1)
                entry: dict[str, Any] = {"protocol": protocol.value}
                if first > 1 or last < 65535:
                    entry["port"] = first
                if last != first and "port" in entry:
                    entry["endPort"] = last
                entries.append(entry)
    return entries


def _peer(peer: Peer, namespace: str) -> dict[str, Any]:
    match peer:
        case PodPeer():
            own = from_labels({NAMESPACE_NAME: namespace})
            pods = {"podSelector": _selector(peer.pods)}
            if peer.namespaces == own:
                return pods
            return {"namespaceSelector": _selector(peer.namespaces), **pods}
        case IpPeer():
            ip_block: dict[str, Any] = {"cidr": peer.cidr}
            if peer.excepts:
                ip_block["except"] = list(peer.excepts)
            return {"ipBlock": ip_block}
        case _:
            raise AssertionError("such a peer is put into blocks before it is written")


def _selector(selector: LabelSelector) -> dict[str, Any]:
    """Return a selector as `metav1.LabelSelector`, `matchLabels` wherever that can say it."""
    labels: dict[str, str] = {}
    expressions: list[dict[str, Any]] = []
    for requirement in selector.requirements:
        single = requirement.operator is Operator.IN and len(requirement.values) == 1
        if single and requirement.key not in labels:
            labels[requirement.key] = requirement.values[0]
            continue
        expression: dict[str, Any] = {
            "key": requirement.key,
            "operator": requirement.operator.value,
        }
        if requirement.values:
            expression["values"] = list(requirement.values)
        expressions.append(expression)
    body: dict[str, Any] = {}
    if labels:
        body["matchLabels"] = labels
    if expressions:
        body["matchExpressions"] = expressions
    return body
