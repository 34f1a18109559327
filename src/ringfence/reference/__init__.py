"""The literal judge: each specification transcribed from its own documents, one file per dialect.

It reads the policies' manifests as they were written, one connection at a time, and nothing here
is made to be fast: the files are meant to be read beside the specifications that they quote.

- `ends`, `exemptions`: who the ends are; what no policy can forbid
- `side`, `composition`, `findings`, `outcome`: one side of a connection, tier by tier, and what
  may come of it
- `network_policy`; `cluster_network_policy`, `admin_network_policy`, and what they share:
  `cluster_rules`, `peers`
- `calico`, `calico_*`: the profile `calico`, whose policies are in `calico_policies`, their rules
  in `calico_rules`
- `cilium`, `cilium_*`: the profile `cilium`, whose policies are in `cilium_policy`, how they come
  together in `cilium_normal` and `cilium_cluster`
- `addresses`, `ports`, `selectors`, `schema`: what the manifests of several kinds have in common
"""

from ringfence.model.connection import Connection
from ringfence.model.profile import Cni
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
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


def judge(snapshot: Snapshot, connection: Connection) -> Judgement:
    """Return the verdict on one connection: egress of its source AND ingress of its destination.

    Each side is judged only if that end is a pod with a network of its own, and each allows
    unless something says otherwise. A pod always reaches itself, and its own node reaches it,
    whatever the policies say, and so also where they could not be read; but for Cilium, whose
    policies can deny the node.

    Source: kubernetes.io "Network Policies", "The two sorts of pod isolation" (for a connection
    to be allowed, both the egress policy on the source and the ingress policy on the destination
    need to allow it); KNP `pkg/networkpolicy/engine.go`.

    Args:
        snapshot: the cluster; its `documents` are judged, not its `policies`.
        connection: what is asked, its ends resolved as the kernel sees them.
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
            egress, ingress = (_unless_itself(found) for found in (egress, ingress))
    verdict, because = egress.verdict & ingress.verdict, egress.because + ingress.because
    if verdict is Verdict.ALLOW and egress.limits and ingress.limits:
        verdict, because = Verdict.UNKNOWN, (*because, TWO_LIMITS)
    return Judgement(
        verdict=verdict,
        egress=egress.verdict,
        ingress=ingress.verdict,
        evidence=egress.evidence + ingress.evidence,
        unknown_because=tuple(dict.fromkeys(because)),
        limited_to=(egress.limits or ingress.limits) if verdict is Verdict.ALLOW else (),
        notes=tuple(sorted(notes)),
    )


def _unless_itself(side: Side) -> Side:
    """Return unknown for a deny, of all or of some, between pods that may be one and the same."""
    if side.verdict is not Verdict.DENY and not side.limits:
        return side
    return Side(Verdict.UNKNOWN, side.evidence, (*side.because, REPLICAS))
