"""The two sides of one connection: who decides on each, and what the network settles by itself.

A pod always reaches itself, and is always reached from its own node; a host passes by one of its
host endpoints or by none; what is outside has no side at all. All else the policies decide, which
`trace` follows.
"""

from dataclasses import replace
from typing import Final

from ringfence.engine import bits
from ringfence.engine.compiled import Compiled
from ringfence.engine.ends import Ends
from ringfence.engine.steps import OtherEnd, SideTrace, Trace, settled_side
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.rule import Direction
from ringfence.model.verdict import Verdict

LOOPBACK_NOTE: Final = "a pod always reaches itself; between two replicas the policies decide"
OWN_NODE_NOTE: Final = "a pod always admits its own node; here they are taken to be on two"
MAY_STAY: Final = "policy of host endpoints is not for what stays on the node, which this may do"
WHICH_NODE: Final = (
    "whether {} is the pod's own node is not known, and policies treat the two differently"
)


class Sides:
    """Follows connections of one family from both ends."""

    def __init__(self, compiled: Compiled, ends: Ends) -> None:
        """Keep what was compiled, and what is known of the ends."""
        self._compiled, self._ends = compiled, ends
        self._profile = compiled.classes.snapshot.profile

    def follow(self, connection: Connection, cell: int) -> Trace:
        """Return the way to the verdict on traffic that no rule of either end tells apart.

        Args:
            connection: what is asked.
            cell: the classes of the traffic, which one of them stands for.

        Source: kubernetes.io "Network Policies" ("A Pod cannot block access to itself"; traffic
        from the own node is always allowed). Two replicas, or two nodes, may be one and the same:
        what is denied only if they are two is unknown, or is told of in a note.
        """
        source, destination = connection.source, connection.destination
        traffic = bits.members(cell & -cell)[0]
        local = self._ends.same_node(source, destination)
        if local is None and self._profile.cni is Cni.CILIUM:
            return self._either(
                self._trace(connection, traffic, local=False),
                self._trace(connection, traffic, local=True),
                self._ends.words(destination if isinstance(source, PodEnd) else source),
            )
        trace = self._trace(connection, traffic, local=bool(local))
        notes = list(trace.notes)
        if trace.ingress.verdict is Verdict.DENY and self._ends.may_share_node(source, destination):
            notes.append(OWN_NODE_NOTE)
        if self._ends.may_be_loopback(source, destination):
            for side in (trace.egress, trace.ingress):
                if side.verdict is Verdict.DENY:
                    side.verdict = Verdict.UNKNOWN
                    side.because.append(LOOPBACK_NOTE)
        return replace(trace, notes=tuple(notes))

    def _trace(self, connection: Connection, traffic: int, *, local: bool) -> Trace:
        """Return the way to the verdict of one class of traffic.

        Args:
            connection: what is asked.
            traffic: the number of the class.
            local: whether a host at one end is the node of the pod at the other.

        Source: networking/v1 NetworkPolicySpec.ingress ("OR if the traffic source is the pod's
        local node"); Cilium `Documentation/security/policy/intro.rst` (allow-localhost).
        """
        source, destination = connection.source, connection.destination
        if local and self._ends.is_host(source) and self._ends.is_host(destination):
            egress = settled_side(Direction.EGRESS, "self")
            return Trace(egress, settled_side(Direction.INGRESS, "self"), ())
        egress = self._side(Direction.EGRESS, source, destination, traffic, local=local)
        cilium = self._profile.cni is Cni.CILIUM
        if local and not cilium and isinstance(destination, PodEnd):
            ingress = settled_side(Direction.INGRESS, "own node")
        else:
            allowed = (self._profile.cilium or CiliumConfig()).local_host_allowed
            to_pod = isinstance(destination, PodEnd) and not self._ends.is_host(destination)
            let_in = local and allowed and to_pod
            ingress = self._side(
                Direction.INGRESS, destination, source, traffic, local=local, let_in=let_in
            )
            if let_in:
                ingress = self._let_in(ingress, source)
        return Trace(egress, ingress, tuple(dict.fromkeys((*egress.notes, *ingress.notes))))

    def _let_in(self, found: SideTrace, host: End) -> SideTrace:
        """Return what becomes of the ingress from the own node, given what policies make of it.

        Cilium allows the local host below all policies, so that a deny still holds.

        Source: Cilium `Documentation/security/policy/intro.rst` (allow-localhost).
        """
        by_default = any(piece.rule == "default" for piece in found.evidence)
        if not (found.unmatched or by_default):
            return found
        told = settled_side(Direction.INGRESS, "own node")
        if not found.perhaps_denied:
            return replace(told, policies=found.policies)
        if found.verdict is not Verdict.ALLOW:  # as it is in audit mode
            found.verdict = Verdict.UNKNOWN
            found.because.append(f"whether a rule denies {self._ends.words(host)} is not known")
            found.evidence += told.evidence
        return found

    def _either(self, remote: Trace, local: Trace, host: str) -> Trace:
        """Return what is known where a host may be the pod's own node, or another."""
        by_local_host = any(piece.rule == "own node" for piece in local.ingress.evidence)
        noted = by_local_host and remote.ingress.verdict is Verdict.DENY
        sides = [(remote.egress, local.egress)]
        if noted:
            remote = replace(remote, notes=tuple(dict.fromkeys((*remote.notes, OWN_NODE_NOTE))))
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
        direction: Direction,
        subject: End,
        other: End,
        traffic: int,
        *,
        local: bool,
        let_in: bool = False,
    ) -> SideTrace:
        """Return the verdict of one end's side.

        Args:
            direction: which side it is.
            subject: the end whose side it is.
            other: the other end.
            traffic: the number of the traffic class.
            local: whether a host at one end is the node of the pod at the other.
            let_in: whether the subject is let in unless a rule denies that.

        Source: kubernetes.io "Network Policies" (pods on the host network: their policies are
        ignored); Cilium `Documentation/security/policy/layer3.rst` (policy-cidr-match-mode: blocks
        mean nodes only where it says so).
        """
        if isinstance(subject, AddressEnd | DomainEnd):
            return settled_side(direction, "outside")
        compiled = self._compiled
        classes = compiled.classes
        element = compiled.elements(subject, local)[0]
        number = classes.class_of[element]
        address = None
        config = self._profile.cilium or CiliumConfig()
        by_address = self._profile.cni is not Cni.CILIUM or config.cidrs_match_nodes
        if isinstance(other, NodeEnd) and other.address and by_address:
            address = classes.element_of_address(other.address)
        end = OtherEnd(compiled.elements(other, local)[0], self._ends.words(other), address)
        if element in classes.universe.ways:
            return self._host_side(direction, subject, other, traffic, end)
        if not classes.policed >> number & 1:
            return settled_side(direction, "host network")
        found = compiled.tracer.follow(number, direction, traffic, end, let_in=let_in)
        if compiled.forwarding and isinstance(subject, PodEnd) and not self._ends.is_host(subject):
            elsewhere = self._ends.nodes(other) if isinstance(other, PodEnd | NodeEnd) else None
            return compiled.forwarding.follow(
                compiled.tracer, found, number, traffic, end, self._ends.nodes(subject), elsewhere
            )
        return found

    def _host_side(
        self, direction: Direction, subject: End, other: End, traffic: int, end: OtherEnd
    ) -> SideTrace:
        """Return the side of a host of Calico, by whichever host endpoint it passes.

        Source: Calico `felix/rules/static.go` filterOutputChain ("We don't currently police host
        -> endpoint"), `felix/dataplane/linux/endpoint_mgr.go` resolveHostEndpoints.
        """
        local = self._ends.stays_on_node(subject, other)
        if local:
            return settled_side(direction, "own node")
        compiled = self._compiled
        universe = compiled.classes.universe
        element = compiled.elements(subject, local=False)[0]
        if universe.crowded >> element & 1:
            why = f"which of many host endpoints {self._ends.words(subject)} has is not known"
            return SideTrace(direction, Verdict.UNKNOWN, because=[why])
        ways = universe.ways[element]
        if isinstance(subject, NodeEnd) and subject.address:
            node = universe.node_name(element)
            ways = universe.host_endpoints.ways(node, [subject.address])
        sides = []
        for way in ways:
            found = settled_side(direction, "default")
            if way.number is not None:
                number = compiled.classes.class_of[universe.behind[element, way.number]]
                found = compiled.tracer.follow(number, direction, traffic, end)
            if way.why:
                found.because.append(way.why)
            sides.append(found)
        if local is None:
            sides.append(settled_side(direction, "own node"))
            sides[-1].because.append(MAY_STAY)
        return _either_side(sides)


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
