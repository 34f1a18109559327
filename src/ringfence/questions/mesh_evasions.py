"""Who gets past an AuthorizationPolicy: without an identity, by another path, past the mesh."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ringfence.model.document import Document
from ringfence.model.mesh import DataPlane
from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.verdict import Verdict
from ringfence.questions.mesh_probes import (
    AUTHORIZATION,
    Probes,
    documents,
    parts,
    request_for,
    rules_of,
)

NEGATIVE: Final = ("notPrincipals", "notNamespaces", "notServiceAccounts", "notTrustDomains")
POSITIVE: Final = ("principals", "namespaces", "serviceAccounts", "trustDomains")

ADMITS_PLAINTEXT: Final = (
    "{}: a peer without mTLS has no identity that could be excluded, and is allowed; name who may"
    " instead, or demand mTLS"
)
EVADED: Final = (
    "`{}` is denied, but `{}` is not, and many servers take the two for the same: allow the paths"
    " that are meant, or have the mesh normalise paths (MERGE_SLASHES, DECODE_AND_MERGE_SLASHES)"
)
PAST_THE_MESH: Final = (
    "whom it denies by identity gets in without one: this port takes plaintext, and a sidecar sends"
    " that to a pod's own address; have a PeerAuthentication demand mTLS (STRICT)"
)


def evasions(probes: Probes) -> Iterator[MeshWarning]:
    """Yield what lets a caller get past an AuthorizationPolicy, each with a proof."""
    for _, document in documents(probes.snapshot, AUTHORIZATION):
        for number, rule in rules_of(document, "ALLOW"):
            if names := _excluding(rule):
                yield from _admitting(probes, document, number, rule, names)
        for number, rule in rules_of(document, "DENY"):
            for path in _paths(rule):
                yield from _by_other_path(probes, document, number, rule, path)
            if any(key in source for source in parts(rule, "from", "source") for key in POSITIVE):
                yield from _in_plaintext(probes, document, number, rule)


def _excluding(rule: dict[str, Any]) -> str:
    """Return by what a rule excludes identities where it demands none."""
    found: dict[str, None] = {}
    for source in parts(rule, "from", "source"):
        if not any(source.get(key) for key in POSITIVE):
            found |= dict.fromkeys(key for key in NEGATIVE if source.get(key))
    return ", ".join(found)


def _admitting(
    probes: Probes, document: Document, number: int, rule: dict[str, Any], names: str
) -> Iterator[MeshWarning]:
    request = request_for(rule)
    for destination in probes.selected(document):
        for port, _ in probes.ways(destination):
            for source in probes.strangers:
                probe = probes.ask(source, destination, port, request=request)
                if probe.judgement.verdict is not Verdict.ALLOW or probe.mtls is not False:
                    continue
                told = (document.ref, f"rules[{number}]")
                if any((e.object, e.rule) == told for e in probe.by("allow")):
                    message = ADMITS_PLAINTEXT.format(names)
                    at = ("spec", "rules", number)
                    yield probes.warning(document, at, message, probes.shown(probe))
                    return


# -- paths -----------------------------------------------------------------------------------------


def _paths(rule: dict[str, Any]) -> list[str]:
    """Return a path of each sort that a rule denies."""
    found = []
    for operation in parts(rule, "to", "operation"):
        paths = operation.get("paths")
        for path in paths if isinstance(paths, list) else ():
            if isinstance(path, str) and path.startswith("/") and "{" not in path:
                sample = path.removesuffix("*")
                if len(sample) > 1 and "*" not in sample:
                    found.append(sample)
    return found


def _variants(path: str) -> tuple[str, ...]:
    """Return what many servers take for the same path.

    Source: istio.io "Authorization policy normalization".
    """
    return f"/{path}", f"/%2f{path[1:]}"


def _by_other_path(
    probes: Probes, document: Document, number: int, rule: dict[str, Any], path: str
) -> Iterator[MeshWarning]:
    request = msgspec.structs.replace(request_for(rule), path=path)
    told = (document.ref, f"rules[{number}]")
    for destination in probes.selected(document):
        for port, service in probes.ways(destination):
            for source in (*probes.members, *probes.strangers):
                probe = probes.ask(source, destination, port, service, request)
                if not any((e.object, e.rule) == told for e in probe.by("deny")):
                    continue
                for variant in _variants(path):
                    asked = msgspec.structs.replace(request, path=variant)
                    other = probes.ask(source, destination, port, service, asked)
                    if other.judgement.verdict is Verdict.ALLOW:
                        message = EVADED.format(path, variant)
                        at = ("spec", "rules", number)
                        yield probes.warning(document, at, message, probes.shown(other))
                        return


# -- past the mesh ---------------------------------------------------------------------------------


def _in_plaintext(
    probes: Probes, document: Document, number: int, rule: dict[str, Any]
) -> Iterator[MeshWarning]:
    """Yield that whom a rule denies over mTLS is let in by the pod's own address."""
    request = request_for(rule)
    told = (document.ref, f"rules[{number}]")
    for destination in probes.selected(document):
        for port, service in probes.ways(destination):
            for source in probes.members if service is not None else ():
                if probes.plane(source) is not DataPlane.SIDECAR or source == destination:
                    continue
                probe = probes.ask(source, destination, port, service, request)
                if not probe.mtls:
                    continue
                if not any((e.object, e.rule) == told for e in probe.by("deny")):
                    continue
                past = probes.ask(source, destination, port, None, request)
                if past.judgement.verdict is Verdict.ALLOW and past.mtls is False:
                    at = ("spec", "rules", number)
                    yield probes.warning(document, at, PAST_THE_MESH, probes.shown(past))
                    return
