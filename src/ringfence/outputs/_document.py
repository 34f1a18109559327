"""Every answer as the one shape that JSON and YAML share: a head, and rows that may be many.

The shapes are versioned: keys are added, never changed.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ringfence.model.connectivity import Connectivity
from ringfence.model.location import Problem

API_VERSION: Final = "ringfence.dev/v1"

Part = tuple[str, Any]
"""A key and its value; a value that is a sequence is written row by row."""


def connectivity_document(connectivity: Connectivity) -> list[Part]:
    """Return the keys of `connectivity -o json`, in their order."""
    return [
        ("apiVersion", API_VERSION),
        ("kind", "Connectivity"),
        ("profile", connectivity.profile.cni.value),
        ("profile_details", connectivity.profile),
        ("endpoints", connectivity.endpoints),
        ("connections", connectivity.connections),
        ("unknown_because", connectivity.unknown_because),
        ("notes", connectivity.notes),
        ("problems", problem_rows(connectivity.problems)),
    ]


class ProblemRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem with its place spelled out, as evidence has it."""

    message: str
    file: str
    line: int | None = None
    object: str | None = None
    severity: str = "error"


def problem_rows(problems: Sequence[Problem]) -> tuple[ProblemRow, ...]:
    """Return problems as rows of an answer."""
    return tuple(
        ProblemRow(p.message, p.location.file, p.location.line, p.object, p.severity)
        for p in problems
    )
