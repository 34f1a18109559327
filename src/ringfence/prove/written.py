"""What generation writes, in one language or two, and what of a cluster it leaves in place."""

from collections.abc import Iterable
from io import BytesIO
from typing import Final

import msgspec

from ringfence import dialects
from ringfence.learn.dependency_map import DependencyMap
from ringfence.learn.propose import Proposal
from ringfence.learn.propose_mesh import MeshProposal
from ringfence.learn.wishes import MESHES, PLAIN, Wishes
from ringfence.model.document import Document
from ringfence.model.kinds import group_of
from ringfence.model.location import Location
from ringfence.model.proposal import Emission, EmittedFile, Substitute, Unsupported
from ringfence.model.reading import Reading
from ringfence.model.snapshot import Snapshot
from ringfence.sources import manifests

REPLACED: Final = frozenset(
    ("NetworkPolicy", "StagedNetworkPolicy", "StagedKubernetesNetworkPolicy", "CiliumNetworkPolicy")
)
"""The kinds of policy of the network that a namespace has for itself, in whichever language."""
MESH_REPLACED: Final = {
    "istio": frozenset(
        (("security.istio.io", "AuthorizationPolicy"), ("security.istio.io", "PeerAuthentication"))
    ),
    "linkerd": frozenset(
        ("policy.linkerd.io", kind)
        for kind in (
            "Server",
            "ServerAuthorization",
            "AuthorizationPolicy",
            "MeshTLSAuthentication",
            "NetworkAuthentication",
            "HTTPRoute",
        )
    ),
}
"""The same of the meshes, with their groups."""


def emissions(proposal: Proposal, mesh: MeshProposal) -> dict[str, Emission]:
    """Return what is written in each language."""
    wishes = proposal.wishes
    found = {}
    if wishes.dialect:
        found[wishes.dialect] = dialects.emit(
            wishes.dialect, proposal.policies, proposal.surroundings
        )
    if wishes.mesh:
        around = msgspec.structs.replace(
            proposal.surroundings, proved_apart=bool(wishes.dialect), staged=False
        )
        found[wishes.mesh] = dialects.emit(wishes.mesh, mesh.policies, around)
    return found


def together(written: dict[str, Emission]) -> Emission:
    """Return what is written in all languages; in folders of their own where there are several."""
    several = len(written) > 1
    files: list[EmittedFile] = []
    unsupported: list[Unsupported] = []
    substitutes: list[Substitute] = []
    for name, emission in written.items():
        before = f"{name}/" if several else ""
        by_mesh = name in MESHES
        substitutes += [
            msgspec.structs.replace(each, by_mesh=by_mesh) for each in emission.substitutes
        ]
        files += [EmittedFile(before + file.path, file.text) for file in emission.files]
        unsupported += [
            msgspec.structs.replace(each, file=before + each.file) for each in emission.unsupported
        ]
    return Emission(
        files=tuple(sorted(files)),
        unsupported=tuple(unsupported),
        substitutes=tuple(substitutes),
        notes=tuple(dict.fromkeys(note for each in written.values() for note in each.notes)),
    )


def read_back(files: Iterable[EmittedFile]) -> Reading:
    """Return written files as they are read, their objects and problems under their paths."""
    found = Reading()
    for file in files:
        reading = manifests.read(["-"], BytesIO(file.text.encode("utf-8")))
        found += Reading(
            tuple(msgspec.structs.replace(each, file=file.path) for each in reading.documents),
            tuple(
                msgspec.structs.replace(each, location=Location(file.path, each.location.line))
                for each in reading.problems
            ),
        )
    return found


def kept(
    dependency_map: DependencyMap, snapshot: Snapshot, wishes: Wishes = PLAIN
) -> tuple[Document, ...]:
    """Return the cluster's policies that generation leaves in place: all but the covered ones."""
    gone = {(d.title, d.ref) for d in replaced(dependency_map, snapshot, wishes)}
    return tuple(d for d in snapshot.documents if (d.title, d.ref) not in gone)


def replaced(
    dependency_map: DependencyMap, snapshot: Snapshot, wishes: Wishes = PLAIN
) -> tuple[Document, ...]:
    """Return the policies that the covered namespaces have already: no part of a proof."""
    of_mesh = MESH_REPLACED.get(wishes.mesh, frozenset())
    return tuple(
        document
        for document in snapshot.documents
        if document.namespace in dependency_map.namespaces
        and (
            (document.kind in REPLACED and bool(wishes.dialect))
            or (group_of(document.api_version), document.kind) in of_mesh
        )
    )
