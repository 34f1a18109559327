"""One verdict for a question that stands for several connections, and what it is limited to."""

from typing import Any

import msgspec

from ringfence.model.verdict import Judgement, MeshVerdict, Verdict

Limit = dict[str, Any]
"""Which of the connections are meant, in the shape of answers."""

Part = tuple[Limit, Judgement]


def combine(parts: list[Part]) -> Judgement:
    """Return one verdict for a question that stands for several connections.

    If all agree, that is it. If some are unknown, so is the whole. If some are allowed and some
    denied, the whole is allowed, limited to those that are; so it is where some are allowed with
    a limit that others do not have.
    """
    first = parts[0][1]
    if len(parts) == 1:
        return first
    verdicts = {judgement.verdict for _, judgement in parts}
    notes = tuple(dict.fromkeys(note for _, j in parts for note in j.notes))
    if Verdict.UNKNOWN in verdicts:
        undecided = [j for _, j in parts if j.verdict is Verdict.UNKNOWN]
        because = tuple(dict.fromkeys(reason for j in undecided for reason in j.unknown_because))
        mesh = _carried([judgement.mesh for judgement in undecided])
        return msgspec.structs.replace(
            undecided[0], mesh=mesh, unknown_because=because, notes=notes
        )
    chosen = parts
    if len(verdicts) > 1:
        chosen = [(limit, j) for limit, j in parts if j.verdict is Verdict.ALLOW]
    return msgspec.structs.replace(
        chosen[0][1],
        mesh=_carried([judgement.mesh for _, judgement in chosen]),
        evidence=tuple(dict.fromkeys(e for _, j in chosen for e in j.evidence)),
        notes=notes,
        limited_to=_limited(chosen, every=len(verdicts) == 1),
    )


def _carried(found: list[MeshVerdict | None]) -> MeshVerdict | None:
    """Return what a mesh makes of several connections; what of it differs cannot be told."""
    known = [mesh for mesh in found if mesh is not None]
    if not known or len(set(known)) == len(found) == 1:
        return known[0] if known else None
    first = known[0]
    egress, ingress = first.egress, first.ingress
    for mesh in known[1:]:
        # What is denied on either side of one is not told as allowed of all.
        egress, ingress = egress & mesh.egress, ingress & mesh.ingress
    alike = len(known) == len(found)
    return MeshVerdict(
        egress=egress,
        ingress=ingress,
        mtls=first.mtls if alike and all(mesh.mtls is first.mtls for mesh in known) else None,
        wire=first.wire if alike and all(mesh.wire == first.wire for mesh in known) else None,
        waypoint=first.waypoint if all(mesh.waypoint == first.waypoint for mesh in known) else "",
    )


def _limited(chosen: list[Part], *, every: bool) -> tuple[Limit, ...]:
    """Return what the parts chosen are limited to.

    Args:
        chosen: parts of one verdict.
        every: whether they are all that was asked, so that only their own limits count.
    """
    own = [judgement.limited_to for _, judgement in chosen]
    if every and all(limits == own[0] for limits in own):
        return own[0]
    return tuple(
        _merge([{**limit, **said} for limit, j in chosen for said in j.limited_to or ({},)])
    )


def _merge(limits: list[Limit]) -> list[Limit]:
    """Return the limits with the ports of one protocol gathered, neighbours joined."""
    groups: list[tuple[Limit, list[list[int]]]] = []
    rest: list[Limit] = []
    for limit in limits:
        if "ports" not in limit:
            if limit not in rest:
                rest.append(limit)
            continue
        common = {key: value for key, value in limit.items() if key != "ports"}
        runs = next((runs for known, runs in groups if known == common), None)
        if runs is None:
            groups.append((common, runs := []))
        first, _, last = limit["ports"].partition("-")
        if runs and runs[-1][1] + 1 == int(first):
            runs[-1][1] = int(last or first)
        else:
            runs.append([int(first), int(last or first)])
    gathered = [_with_ports(common, runs) for common, runs in groups]
    return gathered + rest


def _with_ports(common: Limit, runs: list[list[int]]) -> Limit:
    """Return a limit with its ports, behind the protocol that they are of."""
    ports = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return {"protocol": common["protocol"], "ports": ports} | {
        key: value for key, value in common.items() if key != "protocol"
    }
