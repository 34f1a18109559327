"""The endpoints of an answer: the coarsest that policies tell apart."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ringfence.engine.addresses import text
from ringfence.engine.classes import Classes
from ringfence.engine.universe import Universe
from ringfence.model.connectivity import Allowance, Peer
from ringfence.model.rule import Entity, EntityPeer, NodePeer, leaves
from ringfence.model.snapshot import Snapshot
from ringfence.questions.grid import Grid
from ringfence.questions.naming import Names

if TYPE_CHECKING:
    from ringfence.questions.domains import DomainSet

EXTERNAL, DOMAIN, NODE = "External", "Domain", "Node"

Written = tuple[tuple[Allowance, ...], tuple[Allowance, ...]]
"""The same as people write it: what is allowed, and what is unknown."""


@dataclass(frozen=True)
class Unit:
    """What the answer calls one endpoint: elements whose pairs are all the same."""

    peer: Peer
    elements: tuple[int, ...]
    workload: int | None = None
    namespace: str = ""
    names: "DomainSet | None" = None
    """Of a domain peer: the names that it stands for."""

    @property
    def outside(self) -> bool:
        """Whether no policy of this cluster has it as a subject."""
        return self.workload is None and not self.peer.policed


class Units:
    """Finds the endpoints of a snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        names: Names,
        grids: Iterable[Grid],
        write: Callable[[int, int, int | None], Written],
    ) -> None:
        """Keep what tells them apart.

        Args:
            snapshot: the cluster.
            names: of its workloads.
            grids: all pairs, per family.
            write: how traffic is written: what is written alike is alike.
        """
        self._snapshot = snapshot
        self._names = names
        self._grids = tuple(grids)
        self._write = write

    def find(self, *, nodes: bool) -> list[Unit]:
        """Return the endpoints: the coarsest that the policies tell apart."""
        alike = self._alike()
        universe = self._grids[0].classes.universe
        found: list[Unit] = []
        for number, workload in enumerate(self._snapshot.workloads):
            groups: dict[int, list[int]] = defaultdict(list)
            for i in range(len(workload.identities)):
                element = universe.first_identity[number] + i
                groups[alike(element)].append(element)
            for elements in groups.values():
                name = self._names.workload_name(number)
                if len(groups) > 1:
                    pods = [p.name for e in elements for p in universe.identity(e).pods]
                    shown = ", ".join(pods[:3]) + (f", … {len(pods)}" if len(pods) > 3 else "")
                    name += f"[{shown or elements[0] - universe.first_identity[number]}]"
                peer = Peer(name, workload.kind)
                found.append(Unit(peer, tuple(elements), number, workload.namespace))
        if nodes:
            found += [
                Unit(
                    Peer(f"node/{node.name}", NODE, policed(universe, element)),
                    (element,),
                )
                for element, node in enumerate(self._snapshot.nodes, universe.first_node)
            ]
        found += self._ranges(alike)
        if universe.patterns:
            from ringfence.questions.domains import domain_sets  # noqa: PLC0415 - rarely needed

            found += [
                Unit(Peer(names.name, DOMAIN), (names.element,), names=names)
                for names in domain_sets(universe, self._snapshot)
            ]
        return found

    def _ranges(self, alike: Callable[[int], int]) -> list[Unit]:
        """Return the outside, adjacent cells joined where all their pairs are the same."""
        universe = self._grids[0].classes.universe
        space = universe.space
        runs: list[list[int]] = []
        for cell in range(space.count):
            element = universe.first_cell + cell
            same = (
                runs
                and space.family_of(cell) == space.family_of(cell - 1)
                and alike(element) == alike(element - 1)
            )
            if same:
                runs[-1].append(element)
            else:
                runs.append([element])
        found = []
        for run in runs:
            first, last = run[0] - universe.first_cell, run[-1] - universe.first_cell
            family = space.family_of(first)
            name = text(family, space.span_of(first)[0], space.span_of(last)[1])
            found.append(Unit(Peer(name, EXTERNAL), (run[0],)))
        return found

    def _alike(self) -> Callable[[int], int]:
        """Return a function from elements to numbers: equal where all their pairs are equal."""
        numbers: dict[tuple[object, ...], int] = {}
        per_family: list[list[tuple[object, ...]]] = []
        for grid in self._grids:
            classes, rows = grid.classes, grid.rows
            universe = classes.universe
            concerned = set(classes.class_of[universe.first_cell : universe.first_name])
            inside, several = self._inside(classes), self._several(classes)
            concerned |= several
            written = {t: self._write(*t, None) for row in rows.values() for t in row.values()}
            columns: dict[int, list[tuple[int, Written]]] = defaultdict(list)
            for source, row in rows.items():
                # What is outside is compared by its pairs with what is inside alone.
                for destination in (concerned if source in inside else several) & row.keys():
                    columns[destination].append((source, written[row[destination]]))
            contents: list[tuple[object, ...]] = [
                (
                    classes.families[number],
                    tuple(
                        sorted(
                            (d, written[t])
                            for d, t in rows[number].items()
                            if number in several or d in inside
                        )
                    ),
                    tuple(sorted(columns[number])),
                )
                if number in concerned
                else (number,)
                for number in range(classes.count)
            ]
            per_family.append(contents)

        def alike(element: int) -> int:
            key = tuple(
                (contents[grid.own_class(element)], grid.twin_class(element))
                for grid, contents in zip(self._grids, per_family, strict=True)
            )
            return numbers.setdefault(key, len(numbers))

        return cache(alike)

    @staticmethod
    def _inside(classes: Classes) -> set[int]:
        """Return the classes of workloads, and of nodes that are subjects of policies."""
        universe = classes.universe
        nodes = range(universe.first_node, universe.first_cell)
        found = set(classes.class_of[: universe.first_node])
        return found.union(classes.class_of[n] for n in nodes if policed(universe, n))

    def _several(self, classes: Classes) -> set[int]:
        """Return the classes of workloads that have several identities."""
        universe = classes.universe
        found: set[int] = set()
        for number, workload in enumerate(self._snapshot.workloads):
            if len(workload.identities) > 1:
                first = universe.first_identity[number]
                found |= set(classes.class_of[first : first + len(workload.identities)])
        return found


def names_nodes(snapshot: Snapshot) -> bool:
    """Return whether a peer of any rule stands for nodes as such."""
    hosts = {Entity.HOST, Entity.REMOTE_NODE, Entity.KUBE_APISERVER}
    return any(
        isinstance(leaf, NodePeer) or (isinstance(leaf, EntityPeer) and leaf.entity in hosts)
        for policy in snapshot.policies
        for rule in policy.rules
        for peer in rule.peers or ()
        for leaf in leaves(peer)
    )


def policed(universe: Universe, element: int) -> bool:
    """Return whether policies have a host for a subject."""
    return bool(universe.hosts >> element & 1) or element in universe.ways
