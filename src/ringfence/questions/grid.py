"""What elements may send each other, read off the engine's matrix of classes.

Where the profile tells a pod's own node from the others, a host stands in the matrix twice. What
a pod and a host may exchange is certain only where both agree, as it is not known which it is.
"""

from collections import defaultdict

from ringfence.engine import Engine, bits
from ringfence.engine.matrix import Reach
from ringfence.model.profile import CiliumConfig
from ringfence.model.rule import Action, Direction

Traffic = tuple[int, int]
"""Masks of what is allowed, and of what is allowed or unknown."""

NOTHING: Traffic = (0, 0)


class Grid:
    """All pairs of elements, pods judged by their addresses of one family."""

    def __init__(self, engine: Engine, family: int) -> None:
        """Work out all pairs of classes."""
        compiled = engine.compiled(family)
        self.family = family
        self.classes = compiled.classes
        self._stacks, self._settled = compiled.stacks, compiled.rows.is_settled
        self._config = engine.snapshot.profile.cilium or CiliumConfig()
        self._free: dict[tuple[int, int], bool] = {}
        icmp = self.classes.traffic.icmp
        known: dict[Traffic, Traffic] = {}
        self.matrix = engine.matrix(family)
        self.rows = {source: spread(reaches, icmp, known) for source, reaches in self.matrix.rows()}
        """Source class → destination class → traffic."""

    def own_class(self, element: int) -> int:
        """Return the class of an element."""
        return self.classes.class_of[element]

    def twin_class(self, element: int) -> int | None:
        """Return the class of a host as the own node of a pod; None where it makes no odds."""
        twin = self.classes.universe.twin.get(element)
        return None if twin is None else self.own_class(twin)

    def node_name(self, element: int) -> str:
        """Return the name of the node that a host is or runs on; empty where it is not known."""
        return self.classes.universe.node_name(element)

    def between(self, source: int, destination: int) -> Traffic:
        """Return what one element may send another."""
        here, there = self.own_class(source), self.own_class(destination)
        remote = self.rows[here].get(there, NOTHING)
        from_twin, to_twin = self.twin_class(source), self.twin_class(destination)
        if (from_twin is None) == (to_twin is None):
            return remote
        if from_twin is not None:
            return self.either(remote, self.rows[from_twin].get(there, NOTHING), from_twin, there)
        assert to_twin is not None  # noqa: S101 - one of the two is
        return self.either(remote, self.rows[here].get(to_twin, NOTHING), here, to_twin)

    def either(self, remote: Traffic, local: Traffic, source: int, destination: int) -> Traffic:
        """Return what is known where a host may be the pod's own node, or another.

        Args:
            remote: the traffic if it is another.
            local: the traffic if it is its own, as policies have it.
            source: the class of the source if it is.
            destination: that of the destination.
        """
        if remote == local:
            return remote
        sure = local[0]
        if remote[0] & ~sure and self._is_free(source, destination):
            sure = self.classes.traffic.everything
        return remote[0] & sure, remote[1] | local[1]

    def _is_free(self, source: int, destination: int) -> bool:
        """Return whether a pod admits its own node whatever policies fail to allow.

        Cilium allows the local host below all policies, so that a deny still holds.
        """
        classes = self.classes
        if not self._config.local_host_allowed or classes.policed >> source & 1:
            return False
        if not classes.policed >> destination & 1:
            return False
        key = (source, destination)
        known = self._free.get(key)
        if known is None:
            rules = self._stacks.stack(destination, Direction.INGRESS).rules
            known = self._free[key] = self._settled(destination) and not any(
                rule.action is not Action.ALLOW and rule.matched.possible >> source & 1
                for rule in rules
            )
        return known


def spread(
    reaches: list[Reach], icmp: int, known: dict[Traffic, Traffic] | None = None
) -> dict[int, Traffic]:
    """Return destination class → traffic; destinations of which only ICMP is unknown left out.

    Args:
        reaches: of one source.
        icmp: the traffic classes of ICMP.
        known: keeps what several sources have in common from being held several times.
    """
    known = {} if known is None else known
    found: dict[int, Traffic] = {}
    icmp_unknown: dict[int, int] = defaultdict(int)
    for reach in reaches:
        traffic = reach.traffic
        for destination in bits.members(reach.certain):
            certain, possible = found.get(destination, NOTHING)
            found[destination] = (certain | traffic, possible | traffic)
        if not traffic & ~icmp:
            icmp_unknown[traffic] |= reach.unknown
            continue
        for destination in bits.members(reach.unknown):
            certain, possible = found.get(destination, NOTHING)
            found[destination] = (certain, possible | traffic)
    for traffic, unknown in icmp_unknown.items():
        for destination, (certain, possible) in found.items():
            if unknown >> destination & 1:
                found[destination] = (certain, possible | traffic)
    return {destination: known.setdefault(t, t) for destination, t in found.items()}
