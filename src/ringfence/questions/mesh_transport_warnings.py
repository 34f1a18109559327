"""Where mTLS and what surrounds it do not fit: callers without it, tunnels that are closed."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from ringfence.model.connection import PodEnd
from ringfence.model.document import Document
from ringfence.model.layer7 import Request
from ringfence.model.mesh import HBONE_PORT, LINKERD_INBOUND_PORT, DataPlane
from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.verdict import Verdict
from ringfence.questions.mesh_probes import (
    PEER_AUTHENTICATION,
    Probe,
    Probes,
    documents,
    spec_of,
)

STRICT_CALLERS: Final = (
    "demands mTLS, and refuses {} that the network lets through without: have them join the mesh"
)
FORGOTTEN: Final = (
    "allows what the mesh carries on TCP {0}, but not TCP {0} itself: members of the mesh are shut"
    " out"
)
NEVER: Final = "has no effect on anything: no workload in the mesh is one that it is for"
NOBODY: Final = "none of {} in the mesh meets it"


def transport_warnings(probes: Probes) -> Iterator[MeshWarning]:
    """Yield what of mTLS does not fit, each with a proof."""
    yield from _strict(probes)
    yield from _forgotten(probes)


def _strict(probes: Probes) -> Iterator[MeshWarning]:
    """Yield which PeerAuthentications refuse callers that the network lets through."""
    found: dict[tuple[str, str], list[Probe]] = defaultdict(list)
    callers: dict[tuple[str, str], set[str]] = defaultdict(set)
    if not any(documents(probes.snapshot, PEER_AUTHENTICATION)):
        return
    pods = [source for source in probes.strangers if isinstance(source, PodEnd)]
    for destination in probes.destinations:
        for port, service in probes.ways(destination):
            for source in pods:
                probe = probes.ask(source, destination, port, service)
                if probe.network is not Verdict.ALLOW or probe.mtls is not False:
                    continue
                for piece in probe.by("deny"):
                    if (piece.object or "").startswith(f"{PEER_AUTHENTICATION[1]}/"):
                        key = piece.object or "", piece.rule
                        found[key].append(probe)
                        callers[key].add(probes.name(source))
    for _, document in documents(probes.snapshot, PEER_AUTHENTICATION):
        for (ref, rule), shown in found.items():
            if ref == document.ref:
                number = len(callers[ref, rule])
                who = "a caller" if number == 1 else f"{number} callers"
                at = ("spec", *rule.split("."))
                message = STRICT_CALLERS.format(who)
                yield probes.warning(document, at, message, probes.shown(shown[0]))


def _forgotten(probes: Probes) -> Iterator[MeshWarning]:
    """Yield which policies of the network shut a tunnel that its ports are carried in."""
    told: set[str] = set()
    for destination in probes.destinations:
        for port, service in probes.ways(destination):
            for source in probes.members:
                planes = {probes.plane(source), probes.plane(destination)}
                if source == destination or planes == {DataPlane.SIDECAR}:
                    continue
                probe = probes.ask(source, destination, port, service)
                mesh = probe.judgement.mesh
                if mesh is None or mesh.wire not in (HBONE_PORT, LINKERD_INBOUND_PORT):
                    continue
                if probe.network is not Verdict.DENY or probe.mesh is not Verdict.ALLOW:
                    continue
                plain = Request(mtls=False)
                if probes.ask(source, destination, port, None, plain).network is Verdict.DENY:
                    continue
                for piece in probe.by("deny", "network"):
                    document = _named(probes, piece.object)
                    if document is not None and document.ref not in told:
                        told.add(document.ref)
                        message = FORGOTTEN.format(mesh.wire)
                        warning = probes.warning(document, ("spec",), message, probes.shown(probe))
                        yield msgspec.structs.replace(
                            warning,
                            location=msgspec.structs.replace(
                                warning.location, line=piece.line or warning.location.line
                            ),
                        )


def _named(probes: Probes, ref: str | None) -> Document | None:
    return next((d for d in probes.snapshot.documents if d.ref == ref), None)


def never_applied(probes: Probes) -> Iterator[MeshWarning]:
    """Yield the PeerAuthentications that no member of a mesh meets; of a whole cluster only."""
    met: set[str] = set()
    ends = probes.destinations
    for destination in ends:
        port = next((port for port, _ in probes.ways(destination)), 8080)
        connection = probes.ask(probes.strangers[-1], destination, port).connection
        mesh = probes.checker.engine.trace(connection).mesh
        if mesh is not None:
            met |= {traced.policy.policy.ref for traced in mesh.ingress.policies}
    for _, document in documents(probes.snapshot, PEER_AUTHENTICATION):
        spec = spec_of(document)
        says = any(spec.get(key) for key in ("mtls", "portLevelMtls"))
        if says and document.ref not in met:
            count = f"{len(ends)} sorts of pods"
            yield probes.warning(document, ("spec",), NEVER, NOBODY.format(count))
