"""Folds the pods of a workload into identities: those that no policy can tell apart are one."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Final, NamedTuple

import msgspec

from ringfence.assemble.distinctions import Blocks, Distinctions, common_place
from ringfence.assemble.values import parse_address
from ringfence.model.cluster import ContainerPort, Identity, Node, Pod, Workload
from ringfence.model.mesh import Membership

Place = tuple[object, ...]
"""In which blocks a pod's addresses lie and, on the host network, on what kind of node."""
UNPLACED: Final[Place] = ()

JOB_NAME_LABELS: Final = frozenset({"job-name", "batch.kubernetes.io/job-name"})
ORDINAL_LABELS: Final = frozenset(
    {"apps.kubernetes.io/pod-index", "statefulset.kubernetes.io/pod-name"}
)
MOST_ORDINALS: Final = 10_000
"""A manifest may ask for more replicas than fit in memory; those are not told apart."""


class Member(NamedTuple):
    """A pod of a workload, or its template."""

    labels: dict[str, str]
    service_account: str
    host_network: bool
    ports: tuple[ContainerPort, ...]
    name: str = ""
    """Empty for the template."""
    addresses: tuple[str, ...] = ()
    node: str = ""
    mesh: Membership | None = None


Labels = tuple[tuple[str, str], ...]
Alike = tuple[Labels, str, bool, tuple[ContainerPort, ...], Membership | None]
"""What pods of one identity have in common, but for their place."""


