"""A live cluster, read from its API server once, from start to end.

What is read and how stands in `live_listing`; how the server is found in `live_access`. This
file alone is light to import: the HTTP client and the kubeconfig's models load in `read_cluster`.
"""

from collections.abc import Callable

from ringfence.model.location import Location
from ringfence.model.reading import Reading
from ringfence.sources import collector

Progress = Callable[[str, int], None]
"""Called after each page with the kind's plural and how many of it have been read so far."""


def read_cluster(
    *,
    context: str | None = None,
    kubeconfig: str | None = None,
    namespace: str | None = None,
    progress: Progress | None = None,
) -> Reading:
    """Return the objects of a cluster, sorted, and as problems what could not be read of it.

    Everything is read from all namespaces, because policies and peers of any of them matter to
    each; where that is forbidden, and only there, `namespace` says where to look instead.

    Raises:
        UsageError: the kubeconfig, its context, or what it names cannot be used.
        ClusterError: the server cannot be reached, refuses the credentials, or fails throughout.
    """
    # A third of a second that no other verb shall wait for.
    from ringfence.sources.live_access import open_access  # noqa: PLC0415
    from ringfence.sources.live_listing import Listing  # noqa: PLC0415
    from ringfence.sources.live_requests import Server  # noqa: PLC0415

    access = open_access(context=context, kubeconfig=kubeconfig)
    with access.client, collector.paused():
        listing = Listing(Server(access), Location(f"live:{access.name}"), namespace, progress)
        listing.read()
    return Reading(tuple(listing.documents), tuple(listing.problems), access.name)
