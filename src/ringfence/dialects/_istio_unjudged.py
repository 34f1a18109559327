"""What objects of Istio say that enters into no verdict, and may change one.

What kinds as a whole are not judged is told where they are read (`sources`).

Authority: istio.io "Configure waypoint proxies"; Istio
`pilot/pkg/serviceregistry/kube/controller/ambient/waypoints.go`.
"""

from collections.abc import Iterator
from typing import Final

from ringfence.dialects import Context
from ringfence.model.location import Problem

USE_WAYPOINT: Final = "istio.io/use-waypoint"


def notes(context: Context) -> Iterator[Problem]:
    """Yield a warning for each."""
    around = {one.name: one.labels.get(USE_WAYPOINT) for one in context.namespaces}
    for _, document in context.by_title.get("ServiceEntry", ()):
        metadata = document.body.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        own = labels.get(USE_WAYPOINT) if isinstance(labels, dict) else None
        waypoint = around.get(document.namespace) if own is None else own
        if waypoint and waypoint != "none":
            yield Problem(
                f"{document.ref}: what ambient sends to its hosts by waypoint `{waypoint}` is not "
                "judged: it is taken to go straight there",
                document.location_of(("metadata",)),
                (),
                document.ref,
                severity="warning",
            )
