"""Finds the service accounts that stand for one workload alone.

An account is what an API server vouches for, and no label that anybody with access to a
Deployment can copy; but only where nothing else in the namespace runs under it.
"""

from collections import defaultdict
from typing import Final

from ringfence.learn.wishes import CALICO, CILIUM, Naming, Wishes
from ringfence.model import label_space
from ringfence.model.rule import LabelPeer
from ringfence.model.selector import LabelAnd, LabelIs, Operator, Requirement
from ringfence.model.snapshot import Snapshot

SHARED: Final = "default"
"""What every pod runs under that names no other."""

_KEYS: Final = {
    CALICO: (label_space.CALICO_NAMESPACE, label_space.CALICO_SERVICE_ACCOUNT),
    CILIUM: (label_space.CILIUM_NAMESPACE, label_space.CILIUM_SERVICE_ACCOUNT),
}
"""Per language the labels by which it knows the namespace and the account of a pod."""


class OwnAccounts:
    """The workloads of one snapshot that have a service account to themselves."""

    def __init__(self, snapshot: Snapshot, wishes: Wishes) -> None:
        """Look for them, if that is wished for."""
        self._keys = _KEYS.get(wishes.dialect)
        self._own: dict[int, tuple[str, str]] = {}
        if wishes.identity is not Naming.SERVICE_ACCOUNTS:
            return
        users: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        used: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
        for number, workload in enumerate(snapshot.workloads):
            for identity in workload.identities:
                account = (workload.namespace, identity.service_account)
                users[account].add(number)
                used[number].add(account)
        for number, accounts in used.items():
            account = min(accounts)
            if len(accounts) == 1 and len(users[account]) == 1 and account[1] != SHARED:
                self._own[number] = account

    def of(self, number: int) -> LabelPeer | None:
        """Return how a policy says a workload by its account; None where it has none of its own."""
        account = self._own.get(number)
        if account is None or self._keys is None:
            return None
        pairs = zip(self._keys, account, strict=True)
        parts = (LabelIs(Requirement(key, Operator.IN, (value,))) for key, value in pairs)
        return LabelPeer(LabelAnd(tuple(parts)))
