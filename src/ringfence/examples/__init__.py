"""The bundled example: a small shop in a cluster that enforces nothing yet.

The files are package data; `shop()` returns them as they lie in the package.
"""

from importlib import resources
from typing import Final

MAP: Final = "ringfence-map.yaml"
"""The example's dependency map; every other file is a manifest."""


def shop() -> dict[str, bytes]:
    """Return the files of the example shop by file name, sorted."""
    folder = resources.files(__name__) / "shop"
    return {
        entry.name: entry.read_bytes()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }
