"""`projectcalico.org/v3`, and `crd.projectcalico.org/v1`, the form in which it is stored.

Authority: projectcalico/calico `api/pkg/apis/projectcalico/v3/`, `libcalico-go/lib/validator/v3/
validator.go`, `felix/calc/`.
"""

from collections.abc import Iterator
from typing import Any, Final

from ringfence.dialects import (
    Context,
    Dialect,
    _calico_host_endpoints,
    _calico_network_sets,
    _calico_policies,
    _calico_profiles,
    _calico_staged,
    _calico_tiers,
)
from ringfence.dialects._emit_calico import emit
from ringfence.model.document import Document, Path, path_text
from ringfence.model.kinds import KINDS
from ringfence.model.location import Problem
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import Policy

GROUP: Final = "projectcalico.org"
STORED: Final = "crd.projectcalico.org"
POLICIES: Final = (
    *("NetworkPolicy", "GlobalNetworkPolicy"),
    *_calico_policies.STAGED,
)
EDITION: Final = "needs Calico Enterprise or Calico Cloud: open-source Calico knows no domain names"


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return what an object says: none for tiers and network sets, which others refer to."""
    if document.kind in POLICIES:
        return _calico_policies.parse(index, document, context)
    match document.kind:
        case _calico_staged.KUBERNETES:
            return _calico_staged.parse(index, document, context)
        case _calico_host_endpoints.KIND:
            return _calico_host_endpoints.parse(index, document, context)
        case _calico_profiles.KIND:
            carriers = context.once(_calico_host_endpoints.by_profile).get(document.name, ())
            return _calico_profiles.parse(index, document, context, carriers)
        case _:
            return []


def replaced(context: Context) -> frozenset[int]:
    """Return the indexes of the documents that staged policies would replace or delete."""
    if context.profile.cni is not Cni.CALICO:
        return frozenset()
    return _calico_staged.replaced(context)


def notes(context: Context) -> list[Problem]:
    """Return what is to be told beside the policies.

    Errors: what is unreadable of tiers, network sets and profiles, which may make no policies.
    Warnings: what only some editions of Calico know.
    """
    companions = (_calico_tiers, _calico_network_sets, _calico_profiles)
    found = [
        Problem(
            f"{document.ref}: {part.reason}",
            document.location_of(part.path),
            (document.title,),
            document.ref,
        )
        for room in companions
        for document, part in room.problems(context)
    ]
    return found + [
        Problem(
            f"{document.ref}: `{path_text(path)}` {EDITION}",
            document.location_of(path),
            (),
            document.ref,
            severity="warning",
        )
        for document in context.documents
        if document.api_version.partition("/")[0] in (GROUP, STORED)
        for path in _domains(document)
    ]


def _domains(document: Document) -> Iterator[Path]:
    """Yield where an object says domain names."""
    spec = document.body.get("spec")
    if not isinstance(spec, dict):
        return
    if document.kind in _calico_network_sets.KINDS:
        if spec.get(_calico_network_sets.DOMAINS):
            yield ("spec", _calico_network_sets.DOMAINS)
        return
    egress = spec.get("egress")
    for index, rule in enumerate(egress if isinstance(egress, list) else ()):
        end: Any = rule.get("destination") if isinstance(rule, dict) else None
        if isinstance(end, dict) and end.get("domains"):
            yield ("spec", "egress", index, "destination", "domains")


def inert_because(kind: str, profile: Profile) -> str | None:  # noqa: ARG001
    """Return why the profile enforces nothing of Calico's; None where it does."""
    match profile.cni:
        case Cni.CALICO:
            return None
        case Cni.NONE:
            return "nothing in this cluster enforces network policies (profile none)"
        case cni:
            return f"only Calico enforces it (profile {cni})"


DIALECT: Final = Dialect(
    kinds=frozenset((kind.group, kind.kind) for kind in KINDS if kind.group in (GROUP, STORED)),
    parse=parse,
    inert_because=inert_because,
    emit=emit,
    network_sets=_calico_network_sets.network_sets,
    host_endpoints=_calico_host_endpoints.host_endpoints,
    notes=notes,
    replaced=replaced,
)
