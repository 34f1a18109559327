"""What a map's requests and names are as limits above the port."""

from collections.abc import Iterable
from typing import Final

from ringfence.learn.dependency_map import HttpRequest
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, Wildcard, exact
from ringfence.model.rule import DomainPeer, Entity, EntityPeer, IpPeer, Peer, leaves

EVERY_NAME: Final = DomainPattern("*", Wildcard.CILIUM)
CLUSTER_NAMES: Final = DomainPattern("*.cluster.local")
"""The names of Services and pods, and what the resolver's search list makes of any other name.

Source: Kubernetes documentation, "DNS for Services and Pods"; `cluster.local` is the default of
the cluster's domain."""


def requests(http: Iterable[HttpRequest]) -> tuple[Layer7, ...] | None:
    """Return the limit that a dependency's requests are; None where it has none.

    A path says nothing of the query behind it.
    """
    return tuple(map(_box, http)) or None


def _box(request: HttpRequest) -> Layer7:
    paths = None
    if request.path.endswith("*"):
        paths = (Text(Form.PREFIX, request.path[:-1]),)
    elif request.path:
        paths = (exact(request.path),)
    return Layer7(http=HttpMatch(methods=tuple(map(exact, request.methods)) or None, paths=paths))


def lookups(peers: Iterable[tuple[Peer, ...] | None]) -> tuple[DomainPattern, ...]:
    """Return the names that somebody must be able to resolve who calls these peers.

    Those of the cluster, which every pod may resolve, are left out. Whoever calls addresses of
    the outside may know them by any name.
    """
    found: set[DomainPattern] = set()
    for listed in peers:
        if listed is None:
            return (EVERY_NAME,)
        for peer in (leaf for each in listed for leaf in leaves(each)):
            match peer:
                case DomainPeer():
                    found.add(peer.pattern)
                case IpPeer() | EntityPeer(Entity.WORLD):
                    return (EVERY_NAME,)
                case _:
                    pass
    return tuple(sorted(found))
