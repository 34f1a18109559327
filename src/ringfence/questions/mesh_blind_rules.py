"""Rules of AuthorizationPolicies that a proxy does not read as they are written.

What they would do if it did is judged, too: by the same rule without what only HTTP has, and with
a sidecar in the place of a ztunnel.
"""

import copy
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ringfence import assemble
from ringfence.model.cluster import Identity
from ringfence.model.connection import PodEnd
from ringfence.model.document import Document
from ringfence.model.layer7 import Request
from ringfence.model.mesh import DataPlane
from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.rule import Chain
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.check import Checker
from ringfence.questions.mesh_probes import (
    AUTHORIZATION,
    Probe,
    Probes,
    documents,
    parts,
    request_for,
    rules_of,
    spec_of,
)

HTTP_FIELDS: Final = frozenset(("hosts", "methods", "paths", "notHosts", "notMethods", "notPaths"))
DROPPED: Final = (
    "{} have a meaning in HTTP alone, and port {} is TCP: there the rule allows nothing"
)
WIDENED: Final = (
    "{} have a meaning in HTTP alone, and port {} is not read as that: there the rule denies"
    " whatever else it says"
)
FAILS_OPEN: Final = (
    "{}: ztunnel does not read that, and denies nothing by this rule; attach the policy to a"
    " waypoint (`targetRefs`)"
)
FAILS_CLOSED: Final = (
    "{}: ztunnel does not read that, and allows nothing by this rule; attach the policy to a"
    " waypoint (`targetRefs`)"
)
BEHIND_A_WAYPOINT: Final = (
    "selects pods behind waypoint {}: they see the identity of the waypoint, not the caller's, and"
    " nothing of this rule holds for what comes by it; attach a policy to the waypoint"
    " (`targetRefs`), and allow the waypoint here"
)
ON_A_WAYPOINT: Final = (
    "selects the pods of waypoint {}, which holds only what has `targetRefs`: what goes through it"
    " is not judged by this"
)


NOT_HTTP: Final = Request(http=False)


def blind_rules(probes: Probes) -> Iterator[MeshWarning]:
    """Yield which rules are not read as they are written, each with a proof."""
    as_sidecars: Checker | None = None
    for index, document in documents(probes.snapshot, AUTHORIZATION):
        for action in ("ALLOW", "DENY"):
            for number, rule in rules_of(document, action):
                if not (fields := _of_http(rule)):
                    continue
                yield from _on_tcp(probes, index, document, number, rule, action)
                if any(probes.plane(d) is DataPlane.AMBIENT for d in probes.selected(document)):
                    if as_sidecars is None:
                        as_sidecars = Checker(_with_sidecars(probes.snapshot))
                    yield from _at_ztunnel(
                        probes, as_sidecars, document, number, rule, action, fields
                    )
        yield from _by_waypoint(probes, document)


def _of_http(rule: dict[str, Any]) -> str:
    found: dict[str, None] = {}
    for operation in parts(rule, "to", "operation"):
        found |= dict.fromkeys(key for key in operation if key in HTTP_FIELDS)
    return ", ".join(sorted(found))


def _decides(probe: Probe, document: Document, number: int, action: str) -> bool:
    told = (document.ref, f"rules[{number}]")
    return any((e.object, e.rule) == told for e in probe.by(action))


# -- TCP -------------------------------------------------------------------------------------------


def _on_tcp(
    probes: Probes, index: int, document: Document, number: int, rule: dict[str, Any], action: str
) -> Iterator[MeshWarning]:
    """Yield what becomes of a rule with fields of HTTP at ports that Services declare as TCP."""
    fields = _of_http(rule)
    without: Checker | None = None
    for destination in probes.selected(document):
        for port, service in probes.ways(destination):
            if not _is_tcp(probes, destination, port):
                continue
            for source in (*probes.members, *probes.strangers):
                probe = probes.ask(source, destination, port, service, NOT_HTTP)
                if action == "DENY":
                    if _decides(probe, document, number, "deny"):
                        yield _told(probes, document, number, WIDENED.format(fields, port), probe)
                        return
                    continue
                isolated = (document.ref, "isolation")
                if not any((e.object, e.rule) == isolated for e in probe.by("deny")):
                    continue
                if without is None:
                    without = Checker(_without_http(probes.snapshot, index, number))
                other = Probe(probe.connection, without.judge(probe.connection))
                if _decides(other, document, number, "allow"):
                    yield _told(probes, document, number, DROPPED.format(fields, port), probe)
                    return


def _is_tcp(probes: Probes, end: PodEnd, port: int) -> bool:
    compiled = probes.checker.engine.compiled(4)
    element = compiled.elements(end, None)[0]
    return compiled.classes.chains.of(element).get(port) == frozenset((Chain.TCP,))


def _without_http(snapshot: Snapshot, index: int, number: int) -> Snapshot:
    """Return the same cluster with a rule that says nothing of HTTP."""
    document = snapshot.documents[index]
    body = copy.deepcopy(document.body)
    for operation in parts(body["spec"]["rules"][number], "to", "operation"):
        for key in HTTP_FIELDS:
            operation.pop(key, None)
        if not operation:
            operation["ports"] = []
    rule = body["spec"]["rules"][number]
    if not any(any(o.values()) for o in parts(rule, "to", "operation")):
        # An operation that says nothing means every one.
        rule.pop("to", None)
    documents_ = list(snapshot.documents)
    documents_[index] = msgspec.structs.replace(document, body=body)
    return assemble.with_documents(snapshot, documents_)


# -- ambient ---------------------------------------------------------------------------------------


