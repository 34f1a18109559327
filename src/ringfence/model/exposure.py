"""What the outside reaches, and what reaches the outside."""

from typing import Any

import msgspec

from ringfence.model.connectivity import Allowance, Peer
from ringfence.model.location import Location, Problem
from ringfence.model.profile import Profile
from ringfence.model.verdict import Evidence, Verdict


class Entrance(msgspec.Struct, frozen=True, kw_only=True):
    """One way from the outside to a port of a workload, and whether the policies let it be."""

    kind: str
    """Ingress, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, LoadBalancer, NodePort, ExternalIP or
    HostNetwork."""
    object: str
    """What opens it, as `Kind/namespace/name`."""
    address: str
    """Where the outside calls: `shop.example.com/api`, `203.0.113.7:443`, `any node:30080`."""
    service: str
    """The Service behind, as `svc/namespace/name`; empty for a host network."""
    workload: str
    """Where it ends."""
    protocol: str
    port: int | None
    """The workload's own port; None where a host-network pod declares none."""
    through: tuple[str, ...] = ()
    """The workloads that take the connection and open another one: ingress controllers."""
    verdict: Verdict
    """Allow where any outside address may come in, else unknown where any might, else deny."""
    sources: tuple[str, ...] = ()
    """The outside addresses that may come in, in as few ranges as possible."""
    unknown_sources: tuple[str, ...] = ()
    limited_to: tuple[dict[str, Any], ...] = ()
    """What may be said there, where rules look above the port; empty: anything."""
    because: tuple[str, ...] = ()
    """Why it is not simply allowed, and what was taken for granted."""
    evidence: tuple[Evidence, ...] = ()
    """What decided, where anything is denied."""
    location: Location


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """The same traffic between a workload and some of the outside."""

    workload: str
    outside: tuple[str, ...]
    """Ranges of addresses, as few as possible, and domain names."""
    allow: tuple[Allowance, ...]
    unknown: tuple[Allowance, ...] = ()


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Everything sorted: entrances by workload, passages by workload."""

    profile: Profile
    workloads: tuple[Peer, ...]
    """Those that were looked at."""
    entrances: tuple[Entrance, ...]
    exits: tuple[Passage, ...]
    """What workloads may send to the outside."""
    admitted: tuple[Passage, ...]
    """What outside addresses may send to workloads to which no entrance leads: nothing exposes
    them, but policies would not stop it on a network that routes to pods. And what they may send
    to `nodes`."""
    nodes: tuple[Peer, ...] = ()
    """The nodes of which policies decide."""
    unknown_because: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
