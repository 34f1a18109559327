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


def _either(one: SideTrace, other: SideTrace) -> SideTrace:
    """Return what is known of a side where either of two may be right."""
    if one.verdict is other.verdict:
        return one
    return SideTrace(
        one.direction,
        Verdict.UNKNOWN,
        [*one.evidence, *(piece for piece in other.evidence if piece not in one.evidence)],
        [*one.because, *other.because],
        [*one.notes, *other.notes],
        [*one.policies, *other.policies],
    )


def unclear(views: list[View]) -> View:
    """Return as one what the network says of parts which the mesh does not tell apart so."""
    trace = views[0].trace
    egress = ingress = None
    for view in views:
        egress = view.trace.egress if egress is None else _either(egress, view.trace.egress)
        ingress = view.trace.ingress if ingress is None else _either(ingress, view.trace.ingress)
    assert egress is not None  # noqa: S101 - there are views
    assert ingress is not None  # noqa: S101 - as above
    egress = replace(egress, because=[*egress.because, READ_APART])
    return View(views[0].traffic, replace(trace, egress=egress, ingress=ingress))


def overlaid(found: list[View], others: list[View], because: Iterable[str]) -> list[View]:
    """Return what is known where either of two may hold.

    Args:
        found: what holds by the one.
        others: what holds by the other.
        because: why it is not known by which.
    """
    reasons = list(dict.fromkeys(because))
    return [
        View(common, _one_of(one.trace, other.trace, reasons))
        for one in found
        for other in others
        if (common := one.traffic & other.traffic)
    ]


def _one_of(one: Trace, other: Trace, reasons: list[str]) -> Trace:
    mesh, also = one.mesh, other.mesh
    assert mesh is not None  # noqa: S101 - of a mesh's views each has one
    assert also is not None  # noqa: S101 - as above
    notes = tuple(dict.fromkeys((*one.notes, *other.notes)))
    told = MeshTrace(
        mesh.egress,
        mesh.ingress,
        mesh.mtls if mesh.mtls is also.mtls else None,
        mesh.wire if mesh.wire == also.wire else None,
        mesh.waypoint,
    )
    if one.verdict is other.verdict:
        return replace(one, notes=notes, mesh=told)
    egress, ingress = _either(mesh.egress, also.egress), _either(mesh.ingress, also.ingress)
    told = replace(told, egress=egress, ingress=ingress)
    found = Trace(
        _either(one.egress, other.egress), _either(one.ingress, other.ingress), notes, told
    )
    for side in found.sides:
        if side.verdict is Verdict.UNKNOWN:
            # The first is enough: the reasons of all sides are told together.
            side.because[:] = dict.fromkeys((*side.because, *reasons))
            break
    return found
