"""Who carries which labels, in the label space of each profile, and whom a selector selects.

Sets are bit sets over the identities. What all pods of a namespace have in common (its name, its
labels) is looked up by namespace, not by pod.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache, reduce

from ringfence.engine import bits
from ringfence.model import label_space
from ringfence.model.cluster import Identity
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    LabelOr,
    LabelSelector,
    Operator,
    Requirement,
)
from ringfence.model.snapshot import Snapshot

NO_IDENTITY = re.compile(
    r"(?!app\.kubernetes\.io)("
    r"io\.kubernetes|kubernetes\.io|k8s\.io|topology\.kubernetes\.io|.*beta\.kubernetes\.io"
    r"|pod-template-(hash|generation)|controller-revision-hash|controller-uid"
    r"|statefulset\.kubernetes\.io/pod-name|apps\.kubernetes\.io/pod-index"
    r"|batch\.kubernetes\.io/(job-completion-index|controller-uid)|annotation|etcd_node)"
)
"""Labels that Cilium leaves out of a pod's identity, so that no selector sees them.

Source: Cilium `pkg/labelsfilter/filter.go`; each is a prefix.
"""

_NAME = "name"
"""The key under which names are indexed like labels."""


@cache
def _no_identity(key: str) -> bool:
    return NO_IDENTITY.match(key) is not None


def meets(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """Return whether labels meet a requirement.

    Source: apimachinery `pkg/labels/selector.go`; Calico `lib/selector/parser/ast.go`.
    """
    value = labels.get(requirement.key)
    match requirement.operator:
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None
        case Operator.NOT_IN:
            return value not in requirement.values
        case Operator.IN:
            return value in requirement.values
        case _ if value is None:
            return False
        case Operator.CONTAINS:
            return requirement.values[0] in value
        case Operator.STARTS_WITH:
            return value.startswith(requirement.values[0])
        case _:
            return value.endswith(requirement.values[0])


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether labels meet every requirement of a selector."""
    return all(meets(requirement, labels) for requirement in selector.requirements)


def holds(expression: LabelExpression, labels: Mapping[str, str]) -> bool:
    """Return whether an expression holds for labels."""
    match expression:
        case LabelIs():
            return meets(expression.requirement, labels)
        case LabelNot():
            return not holds(expression.part, labels)
        case LabelAnd():
            return all(holds(part, labels) for part in expression.parts)
        case LabelOr():
            return any(holds(part, labels) for part in expression.parts)


class LabelIndex:
    """Finds by their labels the members of a list, as bit sets."""

    def __init__(self, labels: list[dict[str, str]]) -> None:
        """Index the members' labels."""
        self.everyone = (1 << len(labels)) - 1
        by_pair: dict[tuple[str, str], list[int]] = defaultdict(list)
        by_key: dict[str, list[int]] = defaultdict(list)
        values: dict[str, dict[str, None]] = defaultdict(dict)
        for member, own in enumerate(labels):
            for key, value in own.items():
                by_pair[key, value].append(member)
                by_key[key].append(member)
                values[key][value] = None
        self._values = values
        self._pair = cache(lambda key, value: bits.from_members(by_pair.get((key, value), ())))
        self._key = cache(lambda key: bits.from_members(by_key.get(key, ())))
        self.select = cache(self._select)

    def _select(self, selector: LabelSelector) -> int:
        """Return the members that meet every requirement."""
        found = self.everyone
        for requirement in selector.requirements:
            found &= self.meet(requirement)
        return found

    def meet(self, requirement: Requirement) -> int:
        """Return the members that meet a requirement.

        Source: apimachinery `pkg/labels/selector.go`: NotIn and DoesNotExist hold where the key
        is absent.
        """
        key = requirement.key
        match requirement.operator:
            case Operator.EXISTS:
                return self._key(key)
            case Operator.DOES_NOT_EXIST:
                return self.everyone & ~self._key(key)
            case Operator.IN | Operator.NOT_IN as operator:
                found = 0
                for value in requirement.values:
                    found |= self._pair(key, value)
                return found if operator is Operator.IN else self.everyone & ~found
            case _:
                found = 0
                for value in self._values.get(key, ()):
                    if meets(requirement, {key: value}):
                        found |= self._pair(key, value)
                return found

    def where(self, expression: LabelExpression) -> int:
        """Return the members for whose labels an expression holds."""
        match expression:
            case LabelIs():
                return self.meet(expression.requirement)
            case LabelNot():
                return self.everyone & ~self.where(expression.part)
            case LabelAnd():
                return reduce(int.__and__, map(self.where, expression.parts), self.everyone)
            case LabelOr():
                return reduce(int.__or__, map(self.where, expression.parts), 0)


