"""What each layer says of one connection: in the contract's shape, and in words for people."""

from typing import Any, Final

from ringfence.model.mesh import HBONE_PORT, LINKERD_INBOUND_PORT
from ringfence.model.verdict import Evidence, Judgement, MeshVerdict, Verdict

MESH: Final = "mesh"
TUNNELS: Final = (HBONE_PORT, LINKERD_INBOUND_PORT)
"""The ports that stand on the wire for those of workloads."""


def layers(judgement: Judgement) -> dict[str, dict[str, Any]]:
    """Return what each layer says; nothing of a mesh where neither end takes part in one."""
    found: dict[str, dict[str, Any]] = {
        "network": {"egress": judgement.egress.value, "ingress": judgement.ingress.value}
    }
    if judgement.mesh is not None:
        found[MESH] = {
            "egress": judgement.mesh.egress.value,
            "ingress": judgement.mesh.ingress.value,
            "mtls": judgement.mesh.mtls,
            "wire_port": judgement.mesh.wire,
            "waypoint": judgement.mesh.waypoint or None,
        }
    return found


def carried(mesh: MeshVerdict) -> str:
    """Return how a mesh carries a connection: `over mTLS, on the wire at port 15008`."""
    words = {True: "over mTLS", False: "in plaintext", None: "over mTLS or in plaintext"}
    said = words[mesh.mtls]
    if mesh.mtls and mesh.wire in TUNNELS:
        said += f", on the wire at port {mesh.wire}"
    if mesh.waypoint:
        said += f", through waypoint {mesh.waypoint}"
    return said


def denied_by(judgement: Judgement) -> str:
    """Return which layer denies: `denied by the mesh: AuthorizationPolicy/shop/api isolation`.

    Empty where nothing is denied, or where there is but one layer.
    """
    mesh = judgement.mesh
    if mesh is None or judgement.verdict is not Verdict.DENY:
        return ""
    told = []
    for layer, verdict in (
        ("network", judgement.egress & judgement.ingress),
        (MESH, mesh.egress & mesh.ingress),
    ):
        if verdict is Verdict.DENY:
            what = dict.fromkeys(_named(e) for e in judgement.evidence if _denies(e, layer))
            told.append(f"the {layer}" + (f": {', '.join(what)}" if what else ""))
    return f"denied by {'; and by '.join(told)}" if told else ""


def _denies(evidence: Evidence, layer: str) -> bool:
    return evidence.layer == layer and evidence.action == "deny"


def _named(evidence: Evidence) -> str:
    return " ".join(filter(None, (evidence.object, evidence.rule)))
