"""The bundled example: a small shop in a cluster that enforces nothing yet.

The files are package data; `shop()` returns them as they lie in the package. In `mesh/` is, for
each data plane of Istio, what the shop has more in a mesh, or has otherwise.
"""

from importlib import resources
from typing import Final

MAP: Final = "ringfence-map.yaml"
"""The example's dependency map; every other file is a manifest."""


def shop(mesh: str = "") -> dict[str, bytes]:
    """Return the files of the example shop by file name, sorted.

    Args:
        mesh: `sidecar` or `ambient`, the data plane of the mesh that it is in; empty: there is no
            mesh, and no policy.
    """
    folder = resources.files(__name__)
    places = [folder / "shop", *([folder / "mesh" / mesh] if mesh else ())]
    found = {
        entry.name: entry.read_bytes()
        for place in places
        for entry in place.iterdir()
        if entry.name.endswith(".yaml")
    }
    return dict(sorted(found.items()))
