"""Puts a snapshot together: first the policies, then what they tell apart, then who there is."""

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from ringfence import dialects
from ringfence.assemble import (
    blind_spots,
    catalog,
    distinctions,
    identities,
    mesh_settings,
    meshes,
    profiles,
    routes,
    services,
    surroundings,
)
from ringfence.assemble.inventory import Inventory
from ringfence.assemble.memberships import Memberships
from ringfence.assemble.mesh_settings import NOTHING, Settings
from ringfence.assemble.waypoints import Gateways
from ringfence.model.document import Document
from ringfence.model.location import Problem
from ringfence.model.mesh import Membership
from ringfence.model.profile import Profile
from ringfence.model.reading import Reading
from ringfence.model.snapshot import Snapshot
from ringfence.sources import collector


@collector.paused()
def build(
    reading: Reading,
    *,
    cni: str | None = None,
    version: str | None = None,
    pod_cidrs: Sequence[str] = (),
    staged: bool = False,
    settings: Settings = NOTHING,
) -> Snapshot:
    """Return the snapshot of what a source read.

    Args:
        reading: from one or several sources.
        cni: the profile; detected where None.
        version: of the CNI's agent, as `1.18`; detected where None.
        pod_cidrs: where pods without a known address live; worked out where empty.
        staged: whether staged policies count as enforced.
        settings: of the meshes, where they are given; they come before what was read.

    Raises:
        UsageError: no such profile, no such version, no such CIDR.
    """
    objects = catalog.sort(reading.documents)
    problems = [*reading.problems, *objects.problems]
    profile = profiles.choose(cni, objects, problems, version)
    nodes = surroundings.nodes(objects, problems)
    cidrs, assumed = surroundings.pod_cidrs(pod_cidrs, nodes)
    found = services.read(objects, problems)
    defined = surroundings.namespaces(objects, (), problems)
    settings = settings.over(mesh_settings.from_catalog(objects, problems))
    gateways = Gateways(objects, problems)
    found = gateways.assigned(found, defined, problems)
    memberships = Memberships(objects, defined, settings, gateways)
    inventory = Inventory(objects, memberships)
    found = services.with_host_backends(found, inventory.host_pods(), nodes)
    named = chain(
        inventory.namespaces(),
        (document.namespace for document in objects.policies),
        (document.namespace for listed in objects.by_kind.values() for document in listed),
    )
    namespaces = surroundings.with_implicit(defined, named)
    mesh = memberships.mesh()
    accounts = surroundings.service_accounts(objects, problems)
    parsed = dialects.parse(
        dialects.Context(
            profile,
            objects.policies,
            namespaces,
            found,
            accounts,
            staged,
            mesh,
            memberships.distinct(),
        )
    )
    told_apart = distinctions.find(
        parsed.policies, found, parsed.network_sets, parsed.host_endpoints, parsed.client_tls
    )
    folder = identities.Folder(told_apart, nodes, cidrs)
    workloads = inventory.workloads(folder, {(s.namespace, s.name) for s in found})
    ways_in = routes.read(objects, problems)
    problems += (
        *inventory.problems,
        *memberships.problems,
        *meshes.assumed(mesh, workloads, reading.source),
        *meshes.not_judged(settings, reading.source),
    )
    return Snapshot(
        profile=profile,
        namespaces=namespaces,
        workloads=tuple(workloads),
        services=found,
        routes=ways_in,
        nodes=nodes,
        service_accounts=accounts,
        network_sets=parsed.network_sets,
        host_endpoints=parsed.host_endpoints,
        client_tls=parsed.client_tls,
        client_imports=parsed.client_imports,
        mesh=mesh,
        staged=staged,
        pod_cidrs=cidrs,
        pod_cidrs_assumed=assumed,
        told_apart=distinctions.digest(told_apart, cidrs),
        documents=(*objects.policies, *parsed.implied),
        policies=parsed.policies,
        ignored=parsed.ignored,
        problems=ordered(chain(problems, parsed.problems)),
        blind_spots=blind_spots.find(
            problems, parsed.policies, profile, meshes.in_use(mesh, workloads)
        ),
        source=reading.source,
    )


def with_documents(snapshot: Snapshot, documents: Sequence[Document]) -> Snapshot:
    """Return the same cluster with these policies in the place of its own."""
    return rejudged(snapshot, documents)


