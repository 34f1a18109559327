"""The judge of Cilium's profile: its own policies, and Kubernetes' as Cilium reads them.

Tiers: ClusterNetworkPolicy Admin; then CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy and
NetworkPolicy together, of which a deny wins whatever else allows; then ClusterNetworkPolicy
Baseline; then what is left to the default. From its own node a pod is reached unless a rule denies
that.

Source: Cilium `pkg/policy/{repository,rule,l4,mapstate}.go`, `pkg/policy/types/policyentry.go`,
`Documentation/security/policy/{intro,deny,layer7}.rst`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ringfence.model.document import path_text
from ringfence.model.profile import CiliumConfig, Enforcement
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference import (
    cilium_cluster,
    cilium_policy,
    cluster_network_policy,
    network_policy,
)
from ringfence.reference.cilium_answers import once
from ringfence.reference.cilium_conflicts import conflicts
from ringfence.reference.cilium_normal import Found, decide
from ringfence.reference.cilium_policy import CLUSTERWIDE, NAMESPACED, Reading
from ringfence.reference.composition import CLUSTER, NETWORK_POLICY, enforced_kinds
from ringfence.reference.ends import Approach, Host, OwnPod
from ringfence.reference.exemptions import share_node
from ringfence.reference.findings import Side, blind_spots, plain, unsettled
from ringfence.reference.outcome import Outcome, Possible, Selected, evidence, not_understood
from ringfence.reference.schema import NotUnderstoodError

FLAG = "it is not known whether `enable-k8s-cluster-network-policy` is on"
NODES = "whether `{}` is the node that `{}` runs on is not known, and rules tell the two apart"
AUDIT = "policy-audit-mode: what policies deny is logged, and passes all the same"
NEVER = "never enforced"
_UNDECIDED = (Outcome.PASS, Outcome.NONE)


def judge_side(snapshot: Snapshot, here: Approach) -> Side:
    """Return what may be said of the connection in one direction of its subject.

    Subjects are pods with a network of their own, and with the host firewall nodes. Nothing is
    enforced where the mode is `never`. Where it is not known whether the peer is the subject's own
    node, both are judged, and where they differ nothing can be said.

    Source: Cilium `pkg/policy/repository.go` computePolicyEnforcementAndRules.
    """
    settings = snapshot.profile.cilium or CiliumConfig()
    one_node: bool | None = False
    if here.connection is not None and isinstance(here.peer, Host):
        ends = (here.connection.source, here.connection.destination)
        subject, peer = ends if here.direction is Direction.EGRESS else ends[::-1]
        one_node = share_node(snapshot, subject, peer)
    here = replace(here, cilium=settings, one_node=one_node)
    host = isinstance(here.subject, Host)
    unjudged = host and not settings.host_firewall
    if unjudged or not isinstance(here.subject, OwnPod | Host):
        return plain(here.direction, "default")
    if settings.enforcement is Enforcement.NEVER:
        return plain(here.direction, NEVER)
    if host and one_node:
        return plain(here.direction, "self")
    if one_node is not None:
        return _judge(snapshot, here, localhost=one_node)
    other = _judge(snapshot, replace(here, one_node=False), localhost=False)
    own = plain(here.direction, "self")
    if not host:
        own = _judge(snapshot, replace(here, one_node=True), localhost=False)
    if (own.verdict, own.limits) == (other.verdict, other.limits):
        return other
    # What the own node is allowed by no rule makes no difference where another is allowed; where
    # that is denied, they are taken to be two, as everywhere.
    let_in = _judge(snapshot, replace(here, one_node=True), localhost=True)
    by_rule = own.verdict is Verdict.ALLOW and any(piece.object for piece in own.evidence)
    two = other.verdict is Verdict.ALLOW or (other.verdict is Verdict.DENY and not by_rule)
    let_in_anyway = not host and here.direction is Direction.INGRESS
    if two and let_in_anyway and let_in.verdict is Verdict.ALLOW:
        return other
    reason = NODES.format(here.peer.name, here.subject.name)
    return Side(Verdict.UNKNOWN, tuple(dict.fromkeys(own.evidence + other.evidence)), (reason,))


@dataclass(frozen=True)
class _Policies:
    """What selects the subject."""

    selected: list[Selected]
    """Of Kubernetes' kinds."""
    readings: list[Reading]
    """Of Cilium's own."""
    blind: list[tuple[Evidence, str]]
    """What cannot be seen past."""


def _judge(snapshot: Snapshot, here: Approach, *, localhost: bool) -> Side:
    """Return what the policies say, it being known whether the peer is the subject's own node.

    Args:
        snapshot: the cluster.
        here: the connection.
        localhost: whether the peer is the own node in truth, not for the sake of argument.
    """
    may_localhost = (
        localhost
        and here.direction is Direction.INGRESS
        and here.cilium.local_host_allowed
        and isinstance(here.subject, OwnPod)
    )
    policies = _policies(snapshot, here, deny_only=may_localhost)
    blind = [*blind_spots(snapshot, here), *policies.blind]
    if blind:
        return unsettled(blind)
    clash = conflicts(policies.readings, here, snapshot.profile.version)
    if clash:
        return unsettled(clash)
    found = _tiers(policies, here, snapshot, may_localhost=may_localhost)
    return _side(found, here)


