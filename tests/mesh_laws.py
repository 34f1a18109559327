"""The laws that hold for every mesh, as functions of a cluster: the tests try them on each one."""

import copy
import io
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import yaml

from every_connection import named, pod_ends
from literal_boxes import admits
from mesh_connections import PORTS, REQUESTS, leading, mesh_connections
from policy_strategies import Manifest
from ringfence import assemble, reference
from ringfence.engine import Engine
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection, End, PodEnd
from ringfence.model.connectivity import ANY, Allowance, Connectivity, Pair
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions.connectivity import connectivity
from ringfence.sources import snapshot_file
from strategies import Situation

RANK = {Verdict.DENY: 0, Verdict.UNKNOWN: 1, Verdict.ALLOW: 2}
Told = tuple[Any, ...]
CLEAN = (None, "/", "/pub", "/pub/a", "/pub/a/b", "/admin", "/a", "/x.Y/Z", "/x.Y/W")
READ_ALIKE = [one for one in REQUESTS if one.path in CLEAN and one.host in (None, "api.test")]
"""Requests that every proxy compares as they are: so are those that answers are limited to."""


def told(found: Judgement) -> Told:
    """Return what is said of both layers, and of how a connection is carried."""
    network = (found.verdict, found.egress, found.ingress)
    if found.mesh is None:
        return (*network, Verdict.ALLOW, Verdict.ALLOW, None, None, None)
    mesh = found.mesh
    return (*network, mesh.egress, mesh.ingress, mesh.mtls, mesh.wire, mesh.waypoint)


def verdicts(found: Judgement) -> tuple[Verdict, ...]:
    """Return the verdicts alone: of all, and of each side of each layer."""
    return told(found)[:5]


def has_no_address(snapshot: Snapshot, end: End) -> bool:
    if not isinstance(end, PodEnd):
        return False
    identity = snapshot.workloads[end.workload].identities[end.identity]
    return not any(pod.addresses for pod in identity.pods)


# -- the judges ----------------------------------------------------------------------------------


def judges_agree(snapshot: Snapshot, count: int, seed: int = 1) -> None:
    engine = Engine(snapshot)
    for connection in mesh_connections(snapshot, count, seed, twice=True):
        found, literal = engine.judge(connection), reference.judge(snapshot, connection)
        ends = (connection.source, connection.destination)
        headers = connection.request.headers or ()
        if any(has_no_address(snapshot, e) for e in ends) or len(dict(headers)) < len(headers):
            # Where the address is not known the literal judge tries all that may be, and knows
            # more: which rule lets in may depend on it, though not whether one does. So it does
            # where a header has several values, each of which is compared by itself.
            pairs = zip(verdicts(found), verdicts(literal), strict=True)
            assert all(one in (other, Verdict.UNKNOWN) for one, other in pairs), connection
        else:
            assert told(found) == told(literal), (connection, found, literal)


def judges_do_not_contradict(snapshot: Snapshot, count: int) -> None:
    """Hold that no judge allows what the other denies: one may know more of what is malformed."""
    engine = Engine(snapshot)
    for connection in mesh_connections(snapshot, count):
        found, literal = engine.judge(connection), reference.judge(snapshot, connection)
        for one, other in zip(verdicts(found), verdicts(literal), strict=True):
            assert one is other or Verdict.UNKNOWN in (one, other), (connection, found, literal)


# -- connectivity --------------------------------------------------------------------------------


def connectivity_is_the_judge(snapshot: Snapshot, count: int) -> None:
    """Hold that a pair may exchange what it may by any of its ways."""
    engine = Engine(snapshot)
    answer = connectivity(snapshot)
    rng = random.Random(7)
    names = _names(snapshot, answer)
    pairs = {(pair.source, pair.destination): pair for pair in answer.connections}
    ends = [end for end in pod_ends(snapshot, single=False) if end in names]
    asked = [
        (source, destination, port)
        for source, destination in product(ends, ends)
        if source.workload != destination.workload
        for port in sorted(set(PORTS))
    ]
    for source, destination, port in rng.sample(asked, min(count, len(asked))):
        request = rng.choice(READ_ALIKE)
        ways = [
            engine.judge(Connection(source, destination, Protocol.TCP, port, 4, request, service))
            for service in (None, *leading(snapshot, destination, port))
        ]
        best = max((way.verdict for way in ways), key=RANK.__getitem__)
        names_of = names[source], names[destination]
        pair = pairs.get(names_of, Pair(*names_of, ()))
        found = Verdict.DENY
        if _holds(pair.allow, port, request, snapshot):
            found = Verdict.ALLOW
        elif _holds(pair.unknown, port, request, snapshot):
            # What has no header, or is no HTTP, cannot be written as a limit: all of the port is
            # unknown then.
            whole = any(one.l7 is None for one in pair.unknown)
            found = best if whole else Verdict.UNKNOWN
        assert found is best, (source, destination, port, request, ways, pair)


