"""What a judge concludes, and from what."""

from enum import StrEnum
from typing import Any

import msgspec


class Verdict(StrEnum):
    """Allow, deny, or unknown.

    Unknown where a document that matters could not be read, or where the specification leaves
    the answer to the implementation and the profile does not settle it.
    """

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"

    def __and__(self, other: "Verdict") -> "Verdict":
        """Both must allow: a deny decides, then an unknown."""
        if Verdict.DENY in (self, other):
            return Verdict.DENY
        return Verdict.UNKNOWN if Verdict.UNKNOWN in (self, other) else Verdict.ALLOW


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that decided: an object's rule, or the default where no object applies."""

    layer: str
    """`network` or `mesh`."""
    direction: str
    action: str
    """What it did: allow, deny, pass; `unknown` for what could not be understood."""
    object: str | None
    """`Kind/namespace/name`; None for a default that no object brings about."""
    rule: str
    """`ingress[0]`; `isolation` where the policy selects the pod and no rule matches;
    `default` where no policy selects it."""
    file: str | None = None
    line: int | None = None


class MeshVerdict(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the mesh at the two ends makes of one connection."""

    egress: Verdict
    """Of the proxy of the source; allow where there is none."""
    ingress: Verdict
    """Of the proxies on the way in: the waypoint's, where there is one, and the destination's."""
    mtls: bool | None = None
    """Whether the connection is over mTLS of the mesh; None: that cannot be told."""
    wire: int | None = None
    """The port by which the network layer sees it; None: that cannot be told, or there is none."""
    waypoint: str = ""
    """`namespace/name` of the Gateway that it goes through."""


class Judgement(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The verdict on one connection, with both directions and what decided each."""

    verdict: Verdict
    """Of all layers together."""
    egress: Verdict
    """Of the network layer, as `ingress`: through a waypoint that of both legs."""
    ingress: Verdict
    evidence: tuple[Evidence, ...] = ()
    unknown_because: tuple[str, ...] = ()
    limited_to: tuple[dict[str, Any], ...] = ()
    """What an allow is limited to, where the question left it open."""
    notes: tuple[str, ...] = ()
    mesh: MeshVerdict | None = None
    """None where neither end takes part in a mesh."""
