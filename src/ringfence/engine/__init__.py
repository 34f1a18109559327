"""The fast judge: identities, equivalence classes and bit sets, all pairs at once.

`Engine(snapshot).judge(connection)` answers one connection with its evidence, `.trace` the whole
way to that answer, `.matrix()` everything at once. Elements that no policy tells apart form a
class; sets of classes are Python integers used as bit sets.
"""

import ipaddress
from dataclasses import dataclass

from ringfence.engine.classes import Classes
from ringfence.engine.matrix import Matrix
from ringfence.engine.stack import Stacks
from ringfence.engine.trace import OtherEnd, SideTrace, Tracer
from ringfence.model.cluster import Identity
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.profile import Cni
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Judgement, Verdict

LOOPBACK_NOTE = "a pod always reaches itself; between two replicas the policies decide"


@dataclass(frozen=True)
class Trace:
    """The whole way to a verdict."""

    egress: SideTrace
    ingress: SideTrace
    notes: tuple[str, ...]

    @property
    def judgement(self) -> Judgement:
        """Return the verdict that the two sides come to."""
        verdict = self.egress.verdict & self.ingress.verdict
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
class Compiled:
    """All that is worked out once for pods judged by their addresses of one family."""

    classes: Classes
    stacks: Stacks
    tracer: Tracer


