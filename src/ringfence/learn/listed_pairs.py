"""Which pairs a dependency map lists, in terms of one cluster."""

from collections.abc import Iterator, Sequence

from ringfence.learn.dependency_map import Block, Dependency, DependencyMap, Place
from ringfence.learn.resolve import Resolver
from ringfence.model.location import Problem
from ringfence.model.snapshot import Snapshot

NODE, EXTERNAL = "Node", "External"


def listed_pairs(
    dependency_map: DependencyMap, snapshot: Snapshot
) -> tuple[frozenset[tuple[str, str]], Sequence[Problem]]:
    """Return who calls whom by a map, workloads by their names.

    In the place of a source that is no workload stands its kind: `Node`, or `External`.

    Shape: the pairs, and what of the map the cluster does not have.
    """
    resolver = Resolver(dependency_map, snapshot)
    name = resolver.names.workload_name
    found: set[tuple[str, str]] = set()
    for each in resolver.all():
        sources = [*map(name, each.source.workloads), *_kinds(each.dependency)]
        called = [
            name(number) for destination in each.destinations for number, _ in destination.workloads
        ]
        found |= {(source, other) for source in sources for other in called}
        if each.dependency.source is Place.ANYWHERE:
            everyone = map(name, range(len(snapshot.workloads)))
            found |= {(source, other) for source in everyone for other in called}
    return frozenset(found), resolver.problems


def _kinds(dependency: Dependency) -> Iterator[str]:
    """Yield the kinds that a source stands for which is no workload."""
    match dependency.source:
        case Place.NODES:
            yield NODE
        case Place.INTERNET | Place.OUTSIDE | Block():
            yield EXTERNAL
        case Place.ANYWHERE:
            yield from (NODE, EXTERNAL)