def _names(snapshot: Snapshot, answer: Connectivity) -> dict[PodEnd, str]:
    """Return the names of those identities that are alone in their workloads."""
    listed = {peer.name for peer in answer.endpoints}
    found = {}
    for number, workload in enumerate(snapshot.workloads):
        if len(workload.identities) == 1:
            for name in (workload.ref, f"{workload.namespace}/{workload.kind}/{workload.name}"):
                if name in listed:
                    found[PodEnd(number, 0)] = name
    return found


def _holds(listed: tuple[Allowance, ...], port: int, request: Any, snapshot: Snapshot) -> bool:
    return any(
        allowance.protocol in (ANY, "TCP")
        and allowance.ip_family in (None, 4)
        and (not allowance.ports or _in_ports(allowance.ports, port))
        and admits(allowance, request, snapshot.profile.cni)
        for allowance in listed
    )


def _in_ports(ports: str, port: int) -> bool:
    bounds = [part.partition("-") for part in ports.split(",")]
    return any(int(low) <= port <= int(high or low) for low, _, high in bounds)


# -- two clusters --------------------------------------------------------------------------------


def compare(
    before: Snapshot,
    after: Snapshot,
    count: int,
    hold: Callable[[Judgement, Judgement, Connection], None],
) -> None:
    """Hold something of all connections between ends that are the same in two clusters."""
    old, new = Engine(before), Engine(after)
    services = [service.ref for service in after.services]
    there = named(after)
    names = {end: name for name, end in named(before).items() if name in there}
    for connection in mesh_connections(before, count):
        ends = connection.source, connection.destination
        service = connection.service
        if service is not None:
            service = services.index(before.services[service].ref)
        same = [there[names[end]] if end in names else end for end in ends]
        if any(isinstance(end, PodEnd) and end not in names for end in ends):
            continue
        moved = msgspec.structs.replace(
            connection, source=same[0], destination=same[1], service=service
        )
        hold(old.judge(connection), new.judge(moved), connection)


def judged_alike(one: Judgement, other: Judgement, connection: Connection) -> None:
    assert told(one) == told(other), (connection, one, other)


def never_allows_more(before: Judgement, after: Judgement, connection: Connection) -> None:
    for was, is_ in zip(verdicts(before), verdicts(after), strict=True):
        assert RANK[is_] <= RANK[was], (connection, before, after)


def never_denies_more(before: Judgement, after: Judgement, connection: Connection) -> None:
    never_allows_more(after, before, connection)


# -- what does not matter ------------------------------------------------------------------------


def order_does_not_matter(situation: Situation, rng: random.Random) -> None:
    manifests = [*situation.manifests, *situation.policies]
    rng.shuffle(manifests)
    shuffled = replace(situation, manifests=manifests, policies=[])
    assert shuffled.snapshot() == situation.snapshot()


def replicas_do_not_matter(situation: Situation, more: int, count: int) -> None:
    grown: list[Manifest] = []
    for manifest in situation.manifests:
        grown.append(manifest)
        if manifest["kind"] == "Deployment":
            grown[-1] = manifest | {"spec": manifest["spec"] | {"replicas": 2 + more}}
    compare(
        situation.snapshot(), replace(situation, manifests=grown).snapshot(), count, judged_alike
    )


def round_trips_change_nothing(situation: Situation, count: int) -> None:
    before = situation.snapshot()
    manifests = [*situation.manifests, *situation.policies]
    after = read(yaml.safe_dump_all(manifests, sort_keys=False), situation)
    assert after.policies == before.policies
    assert after.client_tls == before.client_tls
    compare(before, after, count, judged_alike)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "cluster.snapshot")
        snapshot_file.write(before, path)
        stored = assemble.load([path])
    assert stored == msgspec.structs.replace(before, source=path)


