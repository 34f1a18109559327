import pytest

from ringfence.learn.accounts import OwnAccounts
from ringfence.learn.wishes import Naming, Wishes
from written_maps import cluster, workload

KEYS = {
    "calico": ("projectcalico.org/namespace", "projectcalico.org/serviceaccount"),
    "cilium": ("io.kubernetes.pod.namespace", "io.cilium.k8s.policy.serviceaccount"),
}


def under(account: str, name: str) -> str:
    return workload(name).replace("containers:", f"serviceAccountName: {account}, containers:")


def accounts(text: str, dialect: str = "calico") -> dict[str, bool]:
    snapshot = cluster(text)
    found = OwnAccounts(snapshot, Wishes(dialect=dialect, identity=Naming.SERVICE_ACCOUNTS))
    return {w.ref: found.of(number) is not None for number, w in enumerate(snapshot.workloads)}


def test_an_account_of_its_own_is_one_that_nothing_else_uses() -> None:
    text = under("one", "a/x") + under("two", "a/v") + under("two", "a/z") + under("one", "b/x")
    assert accounts(text) == {"a/x": True, "a/v": False, "a/z": False, "b/x": True}


def test_the_default_account_is_nobodys_own() -> None:
    assert accounts(workload("a/x")) == {"a/x": False}


@pytest.mark.parametrize("dialect", ["calico", "cilium"])
def test_it_is_said_in_the_label_space_of_the_language(dialect: str) -> None:
    snapshot = cluster(under("one", "a/x"))
    wishes = Wishes(dialect=dialect, identity=Naming.SERVICE_ACCOUNTS)
    assert all(key in repr(OwnAccounts(snapshot, wishes).of(0)) for key in KEYS[dialect])


def test_labels_are_the_default() -> None:
    assert OwnAccounts(cluster(under("one", "a/x")), Wishes(dialect="calico")).of(0) is None