class Folder:
    """Folds by what the policies of one snapshot tell apart."""

    def __init__(
        self, distinctions: Distinctions, nodes: Sequence[Node], pod_cidrs: Sequence[str]
    ) -> None:
        """Prepare the look-up of addresses and nodes."""
        self._hidden = distinctions.hidden
        self._blocks = {family: Blocks(family, distinctions.blocks) for family in (4, 6)}
        self._cut = bool(distinctions.blocks)
        self._node_keys = distinctions.node_keys
        self._hosts = distinctions.hosts
        self._nodes = {node.name: node for node in nodes}
        likely = common_place(self._blocks, pod_cidrs)
        self._likely = None if likely is None else tuple(sorted(likely.items()))
        self._families = {ip_network(cidr, strict=False).version for cidr in pod_cidrs}

    def fold(
        self,
        kind: str,
        name: str,
        members: Iterable[Member],
        replicas: int | None = None,
        first: int = 0,
    ) -> tuple[Identity, ...]:
        """Return the identities of a workload, sorted.

        Args:
            kind: the workload's kind, which tells what labels a template's pods will get.
            name: its name.
            members: its pods, or its templates.
            replicas: how many pods a StatefulSet will have.
            first: the number of the first of these.

        INVARIANT: the addresses of all pods of an identity lie in the same blocks, per family;
        so does the whole of `pod_cidrs` where some of its pods have no address yet.
        """
        groups: dict[tuple[Alike, Place | None], list[Pod]] = {}
        split: dict[frozenset[tuple[str, str]], tuple[Labels, Labels]] = {}
        for given in members:
            expected = (given,) if given.name else self._expect(kind, name, given, replicas, first)
            for member in expected:
                items = frozenset(member.labels.items())
                found = split.get(items)
                if found is None:
                    found = split[items] = self._split(items)
                alike = (
                    found[0],
                    member.service_account,
                    member.host_network,
                    member.ports,
                    member.mesh,
                )
                place = self._place(member) if member.name else None
                pods = groups.setdefault((alike, place), [])
                if member.name:
                    pods.append(Pod(member.name, member.addresses, member.node, found[1]))
        self._settle(groups)
        return tuple(
            sorted((_identity(alike, pods) for (alike, _), pods in groups.items()), key=_order)
        )

    def _split(self, items: frozenset[tuple[str, str]]) -> tuple[Labels, Labels]:
        """Return a pod's labels that its identity has, and those that are its own; sorted."""
        return (
            tuple(sorted(item for item in items if item[0] not in self._hidden)),
            tuple(sorted(item for item in items if item[0] in self._hidden)),
        )

    def refold(self, workload: Workload) -> Workload:
        """Return a workload with its pods folded anew."""
        folded = self.fold(workload.kind, workload.name, unfold(workload), workload.replicas)
        return msgspec.structs.replace(workload, identities=folded)

    def _expect(
        self, kind: str, name: str, template: Member, replicas: int | None, first: int
    ) -> tuple[Member, ...]:
        """Return a template as its pods will be, if something selects by what they will get.

        Source: batch/v1 `types.go` JobNameLabel, and `job-name` before it; kubernetes
        `pkg/controller/statefulset/stateful_set_utils.go` updateIdentity.
        """
        if kind == "Job":
            added = dict.fromkeys(JOB_NAME_LABELS - self._hidden, name)
            return (template._replace(labels=template.labels | added),)
        if kind != "StatefulSet" or self._hidden >= ORDINAL_LABELS:
            return (template,)
        count = 1 if replicas is None else replicas
        if not 0 < count <= MOST_ORDINALS:
            return (template,)
        return tuple(
            template._replace(
                name=f"{name}-{ordinal}",
                labels=template.labels
                | {
                    "apps.kubernetes.io/pod-index": str(ordinal),
                    "statefulset.kubernetes.io/pod-name": f"{name}-{ordinal}",
                },
            )
            for ordinal in range(first, first + count)
        )

    def _place(self, member: Member) -> Place:
        """Return where a pod is, as far as policies can tell; `UNPLACED` if it has no address."""
        addresses = member.addresses
        if member.host_network:
            node = self._node_of(member)
            if node and not addresses:
                addresses = node.addresses
            kept: Place = ()
            if self._node_keys is not None:
                # Which nodes a selector means is for the judges; equal labels are equal to all.
                kept = (node and tuple(node.labels.get(key) for key in self._node_keys),)
            if self._hosts:
                kept = (*kept, self._host_of(member))
            return (*self._around(addresses), *kept)
        return self._around(addresses) if addresses else UNPLACED

    def _host_of(self, member: Member) -> str | None:
        """Return the node of a host-network pod if policies tell it from others; None: unknown."""
        node = self._node_of(member)
        name = node.name if node else member.node
        return (name if name in self._hosts else "") if name else None

    def _node_of(self, member: Member) -> Node | None:
        """Return the node of a host-network pod: by its name, else by the address they share."""
        if member.node:
            return self._nodes.get(member.node)
        own = set(member.addresses)
        return next((node for node in self._nodes.values() if own & set(node.addresses)), None)

    def _around(self, addresses: Iterable[str]) -> Place:
        found = []
        for address in addresses:
            parsed = parse_address(address)
            if parsed:
                family, value = parsed
                found.append((family, self._blocks[family].around(value) if self._cut else -1))
        return tuple(sorted(found))

    def _settle(self, groups: dict[tuple[Alike, Place | None], list[Pod]]) -> None:
        """Put pods without an address to their like, where no address can tell them apart.

        Nor a family: one may have what it can still get, if the others have all of it.
        """
        for key in [key for key in groups if key[1] == UNPLACED]:
            alike, _ = key
            others = [k for k in groups if k[0] == alike and k[1] != UNPLACED]
            on_host = alike[2]
            if len(others) == 1 and (
                (not self._cut and self._has_every_family(groups[others[0]], on_host=on_host))
                or (not on_host and others[0][1] == self._likely)
            ):
                groups[others[0]] += groups.pop(key)

    def _has_every_family(self, pods: list[Pod], *, on_host: bool) -> bool:
        """Return whether pods have an address of every family that one without may get."""
        known = (parse_address(address) for pod in pods for address in pod.addresses)
        return {found[0] for found in known if found} == ({4, 6} if on_host else self._families)


def _identity(alike: Alike, pods: list[Pod]) -> Identity:
    labels, service_account, host_network, ports, mesh = alike
    return Identity(
        labels=dict(labels),
        service_account=service_account,
        host_network=host_network,
        ports=ports,
        pods=tuple(sorted(pods, key=lambda pod: (not pod.addresses, pod.name))),
        mesh=mesh,
    )


def _order(identity: Identity) -> tuple[object, ...]:
    return (
        tuple(identity.labels.items()),
        identity.service_account,
        identity.host_network,
        identity.ports,
        (identity.mesh,) if identity.mesh else (),
        identity.pods[:1],
    )


def unfold(workload: Workload) -> Iterator[Member]:
    """Yield the pods of a workload, or its templates, as they were before they were folded."""
    for identity in workload.identities:
        alike = (identity.service_account, identity.host_network, identity.ports)
        if not identity.pods:
            yield Member(identity.labels, *alike, mesh=identity.mesh)
        for pod in identity.pods:
            labels = identity.labels | dict(pod.labels) if pod.labels else identity.labels
            yield Member(labels, *alike, pod.name, pod.addresses, pod.node, identity.mesh)
