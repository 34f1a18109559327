"""What a judge concludes of the elements that a proof looks at.

All pairs come from `connectivity`, the answer that users see. What that answer leaves out, the
replicas of a workload among themselves, and pods of one workload that policies tell apart, is
asked of the engine, one connection at a time.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

from ringfence.engine import LOOPBACK_NOTE, Engine, Trace
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, End, NodeEnd, PodEnd
from ringfence.model.connectivity import Connectivity
from ringfence.model.outside import parse_range
from ringfence.model.rule import NamedPort, PortRange
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.prove import port_sets
from ringfence.prove.elements import Element, NodeElement, PodElement, RangeElement
from ringfence.questions.connectivity import connectivity
from ringfence.questions.naming import Names

Ports = tuple[int, int]
"""Ports that are allowed, and ports that are allowed or unknown."""


class Actual:
    """The verdicts of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Compute all pairs."""
        self._snapshot = snapshot
        self._engine = Engine(snapshot)
        self._names = Names(snapshot)
        self.answer: Connectivity = connectivity(snapshot)
        self._pairs = {(pair.source, pair.destination): pair for pair in self.answer.connections}
        self._units: dict[str, list[str]] = defaultdict(list)
        for peer in self.answer.endpoints:
            self._units[peer.name.partition("[")[0]].append(peer.name)
        ranges = [parse_range(p.name) for p in self.answer.endpoints if p.kind == "External"]
        self._ranges = sorted(found for found in ranges if found)

    def elements(self) -> list[Element]:
        """Return every element, the outside in the coarsest ranges that policies tell apart."""
        found: list[Element] = [
            PodElement(number, identity)
            for number, workload in enumerate(self._snapshot.workloads)
            for identity in range(len(workload.identities))
        ]
        found += [
            NodeElement(number)
            for number, node in enumerate(self._snapshot.nodes)
            if f"node/{node.name}" in self._units
        ]
        return found + [RangeElement(part) for part in self._ranges]

    def pairs(self, elements: Iterable[Element]) -> Iterator[tuple[Element, Element]]:
        """Yield every pair that something may pass between, as far as `connectivity` has it."""
        by_name: dict[str, list[Element]] = defaultdict(list)
        for element in elements:
            for name in self._listed(element):
                by_name[name].append(element)
        for source, destination in self._pairs:
            for one in by_name.get(source, ()):
                for other in by_name.get(destination, ()):
                    yield one, other

    def between(self, source: Element, destination: Element, family: int, meant: int) -> Ports:
        """Return what one element may send another over an IP family.

        Args:
            source: who sends.
            destination: who is sent to.
            family: 4 or 6.
            meant: the ports that are expected, whose edges must be looked at.
        """
        names = self._listed(source), self._listed(destination)
        if names[0] == names[1] or any(len(listed) > 1 for listed in names):
            return self._judged(source, destination, family, meant)
        pair = self._pairs.get((names[0][0], names[1][0]))
        if pair is None:
            return port_sets.NOTHING, port_sets.NOTHING
        certain = port_sets.of_allowances(pair.allow, family)
        return certain, certain | port_sets.of_allowances(pair.unknown, family)

    def judge(
        self, source: Element, destination: Element, family: int, protocol: Protocol, port: int
    ) -> Judgement:
        """Return the verdict on one connection, with its evidence."""
        return self._engine.judge(self._connection(source, destination, family, protocol, port))

    def _connection(
        self, source: Element, destination: Element, family: int, protocol: Protocol, port: int
    ) -> Connection:
        return Connection(self._end(source, 0), self._end(destination, -1), protocol, port, family)

    def is_single(self, element: Element) -> bool:
        """Return whether an element is a single pod by its nature."""
        if not isinstance(element, PodElement):
            return False
        return self._snapshot.workloads[element.workload].kind == "Pod"

    def name(self, element: Element) -> str:
        """Return what to call an element."""
        match element:
            case PodElement(workload, identity):
                return self._names.identity_label(workload, identity)
            case NodeElement(node):
                return f"node/{self._snapshot.nodes[node].name}"
            case RangeElement(addresses):
                return addresses.short

    def _listed(self, element: Element) -> list[str]:
        """Return the endpoints under which `connectivity` may list an element."""
        match element:
            case PodElement(workload, _):
                return self._units[self._names.workload_name(workload)]
            case NodeElement():
                return [self.name(element)]
            case RangeElement(addresses):
                whole = next(
                    part
                    for part in self._ranges
                    if part.family == addresses.family
                    and part.first <= addresses.first
                    and addresses.last <= part.last
                )
                return [str(whole)]

    def _judged(self, source: Element, destination: Element, family: int, meant: int) -> Ports:
        certain = possible = port_sets.NOTHING
        for protocol in port_sets.PORTED:
            starts = {1} | {p for own, p in port_sets.edges(meant) if own is protocol and p}
            ordered = sorted(starts | self._port_edges[protocol])
            for first, past in zip(ordered, [*ordered[1:], 65536], strict=True):
                connection = self._connection(source, destination, family, protocol, first)
                verdict = _between_replicas(self._engine.trace(connection))
                ports = port_sets.ports(protocol, first, past - 1)
                if verdict is Verdict.ALLOW:
                    certain |= ports
                if verdict is not Verdict.DENY:
                    possible |= ports
        return certain, possible

    @cached_property
    def _port_edges(self) -> dict[Protocol, set[int]]:
        """The ports at which some rule begins or has ended."""
        found: dict[Protocol, set[int]] = {protocol: set() for protocol in port_sets.PORTED}
        names: set[str] = set()
        for policy in self._snapshot.policies:
            for rule in policy.rules:
                for part in rule.traffic or ():
                    match part:
                        case PortRange(protocol, first, last) if protocol in found:
                            found[protocol] |= {max(first, 1), last + 1}
                        case NamedPort(name, _):
                            names.add(name)
                        case _:
                            pass
        for workload in self._snapshot.workloads:
            for identity in workload.identities:
                for own in identity.ports:
                    if own.name in names and own.protocol in found:
                        found[own.protocol] |= {own.port, own.port + 1}
        return {protocol: {p for p in edges if 0 < p < 65536} for protocol, edges in found.items()}

    def _end(self, element: Element, pod: int) -> End:
        """Return the end that stands for an element: its first pod, or with -1 its last."""
        match element:
            case PodElement(workload, identity):
                pods = self._snapshot.workloads[workload].identities[identity].pods
                return PodEnd(workload, identity, pod % len(pods) if len(pods) > 1 else None)
            case NodeElement(node):
                return NodeEnd(node)
            case RangeElement(addresses):
                return AddressEnd(str(addresses).partition("-")[0])


def _between_replicas(trace: Trace) -> Verdict:
    """Return the verdict on what one replica of a workload sends another.

    Where both ends are of one identity, the engine turns a denial into unknown, as they might be
    the same pod, which always reaches itself. Two replicas are meant here: the policies decide.
    """
    if any(LOOPBACK_NOTE in side.because for side in (trace.egress, trace.ingress)):
        return Verdict.DENY
    return trace.judgement.verdict
