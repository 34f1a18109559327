"""Staged Kubernetes NetworkPolicies, and what staged policies would take the place of.

Authority: Calico `api/pkg/apis/projectcalico/v3/{stagednetworkpolicy,stagedglobalnetworkpolicy,
stagedkubernetesnetworkpolicy}.go`, ConvertStaged….
"""

from typing import Final

import msgspec

from ringfence.dialects import Context, kubernetes
from ringfence.dialects import _calico_policies as policies
from ringfence.dialects import _calico_tiers as tiers
from ringfence.dialects._shared import Malformed
from ringfence.model.document import Document
from ringfence.model.rule import Policy, Unreadable

KUBERNETES: Final = "StagedKubernetesNetworkPolicy"
ENFORCED: Final = {
    "StagedNetworkPolicy": "NetworkPolicy.projectcalico.org",
    "StagedGlobalNetworkPolicy": "GlobalNetworkPolicy",
    KUBERNETES: "NetworkPolicy",
}
"""Per kind that is staged, the kind of policy that it would become."""


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return a staged Kubernetes NetworkPolicy in common form; none where it enforces nothing."""
    spec = document.body.get("spec")
    action = "Set"
    unreadable: tuple[Unreadable, ...] = ()
    body = document.body
    if isinstance(spec, dict):
        body = {
            **body,
            "spec": {key: value for key, value in spec.items() if key != "stagedAction"},
        }
        try:
            action = policies.staged_action(spec)
            if action == "Delete":
                policies.only_named(spec, ("stagedAction",))
        except Malformed as malformed:
            unreadable = (malformed.unreadable,)
    plain = msgspec.structs.replace(document, body=body)
    (policy,) = kubernetes.parse(index, plain, context)
    tie = tiers.tie(
        "KubernetesNetworkPolicy", document.namespace, document.name, "default", context.profile
    )
    policy = msgspec.structs.replace(policy, kind=document.title, tie=tie)
    return policies.planned(policy, action, (*policy.unreadable, *unreadable))


def replaced(context: Context) -> frozenset[int]:
    """Return the indexes of the documents that staged policies would replace or delete.

    Names are compared without the `default.` before them, as they were stored before 3.32.
    """
    taken = {
        (ENFORCED[title], document.namespace, _bare(document))
        for title in ENFORCED
        for _, document in context.by_title.get(title, ())
        if _action(document) in ("Set", "Delete")
    }
    return frozenset(
        index
        for title in ENFORCED.values()
        for index, document in context.by_title.get(title, ())
        if (title, document.namespace, _bare(document)) in taken
    )


def _action(document: Document) -> str:
    try:
        return policies.staged_action(policies.spec_of(document))
    except Malformed:
        return ""


def _bare(document: Document) -> str:
    own = document.title not in (KUBERNETES, ENFORCED[KUBERNETES])
    return document.name.removeprefix(f"{tiers.DEFAULT}.") if own else document.name
