"""Writes common rules of a mesh as Linkerd's Servers, routes, authorizations and authentications.

For each port of a workload there is a Server, which lets nobody in by itself. Whoever may say
anything on it is authorized on the Server; whoever may only send some requests, on the routes that
these go by (`_emit_linkerd_routes`).

Authority: linkerd2 `charts/linkerd-crds/templates/policy`,
`policy-controller/runtime/src/admission.rs`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
from ringfence.dialects._emission_words import layer7_text, peer_text, traffic_text
from ringfence.dialects._emit_istio import opens
from ringfence.dialects._emit_linkerd_routes import Asked, Routed, is_sayable, routed
from ringfence.model.cluster import Protocol
from ringfence.model.proposal import Emission, ProposedPolicy, Surroundings
from ringfence.model.rule import (
    Action,
    IpPeer,
    NodePeer,
    PodPeer,
    PortRange,
    PrincipalPeer,
    Traffic,
)
from ringfence.model.selector import LabelSelector, Operator

LANGUAGE: Final = "an AuthorizationPolicy of Linkerd"
POLICY: Final = "policy.linkerd.io"
MOST_PORTS: Final = 100
"""That are written out of one range: a Server is of a single port."""
LONGEST: Final = 63
EVERY_NETWORK: Final = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, order=True)
class Who:
    """Whom an authorization lets in: the proven identities, or whoever is in the networks."""

    identities: tuple[str, ...] = ()
    networks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Blocks with what is taken from them."""


@dataclass
class _Port:
    """What is written of one port."""

    whole: dict[Who, list[str]] = field(default_factory=dict)
    """Who may say anything, and why."""
    asked: list[tuple[Who, Asked, list[str]]] = field(default_factory=list)
    """Who may send some requests."""


def emit(policies: Sequence[ProposedPolicy], surroundings: Surroundings) -> Emission:
    """Return Linkerd's policies that say what the policies say, or less, or, told, more.

    Who comes without mTLS is left out, unless policies of the network are written beside these
    that say who may, or `surroundings.allow_wider` asks for it. Equal input gives equal bytes.
    """
    return _Emitter(surroundings).emission(policies)


class _Emitter(Emitter):
    def bodies(self, telling: Telling) -> list[Body]:  # noqa: ARG002 - as the others
        raise AssertionError("a rule of Linkerd's is several objects")

    def policy(self, path: str, proposed: ProposedPolicy) -> Iterator[str]:
        policy = proposed.policy
        assert isinstance(policy.subject, PodPeer)  # noqa: S101 - a proposal knows its subject
        ports: dict[int, _Port] = {}
        for each in proposed.rules:
            telling = Telling(self, path, proposed, each)
            if each.rule.action is Action.DENY:
                for part in each.rule.traffic or ():
                    for port in _numbers(part) or ():
                        ports.setdefault(port, _Port())
        every = sorted(ports)
        remarks: list[str] = []
        for each in proposed.rules:
            telling = Telling(self, path, proposed, each)
            if each.rule.action is Action.ALLOW and telling.whole():
                self._let_in(telling, ports, every)
                remarks += telling.told
        yield from yaml_text.comment(dict.fromkeys(remarks))
        writing = _Objects(policy.namespace, policy.name)
        first = True
        for port in sorted(ports):
            for why, body in writing.of_port(port, ports[port], policy.subject.pods):
                if not first:
                    yield "---"
                first = False
                yield from yaml_text.comment(why)
                yield from yaml_text.block(body)

    def _let_in(self, telling: Telling, ports: dict[int, _Port], every: Sequence[int]) -> None:
        rule = telling.rule
        numbers: list[int] = []
        for part in rule.traffic or ():
            listed = _numbers(part)
            if listed is None:
                because = "a Server is of a single port, and these are too many"
                telling.leave_out("ports", telling.end(traffic_text((part,))), because)
            numbers += listed or []
        if rule.traffic is None:
            numbers = list(every)
            because = "a Server is of a single port, and those stand for the ones that are declared"
            telling.leave_out("ports", telling.end("ports that nothing declares"), because)
        who = self._who(telling) if numbers else None
        if who is None:
            return
        boxes = [box for box in rule.layer7 or () if box.http is not None]
        asked = [box.http for box in boxes if box.http is not None and is_sayable(box.http)]
        for box in boxes:
            if box.http not in asked:
                because = "no route of Linkerd's stands for it"
                telling.leave_out("HTTP", layer7_text((box,)), because)
        for port in dict.fromkeys(numbers):
            here = ports.setdefault(port, _Port())
            if not boxes:
                here.whole.setdefault(who, []).extend(telling.each.why)
            for http in asked:
                here.asked.append((who, http, list(telling.each.why)))

    def _who(self, telling: Telling) -> Who | None:
        """Return whom a rule lets in; None for nobody."""
        peers = alternatives(telling.rule.peers)
        if peers is None:
            return Who(networks=tuple((cidr, ()) for cidr in EVERY_NETWORK))
        identities = [p.pattern.value for p in peers if isinstance(p, PrincipalPeer)]
        if identities:
            return Who(identities=tuple(sorted(identities)))
        blocks = [peer for peer in peers if isinstance(peer, IpPeer)]
        for peer in peers:
            if isinstance(peer, NodePeer):
                blocks += blocks_for(telling, peer, self.around, unnamed(LANGUAGE, peer))
            elif not isinstance(peer, PodPeer | IpPeer):
                what = telling.end(peer_text(peer))
                telling.leave_out("peer", what, f"{LANGUAGE} cannot name such a peer")
        unproved = any(isinstance(peer, PodPeer) for peer in peers)
        if unproved and opens(telling, self.around, "whoever connects"):
            return Who(networks=tuple((cidr, ()) for cidr in EVERY_NETWORK))
        found = tuple((block.cidr, block.excepts) for block in blocks)
        return Who(networks=found) if found else None


