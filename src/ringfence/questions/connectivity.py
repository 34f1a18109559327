"""Who may connect to whom: every pair of a snapshot, by which traffic."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from ringfence.engine import Engine, bits
from ringfence.engine.addresses import text
from ringfence.engine.classes import Classes
from ringfence.engine.matrix import Reach
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.connectivity import Allowance, Connectivity, Pair, Peer
from ringfence.model.profile import Cni
from ringfence.model.rule import IpPeer, NodePeer
from ringfence.model.snapshot import Snapshot
from ringfence.questions.naming import Names

EXTERNAL, DOMAIN, NODE = "External", "Domain", "Node"
SAMPLES = 32
"""How many unknown pairs are followed to tell the reasons; most share theirs."""

Traffic = tuple[int, int]
"""Masks of what is allowed, and of what is allowed or unknown."""

Written = tuple[tuple[Allowance, ...], tuple[Allowance, ...]]
"""The same as people write it: what is allowed, and what is unknown."""


@dataclass(frozen=True)
class Unit:
    """What the answer calls one endpoint: elements whose pairs are all the same."""

    peer: Peer
    elements: tuple[int, ...]
    workload: int | None = None
    namespace: str = ""

    @property
    def outside(self) -> bool:
        """Whether no policy of this cluster has it as a subject's workload."""
        return self.workload is None


def spread(reaches: list[Reach], icmp: int) -> dict[int, Traffic]:
    """Return destination class → traffic; destinations of which only ICMP is unknown left out.

    Args:
        reaches: of one source.
        icmp: the traffic classes of ICMP.
    """
    found: dict[int, Traffic] = {}
    icmp_unknown: dict[int, int] = defaultdict(int)
    for reach in reaches:
        traffic = reach.traffic
        for destination in bits.members(reach.certain):
            certain, possible = found.get(destination, (0, 0))
            found[destination] = (certain | traffic, possible | traffic)
        if not traffic & ~icmp:
            icmp_unknown[traffic] |= reach.unknown
            continue
        for destination in bits.members(reach.unknown):
            certain, possible = found.get(destination, (0, 0))
            found[destination] = (certain, possible | traffic)
    for traffic, unknown in icmp_unknown.items():
        for destination, (certain, possible) in found.items():
            if unknown >> destination & 1:
                found[destination] = (certain, possible | traffic)
    return found


def connectivity(
    snapshot: Snapshot, *, namespace: str | None = None, nodes: bool = False
) -> Connectivity:
    """Return what every workload may send to and receive from every other, and the outside.

    ICMP is judged where it is asked for (`check`); here it only keeps ANY from being written
    where it is denied. That a pod's own node always reaches it is not listed, nor what outside
    peers do among themselves. Nodes are listed where a policy names nodes; elsewhere they are
    outside addresses like any other.

    Args:
        snapshot: the cluster.
        namespace: only pairs with a workload of this namespace at one end or the other.
        nodes: list nodes even where no policy names them, to compare with an answer that does.
    """
    return _Survey(snapshot, namespace, nodes=nodes).answer()


