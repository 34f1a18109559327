"""One side of a connection: what may be said of a pod's ingress or egress, and from what."""

from ringfence.model import kinds
from ringfence.model.document import Document, path_text
from ringfence.model.profile import Cni
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference import (
    admin_network_policy,
    calico,
    cilium,
    cluster_network_policy,
    network_policy,
)
from ringfence.reference.composition import (
    ADMIN,
    BASELINE,
    CLUSTER,
    NETWORK_POLICY,
    decide,
    enforced_kinds,
)
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.findings import Side, blind_spots, plain, unsettled
from ringfence.reference.outcome import Outcome, Selected, evidence, not_understood
from ringfence.reference.schema import NotUnderstoodError


def judge_side(snapshot: Snapshot, here: Approach) -> Side:
    """Return what the policies that select the subject say of the connection in one direction.

    Only pods with a network of their own are subjects, but for what a profile's own policies
    select beside them.
    """
    if snapshot.profile.cni is Cni.CALICO:
        return calico.judge_side(snapshot, here)
    if here.cni is Cni.CILIUM:
        return cilium.judge_side(snapshot, here)
    if not isinstance(here.subject, OwnPod):
        return plain(here.direction, "default")
    return judge_pod(snapshot, here, here.subject)


def judge_pod(snapshot: Snapshot, here: Approach, pod: OwnPod) -> Side:
    """Return what Kubernetes' own policies say of the connection in one direction of a pod.

    Nothing can be said where policies may exist that could not be read, or where of a policy
    that selects the pod (or may) something was not understood that concerns all of it.
    """
    blind = blind_spots(snapshot, here)
    selected: list[Selected] = []
    for document in enforced(snapshot):
        try:
            policy = select(document, pod, snapshot.profile.cni)
        except NotUnderstoodError as error:
            where = path_text(error.path)
            piece = evidence(document, here.direction, "unknown", where, error.path)
            blind.append((piece, not_understood(document, error)))
            continue
        if policy:
            selected.append(policy)
    if blind:
        return unsettled(blind)
    found = decide(selected, here)
    outcomes = {one.outcome for one in found}
    if outcomes == {Outcome.ALLOW}:
        verdict = Verdict.ALLOW
    elif outcomes == {Outcome.DENY}:
        verdict = Verdict.DENY
    else:
        verdict = Verdict.UNKNOWN
    pieces = [piece for one in found for piece in one.evidence]
    reasons = [reason for one in found for reason in one.because]
    return _side(verdict, pieces, reasons if verdict is Verdict.UNKNOWN else [])


def _side(verdict: Verdict, pieces: list[Evidence], reasons: list[str]) -> Side:
    return Side(verdict, tuple(dict.fromkeys(pieces)), tuple(dict.fromkeys(reasons)))


def enforced(snapshot: Snapshot) -> list[Document]:
    """Return the policies of the kinds that the profile enforces."""
    names = enforced_kinds(snapshot.profile)
    found = []
    for document in snapshot.documents:
        kind = kinds.find(document.api_version, document.kind)
        if kind is not None and kind.policy and kind.title in names:
            found.append(document)
    return found


def select(document: Document, pod: OwnPod, cni: Cni) -> Selected | None:
    """Return a policy, of whichever kind, if it selects the pod.

    Raises:
        NotUnderstoodError: whether it does cannot be told.
    """
    match document.kind:
        case kind if kind == NETWORK_POLICY:
            return network_policy.select(document, pod, cni)
        case kind if kind == CLUSTER:
            return cluster_network_policy.select(document, pod)
        case kind if kind == ADMIN:
            return admin_network_policy.select_admin(document, pod)
        case kind if kind == BASELINE:
            return admin_network_policy.select_baseline(document, pod)
        case other:
            raise ValueError(f"`{other}` is no kind of policy")
