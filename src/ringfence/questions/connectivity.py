"""Who may connect to whom: every pair of a snapshot, by which traffic."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import TYPE_CHECKING

import msgspec

from ringfence.engine import Engine, bits
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.connectivity import Connectivity, Pair
from ringfence.model.profile import Cni
from ringfence.model.rule import IpPeer, leaves
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.destinations import Destinations
from ringfence.questions.grid import NOTHING, Grid, Traffic, spread
from ringfence.questions.lookups import NO_DNS, NOT_JUDGED, Lookups
from ringfence.questions.naming import Names
from ringfence.questions.provisos import CALICO_HTTP
from ringfence.questions.units import DOMAIN, EXTERNAL, NODE, Unit, Units, Written, names_nodes

if TYPE_CHECKING:
    from ringfence.questions.domains import LookedUp, Reach
    from ringfence.questions.mtls_coverage import Coverage

__all__ = ["connectivity", "spread"]

SAMPLES = 32
"""How many unknown pairs are followed to tell the reasons; most share theirs."""


def connectivity(
    snapshot: Snapshot, *, namespace: str | None = None, nodes: bool = False
) -> Connectivity:
    """Return what every workload may send to and receive from every other, and the outside.

    ICMP is judged where it is asked for (`check`); here it only keeps ANY from being written
    where it is denied. That a pod's own node always reaches it is not listed, nor what outside
    peers do among themselves. Nodes are listed where a policy names nodes, or has them for its
    subjects; elsewhere they are outside addresses like any other. What a pod and a node may
    exchange is certain only where it does not matter whether it is the pod's own node. A domain
    name is reached only by who can look it up.

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
        universe = self._engine.compiled(4).classes.universe
        self._nodes_listed = nodes or bool(universe.hosts or universe.ways) or names_nodes(snapshot)
        listed = range(universe.first_cell if self._nodes_listed else universe.first_node)
        self._families = sorted({f for e in listed for f in universe.families[e]}) or [4]
        """The families in which pods can talk to each other, and to nodes."""
        self._grids = {family: Grid(self._engine, family) for family in self._families}
        self._classes = [grid.classes for grid in self._grids.values()]
        self._undecided: dict[str, None] = {}
        """Why some traffic could not be written."""
        self._write = cache(self._allowances)
        self._units = Units(snapshot, self._names, self._grids.values(), self._write)

    def answer(self) -> Connectivity:
        units = sorted(
            self._units.find(nodes=self._nodes_listed),
            key=lambda unit: (unit.outside, unit.peer.name),
        )
        named = self._namespace
        reach = [self._reach(units, grid) for grid in self._grids.values()]
        pairs: list[Pair] = []
        coverage = self._coverage()
        unknown: list[tuple[Unit, Unit]] = []
        for number, source in enumerate(units):
            if source.peer.kind == DOMAIN:
                continue
            merged = self._merge(source, units, [of_family(number) for of_family in reach])
            row = []
            is_over = coverage.of(source) if coverage else None
            for other, (allow, perhaps) in merged.items():
                target = units[other]
                if not (allow or perhaps) or not self._listed(source, target, named):
                    continue
                mtls = is_over(target) if is_over else msgspec.UNSET
                row.append(Pair(source.peer.name, target.peer.name, allow, perhaps, mtls))
                if perhaps and len(unknown) < SAMPLES:
                    unknown.append((source, target))
            row.sort(key=lambda pair: pair.destination)
            pairs += row
        pairs.sort(key=lambda pair: pair.source)
        unread = [p for p in self._snapshot.problems if p.severity != "note"]
        noted = [p.message for p in self._snapshot.problems if p.severity == "note"]
        return Connectivity(
            profile=self._snapshot.profile,
            endpoints=tuple(unit.peer for unit in units),
            connections=tuple(pairs),
            namespace=named,
            unknown_because=(*self._reasons(unknown), *self._undecided),
            notes=(*self._notes(units), *noted),
            problems=tuple(unread),
        )

    def _coverage(self) -> "Coverage | None":
        """Return what tells which pairs are over mTLS; None where nobody is in a mesh."""
        if not any(classes.members_of_mesh for classes in self._classes):
            return None
        from ringfence.questions.mtls_coverage import Coverage  # noqa: PLC0415 - only in a mesh

        return Coverage(list(self._grids.values()), Destinations(self._names))

    @staticmethod
    def _listed(source: Unit, target: Unit, namespace: str | None) -> bool:
        """Return whether a pair belongs in the answer."""
        if (source.outside and target.outside) or source.peer == target.peer:
            return False
        if source.workload is not None and source.workload == target.workload:
            return False
        return namespace is None or namespace in (source.namespace, target.namespace)

    # -- pairs -------------------------------------------------------------------------------

    def _reach(self, units: list[Unit], grid: Grid) -> Callable[[int], dict[int, Traffic]]:
        """Return a function from a unit's number to what it may send to which unit."""
        by_class: dict[int, list[int]] = defaultdict(list)
        twins: dict[int, int] = {}
        """Per unit that is a host: the class that it is as a pod's own node."""
        domains = [number for number, unit in enumerate(units) if unit.names is not None]
        for number, unit in enumerate(units):
            by_class[grid.own_class(unit.elements[0])].append(number)
            twin = grid.twin_class(unit.elements[0])
            if twin is not None:
                twins[number] = twin

        def row(number: int) -> dict[int, Traffic]:
            own = grid.own_class(units[number].elements[0])
            found = {u: t for c, t in grid.rows[own].items() for u in by_class.get(c, ())}
            if number in twins:
                zones = grid.classes.zones
                for other in self._perhaps_the_same_host(units, twins, number, grid):
                    everything = zones.traffic_to(grid.own_class(units[other].elements[0]))
                    found[other] = (found.get(other, NOTHING)[0], everything)
                local = grid.rows[twins[number]]
                for other in self._with_another_host(units, twins, number):
                    there = grid.own_class(units[other].elements[0])
                    here = local.get(there, NOTHING)
                    both = found.get(other, NOTHING), here
                    if both != (NOTHING, NOTHING):
                        found[other] = grid.either(*both, twins[number], there)
            elif units[number].workload is not None:
                for other, twin in twins.items():
                    both = found.get(other, NOTHING), grid.rows[own].get(twin, NOTHING)
                    if both != (NOTHING, NOTHING):
                        found[other] = grid.either(*both, own, twin)
            return found

        def reach(number: int) -> dict[int, Traffic]:
            found = row(number)
            source = units[number]
            if domains and self._asks_dns(source):
                servers = self._dns.reach(source.elements[0])
                for other in domains:
                    if other in found:
                        found[other] = self._looked_up(source, units[other], servers, found[other])
            return {other: traffic for other, traffic in found.items() if traffic[1]}

        return reach

    @staticmethod
    def _perhaps_the_same_host(
        units: list[Unit], twins: dict[int, int], number: int, grid: Grid
    ) -> Iterator[int]:
        """Yield the hosts that may be on the same node: its own traffic meets no policies."""
        mine = {grid.node_name(element) for element in units[number].elements}
        for other in twins:
            theirs = {grid.node_name(element) for element in units[other].elements}
            if other != number and ("" in mine | theirs or mine & theirs):
                yield other

    @staticmethod
    def _with_another_host(units: list[Unit], twins: dict[int, int], number: int) -> list[int]:
        """Return the workloads of which a host may be the own node."""
        own = units[number].workload
        return [
            other
            for other, unit in enumerate(units)
            if unit.workload is not None and other not in twins and unit.workload != own
        ]

    # -- names -------------------------------------------------------------------------------

    def _asks_dns(self, source: Unit) -> bool:
        """Return whether a unit must ask the cluster's DNS before it connects to a name."""
        return self._lookups.needs(Connection(self._end(source), DomainEnd("")))

    def _looked_up(self, source: Unit, target: Unit, servers: "Reach", traffic: Traffic) -> Traffic:
        """Return what may be sent to names by who must look them up first."""
        if target.names is None:
            return traffic
        found = self._dns.verdict(servers, target.names.example)
        if found is Verdict.DENY:
            return NOTHING
        if found is Verdict.ALLOW:
            return traffic
        if len(self._undecided) < SAMPLES:
            told = f"whether {source.peer.name} can look up {target.peer.name} is not known"
            self._undecided[told] = None
        return (0, traffic[1])

    @cached_property
    def _lookups(self) -> Lookups:
        return Lookups(self._snapshot, self._engine.judge)

    @cached_property
    def _dns(self) -> "LookedUp":
        from ringfence.questions.domains import LookedUp  # noqa: PLC0415 - rarely needed

        return LookedUp(self._grids, self._lookups.servers)

    # -- traffic -----------------------------------------------------------------------------

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
        """Return the families by which a pair is judged: those that both ends have.

        With a range at one end it is that of the range; where no pod has it, any will do.
        """
        for unit in (source, target):
            if unit.peer.kind == EXTERNAL:
                common = self._unit_families(unit).intersection(self._families)
                return common or frozenset(self._families[:1])
        return self._unit_families(source) & self._unit_families(target)

    def _unit_families(self, unit: Unit) -> frozenset[int]:
        return self._classes[0].universe.families[unit.elements[0]]

    def _allowances(self, certain: int, possible: int, family: int | None) -> Written:
        """Return masks in writing: what is allowed, and what is unknown (ICMP alone is not)."""
        traffic = self._classes[0].traffic
        unknown = possible & ~certain & ~traffic.icmp
        try:
            allow = traffic.allowances(certain, possible)
            perhaps = traffic.allowances(unknown, unknown | traffic.icmp)
        except Undecidable as undecidable:
            self._undecided[undecidable.reason] = None
            whole = self._whole_ports(certain)
            unknown = self._ports_of((certain & ~whole) | unknown)
            allow = traffic.allowances(whole, possible)
            perhaps = traffic.allowances(unknown, unknown | traffic.icmp)
        if family is None:
            return allow, perhaps
        return (
            tuple(msgspec.structs.replace(a, ip_family=family) for a in allow),
            tuple(msgspec.structs.replace(p, ip_family=family) for p in perhaps),
        )

    def _ports_of(self, mask: int) -> int:
        """Return everything that may be said on the ports of some traffic."""
        traffic, found = self._classes[0].traffic, 0
        for number in bits.members(mask):
            found |= traffic.on_port(number)
        return found

    def _whole_ports(self, mask: int) -> int:
        """Return the ports on which everything is in a mask."""
        everything = self._classes[0].traffic.everything
        return mask & ~self._ports_of(everything & ~mask)

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
            return DomainEnd(unit.names.example or unit.peer.name if unit.names else "")
        return AddressEnd(unit.peer.name.partition("-")[0])

    def _notes(self, units: list[Unit]) -> tuple[str, ...]:
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
        parts = (leaf for rule in rules for peer in rule.peers or () for leaf in leaves(peer))
        blocks = any(isinstance(part, IpPeer) for part in parts)
        if snapshot.profile.cni is Cni.CALICO and any(r.layer7 is not None for r in rules):
            notes.append(CALICO_HTTP)
        if any(unit.names for unit in units) and not self._lookups.servers:
            notes.append(NOT_JUDGED.format("any name", NO_DNS))
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
