"""All that is worked out once per family of IP, and which elements the ends are in it."""

from dataclasses import dataclass

from ringfence.engine.classes import Classes
from ringfence.engine.endings import Endings
from ringfence.engine.forwarding import Forwarding
from ringfence.engine.rows import Rows
from ringfence.engine.stack import Stacks
from ringfence.engine.trace import Tracer
from ringfence.engine.transport import Transport
from ringfence.engine.wire import Wire
from ringfence.model.connection import AddressEnd, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.rule import Layer
from ringfence.model.snapshot import Snapshot


@dataclass(frozen=True)
class MeshLayer:
    """The same of the layer that the proxies of a mesh enforce."""

    stacks: Stacks
    rows: Rows
    endings: Endings
    tracer: Tracer
    wire: Wire
    transport: Transport


@dataclass(frozen=True)
class Compiled:
    """All that is worked out once for pods judged by their addresses of one family."""

    classes: Classes
    stacks: Stacks
    rows: Rows
    endings: Endings
    tracer: Tracer
    forwarding: Forwarding
    """What host endpoints say of traffic that passes by them; falsy where they say nothing."""
    mesh: MeshLayer | None = None
    """None where nobody takes part in a mesh."""

    def elements(self, end: End, local: bool | None) -> list[int]:  # noqa: FBT001 - three values
        """Return the element that an end is; of a host, where `local` is None, its twin as well.

        Args:
            end: a pod, a node, an address or a domain name.
            local: whether it is, as a host, the node of the pod at the other end; None where it
                may be.
        """
        universe = self.classes.universe
        match end:
            case PodEnd():
                element = universe.first_identity[end.workload] + end.identity
            case NodeEnd():
                element = universe.first_node + end.node
            case AddressEnd():
                return [self.classes.element_of_address(end.address)]
            case DomainEnd():
                return [universe.of_name(end.name)]
        twin = universe.twin.get(element)
        if twin is None or local is False:
            return [element]
        return [twin] if local else [element, twin]


def compile_snapshot(snapshot: Snapshot, family: int) -> Compiled:
    """Return what can be worked out of a snapshot, pods judged by their addresses of a family."""
    classes = Classes(snapshot, family)
    stacks = Stacks(classes)
    rows = Rows(classes, stacks)
    rows.forwarding = forwarding = Forwarding(classes, stacks, rows)
    endings, tracer = Endings(classes, rows), Tracer(classes, stacks)
    mesh = _compile_mesh(classes) if classes.members_of_mesh else None
    return Compiled(classes, stacks, rows, endings, tracer, forwarding, mesh)


def _compile_mesh(classes: Classes) -> MeshLayer:
    stacks = Stacks(classes, Layer.MESH)
    rows = Rows(classes, stacks)
    wire = Wire(classes.traffic)
    transport = Transport(classes, stacks, rows, wire)
    return MeshLayer(stacks, rows, Endings(classes, rows), Tracer(classes, stacks), wire, transport)
