"""What Calico's host endpoints say of traffic that their nodes forward, to pods and from them.

What comes to a node and goes on to a pod, or comes from one and leaves the node, passes by the
node's host endpoints: policies with `applyOnForward` are for that. Whether a connection within
the cluster passes there at all depends on how it is routed, so that what would deny it is unknown.

Authority: Calico `felix/rules/endpoints.go` HostEndpointToFilterChains (chainTypeForward);
`felix/rules/static.go` StaticFilterForwardChains; docs.tigera.io "Apply on forwarded traffic".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.engine.rows import Row, Rows
from ringfence.engine.rules import CompiledPolicy
from ringfence.engine.stack import Stack, Stacks
from ringfence.engine.steps import OtherEnd, SideTrace
from ringfence.engine.trace import Tracer
from ringfence.model.rule import Direction, LabelPeer
from ringfence.model.tiers import is_before_nat
from ringfence.model.verdict import Verdict

MAY_PASS: Final = "HostEndpoint/{} denies what is forwarded through it, as this connection may be"
UNREADABLE: Final = "HostEndpoint/{}, by which it may pass, or a policy for it, is not understood"


@dataclass(frozen=True, eq=False)
class Gate:
    """A host endpoint that forwarded traffic passes by."""

    number: int
    policies: tuple[CompiledPolicy, ...]
    """Those that are for what is forwarded."""
    unreadable: bool
    before_nat: bool
    """Whether policies are among them that see addresses and ports before a Service's are
    rewritten: what they do not allow is unknown."""


@dataclass(frozen=True)
class Passage:
    """The host endpoints by which a pod's traffic may pass."""

    gates: tuple[Gate, ...]
    certain: bool
    """Whether there is but one, and all that comes from outside, or goes there, passes it."""


