"""Writes common rules of a mesh as AuthorizationPolicies and PeerAuthentications.

What the language cannot say is told, and stays closed.

Authority: istio/api `security/v1beta1/authorization_policy.proto`, `peer_authentication.proto`;
Istio `pkg/config/security/security.go`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

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
from ringfence.dialects._emission_words import layer7_text, peer_text, traffic_text
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text
from ringfence.model.proposal import Emission, ProposedPolicy, Surroundings
from ringfence.model.rule import (
    Action,
    Direction,
    IpPeer,
    NodePeer,
    Peer,
    PodPeer,
    PortRange,
    PrincipalPeer,
    Traffic,
)
from ringfence.model.selector import LabelSelector
from ringfence.model.tiers import ISTIO_TRANSPORT

LANGUAGE: Final = "an AuthorizationPolicy"
UNPROVED: Final = "without mTLS nobody proves who they are"
MOST_PORTS: Final = 100
"""That are written out of one rule: the language knows single ports alone."""
NO_PATTERN: Final = frozenset("{}*?#")
"""Characters that a path of a request has not, or that mean something else in a policy."""


def emit(policies: Sequence[ProposedPolicy], surroundings: Surroundings) -> Emission:
    """Return Istio's policies that say what the policies say, or less, or, told, more.

    Who comes without mTLS is left out, unless policies of the network are written beside these
    that say who may, or `surroundings.allow_wider` asks for it. Equal input gives equal bytes.
    """
    return _Emitter(surroundings).emission(policies)


class _Emitter(Emitter):
    def policy(self, path: str, proposed: ProposedPolicy) -> Iterator[str]:
        policy = proposed.policy
        transport = policy.tier == ISTIO_TRANSPORT
        yield from yaml_text.block(
            {
                "apiVersion": "security.istio.io/v1",
                "kind": "PeerAuthentication" if transport else "AuthorizationPolicy",
                "metadata": {
                    "name": policy.name,
                    "namespace": policy.namespace,
                    "labels": MANAGED_BY,
                },
            }
        )
        assert isinstance(policy.subject, PodPeer)  # noqa: S101 - a proposal knows its subject
        selector = _selector(policy.subject.pods)
        chosen: Body = {"selector": selector} if selector["matchLabels"] else {}
        if transport:
            mode = "STRICT" if proposed.rules else "PERMISSIVE"
            yield "spec:"
            yield from yaml_text.block({**chosen, "mtls": {"mode": mode}}, 2)
            return
        lines, written = self.section(path, proposed, Direction.INGRESS)
        if not (chosen or lines):
            yield "spec: {}"
            return
        yield "spec:"
        if chosen:
            yield from yaml_text.block(chosen, 2)
        if lines:
            yield "  rules:" if written else "  rules: []"
        yield from lines

    def bodies(self, telling: Telling) -> list[Body]:
        rule = telling.rule
        if rule.action is not Action.ALLOW:
            telling.leave_out("action", rule.action.value, f"{LANGUAGE} is written to allow")
            return []
        if not telling.whole() or rule.layer7 == ():
            return []
        ports = self._ports(telling)
        if rule.traffic is not None and not ports:
            return []
        operations = self._operations(telling, ports)
        if operations is None:
            return []
        sources = self._sources(telling)
        if sources is not None and not sources:
            return []
        if waypoint := telling.each.detour:
            what = telling.end(f"callers that are led through waypoint {waypoint}")
            telling.leave_out("waypoint", what, "no policies are written for waypoints yet")
        body: Body = {}
        if sources is not None:
            body["from"] = [{"source": source} for source in sources]
        if operations:
            body["to"] = [{"operation": operation} for operation in operations]
        return [body]

    # -- sources -----------------------------------------------------------------------------

    def _sources(self, telling: Telling) -> list[Body] | None:
        """Return the sources that are written; None for whoever."""
        peers = alternatives(telling.rule.peers)
        if peers is None:
            return None
        found: list[Body] = []
        principals = [p.pattern.value for p in peers if isinstance(p, PrincipalPeer)]
        if principals:
            found.append({"principals": sorted(principals)})
        blocks = [peer for peer in peers if isinstance(peer, IpPeer)]
        for peer in peers:
            if isinstance(peer, NodePeer):
                blocks += blocks_for(telling, peer, self.around, unnamed(LANGUAGE, peer))
        found += [_block(peer) for peer in blocks]
        unproved = [peer for peer in peers if isinstance(peer, PodPeer)]
        if unproved and self._opens(telling):
            found.append({"notPrincipals": ["*"]})
        for peer in peers:
            if not isinstance(peer, PrincipalPeer | IpPeer | NodePeer | PodPeer):
                what = telling.end(peer_text(peer))
                telling.leave_out("peer", what, f"{LANGUAGE} cannot name such a peer")
        return found

    def _opens(self, telling: Telling) -> bool:
        """Return whether whoever comes without mTLS is let in, and tell what becomes of it."""
        return opens(telling, self.around)

    # -- operations --------------------------------------------------------------------------

    def _ports(self, telling: Telling) -> list[str]:
        """Return the ports that are written."""
        found: list[int] = []
        for part in telling.rule.traffic or ():
            numbers = _numbers(part)
            if numbers is None:
                what = telling.end(traffic_text((part,)))
                because = f"{LANGUAGE} lists single ports, and these are too many"
                telling.leave_out("ports", what, because)
                continue
            found += numbers
        return [str(port) for port in dict.fromkeys(found)]

    def _operations(self, telling: Telling, ports: list[str]) -> list[Body] | None:
        """Return what may be done at some ports; empty for anything, None for nothing."""
        boxes = [box for box in telling.rule.layer7 or () if box.http is not None]
        own: Body = {"ports": ports} if ports else {}
        if not boxes:
            return [own] if own else []
        if because := telling.each.opaque:
            what = f"only {layer7_text(boxes)}"
            telling.tell("HTTP", what, because, "every request on the port", wider=True)
            return [own] if own else []
        found: list[Body] = []
        for box in boxes:
            said = _http(box)
            if said is None:
                telling.leave_out("HTTP", layer7_text((box,)), "no path of Istio's stands for it")
            else:
                found.append({**own, **said})
        return found or None


def opens(
    telling: Telling, around: Surroundings, instead: str = "whoever comes without mTLS"
) -> bool:
    """Return whether whoever comes without mTLS is let in in place of a workload in no mesh.

    Told, and stated for the proof.

    Args:
        telling: the rule.
        around: says whether anything else tells who may connect, or whether wider is wanted.
        instead: who is let in then.
    """
    what = telling.end("pods that come without mTLS")
    if not (around.proved_apart or around.allow_wider):
        telling.leave_out("identity", what, UNPROVED)
        return False
    if around.proved_apart:
        telling.remark("Without mTLS nobody proves who they are: the network's policies say who.")
    else:
        telling.tell("identity", what, UNPROVED, instead, wider=True)
    telling.substitute_plaintext()
    return True


def _numbers(part: Traffic) -> list[int] | None:
    match part:
        case PortRange(Protocol.TCP, first, last) if last - first < MOST_PORTS:
            return list(range(max(first, 1), last + 1))
        case _:
            return None


def _block(peer: IpPeer) -> Body:
    found: Body = {"ipBlocks": [peer.cidr]}
    if peer.excepts:
        found["notIpBlocks"] = list(peer.excepts)
    return found


def _http(box: Layer7) -> Body | None:
    """Return a request as an operation has it; None where none has."""
    http = box.http or HttpMatch()
    if http.hosts is not None or http.headers:
        return None
    found: Body = {"methods": [method.value for method in http.methods or ()] or ["*"]}
    if http.paths is not None:
        paths = [_path(path) for path in http.paths]
        if None in paths:
            return None
        found["paths"] = paths
    return found


def _path(path: Text) -> str | None:
    if path.form not in (Form.EXACT, Form.PREFIX) or not NO_PATTERN.isdisjoint(path.value):
        return None
    return path.value + ("*" if path.form is Form.PREFIX else "")


def _selector(selector: LabelSelector) -> Body:
    return {"matchLabels": {each.key: each.values[0] for each in selector.requirements}}


def named(peers: Sequence[Peer]) -> list[str]:
    """Return what peers prove to be."""
    return sorted(peer.pattern.value for peer in peers if isinstance(peer, PrincipalPeer))
