"""Clients, and whom the authorizations of Linkerd let in: by network and by identity.

There is nothing that denies: whoever meets one of the authorizations is let in.

Source: linkerd2 `policy-controller/core/src/identity_match.rs`,
`policy-controller/k8s/index/src/defaults.rs`, `policy-controller/k8s/api/src/policy/network.rs`;
linkerd2-proxy `linkerd/app/inbound/src/policy.rs` is_authorized.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ringfence.model.document import Path
from ringfence.model.verdict import Evidence
from ringfence.reference import addresses, schema
from ringfence.reference.ends import Address, Network
from ringfence.reference.linkerd_objects import Scene
from ringfence.reference.outcome import NO, YES, Match, perhaps
from ringfence.reference.schema import NotUnderstoodError

AUTHENTICATED = ("*",)
"""Whoever proves to be anybody."""


@dataclass(frozen=True)
class Client:
    """One peer, at one address."""

    address: Address | None
    """None where it has none of the connection's family."""
    mtls: bool
    """Whether the connection is over mTLS of the mesh."""
    principal: str = ""
    """What the peer proves to be over mTLS; empty where it proves nothing."""


@dataclass(frozen=True)
class Block:
    """Addresses of a network without those of some others."""

    network: Network
    excepts: tuple[Network, ...] = ()

    def holds(self, address: Address | None) -> bool:
        """Return whether an address is meant.

        Source: linkerd2-proxy `linkerd/proxy/server-policy/src/authz/network.rs`.
        """
        if address is None or address not in self.network:
            return False
        return not any(address in other for other in self.excepts)


@dataclass(frozen=True)
class Authorization:
    """Who is let in: from one of the networks, and as one of the identities."""

    evidence: Evidence
    networks: tuple[Block, ...] = ()
    identities: tuple[str, ...] | None = None
    """Names, `*.suffix` or `*`, one of which the peer must prove; None: it need prove nothing."""
    any_tls: bool = False
    """Only over mTLS of the mesh, whoever it is."""
    because: str = ""
    """Why it is not known which of these it lets in."""

    def admits(self, client: Client) -> Match:
        """Return whether a peer is let in.

        Source: linkerd2-proxy `linkerd/app/inbound/src/policy.rs` is_authorized,
        is_tls_authorized.
        """
        if not self._may_admit(client):
            return NO
        return perhaps(self.because) if self.because else YES

    def _may_admit(self, client: Client) -> bool:
        if not any(block.holds(client.address) for block in self.networks):
            return False
        if self.identities is None:
            return client.mtls or not self.any_tls
        if not client.mtls or not client.principal:
            return False
        return any(is_identity(client.principal, one) for one in self.identities)


def is_identity(principal: str, pattern: str) -> bool:
    """Return whether a peer's identity is a name, or ends with a suffix.

    Suffixes, and so `*`, are matched against DNS names alone: an identity that is a URI (as of
    SPIFFE) must be written out.

    Source: linkerd2 `policy-controller/core/src/identity_match.rs`; linkerd2-proxy
    `linkerd/app/inbound/src/policy.rs` is_tls_authorized.
    """
    if pattern != "*" and not pattern.startswith("*."):
        return principal == pattern
    return "://" not in principal and principal.endswith(pattern[1:])


# -- what is there without any object ------------------------------------------------------------

MODES = (
    "all-authenticated",
    "all-unauthenticated",
    "cluster-authenticated",
    "cluster-unauthenticated",
    "deny",
    "audit",
)


def default_authorizations(mode: str, scene: Scene, found: Evidence) -> list[Authorization]:
    """Return whom one of the default policies lets in; `audit` is everyone, and logged.

    Source: linkerd2 `policy-controller/k8s/index/src/defaults.rs` default_authzs.
    """
    if mode == "deny":
        return []
    networks = cluster_networks(scene) if mode.startswith("cluster-") else EVERYWHERE
    proven = AUTHENTICATED if mode.endswith("-authenticated") else None
    return [Authorization(found, networks, proven)]


def cluster_networks(scene: Scene) -> tuple[Block, ...]:
    """Return the networks of the cluster, as Linkerd was told them."""
    if not scene.config.source:
        scene.notes.add("Linkerd's default `clusterNetworks` are assumed")
    return _blocks(scene.config.cluster_networks)


def _blocks(cidrs: tuple[str, ...]) -> tuple[Block, ...]:
    return tuple(Block(ipaddress.ip_network(cidr, strict=False)) for cidr in cidrs)


EVERYWHERE = _blocks(("0.0.0.0/0", "::/0"))
LOCALHOST = _blocks(("127.0.0.1/32", "::1/128"))


def localhost(scene: Scene) -> Authorization:
    """Return what lets in whoever comes from the pod's own loopback, whatever the policies.

    Source: linkerd2-proxy `linkerd/proxy/server-policy/src/lib.rs` (always permit traffic from
    localhost).
    """
    return Authorization(scene.plain("allow", "localhost"), LOCALHOST)


def probe(scene: Scene) -> Authorization:
    """Return what lets in the probes of the kubelet.

    Source: linkerd2 inbound/index.rs default_inbound_http_routes.
    """
    return Authorization(scene.plain("allow", "probe"), _blocks(scene.config.probe_networks))


# -- networks, as they are written -----------------------------------------------------------------


def read_networks(value: Any, path: Path) -> Iterator[Block]:  # noqa: ANN401
    """Yield a list of networks, each with what it leaves out.

    Source: linkerd2 `policy-controller/k8s/api/src/policy/network.rs`; admission.rs
    validate_networks (an exception is part of its network, and not all of it).
    """
    for index, entry in enumerate(schema.items(value, path)):
        given = schema.fields(entry, (*path, index), ("cidr", "except"))
        at = (*path, index, "cidr")
        network = _read_network(schema.required(given, "cidr", (*path, index)), at)
        at = (*path, index, "except")
        excepts = []
        for place, value_ in enumerate(schema.items(given.get("except"), at)):
            other = _read_network(value_, (*at, place))
            if not addresses.strictly_inside(other, network):
                raise NotUnderstoodError("is no part of its `cidr`", (*at, place))
            excepts.append(other)
        yield Block(network, tuple(excepts))


def _read_network(value: Any, path: Path) -> Network:  # noqa: ANN401
    """Return a block, which may be written as a lone address."""
    written = schema.text(value, path)
    try:
        return ipaddress.ip_network(ipaddress.ip_address(written))
    except ValueError:
        return addresses.read_cidr(value, path)