def _policies(snapshot: Snapshot, here: Approach, *, deny_only: bool) -> _Policies:
    """Return the policies that select the subject, and those of which that cannot be told.

    Args:
        snapshot: the cluster.
        here: the connection.
        deny_only: only those that can deny matter, so that no NetworkPolicy does.
    """
    enforced = enforced_kinds(snapshot.profile)
    found = _Policies([], [], [])
    for document in snapshot.documents:
        try:
            if document.title in (NAMESPACED, CLUSTERWIDE):
                reading = cilium_policy.read(document, here, snapshot)
                if reading is not None:
                    found.readings.append(reading)
            elif document.title in enforced and isinstance(here.subject, OwnPod):
                policy = None
                if document.title == CLUSTER:
                    policy = cluster_network_policy.select(document, here.subject)
                    if policy:
                        cilium_cluster.hold(policy, here)
                    if policy and snapshot.profile.cluster_network_policy is None:
                        raise NotUnderstoodError(FLAG, ("spec",))
                elif document.title == NETWORK_POLICY and not deny_only:
                    policy = network_policy.select(document, here.subject, here.cni)
                if policy:
                    found.selected.append(policy)
        except NotUnderstoodError as error:
            where = path_text(error.path)
            piece = evidence(document, here.direction, "unknown", where, error.path)
            found.blind.append((piece, not_understood(document, error)))
    return found


def _tiers(
    policies: _Policies, here: Approach, snapshot: Snapshot, *, may_localhost: bool
) -> list[Found]:
    """Return every outcome that is possible, tier by tier."""

    def cluster(*, baseline: bool) -> list[Found]:
        chosen = [
            policy
            for policy in policies.selected
            if policy.document.title == CLUSTER and policy.baseline == baseline
        ]
        return cilium_cluster.decide(chosen, here, snapshot.profile.version)

    tiers: list[Callable[[], list[Found]]] = [
        lambda: cluster(baseline=False),
        lambda: decide(
            [p for p in policies.selected if p.document.title == NETWORK_POLICY],
            policies.readings,
            here,
            snapshot.profile.version,
            may_localhost=may_localhost,
            learns_names=cilium_cluster.learns_names(
                [p for p in policies.selected if p.document.title == CLUSTER], here
            ),
        ),
        lambda: cluster(baseline=True),
    ]
    decided: list[Found] = []
    passed: list[Possible] = []
    for tier in tiers:
        answers = tier()
        decided += [one for one in answers if one.possible.outcome not in _UNDECIDED]
        passed += [one.possible for one in answers if one.possible.outcome is Outcome.PASS]
        if not any(one.possible.outcome in _UNDECIDED for one in answers):
            break
    else:
        rule = "own node" if may_localhost else "default"
        piece = Evidence("network", here.direction.value, "allow", None, rule)
        decided.append(Found(Possible(Outcome.ALLOW, (piece,))))
    skipped = tuple(piece for one in passed for piece in one.evidence)
    reasons = tuple(reason for one in passed for reason in one.because)
    return [
        replace(
            one,
            possible=Possible(
                one.possible.outcome,
                skipped + one.possible.evidence,
                reasons + one.possible.because,
            ),
        )
        for one in decided
    ]


def _side(found: list[Found], here: Approach) -> Side:
    """Return the verdict on all that is possible.

    An allow with limits is one of its own: beside a deny by default, what is limited is allowed;
    beside anything that is only possible, nothing can be said.
    """
    limits = tuple(limit for one in found for limit in one.limits)
    outcomes = {one.possible.outcome for one in found if not one.limits}
    reasons = [reason for one in found for reason in one.possible.because]
    pieces = tuple(dict.fromkeys(piece for one in found for piece in one.possible.evidence))
    if outcomes == {Outcome.ALLOW}:
        allowed = tuple(
            dict.fromkeys(p for one in found if not one.limits for p in one.possible.evidence)
        )
        return Side(Verdict.ALLOW, allowed)
    if outcomes == {Outcome.DENY} and not limits:
        refused = any(one.refused for one in found)
        if here.cilium.audit and not refused:
            here.notes.add(AUDIT)
            return Side(Verdict.ALLOW, pieces)
        return Side(Verdict.DENY, pieces)
    if outcomes == {Outcome.DENY} and not reasons:
        allowing = [one for one in found if one.limits]
        pieces = tuple(dict.fromkeys(p for one in allowing for p in one.possible.evidence))
        return Side(Verdict.ALLOW, pieces, (), tuple(once(list(limits))))
    if here.cilium.audit and not limits and not any(one.refused for one in found):
        here.notes.add(AUDIT)
        return Side(Verdict.ALLOW, pieces)
    return Side(Verdict.UNKNOWN, pieces, tuple(dict.fromkeys(reasons)))
