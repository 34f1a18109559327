"""Finds what the files of a plug-in room expose: the folder listing is the registry."""

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class RoomError(Exception):
    """A file in a plug-in room does not expose the value that the room is made of."""


def members(
    room: ModuleType, value: str, kind: type[T], skip: tuple[str, ...] = ()
) -> dict[str, T]:
    """Return the value of every file of a room, by file name, sorted; `_shared` files skipped.

    Args:
        room: the package, as `ringfence.dialects`.
        value: the name that each of its files must expose, as `DIALECT`.
        kind: the type that the value must have.
        skip: files that belong to the room without being one of its plug-ins.

    Raises:
        RoomError: a file exposes no such value, or one of another type.
    """
    found: dict[str, T] = {}
    for name in sorted(info.name for info in pkgutil.iter_modules(room.__path__)):
        if name.startswith("_") or name in skip:
            continue
        module = importlib.import_module(f"{room.__name__}.{name}")
        member = getattr(module, value, None)
        if not isinstance(member, kind):
            raise RoomError(f"`{module.__name__}` exposes no `{value}` of type {kind.__name__}")
        found[name] = member
    return found
