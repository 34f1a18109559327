"""Linkerd's objects as documents, and what the policies made of them say to one client."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ringfence import dialects
from ringfence.layer7 import linkerd_requests
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Request, Text
from ringfence.model.mesh import DataPlane, LinkerdConfig, Membership, Mesh
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import (
    Action,
    AddressPeer,
    AllPeers,
    AnyPeer,
    DomainPeer,
    FamilyPeer,
    Layer,
    NamedPort,
    NotPeer,
    Peer,
    Policy,
    PortRange,
    PortUse,
    PrincipalPeer,
    ProxyPort,
    Rule,
    Tier,
    Traffic,
)
from ringfence.model.tiers import LINKERD_SERVER

GROUP = "policy.linkerd.io"
GATEWAY = "gateway.networking.k8s.io"
VERSIONS = {
    "Server": "v1beta3",
    "ServerAuthorization": "v1beta1",
    "HTTPRoute": "v1beta3",
}
WEB = {"matchLabels": {"app": "web"}}
TO_WEB = {"group": GROUP, "kind": "Server", "name": "web"}
FRONT = "front.shop.serviceaccount.identity.linkerd.cluster.local"
OTHER = "other.shop.serviceaccount.identity.linkerd.cluster.local"


def document(
    kind: str,
    name: str,
    spec: Any,
    *,
    namespace: str = "shop",
    group: str = GROUP,
    version: str = "",
    status: Any = None,
    created: str = "",
    **labels: str,
) -> Document:
    default = "v1" if group == GATEWAY else VERSIONS.get(kind, "v1alpha1")
    api = f"{group}/{version or default}"
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if created:
        metadata["creationTimestamp"] = created
    if labels:
        metadata["labels"] = labels
    body = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
    if status is not None:
        body["status"] = status
    return Document(api, kind, namespace, name, body, "p.yaml")


def server(name: str = "web", how: dict[str, Any] | None = None, **fields: Any) -> Document:
    spec = {"podSelector": WEB, "port": 80, **fields}
    return document("Server", name, spec, **(how or {}))


def authorization(target: Any, *required: Any, name: str = "front", **how: Any) -> Document:
    spec = {"targetRef": target, "requiredAuthenticationRefs": list(required)}
    return document("AuthorizationPolicy", name, spec, **how)


def account(name: str = "front", **more: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": name, **more}


def route(name: str, *matches: Any, kind: str = "HTTPRoute", **more: Any) -> Document:
    how = {k: more.pop(k) for k in ("group", "created", "status", "namespace") if k in more}
    spec = {"parentRefs": [TO_WEB], "rules": [{"matches": list(matches)}], **more}
    return document(kind, name, spec, **how)


def to_route(name: str, kind: str = "HTTPRoute", group: str = GROUP) -> dict[str, str]:
    return {"group": group, "kind": kind, "name": name}


def parsed(
    *documents: Document,
    setup: LinkerdConfig | None = None,
    members: Sequence[Membership] = (),
    cni: Cni = Cni.GENERIC,
) -> dialects.Parsed:
    mesh = Mesh(linkerd=setup or LinkerdConfig())
    context = dialects.Context(Profile(cni), documents, mesh=mesh, memberships=members)
    return dialects.parse(context)


def member(**fields: Any) -> Membership:
    return Membership(DataPlane.LINKERD, OTHER, **fields)


def refused(*documents: Document) -> str:
    """Return the one thing that was not understood."""
    (problem,) = [p for p in parsed(*documents).problems if p.severity == "error"]
    return problem.message


def told(*documents: Document) -> list[str]:
    """Return what is told of what was understood."""
    found = parsed(*documents)
    assert not [problem for problem in found.problems if problem.severity == "error"]
    return [problem.message for problem in found.problems]


# -- one client ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    """One client, and what it sends."""

    principal: str = ""
    address: str = "10.1.2.3"
    domain: str = ""
    mtls: bool | None = None
    http: bool = True
    method: str = "GET"
    path: str = "/"
    host: str = "web"
    headers: tuple[tuple[str, str], ...] = ()
    sni: str = ""
    port: int = 80
    membership: Membership | None = None

    @property
    def authenticated(self) -> bool:
        return bool(self.principal) if self.mtls is None else self.mtls


FRIEND = Client(FRONT)
STRANGER = Client(OTHER)
NOBODY = Client()


def answer(found: Sequence[Policy], client: Client, tier: Tier = LINKERD_SERVER) -> str:
    """Return what the policies of a tier say, whose subjects are taken to be meant: `allow` and
    `deny`, both where it is open, `pass` where nothing matches."""
    said: set[str] = set()
    for policy in sorted(found, key=lambda each: (each.order, each.tie)):
        if policy.tier != tier:
            continue
        assert policy.tier.layer is Layer.MESH
        for rule in policy.rules:
            if rule.unreadable:
                said.add(rule.action.value)
            elif matches(rule, client):
                said.add(rule.action.value)
                if not rule.uncertain:
                    return " or ".join(sorted(said))
    return " or ".join(sorted({*said, Action.PASS.value}))


def matches(rule: Rule, client: Client) -> bool:
    return (
        (rule.peers is None or any(_is(peer, client) for peer in rule.peers))
        and (rule.traffic is None or any(_at(traffic, client) for traffic in rule.traffic))
        and not any(_at(traffic, client) for traffic in rule.not_traffic)
        and (rule.layer7 is None or any(_says(box, client) for box in rule.layer7))
        and not any(_says(box, client) for box in rule.not_layer7)
    )


def _is(peer: Peer, client: Client) -> bool:
    match peer:
        case AllPeers():
            return all(_is(part, client) for part in peer.parts)
        case AnyPeer():
            return any(_is(part, client) for part in peer.parts)
        case NotPeer():
            return not _is(peer.part, client)
        case AddressPeer():
            block = ipaddress.ip_network(peer.cidr)
            return not client.domain and ipaddress.ip_address(client.address) in block
        case PrincipalPeer():
            return client.principal != "" and _holds(peer.pattern, client.principal)
        case DomainPeer():
            return client.domain != ""
        case FamilyPeer():
            return peer.family == ipaddress.ip_address(client.address).version
        case _:
            raise AssertionError(peer)


def _at(traffic: Traffic, client: Client) -> bool:
    match traffic:
        case PortRange():
            return traffic.protocol is Protocol.TCP and traffic.first <= client.port <= traffic.last
        case NamedPort():
            return traffic.name == "http" and client.port == 80
        case ProxyPort():
            here = client.membership or member()
            within = {
                PortUse.IDENTITY: any(a <= client.port <= b for a, b in here.identity_ports),
                PortUse.OPAQUE: any(a <= client.port <= b for a, b in here.opaque),
                PortUse.PROBE: (client.port, traffic.path) in here.probes,
            }
            return within[traffic.use] and (traffic.port is None or _at(traffic.port, client))
        case _:
            raise AssertionError(traffic)


def _says(box: Layer7, client: Client) -> bool:
    names = box.server_names
    return (
        (not box.mtls or client.authenticated)
        and (box.http is None or (client.http and _sends(box.http, client)))
        and (names is None or any(_names(name, client.sni) for name in names))
    )


def _names(pattern: DomainPattern, name: str) -> bool:
    if pattern.pattern.startswith("*."):
        return name.endswith(pattern.pattern[1:]) and name != ""
    return name != "" and pattern.pattern in ("*", name)


def _sends(match: HttpMatch, client: Client) -> bool:
    sent = Request(http=True, path=client.path, host=client.host, headers=client.headers)
    read = linkerd_requests.as_matched(sent)
    assert read.path is not None
    assert read.host is not None
    texts = (
        (match.methods, client.method),
        (match.paths, read.path),
        (match.hosts, read.host),
    )
    return all(
        patterns is None or any(_holds(pattern, value) for pattern in patterns)
        for patterns, value in texts
    ) and all(
        any(
            name == header.name and (header.value is None or _holds(header.value, value))
            for name, value in read.headers or ()
        )
        for header in match.headers
    )


def _holds(pattern: Text, value: str) -> bool:
    match pattern.form:
        case Form.EXACT:
            return value == pattern.value
        case Form.PREFIX:
            return value.startswith(pattern.value)
        case Form.SUFFIX:
            return value.endswith(pattern.value)
        case Form.SEGMENTS:
            return value == pattern.value or value.startswith(f"{pattern.value}/")
        case Form.REGEX:
            return re.fullmatch(pattern.value, value) is not None