class Engine:
    """Answers questions about one snapshot; compiles it on the first."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Keep the snapshot; nothing is computed yet."""
        self.snapshot = snapshot
        self._compiled: dict[int, Compiled] = {}

    def compiled(self, family: int) -> Compiled:
        """Return what was worked out for a family, working it out on first use."""
        found = self._compiled.get(family)
        if found is None:
            classes = Classes(self.snapshot, family)
            stacks = Stacks(classes)
            found = self._compiled[family] = Compiled(classes, stacks, Tracer(classes, stacks))
        return found

    def matrix(self, family: int) -> Matrix:
        """Return all pairs at once, pods judged by their addresses of a family."""
        compiled = self.compiled(family)
        return Matrix(compiled.classes, compiled.stacks)

    def judge(self, connection: Connection) -> Judgement:
        """Return the verdict on one connection, with its evidence."""
        return self.trace(connection).judgement

    def trace(self, connection: Connection) -> Trace:
        """Return the whole way to the verdict on one connection."""
        source, destination = connection.source, connection.destination
        if self._is_loopback(source, destination):
            return Trace(
                _settled(Direction.EGRESS, "self"), _settled(Direction.INGRESS, "self"), ()
            )
        compiled = self.compiled(self.family(connection))
        traffic = compiled.classes.traffic.class_of(connection.protocol, connection.port)
        egress = self._side(compiled, Direction.EGRESS, source, destination, traffic)
        if self._same_node(source, destination):
            ingress = _settled(Direction.INGRESS, "own node")
        else:
            ingress = self._side(compiled, Direction.INGRESS, destination, source, traffic)
        notes = []
        if ingress.verdict is Verdict.DENY and self._may_share_node(source, destination):
            notes.append("a pod always admits its own node; here they are taken to be on two")
        if self._may_be_loopback(source, destination):
            for side in (egress, ingress):
                if side.verdict is Verdict.DENY:
                    side.verdict = Verdict.UNKNOWN
                    side.because.append(LOOPBACK_NOTE)
        return Trace(egress, ingress, tuple(notes))

    def _side(
        self, compiled: Compiled, direction: Direction, subject: End, other: End, traffic: int
    ) -> SideTrace:
        match subject:
            case PodEnd() if not self._identity(subject).host_network:
                number = self._class(compiled, subject)
                assert number is not None  # noqa: S101 - pods always have a class
                words = self._words(other)
                domain = other.name if isinstance(other, DomainEnd) else ""
                address = None
                blocks_hold_nodes = self.snapshot.profile.cni is not Cni.CILIUM
                if isinstance(other, NodeEnd) and other.address and blocks_hold_nodes:
                    address = compiled.classes.of_address(other.address)
                end = OtherEnd(self._class(compiled, other), words, domain, address)
                return compiled.tracer.follow(number, direction, traffic, end)
            case PodEnd() | NodeEnd():
                return _settled(direction, "host network")
            case _:
                return _settled(direction, "outside")

    def _class(self, compiled: Compiled, end: End) -> int | None:
        classes = compiled.classes
        universe = classes.universe
        match end:
            case PodEnd():
                return classes.class_of[universe.first_identity[end.workload] + end.identity]
            case NodeEnd():
                return classes.class_of[universe.first_node + end.node]
            case AddressEnd():
                return classes.of_address(end.address)
            case DomainEnd():
                return None

    def _words(self, end: End) -> str:
        match end:
            case PodEnd():
                return self.snapshot.workloads[end.workload].ref
            case NodeEnd():
                return f"node {self.snapshot.nodes[end.node].name}"
            case AddressEnd():
                return end.address
            case DomainEnd():
                return end.name

    def _identity(self, end: PodEnd) -> Identity:
        return self.snapshot.workloads[end.workload].identities[end.identity]

    # -- loopback and own node ---------------------------------------------------------------

    def _is_loopback(self, source: End, destination: End) -> bool:
        """Return whether both ends are the same pod, which cannot block itself."""
        if not (isinstance(source, PodEnd) and isinstance(destination, PodEnd)):
            return False
        if (source.workload, source.identity) != (destination.workload, destination.identity):
            return False
        if self.snapshot.workloads[source.workload].kind == "Pod":
            return True
        return source.pod is not None and source.pod == destination.pod

    def _may_be_loopback(self, source: End, destination: End) -> bool:
        if not (isinstance(source, PodEnd) and isinstance(destination, PodEnd)):
            return False
        same = (source.workload, source.identity) == (destination.workload, destination.identity)
        return same and (source.pod is None or destination.pod is None)

    def _host_of(self, end: End) -> str:
        """Return the node whose address an end has; empty where it has none, or it is unknown."""
        if isinstance(end, NodeEnd):
            return self.snapshot.nodes[end.node].name
        if isinstance(end, PodEnd):
            identity = self._identity(end)
            if identity.host_network and identity.pods:
                pod = identity.pods[end.pod or 0]
                node = None if pod.node else self.compiled(4).classes.universe.node_of(pod)
                return pod.node if node is None else self.snapshot.nodes[node].name
        return ""

    def _same_node(self, source: End, destination: End) -> bool:
        """Return whether a pod is reached from its own node, which no CNI denies.

        Source: types.go, NetworkPolicySpec.Ingress ("the pod's local node").
        """
        host = self._host_of(source)
        if not host or not isinstance(destination, PodEnd):
            return False
        identity = self._identity(destination)
        chosen = identity.pods
        if destination.pod is not None:
            chosen = (identity.pods[destination.pod],)
        return bool(chosen) and all(pod.node == host for pod in chosen)

    def _may_share_node(self, source: End, destination: End) -> bool:
        if not isinstance(destination, PodEnd) or isinstance(source, AddressEnd | DomainEnd):
            return False
        if isinstance(source, PodEnd) and not self._identity(source).host_network:
            return False
        host = self._host_of(source)
        nodes = [pod.node for pod in self._identity(destination).pods]
        return not host or not nodes or any(node in ("", host) for node in nodes)

    # -- families ----------------------------------------------------------------------------

    def families(self, end: End) -> frozenset[int]:
        """Return the IP families that an end can be reached over."""
        match end:
            case AddressEnd():
                return frozenset({_family(end.address)})
            case DomainEnd():
                return frozenset({4, 6})
            case PodEnd(pod=int() as number) if self._identity(end).pods[number].addresses:
                listed = self._identity(end).pods[number].addresses
                return frozenset(map(_family, listed))
            case _:
                classes = self.compiled(4).classes
                number_of_class = self._class(self.compiled(4), end)
                assert number_of_class is not None  # noqa: S101 - only names have no class
                return classes.families[number_of_class]

    def family(self, connection: Connection) -> int:
        """Return the family by which a connection is judged: as asked, else IPv4 if both can."""
        if connection.family:
            return connection.family
        for end in (connection.source, connection.destination):
            if isinstance(end, AddressEnd):
                return _family(end.address)
            if isinstance(end, NodeEnd) and (listed := self.snapshot.nodes[end.node].addresses):
                return _family(end.address or listed[0])
        common = self.families(connection.source) & self.families(connection.destination)
        return 6 if common == {6} else 4


def _family(address: str) -> int:
    parsed = ipaddress.ip_address(address)
    return 4 if parsed.version == 4 or parsed.ipv4_mapped else 6


def _settled(direction: Direction, rule: str) -> SideTrace:
    """Return a side that no policy can decide."""
    return SideTrace(
        direction, evidence=[Evidence("network", direction.value, "allow", None, rule)]
    )
