"""Questions cut into the parts that rules tell apart, and their answers summed up into one.

A question may leave open what rules look at: the request, the type of an ICMP message, what is
inside a port. Each part that the rules of both ends treat alike is followed by itself (`sides`).
"""

import ipaddress
from functools import cache
from typing import Any

from ringfence.engine import bits
from ringfence.engine.compiled import Compiled, compile_snapshot
from ringfence.engine.ends import Ends
from ringfence.engine.matrix import Matrix
from ringfence.engine.mesh import MeshViews
from ringfence.engine.steps import Trace
from ringfence.engine.views import NetworkViews, View
from ringfence.layer7.undecidable import Undecidable
from ringfence.model import icmp
from ringfence.model.cluster import Pod, Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict


class Engine:
    """Answers questions about one snapshot; compiles it on the first."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Keep the snapshot; nothing is computed yet."""
        self.snapshot = snapshot
        self._compiled: dict[int, Compiled] = {}
        self.ends = Ends(snapshot, self._node_of)
        self._layers = cache(self._views_by)
        self._last: tuple[Connection, list[View]] | None = None
        """The last question, which is often asked again for another side of its answer."""

    def _node_of(self, pod: Pod) -> int | None:
        """Return the number of a host-network pod's node; compiles the snapshot if need be."""
        return self.compiled(4).classes.universe.node_of(pod)

    def compiled(self, family: int) -> Compiled:
        """Return what was worked out for a family, working it out on first use."""
        found = self._compiled.get(family)
        if found is None:
            found = self._compiled[family] = compile_snapshot(self.snapshot, family)
        return found

    def matrix(self, family: int) -> Matrix:
        """Return all pairs at once, pods judged by their addresses of a family."""
        return Matrix(self.compiled(family))

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
        """Return what becomes of each part of a question that the rules of both ends tell apart.

        The traffic of the views is disjoint; together it is all that the question asks about.
        """
        if self._last is None or self._last[0] is not connection:
            self._last = connection, self._views(connection)
        return self._last[1]

    def _views(self, connection: Connection) -> list[View]:
        network, both = self._layers(self.family(connection))
        if both and both.concern(connection):
            return both.of(connection)
        return network.of(connection)

    def _views_by(self, family: int) -> tuple[NetworkViews, MeshViews | None]:
        compiled = self.compiled(family)
        network = NetworkViews(compiled, self.ends)
        layer = compiled.mesh
        mesh = MeshViews(compiled, layer, self.ends, network) if layer else None
        return network, mesh

    def sum_up(self, connection: Connection, views: list[View]) -> Judgement:
        """Return one verdict for the parts of a question.

        Unknown where any part is; else denied where all are; else allowed, limited to the parts
        that are, where not all are. Unknown, too, where these limits cannot be written.

        Args:
            connection: the question.
            views: its parts, or some of them.
        """
        judged = [view.trace.judgement for view in views]
        if len(judged) == 1:
            return judged[0]
        verdicts = {one.verdict for one in judged}
        notes = tuple(dict.fromkeys(note for one in judged for note in one.notes))
        if Verdict.UNKNOWN in verdicts:
            chosen = [one for one in judged if one.verdict is Verdict.UNKNOWN]
        elif len(verdicts) == 1:
            chosen = judged
        else:
            chosen = [one for one in judged if one.verdict is Verdict.ALLOW]
        first = chosen[0]
        limited: tuple[dict[str, Any], ...] = ()
        if len(verdicts) == 2 and Verdict.UNKNOWN not in verdicts:
            mask = denied = 0
            for view, one in zip(views, judged, strict=True):
                if one.verdict is Verdict.ALLOW:
                    mask |= view.traffic
                else:
                    denied |= view.traffic
            try:
                limited = self._limits(connection, mask, denied)
            except Undecidable as undecidable:
                # An allow without limits would say too much.
                return Judgement(
                    verdict=Verdict.UNKNOWN,
                    egress=Verdict.UNKNOWN,
                    ingress=Verdict.UNKNOWN,
                    evidence=tuple(dict.fromkeys(p for one in chosen for p in one.evidence)),
                    unknown_because=(undecidable.reason,),
                    notes=notes,
                    mesh=first.mesh,
                )
        return Judgement(
            verdict=first.verdict,
            egress=first.egress,
            ingress=first.ingress,
            evidence=tuple(dict.fromkeys(piece for one in chosen for piece in one.evidence)),
            unknown_because=tuple(
                dict.fromkeys(why for one in chosen for why in one.unknown_because)
            ),
            limited_to=limited,
            notes=notes,
            mesh=first.mesh,
        )

    def _limits(self, connection: Connection, mask: int, denied: int) -> tuple[dict[str, Any], ...]:
        """Return in the shape of answers what of a question is allowed.

        Raises:
            Undecidable: it cannot be written.
        """
        traffic = self.compiled(self.family(connection)).classes.traffic
        if connection.protocol is Protocol.ICMP and connection.port is None:
            runs = (
                (first, last)
                for first, last in traffic.icmp_runs()
                if traffic.of(Protocol.ICMP, first) & mask
            )
            return ({"icmp": icmp.write(icmp.joined(runs))},)
        from ringfence.layer7.words import to_json  # noqa: PLC0415 - only where rules look so far

        port = connection.port or 0
        try:
            allowed, excepts = traffic.limits(connection.protocol, port, mask)
        except Undecidable:
            # What the question does not mean at all may be in it or not.
            other = traffic.on_port(bits.members(mask & -mask)[0]) & ~denied
            allowed, excepts = traffic.limits(connection.protocol, port, mask | other)
        found = [to_json(box) for box in allowed or ()]
        return (*found, *({"except": to_json(box)} for box in excepts))

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
            case _:
                # A pod without an address will have what the others of its identity have.
                compiled = self.compiled(4)
                return compiled.classes.universe.families[compiled.elements(end, None)[0]]

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
