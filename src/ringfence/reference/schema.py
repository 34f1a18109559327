"""Reads the raw values of a manifest as the API server's decoding and validation do.

What the API server would reject, and what no version of the API that is known here has a field
for, is not understood. A null is a field that is not there: JSON decoding leaves a pointer, a
list or a map nil, and for custom resources nulls of fields that are not nullable are pruned.
Source: kubernetes "Custom Resources", structural schemas, defaulting and nullable.
"""

from collections.abc import Collection
from typing import Any

from ringfence.model.document import Path, path_text


class NotUnderstoodError(Exception):
    """A part of a manifest means nothing that can be relied on; says which part, and why."""

    def __init__(self, reason: str, path: Path) -> None:
        """Keep the reason and the path of what was not understood, from the manifest's root."""
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        """Return `spec.ingress[0].from: reason`."""
        return f"{path_text(self.path)}: {self.reason}" if self.path else self.reason


def fields(value: Any, path: Path, known: Collection[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return the fields that are given, nulls left out.

    Raises:
        NotUnderstoodError: no mapping, or a field that is not among the known ones.
    """
    if not isinstance(value, dict):
        raise NotUnderstoodError("must be a mapping", path)
    for key in value:
        if key not in known:
            raise NotUnderstoodError(f"there is no field `{key}` here", (*path, key))
    return {key: child for key, child in value.items() if child is not None}


def only(value: Any, path: Path, known: Collection[str]) -> tuple[str, Any]:  # noqa: ANN401
    """Return the one field that is given and its value, where exactly one must be.

    Raises:
        NotUnderstoodError: none is given, or more than one, or another than the known.
    """
    given = fields(value, path, known)
    if len(given) != 1:
        raise NotUnderstoodError(f"must have exactly one of {', '.join(sorted(known))}", path)
    return next(iter(given.items()))


def required(given: dict[str, Any], key: str, path: Path) -> Any:  # noqa: ANN401
    """Return the value of a field that must be there.

    Raises:
        NotUnderstoodError: it is not.
    """
    if key not in given:
        raise NotUnderstoodError(f"`{key}` is missing", path)
    return given[key]


def items(value: Any, path: Path, most: int | None = None) -> list[Any]:  # noqa: ANN401
    """Return a list's items; none for a list that is not there.

    Args:
        value: what stands there.
        path: where it stands.
        most: how many items the schema admits (`maxItems`).

    Raises:
        NotUnderstoodError: no list, or too long a one.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise NotUnderstoodError("must be a list", path)
    if most is not None and len(value) > most:
        raise NotUnderstoodError(f"has more than {most} items", path)
    return value


def some(value: Any, path: Path, most: int) -> list[Any]:  # noqa: ANN401
    """Return a list's items, of which there must be at least one (`minItems: 1`).

    Raises:
        NotUnderstoodError: no list, an empty one, or too long a one.
    """
    found = items(value, path, most)
    if not found:
        raise NotUnderstoodError("must have at least one item", path)
    return found


def text(value: Any, path: Path, most: int | None = None) -> str:  # noqa: ANN401
    """Return a string of at most so many characters.

    Raises:
        NotUnderstoodError: anything else.
    """
    if not isinstance(value, str):
        raise NotUnderstoodError("must be a string", path)
    if most is not None and len(value) > most:
        raise NotUnderstoodError(f"has more than {most} characters", path)
    return value


def choice(value: Any, path: Path, known: Collection[str]) -> str:  # noqa: ANN401
    """Return one of the known words.

    Raises:
        NotUnderstoodError: anything else.
    """
    if not isinstance(value, str) or value not in known:
        raise NotUnderstoodError(f"must be one of {', '.join(sorted(known))}", path)
    return value


def integer(value: Any, path: Path, low: int, high: int) -> int:  # noqa: ANN401
    """Return a whole number between two bounds, both included.

    Raises:
        NotUnderstoodError: anything else; `true` is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise NotUnderstoodError("must be a whole number", path)
    if not low <= value <= high:
        raise NotUnderstoodError(f"must be between {low} and {high}", path)
    return value
