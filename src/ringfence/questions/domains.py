"""The domain names that policies speak of, as peers, and who can look them up.

Names are cut where a peer of a rule or a DNS rule tells them apart, so that what holds for one of
a peer's names holds for all of them.
"""

from collections.abc import Iterable
from functools import cache
from itertools import chain

import msgspec

from ringfence.engine import bits
from ringfence.engine.universe import Universe
from ringfence.layer7.atoms import Atoms
from ringfence.layer7.language import NAMES
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, PodEnd
from ringfence.model.layer7 import DomainPattern, Request
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.cluster_dns import Listening
from ringfence.questions.grid import Grid
from ringfence.questions.lookups import Server

UNDECIDED_NAMES = "which of the names that {} stands for can be looked up could not be told"


class DomainSet(msgspec.Struct, frozen=True):
    """Names that policies tell apart from all others, and not from each other."""

    name: str
    """The narrowest pattern that means them."""
    element: int
    example: str = ""
    """One of the names; empty where none is known that stands for all of them."""


def domain_sets(universe: Universe, snapshot: Snapshot) -> list[DomainSet]:
    """Return the sets of names that the peers of policies mean."""
    written = universe.names_in_writing()
    if universe.atoms is None:
        return [DomainSet(name, element) for element, name in written]
    try:
        atoms = Atoms((*universe.patterns, *_looked_up(snapshot)), NAMES)
    except Undecidable:
        return [DomainSet(name, element) for element, name in written]
    peers = set(universe.patterns)
    sizes = {pattern: atoms.mask(pattern).bit_count() for pattern in atoms.patterns}
    found: dict[str, DomainSet] = {}
    for atom in range(atoms.count):
        held = [p for p in atoms.signature(atom) if isinstance(p, DomainPattern)]
        if not peers.intersection(held):
            continue
        least = min(sizes[pattern] for pattern in held)
        name = " and ".join(sorted({p.pattern for p in held if sizes[p] == least}))
        name = name if name not in found else f"{name} ({atom})"
        example = atoms.witness(atom)
        found[name] = DomainSet(name, universe.of_name(example), example)
    return sorted(found.values(), key=lambda each: (each.element, each.name))


def _looked_up(snapshot: Snapshot) -> Iterable[DomainPattern]:
    """Return the names that DNS rules speak of."""
    rules = (rule for policy in snapshot.policies for rule in policy.rules)
    boxes = chain.from_iterable(rule.layer7 or () for rule in rules)
    return sorted({pattern for box in boxes for pattern in box.dns or ()})


Reach = tuple[tuple[int, Listening, int, int], ...]
"""Per server: the family, the ports it listens at, and what may be sent there, certainly and
perhaps."""


class LookedUp:
    """Which sources can look up which names, read off the matrix."""

    def __init__(self, grids: dict[int, Grid], servers: tuple[Server, ...]) -> None:
        """Keep the matrix.

        Args:
            grids: per family.
            servers: the cluster's DNS; none where it is not in the input.
        """
        self._grids = grids
        self._servers = [
            (element, server)
            for server in servers
            if (element := self._element(server)) is not None
        ]
        self._known = cache(self._judge)
        self._asked = cache(self._query)

    def _element(self, server: Server) -> int | None:
        classes = next(iter(self._grids.values())).classes
        if isinstance(server.end, PodEnd):
            return classes.universe.first_identity[server.end.workload] + server.end.identity
        if isinstance(server.end, AddressEnd):
            return classes.element_of_address(server.end.address)
        return None

    def reach(self, source: int) -> Reach:
        """Return what an element may send each of the servers."""
        families = next(iter(self._grids.values())).classes.universe.families
        found = []
        for element, server in self._servers:
            common = families[source] & families[element] & self._grids.keys()
            grid = self._grids.get(4 if 4 in common or not common else 6)
            if grid is not None:
                found.append((grid.family, server.ports, *grid.between(source, element)))
        return tuple(found)

    def verdict(self, reach: Reach, name: str) -> Verdict:
        """Return whether a name can be looked up; allow where no DNS is in the input.

        Args:
            reach: what may be sent to the servers.
            name: the name; empty for any of those that policies tell apart.
        """
        return self._known(reach, name) if self._servers else Verdict.ALLOW

    def _judge(self, reach: Reach, name: str) -> Verdict:
        best = Verdict.DENY
        for family, ports, certain, possible in reach:
            for port in ports:
                asked = self._asked(family, port.protocol, port.first, name)
                if not (passing := asked & possible):
                    continue
                # Of all zones, that of the server: the one of which anything may pass.
                asked &= self._grids[family].classes.traffic.on_port(bits.members(passing)[0])
                if asked & possible & ~certain or (not name and asked & ~certain):
                    best = Verdict.UNKNOWN
                else:
                    return Verdict.ALLOW
        return best

    def _query(self, family: int, protocol: Protocol, port: int, name: str) -> int:
        """Return the classes of traffic that a query for a name may be of."""
        request = Request(dns=name) if name else Request(http=False, sni="")
        return self._grids[family].classes.traffic.of(protocol, port, request)