class _Survey:
    """The work of one answer."""

    def __init__(self, snapshot: Snapshot, namespace: str | None, *, nodes: bool) -> None:
        self._snapshot = snapshot
        self._namespace = namespace
        self._engine = Engine(snapshot)
        self._names = Names(snapshot)
        rules = (rule for policy in snapshot.policies for rule in policy.rules)
        peers = (peer for rule in rules for peer in rule.peers or ())
        self._nodes_listed = nodes or any(isinstance(peer, NodePeer) for peer in peers)
        universe = self._engine.compiled(4).classes.universe
        listed = range(universe.first_cell if self._nodes_listed else universe.first_node)
        self._families = sorted({f for e in listed for f in universe.families[e]}) or [4]
        """The families in which pods can talk to each other, and to nodes."""
        self._classes = [self._engine.compiled(f).classes for f in self._families]
        self._rows = [
            {source: spread(reaches, classes.traffic.icmp) for source, reaches in matrix.rows()}
            for classes, matrix in (
                (self._engine.compiled(f).classes, self._engine.matrix(f)) for f in self._families
            )
        ]
        """Per family: source class → destination class → traffic."""
        self._write = cache(self._allowances)

    def answer(self) -> Connectivity:
        units = sorted(self._units(), key=lambda unit: (unit.outside, unit.peer.name))
        named = self._namespace
        reach = [self._reach(units, f) for f in range(len(self._families))]
        pairs: list[Pair] = []
        unknown: list[tuple[Unit, Unit]] = []
        for number, source in enumerate(units):
            if source.peer.kind == DOMAIN:
                continue
            found = self._merge(source, units, [of_family(number) for of_family in reach])
            row = []
            for other, (allow, perhaps) in found.items():
                target = units[other]
                if not (allow or perhaps) or not self._listed(source, target, named):
                    continue
                row.append(Pair(source.peer.name, target.peer.name, allow, perhaps))
                if perhaps and len(unknown) < SAMPLES:
                    unknown.append((source, target))
            row.sort(key=lambda pair: pair.destination)
            pairs += row
        pairs.sort(key=lambda pair: pair.source)
        return Connectivity(
            profile=self._snapshot.profile,
            endpoints=tuple(unit.peer for unit in units),
            connections=tuple(pairs),
            namespace=named,
            unknown_because=self._reasons(unknown),
            notes=self._notes(),
            problems=self._snapshot.problems,
        )

    @staticmethod
    def _listed(source: Unit, target: Unit, namespace: str | None) -> bool:
        """Return whether a pair belongs in the answer."""
        if source.outside and target.outside:
            return False
        if source.workload is not None and source.workload == target.workload:
            return False
        return namespace is None or namespace in (source.namespace, target.namespace)

    # -- endpoints ---------------------------------------------------------------------------

    def _units(self) -> list[Unit]:
        """Return the endpoints: the coarsest that the policies tell apart."""
        alike = self._alike()
        universe = self._classes[0].universe
        found: list[Unit] = []
        for number, workload in enumerate(self._snapshot.workloads):
            groups: dict[int, list[int]] = defaultdict(list)
            for i in range(len(workload.identities)):
                element = universe.first_identity[number] + i
                groups[alike(element)].append(element)
            for elements in groups.values():
                name = self._names.workload_name(number)
                if len(groups) > 1:
                    pods = [p.name for e in elements for p in universe.identity(e).pods]
                    shown = ", ".join(pods[:3]) + (f", … {len(pods)}" if len(pods) > 3 else "")
                    name += f"[{shown or elements[0] - universe.first_identity[number]}]"
                peer = Peer(name, workload.kind)
                found.append(Unit(peer, tuple(elements), number, workload.namespace))
        if self._nodes_listed:
            found += [
                Unit(Peer(f"node/{node.name}", NODE), (universe.first_node + n,))
                for n, node in enumerate(self._snapshot.nodes)
            ]
        found += self._ranges(alike)
        for element, name in universe.names_in_writing():
            found.append(Unit(Peer(name, DOMAIN), (element,)))
        return found

    def _ranges(self, alike: Callable[[int], int]) -> list[Unit]:
        """Return the outside, adjacent cells joined where all their pairs are the same."""
        universe = self._classes[0].universe
        space = universe.space
        runs: list[list[int]] = []
        for cell in range(space.count):
            element = universe.first_cell + cell
            same = (
                runs
                and space.family_of(cell) == space.family_of(cell - 1)
                and alike(element) == alike(element - 1)
            )
            if same:
                runs[-1].append(element)
            else:
                runs.append([element])
        found = []
        for run in runs:
            first, last = run[0] - universe.first_cell, run[-1] - universe.first_cell
            family = space.family_of(first)
            name = text(family, space.span_of(first)[0], space.span_of(last)[1])
            found.append(Unit(Peer(name, EXTERNAL), (run[0],)))
        return found

    def _alike(self) -> Callable[[int], int]:
        """Return a function from elements to numbers: equal where all their pairs are equal."""
        numbers: dict[tuple[object, ...], int] = {}
        per_family: list[list[tuple[object, ...]]] = []
        for classes, rows in zip(self._classes, self._rows, strict=True):
            concerned = self._concerned(classes)
            inside = self._inside(classes)
            written = {t: self._write(*t, None) for row in rows.values() for t in row.values()}
            columns: dict[int, list[tuple[int, Written]]] = defaultdict(list)
            for source in inside:
                row = rows[source]
                for destination in concerned & row.keys():
                    columns[destination].append((source, written[row[destination]]))
            contents: list[tuple[object, ...]] = [
                (
                    classes.families[number],
                    tuple(sorted((d, written[t]) for d, t in rows[number].items() if d in inside)),
                    tuple(sorted(columns[number])),
                )
                if number in concerned
                else (number,)
                for number in range(classes.count)
            ]
            per_family.append(contents)

        def alike(element: int) -> int:
            key = tuple(
                contents[classes.class_of[element]]
                for classes, contents in zip(self._classes, per_family, strict=True)
            )
            return numbers.setdefault(key, len(numbers))

        return cache(alike)

    @staticmethod
    def _inside(classes: Classes) -> set[int]:
        """Return the classes of workloads."""
        return set(classes.class_of[: classes.universe.first_node])

    def _concerned(self, classes: Classes) -> set[int]:
        """Return the classes of which two may have to be compared."""
        universe = classes.universe
        found = set(classes.class_of[universe.first_cell : universe.first_name])
        for number, workload in enumerate(self._snapshot.workloads):
            if len(workload.identities) > 1:
                first = universe.first_identity[number]
                found |= set(classes.class_of[first : first + len(workload.identities)])
        return found

    # -- pairs -------------------------------------------------------------------------------

    def _reach(self, units: list[Unit], index: int) -> Callable[[int], dict[int, Traffic]]:
        """Return a function from a unit's number to what it may send to which unit."""
        classes, rows = self._classes[index], self._rows[index]
        by_class: dict[int, list[int]] = defaultdict(list)
        for number, unit in enumerate(units):
            by_class[classes.class_of[unit.elements[0]]].append(number)

        def reach(number: int) -> dict[int, Traffic]:
            own = classes.class_of[units[number].elements[0]]
            return {u: traffic for c, traffic in rows[own].items() for u in by_class.get(c, ())}

        return reach

    def _merge(
        self, source: Unit, units: list[Unit], found: list[dict[int, Traffic]]
    ) -> dict[int, Written]:
        """Return one row in writing.

        Pods are judged by every family that both have, and told apart by family where these
        differ. With a range at one end there is but one family.
        """
        if len(found) == 1:
            return {unit: self._write(*traffic, None) for unit, traffic in found[0].items()}
        merged: dict[int, Written] = {}
        for unit in dict.fromkeys(u for row in found for u in row):
            target = units[unit]
            common = self._common(source, target)
            given = [
                (family, row.get(unit, (0, 0)))
                for family, row in zip(self._families, found, strict=True)
                if family in common
            ]
            if len({traffic for _, traffic in given}) == 1:
                merged[unit] = self._write(*given[0][1], None)
            else:
                parts = [self._write(*traffic, family) for family, traffic in given]
                merged[unit] = (
                    tuple(a for allow, _ in parts for a in allow),
                    tuple(p for _, perhaps in parts for p in perhaps),
                )
        return merged

    def _common(self, source: Unit, target: Unit) -> frozenset[int]:
        """Return the families by which a pair is judged: those that both ends have."""
        if EXTERNAL in (source.peer.kind, target.peer.kind):
            # What a range is to a rule does not depend on the family by which pods are judged.
            return frozenset(self._families[:1])
        return self._unit_families(source) & self._unit_families(target)

    def _unit_families(self, unit: Unit) -> frozenset[int]:
        return self._classes[0].universe.families[unit.elements[0]]

    def _allowances(self, certain: int, possible: int, family: int | None) -> Written:
        """Return masks in writing: what is allowed, and what is unknown (ICMP alone is not)."""
        traffic = self._classes[0].traffic
        unknown = possible & ~certain & ~traffic.icmp
        allow = traffic.allowances(certain, possible)
        perhaps = traffic.allowances(unknown, unknown | traffic.icmp)
        if family is None:
            return allow, perhaps
        return (
            tuple(Allowance(a.protocol, a.ports, family) for a in allow),
            tuple(Allowance(p.protocol, p.ports, family) for p in perhaps),
        )

    # -- reasons -----------------------------------------------------------------------------

    def _reasons(self, unknown: list[tuple[Unit, Unit]]) -> tuple[str, ...]:
        """Return why some pairs are unknown."""
        found: dict[str, None] = {}
        for source, target in unknown:
            ends = self._end(source), self._end(target)
            for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP):
                for port, _ in self._classes[0].traffic.runs(protocol):
                    judged = self._engine.judge(Connection(*ends, protocol, port))
                    found |= dict.fromkeys(judged.unknown_because)
        return tuple(found)

    def _end(self, unit: Unit) -> End:
        universe = self._classes[0].universe
        element = unit.elements[0]
        if unit.workload is not None:
            return PodEnd(*universe.identities[element])
        if unit.peer.kind == NODE:
            return NodeEnd(element - universe.first_node)
        if unit.peer.kind == DOMAIN:
            return DomainEnd(unit.peer.name)
        return AddressEnd(unit.peer.name.partition("-")[0])

    def _notes(self) -> tuple[str, ...]:
        """Return what a reader must know to read the answer rightly."""
        snapshot = self._snapshot
        notes = []
        if snapshot.profile.cni is Cni.NONE:
            notes.append("nothing in this cluster enforces network policies: all is allowed")
        if snapshot.ignored:
            notes.append(
                f"{len(snapshot.ignored)} policy objects have no effect under profile "
                f"{snapshot.profile.cni}"
            )
        rules = [rule for policy in snapshot.policies for rule in policy.rules]
        blocks = any(isinstance(peer, IpPeer) for rule in rules for peer in rule.peers or ())
        template = any(not i.pods for w in snapshot.workloads for i in w.identities)
        if (
            blocks
            and template
            and snapshot.pod_cidrs_assumed
            and snapshot.profile.cni is not Cni.CILIUM
        ):
            notes.append(
                "pods without a known address are taken to live in "
                f"{', '.join(snapshot.pod_cidrs)}; --pod-cidr says where they do"
            )
        return tuple(notes)