class PodLabels:
    """The pods of a snapshot by their labels, their namespaces and their service accounts."""

    def __init__(self, snapshot: Snapshot, places: list[tuple[str, Identity]]) -> None:
        """Index the identities, given with their namespaces; host-network ones are never found."""
        self._cni = snapshot.profile.cni
        self._cluster = (snapshot.profile.cilium or CiliumConfig()).cluster
        labels = [identity.labels for _, identity in places]
        self._pods = self._whole = LabelIndex(labels)
        if self._cni is Cni.CILIUM:
            labels = [{k: v for k, v in one.items() if not _no_identity(k)} for one in labels]
            self._pods = LabelIndex(labels)
        self._namespaces = LabelIndex([namespace.labels for namespace in snapshot.namespaces])
        names = [namespace.name for namespace in snapshot.namespaces]
        number = self._number = {name: n for n, name in enumerate(names)}
        self._names = LabelIndex([{_NAME: name} for name in names])
        inhabitants: dict[int, list[int]] = defaultdict(list)
        accounts: dict[tuple[str, str], list[int]] = defaultdict(list)
        for element, (namespace, identity) in enumerate(places):
            if not identity.host_network:
                inhabitants[number[namespace]].append(element)
                accounts[namespace, identity.service_account].append(element)
        self._inhabitants = {n: bits.from_members(listed) for n, listed in inhabitants.items()}
        labels_of = {(a.namespace, a.name): a.labels for a in snapshot.service_accounts}
        self._accounts = LabelIndex([{_NAME: name} for _, name in accounts])
        self._account_labels = LabelIndex([labels_of.get(account, {}) for account in accounts])
        self._using = list(accounts.values())
        """Per account, the pods that run under it."""
        self.networked = reduce(int.__or__, self._inhabitants.values(), 0)
        """The identities that have a network of their own."""
        self._in_namespaces = cache(self._find_in_namespaces)
        self._meet = cache(self._find)
        self.where = cache(self._where)

    def inhabitants(self, namespace: str) -> int:
        """Return the pods of a namespace."""
        return self._inhabitants.get(self._number.get(namespace, -1), 0)

    # -- Kubernetes' selectors ---------------------------------------------------------------

    def select(self, namespaces: LabelSelector, pods: LabelSelector, *, whole: bool = False) -> int:
        """Return the pods selected in the namespaces selected.

        Args:
            namespaces: by their labels.
            pods: by theirs.
            whole: whether labels count that Cilium leaves out of a pod's identity.
        """
        found = self._in_namespaces(namespaces)
        index = self._whole if whole else self._pods
        return found & index.select(pods) if pods.requirements and found else found

    def behind(self, namespace: str, selector: LabelSelector) -> int:
        """Return the pods of a namespace that the selector of a Service selects."""
        return self.inhabitants(namespace) & self._whole.select(selector)

    def _find_in_namespaces(self, selector: LabelSelector) -> int:
        if not selector.requirements:
            return self.networked
        return self._living_in(bits.members(self._namespaces.select(selector)))

    def _living_in(self, namespaces: Iterable[int]) -> int:
        found = 0
        for n in namespaces:
            found |= self._inhabitants.get(n, 0)
        return found

    # -- expressions in a profile's label space ----------------------------------------------

    def _where(self, expression: LabelExpression) -> int:
        """Return the pods for which an expression holds."""
        match expression:
            case LabelIs():
                return self._meet(expression.requirement)
            case LabelNot():
                return self.networked & ~self.where(expression.part)
            case LabelAnd():
                found = self.networked
                for part in expression.parts:
                    found &= self.where(part)
                return found
            case LabelOr():
                found = 0
                for part in expression.parts:
                    found |= self.where(part)
                return found

    def _find(self, requirement: Requirement) -> int:
        key = requirement.key
        if self._cni is Cni.CALICO:
            return self._find_calico(requirement, key)
        if self._cni is Cni.CILIUM:
            return self._find_cilium(requirement, key)
        return self.networked & self._pods.meet(requirement)

    def _find_calico(self, requirement: Requirement, key: str) -> int:
        """Return the pods that meet a requirement in Calico's label space.

        Source: Calico `libcalico-go/lib/backend/k8s/conversion/conversion.go`: every pod has the
        labels of the orchestrator, the namespace and the service account, over its own.
        """
        if key == label_space.CALICO_ORCHESTRATOR:
            return self.networked if meets(requirement, {key: "k8s"}) else 0
        if key == label_space.CALICO_NAMESPACE:
            return self._by_namespace(requirement)
        if key == label_space.CALICO_SERVICE_ACCOUNT:
            return self._by_account(requirement)
        prefix = label_space.CALICO_NAMESPACE_PREFIX
        if key.startswith(prefix):
            if key == prefix + label_space.CALICO_NAME:
                return self._by_namespace(requirement)
            return self._by_namespace_label(requirement, key.removeprefix(prefix))
        prefix = label_space.CALICO_SERVICE_ACCOUNT_PREFIX
        if key.startswith(prefix):
            inner = key.removeprefix(prefix)
            if inner == label_space.CALICO_NAME:
                return self._by_account(requirement)
            wanted = Requirement(inner, requirement.operator, requirement.values)
            return self._running_under(self._account_labels.meet(wanted))
        return self.networked & self._pods.meet(requirement)

    def _find_cilium(self, requirement: Requirement, key: str) -> int:
        """Return the pods that meet a requirement on the labels of their Cilium identity.

        Source: Cilium `pkg/k8s/apis/cilium.io/const.go`, `pkg/labelsfilter/filter.go`.
        """
        prefix = label_space.CILIUM_NAMESPACE_LABELS
        if key == label_space.CILIUM_NAMESPACE:
            return self._by_namespace(requirement)
        if key.startswith(prefix):
            return self._by_namespace_label(requirement, key.removeprefix(prefix))
        if key == label_space.CILIUM_SERVICE_ACCOUNT:
            return self._by_account(requirement)
        if key == label_space.CILIUM_CLUSTER:
            return self.networked if meets(requirement, {key: self._cluster}) else 0
        return self.networked & self._pods.meet(requirement)

    def _by_namespace(self, requirement: Requirement) -> int:
        """Return the pods in the namespaces whose names meet a requirement, whatever its key."""
        wanted = Requirement(_NAME, requirement.operator, requirement.values)
        return self._living_in(bits.members(self._names.meet(wanted)))

    def _by_namespace_label(self, requirement: Requirement, key: str) -> int:
        inner = Requirement(key, requirement.operator, requirement.values)
        return self._living_in(bits.members(self._namespaces.meet(inner)))

    def _by_account(self, requirement: Requirement) -> int:
        """Return the pods whose account's name meets a requirement, whatever its key."""
        wanted = Requirement(_NAME, requirement.operator, requirement.values)
        return self._running_under(self._accounts.meet(wanted))

    def _running_under(self, accounts: int) -> int:
        return bits.from_members(e for n in bits.members(accounts) for e in self._using[n])
