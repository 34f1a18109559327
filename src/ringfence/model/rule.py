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
from ringfence.model.layer7 import DomainPattern, Layer7, Text
from ringfence.model.mesh import DataPlane
from ringfence.model.selector import LabelExpression, LabelSelector


class Direction(StrEnum):
    """The direction of a connection as its subject sees it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Action(StrEnum):
    """What a rule says of the traffic that it matches; ClusterNetworkPolicy writes Accept."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"
    """On to the next tier."""
    LOG = "log"
    """Nothing is decided: recorded, and on to the next rule."""


class Unreadable(msgspec.Struct, frozen=True):
    """A part of a policy that could not be understood, and where it stands."""

    reason: str
    path: Path = ()


# -- peers ---------------------------------------------------------------------------------------


class PodPeer(msgspec.Struct, frozen=True, tag="pods"):
    """Pods with an address of their own, in the namespaces selected; never host-network pods."""

    namespaces: LabelSelector
    pods: LabelSelector


class LabelPeer(msgspec.Struct, frozen=True, tag="labels"):
    """Endpoints whose labels, in the label space of the profile, meet an expression.

    The label space of `calico` (`label_space.calico_labels`): pods with a network of their own,
    the nodes that have a HostEndpoint (by that object's labels), and network sets, which stand
    for the addresses of their blocks and for their domain names. The label space of `cilium`
    (`label_space.cilium_labels`): pods with a network of their own, nodes and the outside (by
    `reserved:` labels).
    """

    expression: LabelExpression


class IpPeer(msgspec.Struct, frozen=True, tag="ip"):
    """Addresses of a block. What may stand behind them depends on the CNI profile."""

    cidr: str
    """Canonical: host bits zero, lower case."""
    excepts: tuple[str, ...] = ()


class NodePeer(msgspec.Struct, frozen=True, tag="nodes"):
    """Nodes by their labels (and so the host-network pods on them)."""

    nodes: LabelSelector


class Entity(StrEnum):
    """Cilium's entities that stand for something a question can name.

    Source: Cilium `pkg/policy/api/entity.go`.
    """

    HOST = "host"
    """The subject's own node, with its host-network pods."""
    REMOTE_NODE = "remote-node"
    """Any other node, with its host-network pods."""
    KUBE_APISERVER = "kube-apiserver"
    """The addresses behind the Service `default/kubernetes`: nodes or outside."""
    WORLD = "world"
    """Everything outside the cluster, of both families."""
    PODS = "pods"
    """All pods with a network of their own: what `cluster` holds of them."""


class EntityPeer(msgspec.Struct, frozen=True, tag="entity"):
    """One of Cilium's entities. `cluster` and `all` are written as an `AnyPeer` of several."""

    entity: Entity


class DomainPeer(msgspec.Struct, frozen=True, tag="domain"):
    """A domain name of the outside."""

    pattern: DomainPattern
    seen_by_proxy: bool = False
    """True: matches only if the subject's own egress rules send DNS through the proxy (Cilium
    learns addresses from no other answers)."""


class FamilyPeer(msgspec.Struct, frozen=True, tag="family"):
    """Whatever is reached over one IP family (Calico `ipVersion`)."""

    family: int


class AddressPeer(msgspec.Struct, frozen=True, tag="address"):
    """Whoever has an address of a block, be it a pod, a node or outside: what a mesh compares.

    A network policy's block is an `IpPeer`, whose meaning depends on the CNI profile.
    """

    cidr: str
    """Canonical: host bits zero, lower case."""


class PrincipalPeer(msgspec.Struct, frozen=True, tag="principal"):
    """Pods of a mesh by what they prove to be (`Membership.principal`).

    A peer that proves nothing has no principal: a rule with such a peer is limited to mTLS
    (`Layer7.mtls`) beside it.
    """

    pattern: Text


class MeshPeer(msgspec.Struct, frozen=True, tag="mesh"):
    """Pods that take part in a mesh by one of some data planes."""

    planes: tuple[DataPlane, ...]
    gateway: str | None = None
    """Only the proxies of this Gateway of the Gateway API; empty: only what is none; None: all."""
    waypoint: bool | None = None
    """Only waypoints, or only what is none; None: both."""
    default_inbound: str | None = None
    """Only what has this as its `Membership.default_inbound`; empty: only what says none; None:
    all."""


class ServicePeer(msgspec.Struct, frozen=True, tag="service"):
    """A Service.

    As a peer: what is sent by its address (`Connection.service`). As a subject: what its waypoint
    is to let through.
    """

    namespace: str
    name: str


