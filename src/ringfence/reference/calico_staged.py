"""Calico's staged policies: planned, and of no effect unless they are asked for.

Source: Calico `api/pkg/apis/projectcalico/v3/stagednetworkpolicy.go` (StagedAction,
ConvertStagedPolicyToEnforced) and its siblings.
"""

from ringfence.model.document import Document
from ringfence.model.snapshot import Snapshot
from ringfence.reference import calico_objects, calico_policies
from ringfence.reference.composition import enforced_kinds
from ringfence.reference.schema import NotUnderstoodError

_STAGED = {
    "StagedNetworkPolicy": "NetworkPolicy.projectcalico.org",
    "StagedGlobalNetworkPolicy": "GlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy": "NetworkPolicy",
}
OWN_KINDS = frozenset({"NetworkPolicy.projectcalico.org", "GlobalNetworkPolicy"})


def enforced(snapshot: Snapshot) -> list[Document]:
    """Return the policies that count, staged ones among them where they are asked for.

    A staged policy whose action is Set then stands in place of the enforced one of its name; one
    whose action is Delete removes it; the other actions do nothing.

    Source: V3 StagedAction; NPA `site-src/implementations.md` for Kubernetes' own kinds.
    """
    kinds = OWN_KINDS | enforced_kinds(snapshot.profile)
    found = calico_objects.of_title(snapshot, *kinds)
    if not snapshot.staged:
        return found
    for document in calico_objects.of_title(snapshot, *_STAGED):
        action = _staged_action(document)
        if action not in ("Set", "Delete", ""):
            continue
        if action:
            found = [one for one in found if not _is_same(one, document)]
        if action != "Delete":
            found.append(document)
    return found


def _staged_action(document: Document) -> str:
    """Return what is to become of a staged policy; empty if that could not be understood."""
    spec = document.body.get("spec")
    named = spec.get("stagedAction") if isinstance(spec, dict) else None
    if named in (None, ""):
        return "Set"
    return named if named in ("Set", "Delete", "Learn", "Ignore") else ""


def check_action(document: Document) -> None:
    """Hold that it is known what is to become of a policy.

    Raises:
        NotUnderstoodError: it is not.
    """
    if document.title in _STAGED and not _staged_action(document):
        raise NotUnderstoodError("is no action that is known", ("spec", "stagedAction"))


def _is_same(document: Document, staged: Document) -> bool:
    return (document.title, document.namespace, calico_policies.base_name(document)) == (
        _STAGED[staged.title],
        staged.namespace,
        calico_policies.base_name(staged),
    )
