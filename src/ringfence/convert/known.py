"""What is known of the cluster: which pods there are, where they live, and by what to call them."""

from collections.abc import Iterable, Mapping
from functools import cached_property

from ringfence.assemble.distinctions import PER_POD_LABELS
from ringfence.convert import blocks
from ringfence.convert.terms import ALL_PODS, Literal, Of, Pods, in_namespace
from ringfence.engine.labels import NO_IDENTITY
from ringfence.model.cluster import Identity
from ringfence.model.rule import IpPeer
from ringfence.model.selector import Operator, Requirement
from ringfence.model.snapshot import Snapshot


class Known:
    """The pods, nodes and addresses of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Gather the pods that have a network of their own; each is known by a number."""
        self.snapshot = snapshot
        self._namespaces = {n.name: n.labels for n in snapshot.namespaces}
        self._accounts = {(a.namespace, a.name): a.labels for a in snapshot.service_accounts}
        self._pods: list[tuple[str, Identity]] = [
            (workload.namespace, identity)
            for workload in snapshot.workloads
            for identity in workload.identities
            if not identity.host_network
        ]
        self._matching: dict[Pods, frozenset[int]] = {}
        self._described: dict[tuple[frozenset[int], bool], tuple[Pods, ...]] = {}

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Return the names of the namespaces there are."""
        return tuple(sorted(self._namespaces))

    # -- pods --------------------------------------------------------------------------------

    def matching(self, pods: Pods) -> frozenset[int]:
        """Return the pods for which all the literals hold."""
        found = self._matching.get(pods)
        if found is None:
            found = self._matching[pods] = frozenset(
                number
                for number in range(len(self._pods))
                if all(self._holds(literal, number) for literal in pods)
            )
        return found

    def _holds(self, literal: Literal, number: int) -> bool:
        namespace, identity = self._pods[number]
        labels: Mapping[str, str]
        match literal.of:
            case Of.POD:
                labels = identity.labels
            case Of.NAMESPACE:
                labels = self._namespaces.get(namespace, {})
            case Of.ACCOUNT:
                labels = {literal.requirement.key: identity.service_account}
            case Of.ACCOUNT_LABELS:
                labels = self._accounts.get((namespace, identity.service_account), {})
        return literal.holds(labels)

    def namespaces_of(self, literals: Iterable[Literal]) -> tuple[str, ...]:
        """Return the namespaces whose labels meet the literals on namespaces."""
        chosen = [literal for literal in literals if literal.of is Of.NAMESPACE]
        return tuple(
            name
            for name in self.namespaces
            if all(literal.holds(self._namespaces[name]) for literal in chosen)
        )

    def describe(self, numbers: frozenset[int], *, cover: bool = False) -> tuple[Pods, ...]:
        """Return selectors by labels alone that select these pods, and no others, now.

        Args:
            numbers: the pods.
            cover: selectors may select others beside, rather than leave one of these out.
        """
        key = (numbers, cover)
        if key not in self._described:
            everyone = frozenset(range(len(self._pods)))
            if numbers == everyone and numbers:
                return (ALL_PODS,)
            found: dict[Pods, None] = {}
            left = set(numbers)
            for number in sorted(numbers):
                if number in left and (chosen := self._call(number, numbers, cover=cover)):
                    found[chosen] = None
                    left -= self.matching(chosen)
            self._described[key] = tuple(found)
        return self._described[key]

    def told_apart(self, numbers: frozenset[int]) -> bool:
        """Return whether labels can tell these pods from all others."""
        selected: set[int] = set()
        for pods in self.describe(numbers):
            selected |= self.matching(pods)
        return selected == numbers

    def _call(self, number: int, among: frozenset[int], *, cover: bool) -> Pods | None:
        namespace, identity = self._pods[number]
        here = in_namespace(namespace)
        whole = frozenset({here})
        if self.matching(whole) <= among:
            return whole
        stable = {
            key: value
            for key, value in sorted(identity.labels.items())
            if key not in PER_POD_LABELS and not NO_IDENTITY.match(key)
        }
        single = [
            frozenset({here, Literal(Of.POD, Requirement(key, Operator.IN, (value,)))})
            for key, value in stable.items()
        ]
        for candidate in single:
            if self.matching(candidate) <= among:
                return candidate
        every = frozenset({here}).union(*single)
        foreign: set[Literal] = set()
        for other in self.matching(every) - among:
            lacking = sorted(
                key
                for key in self._pods[other][1].labels.keys() - identity.labels.keys()
                if key not in PER_POD_LABELS and not NO_IDENTITY.match(key)
            )
            if lacking:
                absent = Requirement(lacking[0], Operator.DOES_NOT_EXIST)
                foreign.add(Literal(Of.POD, absent))
        exact = every | foreign
        if cover or self.matching(exact) <= among:
            return exact
        return None

    # -- addresses ---------------------------------------------------------------------------

    @cached_property
    def pod_places(self) -> tuple[str, ...]:
        """The CIDRs in which pods live or may come to live."""
        found = dict.fromkeys(self.snapshot.pod_cidrs)
        for _, identity in self._pods:
            for pod in identity.pods:
                for address in pod.addresses:
                    if not any(blocks.within(blocks.single(address), cidr) for cidr in found):
                        found[blocks.single(address)] = None
        return tuple(found)

    @cached_property
    def pod_addresses(self) -> tuple[str, ...]:
        """The CIDRs that hold the known addresses of pods, and nothing else."""
        found = dict.fromkeys(
            blocks.single(address)
            for _, identity in self._pods
            for pod in identity.pods
            for address in pod.addresses
        )
        return blocks.merged(found)

    @property
    def places_assumed(self) -> bool:
        """Return whether where pods live is but assumed, so that others may live there, too."""
        return self.snapshot.pod_cidrs_assumed

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Every known address of every node, as CIDRs."""
        return tuple(
            dict.fromkeys(
                blocks.single(address) for node in self.snapshot.nodes for address in node.addresses
            )
        )

    @cached_property
    def api_servers(self) -> tuple[str, ...]:
        """The addresses behind the Service `default/kubernetes`, as CIDRs."""
        return tuple(
            blocks.single(backend.address)
            for service in self.snapshot.services
            if (service.namespace, service.name) == ("default", "kubernetes")
            for backend in service.backends
        )

    def inside(self, block: IpPeer) -> tuple[frozenset[int], frozenset[int]]:
        """Return the pods of which all addresses lie in a block, and those of which some may."""
        certain, possible = set(), set()
        for number, (_, identity) in enumerate(self._pods):
            places = [blocks.single(a) for pod in identity.pods for a in pod.addresses]
            if not all(pod.addresses for pod in identity.pods) or not identity.pods:
                places += self.snapshot.pod_cidrs
            family = blocks.network(block.cidr).version
            places = [cidr for cidr in places if blocks.network(cidr).version == family]
            if places and all(_holds_all(block, cidr) for cidr in places):
                certain.add(number)
            if any(blocks.common(block, IpPeer(cidr)) for cidr in places):
                possible.add(number)
        return frozenset(certain), frozenset(possible)

    def holds_pods(self, block: IpPeer) -> bool | None:
        """Return whether all places of pods lie in a block; None where only some do."""
        family = blocks.network(block.cidr).version
        places = [c for c in self.pod_places if blocks.network(c).version == family]
        if not any(blocks.common(block, IpPeer(cidr)) for cidr in places):
            return False
        return True if all(_holds_all(block, cidr) for cidr in places) else None

    def holds_nodes(self, block: IpPeer) -> bool | None:
        """Return whether every node lies in a block; None where only some may."""
        whole = block.cidr in ("0.0.0.0/0", "::/0") and not block.excepts
        nodes = self.snapshot.nodes
        if not nodes or not all(node.addresses for node in nodes):
            return True if whole else None
        family = blocks.network(block.cidr).version
        own = [cidr for cidr in self.nodes if blocks.network(cidr).version == family]
        if not any(blocks.common(block, IpPeer(cidr)) for cidr in own):
            return False
        return True if all(_holds_all(block, cidr) for cidr in own) else None


def _holds_all(block: IpPeer, cidr: str) -> bool:
    return blocks.common(block, IpPeer(cidr)) == IpPeer(cidr)