class AllPeers(msgspec.Struct, frozen=True, tag="all"):
    """What every part matches; without parts: anything at all."""

    parts: tuple["Peer", ...] = ()


class AnyPeer(msgspec.Struct, frozen=True, tag="any"):
    """What at least one part matches; without parts: nothing."""

    parts: tuple["Peer", ...] = ()


class NotPeer(msgspec.Struct, frozen=True, tag="not-peer"):
    """What the part does not match."""

    part: "Peer"


Peer = (
    PodPeer
    | LabelPeer
    | IpPeer
    | NodePeer
    | EntityPeer
    | DomainPeer
    | FamilyPeer
    | AddressPeer
    | PrincipalPeer
    | MeshPeer
    | ServicePeer
    | AllPeers
    | AnyPeer
    | NotPeer
)

ANYONE = AllPeers()
NOBODY = AnyPeer()


def leaves(peer: Peer) -> tuple[Peer, ...]:
    """Return the peers that a combination is made of, itself where it is none."""
    match peer:
        case AllPeers() | AnyPeer():
            return tuple(leaf for part in peer.parts for leaf in leaves(part))
        case NotPeer():
            return leaves(peer.part)
        case _:
            return (peer,)


# -- traffic -------------------------------------------------------------------------------------


class PortRange(msgspec.Struct, frozen=True, tag="ports"):
    """Ports of one protocol, both ends included; 0-65535 stands for all of the protocol.

    For ICMP the number is 256 times the type plus the code: 2048-2303 is echo request, any code.
    """

    protocol: Protocol
    first: int = 0
    last: int = 65535
    family: int | None = None
    """4 or 6 where the protocol is of one family alone: ICMP is 4, ICMPv6 is 6."""


class NamedPort(msgspec.Struct, frozen=True, tag="named-port"):
    """A container port's name, resolved on the pod that the connection goes to."""

    name: str
    protocol: Protocol | None
    """None matches the name whatever protocol the container port declares."""


class Chain(StrEnum):
    """How a mesh's proxy reads what comes in at a port.

    Source: Istio `pkg/config/protocol/instance.go`, by a Service port's name and `appProtocol`.
    """

    HTTP = "http"
    TCP = "tcp"
    DETECTED = "detected"
    """As HTTP where it is, else as TCP."""


class ChainPort(msgspec.Struct, frozen=True, tag="chain-port"):
    """The TCP ports of the destination that its proxy reads in one way.

    Resolved on the pod that the connection goes to, from the Services that select it.
    """

    chain: Chain
    others: bool = False
    """Whether it is all TCP ports but those."""

    @property
    def protocol(self) -> Protocol:
        """Return TCP: the proxies of a mesh take nothing else."""
        return Protocol.TCP


class PortUse(StrEnum):
    """What Linkerd's proxy takes a port for."""

    IDENTITY = "identity"
    """Asks for an identity whatever the default policy: `Membership.identity_ports`."""
    OPAQUE = "opaque"
    """Not read above TCP where no Server says otherwise: `Membership.opaque`."""
    PROBE = "probe"
    """Has an HTTP probe of a path: `Membership.probes`."""


class ProxyPort(msgspec.Struct, frozen=True, tag="proxy-port"):
    """The TCP ports of the destination that its Linkerd proxy takes for something.

    Resolved on the pod that the connection goes to, from its `Membership`; none where it has none.
    """

    use: PortUse
    path: str = ""
    """Of the probe."""
    port: PortRange | NamedPort | None = None
    """Only those that this holds, too; None: all."""

    @property
    def protocol(self) -> Protocol:
        """Return TCP: the proxies of a mesh take nothing else."""
        return Protocol.TCP


Traffic = PortRange | NamedPort | ChainPort | ProxyPort