def add_documents(snapshot: Snapshot, documents: Sequence[Document]) -> Snapshot:
    """Return the same cluster with these policies applied to it: new, or in place of old ones."""
    return rejudged(snapshot, (*snapshot.documents, *documents))


@collector.paused()
def rejudged(
    snapshot: Snapshot,
    documents: Sequence[Document],
    *,
    profile: Profile | None = None,
    pod_cidrs: Sequence[str] = (),
    staged: bool | None = None,
    settings: Settings = NOTHING,
) -> Snapshot:
    """Return the same cluster with other policies, and by another profile if one is given.

    Args:
        snapshot: the cluster.
        documents: its policies from now on.
        profile: by which they are judged; the snapshot's own where it is None.
        pod_cidrs: where pods without a known address live; the snapshot's own where empty.
        staged: whether staged policies count as enforced; as in the snapshot where None.
        settings: of the meshes; the snapshot's own where they say nothing. Which ports a proxy of
            Linkerd leaves out stays as it was read.

    Raises:
        UsageError: a block given is no CIDR.
    """
    objects = catalog.sort(documents)
    profile = profile or snapshot.profile
    staged = snapshot.staged if staged is None else staged
    mesh = meshes.anew(snapshot.mesh, settings, objects)
    namespaces = surroundings.with_implicit(
        snapshot.namespaces, (document.namespace for document in objects.policies)
    )
    parsed = dialects.parse(
        dialects.Context(
            profile,
            objects.policies,
            namespaces,
            snapshot.services,
            snapshot.service_accounts,
            staged,
            mesh,
            _memberships(snapshot),
        )
    )
    of_dialects = _dialect_problems(snapshot)
    told = [problem for problem in snapshot.problems if problem not in of_dialects]
    cidrs, assumed = snapshot.pod_cidrs, snapshot.pod_cidrs_assumed
    if pod_cidrs:
        cidrs, assumed = surroundings.pod_cidrs(pod_cidrs, ())
    now = distinctions.find(
        parsed.policies,
        snapshot.services,
        parsed.network_sets,
        parsed.host_endpoints,
        parsed.client_tls,
    )
    told_apart = distinctions.digest(now, cidrs)
    workloads = snapshot.workloads
    if settings != NOTHING:
        workloads = tuple(meshes.renamed(workload, mesh) for workload in workloads)
        told = [problem for problem in told if not meshes.is_assumption(problem)]
        told += meshes.assumed(mesh, workloads, snapshot.source)
        told += meshes.not_judged(settings, snapshot.source)
    if told_apart != snapshot.told_apart:
        folder = identities.Folder(now, snapshot.nodes, cidrs)
        workloads = tuple(folder.refold(workload) for workload in workloads)
    return msgspec.structs.replace(
        snapshot,
        profile=profile,
        namespaces=namespaces,
        network_sets=parsed.network_sets,
        host_endpoints=parsed.host_endpoints,
        client_tls=parsed.client_tls,
        client_imports=parsed.client_imports,
        mesh=mesh,
        staged=staged,
        workloads=workloads,
        pod_cidrs=cidrs,
        pod_cidrs_assumed=assumed,
        told_apart=told_apart,
        documents=(*objects.policies, *parsed.implied),
        policies=parsed.policies,
        ignored=parsed.ignored,
        problems=ordered(chain(told, parsed.problems)),
        blind_spots=blind_spots.find(
            told, parsed.policies, profile, meshes.in_use(mesh, workloads)
        ),
    )


def _dialect_problems(snapshot: Snapshot) -> frozenset[Problem]:
    """Return those of a snapshot's problems that the dialects told."""
    refs = {document.ref for document in snapshot.documents}
    if not any(problem.object in refs for problem in snapshot.problems):
        return frozenset()
    context = dialects.Context(
        snapshot.profile,
        snapshot.documents,
        snapshot.namespaces,
        snapshot.services,
        snapshot.service_accounts,
        snapshot.staged,
        snapshot.mesh,
        _memberships(snapshot),
    )
    return frozenset(dialects.parse(context).problems)


def _memberships(snapshot: Snapshot) -> tuple[Membership, ...]:
    """Return every way in which pods take part in a mesh, sorted."""
    found = {one.mesh for workload in snapshot.workloads for one in workload.identities if one.mesh}
    return tuple(sorted(found))


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems sorted by place, each once."""
    by_order = {
        (p.location.file, p.location.line or 0, p.message, p.severity, p.affects): p
        for p in problems
    }
    return tuple(problem for _, problem in sorted(by_order.items()))
