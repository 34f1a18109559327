"""Questions cut into the parts that rules of the network tell apart, each followed by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from ringfence.engine.compiled import Compiled
from ringfence.engine.ends import Ends
from ringfence.engine.rows import Rows
from ringfence.engine.sides import Sides
from ringfence.engine.stack import Stack
from ringfence.engine.steps import Trace, settled_side
from ringfence.model.connection import Connection, End, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.profile import Cni
from ringfence.model.rule import Direction


@dataclass(frozen=True)
class View:
    """What becomes of the part of a question that no rule of either side tells apart."""

    traffic: int
    """Its classes of traffic."""
    trace: Trace


class NetworkViews:
    """What the network makes of questions of one family."""

    def __init__(self, compiled: Compiled, ends: Ends) -> None:
        """Keep what was compiled, and what is known of the ends."""
        self._compiled, self._ends = compiled, ends
        self._cni = compiled.classes.snapshot.profile.cni

    def of(self, connection: Connection) -> list[View]:
        """Return what becomes of each part of a question that the rules of both ends tell apart."""
        source, destination = connection.source, connection.destination
        asked = self.asked(connection, self.as_compared(connection.request))
        if self._ends.is_loopback(source, destination):
            egress = settled_side(Direction.EGRESS, "self")
            return [View(asked, Trace(egress, settled_side(Direction.INGRESS, "self"), ()))]
        sides = Sides(self._compiled, self._ends)
        cells = self._cells(source, destination, asked)
        return [View(cell, sides.follow(connection, cell)) for cell in cells]

    def asked(self, connection: Connection, request: Request) -> int:
        """Return the traffic that a question may mean, its request compared as some rules do."""
        compiled = self._compiled
        classes = compiled.classes
        found = classes.traffic.of(connection.protocol, connection.port, request)
        element = compiled.elements(connection.destination, None)[0]
        return found & classes.zones.traffic_to(classes.class_of[element])

    def as_compared(self, request: Request) -> Request:
        """Return a request with its path as the profile's rules see it.

        Source: Calico `app-policy/checker/match.go`, which cleans paths; the others do not.
        """
        if self._cni is not Cni.CALICO or request.path is None:
            return request
        from ringfence.layer7 import calico_paths  # noqa: PLC0415 - only where a path is asked for

        path = calico_paths.normalised(request.path) or calico_paths.UNMATCHED
        return msgspec.structs.replace(request, path=path)

    def _cells(self, source: End, destination: End, asked: int) -> list[int]:
        """Return the traffic asked about, cut where rules of either end tell it apart."""
        if asked.bit_count() == 1:
            return [asked]
        deciding = [
            (stack, subject)
            for end, direction in ((source, Direction.EGRESS), (destination, Direction.INGRESS))
            for subject, stack in self._stacks(end, direction)
        ]
        return cut(asked, deciding, self._compiled.rows, self._compiled.classes.traffic.icmp)

    def _stacks(self, end: End, direction: Direction) -> Iterator[tuple[int, Stack]]:
        """Yield all that may decide for an end, and as what subject."""
        compiled = self._compiled
        classes = compiled.classes
        for element in compiled.elements(end, None):
            number = classes.class_of[element]
            for subject in classes.ways.get(number, (number,)):
                if subject is not None and classes.policed >> subject & 1:
                    yield subject, compiled.stacks.stack(subject, direction)
            if isinstance(end, PodEnd) and compiled.forwarding and not self._ends.is_host(end):
                for stack in compiled.forwarding.stacks_of(self._ends.nodes(end), direction):
                    yield number, stack


def cut(asked: int, deciding: Iterable[tuple[Stack, int]], rows: Rows, icmp: int) -> list[int]:
    """Return some traffic cut where the rules of stacks tell it apart.

    Args:
        asked: the traffic.
        deciding: stacks, each with its subject.
        rows: of the layer that they are of.
        icmp: the traffic classes of ICMP.
    """
    cells = [asked]
    for stack, subject in deciding:
        masks = {part[0] for rule in stack.rules for part in rows.parts(rule, stack, subject)}
        for mask in masks | {icmp, *rows.told_apart(stack)}:
            cells = [part for cell in cells for part in (cell & mask, cell & ~mask) if part]
    return cells
