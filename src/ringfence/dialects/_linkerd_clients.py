"""Whom Linkerd's authorizations let in: networks, identities, and what the default policies mean.

Authority: linkerd2 `policy-controller/core/src/identity_match.rs`,
`policy-controller/k8s/index/src/{defaults,cluster_info}.rs`; linkerd2-proxy
`linkerd/proxy/server-policy/src/authz.rs`.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ringfence.dialects._shared import Malformed, fields, items, network, text
from ringfence.model.cluster import address_block
from ringfence.model.document import Path
from ringfence.model.layer7 import Form, Layer7, Text, exact
from ringfence.model.mesh import LinkerdConfig
from ringfence.model.rule import AddressPeer, AllPeers, AnyPeer, NotPeer, Peer, PrincipalPeer

LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
IDENTITY: Final = re.compile(rf"(\*|{LABEL})(\.{LABEL})*|spiffe://\S+")
"""Source: linkerd2 `charts/linkerd-crds/templates/policy/meshtls-authentication.yaml`,
`policy-controller/runtime/src/validation.rs`."""

EVERY_NETWORK: Final = frozenset({AddressPeer("0.0.0.0/0"), AddressPeer("::/0")})
ANY_IDENTITY: Final = AllPeers()
"""Whoever proves to be anybody: over mTLS that is everybody, be it not known who it is."""

DEFAULTS: Final = (
    "all-authenticated",
    "all-unauthenticated",
    "audit",
    "cluster-authenticated",
    "cluster-unauthenticated",
    "deny",
)
"""What a default inbound policy and an `accessPolicy` may be.

Source: linkerd2 `policy-controller/k8s/index/src/defaults.rs`."""


@dataclass(frozen=True)
class Clients:
    """Some clients: all of what is given must hold."""

    networks: tuple[Peer, ...] | None = None
    """Any of them; None: wherever they come from."""
    identities: tuple[Peer, ...] | None = None
    """Any of them; None: whoever they are."""
    mtls: bool = False
    """Whether the connection must be mTLS of the mesh."""

    @property
    def peers(self) -> tuple[Peer, ...] | None:
        """Return them as the peers of a rule.

        Networks are one peer: what is known to be within them all may not be known of any one.
        """
        if self.networks is None:
            return self.identities
        if self.identities is None:
            return self.networks if len(self.networks) == 1 else (AnyPeer(self.networks),)
        return (AllPeers((AnyPeer(self.networks), AnyPeer(self.identities))),)

    def limited(self, boxes: tuple[Layer7, ...] | None) -> tuple[Layer7, ...] | None:
        """Return a limit with what these clients add to it."""
        if not self.mtls:
            return boxes
        every = (Layer7(),) if boxes is None else boxes
        return tuple(msgspec.structs.replace(box, mtls=True) for box in every)


LOCALHOST: Final = Clients(
    networks=(AddressPeer(address_block("127.0.0.1")), AddressPeer(address_block("::1")))
)
"""Source: linkerd2-proxy `linkerd/proxy/server-policy/src/lib.rs`."""


# -- networks --------------------------------------------------------------------------------------


def block(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return an address or a CIDR as a CIDR.

    Raises:
        Malformed: neither.
    Source: linkerd2 `policy-controller/k8s/api/src/policy/network.rs` Cidr.
    """
    written = text(value, path)
    if "/" in written:
        return network(written, path)
    try:
        return address_block(str(ipaddress.ip_address(written)))
    except ValueError:
        raise Malformed(f"`{written}` is neither an address nor a CIDR", path) from None


@dataclass(frozen=True)
class Network:
    """A block without some others."""

    cidr: str
    excepts: tuple[str, ...] = ()

    @property
    def peer(self) -> Peer:
        """Return whoever has an address of it."""
        without = tuple(NotPeer(AddressPeer(each)) for each in self.excepts)
        return AllPeers((AddressPeer(self.cidr), *without)) if without else AddressPeer(self.cidr)


