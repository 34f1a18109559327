"""Reads the plain values of objects, with the types that the API demands of them.

Unknown fields are passed over: unlike a policy's, they change nothing that is asked here. A
wrong type is told, because the API server would refuse the object.
"""

import socket
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from ringfence.model.document import Document, Path, path_text
from ringfence.model.location import Problem
from ringfence.model.selector import LabelSelector, Operator, Requirement, from_labels
from ringfence.yaml_text import type_text

T = TypeVar("T")

EMPTY: Final[dict[str, Any]] = {}
STRINGS: Final = {str}


class Malformed(Exception):  # noqa: N818 - not an error of the program
    """Something in an object is not as its schema says; becomes a `Problem` of that object."""

    def __init__(self, reason: str, path: Path) -> None:
        """Keep the reason and the place."""
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def of(self, document: Document, severity: str = "error") -> Problem:
        """Return the problem that this is in a document."""
        return Problem(
            f"{document.ref}: {self.reason} at `{path_text(self.path)}`",
            document.location_of(self.path),
            (document.kind,),
            document.ref,
            severity=severity,
        )


def each(
    documents: Iterable[Document], read: Callable[[Document], T], problems: list[Problem]
) -> list[T]:
    """Return what `read` makes of each document; those that are malformed go to `problems`."""
    found: list[T] = []
    for document in documents:
        try:
            found.append(read(document))
        except Malformed as malformed:
            problems.append(malformed.of(document))
    return found


def mapping(parent: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    """Return a map; an absent one is empty. `path` is the parent's.

    Raises:
        Malformed: anything else.
    """
    value = parent.get(key)
    if value is None:
        return EMPTY
    if not isinstance(value, dict):
        raise Malformed(f"expected a map, found {type_text(value)}", (*path, key))
    return value


def sequence(parent: dict[str, Any], key: str, path: Path) -> list[Any]:
    """Return a list; an absent one is empty.

    Raises:
        Malformed: anything else.
    """
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"expected a list, found {type_text(value)}", (*path, key))
    return value


def mappings(parent: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    """Return a list of maps; an absent one is empty.

    Raises:
        Malformed: anything else, an item that is no map included.
    """
    listed = sequence(parent, key, path)
    for index, item in enumerate(listed):
        if not isinstance(item, dict):
            raise Malformed(f"expected a map, found {type_text(item)}", (*path, key, index))
    return listed


def texts(parent: dict[str, Any], key: str, path: Path) -> list[str]:
    """Return a list of strings; an absent one is empty.

    Raises:
        Malformed: anything else.
    """
    listed = sequence(parent, key, path)
    for index, item in enumerate(listed):
        if not isinstance(item, str):
            raise Malformed(f"expected a string, found {type_text(item)}", (*path, key, index))
    return listed


def text(parent: dict[str, Any], key: str, path: Path, default: str = "") -> str:
    """Return a string; the default where it is absent.

    Raises:
        Malformed: anything else.
    """
    value = parent.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise Malformed(f"expected a string, found {type_text(value)}", (*path, key))
    return value


def flag(parent: dict[str, Any], key: str, path: Path) -> bool:
    """Return a truth value; false where it is absent.

    Raises:
        Malformed: anything else.
    """
    value = parent.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Malformed(f"expected true or false, found {type_text(value)}", (*path, key))
    return value


def number(parent: dict[str, Any], key: str, path: Path, low: int, high: int) -> int | None:
    """Return a whole number from `low` to `high`; None where it is absent.

    Raises:
        Malformed: anything else.
    """
    value = parent.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f"expected a whole number, found {type_text(value)}", (*path, key))
    if not low <= value <= high:
        raise Malformed(f"`{value}` is not between {low} and {high}", (*path, key))
    return value


def port(parent: dict[str, Any], key: str, path: Path) -> int:
    """Return a port's number, which must be there.

    Raises:
        Malformed: absent, or not a port's number.
    """
    value = number(parent, key, path, 1, 65535)
    if value is None:
        raise Malformed(f"`{key}` is required", path)
    return value


def string_map(parent: dict[str, Any], key: str, path: Path) -> dict[str, str]:
    """Return a map of strings, as labels are; an absent one is empty.

    A null value is the empty string: so it is decoded by the API server.

    Raises:
        Malformed: anything else. A value that YAML takes for a number is the common case.
    """
    found = mapping(parent, key, path)
    if {*map(type, found.values())} <= STRINGS:
        return found
    for name, value in found.items():
        if not isinstance(value, str | None):
            hint = " (quote it)" if isinstance(value, bool | int | float) else ""
            raise Malformed(
                f"expected a string, found {type_text(value)}{hint}", (*path, key, name)
            )
    return {name: value or "" for name, value in found.items()}


def selector(parent: dict[str, Any], key: str, path: Path) -> LabelSelector | None:
    """Return a `metav1.LabelSelector`; None where it is absent.

    Raises:
        Malformed: anything else.
    """
    if parent.get(key) is None:
        return None
    value, at = mapping(parent, key, path), (*path, key)
    requirements = list(from_labels(string_map(value, "matchLabels", at)).requirements)
    at = (*at, "matchExpressions")
    for index, expression in enumerate(mappings(value, "matchExpressions", at[:-1])):
        operator = text(expression, "operator", (*at, index))
        if operator not in tuple(Operator):
            raise Malformed(f"`{operator}` is no operator", (*at, index, "operator"))
        requirements.append(
            Requirement(
                text(expression, "key", (*at, index)),
                Operator(operator),
                tuple(sorted(texts(expression, "values", (*at, index)))),
            )
        )
    return LabelSelector(tuple(sorted(requirements)))


def parse_address(written: str) -> tuple[int, int] | None:
    """Return family and number of an IP address, or None if it is none.

    An IPv4-mapped IPv6 address is IPv4. Cheaper than `ipaddress`, for 100,000 pods.
    """
    try:
        if ":" not in written:
            return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, written), "big")
        value = int.from_bytes(socket.inet_pton(socket.AF_INET6, written), "big")
    except (OSError, ValueError):  # the second for what no text of the C library may hold
        return None
    return (4, value & 0xFFFFFFFF) if value >> 32 == 0xFFFF else (6, value)
