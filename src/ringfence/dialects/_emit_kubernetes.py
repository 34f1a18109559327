"""Writes common rules as NetworkPolicies: what the language can say, and what it cannot, told.

Authority: kubernetes/api `networking/v1/types.go`.
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from ringfence import yaml_text
from ringfence.model.cluster import Protocol
from ringfence.model.proposal import (
    GENERATED,
    Emission,
    EmittedFile,
    ProposedPolicy,
    ProposedRule,
    Substitute,
    Surroundings,
    Unsupported,
)
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

MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "ringfence"}

_PORTED: Final = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
_SAFE_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9._-]{0,199}")
_CLOSED: Final = "nothing: it stays closed"


def emit(policies: Sequence[ProposedPolicy], surroundings: Surroundings) -> Emission:
    """Return NetworkPolicies that say what the policies say, or less, or, told, more.

    A peer that a NetworkPolicy cannot name is left out, so that it stays closed, unless
    `surroundings.allow_wider` asks for blocks that contain it. Equal input gives equal bytes.
    """
    emission = _Emission(surroundings)
    ordered = sorted(policies, key=lambda p: (p.folder, p.file, p.policy.name))
    files = [
        EmittedFile(path, emission.file(path, list(together)))
        for path, together in groupby(ordered, key=path_of)
    ]
    return Emission(
        files=tuple(sorted(files)),
        unsupported=tuple(sorted(emission.unsupported)),
        substitutes=tuple(emission.substitutes),
    )


def path_of(proposed: ProposedPolicy) -> str:
    """Return the path of a policy's file, relative to the folder that holds all of them."""
    return f"{_safe(proposed.folder)}/{_safe(proposed.file)}.yaml"


def _safe(name: str) -> str:
    """Return a name that is a file's name and nothing else, whatever a manifest may contain."""
    if _SAFE_NAME.fullmatch(name) and ".." not in name:
        return name
    kept = re.sub(r"[^a-z0-9-]+", "-", name.lower())[:100].strip("-")
    return f"{kept or 'unnamed'}_{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


class _Emission:
    """Collects, while files are written, what could not be said."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.around = surroundings
        self.unsupported: list[Unsupported] = []
        self.substitutes: list[Substitute] = []

    def file(self, path: str, policies: list[ProposedPolicy]) -> str:
        lines = list(yaml_text.comment([GENERATED]))
        for number, proposed in enumerate(policies):
            if number:
                lines.append("---")
            lines += self._policy(path, proposed)
        return "\n".join(lines) + "\n"

    def _policy(self, path: str, proposed: ProposedPolicy) -> Iterator[str]:
        policy = proposed.policy
        yield from yaml_text.comment(proposed.why)
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
            yield from self._section(path, proposed, direction)

    def _section(self, path: str, proposed: ProposedPolicy, direction: Direction) -> Iterator[str]:
        """Yield the rules of one direction, each below the comment that says why it is there."""
        lines: list[str] = []
        written = False
        for each in proposed.rules:
            if each.rule.direction is not direction:
                continue
            body, told = self.rule(path, proposed, each)
            lines += yaml_text.comment((*each.why, *told), 4)
            if body is not None:
                lines += yaml_text.item(body, 4)
                written = True
        yield f"  {direction.value}:" if written else f"  {direction.value}: []"
        yield from lines

    def rule(
        self, path: str, proposed: ProposedPolicy, each: ProposedRule
    ) -> tuple[dict[str, Any] | None, list[str]]:
        """Return a rule's body, None where none of it is written, and what readers are told."""
        writer = _RuleWriter(self, path, proposed, each)
        return writer.body(), writer.told


