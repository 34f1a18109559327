"""Every answer as the one shape that JSON and YAML share: a head, and rows that may be many.

The shapes are versioned: keys are added, never changed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ringfence.model.connectivity import Connectivity
from ringfence.model.diff import Diff
from ringfence.model.exposure import Entrance, Exposure
from ringfence.model.location import Problem
from ringfence.model.mtls import Mtls
from ringfence.model.profile import Profile

API_VERSION: Final = "ringfence.dev/v1"

Part = tuple[str, Any]
"""A key and its value; a value that is a sequence is written row by row."""

Document = Callable[[Any], list[Part]]
"""Takes an answer of one type."""


def connectivity_document(connectivity: Connectivity) -> list[Part]:
    """Return the keys of `connectivity -o json`, in their order."""
    return [
        ("apiVersion", API_VERSION),
        ("kind", "Connectivity"),
        ("profile", connectivity.profile.cni.value),
        ("profile_details", profile_row(connectivity.profile)),
        ("endpoints", connectivity.endpoints),
        ("connections", connectivity.connections),
        ("unknown_because", connectivity.unknown_because),
        ("notes", connectivity.notes),
        ("problems", problem_rows(connectivity.problems)),
    ]


def diff_document(diff: Diff) -> list[Part]:
    """Return the keys of `diff -o json`, in their order."""
    return [
        ("apiVersion", API_VERSION),
        ("kind", "Diff"),
        ("profile", diff.profile.cni.value),
        ("profile_details", profile_row(diff.profile)),
        ("old_profile", diff.old_profile.cni.value),
        ("old_profile_details", profile_row(diff.old_profile)),
        ("appeared", diff.appeared),
        ("disappeared", diff.disappeared),
        ("changes", diff.changes),
        ("of_appeared", diff.of_appeared),
        ("of_disappeared", diff.of_disappeared),
        ("unknown_because", diff.unknown_because),
        ("notes", diff.notes),
        ("problems", problem_rows(diff.problems)),
    ]


def exposure_document(exposure: Exposure) -> list[Part]:
    """Return the keys of `exposure -o json`, in their order."""
    return [
        ("apiVersion", API_VERSION),
        ("kind", "Exposure"),
        ("profile", exposure.profile.cni.value),
        ("profile_details", profile_row(exposure.profile)),
        ("workloads", exposure.workloads),
        ("entrances", tuple(map(_entrance_row, exposure.entrances))),
        ("exits", exposure.exits),
        ("admitted", exposure.admitted),
        ("nodes", exposure.nodes),
        ("unknown_because", exposure.unknown_because),
        ("notes", exposure.notes),
        ("problems", problem_rows(exposure.problems)),
    ]


def mtls_document(mtls: Mtls) -> list[Part]:
    """Return the keys of `mtls -o json`, in their order."""
    return [
        ("apiVersion", API_VERSION),
        ("kind", "Mtls"),
        ("profile", mtls.profile.cni.value),
        ("profile_details", profile_row(mtls.profile)),
        ("from_map", mtls.from_map),
        ("namespaces", mtls.namespaces),
        ("callers", mtls.callers),
        ("unknown_because", mtls.unknown_because),
        ("notes", mtls.notes),
        ("problems", problem_rows(mtls.problems)),
    ]


def _entrance_row(entrance: Entrance) -> dict[str, Any]:
    """Return an entrance with its place spelled out, as evidence has it."""
    row: dict[str, Any] = msgspec.structs.asdict(entrance)
    location = row.pop("location")
    if not entrance.limited_to:
        del row["limited_to"]
    return row | {"file": location.file, "line": location.line}


def profile_row(profile: Profile) -> dict[str, str]:
    """Return how a profile was chosen, and from what."""
    return {"chosen": profile.chosen, "evidence": profile.evidence, "version": profile.version}


class ProblemRow(msgspec.Struct, frozen=True):
    """A problem with its place spelled out, as evidence has it."""

    message: str
    file: str
    line: int | None
    object: str | None
    severity: str


def problem_rows(problems: Sequence[Problem]) -> tuple[ProblemRow, ...]:
    """Return problems as rows of an answer."""
    return tuple(
        ProblemRow(p.message, p.location.file, p.location.line, p.object, p.severity)
        for p in problems
    )


DOCUMENTS: Final[Mapping[type, Document]] = {
    Connectivity: connectivity_document,
    Diff: diff_document,
    Exposure: exposure_document,
    Mtls: mtls_document,
}
"""By the type of the answer."""
