"""Why something is unknown, in words, with the place in the input that is to blame."""

from collections.abc import Iterator
from typing import Final

from ringfence.engine.classes import Classes
from ringfence.engine.proxy import Clash
from ringfence.engine.rules import CompiledRule
from ringfence.model.document import path_text
from ringfence.model.rule import (
    AddressPeer,
    ChainPort,
    Direction,
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    Layer,
    NodePeer,
    leaves,
)
from ringfence.model.verdict import Evidence

CHAINS: Final = "Services disagree on whether the port is HTTP, and so on how the proxy reads it"


def why_perhaps(
    classes: Classes, compiled: CompiledRule, other: str, *, peer: bool, own: bool
) -> str:
    """Return why a rule matches only perhaps.

    Args:
        classes: to which it was compiled.
        compiled: the rule.
        other: what the other end is called.
        peer: whether it is its peers of which that is not known.
        own: whether it is what it says of the subject itself.
    """
    snapshot = classes.snapshot
    document = snapshot.documents[compiled.policy.document]
    rule = compiled.rule
    where = f"{document.ref} {path_text(rule.path).removeprefix('spec.')}"
    if rule.unreadable:
        at = document.location_of(rule.unreadable.path)
        return f"{where} could not be understood: {rule.unreadable.reason} ({at})"
    if rule.uncertain:
        return f"{where}: {rule.uncertain}"
    if own and not peer:
        return f"{where}: whether it applies to the subject is not known"
    if not peer:
        unsure = 0
        for share in compiled.shares:
            unsure |= share.perhaps
        told = "; ".join(classes.traffic.why_undecided(unsure or classes.traffic.everything))
        if any(isinstance(p, ChainPort) for p in (*(rule.traffic or ()), *rule.not_traffic)):
            return f"{where}: {told or CHAINS}"
        return f"{where}: what it says above the port could not be told apart: {told}"
    parts = [leaf for each in rule.peers or () for leaf in leaves(each)]
    if any(isinstance(part, NodePeer) for part in parts):
        return f"{where}: the node of {other} is not known"
    if any(isinstance(p, EntityPeer) and p.entity is Entity.KUBE_APISERVER for p in parts):
        return (
            f"{where}: whether {other} is an API server is not known: the EndpointSlice of "
            "Service default/kubernetes is not in the input"
        )
    blocks = ", ".join(part.cidr for part in parts if isinstance(part, IpPeer | AddressPeer))
    if not blocks and any(isinstance(part, LabelPeer) for part in parts):
        broken = [found.name for found in snapshot.network_sets if found.unreadable]
        if broken:
            return f"{where}: network set {', '.join(broken)} could not be understood"
        return f"{where}: whether it selects {other} is not known"
    hint = "; --pod-cidr settles it" if snapshot.pod_cidrs_assumed else ""
    return f"{where}: whether {blocks} holds {other} is not known: no address{hint}"


def why_unreadable(
    classes: Classes,
    subject: int,
    direction: Direction,
    *,
    denying_only: bool = False,
    layer: Layer = Layer.NETWORK,
) -> Iterator[tuple[str, Evidence | None]]:
    """Yield why nothing can be said of a class of subjects, with the evidence if there is any.

    Args:
        classes: that the subject is of.
        subject: the class.
        direction: which side the subject is on.
        denying_only: whether only policies matter that have rules which deny.
        layer: which policies matter.
    """
    if not classes.unreadable[layer] >> subject & 1:
        return
    snapshot = classes.snapshot
    for compiled in classes.policies:
        policy = compiled.policy
        if policy.tier.layer is not layer or (denying_only and policy.kind == "NetworkPolicy"):
            continue
        document = snapshot.documents[policy.document]
        selected = (compiled.subjects | compiled.perhaps) >> subject & 1
        if selected and (policy.unreadable or policy.subject is None):
            for part in policy.unreadable:
                at = document.location_of(part.path)
                yield (
                    f"{policy.ref} could not be understood: {part.reason} ({at})",
                    Evidence(
                        layer.value,
                        direction.value,
                        "unknown",
                        policy.ref,
                        path_text(part.path) or "spec",
                        at.file,
                        at.line,
                    ),
                )
        elif compiled.perhaps >> subject & 1:
            at = document.location_of(("spec",))
            yield f"whether {policy.ref} selects it is not known ({at})", None
    for spot, concerned in zip(snapshot.blind_spots, classes.blind, strict=True):
        if concerned >> subject & 1:
            yield f"{spot.because} ({spot.location})", None


def why_clashing(
    classes: Classes, clash: Clash, direction: Direction
) -> Iterator[tuple[str, Evidence | None]]:
    """Yield why rules cannot be enforced together, with the place of each."""
    for compiled in clash.rules:
        document = classes.snapshot.documents[compiled.policy.document]
        rule = path_text(compiled.rule.path).removeprefix("spec.")
        at = document.location_of(compiled.rule.path)
        why = (
            f"{document.ref} {rule} cannot be enforced together with another rule for the same "
            f"peer and port ({clash.why}): what policy Cilium has then is not known ({at})"
        )
        piece = Evidence(
            "network", direction.value, "unknown", document.ref, rule, at.file, at.line
        )
        yield why, piece
