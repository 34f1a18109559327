"""Rows of answers in the contract's shape: what is limited above the port is spelled out there."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ringfence.layer7.words import to_json
from ringfence.model.connectivity import Allowance, Pair
from ringfence.model.diff import Change
from ringfence.model.exposure import Passage

_LISTS: Final[dict[type, tuple[str, ...]]] = {
    Pair: ("allow", "unknown"),
    Passage: ("allow", "unknown"),
    Change: (
        "gained",
        "lost",
        "became_unknown",
        "became_allowed",
        "became_denied",
        "before",
        "now",
    ),
}
"""By the type of a row: the fields that hold allowances."""


class Rows:
    """Turns rows into what is written, one by one; few kinds of traffic are looked at anew."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        # The allowances are kept, so that an `id` never comes to mean another.
        self._known: dict[int, tuple[object, list[dict[str, Any]] | None]] = {}

    def row(self, value: Any) -> Any:  # noqa: ANN401
        """Return a row as it is written: the same where none of its traffic is limited."""
        names = _LISTS.get(type(value))
        if names is None:
            return value
        limited = {name: self._spelled(getattr(value, name)) for name in names}
        if not any(limited.values()):
            return value
        plain: dict[str, Any] = msgspec.to_builtins(value)
        return plain | {name: found for name, found in limited.items() if found}

    def _spelled(self, allowances: tuple[Allowance, ...]) -> list[dict[str, Any]] | None:
        """Return allowances in the contract's shape; None where that is how they are encoded."""
        known = self._known.get(id(allowances))
        if known is None:
            limited = any(a.l7 is not None or a.l7_except for a in allowances)
            spelled = allowance_rows(allowances) if limited else None
            known = self._known[id(allowances)] = (allowances, spelled)
        return known[1]


def allowance_rows(allowances: Iterable[Allowance]) -> list[dict[str, Any]]:
    """Return allowances in the contract's shape."""
    found = []
    for allowance in allowances:
        row: dict[str, Any] = msgspec.to_builtins(allowance)
        if allowance.l7 is not None:
            row["l7"] = [to_json(box) for box in allowance.l7]
        if allowance.l7_except:
            row["l7_except"] = [to_json(box) for box in allowance.l7_except]
        found.append(row)
    return found
