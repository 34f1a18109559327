"""The peers of an answer by what they are, and the shortest words for a set of them."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from ringfence.model.connectivity import Peer
from ringfence.model.outside import LAST_ADDRESS, AddressRange, merge, parse_range
from ringfence.outputs._words import inert

FEW = 3
"""A set is told by its exceptions where these have no more than this many names …"""
MANY = 8
"""… out of at least this many."""
_NOT_WORKLOADS = frozenset({"External", "Domain", "Node"})


class GroupKind(StrEnum):
    """What a group of peers consists of."""

    ANYTHING = "anything"
    WORKLOADS = "workloads"
    NODES = "nodes"
    OUTSIDE = "outside"
    NAMESPACE = "namespace"
    PEER = "peer"


class Group(msgspec.Struct, frozen=True, order=True):
    """Several peers under one name, or a single one."""

    kind: GroupKind
    text: str
    """As people read it: `anything`, `shop/* (7)`, `shop/db`, `10.0.0.0/8`."""
    namespace: str = ""
    """Of a namespace's workloads and of a single workload."""
    members: tuple[int, ...] = ()
    """Indices of the peers meant."""
    exceptions: int = 0
    """How many names are excepted."""


def namespace_of(peer: Peer) -> str | None:
    """Return a workload's namespace; None for a node and for the outside."""
    return None if peer.kind in _NOT_WORKLOADS else peer.name.partition("/")[0]


def workload_of(peer: Peer) -> str:
    """Return a workload's name, without the pods that its policies tell apart."""
    return peer.name.partition("[")[0]


class Peers:
    """The peers of one answer, numbered in its order."""

    def __init__(self, endpoints: Sequence[Peer]) -> None:
        """Sort the peers into workloads by namespace, nodes, and the outside."""
        self.all = tuple(endpoints)
        self.index = {peer.name: number for number, peer in enumerate(endpoints)}
        self.namespaces: dict[str, list[int]] = {}
        self.workloads: list[int] = []
        self.nodes: list[int] = []
        self.ranges: dict[int, AddressRange] = {}
        """The outside's addresses."""
        self.domains: list[int] = []
        """Domain names of the outside: connections go to these, none come from them."""
        for number, peer in enumerate(endpoints):
            namespace = namespace_of(peer)
            if namespace is not None:
                self.workloads.append(number)
                self.namespaces.setdefault(namespace, []).append(number)
            else:
                parsed = parse_range(peer.name) if peer.kind == "External" else None
                if parsed:
                    self.ranges[number] = parsed
                else:
                    (self.nodes if peer.kind == "Node" else self.domains).append(number)
        self.namespaces = dict(sorted(self.namespaces.items()))

    def place(self, number: int) -> str | None:
        """Return the namespace of a peer; None where it has none."""
        return namespace_of(self.all[number])

    def left_out(self, number: int) -> list[int]:
        """Return the peers whose connections to this one an answer leaves out.

        A workload's own, and for what is no workload everything else that is none.
        """
        peer = self.all[number]
        if namespace_of(peer) is None:
            if peer.policed:
                return [number]
            return sorted((*(n for n in self.nodes if not self.all[n].policed), *self.ranges))
        alike = self.namespaces[peer.name.partition("/")[0]]
        own = workload_of(peer)
        return [other for other in alike if workload_of(self.all[other]) == own]

    def numbers(self, name: str) -> list[int]:
        """Return the peers that a name stands for: of a joined range, all that lie in it."""
        if name in self.index:
            return [self.index[name]]
        whole = parse_range(name)
        if whole is None:
            return [n for n, peer in enumerate(self.all) if workload_of(peer) == name]
        return [
            number
            for number, part in self.ranges.items()
            if part.family == whole.family and whole.first <= part.first <= whole.last
        ]

    def describe(self, members: Iterable[int], *, sources: bool = False) -> list[Group]:
        """Return groups that together name exactly these peers, general ones first.

        Args:
            members: indices of peers.
            sources: they send: domain names, which only receive, are not missed among them.
        """
        chosen = set(members)
        domains = [] if sources else self.domains
        everything = [*self.workloads, *self.nodes, *self.ranges, *domains]
        if self.workloads and len(everything) > len(self.workloads):
            whole = self._whole(GroupKind.ANYTHING, "anything", "", everything, chosen)
            if whole:
                return [whole]
        groups = self._workload_groups(chosen)
        if len(self.nodes) > 1 and chosen.issuperset(self.nodes):
            groups.append(Group(GroupKind.NODES, "any node", "", tuple(self.nodes)))
        else:
            groups += [self.single(number) for number in self.nodes if number in chosen]
        outside = [*self.ranges, *domains]
        if len(outside) > 1 and chosen.issuperset(outside):
            return [*groups, Group(GroupKind.OUTSIDE, "outside", "", tuple(outside))]
        for family in (4, 6):
            of_family = {n: part for n, part in self.ranges.items() if part.family == family}
            groups += _family_groups(of_family, chosen)
        return groups + [self.single(number) for number in self.domains if number in chosen]

    def _workload_groups(self, chosen: set[int]) -> list[Group]:
        if len(self.workloads) > 1:
            whole = self._whole(GroupKind.WORKLOADS, "any workload", "", self.workloads, chosen)
            if whole:
                return [whole]
        groups = []
        for namespace, inside in self.namespaces.items():
            words = f"{inert(namespace)}/* ({len(inside)})"
            whole = None
            if len(inside) > 1:
                whole = self._whole(GroupKind.NAMESPACE, words, namespace, inside, chosen)
            if whole:
                groups.append(whole)
            else:
                groups += [self.single(number) for number in inside if number in chosen]
        return sorted(groups, key=lambda group: group.kind is GroupKind.PEER)

    def _whole(
        self,
        kind: GroupKind,
        words: str,
        namespace: str,
        members: Sequence[int],
        chosen: set[int],
    ) -> Group | None:
        """Return the group where all of its members are chosen, or nearly all."""
        missing = {number for number in members if number not in chosen}
        exceptions: list[Group] = []
        if missing:
            if len(members) < MANY or 2 * len(missing) > len(members):
                return None
            exceptions = self._plainly(missing)
            if len(exceptions) > FEW:
                return None
            words += " except " + ", ".join(group.text for group in exceptions)
        meant = tuple(number for number in members if number in chosen)
        return Group(kind, words, namespace, meant, len(exceptions))

    def _plainly(self, chosen: set[int]) -> list[Group]:
        """Return the groups for a set of peers, none of them with an exception."""
        groups = []
        for namespace, inside in self.namespaces.items():
            if len(inside) > 1 and chosen.issuperset(inside):
                groups.append(self._namespace(namespace, inside))
            else:
                groups += [self.single(number) for number in inside if number in chosen]
        others = (*self.nodes, *self.ranges, *self.domains)
        return groups + [self.single(number) for number in others if number in chosen]

    @staticmethod
    def _namespace(namespace: str, inside: Sequence[int]) -> Group:
        words = f"{inert(namespace)}/* ({len(inside)})"
        return Group(GroupKind.NAMESPACE, words, namespace, tuple(inside))

    def single(self, number: int) -> Group:
        """Return one peer as a group of its own."""
        peer = self.all[number]
        if number in self.ranges:
            return Group(GroupKind.OUTSIDE, self.ranges[number].short, "", (number,))
        kind = GroupKind.OUTSIDE if peer.kind == "Domain" else GroupKind.PEER
        return Group(kind, inert(peer.name), namespace_of(peer) or "", (number,))


