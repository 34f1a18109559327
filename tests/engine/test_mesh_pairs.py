"""All pairs at once are what one question at a time says, where meshes are, too."""

from itertools import product

import msgspec
from hypothesis import HealthCheck, given, settings

from mesh_values import meshes
from ringfence.engine import Engine
from ringfence.engine.chains import Chains
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict

PLAIN = Request(http=False, dns="", sni="", authenticated=False)
REQUESTS = [
    PLAIN,
    *(
        msgspec.structs.replace(PLAIN, http=True, method=method, path=path, host="h", headers=())
        for method, path in (("GET", "/"), ("POST", "/admin"), ("GET", "/admin"))
    ),
]
PORTS = (80, 443, 8080, 9000)
RANK = (Verdict.ALLOW, Verdict.UNKNOWN, Verdict.DENY)


def between(engine: Engine) -> dict[tuple[int, int], tuple[int, int]]:
    """Return what the matrix says of pairs of classes: the traffic that is certain, and unknown."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for source, reaches in engine.matrix(4).rows():
        for destination in range(engine.compiled(4).classes.count):
            sure = may = 0
            for reach in reaches:
                sure |= reach.traffic if reach.certain >> destination & 1 else 0
                may |= reach.traffic if reach.unknown >> destination & 1 else 0
            found[source, destination] = sure, may
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(meshes())
def test_a_pair_may_exchange_what_is_let_pass_by_any_way(snapshot: Snapshot) -> None:
    engine = Engine(snapshot)
    classes = engine.compiled(4).classes
    pairs = between(engine)
    leading = Chains(classes.universe).leading
    ends = [PodEnd(number, 0) for number in range(len(snapshot.workloads))]
    for source, destination in product(ends, ends):
        if source == destination:
            continue
        numbers = [classes.class_of[end.workload] for end in (source, destination)]
        sure, may = pairs[numbers[0], numbers[1]]
        for port, request in product(PORTS, REQUESTS):
            led = {n for n, _, target in leading.get(destination.workload, ()) if target == port}
            ways = [
                engine.judge(
                    Connection(source, destination, port=port, request=request, service=service)
                ).verdict
                for service in (None, *sorted(led))
            ]
            expected = min(ways, key=RANK.index)
            traffic = classes.traffic.of(Protocol.TCP, port, request)
            found = Verdict.DENY
            if traffic & sure == traffic:
                found = Verdict.ALLOW
            elif traffic & (sure | may):
                found = Verdict.UNKNOWN
            assert found is expected, (source, destination, port, request, ways)
