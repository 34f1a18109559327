"""Which of Calico's policies count: of the staged ones none, unless they are asked for.

Source: Calico `api/pkg/apis/projectcalico/v3/stagednetworkpolicy.go` (StagedAction,
ConvertStagedPolicyToEnforced) and its siblings.
"""

from ringfence.model.document import Document, path_text
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence
from ringfence.reference import calico_objects, calico_policies
from ringfence.reference.calico_ends import Known
from ringfence.reference.calico_policies import Standing, Subject
from ringfence.reference.composition import enforced_kinds
from ringfence.reference.ends import Approach
from ringfence.reference.outcome import evidence, not_understood
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


def selecting(
    documents: list[Document], subject: Subject, here: Approach, all_: Known
) -> tuple[list[Standing], list[tuple[Evidence, str]]]:
    """Return which of the policies that count select a subject, and what cannot be told of them.

    Args:
        documents: the policies (`enforced`).
        subject: a pod or a host endpoint.
        here: the connection.
        all_: what has labels.
    """
    selected: list[Standing] = []
    blind: list[tuple[Evidence, str]] = []
    for document in documents:
        try:
            policy = calico_policies.select(document, subject, all_)
            if policy:
                check_action(document)
        except NotUnderstoodError as error:
            piece = evidence(document, here.direction, "unknown", path_text(error.path), error.path)
            blind.append((piece, not_understood(document, error)))
            continue
        if policy:
            selected.append(policy)
    return selected, blind


def _is_same(document: Document, staged: Document) -> bool:
    return (document.title, document.namespace, calico_policies.base_name(document)) == (
        _STAGED[staged.title],
        staged.namespace,
        calico_policies.base_name(staged),
    )
