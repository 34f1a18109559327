"""What policies do in a mesh that nobody may have meant: each told with a connection that shows it.

Nothing is told that the judge does not confirm. What objects say wrongly by themselves is told
where they are read (`Snapshot.problems`).
"""

from collections.abc import Iterable, Iterator

from ringfence.model.connection import End, PodEnd
from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.snapshot import Snapshot
from ringfence.questions.check import Checker
from ringfence.questions.mesh_blind_rules import blind_rules, on_waypoints
from ringfence.questions.mesh_evasions import evasions
from ringfence.questions.mesh_probes import Probes
from ringfence.questions.mesh_transport_warnings import never_applied, transport_warnings


def mesh_warnings(snapshot: Snapshot, *, namespace: str | None = None) -> tuple[MeshWarning, ...]:
    """Return the warnings of a whole cluster, by where their objects stand; none without a mesh.

    Args:
        snapshot: the cluster.
        namespace: only those that show on what is sent to its workloads; None for all.
    """
    checker = Checker(snapshot)
    if not checker.destinations.meshed:
        return ()
    if namespace is not None:
        inside = tuple(
            PodEnd(number, index)
            for number, workload in enumerate(snapshot.workloads)
            if workload.namespace == namespace
            for index in range(len(workload.identities))
        )
        probes = Probes(checker, inside)
        return _ordered((*_of(probes), *on_waypoints(probes)))
    probes = Probes(checker)
    return _ordered((*_of(probes), *on_waypoints(probes), *never_applied(probes)))


def warnings_about(checker: Checker, end: End) -> tuple[MeshWarning, ...]:
    """Return those that concern what is sent to one end."""
    if not isinstance(end, PodEnd):
        return ()
    probes = Probes(checker, (PodEnd(end.workload, end.identity),))
    return _ordered(_of(probes)) if probes.destinations else ()


def _of(probes: Probes) -> Iterator[MeshWarning]:
    yield from evasions(probes)
    yield from blind_rules(probes)
    yield from transport_warnings(probes)


def _ordered(found: Iterable[MeshWarning]) -> tuple[MeshWarning, ...]:
    return tuple(
        sorted(
            dict.fromkeys(found),
            key=lambda w: (w.location.file, w.location.line or 0, w.object, w.message),
        )
    )
