"""Calico's staged policies."""

from typing import Any

import pytest

from dialects.calico_documents import ALLOW, GLOBAL, OUT, context, document, policies
from ringfence import dialects
from ringfence.dialects import calico
from ringfence.model.document import Document
from ringfence.model.tiers import CALICO_DEFAULT

STAGED = [
    ("StagedNetworkPolicy", "NetworkPolicy"),
    ("StagedGlobalNetworkPolicy", GLOBAL),
]


def knp(name: str = "p", spec: Any = None) -> Document:
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec or {}}
    return Document("networking.k8s.io/v1", "NetworkPolicy", "shop", name, body, "k.yaml")


@pytest.mark.parametrize(("staged", "base"), STAGED)
def test_a_staged_policy_changes_nothing(staged: str, base: str) -> None:
    parsed = dialects.parse(context(document(staged, {"ingress": ALLOW}), document(base, {})))
    assert [p.kind for p in parsed.policies] == [document(base).title]
    (planned,) = parsed.staged
    assert planned.staged
    assert planned.kind == staged


@pytest.mark.parametrize(("staged", "base"), STAGED)
@pytest.mark.parametrize("action", [None, "Set", "Delete"])
def test_set_and_delete_take_the_place_of_the_policy_of_that_name(
    staged: str, base: str, action: str | None
) -> None:
    spec = {} if action is None else {"stagedAction": action}
    objects = document(staged, spec), document(base, {}), document(base, {}, "q")
    assert calico.replaced(context(*objects)) == {1}
    made = [p for p in policies(*objects, staged=True) if p.document == 0]
    assert len(made) == (action != "Delete")
    assert all(p.tie == f"p/{p.namespace}/{base}" for p in made)


@pytest.mark.parametrize("action", ["Learn", "Ignore"])
def test_learn_and_ignore_do_nothing(action: str) -> None:
    objects = document("StagedNetworkPolicy", {"stagedAction": action}), document("NetworkPolicy")
    assert calico.replaced(context(*objects)) == frozenset()
    assert [p.document for p in policies(*objects, staged=True)] == [1]


def test_names_are_compared_without_their_tier() -> None:
    objects = (
        document("StagedNetworkPolicy", {}, "default.p"),
        document("NetworkPolicy", {}, "p"),
        document("NetworkPolicy", {}, "p", namespace="other"),
    )
    assert calico.replaced(context(*objects)) == {1}


def test_a_staged_kubernetes_policy() -> None:
    spec = {"podSelector": {}, "policyTypes": ["Egress"]}
    planned = document("StagedKubernetesNetworkPolicy", spec)
    objects = planned, knp(), document("NetworkPolicy", {})
    assert calico.replaced(context(*objects)) == {1}
    (found,) = policies(planned, staged=True)
    assert (found.kind, found.tier, found.order) == (planned.kind, CALICO_DEFAULT, 1000)
    assert (found.isolates, found.staged) == ((OUT,), True)
    assert found.tie == "p/shop/KubernetesNetworkPolicy"


def test_a_staged_kubernetes_policy_that_deletes() -> None:
    deletes = document("StagedKubernetesNetworkPolicy", {"stagedAction": "Delete"})
    assert calico.replaced(context(deletes, knp())) == {1}
    assert [p.document for p in policies(deletes, staged=True)] == []


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("StagedNetworkPolicy", {"stagedAction": "set"}, ("spec", "stagedAction")),
        ("StagedNetworkPolicy", {"stagedAction": "Delete", "order": 1}, ("spec", "order")),
        ("StagedNetworkPolicy", {"stagedAction": "Ignore", "odd": 1}, ("spec", "odd")),
        ("StagedKubernetesNetworkPolicy", {"stagedAction": 1}, ("spec", "stagedAction")),
        ("StagedKubernetesNetworkPolicy", {"selector": ""}, ("spec", "selector")),
        (
            "StagedKubernetesNetworkPolicy",
            {"stagedAction": "Delete", "policyTypes": ["Egress"]},
            ("spec", "policyTypes"),
        ),
    ],
)
def test_staged_policies_that_cannot_be_understood(kind: str, spec: Any, path: Any) -> None:
    (found,) = policies(document(kind, spec), staged=True)
    assert found.staged
    assert [part.path for part in found.unreadable] == [path]
    assert calico.replaced(context(document(kind, spec), document("NetworkPolicy"))) <= {1}
