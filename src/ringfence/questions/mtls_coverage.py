"""Which of what a pair may exchange goes over mTLS of a mesh.

A client calls a port in the way that gets it furthest: by a Service where one leads there. That it
may also go past its mesh (a sidecar does, to a pod's own address) is not what the answer is about.
"""

from collections.abc import Callable, Sequence
from functools import cache

from ringfence.model.cluster import Protocol
from ringfence.model.connection import PodEnd
from ringfence.model.connectivity import OverMtls
from ringfence.questions.destinations import Destinations
from ringfence.questions.grid import NOTHING, Grid, Traffic, spread
from ringfence.questions.units import Unit


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
        self._mask = cache(self._find_mask)
        self._covered = cache(_covered)

    def of(self, source: Unit, target: Unit) -> OverMtls:
        """Return whether a pair is over mTLS; "both" where some ports are and some are not."""
        found = set()
        for number, (grid, over) in enumerate(zip(self._grids, self._over, strict=True)):
            for one in source.elements:
                here = grid.own_class(one)
                row, through = grid.rows.get(here, {}), over(here)
                for other in target.elements:
                    there = grid.own_class(other)
                    traffic = row.get(there, NOTHING)
                    if not traffic[1]:
                        continue
                    mask = self._mask(number, other)
                    found.add(self._covered(traffic, through.get(there, NOTHING), *mask))
        if not found:
            return False
        return found.pop() if len(found) == 1 else "both"

    def _find_mask(self, number: int, element: int) -> tuple[int, int]:
        """Return the traffic to the ports that an element is known to serve, and to any of TCP."""
        grid = self._grids[number]
        traffic = grid.classes.traffic
        universe = grid.classes.universe
        tcp = traffic.mask(Protocol.TCP)
        if element >= universe.first_node:
            return 0, tcp
        ports = self._destinations.served(PodEnd(*universe.identities[element]))
        mesh = universe.identity(element).mesh
        known = taken = 0
        for run in traffic.of_protocol(Protocol.TCP):
            if any(run.first <= port <= run.last for port in ports):
                known |= run.mask
            if mesh is None or mesh.inbound.holds(run.first):
                taken |= run.mask
        return known, taken


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


def _covered(traffic: Traffic, over: Traffic, known: int, taken: int) -> OverMtls:
    """Return whether some traffic is over mTLS.

    Args:
        traffic: what is allowed, and what may be.
        over: the same of what is over mTLS.
        known: the ports that the destination is known to serve.
        taken: those that its proxy takes, if it has one.
    """
    here = traffic[0] or traffic[1]
    here = here & known or here & taken or here
    if here & ~over[0] == 0:
        return True
    return "both" if here & over[1] else False
