"""The fast judge: identities, equivalence classes and bit sets, all pairs at once.

`Engine(snapshot).judge(connection)` answers one connection with its evidence, `.trace` the whole
way to that answer, `.matrix()` everything at once. Elements that no policy tells apart form a
class; sets of classes are Python integers used as bit sets.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.engine.ends import Ends
from ringfence.engine.forwarding import Forwarding
from ringfence.engine.matrix import Matrix
from ringfence.engine.stack import Stack, Stacks
from ringfence.engine.steps import OtherEnd, SideTrace
from ringfence.engine.trace import Tracer
from ringfence.model import icmp
from ringfence.model.cluster import Pod, Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Judgement, Verdict

T = TypeVar("T")

LOOPBACK_NOTE = "a pod always reaches itself; between two replicas the policies decide"
OWN_NODE_NOTE = "a pod always admits its own node; here they are taken to be on two"
MAY_STAY = "policy of host endpoints is not for what stays on the node, which this may do"
WHICH_NODE = "whether {} is the pod's own node is not known, and policies treat the two differently"


@dataclass(frozen=True)
class Trace:
    """The whole way to a verdict."""

    egress: SideTrace
    ingress: SideTrace
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Return the verdict that the two sides come to."""
        return self.egress.verdict & self.ingress.verdict

    @property
    def judgement(self) -> Judgement:
        """Return the verdict with its evidence."""
        verdict = self.verdict
        because = (*self.egress.because, *self.ingress.because)
        return Judgement(
            verdict=verdict,
            egress=self.egress.verdict,
            ingress=self.ingress.verdict,
            evidence=(*self.egress.evidence, *self.ingress.evidence),
            unknown_because=tuple(dict.fromkeys(because)) if verdict is Verdict.UNKNOWN else (),
            notes=self.notes,
        )


@dataclass(frozen=True)
class View:
    """What becomes of the part of a question that no rule of either side tells apart."""

    traffic: int
    """Its classes of traffic."""
    trace: Trace


@dataclass(frozen=True)
class Compiled:
    """All that is worked out once for pods judged by their addresses of one family."""

    classes: Classes
    stacks: Stacks
    tracer: Tracer
    forwarding: Forwarding


