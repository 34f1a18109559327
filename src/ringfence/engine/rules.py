"""Rules compiled to bit sets: whom they match, and which traffic."""

from dataclasses import dataclass, field
from typing import Final

from ringfence.engine.matches import Matches
from ringfence.engine.protocols import DNS
from ringfence.model.rule import (
    Action,
    ChainPort,
    Direction,
    NamedPort,
    Policy,
    ProxyPort,
    Rule,
)

Part = tuple[int, int, int]
"""(traffic classes, peers that match, peers that perhaps match)."""


ALWAYS_FAIL: Final = "test-always-fail"
REQUIRED: Final = "required"


@dataclass(frozen=True)
class Share:
    """Some traffic of a rule, and the peers for which it is meant: one family's, or all."""

    certain: int
    """Traffic classes."""
    perhaps: int
    """Those of which perhaps some is meant."""
    peers: int
    """Classes of peers."""


@dataclass
class CompiledRule:
    """A rule, its peers as bit sets over classes."""

    rule: Rule
    policy: Policy
    action: Action
    peers: tuple[Matches, ...]
    """Per peer: one that many rules share is worked through once for all pairs."""
    matched: Matches
    """All of them together."""
    unseen: tuple[Matches, ...] | None = None
    """The peers without the names that only a DNS proxy would teach; None where there are no
    such names among them."""
    only: int = -1
    """The classes of traffic beyond which it says nothing."""
    merged: bool = False
    """Whether it stands for several, and `only` for what they say above the port."""
    subjects: Matches | None = None
    """To which of the policy's subjects it applies; None: to all."""
    shares: tuple[Share, ...] = ()
    """Traffic by numbers alone; where `names` or `not_names` are given, they change it."""
    names: tuple[NamedPort | ChainPort | ProxyPort, ...] = ()
    """Port names, and the like, to be resolved at the destination."""
    not_names: tuple[NamedPort | ChainPort | ProxyPort, ...] = ()
    """Those whose ports are taken away."""
    split: tuple[Part, ...] = ()
    """For egress: the parts with the names resolved at each destination."""
    split_unseen: tuple[Part, ...] = ()
    """The same of `unseen`."""

    def applies(self, subject: int) -> bool | None:
        """Return whether it applies to a class of the policy's subjects; None: perhaps."""
        if self.subjects is None or self.subjects.certain >> subject & 1:
            return True
        return None if self.subjects.perhaps >> subject & 1 else False

    @property
    def authenticates(self) -> bool:
        """Whether it asks for peers that authenticated each other, be it in vain."""
        return self.rule.authentication in (ALWAYS_FAIL, REQUIRED)

    @property
    def decides_elsewhere(self) -> bool:
        """Whether a listener of one's own, or a parser that is not known here, decides."""
        rule = self.rule
        return bool(rule.parser and rule.uncertain) and rule.layer7 is None and not self.merged

    @property
    def never_authenticates(self) -> bool:
        """Whether it asks for what no peers pass."""
        return self.rule.authentication == ALWAYS_FAIL

    @property
    def teaches_names(self) -> bool:
        """Whether it sends DNS through the proxy from which Cilium learns addresses."""
        reads = any(box.dns is not None for box in self.rule.layer7 or ())
        return self.action is Action.ALLOW and (reads or self.rule.parser == DNS)


@dataclass
class CompiledPolicy:
    """A policy, its subjects as a bit set over classes."""

    policy: Policy
    subjects: int
    perhaps: int = 0
    """Classes that it may select: where their labels or nodes are not known."""
    ingress: list[CompiledRule] = field(default_factory=list)
    egress: list[CompiledRule] = field(default_factory=list)

    def applies_in(self, direction: Direction) -> bool:
        """Return whether a direction of its subjects is affected by it at all."""
        return direction in self.policy.isolates or bool(self.rules(direction))

    def rules(self, direction: Direction) -> list[CompiledRule]:
        """Return the rules of a direction, in the order in which they are written."""
        return self.ingress if direction is Direction.INGRESS else self.egress
