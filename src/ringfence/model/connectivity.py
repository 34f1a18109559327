"""All pairs at once: who may connect to whom, and by which traffic."""

from typing import Literal

import msgspec

from ringfence.model.layer7 import Layer7
from ringfence.model.location import Problem
from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.profile import Profile

ANY = "ANY"
"""The protocol of an allowance without limits: every protocol, every port."""

OverMtls = Literal["both"] | bool
"""Whether something is over mTLS; "both" where it is at some ports, and not at others."""


class Allowance(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """Traffic of one protocol."""

    protocol: str
    """TCP, UDP, SCTP, ICMP, or ANY for every protocol without limits."""
    ports: str = ""
    """Sorted numbers and ranges: `80,443,8000-8100`; `1-65535` for all. Empty for ANY and for all
    of ICMP; else types and codes, as `8,3/4`."""
    ip_family: int | None = None
    """4 or 6 where only one of a dual-stack pair's families is meant."""
    l7: tuple[Layer7, ...] | None = None
    """Only what meets one of these; None: no limit."""
    l7_except: tuple[Layer7, ...] = ()
    """And none of these."""


class Peer(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One end of a pair: a workload, a node, or a range of outside addresses."""

    name: str
    """`namespace/name` (`namespace/Kind/name` where that is ambiguous; `[pod, …]` behind it where
    policies tell the pods of a workload apart), `node/NAME`, or `0.0.0.0-9.255.255.255`."""
    kind: str
    """The workload's kind, `Node`, `External`, or `Domain` for names of the outside."""
    policed: bool = False
    """Of a node: whether policies have it for a subject; its pairs with the outside are listed,
    too, then."""


class Pair(msgspec.Struct, frozen=True, rename={"source": "from", "destination": "to"}):
    """What one peer may send another.

    Pairs with nothing allowed and nothing unknown are left out, as is a workload to itself, and
    what neither end of is a subject of policies.
    """

    source: str
    destination: str
    allow: tuple[Allowance, ...]
    unknown: tuple[Allowance, ...] = ()
    mtls: OverMtls | msgspec.UnsetType = msgspec.UNSET
    """Whether it goes over mTLS of a mesh, at the ports that the destination is known to serve.
    Unset where none of these is open, and where nobody is in a mesh."""


class Connectivity(msgspec.Struct, frozen=True, kw_only=True):
    """Every pair of a snapshot, sorted by source, then destination."""

    profile: Profile
    endpoints: tuple[Peer, ...]
    connections: tuple[Pair, ...]
    namespace: str | None = None
    """Only pairs with a workload of this namespace at one end or the other; None for all."""
    unknown_because: tuple[str, ...] = ()
    """Every reason for which something in `connections` is unknown."""
    notes: tuple[str, ...] = ()
    """What a reader must know to read the rest rightly: assumptions, ignored objects."""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[MeshWarning, ...] = ()
    """What policies of a mesh do that nobody may have meant; only where it was asked for."""