def _at_ztunnel(
    probes: Probes,
    as_sidecars: Checker,
    document: Document,
    number: int,
    rule: dict[str, Any],
    action: str,
    fields: str,
) -> Iterator[MeshWarning]:
    """Yield that a rule would decide at a sidecar, and does not at a ztunnel."""
    request = request_for(rule)
    verdict = action.lower()
    for destination in probes.selected(document):
        if probes.plane(destination) is not DataPlane.AMBIENT:
            continue
        for port, _ in probes.ways(destination):
            for source in (*probes.members, *probes.strangers):
                if source == destination:
                    continue
                # A sidecar in a ztunnel's place would send plaintext to a pod's own address.
                mtls = True if probes.plane(source) is DataPlane.AMBIENT else None
                asked = msgspec.structs.replace(request, mtls=mtls)
                probe = probes.ask(source, destination, port, None, asked)
                if _decides(probe, document, number, verdict):
                    continue
                if action == "DENY" and probe.judgement.verdict is not Verdict.ALLOW:
                    continue
                isolated = (document.ref, "isolation")
                closed = any((e.object, e.rule) == isolated for e in probe.by("deny"))
                if action == "ALLOW" and not closed:
                    continue
                other = Probe(probe.connection, as_sidecars.judge(probe.connection))
                if _decides(other, document, number, verdict):
                    message = FAILS_OPEN if action == "DENY" else FAILS_CLOSED
                    yield _told(probes, document, number, message.format(fields), probe)
                    return


def _with_sidecars(snapshot: Snapshot) -> Snapshot:
    """Return the same cluster with a sidecar wherever a ztunnel serves."""
    workloads = tuple(
        msgspec.structs.replace(w, identities=tuple(map(_as_sidecar, w.identities)))
        for w in snapshot.workloads
    )
    changed = msgspec.structs.replace(snapshot, workloads=workloads)
    return assemble.with_documents(changed, snapshot.documents)


def _as_sidecar(identity: Identity) -> Identity:
    mesh = identity.mesh
    if mesh is None or mesh.data_plane is not DataPlane.AMBIENT:
        return identity
    sidecar = msgspec.structs.replace(mesh, data_plane=DataPlane.SIDECAR)
    return msgspec.structs.replace(identity, mesh=sidecar)


# -- waypoints -------------------------------------------------------------------------------------


def _by_waypoint(probes: Probes, document: Document) -> Iterator[MeshWarning]:
    """Yield that a policy by labels is not about the callers of what a waypoint stands before."""
    if any(spec_of(document).get(key) for key in ("targetRefs", "targetRef")):
        return
    for destination in probes.selected(document):
        for port, service in probes.ways(destination):
            if service is None or probes.snapshot.services[service].waypoint is None:
                continue
            for source in probes.members:
                if source == destination or probes.plane(source) is not DataPlane.AMBIENT:
                    continue
                straight = probes.ask(source, destination, port, None)
                by_it = probes.ask(source, destination, port, service)
                mesh = by_it.judgement.mesh
                if mesh is None or not mesh.waypoint:
                    continue
                if warning := _differs(probes, document, straight, by_it, mesh.waypoint):
                    yield warning
                    return


def _differs(
    probes: Probes, document: Document, straight: Probe, by_it: Probe, waypoint: str
) -> MeshWarning | None:
    """Return that a policy decides of a caller's own address, and not of the same by a waypoint."""
    for action, verdict in (("DENY", "deny"), ("ALLOW", "allow")):
        for number, _ in rules_of(document, action):
            decided = _decides(straight, document, number, verdict)
            if decided and not _decides(by_it, document, number, verdict):
                message = BEHIND_A_WAYPOINT.format(waypoint)
                return _told(probes, document, number, message, by_it)
    return None


def on_waypoints(probes: Probes) -> Iterator[MeshWarning]:
    """Yield the policies that select a waypoint's pods: what goes through it is not judged by them.

    Source: Istio `pilot/pkg/model/policyattachment.go`.
    """
    for _, document in documents(probes.snapshot, AUTHORIZATION):
        selector = spec_of(document).get("selector")
        labels = selector.get("matchLabels") if isinstance(selector, dict) else None
        if not isinstance(labels, dict) or not labels:
            continue
        for destination in probes.destinations:
            for port, service in probes.ways(destination):
                called = None if service is None else probes.snapshot.services[service].waypoint
                if called is None or not _selects_gateway(probes, document, labels, *called):
                    continue
                for source in probes.members:
                    probe = probes.ask(source, destination, port, service)
                    mesh = probe.judgement.mesh
                    if mesh is None or not mesh.waypoint or _is_about(probe, document):
                        continue
                    message = ON_A_WAYPOINT.format(mesh.waypoint)
                    at = ("spec", "selector")
                    yield probes.warning(document, at, message, probes.shown(probe))
                    break
                else:
                    continue
                break
            else:
                continue
            break


def _selects_gateway(
    probes: Probes, document: Document, labels: dict[str, str], namespace: str, name: str
) -> bool:
    """Return whether a policy selects, by its labels, the pods of a Gateway."""
    return any(
        workload.namespace == namespace == document.namespace
        and identity.mesh is not None
        and identity.mesh.gateway == name
        and all(identity.labels.get(key) == value for key, value in labels.items())
        for workload in probes.snapshot.workloads
        for identity in workload.identities
    )


def _is_about(probe: Probe, document: Document) -> bool:
    return any(piece.object == document.ref for piece in probe.judgement.evidence)


def _told(
    probes: Probes, document: Document, number: int, message: str, probe: Probe
) -> MeshWarning:
    return probes.warning(document, ("spec", "rules", number), message, probes.shown(probe))
