"""What staged policies would make of a connection, if they were enforced."""

from collections.abc import Callable

from ringfence.assemble.building import rejudged
from ringfence.model.profile import Cni
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement

STAGED = "Staged"


def staged_changes(
    snapshot: Snapshot, now: Judgement, judge: Callable[[Snapshot], list[Judgement]]
) -> tuple[str, ...]:
    """Return what enforcing the staged policies would change, one sentence each.

    Args:
        snapshot: the cluster.
        now: the verdict as it is.
        judge: gives the verdicts on the same connection in another state of the cluster.

    Source: docs.tigera.io "Stage, preview impacts, and enforce policy": nothing is enforced of
    them; Calico `api/pkg/apis/projectcalico/v3/stagednetworkpolicy.go` (StagedAction).
    """
    planned = any(document.kind.startswith(STAGED) for document in snapshot.documents)
    if snapshot.staged or not planned or snapshot.profile.cni is not Cni.CALICO:
        return ()
    found = []
    for then in judge(rejudged(snapshot, snapshot.documents, staged=True)):
        if (then.verdict, then.limited_to) == (now.verdict, now.limited_to):
            continue
        names = [e.object for e in then.evidence if e.object and e.object.startswith(STAGED)]
        who = " and ".join(dict.fromkeys(names)) or "the staged policies"
        verb = {"allow": "allow", "deny": "deny"}.get(then.verdict.value, "leave unknown")
        if then.verdict is now.verdict:
            verb = "allow something else of"
        found.append(f"{who} would {verb} it")
    return tuple(dict.fromkeys(found))