def of_a_mesh(part: Traffic) -> TypeError:
    """Return why a policy of the network cannot be written with traffic of a mesh's rules."""
    return TypeError(f"{part} is of a mesh: no policy of the network says it")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: all of (any peer), (any traffic), (any of `layer7`), less what the `not_…` say."""

    direction: Direction
    action: Action
    peers: tuple[Peer, ...] | None
    """None: any peer at all, also outside. Empty: no peer."""
    traffic: tuple[Traffic, ...] | None
    """None: all traffic of every protocol. Empty: none."""
    path: Path
    """Where in its document it stands, as `("spec", "ingress", 0)`."""
    not_traffic: tuple[Traffic, ...] = ()
    """What is taken from `traffic` (Calico `notPorts`, `notProtocol`, `notICMP`)."""
    layer7: tuple[Layer7, ...] | None = None
    """None: whatever is said above the port. Empty: nothing of it."""
    not_layer7: tuple[Layer7, ...] = ()
    """What is taken from `layer7` (Istio `notMethods`, `notPaths`; plaintext is what is not
    `Layer7(mtls=True)`)."""
    subjects: Peer | None = None
    """What the subject itself must match beside the policy's own subject (a Calico ingress rule
    may say things of its destination); None: nothing more."""
    parser: str = ""
    """What Cilium's proxy is to read the traffic as: `http`, `dns`, `tls`, `crd` (a listener of
    one's own), `kafka`, or another protocol's name; empty: it needs no proxy. Allow rules of one
    subject, direction, port and protocol that ask for different ones cannot be enforced together,
    except that `tls` yields to all but `dns` and `crd`."""
    confines: bool = False
    """True: what meets its peers and traffic, but not its `layer7`, is denied where no rule allows
    it, even if nothing isolates the subject (the proxy refuses it)."""
    authentication: str = ""
    """Cilium's `authentication.mode` where the rule says one: `required` (its `layer7` asks for it,
    too), `disabled`, or `test-always-fail`, which nothing passes. What such a rule matches up to
    the port needs it also by the allow rules that say none."""
    uncertain: str = ""
    """A condition that no question can settle (a source port): where all else matches, the rule
    matches perhaps, and this says why."""
    unreadable: Unreadable | None = None


# -- policies ------------------------------------------------------------------------------------


class Resolution(StrEnum):
    """How the policies of a tier that select a subject come to one answer."""

    FIRST_MATCH = "first-match"
    """By order, each policy's rules as written: the first match decides."""
    DENY_WINS = "deny-wins"
    """Any rule that denies, else any that allows; order means nothing."""


class Ties(StrEnum):
    """What becomes of policies of equal order in a tier of `FIRST_MATCH`."""

    OPEN = "open"
    """The specification leaves it open which comes first."""
    NAME = "name"
    """By `Policy.tie`, ascending: they are never equal."""
    DENY_FIRST = "deny-first"
    """Each policy's first match speaks for it; of these deny wins, then allow, then pass."""


class Layer(StrEnum):
    """What enforces: the layers judge apart, and all must allow."""

    NETWORK = "network"
    MESH = "mesh"


class Tier(msgspec.Struct, frozen=True, order=True):
    """An ordered group of policies; of one layer, tiers decide in the order (`order`, `name`)."""

    order: float
    """`math.inf` for a tier without an order of its own."""
    name: str
    resolution: Resolution = Resolution.FIRST_MATCH
    ties: Ties = Ties.OPEN
    unmatched: Action = Action.PASS
    """What a subject gets that the tier isolates and of which no rule decides: DENY or PASS."""
    layer: Layer = Layer.NETWORK


ADMIN = Tier(1, "admin")
NETWORK_POLICY = Tier(2, "network-policy", Resolution.DENY_WINS, unmatched=Action.DENY)
BASELINE = Tier(3, "baseline")
"""The tiers of the Kubernetes-native policies where the profile has none of its own for them."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy in common form.

    One document may make several: the `specs` of a Cilium policy, what a HostEndpoint implies.
    """

    document: int
    """Index into `Snapshot.documents`."""
    kind: str
    namespace: str
    name: str
    tier: Tier
    order: float = 0
    """Lower decides first; `math.inf` where there is none; no meaning in a tier of DENY_WINS."""
    tie: str = ""
    """What orders policies of equal order where the tier's ties are by name."""
    subject: Peer | None
    """What it applies to, of what the profile polices at all: pods with a network of their own,
    and nodes where the profile has host endpoints or a host firewall. None where it could not be
    understood: then any pod of the policy's namespace, or of the cluster where it has none,
    might be meant."""
    isolates: tuple[Direction, ...] = ()
    """Directions in which its subjects get the tier's `unmatched` where no rule decides. A
    direction in which it neither isolates nor has rules is not affected at all."""
    isolation_path: Path = ("spec",)
    """Where the document says so (`spec.policyTypes`), for evidence."""
    rules: tuple[Rule, ...] = ()
    forward: bool = False
    """Judges, beside what starts or ends at a host endpoint's node, what the node forwards for
    others: to its pods, and from them (Calico `applyOnForward`)."""
    staged: bool = False
    """Not enforced, only planned; only in `Snapshot.policies` where staged policies are asked
    for."""
    unreadable: tuple[Unreadable, ...] = ()
    """Parts outside any rule that could not be understood."""

    @property
    def ref(self) -> str:
        """Return `Kind/namespace/name`, or `Kind/name` where cluster-scoped."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)
