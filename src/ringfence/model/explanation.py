"""The whole way to a verdict, and the smallest change that would turn a deny into an allow."""

import msgspec

from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.verdict import Judgement, Verdict


class RuleStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one rule met the connection."""

    rule: str
    """`ingress[0]`."""
    action: str
    matches: str
    """`yes`, `no` or `perhaps`."""
    why: str
    """What matched, or what did not, in words."""
    decides: bool = False
    file: str | None = None
    line: int | None = None


class PolicyStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one policy that applies to the subject met the connection."""

    object: str
    tier: str
    isolates: bool
    """Whether what none of its tier's rules allow is denied because of it."""
    rules: tuple[RuleStep, ...]
    decides: bool = False
    file: str | None = None
    line: int | None = None
    tier_order: float | None = None
    """Tiers decide in this order, then by name; None where the tier has none."""
    order: float | None = None
    """Policies of a tier decide in this order; None where they have none, or it means nothing."""


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """One direction: egress at the source, or ingress at the destination."""

    direction: str
    subject: str
    verdict: Verdict
    because: tuple[str, ...]
    """The reason in words, one sentence each."""
    policies: tuple[PolicyStep, ...] = ()
    """Every policy that applies, in the order in which they decide."""
    layer: str = "network"
    """`network` or `mesh`."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that would allow the connection; judged, not guessed."""

    summary: str
    object: str
    manifest: str
    """YAML of the rule to add, or of the policy to create."""
    file: str | None = None
    line: int | None = None
    proved: bool = False
    """Whether the connection was judged anew with all proposed changes made, and allowed."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One connection, explained."""

    source: str
    destination: str
    protocol: str
    port: int | None
    profile: str
    judgement: Judgement
    sides: tuple[Side, ...]
    changes: tuple[Change, ...] = ()
    also: tuple[str, ...] = ()
    """What else the names stand for, and its verdict."""
    lookup: "Explanation | None" = None
    """Of a connection to a name: the DNS query that must come before it."""
    staged: tuple[str, ...] = ()
    """What staged policies would change of it, if they were enforced."""
    hints: tuple[str, ...] = ()
    """Why no change is proposed that would allow it."""
    warnings: tuple[MeshWarning, ...] = ()
    """What policies at the ends do that nobody may have meant, each shown on a connection."""
