"""How rules and policies met a connection: the steps of a trace, as values."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ringfence.engine.rules import CompiledPolicy, CompiledRule
from ringfence.model.rule import Direction, Layer
from ringfence.model.verdict import Evidence, Judgement, MeshVerdict, Verdict


def all_of(parts: Iterable[bool | None]) -> bool | None:
    """Return whether all hold; None: perhaps."""
    listed = tuple(parts)
    if False in listed:
        return False
    return None if None in listed else True


def any_of(parts: Iterable[bool | None]) -> bool | None:
    """Return whether any holds; None: perhaps."""
    listed = tuple(parts)
    if True in listed:
        return True
    return None if None in listed else False


@dataclass(frozen=True)
class OtherEnd:
    """The end that a subject's rules call the peer."""

    element: int
    words: str
    """What to call it in reasons."""
    address: int | None = None
    """The cell of the address that it has, for a node of which one address is meant."""


@dataclass(frozen=True)
class RuleTrace:
    """How one rule of a policy that selects the subject met the connection."""

    compiled: CompiledRule
    peer: bool | None
    """Whether its peers match; None: perhaps."""
    traffic: bool | None
    """Whether its ports match, and what it says of what is above them."""
    ports: bool
    """Whether its ports alone match."""
    own: bool | None = True
    """Whether it applies to the subject at all."""
    resolved: bool = False
    """Whether its ports are among those that DNS rules are for."""
    single: bool = False
    """Whether a port of its that matches stands in no range."""
    unlearned: bool = False
    """Whether it names domains of which nothing ever teaches the addresses."""

    @property
    def matches(self) -> bool | None:
        """Whether the rule matches; None: perhaps."""
        return all_of((self.peer, self.traffic, self.own))

    @property
    def matches_up_to_port(self) -> bool | None:
        """Whether it does but for what it says above the port; None: perhaps."""
        return all_of((self.peer, self.ports, self.own))


@dataclass(frozen=True)
class PolicyTrace:
    """How the rules of one policy met the connection, in the order in which they are written."""

    policy: CompiledPolicy
    rules: tuple[RuleTrace, ...]


@dataclass
class SideTrace:
    """The verdict of one direction."""

    direction: Direction
    verdict: Verdict = Verdict.ALLOW
    evidence: list[Evidence] = field(default_factory=list)
    because: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    policies: list[PolicyTrace] = field(default_factory=list)
    """Every policy that applies to the subject in this direction, in deciding order."""
    by_isolation: bool = False
    """Whether it is denied only because nothing allows it."""
    unmatched: bool = False
    """Whether it is denied, or perhaps is, for want of a rule that allows it."""
    perhaps_denied: bool = False
    """Whether a rule perhaps denies it besides."""


@dataclass(frozen=True)
class MeshTrace:
    """What the mesh at the two ends makes of a connection."""

    egress: SideTrace
    ingress: SideTrace
    mtls: bool | None
    wire: int | None
    """The port by which the network sees it; None: that is not known, or there is none."""
    waypoint: str = ""
    """`namespace/name` of the Gateway that it goes through."""

    @property
    def verdict(self) -> MeshVerdict:
        """Return the verdict of the mesh."""
        return MeshVerdict(
            egress=self.egress.verdict,
            ingress=self.ingress.verdict,
            mtls=self.mtls,
            wire=self.wire,
            waypoint=self.waypoint,
        )


@dataclass(frozen=True)
class Trace:
    """The whole way to a verdict."""

    egress: SideTrace
    """Of the network, as `ingress`."""
    ingress: SideTrace
    notes: tuple[str, ...]
    mesh: MeshTrace | None = None
    """None where neither end takes part in a mesh."""
    agreed: Verdict | None = None
    """What several ways come to, though perhaps not by the same side; None: there is one."""

    @property
    def sides(self) -> tuple[SideTrace, ...]:
        """Return the sides of both layers."""
        of_mesh = (self.mesh.egress, self.mesh.ingress) if self.mesh else ()
        return (self.egress, self.ingress, *of_mesh)

    @property
    def verdict(self) -> Verdict:
        """Return the verdict that all sides come to."""
        if self.agreed is not None:
            return self.agreed
        found = Verdict.ALLOW
        for side in self.sides:
            found &= side.verdict
        return found

    @property
    def judgement(self) -> Judgement:
        """Return the verdict with its evidence."""
        verdict = self.verdict
        because = [reason for side in self.sides for reason in side.because]
        return Judgement(
            verdict=verdict,
            egress=self.egress.verdict,
            ingress=self.ingress.verdict,
            evidence=tuple(piece for side in self.sides for piece in side.evidence),
            unknown_because=tuple(dict.fromkeys(because)) if verdict is Verdict.UNKNOWN else (),
            notes=self.notes,
            mesh=self.mesh.verdict if self.mesh else None,
        )


def settled(direction: Direction, rule: str, layer: Layer = Layer.NETWORK) -> Evidence:
    """Return the evidence for what no policy can decide: that it is allowed, and by what."""
    return Evidence(layer.value, direction.value, "allow", None, rule)


def settled_side(direction: Direction, rule: str, layer: Layer = Layer.NETWORK) -> SideTrace:
    """Return a side that no policy can decide."""
    return SideTrace(direction, evidence=[settled(direction, rule, layer)])