class _Objects:
    """Names and writes the objects of one workload."""

    def __init__(self, namespace: str, stem: str) -> None:
        self._namespace, self._stem = namespace, stem

    def of_port(
        self, port: int, written: _Port, pods: LabelSelector
    ) -> Iterator[tuple[list[str], Body]]:
        """Yield the objects of one port, each with the sentences above it."""
        server = self._name(f"{port}")
        closed = [] if written.whole or written.asked else ["Nobody is let in."]
        yield (
            closed,
            self._body(
                f"{POLICY}/v1beta3",
                "Server",
                server,
                {"podSelector": _selector(pods), "port": port, "accessPolicy": "deny"},
            ),
        )
        target = {"group": POLICY, "kind": "Server", "name": server}
        for number, (who, why) in enumerate(sorted(written.whole.items())):
            yield from self._authorization(f"{port}-{number}", target, who, why)
        asked = [(who, http) for who, http, _ in written.asked]
        reasons = {who: why for who, _, why in reversed(written.asked)}
        others_may = bool(written.whole and asked)
        for number, route in enumerate(routed(asked, others_may=others_may)):
            yield from self._route(f"{port}-r{number:03}", server, route, reasons)

    def _route(
        self, suffix: str, server: str, route: Routed[Who], reasons: dict[Who, list[str]]
    ) -> Iterator[tuple[list[str], Body]]:
        name = self._name(suffix)
        spec = {
            "parentRefs": [{"group": POLICY, "kind": "Server", "name": server}],
            "rules": [{"matches": route.matches}],
        }
        closed = [] if route.who else ["For nobody: what follows must not admit these."]
        yield closed, self._body(f"{POLICY}/v1beta3", "HTTPRoute", name, spec)
        target = {"group": POLICY, "kind": "HTTPRoute", "name": name}
        for number, who in enumerate(sorted(route.who)):
            yield from self._authorization(f"{suffix}-{number}", target, who, reasons[who])

    def _authorization(
        self, suffix: str, target: Body, who: Who, why: list[str]
    ) -> Iterator[tuple[list[str], Body]]:
        name = self._name(suffix)
        kind = "MeshTLSAuthentication" if who.identities else "NetworkAuthentication"
        required = {"group": POLICY, "kind": kind, "name": name}
        spec: Body = {"targetRef": target, "requiredAuthenticationRefs": [required]}
        yield (
            list(dict.fromkeys(why)),
            self._body(f"{POLICY}/v1alpha1", "AuthorizationPolicy", name, spec),
        )
        if who.identities:
            own: Body = {"identities": list(who.identities)}
        else:
            own = {"networks": [_network(*block) for block in who.networks]}
        yield [], self._body(f"{POLICY}/v1alpha1", kind, name, own)

    def _body(self, version: str, kind: str, name: str, spec: Body) -> Body:
        metadata = {"name": name, "namespace": self._namespace, "labels": MANAGED_BY}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}

    def _name(self, suffix: str) -> str:
        name = f"{self._stem}-{suffix}"
        if len(name) <= LONGEST:
            return name
        digest = hashlib.sha256(self._stem.encode("utf-8", "replace")).hexdigest()[:10]
        return f"{self._stem[: LONGEST - len(suffix) - 12].rstrip('-.')}-{digest}-{suffix}"


def _network(cidr: str, excepts: tuple[str, ...]) -> dict[str, Any]:
    return {"cidr": cidr, "except": list(excepts)} if excepts else {"cidr": cidr}


def _numbers(part: Traffic) -> list[int] | None:
    match part:
        case PortRange(Protocol.TCP, first, last) if last - first < MOST_PORTS:
            return list(range(max(first, 1), last + 1))
        case _:
            return None


def _selector(selector: LabelSelector) -> Body:
    """Return a selector of labels, `matchLabels` wherever that can say it."""
    labels: dict[str, str] = {}
    expressions: list[Body] = []
    for each in selector.requirements:
        if each.operator is Operator.IN and len(each.values) == 1 and each.key not in labels:
            labels[each.key] = each.values[0]
            continue
        expression: Body = {"key": each.key, "operator": each.operator.value}
        if each.values:
            expression["values"] = list(each.values)
        expressions.append(expression)
    body: Body = {}
    if labels:
        body["matchLabels"] = labels
    if expressions:
        body["matchExpressions"] = expressions
    return body