class Engine:
    """Answers questions about one snapshot; compiles it on the first."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Keep the snapshot; nothing is computed yet."""
        self.snapshot = snapshot
        self._compiled: dict[int, Compiled] = {}
        self.ends = Ends(snapshot, self._node_of)
        self._last: tuple[Connection, list[View]] | None = None
        """The last question, which is often asked again for another side of its answer."""

    def _node_of(self, pod: Pod) -> int | None:
        """Return the number of a host-network pod's node; compiles the snapshot if need be."""
        return self.compiled(4).classes.universe.node_of(pod)

    def compiled(self, family: int) -> Compiled:
        """Return what was worked out for a family, working it out on first use."""
        found = self._compiled.get(family)
        if found is None:
            classes = Classes(self.snapshot, family)
            stacks = Stacks(classes)
            stacks.forwarding = forwarding = Forwarding(classes, stacks)
            tracer = Tracer(classes, stacks)
            found = self._compiled[family] = Compiled(classes, stacks, tracer, forwarding)
        return found

    def matrix(self, family: int) -> Matrix:
        """Return all pairs at once, pods judged by their addresses of a family."""
        compiled = self.compiled(family)
        return Matrix(compiled.classes, compiled.stacks)

    def judge(self, connection: Connection) -> Judgement:
        """Return the verdict on one connection, with its evidence.

        Where the connection leaves open what a rule looks at, and it is allowed for some of that
        and denied for the rest, it is allowed, limited to the former.
        """
        return self.sum_up(connection, self.views(connection))

    def trace(self, connection: Connection) -> Trace:
        """Return the whole way to the verdict on one connection.

        Of one that leaves open what rules tell apart: the way to the part that is allowed.
        """
        rank = (Verdict.ALLOW, Verdict.UNKNOWN, Verdict.DENY)
        return min(
            (view.trace for view in self.views(connection)),
            key=lambda trace: rank.index(trace.verdict),
        )

    def views(self, connection: Connection) -> list[View]:
        """Return what becomes of each part of a question that the rules of both ends tell apart."""
        if self._last is None or self._last[0] is not connection:
            self._last = connection, self._views(connection)
        return self._last[1]

    def _views(self, connection: Connection) -> list[View]:
        source, destination = connection.source, connection.destination
        compiled = self.compiled(self.family(connection))
        traffic = compiled.classes.traffic
        request = self._as_compared(connection.request)
        asked = traffic.of(connection.protocol, connection.port, request)
        element = self._elements(compiled, destination, None)[0]
        asked &= compiled.classes.zones.traffic_to(compiled.classes.class_of[element])
        if self.ends.is_loopback(source, destination):
            egress = _settled(Direction.EGRESS, "self")
            return [View(asked, Trace(egress, _settled(Direction.INGRESS, "self"), ()))]
        return [
            View(cell, self._follow(compiled, connection, cell))
            for cell in self._cells(compiled, source, destination, asked)
        ]

    def _as_compared(self, request: Request) -> Request:
        """Return a request with its path as the profile's rules see it."""
        if self.snapshot.profile.cni is not Cni.CALICO or request.path is None:
            return request
        from ringfence.layer7 import calico_paths  # noqa: PLC0415 - only where a path is asked for

        path = calico_paths.normalised(request.path) or calico_paths.UNMATCHED
        return msgspec.structs.replace(request, path=path)

    def _cells(self, compiled: Compiled, source: End, destination: End, asked: int) -> list[int]:
        """Return the traffic asked about, cut where rules of either end tell it apart."""
        cells = [asked]
        if asked.bit_count() == 1:
            return cells
        classes, stacks = compiled.classes, compiled.stacks
        for end, direction in ((source, Direction.EGRESS), (destination, Direction.INGRESS)):
            for subject, stack in self._stacks(compiled, end, direction):
                masks = {p[0] for rule in stack.rules for p in stacks.parts(rule, stack, subject)}
                masks.add(classes.traffic.icmp)
                for mask in masks:
                    cells = [p for cell in cells for p in (cell & mask, cell & ~mask) if p]
        return cells

    def _stacks(
        self, compiled: Compiled, end: End, direction: Direction
    ) -> Iterator[tuple[int, Stack]]:
        """Yield all that may decide for an end, and as what subject."""
        classes = compiled.classes
        for element in self._elements(compiled, end, None):
            number = classes.class_of[element]
            for subject in classes.ways.get(number, (number,)):
                if subject is not None and classes.policed >> subject & 1:
                    yield subject, compiled.stacks.stack(subject, direction)
            if isinstance(end, PodEnd) and compiled.forwarding and not self.ends.is_host(end):
                for stack in compiled.forwarding.stacks_of(self.ends.nodes(end), direction):
                    yield number, stack

    def sum_up(self, connection: Connection, views: list[View]) -> Judgement:
        """Return one verdict for the parts of a question."""
        judged = [view.trace.judgement for view in views]
        if len(judged) == 1:
            return judged[0]
        verdicts = {one.verdict for one in judged}
        notes = _each(note for one in judged for note in one.notes)
        if Verdict.UNKNOWN in verdicts:
            chosen = [one for one in judged if one.verdict is Verdict.UNKNOWN]
        elif len(verdicts) == 1:
            chosen = judged
        else:
            chosen = [one for one in judged if one.verdict is Verdict.ALLOW]
        first = chosen[0]
        limited: tuple[dict[str, Any], ...] = ()
        if len(verdicts) == 2 and Verdict.UNKNOWN not in verdicts:
            mask = 0
            for view, one in zip(views, judged, strict=True):
                mask |= view.traffic if one.verdict is Verdict.ALLOW else 0
            limited = self._limits(connection, mask)
        return Judgement(
            verdict=first.verdict,
            egress=first.egress,
            ingress=first.ingress,
            evidence=_each(piece for one in chosen for piece in one.evidence),
            unknown_because=_each(why for one in chosen for why in one.unknown_because),
            limited_to=limited,
            notes=notes,
        )

    def _limits(self, connection: Connection, mask: int) -> tuple[dict[str, Any], ...]:
        """Return in the shape of answers what of a question is allowed."""
        traffic = self.compiled(self.family(connection)).classes.traffic
        if connection.protocol is Protocol.ICMP and connection.port is None:
            runs = (
                (first, last)
                for first, last in traffic.icmp_runs()
                if traffic.of(Protocol.ICMP, first) & mask
            )
            return ({"icmp": icmp.write(icmp.joined(runs))},)
        from ringfence.layer7.words import to_json  # noqa: PLC0415 - only where rules look so far

        allowed, excepts = traffic.limits(connection.protocol, connection.port or 0, mask)
        found = [to_json(box) for box in allowed or ()]
        return (*found, *({"except": to_json(box)} for box in excepts))

    # -- one part ----------------------------------------------------------------------------

    def _follow(self, compiled: Compiled, connection: Connection, cell: int) -> Trace:
        """Return the way to the verdict on traffic that no rule of either end tells apart."""
        source, destination = connection.source, connection.destination
        traffic = bits.members(cell & -cell)[0]
        local = self.ends.same_node(source, destination)
        if local is None and self.snapshot.profile.cni is Cni.CILIUM:
            return self._either(
                self._trace(compiled, connection, traffic, local=False),
                self._trace(compiled, connection, traffic, local=True),
                self.ends.words(destination if isinstance(source, PodEnd) else source),
            )
        trace = self._trace(compiled, connection, traffic, local=bool(local))
        notes = list(trace.notes)
        if trace.ingress.verdict is Verdict.DENY and self.ends.may_share_node(source, destination):
            notes.append(OWN_NODE_NOTE)
        if self.ends.may_be_loopback(source, destination):
            for side in (trace.egress, trace.ingress):
                if side.verdict is Verdict.DENY:
                    side.verdict = Verdict.UNKNOWN
                    side.because.append(LOOPBACK_NOTE)
        return replace(trace, notes=tuple(notes))

    def _trace(
        self, compiled: Compiled, connection: Connection, traffic: int, *, local: bool
    ) -> Trace:
        """Return the way to the verdict of one class of traffic.

        Args:
            compiled: for the connection's family.
            connection: what is asked.
            traffic: the number of the class.
            local: whether a host at one end is the node of the pod at the other.
        """
        source, destination = connection.source, connection.destination
        if local and self.ends.is_host(source) and self.ends.is_host(destination):
            egress = _settled(Direction.EGRESS, "self")
            return Trace(egress, _settled(Direction.INGRESS, "self"), ())
        egress = self._side(compiled, Direction.EGRESS, source, destination, traffic, local=local)
        cilium = self.snapshot.profile.cni is Cni.CILIUM
        if local and not cilium and isinstance(destination, PodEnd):
            ingress = _settled(Direction.INGRESS, "own node")
        else:
            allowed = (self.snapshot.profile.cilium or CiliumConfig()).local_host_allowed
            to_pod = isinstance(destination, PodEnd) and not self.ends.is_host(destination)
            let_in = local and allowed and to_pod
            ingress = self._side(
                compiled,
                Direction.INGRESS,
                destination,
                source,
                traffic,
                local=local,
                let_in=let_in,
            )
            if let_in:
                ingress = self._let_in(ingress, source)
        return Trace(egress, ingress, _each((*egress.notes, *ingress.notes)))

    def _let_in(self, found: SideTrace, host: End) -> SideTrace:
        """Return what becomes of the ingress from the own node, given what policies make of it.

        Cilium allows the local host below all policies, so that a deny still holds.
        """
        by_default = any(piece.rule == "default" for piece in found.evidence)
        if not (found.unmatched or by_default):
            return found
        told = _settled(Direction.INGRESS, "own node")
        if not found.perhaps_denied:
            return replace(told, policies=found.policies)
        if found.verdict is not Verdict.ALLOW:  # as it is in audit mode
            found.verdict = Verdict.UNKNOWN
            found.because.append(f"whether a rule denies {self.ends.words(host)} is not known")
            found.evidence += told.evidence
        return found

    def _either(self, remote: Trace, local: Trace, host: str) -> Trace:
        """Return what is known where a host may be the pod's own node, or another."""
        by_local_host = any(piece.rule == "own node" for piece in local.ingress.evidence)
        noted = by_local_host and remote.ingress.verdict is Verdict.DENY
        sides = [(remote.egress, local.egress)]
        if noted:
            remote = replace(remote, notes=_each((*remote.notes, OWN_NODE_NOTE)))
        else:
            sides.append((remote.ingress, local.ingress))
        for one, other in sides:
            if one.verdict is not other.verdict:
                one.verdict = Verdict.UNKNOWN
                one.because += [*other.because, WHICH_NODE.format(host)]
                one.evidence += [piece for piece in other.evidence if piece not in one.evidence]
        return remote

    def _side(
        self,
        compiled: Compiled,
        direction: Direction,
        subject: End,
        other: End,
        traffic: int,
        *,
        local: bool,
        let_in: bool = False,
    ) -> SideTrace:
        if isinstance(subject, AddressEnd | DomainEnd):
            return _settled(direction, "outside")
        classes = compiled.classes
        element = self._elements(compiled, subject, local)[0]
        number = classes.class_of[element]
        address = None
        config = self.snapshot.profile.cilium or CiliumConfig()
        by_address = self.snapshot.profile.cni is not Cni.CILIUM or config.cidrs_match_nodes
        if isinstance(other, NodeEnd) and other.address and by_address:
            address = classes.element_of_address(other.address)
        end = OtherEnd(self._elements(compiled, other, local)[0], self.ends.words(other), address)
        if element in classes.universe.ways:
            return self._host_side(compiled, direction, subject, other, traffic, end)
        if not classes.policed >> number & 1:
            return _settled(direction, "host network")
        found = compiled.tracer.follow(number, direction, traffic, end, let_in=let_in)
        if compiled.forwarding and isinstance(subject, PodEnd) and not self.ends.is_host(subject):
            elsewhere = self.ends.nodes(other) if isinstance(other, PodEnd | NodeEnd) else None
            return compiled.forwarding.follow(
                compiled.tracer, found, number, traffic, end, self.ends.nodes(subject), elsewhere
            )
        return found

    def _host_side(
        self,
        compiled: Compiled,
        direction: Direction,
        subject: End,
        other: End,
        traffic: int,
        end: OtherEnd,
    ) -> SideTrace:
        """Return the side of a host of Calico, by whichever host endpoint it passes."""
        local = self.ends.stays_on_node(subject, other)
        if local:
            return _settled(direction, "own node")
        universe = compiled.classes.universe
        element = self._elements(compiled, subject, local=False)[0]
        if universe.crowded >> element & 1:
            why = f"which of many host endpoints {self.ends.words(subject)} has is not known"
            return SideTrace(direction, Verdict.UNKNOWN, because=[why])
        ways = universe.ways[element]
        if isinstance(subject, NodeEnd) and subject.address:
            node = universe.node_name(element)
            ways = universe.host_endpoints.ways(node, [subject.address])
        sides = []
        for way in ways:
            found = _settled(direction, "default")
            if way.number is not None:
                number = compiled.classes.class_of[universe.behind[element, way.number]]
                found = compiled.tracer.follow(number, direction, traffic, end)
            if way.why:
                found.because.append(way.why)
            sides.append(found)
        if local is None:
            sides.append(_settled(direction, "own node"))
            sides[-1].because.append(MAY_STAY)
        return _either_side(sides)

    def _elements(self, compiled: Compiled, end: End, local: bool | None) -> list[int]:  # noqa: FBT001 - three values
        """Return the element that an end is; of a host, where `local` is None, its twin as well."""
        universe = compiled.classes.universe
        match end:
            case PodEnd():
                element = universe.first_identity[end.workload] + end.identity
            case NodeEnd():
                element = universe.first_node + end.node
            case AddressEnd():
                return [compiled.classes.element_of_address(end.address)]
            case DomainEnd():
                return [universe.of_name(end.name)]
        twin = universe.twin.get(element)
        if twin is None or local is False:
            return [element]
        return [twin] if local else [element, twin]

    # -- families ----------------------------------------------------------------------------

    def families(self, end: End) -> frozenset[int]:
        """Return the IP families that an end can be reached over."""
        match end:
            case AddressEnd():
                return frozenset({_family(end.address)})
            case DomainEnd():
                return frozenset({4, 6})
            case PodEnd(pod=int() as number) if self.ends.identity(end).pods[number].addresses:
                listed = self.ends.identity(end).pods[number].addresses
                return frozenset(map(_family, listed))
            case PodEnd(pod=int()) if not self.ends.identity(end).host_network:
                return frozenset(map(_family_of_block, self.snapshot.pod_cidrs))
            case _:
                compiled = self.compiled(4)
                return compiled.classes.universe.families[self._elements(compiled, end, None)[0]]

    def family(self, connection: Connection) -> int:
        """Return the family by which a connection is judged: as asked, else IPv4 if both can."""
        if connection.family:
            return connection.family
        ends = (connection.source, connection.destination)
        # An address of the outside has one family alone, a node may have both.
        for end in sorted(ends, key=lambda end: not isinstance(end, AddressEnd)):
            if isinstance(end, AddressEnd):
                return _family(end.address)
            if isinstance(end, NodeEnd) and (listed := self.snapshot.nodes[end.node].addresses):
                return _family(end.address or listed[0])
        common = self.families(connection.source) & self.families(connection.destination)
        return 6 if common == {6} else 4


def _family(address: str) -> int:
    parsed = ipaddress.ip_address(address)
    return 4 if parsed.version == 4 or parsed.ipv4_mapped else 6


def _family_of_block(cidr: str) -> int:
    return ipaddress.ip_network(cidr, strict=False).version


def _settled(direction: Direction, rule: str) -> SideTrace:
    """Return a side that no policy can decide."""
    return SideTrace(
        direction, evidence=[Evidence("network", direction.value, "allow", None, rule)]
    )


def _either_side(sides: list[SideTrace]) -> SideTrace:
    """Return what is known where any of several may be right."""
    first = sides[0]
    if all(side.verdict is first.verdict for side in sides):
        if first.verdict is not Verdict.UNKNOWN:
            first.because.clear()
        return first
    found = SideTrace(first.direction, Verdict.UNKNOWN)
    for side in sides:
        found.evidence += [piece for piece in side.evidence if piece not in found.evidence]
        found.because += side.because
        found.policies += side.policies
    return found


def _each(items: Iterable[T]) -> tuple[T, ...]:
    """Return the items, each once."""
    return tuple(dict.fromkeys(items))
