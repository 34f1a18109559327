"""Connections that a mesh may tell apart: by a Service or not, by mTLS or not, with requests."""

import random
from itertools import product

import msgspec

from every_connection import named, pod_ends
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.snapshot import Snapshot

PORTS = (80, 80, 80, 8080, 8080, 9000, 443, 4191, 15008, 15021, 4143, 7)
OUTSIDE: tuple[End, ...] = (
    AddressEnd("203.0.113.9"),
    AddressEnd("10.0.0.4"),
    AddressEnd("10.0.0.99"),
    AddressEnd("10.9.9.9"),
    AddressEnd("fd00::99"),
    DomainEnd("api.test"),
    DomainEnd("deep.api.test"),
    DomainEnd("never.named"),
)
PLAIN = Request(http=False, dns="", sni="", authenticated=False)
PATHS = (
    *("/", "/pub", "/pub/", "/pub/a", "/pub?team=red", "/pubx", "//pub", "/PUB", "/%70ub"),
    *("/admin", "//admin", "/%2fadmin", "/x/../admin", "/a", "/x.Y/Z", "/x.Y/Z/more", "/x.Y/W"),
    *("/pub/a/b", "/pub//a", "/pub;x", "\\pub", "/pub#x"),
)
HOSTS = ("api.test", "API.test", "api.test:80", "other.test", "x.y.test", "api.test.")
HEADERS = ((), (("x-team", "red"),), (("x-team", "rad"),), (("x-team", ""),))
TWICE = (("x-team", "rad"), ("x-team", "blue"))


def _http(method: str, path: str, host: str, headers: tuple[tuple[str, str], ...]) -> Request:
    return msgspec.structs.replace(
        PLAIN, http=True, method=method, path=path, host=host, headers=headers
    )


REQUESTS = (
    PLAIN,
    msgspec.structs.replace(PLAIN, sni="api.test"),
    msgspec.structs.replace(PLAIN, sni="never.named"),
    msgspec.structs.replace(PLAIN, dns="api.test"),
    *(
        _http(method, path, "api.test", headers)
        for method, path, headers in product(("GET", "POST"), PATHS, HEADERS[:2])
    ),
    *(_http("GET", "/pub", host, headers) for host, headers in product(HOSTS, HEADERS)),
)


def ends(snapshot: Snapshot) -> list[End]:
    """Return the ends that can be asked for: pods, nodes, and a few outside."""
    taken = {
        address
        for workload in snapshot.workloads
        for identity in workload.identities
        for pod in identity.pods
        for address in pod.addresses
    }
    outside = [end for end in OUTSIDE if getattr(end, "address", "") not in taken]
    return [*map(NodeEnd, range(len(snapshot.nodes))), *outside]


def leading(snapshot: Snapshot, end: End, port: int) -> list[int]:
    """Return the Services by whose address a port of a pod is reached."""
    if not isinstance(end, PodEnd):
        return []
    workload = snapshot.workloads[end.workload]
    identity = workload.identities[end.identity]
    if identity.host_network:
        return []
    names = {one.name: one.port for one in identity.ports if one.name}
    return [
        number
        for number, service in enumerate(snapshot.services)
        if service.namespace == workload.namespace and service.selector
        if all(identity.labels.get(one.key) in one.values for one in service.selector.requirements)
        if any(names.get(str(one.target), one.target) == port for one in service.ports)
    ]


def mesh_connections(
    snapshot: Snapshot, count: int, seed: int = 1, *, forced: bool = True, twice: bool = False
) -> list[Connection]:
    """Return so many connections, always the same ones of a snapshot.

    Nothing of a request is left open, but for whether it is by mTLS.

    Args:
        snapshot: the cluster.
        count: how many.
        seed: which ones.
        forced: whether some questions say whether it is by mTLS.
        twice: whether some requests have a header twice.
    """
    rng = random.Random(seed)
    requests = (*REQUESTS, _http("GET", "/pub", "api.test", TWICE)) if twice else REQUESTS
    pods: list[End] = [*pod_ends(snapshot, single=False)]
    pods += [end for end in named(snapshot).values() if isinstance(end, PodEnd)]
    others = ends(snapshot)
    found: dict[Connection, None] = {}
    for _ in range(count):
        source: End = rng.choice(pods)
        destination: End = rng.choice(pods)
        port = rng.choice(PORTS)
        match rng.randrange(8):
            case 0:
                source = rng.choice(others)
            case 1:
                destination = rng.choice(others)
        protocol = rng.choice((*(Protocol.TCP,) * 15, Protocol.UDP))
        request = PLAIN if rng.randrange(3) == 0 else rng.choice(requests)
        if forced and rng.randrange(4) == 0:
            request = msgspec.structs.replace(request, mtls=rng.choice((True, False)))
        service = None
        ways = leading(snapshot, destination, port) if protocol is Protocol.TCP else []
        if ways and rng.randrange(4):
            service = rng.choice(ways)
        found[Connection(source, destination, protocol, port, None, request, service)] = None
    return list(found)
