"""Service meshes as values: how pods take part in one, and how the mesh itself is set up.

What a mesh adds to a connection is an identity that the peer has proved (mTLS), a proxy at one
end or both that judges by it, and another port on the wire. Its policies are common rules in tiers
of the layer `mesh` (`tiers`); what they rest on is here.
"""

from enum import StrEnum
from typing import Final

import msgspec

from ringfence.model.document import Path


class DataPlane(StrEnum):
    """What carries a pod's connections."""

    SIDECAR = "sidecar"
    """Istio, by a proxy in the pod."""
    AMBIENT = "ambient"
    """Istio, by the ztunnel of the node."""
    LINKERD = "linkerd"
    """Linkerd, by a proxy in the pod."""


ISTIO: Final = (DataPlane.SIDECAR, DataPlane.AMBIENT)
HBONE_PORT: Final = 15008
"""Where ambient's mTLS tunnels end. Source: Istio `pkg/config/constants`, ztunnel `config.rs`."""
LINKERD_INBOUND_PORT: Final = 4143
"""Where Linkerd's proxy takes what comes from other proxies. Source: linkerd2 `charts`."""
CLASSIC_GATEWAY: Final = "*"
"""What `Membership.gateway` says of a gateway's proxy that Istio's own Gateway objects set up:
nothing of the Gateway API has that name, and no `targetRefs` mean it."""


class Ports(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """The TCP ports that a proxy takes in one direction: the listed ones, or all but those."""

    listed: tuple[tuple[int, int], ...] = ()
    """Ranges, both ends included, sorted."""
    all_but: bool = True
    """True: every port but the listed; False: the listed alone."""

    def holds(self, port: int) -> bool:
        """Return whether the proxy takes a port."""
        return any(first <= port <= last for first, last in self.listed) is not self.all_but


class Membership(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """How the pods of an identity take part in a mesh."""

    data_plane: DataPlane
    """The proxies of gateways and waypoints are sidecars: they are in pods of their own."""
    principal: str
    """What they prove to be. Istio: the SPIFFE identity without its scheme, as
    `cluster.local/ns/shop/sa/web`; Linkerd: the name `web.shop.serviceaccount.identity.…`."""
    seen: bool = False
    """Whether the pods carry it; otherwise labels and annotations say that new pods will."""
    inbound: Ports = Ports()
    """What the proxy takes of what comes in."""
    outbound: Ports = Ports()
    """What it takes of what goes out, by the destination's port."""
    gateway: str = ""
    """The name of the Gateway of the Gateway API whose proxy they are, or `CLASSIC_GATEWAY`;
    empty: it is no gateway's. A gateway's proxy takes nothing that is for another, and no
    PeerAuthentication is about it."""
    waypoint: bool = False
    """Whether that is a waypoint."""
    plaintext: bool = False
    """Whether the sidecars that call them send plaintext, where nothing else says how (the label
    `security.istio.io/tlsMode: disabled`)."""
    unclear: str = ""
    """Why it is not known whether the proxy takes what goes out: with this, or with none, they may
    call."""
    waypoint_of: tuple[str, str] | None = None
    """Namespace and name of the Gateway that is the waypoint of callers from ambient that use their
    own addresses; None: these go straight to them."""
    default_inbound: str = ""
    """Linkerd's `config.linkerd.io/default-inbound-policy`, where the pod or its namespace says."""
    identity_ports: tuple[tuple[int, int], ...] = ()
    """Linkerd's `config.linkerd.io/proxy-require-identity-inbound-ports`, as ranges."""
    opaque: tuple[tuple[int, int], ...] = ()
    """Linkerd's `config.linkerd.io/opaque-ports`, as ranges."""
    probes: tuple[tuple[int, str], ...] = ()
    """The ports and paths of their HTTP probes, sorted: Linkerd lets these through."""
    uncertain: str = ""
    """Why it is not known whether they take part: with this, or with none, they may."""


class ClientTls(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a DestinationRule says of the TLS with which a client's proxy calls some hosts.

    Source: istio/api `networking/v1alpha3/destination_rule.proto` ClientTLSSettings.
    """

    document: int
    """Index into `Snapshot.documents`."""
    path: Path
    """Where it stands, as `("spec", "trafficPolicy", "tls")`."""
    namespace: str
    """Of the object: where hosts without a domain are looked up, and of its workload selector."""
    host: str
    """Lower case: a full name, or one with a leading `*.`; `*` for every host."""
    mode: str
    """DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL; empty where only a port says one."""
    ports: tuple[tuple[int, str], ...] = ()
    """Per port of the Service, the mode there (`portLevelSettings`)."""
    export_to: tuple[str, ...] = ("*",)
    """Namespaces in which it holds; `.` for its own, `*` for all."""
    workloads: tuple[tuple[str, str], ...] = ()
    """The labels of the clients for which it holds (`workloadSelector`), sorted; empty: all."""
    unreadable: str = ""
    """Why it could not be understood: what its host's clients do is unknown."""


class ClientImports(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which Services the proxies of some clients know, by a Sidecar: others they call unencrypted.

    Source: istio/api `networking/v1alpha3/sidecar.proto`; Istio `pilot/pkg/model/sidecar.go`.
    """

    document: int
    """Index into `Snapshot.documents`."""
    namespace: str
    """Of the clients; empty: of every namespace."""
    workloads: tuple[tuple[str, str], ...] = ()
    """The labels of the clients for which it holds, sorted; empty: all."""
    rank: tuple[int, str] = (0, "")
    """Of several that hold for a client, the one of least rank does."""
    listeners: tuple[tuple[int | None, tuple[tuple[str, str], ...]], ...] = ()
    """For a port of Services, or all that no other is for: namespaces (`*`: any that is not listed
    by its name, `.`: the client's own) with a host each, `*` or `*.x` for many."""
    unreadable: str = ""
    """Why it could not be understood: what its clients know is unknown."""


class IstioConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of Istio's mesh configuration changes verdicts, with Istio's own defaults.

    Source: istio/api `mesh/v1alpha1/config.proto`.
    """

    source: str = ""
    """Where it was read; empty: the defaults are assumed."""
    root_namespace: str = "istio-system"
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()
    registry_only: bool = False
    """`outboundTrafficPolicy.mode: REGISTRY_ONLY`."""
    normalization: str = "BASE"
    """`pathNormalization.normalization`: NONE, BASE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES."""
    auto_mtls: bool = True
    providers: tuple[str, ...] = ()
    """The names of `extensionProviders` that CUSTOM policies can ask."""


class LinkerdConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of Linkerd's configuration changes verdicts, with Linkerd's own defaults.

    Source: linkerd2 `charts/linkerd-control-plane/values.yaml`.
    """

    source: str = ""
    """Where it was read; empty: the defaults are assumed."""
    namespace: str = "linkerd"
    """Of the control plane."""
    trust_domain: str = "cluster.local"
    default_inbound: str = "all-unauthenticated"
    cluster_networks: tuple[str, ...] = (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fd00::/8",
    )
    probe_networks: tuple[str, ...] = ("0.0.0.0/0", "::/0")
    egress_namespace: str = "linkerd-egress"
    """Of the EgressNetworks that hold for every namespace."""
    transport_header: bool = True
    """Whether proxies reach each other at `LINKERD_INBOUND_PORT` (since 2.18)."""


class Mesh(msgspec.Struct, frozen=True, omit_defaults=True):
    """The meshes of a cluster; a configuration is None where nothing of that mesh is there."""

    istio: IstioConfig | None = None
    linkerd: LinkerdConfig | None = None


NO_MESH: Final = Mesh()