def networks(value: Any, path: Path) -> list[Network]:  # noqa: ANN401
    """Return a list of networks.

    Raises:
        Malformed: an exception that does not lie in its network, or is all of it.
    Source: linkerd2 `policy-controller/runtime/src/admission.rs` validate_networks.
    """
    found = []
    for at, item in items(value, path):
        given = fields(item, at, ("cidr", "except"))
        cidr = block(given.get("cidr"), (*at, "cidr"))
        outer = ipaddress.ip_network(cidr)
        excepts = set()
        for where, written in items(given.get("except"), (*at, "except")):
            inner = ipaddress.ip_network(block(written, where))
            inside = inner.version == outer.version and inner.network_address in outer
            if not inside or inner.prefixlen <= outer.prefixlen:
                raise Malformed(f"`{written}` does not lie strictly inside `{cidr}`", where)
            excepts.add(str(inner))
        found.append(Network(cidr, tuple(sorted(excepts))))
    return found


def from_networks(found: Iterable[Network]) -> tuple[Peer, ...] | None:
    """Return the peers that networks are; None where they are all there is."""
    peers = tuple(dict.fromkeys(each.peer for each in found))
    return None if set(peers) >= EVERY_NETWORK else peers


def of_cidrs(cidrs: Iterable[str]) -> tuple[Peer, ...] | None:
    """Return the peers that CIDRs of the configuration are; None where they are all there is."""
    return from_networks(Network(str(ipaddress.ip_network(cidr, strict=False))) for cidr in cidrs)


# -- identities ------------------------------------------------------------------------------------


def identity(value: Any, path: Path) -> Peer:  # noqa: ANN401
    """Return whoever has an identity: a name, all names below one (`*.x`), or any (`*`).

    Raises:
        Malformed: none of these.
    """
    written = text(value, path)
    if not IDENTITY.fullmatch(written):
        raise Malformed(f"`{written}` is no identity", path)
    if written == "*":
        return ANY_IDENTITY
    if written.startswith("*."):
        return PrincipalPeer(Text(Form.SUFFIX, written[1:]))
    return PrincipalPeer(exact(written))


def service_account(namespace: str, name: str, setup: LinkerdConfig) -> Peer:
    """Return whoever runs as a service account."""
    return PrincipalPeer(exact(f"{name}.{_below(namespace, setup)}"))


def any_of_namespace(namespace: str, setup: LinkerdConfig) -> Peer:
    """Return whoever runs as any service account of a namespace."""
    return PrincipalPeer(Text(Form.SUFFIX, f".{_below(namespace, setup)}"))


def _below(namespace: str, setup: LinkerdConfig) -> str:
    """Source: linkerd2 `policy-controller/k8s/index/src/cluster_info.rs`."""
    return f"{namespace}.serviceaccount.identity.{setup.namespace}.{setup.trust_domain}"


def identified(peers: Iterable[Peer]) -> tuple[Peer, ...] | None:
    """Return whoever has one of some identities; None where that is any."""
    found = tuple(dict.fromkeys(peers))
    return None if ANY_IDENTITY in found else found


# -- default policies ------------------------------------------------------------------------------


def by_default(value: str, setup: LinkerdConfig, *, asked: bool = False) -> Clients | None:
    """Return whom a default policy lets in; None: nobody.

    Args:
        value: one of `DEFAULTS`.
        setup: says what the networks of the cluster are.
        asked: whether a port asks for an identity on top: what allows all clients, or those
            of the cluster, is limited by that; `audit` is not.

    Source: linkerd2 `policy-controller/k8s/index/src/inbound/index.rs` default_inbound_server.
    """
    if value == "deny":
        return None
    if value == "audit":
        return Clients()
    within = of_cidrs(setup.cluster_networks) if value.startswith("cluster-") else None
    if asked or value.endswith("-authenticated"):
        return Clients(within, mtls=True)
    return Clients(within)
