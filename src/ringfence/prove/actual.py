"""What a judge concludes of the elements that a proof looks at.

All pairs come from `connectivity`, the answer that users see. What that answer leaves out, the
replicas of a workload among themselves, and pods of one workload that policies tell apart, is
asked of the engine, one connection at a time.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, cached_property

import msgspec

from ringfence.engine import LOOPBACK_NOTE, Engine, Trace
from ringfence.layer7 import Limits
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.connectivity import Allowance, Connectivity
from ringfence.model.outside import parse_range
from ringfence.model.rule import DomainPeer, NamedPort, PortRange, leaves
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.prove import amounts, port_sets
from ringfence.prove.amounts import Amount
from ringfence.prove.elements import (
    DomainElement,
    Element,
    NodeElement,
    PodElement,
    RangeElement,
)
from ringfence.questions.connectivity import connectivity
from ringfence.questions.naming import DOMAIN, Names

Amounts = tuple[Amount, Amount]
"""What is allowed, and what is allowed or unknown."""


class Actual:
    """The verdicts of one snapshot."""

    def __init__(self, snapshot: Snapshot, *, nodes: bool = False) -> None:
        """Compute all pairs.

        Args:
            snapshot: the cluster.
            nodes: look at the nodes in any case, not only where a policy selects some.
        """
        self._snapshot = snapshot
        self._engine = Engine(snapshot)
        self._names = Names(snapshot)
        self.answer: Connectivity = connectivity(snapshot, nodes=nodes)
        self._pairs = {(pair.source, pair.destination): pair for pair in self.answer.connections}
        self._units: dict[str, list[str]] = defaultdict(list)
        for peer in self.answer.endpoints:
            self._units[peer.name.partition("[")[0]].append(peer.name)
        self._engine_universe = self._engine.compiled(4).classes.universe
        self._names_in_writing = dict(self._engine_universe.names_in_writing())
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

    def between(self, source: Element, destination: Element, family: int, meant: int) -> Amounts:
        """Return what one element may send another over an IP family.

        Args:
            source: who sends.
            destination: who is sent to.
            family: 4 or 6.
            meant: the ports that are expected, whose edges must be looked at.
        """
        names = self._listed(source), self._listed(destination)
        if names[0] == names[1] or any(len(listed) != 1 for listed in names):
            return self._judged(source, destination, family, meant)
        pair = self._pairs.get((names[0][0], names[1][0]))
        if pair is None:
            return amounts.NOTHING, amounts.NOTHING
        certain = _of_allowances(pair.allow, family)
        return certain, certain | _of_allowances(pair.unknown, family)

    def judge(
        self, source: Element, destination: Element, family: int, protocol: Protocol, port: int
    ) -> Judgement:
        """Return the verdict on one connection, with its evidence."""
        return self._engine.judge(self._connection(source, destination, family, protocol, port))

    def names(self) -> set[str]:
        """Return domain names that the policies speak of; of patterns some that they mean."""
        patterns = {
            leaf.pattern.pattern
            for policy in self._snapshot.policies
            for rule in policy.rules
            for peer in rule.peers or ()
            for leaf in leaves(peer)
            if isinstance(leaf, DomainPeer)
        }
        found = set()
        for pattern in patterns:
            some = pattern.replace("**", "a.b") if "**" in pattern else pattern
            found |= {some.replace("*", "a"), pattern.lstrip("*").lstrip(".").replace("*", "a")}
        return {name for name in found if DOMAIN.fullmatch(name)}

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
            case DomainElement(name):
                return name

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
            case DomainElement(name):
                written = self._names_in_writing.get(self._engine_universe.of_name(name))
                return [written] if written else []

    def _judged(self, source: Element, destination: Element, family: int, meant: int) -> Amounts:
        certain = possible = amounts.NOTHING
        leading = self._leading(destination)
        for protocol in port_sets.PORTED:
            starts = {1} | {p for own, p in port_sets.edges(meant) if own is protocol and p}
            if protocol is Protocol.TCP:
                starts |= {edge for port in leading for edge in (port, port + 1) if edge < 65536}
            ordered = sorted(starts | self._port_edges[protocol])
            for first, past in zip(ordered, [*ordered[1:], 65536], strict=True):
                connection = self._connection(source, destination, family, protocol, first)
                ports = port_sets.ports(protocol, first, past - 1)
                allowed, open_to = self._said(connection, ports)
                certain |= allowed
                possible |= open_to
                for service in leading.get(first, ()) if protocol is Protocol.TCP else ():
                    called = msgspec.structs.replace(connection, service=service)
                    allowed, open_to = self._said(called, ports)
                    certain |= allowed
                    possible |= open_to
        return certain, possible

    def _leading(self, destination: Element) -> dict[int, list[int]]:
        """Return the Services by which a member of a mesh can be called, by its TCP ports."""
        found: dict[int, list[int]] = defaultdict(list)
        if isinstance(destination, PodElement):
            end = self._end(destination, 0)
            element = self._engine.compiled(4).elements(end, None)[0]
            leading = self._engine.compiled(4).classes.chains.leading
            for number, _, target in leading.get(element, ()):
                found[target].append(number)
        return found

    def _said(self, connection: Connection, ports: int) -> Amounts:
        """Return what may be said on some ports, of which the connection's stands for all."""
        allowed = unsettled = 0
        for view in self._engine.views(connection):
            match _between_replicas(view.trace):
                case Verdict.ALLOW:
                    allowed |= view.traffic
                case Verdict.UNKNOWN:
                    unsettled |= view.traffic
                case _:
                    pass
        traffic = self._engine.compiled(self._engine.family(connection)).classes.traffic
        assert connection.port is not None  # noqa: S101 - each has one here
        found = []
        for mask in (allowed, allowed | unsettled):
            limits = Limits(*traffic.limits(connection.protocol, connection.port, mask))
            found.append(amounts.of_limits(ports, limits) if mask else amounts.NOTHING)
        return found[0], found[1]

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
            case DomainElement(name):
                return DomainEnd(name)


@cache
def _of_allowances(allowances: tuple[Allowance, ...], family: int) -> Amount:
    return amounts.of_allowances(allowances, family)


def _between_replicas(trace: Trace) -> Verdict:
    """Return the verdict on what one replica of a workload sends another.

    Where both ends are of one identity, the engine turns a denial into unknown, as they might be
    the same pod, which always reaches itself. Two replicas are meant here: the policies decide.
    """
    if any(LOOPBACK_NOTE in side.because for side in trace.sides):
        return Verdict.DENY
    return trace.verdict
