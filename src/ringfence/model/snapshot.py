"""A cluster and its policies at one moment: all that a question needs."""

import msgspec

from ringfence.model.cluster import (
    HostEndpoint,
    Namespace,
    NetworkSet,
    Node,
    Route,
    Service,
    ServiceAccount,
    Workload,
)
from ringfence.model.document import Document
from ringfence.model.location import Location, Problem
from ringfence.model.mesh import ClientImports, ClientTls, Mesh
from ringfence.model.profile import Profile
from ringfence.model.rule import Policy

ASSUMED_POD_CIDRS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Where pods live if nothing tells: the private IPv4 ranges (RFC 1918). Every verdict that rests
on this says so; `--pod-cidr` settles it."""


class BlindSpot(msgspec.Struct, frozen=True, omit_defaults=True):
    """Policies may exist that could not be read: the pods concerned are unknown both ways."""

    because: str
    location: Location
    namespace: str | None = None
    """The namespace whose pods are concerned; None for all pods."""
    spared: str | None = None
    """The one namespace whose pods are not."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything is sorted, so that equal clusters give equal snapshots."""

    profile: Profile = Profile()
    namespaces: tuple[Namespace, ...] = ()
    workloads: tuple[Workload, ...] = ()
    services: tuple[Service, ...] = ()
    routes: tuple[Route, ...] = ()
    nodes: tuple[Node, ...] = ()
    service_accounts: tuple[ServiceAccount, ...] = ()
    network_sets: tuple[NetworkSet, ...] = ()
    host_endpoints: tuple[HostEndpoint, ...] = ()
    mesh: Mesh = Mesh()
    """How the cluster's service meshes are set up."""
    client_tls: tuple[ClientTls, ...] = ()
    """What DestinationRules say of the TLS of clients; only where Istio is there."""
    client_imports: tuple[ClientImports, ...] = ()
    """Which Services clients know, by Sidecars; only where Istio is there."""
    staged: bool = False
    """Whether staged policies count as enforced."""
    pod_cidrs: tuple[str, ...] = ()
    """Where pods without a known address live: from `--pod-cidr`, else the nodes' `podCIDRs`,
    else `ASSUMED_POD_CIDRS`. A family without a block here has no pods without an address."""
    pod_cidrs_assumed: bool = False
    told_apart: str = ""
    """A digest of all by which the workloads' identities were told apart: they need not be formed
    anew for policies that tell apart the same."""
    documents: tuple[Document, ...] = ()
    """The policy objects as they were written, the ones that could not be parsed included; and
    what policies refer to (tiers, network sets, host endpoints, profiles, groups of blocks)."""
    policies: tuple[Policy, ...] = ()
    """The same in common form; only those that the profile enforces, and the staged ones where
    `staged` says so."""
    ignored: tuple[Problem, ...] = ()
    """Policy objects that this profile does not enforce, and why."""
    problems: tuple[Problem, ...] = ()
    """What could not be read."""
    blind_spots: tuple[BlindSpot, ...] = ()
    """Those of the problems that may hide policies."""
    source: str = ""
    """Where all this came from, for titles: a path, a context."""
