"""One connection as the proxies of a mesh at its ends meet it."""

from dataclasses import dataclass, field
from functools import cached_property

from msgspec.structs import replace

from ringfence.model.cluster import Protocol, Service
from ringfence.model.connection import Connection, End, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.mesh import ISTIO, DataPlane, Membership
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference.ends import Approach, Party, family_of, identity_of, party_of
from ringfence.reference.findings import Side

SOMEBODY = "?"
"""The principal of a peer that has one, of which nothing is known: a lone star is all it meets."""


PROXY_SERVER_NAME = "mtls.mesh.invalid"
"""Stands for the server name of a proxy's own TLS, of which no policy of a CNI speaks."""


@dataclass(frozen=True)
class Flow:
    """A connection, how each end takes part, and whether it is over mTLS."""

    snapshot: Snapshot
    connection: Connection
    client: Membership | None
    """How the source takes part; None: it does not, or that is assumed for the moment."""
    server: Membership | None
    mtls: bool = False
    """Whether the proxies speak mTLS with each other."""
    own_tls: bool = False
    """Whether the client's proxy wraps what it sends in TLS that is none of the mesh."""
    service: Service | None = None
    """The Service by whose address the client calls."""
    notes: set[str] = field(default_factory=set)
    """What a reader of the verdict must know, gathered while it is reached."""

    @property
    def port(self) -> int:
        """Return the port that the application listens on; -1 where there is none."""
        return -1 if self.connection.port is None else self.connection.port

    @property
    def request(self) -> Request:
        """Return what is known of what is said above the port, as the destination sees it."""
        return sealed(self.connection.request) if self.own_tls else self.connection.request

    @cached_property
    def family(self) -> int:
        """Return the IP family, 4 or 6."""
        return family_of(self.snapshot, self.connection)

    @cached_property
    def source(self) -> Party:
        """Return who connects."""
        return party_of(self.snapshot, self.connection.source, self.family)

    @cached_property
    def destination(self) -> Party:
        """Return who is connected to."""
        return party_of(self.snapshot, self.connection.destination, self.family)

    @property
    def principal(self) -> str:
        """Return what the client proves to be; empty over plaintext.

        Where the question says that it is mTLS, but the client is not known to take part, it is
        somebody, of whom nothing is known.
        """
        if not self.mtls:
            return ""
        return self.client.principal if self.client else SOMEBODY

    def approach(self, direction: Direction) -> Approach:
        """Return the connection as blocks of addresses are matched against it (`addresses`)."""
        ends = (self.source, self.destination)
        subject, peer = ends if direction is Direction.EGRESS else ends[::-1]
        return Approach(
            direction=direction,
            subject=subject,
            peer=peer,
            protocol=self.connection.protocol,
            port=self.connection.port,
            family=self.family,
            cni=self.snapshot.profile.cni,
            nodes=self.snapshot.nodes,
            request=self.request,
            connection=self.connection,
            notes=self.notes,
        )


def sealed(request: Request) -> Request:
    """Return what can be read of a request within TLS of a proxy: no more than that it is TLS."""
    return replace(
        request,
        http=False,
        method=None,
        path=None,
        host=None,
        headers=None,
        dns="",
        sni=PROXY_SERVER_NAME,
    )


def membership_of(snapshot: Snapshot, end: End) -> Membership | None:
    """Return how an end takes part in a mesh: only pods with a network of their own do.

    Source: Istio `pkg/kube/inject/inject.go` injectRequired, `cni/pkg/util/podutil.go`; linkerd2
    `pkg/inject/report.go` (hostNetwork).
    """
    if not isinstance(end, PodEnd):
        return None
    identity = identity_of(snapshot, end)
    return None if identity.host_network else identity.mesh


def takes(ports: Membership | None, connection: Connection, direction: Direction) -> bool:
    """Return whether an end's proxy takes a connection: TCP alone, and not by every port.

    Source: Istio `tools/istio-iptables`, `cni/pkg/iptables`; linkerd2-proxy-init `iptables`.
    """
    if ports is None or connection.protocol is not Protocol.TCP or connection.port is None:
        return False
    held = ports.inbound if direction is Direction.INGRESS else ports.outbound
    return held.holds(connection.port)


def in_istio(member: Membership | None) -> bool:
    """Return whether an end takes part in Istio."""
    return member is not None and member.data_plane in ISTIO


def in_linkerd(member: Membership | None) -> bool:
    """Return whether an end takes part in Linkerd."""
    return member is not None and member.data_plane is DataPlane.LINKERD


def absent(direction: Direction, rule: str) -> Side:
    """Return the allow of a mesh that is not there: `no mesh`, `not taken`, `default`, `self`."""
    return Side(Verdict.ALLOW, (Evidence("mesh", direction.value, "allow", None, rule),))
