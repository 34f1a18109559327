"""What a mesh makes of one dependency on its way through the network: tunnels, and sealed content.

Where it goes by mTLS, the network sees TLS, and perhaps another port; so what is said above the
port is limited by the mesh alone.
"""

from ringfence.learn.dependency_map import Pods
from ringfence.learn.mesh_ways import MeshWays
from ringfence.learn.resolve import Destination, ResolvedDependency


class Carried:
    """One part of what a dependency leads to, in a mesh or, without `ways`, in none."""

    def __init__(
        self, each: ResolvedDependency, destination: Destination, ways: MeshWays | None
    ) -> None:
        """Keep the ends."""
        self._sources = each.source.workloads
        self._named = bool(each.source.workloads)
        self._selects = isinstance(each.dependency.destination, Pods)
        self._numbers = tuple(number for number, _ in destination.workloads)
        self._carries = {n: bool(ways and ways.tcp(n, t)) for n, t in destination.workloads}
        self._ways = ways

    def is_member(self, number: int) -> bool:
        """Return whether a destination is in a mesh, whose proxies look into what comes in."""
        if self._ways is None:
            return False
        if self._selects:
            return self.sealed_on_the_way_out
        return self._ways.is_member(number)

    @property
    def sealed_on_the_way_out(self) -> bool:
        """Whether any destination is in a mesh: one rule for all of them can look into none."""
        return self._ways is not None and any(map(self._ways.is_member, self._numbers))

    def out_of(self, source: int) -> tuple[int, ...]:
        """Return the ports of the tunnels through which a source reaches the destinations."""
        if self._ways is None:
            return ()
        if not self._numbers:
            # Anywhere, or what is told by addresses.
            return self._ways.tunnels_of(source)
        carried = [n for n in self._numbers if self._carries[n]]
        found = {port for n in carried for port in self._ways.tunnels(source, n)}
        return tuple(sorted(found))

    def into(self, destination: int) -> tuple[int, ...]:
        """Return the ports of the tunnels through which the sources reach a destination."""
        if self._ways is None or not self._carries[destination]:
            return ()
        if not self._named:
            return self._ways.tunnels_of(destination)
        found = {port for s in self._sources for port in self._ways.tunnels(s, destination)}
        return tuple(sorted(found))
