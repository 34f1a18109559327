"""Which of what a pair may exchange goes over mTLS of a mesh.

A client calls a port in the way that gets it furthest: by a Service where one leads there. That it
may also go past its mesh (a sidecar does, to a pod's own address) is not what the answer is about.
"""

from collections.abc import Callable, Sequence
from functools import cache

import msgspec

from ringfence.model.cluster import Protocol
from ringfence.model.connection import PodEnd
from ringfence.model.connectivity import OverMtls
from ringfence.questions.destinations import Destinations
from ringfence.questions.grid import NOTHING, Grid, Traffic, spread
from ringfence.questions.units import Unit

Answer = OverMtls | msgspec.UnsetType
"""Unset where nothing that is known to be served is open."""


class Coverage:
    """Says of pairs whether they are over mTLS."""

    def __init__(self, grids: Sequence[Grid], destinations: Destinations) -> None:
        """Work out what goes over mTLS.

        Args:
            grids: all pairs, per family.
            destinations: knows the Services.
        """
        self._destinations = destinations
        self._grids = grids
        self._over = [_over_mtls(grid) for grid in grids]
        self._looked_for = cache(self._find_looked_for)
        self._covered = cache(_covered)

    def of(self, source: Unit) -> Callable[[Unit], Answer]:
        """Return what says whether a source's pairs are over mTLS; "both" where some ports are."""
        rows = [
            (number, grid.rows.get(here, {}), over(here))
            for number, (grid, over) in enumerate(zip(self._grids, self._over, strict=True))
            for here in {grid.own_class(element) for element in source.elements}
        ]
        looked_for, covered = self._looked_for, self._covered

        def of_target(target: Unit) -> Answer:
            found: set[Answer] = set()
            for number, row, through in rows:
                for there, mask in looked_for(number, target.elements):
                    traffic = row.get(there)
                    if traffic:
                        found.add(covered(traffic, through.get(there, NOTHING), mask))
            found.discard(msgspec.UNSET)
            if len(found) > 1:
                return "both"
            return found.pop() if found else msgspec.UNSET

        return of_target

    def _find_looked_for(self, number: int, elements: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return the classes of elements, and at which of their traffic to look.

        That is what they are known to serve; of who is known to serve nothing what its proxy
        takes, or all of TCP.
        """
        grid = self._grids[number]
        return [(grid.own_class(element), self._mask(grid, element)) for element in elements]

    def _mask(self, grid: Grid, element: int) -> int:
        traffic = grid.classes.traffic
        universe = grid.classes.universe
        if element >= universe.first_node:
            return traffic.mask(Protocol.TCP)
        identity = universe.identity(element)
        ports = self._destinations.served(PodEnd(*universe.identities[element]))
        known = taken = 0
        for run in traffic.of_protocol(Protocol.TCP):
            if any(run.first <= port <= run.last for port in ports):
                known |= run.mask
            if identity.mesh is None or identity.mesh.inbound.holds(run.first):
                taken |= run.mask
        for port in identity.ports:
            if port.protocol is not Protocol.TCP and not port.init:
                known |= traffic.mask(port.protocol, port.port, port.port)
        return known or taken


def _over_mtls(grid: Grid) -> Callable[[int], dict[int, Traffic]]:
    """Return a function from a class of sources to what it may send over mTLS, by class."""
    if grid.classes.members_of_mesh == 0:
        return lambda _: {}
    known: dict[Traffic, Traffic] = {}
    icmp = grid.classes.traffic.icmp
    rows = {
        source: spread(reaches, icmp, known)
        for source, reaches in grid.matrix.rows(over=True)
        if reaches
    }
    return lambda source: rows.get(source, {})


def _covered(traffic: Traffic, over: Traffic, mask: int) -> Answer:
    """Return whether some traffic is over mTLS.

    Args:
        traffic: what is allowed, and what may be.
        over: the same of what is over mTLS.
        mask: at what to look.
    """
    here = traffic[0] & mask or traffic[1] & mask
    if not here:
        return msgspec.UNSET
    if here & ~over[0] == 0:
        return True
    return "both" if here & over[1] else False
