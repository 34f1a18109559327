"""Which classes are the proxies of waypoints, and what is called by way of them.

Source: ztunnel `src/proxy/outbound.rs` build_request.
"""

from collections import defaultdict

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.model.mesh import DataPlane, Membership


def is_sent_by_ztunnel(client: Membership) -> bool:
    """Return whether a client calls by way of waypoints: only ztunnels do."""
    return client.data_plane is DataPlane.AMBIENT and not client.gateway


def of_services(classes: Classes) -> dict[int, tuple[int, ...]]:
    """Return the numbers of the Services with a waypoint, and the classes of its proxies."""
    proxies = _proxies(classes)
    services = classes.snapshot.services if classes.universe.services else ()
    return {
        number: proxies.get(service.waypoint, ())
        for number, service in enumerate(services)
        if service.waypoint is not None
    }


def of_pods(classes: Classes) -> dict[tuple[int, ...], int]:
    """Return the classes of pods with a waypoint of their own, by those of its proxies."""
    proxies = _proxies(classes)
    universe = classes.universe
    found: dict[tuple[int, ...], int] = defaultdict(int)
    for element in bits.members(universe.meshed):
        member = universe.identity(element).mesh
        if member and member.waypoint_of:
            found[proxies.get(member.waypoint_of, ())] |= 1 << classes.class_of[element]
    return dict(found)


def _proxies(classes: Classes) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return the classes of the proxies of Gateways, by namespace and name of these."""
    universe = classes.universe
    found: defaultdict[tuple[str, str], dict[int, None]] = defaultdict(dict)
    for element, (workload, _) in enumerate(universe.identities):
        member = universe.identity(element).mesh
        if member and member.gateway:
            place = universe.snapshot.workloads[workload].namespace
            found[place, member.gateway][classes.class_of[element]] = None
    return {name: tuple(listed) for name, listed in found.items()}
