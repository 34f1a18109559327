"""The network layer's verdict on one connection: both sides of it, by the profile's policies."""

from dataclasses import dataclass

from ringfence.model.connection import Connection
from ringfence.model.profile import Cni
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.reference.ends import Approach, OwnPod, Party, family_of, party_of
from ringfence.reference.exemptions import from_own_node, is_itself
from ringfence.reference.findings import Side, plain
from ringfence.reference.side import judge_side

INERT = "nothing enforces policies on this cluster"
OWN_NODE = "its own node always reaches a pod; on which node this one runs is not known"
TWO_LIMITS = (
    "both sides are limited above the port, and this judge knows of one request at a time: "
    "ask with a request"
)
REPLICAS = "a pod always reaches itself; other replicas are denied"


@dataclass(frozen=True)
class BothSides:
    """What was found for the two directions of a connection, and what a reader must know."""

    egress: Side
    ingress: Side
    notes: frozenset[str] = frozenset()

    @property
    def verdict(self) -> Verdict:
        """Return what both allow; unknown where both are limited, each in a way of its own."""
        both = self.egress.verdict & self.ingress.verdict
        if both is Verdict.ALLOW and self.egress.limits and self.ingress.limits:
            return Verdict.UNKNOWN
        return both

    @property
    def because(self) -> tuple[str, ...]:
        """Return why it is unknown."""
        because = self.egress.because + self.ingress.because
        if self.egress.verdict & self.ingress.verdict is not self.verdict:
            because = (*because, TWO_LIMITS)
        return tuple(dict.fromkeys(because))


def judge_network(snapshot: Snapshot, connection: Connection) -> BothSides:
    """Return what the policies say of both sides of a connection.

    Each side is judged only if that end is a pod with a network of its own, and each allows
    unless something says otherwise. A pod always reaches itself, and its own node reaches it,
    whatever the policies say, and so also where they could not be read; but for Cilium, whose
    policies can deny the node.

    Source: kubernetes.io "Network Policies", "The two sorts of pod isolation" (for a connection
    to be allowed, both the egress policy on the source and the ingress policy on the destination
    need to allow it); KNP `pkg/networkpolicy/engine.go`.
    """
    family = family_of(snapshot, connection)
    source = party_of(snapshot, connection.source, family)
    destination = party_of(snapshot, connection.destination, family)
    notes: set[str] = set()

    def side(direction: Direction, subject: Party, peer: Party) -> Side:
        here = Approach(
            direction=direction,
            subject=subject,
            peer=peer,
            protocol=connection.protocol,
            port=connection.port,
            family=family,
            cni=snapshot.profile.cni,
            nodes=snapshot.nodes,
            request=connection.request,
            connection=connection,
            notes=notes,
        )
        return judge_side(snapshot, here)

    itself = is_itself(snapshot, connection)
    if snapshot.profile.cni is Cni.NONE:
        notes.add(INERT)
        egress, ingress = (plain(way, "default") for way in (Direction.EGRESS, Direction.INGRESS))
    elif itself:
        egress, ingress = (plain(way, "self") for way in (Direction.EGRESS, Direction.INGRESS))
    else:
        egress = side(Direction.EGRESS, source, destination)
        local = isinstance(destination, OwnPod) and from_own_node(snapshot, connection)
        if local and snapshot.profile.cni is not Cni.CILIUM:
            ingress = plain(Direction.INGRESS, "own node")
        else:
            ingress = side(Direction.INGRESS, destination, source)
            if local is None and ingress.verdict is not Verdict.ALLOW:
                notes.add(OWN_NODE)
        if itself is None:
            egress, ingress = (unless_itself(found) for found in (egress, ingress))
    return BothSides(egress, ingress, frozenset(notes))


def unless_itself(side: Side) -> Side:
    """Return unknown for a deny, of all or of some, between pods that may be one and the same."""
    if side.verdict is not Verdict.DENY and not side.limits:
        return side
    return Side(Verdict.UNKNOWN, side.evidence, (*side.because, REPLICAS))
