"""What the outside reaches, through which object, and what reaches the outside.

A way in is a chain: an address that the outside can call, a Service or a host's own network, a
workload. Where a controller stands in between (Ingress, Gateway API), it takes one connection
from the outside and opens another one to the workload: both must be allowed.
"""

from collections import defaultdict
from collections.abc import Iterable

from ringfence.model.connectivity import Allowance, Connectivity
from ringfence.model.exposure import Entrance, Exposure, Passage
from ringfence.model.outside import merge, parse_range
from ringfence.model.snapshot import Snapshot
from ringfence.questions.connectivity import connectivity
from ringfence.questions.entrances import Entrances
from ringfence.questions.units import DOMAIN, EXTERNAL, NODE

Written = tuple[tuple[Allowance, ...], tuple[Allowance, ...]]


def exposure(snapshot: Snapshot, *, namespace: str | None = None) -> Exposure:
    """Return every way in from the outside, every way out, and what policies make of them.

    The outside is every address that is no pod's. Firewalls and load balancers in front of the
    cluster are not known, nor is what listens on a host.

    Args:
        snapshot: the cluster.
        namespace: only ways to and from workloads of this namespace.
    """
    answer = connectivity(snapshot, namespace=namespace)
    ways = Entrances(snapshot, answer)
    entrances = [e for e in ways.all() if _of(e.workload, namespace)]
    exposed = {entrance.workload.partition("[")[0] for entrance in entrances}
    admitted = [
        passage
        for passage in _passages(answer, inward=True)
        if passage.workload.partition("[")[0] not in exposed
    ]
    return Exposure(
        profile=answer.profile,
        workloads=tuple(
            peer
            for peer in answer.endpoints
            if peer.kind not in {EXTERNAL, DOMAIN, NODE} and _of(peer.name, namespace)
        ),
        entrances=tuple(sorted(entrances, key=_order)),
        exits=tuple(_passages(answer, inward=False)),
        admitted=tuple(admitted),
        nodes=tuple(p for p in answer.endpoints if p.policed) if namespace is None else (),
        unknown_because=answer.unknown_because,
        notes=(*answer.notes, *ways.notes()),
        problems=answer.problems,
    )


def _of(workload: str, namespace: str | None) -> bool:
    return namespace is None or workload.startswith(f"{namespace}/")


def _order(entrance: Entrance) -> tuple[str, ...]:
    return (
        entrance.workload,
        entrance.kind,
        entrance.object,
        entrance.address,
        entrance.protocol,
        f"{entrance.port or 0:05}",
    )


def _passages(answer: Connectivity, *, inward: bool) -> Iterable[Passage]:
    """Yield what workloads exchange with the outside, ranges of the same traffic together."""
    kinds = {p.name: p.kind for p in answer.endpoints if p.kind in {EXTERNAL, DOMAIN}}
    found: dict[str, dict[Written, list[str]]] = defaultdict(lambda: defaultdict(list))
    for pair in answer.connections:
        outside, workload = (
            (pair.source, pair.destination) if inward else (pair.destination, pair.source)
        )
        if outside in kinds and workload not in kinds:
            found[workload][pair.allow, pair.unknown].append(outside)
    policed = {p.name for p in answer.endpoints if p.policed}
    for workload, by_traffic in sorted(found.items()):
        if workload.startswith("node/") and workload not in policed:
            continue
        for (allow, unknown), names in sorted(by_traffic.items(), key=lambda item: str(item[0])):
            ranges = merge(part for name in names if (part := parse_range(name)))
            domains = sorted(name for name in names if kinds[name] == DOMAIN)
            yield Passage(
                workload=workload,
                outside=(*map(str, ranges), *domains),
                allow=allow,
                unknown=unknown,
            )
