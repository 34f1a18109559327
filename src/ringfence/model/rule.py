"""The common rule: what every policy language is parsed into, and emitted from.

Selectors are values here; who matches them is each judge's business. What could not be
understood is kept as `Unreadable`, never dropped, at one of two grains:

- a rule with `unreadable` set matches *perhaps*, whatever the peer and the traffic;
- a policy with `unreadable` set makes both directions of every pod that it selects unknown, or
  of every pod that it might select where its `subject` is what could not be understood.
"""

from enum import StrEnum

import msgspec

from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.selector import LabelSelector


class Direction(StrEnum):
    """The direction of a connection as its subject sees it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Action(StrEnum):
    """What a rule says of the traffic that it matches; ClusterNetworkPolicy writes Accept."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"


class Unreadable(msgspec.Struct, frozen=True):
    """A part of a policy that could not be understood, and where it stands."""

    reason: str
    path: Path = ()


class PodPeer(msgspec.Struct, frozen=True, tag="pods"):
    """Pods with an address of their own, in the namespaces selected; never host-network pods."""

    namespaces: LabelSelector
    pods: LabelSelector


class IpPeer(msgspec.Struct, frozen=True, tag="ip"):
    """Addresses of a block. What may stand behind them depends on the CNI profile."""

    cidr: str
    """Canonical: host bits zero, lower case."""
    excepts: tuple[str, ...] = ()


class NodePeer(msgspec.Struct, frozen=True, tag="nodes"):
    """Nodes by their labels (and so the host-network pods on them)."""

    nodes: LabelSelector


class DomainPeer(msgspec.Struct, frozen=True, tag="domain"):
    """A domain name of the outside; `*.x.io` as its dialect means it (see `wildcard`)."""

    pattern: str
    wildcard: str = "labels"
    """`labels`: a leading `*.` stands for one or more whole labels (ClusterNetworkPolicy)."""


Peer = PodPeer | IpPeer | NodePeer | DomainPeer


class PortRange(msgspec.Struct, frozen=True, tag="ports"):
    """Ports of one protocol, both ends included; 0-65535 stands for all of the protocol."""

    protocol: Protocol
    first: int = 0
    last: int = 65535


class NamedPort(msgspec.Struct, frozen=True, tag="named-port"):
    """A container port's name, resolved on the pod that the connection goes to."""

    name: str
    protocol: Protocol | None
    """None matches the name whatever protocol the container port declares."""


Traffic = PortRange | NamedPort


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: all of (any peer) and (any traffic)."""

    direction: Direction
    action: Action
    peers: tuple[Peer, ...] | None
    """None: any peer at all, also outside. Empty: no peer."""
    traffic: tuple[Traffic, ...] | None
    """None: all traffic of every protocol. Empty: none."""
    path: Path
    """Where in its document it stands, as `("spec", "ingress", 0)`."""
    unreadable: Unreadable | None = None


class Subject(msgspec.Struct, frozen=True):
    """Which pods a policy applies to; host-network pods never."""

    namespaces: LabelSelector
    pods: LabelSelector


class Tier(StrEnum):
    """The tiers of the Kubernetes-native policies, in the order in which they decide."""

    ADMIN = "admin"
    NETWORK_POLICY = "network-policy"
    BASELINE = "baseline"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy in common form."""

    document: int
    """Index into `Snapshot.documents`."""
    kind: str
    namespace: str
    name: str
    tier: Tier
    priority: int = 0
    """Lower decides first; without meaning in the tier `network-policy`."""
    subject: Subject | None
    """None where it could not be understood: then any pod of the policy's namespace, or of the
    cluster where it has none, might be meant."""
    isolates: tuple[Direction, ...] = ()
    """Directions in which its subjects are denied what no rule of the tier allows."""
    isolation_path: Path = ("spec",)
    """Where the document says so (`spec.policyTypes`), for evidence."""
    rules: tuple[Rule, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    """Parts outside any rule that could not be understood."""

    @property
    def ref(self) -> str:
        """Return `Kind/namespace/name`, or `Kind/name` where cluster-scoped."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)