def _family_groups(ranges: dict[int, AddressRange], chosen: set[int]) -> list[Group]:
    """Return groups for the chosen ones among a family's ranges, adjacent ones joined."""
    inside = {number: part for number, part in ranges.items() if number in chosen}
    present = merge(inside.values())
    missing = merge(part for number, part in ranges.items() if number not in chosen)
    whole = merge(ranges.values())
    if missing and len(missing) < len(present) and len(whole) == 1:
        words = f"{whole[0].short} except " + ", ".join(part.short for part in missing)
        return [Group(GroupKind.OUTSIDE, words, "", tuple(inside), len(missing))]
    return [
        Group(
            GroupKind.OUTSIDE,
            block.short,
            "",
            tuple(n for n, part in inside.items() if block.first <= part.first <= block.last),
        )
        for block in present
    ]


def outside_text(names: Sequence[str]) -> str:
    """Return parts of the outside in words: `anywhere`, `10.0.0.0/8`, `api.example`."""
    parsed = {name: parse_range(name) for name in names}
    domains = [inert(name) for name, part in parsed.items() if part is None]
    ranges = merge(part for part in parsed.values() if part)
    whole = [
        AddressRange(family, 0, LAST_ADDRESS[family])
        for family in (4, 6)
        if any(part.family == family for part in ranges)
    ]
    if len(whole) == 2 and ranges == whole:
        return ", ".join(["anywhere", *domains])
    words: list[str] = []
    for space in whole:
        if space in ranges:
            words.append(f"any IPv{space.family}")
            continue
        present = [part for part in ranges if part.family == space.family]
        missing = _gaps(present, space)
        if len(missing) < len(present):
            listed = ", ".join(part.short for part in missing)
            words.append(f"any IPv{space.family} except {listed}")
        else:
            words += [part.short for part in present]
    return ", ".join([*words, *domains])


def _gaps(ranges: Sequence[AddressRange], space: AddressRange) -> list[AddressRange]:
    """Return what sorted, disjoint ranges leave of a space."""
    gaps = []
    start = space.first
    for part in ranges:
        if part.first > start:
            gaps.append(AddressRange(space.family, start, part.first - 1))
        start = part.last + 1
    if start <= space.last:
        gaps.append(AddressRange(space.family, start, space.last))
    return gaps
