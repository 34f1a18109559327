"""Traces laid over each other: two legs of one way, and ways of which either may be right."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ringfence.engine.steps import MeshTrace, SideTrace, Trace
from ringfence.engine.views import View
from ringfence.model.verdict import Verdict

READ_APART: Final = (
    "the network and the mesh read the path differently, and each allows only some of what is open"
)


def both(one: SideTrace, other: SideTrace) -> SideTrace:
    """Return what two legs in one direction come to."""
    verdict = one.verdict & other.verdict
    because = [*one.because, *other.because] if verdict is Verdict.UNKNOWN else []
    return SideTrace(
        one.direction,
        verdict,
        [*one.evidence, *(piece for piece in other.evidence if piece not in one.evidence)],
        because,
        [*one.notes, *other.notes],
        [*one.policies, *other.policies],
        by_isolation=one.by_isolation or other.by_isolation,
    )


def either(one: SideTrace, other: SideTrace) -> SideTrace:
    """Return what is known of a side where either of two may be right."""
    if one.verdict is other.verdict:
        # What is added to its reasons is said of these ways, not of others that it is of as well.
        return replace(one, because=[*one.because])
    return SideTrace(
        one.direction,
        Verdict.UNKNOWN,
        [*one.evidence, *(piece for piece in other.evidence if piece not in one.evidence)],
        [*one.because, *other.because],
        [*one.notes, *other.notes],
        [*one.policies, *other.policies],
    )


def unclear(views: list[View]) -> View:
    """Return as one what is said of parts which are not told apart so elsewhere."""
    trace = views[0].trace
    for view in views[1:]:
        trace = _one_of(trace, view.trace, [READ_APART])
    return View(views[0].traffic, trace)


def retold(views: list[View], asked: int) -> list[View]:
    """Return views as of the traffic that others are of, which read the path in another way."""
    told = 0
    for view in views:
        told |= view.traffic
    if told == asked or not views:
        return views
    first = views[0]
    if any(view.trace.verdict is not first.trace.verdict for view in views):
        first = unclear(views)
    return [View(asked, first.trace)]


def overlaid(found: list[View], others: list[View], because: Iterable[str]) -> list[View]:
    """Return what is known where either of two may hold.

    Args:
        found: what holds by the one.
        others: what holds by the other.
        because: why it is not known by which.
    """
    reasons = list(dict.fromkeys(because))
    asked = 0
    for one in found:
        asked |= one.traffic
    others = retold(others, asked)
    return [
        View(common, _one_of(one.trace, other.trace, reasons))
        for one in found
        for other in others
        if (common := one.traffic & other.traffic)
    ]


def _one_of(one: Trace, other: Trace, reasons: list[str]) -> Trace:
    notes = tuple(dict.fromkeys((*one.notes, *other.notes)))
    mesh = _mesh_of(one.mesh, other.mesh)
    egress, ingress = either(one.egress, other.egress), either(one.ingress, other.ingress)
    found = Trace(egress, ingress, notes, mesh)
    if one.verdict is other.verdict:
        return replace(found, agreed=one.verdict)
    for side in found.sides:
        if side.verdict is Verdict.UNKNOWN:
            # The first is enough: the reasons of all sides are told together.
            side.because[:] = dict.fromkeys((*side.because, *reasons))
            break
    return found


def _mesh_of(mesh: MeshTrace | None, other: MeshTrace | None) -> MeshTrace | None:
    """Return what is known of the mesh's part where either of two may hold."""
    if mesh is None or other is None:
        return mesh or other
    return MeshTrace(
        either(mesh.egress, other.egress),
        either(mesh.ingress, other.ingress),
        mesh.mtls if mesh.mtls is other.mtls else None,
        mesh.wire if mesh.wire == other.wire else None,
        mesh.waypoint,
    )