class _RuleWriter:
    """Writes one rule, and tells what of it cannot be said."""

    def __init__(
        self, emission: _Emission, path: str, proposed: ProposedPolicy, each: ProposedRule
    ) -> None:
        self._emission = emission
        self._path = path
        self._proposed = proposed
        self._each = each
        self._rule = each.rule
        self.told: list[str] = []
        """Sentences for the comment above the rule."""

    def body(self) -> dict[str, Any] | None:
        """Return the rule as a NetworkPolicy has it; None where nothing of it is written."""
        rule = self._rule
        tier = self._proposed.policy.tier
        if tier != NETWORK_POLICY or rule.action is not Action.ALLOW:
            what = f"{rule.action.value} in tier {tier.name}"
            self._tell("action", what, "a NetworkPolicy only allows", _CLOSED, wider=False)
            return None
        if rule.traffic and any(part.protocol is Protocol.ICMP for part in rule.traffic):
            self._tell("ICMP", "ICMP", "a NetworkPolicy knows no ICMP", _CLOSED, wider=False)
        ports = _ports(rule.traffic)
        if rule.traffic is not None and not ports:
            return None
        peers = self._peers()
        if peers is not None and not peers:
            return None
        if self._each.http:
            what = f"only HTTP {', '.join(self._each.http)}"
            because = "a NetworkPolicy does not look into connections"
            self._tell("HTTP", what, because, "every request on the port", wider=True)
        body: dict[str, Any] = {}
        if peers is not None:
            body["from" if rule.direction is Direction.INGRESS else "to"] = peers
        if rule.traffic is not None:
            body["ports"] = ports
        return body

    def _peers(self) -> list[dict[str, Any]] | None:
        """Return the peers that are written; None for any peer at all."""
        if self._rule.peers is None:
            return None
        written: list[dict[str, Any]] = []
        for peer in self._rule.peers:
            match peer:
                case PodPeer() | IpPeer():
                    written.append(_peer(peer, self._proposed.policy.namespace))
                case DomainPeer() | NodePeer():
                    blocks = self._substitute(peer)
                    written += [_peer(block, self._proposed.policy.namespace) for block in blocks]
        return written

    def _substitute(self, peer: DomainPeer | NodePeer) -> tuple[IpPeer, ...]:
        """Return the blocks that are written in place of a peer that cannot be said."""
        around = self._emission.around
        blocks: tuple[IpPeer, ...] = ()
        if isinstance(peer, DomainPeer):
            sort, name = "domain name", peer.pattern.pattern
            because = "a NetworkPolicy knows no domain names"
            if around.allow_wider:
                blocks = public_blocks(around.inside)
        else:
            sort, name = "nodes", "the nodes"
            because = "a NetworkPolicy cannot name nodes"
            blocks = tuple(IpPeer(_single(address)) for address in around.nodes)
            if not blocks:
                because += ", and no node's address is known"
        rule = self._rule
        preposition = "from" if rule.direction is Direction.INGRESS else "to"
        what = f"{preposition} {name}, {traffic_text(rule.traffic)}"
        wider = bool(blocks) and isinstance(peer, DomainPeer)
        self._tell(sort, what, because, _blocks_text(blocks), wider=wider)
        if blocks:
            self._emission.substitutes.append(
                Substitute(
                    subject=self._proposed.subject,
                    direction=rule.direction,
                    blocks=blocks,
                    traffic=rule.traffic,
                )
            )
        return blocks

    def _tell(self, sort: str, what: str, because: str, instead: str, *, wider: bool) -> None:
        self._emission.unsupported.append(
            Unsupported(
                file=self._path,
                object=self._proposed.policy.ref,
                subject=self._proposed.subject,
                direction=self._rule.direction.value,
                sort=sort,
                what=what,
                because=because,
                instead=instead,
                wider=wider,
            )
        )
        self.told.append(f"Cannot be said: {what}, because {because}. Written: {instead}.")


def public_blocks(inside: Iterable[str]) -> tuple[IpPeer, ...]:
    """Return all addresses of each family that `inside` speaks of, except those `inside`."""
    networks = [ipaddress.ip_network(cidr) for cidr in inside]
    found = []
    for version, everything in ((4, "0.0.0.0/0"), (6, "::/0")):
        family = [network for network in networks if network.version == version]
        if family:
            merged = ipaddress.collapse_addresses(family)  # type: ignore[type-var]
            found.append(IpPeer(everything, tuple(str(network) for network in merged)))
    return tuple(found)


def _single(address: str) -> str:
    parsed = ipaddress.ip_address(address)
    return f"{parsed}/{parsed.max_prefixlen}"


def _blocks_text(blocks: Sequence[IpPeer]) -> str:
    if not blocks:
        return _CLOSED
    return ", ".join(
        block.cidr + (f" except {', '.join(block.excepts)}" if block.excepts else "")
        for block in blocks
    )


def traffic_text(traffic: Sequence[Traffic] | None) -> str:
    """Return traffic as a comment says it: `TCP 443, UDP dns`; `all traffic` for None."""
    if traffic is None:
        return "all traffic"
    return ", ".join(map(_one_traffic_text, traffic)) or "no traffic"


def _one_traffic_text(part: Traffic) -> str:
    match part:
        case NamedPort():
            return f"{part.protocol.value} {part.name}" if part.protocol else f"port {part.name}"
        case PortRange():
            if part.first <= 1 and part.last == 65535:
                return f"{part.protocol.value} all ports"
            numbers = str(part.first) if part.first == part.last else f"{part.first}-{part.last}"
            return f"{part.protocol.value} {numbers}"


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
            own = from_labels({"kubernetes.io/metadata.name": namespace})
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