class Forwarding:
    """The policies for forwarded traffic, of one set of classes."""

    def __init__(self, classes: Classes, stacks: Stacks, rows: Rows) -> None:
        """Find the host endpoints that have such policies."""
        self._classes, self._stacks, self._rows = classes, stacks, rows
        self._hosts = classes.universe.host_endpoints
        self._gates = self._find_gates(
            [found for found in classes.policies if found.policy.forward]
        )
        self.passage = cache(self._passage)
        self.stack = cache(self._stack)

    def __bool__(self) -> bool:
        """Return whether anything is said of forwarded traffic."""
        return bool(self._gates)

    def _find_gates(self, policies: list[CompiledPolicy]) -> dict[int, Gate]:
        hosts = self._hosts
        everyone = (1 << len(hosts.all)) - 1
        chosen: dict[int, list[CompiledPolicy]] = {n: [] for n in range(len(hosts.all))}
        doubtful = bits.from_members(n for n, one in enumerate(hosts.all) if one.unreadable)
        for found in policies:
            selected = everyone
            if isinstance(found.policy.subject, LabelPeer):
                selected = hosts.where(found.policy.subject.expression)
            if found.policy.unreadable or found.policy.subject is None:
                doubtful |= selected
            for number in bits.members(selected):
                chosen[number].append(found)
        return {
            number: Gate(
                number,
                tuple(listed),
                bool(doubtful >> number & 1),
                any(is_before_nat(one.policy.tier) for one in listed),
            )
            for number, listed in chosen.items()
            if listed or (policies and doubtful >> number & 1)
        }

    def _passage(self, nodes: frozenset[str]) -> Passage:
        """Return by what the traffic of pods on some nodes may pass.

        Args:
            nodes: all that they may run on; one without a name stands for any.
        """
        numbers = {n for node in nodes or {""} for n in self._hosts.on(node)}
        listed = [self._gates[number] for number in sorted(numbers & self._gates.keys())]
        certain = (
            len(numbers) == 1
            and len(nodes) == 1
            and "" not in nodes
            and all(self._hosts.all[number].every_interface for number in numbers)
        )
        return Passage(tuple(listed), certain)

    def _stack(self, gate: Gate, direction: Direction) -> Stack:
        return self._stacks.layered(
            [one for one in gate.policies if one.applies_in(direction)], direction
        )

    # -- one connection ----------------------------------------------------------------------

    def follow(
        self,
        tracer: Tracer,
        side: SideTrace,
        subject: int,
        traffic: int,
        other: OtherEnd,
        nodes: frozenset[str],
        elsewhere: frozenset[str] | None,
    ) -> SideTrace:
        """Return what is left of a pod's side behind the host endpoints of its node.

        Args:
            tracer: to follow the policies with.
            side: what is said of the pod itself.
            subject: the pod's class.
            traffic: the number of the traffic class.
            other: the other end.
            nodes: those on which the pod may be; empty if that is not known.
            elsewhere: the same of the other end; None for what is outside.
        """
        if side.verdict is Verdict.DENY:
            return side
        passage = self.passage(nodes)
        gates = self._between(passage, nodes, elsewhere)
        told: list[SideTrace] = []
        for gate in gates:
            found = self._through(tracer, gate, side.direction, subject, traffic, other)
            if found.verdict is not Verdict.ALLOW:
                told.append(found)
        if not told:
            return side
        if passage.certain and elsewhere is None and told[0].verdict is Verdict.DENY:
            return told[0]
        side.verdict = Verdict.UNKNOWN
        side.by_isolation = False
        for found in told:
            side.evidence += [piece for piece in found.evidence if piece not in side.evidence]
            side.because += found.because
            side.policies += found.policies
        side.because += [MAY_PASS.format(self._hosts.all[gate.number].name) for gate in gates]
        return side

    def _between(
        self, passage: Passage, nodes: frozenset[str], elsewhere: frozenset[str] | None
    ) -> list[Gate]:
        """Return what is passed on the way to the other end: nothing within a node."""
        if elsewhere is None or len(elsewhere) != 1 or "" in elsewhere:
            return list(passage.gates)
        return [g for g in passage.gates if self._own_node(g, nodes) not in elsewhere]

    def _own_node(self, gate: Gate, nodes: frozenset[str]) -> str:
        """Return the node within which a pod does not pass a host endpoint; "" if not known."""
        node = self._hosts.all[gate.number].node
        return next(iter(nodes)) if not node and len(nodes) == 1 else node

    def _through(
        self,
        tracer: Tracer,
        gate: Gate,
        direction: Direction,
        subject: int,
        traffic: int,
        other: OtherEnd,
    ) -> SideTrace:
        if gate.unreadable:
            why = UNREADABLE.format(self._hosts.all[gate.number].name)
            return SideTrace(direction, Verdict.UNKNOWN, because=[why])
        found = tracer.through(self.stack(gate, direction), subject, traffic, other)
        if gate.before_nat and found.verdict is Verdict.DENY:
            found.verdict = Verdict.UNKNOWN
        return found

    # -- all peers at once -------------------------------------------------------------------

    def narrow(self, subject: int, direction: Direction, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """Return what a class of pods may exchange with all peers, behind its host endpoints.

        Args:
            subject: the class.
            direction: that of the rows.
            rows: what is said of the pods themselves.
        """
        classes = self._classes
        nodes = classes.nodes_of(subject)
        passage = self.passage(nodes)
        outside = classes.outside
        for gate in passage.gates:
            within = classes.placed_alone.get(self._own_node(gate, nodes), 0)
            passing = classes.everything & ~within
            if gate.unreadable:
                rows = tuple((mask, sure & ~passing, may) for mask, sure, may in rows)
                continue
            allowed = self._rows.through(self.stack(gate, direction), subject)
            deniable = outside if passage.certain and not gate.before_nat else 0
            rows = tuple(
                (mask & other, sure & (certain | ~passing), may & (possible | ~deniable))
                for mask, sure, may in rows
                for other, certain, possible in allowed
                if mask & other
            )
        return rows

    def stacks_of(self, nodes: frozenset[str], direction: Direction) -> Iterator[Stack]:
        """Yield what may decide, beside their own policies, of the traffic of pods on nodes."""
        for gate in self.passage(nodes).gates:
            yield self.stack(gate, direction)
