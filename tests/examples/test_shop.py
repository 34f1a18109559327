from io import BytesIO

from ringfence import assemble
from ringfence.examples import MAP, shop
from ringfence.learn.init import draft
from ringfence.learn.read_map import read_text
from ringfence.learn.resolve import Resolver
from ringfence.learn.stable_selector import StableSelectors
from ringfence.model.snapshot import Snapshot
from ringfence.sources import manifests


def cluster() -> Snapshot:
    files = [content for name, content in shop().items() if name != MAP]
    return assemble.build(manifests.read(["-"], BytesIO(b"\n---\n".join(files))))


def test_it_is_read_without_a_problem_and_enforces_nothing() -> None:
    snapshot = cluster()
    assert snapshot.problems == ()
    assert snapshot.policies == ()
    assert len(snapshot.workloads) == 14
    assert len({workload.namespace for workload in snapshot.workloads}) == 5


def test_every_workload_can_be_told_apart() -> None:
    snapshot = cluster()
    selectors = StableSelectors(snapshot)
    assert all(selectors.of(number).also == () for number in range(len(snapshot.workloads)))


def test_the_finished_map_says_all_that_the_draft_guessed() -> None:
    """But for the mail relay, of which somebody found out the address."""
    snapshot = cluster()
    finished = read_text(shop()[MAP].decode(), MAP).map
    assert finished is not None
    pairs = []
    for written in (draft(snapshot).map, finished):
        resolver = Resolver(written, snapshot)
        pairs.append(
            {
                (source, destination)
                for each in resolver.all()
                for source in each.source.workloads
                for part in each.destinations
                for destination, _ in part.workloads
            }
        )
        assert resolver.problems == []
    assert pairs[0] < pairs[1]


def test_every_entry_of_the_finished_map_has_an_owner_and_a_reason() -> None:
    finished = read_text(shop()[MAP].decode(), MAP).map
    assert finished is not None
    assert all(entry.owner for entry in finished.workloads)
    assert all(dependency.reason for dependency in finished.dependencies)
