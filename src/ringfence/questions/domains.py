"""The domain names that policies speak of, as peers, and who can look them up.

Names are cut where a peer of a rule or a DNS rule tells them apart, so that what holds for one of
a peer's names holds for all of them.
"""

from collections.abc import Iterable
from itertools import chain

import msgspec

from ringfence.engine.universe import Universe
from ringfence.layer7.atoms import Atoms
from ringfence.layer7.language import NAMES
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.connection import AddressEnd, PodEnd
from ringfence.model.layer7 import DomainPattern, Request
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.grid import Grid
from ringfence.questions.lookups import OPENEST_FIRST, Server

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
        self._known: dict[tuple[tuple[int, ...], str], Verdict] = {}

    def _element(self, server: Server) -> int | None:
        classes = next(iter(self._grids.values())).classes
        if isinstance(server.end, PodEnd):
            return classes.universe.first_identity[server.end.workload] + server.end.identity
        if isinstance(server.end, AddressEnd):
            return classes.element_of_address(server.end.address)
        return None

    def verdict(self, source: int, names: DomainSet) -> Verdict:
        """Return whether an element can look up names; allow where no DNS is in the input."""
        if not self._servers:
            return Verdict.ALLOW
        # Sources of the same classes are alike in this.
        key = tuple(grid.own_class(source) for grid in self._grids.values()), names.example
        found = self._known.get(key)
        if found is None:
            at = (self._at(source, e, server, names.example) for e, server in self._servers)
            found = self._known[key] = min(at, key=OPENEST_FIRST.index)
        return found

    def _at(self, source: int, element: int, server: Server, name: str) -> Verdict:
        families = next(iter(self._grids.values())).classes.universe.families
        common = families[source] & families[element] & self._grids.keys()
        grid = self._grids.get(4 if 4 in common or not common else 6)
        if grid is None:
            return Verdict.DENY
        certain, possible = grid.between(source, element)
        traffic = grid.classes.traffic
        request = Request(dns=name) if name else Request(http=False, sni="")
        best = Verdict.DENY
        for port in server.ports:
            asked = traffic.of(port.protocol, port.first, request)
            if not asked & possible:
                continue
            if asked & possible & ~certain or (not name and asked & ~certain):
                best = Verdict.UNKNOWN
            else:
                return Verdict.ALLOW
        return best