def read(text: str, situation: Situation) -> Snapshot:
    return assemble.load(
        ["-"],
        cni=situation.cni,
        pod_cidrs=situation.pod_cidrs,
        stdin=io.BytesIO(text.encode()),
    )


def without_membership_the_network_decides_alone(snapshot: Snapshot, count: int) -> None:
    """Hold that a server outside the mesh is judged as if there were none, but for its clients."""
    plain = msgspec.structs.replace(snapshot, workloads=tuple(map(_outside, snapshot.workloads)))
    network = Engine(plain)
    for connection in mesh_connections(snapshot, count):
        alone = network.judge(connection)
        assert alone.mesh is None
        assert told(reference.judge(plain, connection)) == told(alone)
        if not isinstance(connection.destination, PodEnd):
            continue
        number = connection.destination.workload
        workloads = list(snapshot.workloads)
        workloads[number] = _outside(workloads[number])
        if connection.source == connection.destination or number == _workload(connection.source):
            continue
        one = msgspec.structs.replace(snapshot, workloads=tuple(workloads))
        found = reference.judge(one, connection)
        if found.mesh is None or found.mesh.waypoint:
            continue
        assert (found.egress, found.ingress) == (alone.egress, alone.ingress), connection
        assert found.mesh.ingress is Verdict.ALLOW
        assert found.mesh.mtls is False
        assert found.mesh.wire == connection.port or connection.protocol is Protocol.ICMP


def _workload(end: End) -> int | None:
    return end.workload if isinstance(end, PodEnd) else None


def _outside(workload: Any) -> Any:
    bare = tuple(msgspec.structs.replace(one, mesh=None) for one in workload.identities)
    return msgspec.structs.replace(workload, identities=bare)


# -- what nobody knows ---------------------------------------------------------------------------


def unknown_is_what_depends_on_it(
    situation: Situation,
    spoiled: list[Manifest],
    without: list[Manifest],
    count: int,
) -> None:
    """Hold that an unknown field is told, and leaves unknown all that would change without it.

    Args:
        situation: the cluster.
        spoiled: its policies, with a field `surprise` in one.
        without: its policies, without that one or the part of it that has the field.
        count: how many connections are asked about.
    """
    before, bare = situation.snapshot(), situation.with_policies(without)
    text = yaml.safe_dump_all([*situation.manifests, *spoiled], sort_keys=False)
    after = read(text, situation)
    line = 1 + next(n for n, one in enumerate(text.splitlines()) if "surprise" in one)
    found = [problem for problem in after.problems if "surprise" in problem.message]
    idle = [problem.object for problem in after.problems if "has no effect" in problem.message]
    named_in = [one for one in after.documents if "surprise" in str(one.body)]
    if not {one.ref for one in named_in} & set(idle):
        assert any(problem.location.line == line for problem in found), (named_in, found)
    if not before.workloads == bare.workloads == after.workloads:
        return  # pods are told apart otherwise: the same connections do not mean the same
    engines = [Engine(each) for each in (before, bare, after)]
    for connection in mesh_connections(before, count):
        judged = [engine.judge(connection) for engine in engines]
        literal = reference.judge(after, connection)
        if not any("no address" in reason for reason in judged[2].unknown_because):
            assert told(literal) == told(judged[2]), (connection, judged[2], literal)
        for was, would, is_ in zip(*map(verdicts, judged), strict=True):
            assert is_ is Verdict.UNKNOWN or is_ is was is would, (connection, judged)
        if judged[2].verdict is Verdict.UNKNOWN and judged[0].verdict is not Verdict.UNKNOWN:
            assert any("surprise" in reason for reason in judged[2].unknown_because) or any(
                "surprise" in reason for reason in literal.unknown_because
            ), judged[2]


def maps(value: Any) -> Iterator[Manifest]:
    """Yield the maps of a policy whose keys are given."""
    if isinstance(value, dict):
        yield value
        for child in value.values():
            yield from maps(child)
    elif isinstance(value, list):
        for child in value:
            yield from maps(child)


def copied(policies: list[Manifest]) -> list[Manifest]:
    return copy.deepcopy(policies)
