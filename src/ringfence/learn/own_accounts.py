"""Offers service accounts of their own to workloads of a mesh that share one, or run as `default`.

What a mesh knows of a pod is its account: whatever one of several workloads of an account may do,
the others may too, and `default` is what every pod gets that names none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from ringfence import yaml_text
from ringfence.learn.accounts import SHARED
from ringfence.model.cluster import Workload
from ringfence.model.proposal import EmittedFile
from ringfence.model.snapshot import Snapshot

OFFERED: Final = "Offered by ringfence generate: apply it or not, no policy depends on it."
"""The first line of every file, as a comment."""
DEFAULT_INBOUND: Final = "config.linkerd.io/default-inbound-policy"

_API: Final = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "CronJob": "batch/v1",
}
"""The kinds whose pods get another account when the template says one; of others the pods, or the
template, cannot be changed."""


class Offer(msgspec.Struct, frozen=True):
    """Something of a cluster that keeps a mesh's policies from saying more, and what changes it."""

    why: str
    """As `shop/web runs as the account default, as does shop/api`."""
    files: tuple[EmittedFile, ...] = ()
    """Manifests and strategic merge patches; none where a workload has to be made anew."""
    command: str = ""
    """What does the same at once; empty where nothing does."""


class Accounts:
    """Who runs as which service account, in one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Gather the workloads by account."""
        self._snapshot = snapshot
        self._users: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for number, workload in enumerate(snapshot.workloads):
            for identity in workload.identities:
                self._users[workload.namespace, identity.service_account].add(number)

    def offers(self, numbers: Iterable[int]) -> Iterator[Offer]:
        """Yield an offer for each of some workloads that has no account of its own."""
        for number in sorted(set(numbers)):
            workload = self._snapshot.workloads[number]
            account = workload.identities[0].service_account
            others = sorted(
                self._snapshot.workloads[n].ref
                for n in self._users[workload.namespace, account]
                if n != number
            )
            if account != SHARED and not others:
                continue
            why = f"{workload.ref} runs as the service account `{account}`"
            if others:
                why += f", as {'does' if len(others) == 1 else 'do'} {', '.join(others)}"
            why += ": what a mesh lets one of an account do, it lets all do"
            yield Offer(why, tuple(self._files(workload)), self._command(workload))

    def _files(self, workload: Workload) -> Iterator[EmittedFile]:
        version = _API.get(workload.kind)
        if version is None:
            return
        own = self._free_name(workload)
        metadata = {"name": own, "namespace": workload.namespace}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        template: dict[str, Any] = {"template": {"spec": {"serviceAccountName": own}}}
        spec = template
        if workload.kind == "CronJob":
            spec = {"jobTemplate": {"spec": template}}
        patch = {
            "apiVersion": version,
            "kind": workload.kind,
            "metadata": {"name": workload.name, "namespace": workload.namespace},
            "spec": spec,
        }
        stem = f"{workload.namespace}/{workload.kind.lower()}-{workload.name}"
        why = [f"An account that {workload.ref} has to itself."]
        yield _file(f"{stem}.serviceaccount.yaml", why, account)
        change = f"kubectl -n {workload.namespace} patch {workload.kind.lower()} {workload.name}"
        how = [f"A strategic merge patch: {change} --patch-file FILE; then generate again."]
        yield _file(f"{stem}.patch.yaml", how, patch)

    def _command(self, workload: Workload) -> str:
        if workload.kind not in _API or workload.kind == "CronJob":
            return ""
        own, at = self._free_name(workload), f"kubectl -n {workload.namespace}"
        target = f"{workload.kind.lower()}/{workload.name}"
        return f"{at} create serviceaccount {own}; {at} set serviceaccount {target} {own}"

    def _free_name(self, workload: Workload) -> str:
        taken = {n for space, n in self._users if space == workload.namespace}
        taken |= {
            account.name
            for account in self._snapshot.service_accounts
            if account.namespace == workload.namespace
        }
        for name in (workload.name, f"{workload.name}-{workload.kind.lower()}"):
            if name not in taken:
                return name
        return next(n for k in range(2, 2000) if (n := f"{workload.name}-{k}") not in taken)


def closed_by_default(namespace: str, policy: str) -> Offer:
    """Return how the ports of a namespace are closed in Linkerd that no Server is for.

    Args:
        namespace: its name.
        policy: what its pods have by default now.

    Source: linkerd.io "Policy": the annotation is read where a pod is made.
    """
    why = (
        f"{namespace}: at ports that no Server is for, `{policy}` holds, which no policy object "
        f"changes: annotate the namespace with {DEFAULT_INBOUND}: deny, and restart its pods"
    )
    patch = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "annotations": {DEFAULT_INBOUND: "deny"}},
    }
    how = f"kubectl patch namespace {namespace} --patch-file FILE; then restart its pods."
    text = [f"A strategic merge patch: {how}"]
    command = f"kubectl annotate namespace {namespace} --overwrite {DEFAULT_INBOUND}=deny"
    return Offer(why, (_file(f"{namespace}/_namespace.patch.yaml", text, patch),), command)


def _file(path: str, why: Iterable[str], body: dict[str, Any]) -> EmittedFile:
    head = yaml_text.comment((OFFERED, *why))
    return EmittedFile(path, "\n".join((*head, *yaml_text.block(body))) + "\n")
