"""What is said of the meshes of a cluster that was read before, and what is assumed of them."""

from collections.abc import Iterable
from typing import Final

import msgspec

from ringfence.assemble import istio_membership, linkerd_membership
from ringfence.assemble.catalog import Catalog
from ringfence.assemble.mesh_settings import Settings
from ringfence.model.cluster import Identity, Workload
from ringfence.model.kinds import MESH_TITLES
from ringfence.model.location import Location, Problem
from ringfence.model.mesh import DataPlane, IstioConfig, LinkerdConfig, Membership, Mesh

ISTIO_ASSUMED: Final = (
    "Istio's mesh configuration is not in the input: root namespace {0.root_namespace}, trust "
    "domain {0.trust_domain} and outbound mode ALLOW_ANY are assumed; --mesh-config settles it"
)
LINKERD_ASSUMED: Final = (
    "Linkerd's configuration is not in the input: control plane in namespace {0.namespace}, trust "
    "domain {0.trust_domain} and inbound policy {0.default_inbound} are assumed; --mesh-config "
    "settles it"
)
SETTLES: Final = "--mesh-config settles it"


def assumed(mesh: Mesh, workloads: Iterable[Workload], source: str) -> list[Problem]:
    """Return a note for each mesh that pods take part in, but whose configuration is not known."""
    used = in_use(mesh, workloads)
    found = []
    if used.istio and not used.istio.source:
        found.append(ISTIO_ASSUMED.format(used.istio))
    if used.linkerd and not used.linkerd.source:
        found.append(LINKERD_ASSUMED.format(used.linkerd))
    return [Problem(message, Location(source), severity="note") for message in found]


def not_judged(settings: Settings, source: str) -> list[Problem]:
    """Return a warning for what settings say that has no effect on verdicts."""
    return [Problem(message, Location(source), severity="warning") for message in settings.warnings]


def in_use(mesh: Mesh, workloads: Iterable[Workload]) -> Mesh:
    """Return the meshes that any pod takes part in: what else is said of one decides nothing."""
    planes = {
        identity.mesh.data_plane
        for workload in workloads
        for identity in workload.identities
        if identity.mesh
    }
    return Mesh(
        mesh.istio if planes - {DataPlane.LINKERD} else None,
        mesh.linkerd if DataPlane.LINKERD in planes else None,
    )


def is_assumption(problem: Problem) -> bool:
    """Return whether a problem is a note of `assumed`."""
    return problem.severity == "note" and problem.message.endswith(SETTLES)


def anew(mesh: Mesh, settings: Settings, catalog: Catalog) -> Mesh:
    """Return the meshes of a cluster by other settings, or with other policies.

    Where there are policies of a mesh there is that mesh, be it that nothing takes part in it.
    """
    there = {MESH_TITLES.get(document.title) for document in catalog.policies}
    istio, linkerd = settings.istio or mesh.istio, settings.linkerd or mesh.linkerd
    if linkerd and mesh.linkerd:
        # Values do not say where the control plane is; what was read before does.
        linkerd = msgspec.structs.replace(linkerd, namespace=mesh.linkerd.namespace)
    return Mesh(
        istio or (IstioConfig() if "istio" in there else None),
        linkerd or (LinkerdConfig() if "linkerd" in there else None),
    )


def renamed(workload: Workload, mesh: Mesh) -> Workload:
    """Return a workload whose pods have the names that another configuration gives them."""
    identities = tuple(_renamed(each, workload.namespace, mesh) for each in workload.identities)
    return msgspec.structs.replace(workload, identities=identities)


def _renamed(identity: Identity, namespace: str, mesh: Mesh) -> Identity:
    member = identity.mesh
    if member is None:
        return identity
    account = identity.service_account
    principal = _principal(member, namespace, account, mesh)
    changed = msgspec.structs.replace(member, principal=principal)
    return msgspec.structs.replace(identity, mesh=changed)


def _principal(member: Membership, namespace: str, account: str, mesh: Mesh) -> str:
    if member.data_plane is DataPlane.LINKERD:
        linkerd = mesh.linkerd or LinkerdConfig()
        return linkerd_membership.principal(
            linkerd.trust_domain, linkerd.namespace, namespace, account
        )
    istio = mesh.istio or IstioConfig()
    return istio_membership.principal(istio.trust_domain, namespace, account)
