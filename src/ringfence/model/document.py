"""A manifest as it was read, with the line of every key and list item."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ringfence.model import kinds
from ringfence.model.location import Location

PathPart = str | int
Path = tuple[PathPart, ...]


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object of the API as plain values, and where each part of it was written.

    `body` holds what JSON can hold: dict, list, str, int, float, bool, None.
    """

    api_version: str
    kind: str
    namespace: str
    """Empty for cluster-scoped objects; `default` where a namespaced manifest names none."""
    name: str
    body: dict[str, Any]
    file: str
    """The file, `-` for standard input, `live:CONTEXT` for an API server."""
    line: int | None = None
    """Line of the object's first key, from 1."""
    lines: tuple[int, ...] = ()
    """One line per key and per list item of `body`, in the order of a walk that visits each
    key or item and then descends into its value. Empty where the source has no lines."""

    @property
    def ref(self) -> str:
        """Return `Kind/namespace/name`, or `Kind/name` for a cluster-scoped object.

        The kind has its group behind it where another group has one of the same name:
        `NetworkPolicy.projectcalico.org/shop/db`.
        """
        return "/".join(part for part in (self.title, self.namespace, self.name) if part)

    @property
    def title(self) -> str:
        """Return what tells the object's kind from every other."""
        return kinds.title(self.api_version, self.kind)

    def line_of(self, path: Path) -> int | None:
        """Return the line of a key or list item; that of its nearest ancestor if it is absent.

        Args:
            path: keys and indices from the body's root, as `("spec", "ingress", 0)`.
        """
        if not self.lines:
            return self.line
        best = self.line
        position, value = 0, self.body
        for wanted in path:
            for key, child, index in _children(value, position):
                if key == wanted:
                    if index >= len(self.lines):
                        return best
                    best, value, position = self.lines[index], child, index + 1
                    break
            else:
                return best
        return best

    def location_of(self, path: Path = ()) -> Location:
        """Return where a key or list item was written."""
        return Location(self.file, self.line_of(path))


def _children(value: Any, position: int) -> Iterator[tuple[PathPart, Any, int]]:  # noqa: ANN401
    """Yield key, child and index into `lines` for each child of a container."""
    pairs: Iterator[tuple[PathPart, Any]]
    if isinstance(value, dict):
        pairs = iter(value.items())
    elif isinstance(value, list):
        pairs = iter(enumerate(value))
    else:
        return
    for key, child in pairs:
        yield key, child, position
        position += 1 + count_positions(child)


def count_positions(value: Any) -> int:  # noqa: ANN401
    """Return how many entries of `Document.lines` a value takes: one per key and per item."""
    if isinstance(value, dict):
        return len(value) + sum(map(count_positions, value.values()))
    if isinstance(value, list):
        return len(value) + sum(map(count_positions, value))
    return 0


def path_text(path: Path) -> str:
    """Return a path as people write it: `spec.ingress[0].from[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
