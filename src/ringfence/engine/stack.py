"""The order in which policies decide: tiers, order within them, and what ties mean.

A subject's stack is what applies to it in one direction. What it allows, `rows` works out for all
peers at once, and `trace` for one connection with the evidence.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from ringfence.engine import bits
from ringfence.engine.classes import Classes
from ringfence.engine.protocols import DNS
from ringfence.engine.proxy import Clash, Proxied, Proxy
from ringfence.engine.rules import CompiledPolicy, CompiledRule
from ringfence.model import tiers
from ringfence.model.layer7 import Layer7
from ringfence.model.profile import CiliumConfig, Cni, Enforcement
from ringfence.model.rule import Action, Direction, Layer, Resolution, Tier, Ties, Traffic


@dataclass(frozen=True)
class Floor:
    """The policies of one tier that apply to a subject in one direction."""

    tier: Tier
    groups: tuple[tuple[CompiledPolicy, ...], ...]
    """Groups of which none decides before another of the same group."""
    isolating: tuple[CompiledPolicy, ...]
    """Those because of which the subject gets the tier's `unmatched`."""
    isolated: bool
    """Whether it does: also where no policy brings it about (Cilium, enforcement `always`)."""

    @property
    def policies(self) -> list[CompiledPolicy]:
        """Return all of them in the order in which they decide."""
        return [policy for group in self.groups for policy in group]

    @property
    def closes(self) -> bool:
        """Whether nothing that comes after it can matter, but for what it passes."""
        return self.isolated and self.tier.unmatched is Action.DENY


@dataclass(frozen=True)
class Stack:
    """The policies that apply to a subject in one direction, by tier, in deciding order."""

    direction: Direction
    floors: tuple[Floor, ...]
    proxied: Proxied = field(default_factory=Proxied)
    """What Cilium's proxy makes of the rules."""

    def rules_of(self, policy: CompiledPolicy) -> list[CompiledRule]:
        """Return a policy's rules in this direction, as they are enforced, in their order."""
        merged = self.proxied.rules.get(id(policy))
        return policy.rules(self.direction) if merged is None else merged

    @cached_property
    def policies(self) -> list[CompiledPolicy]:
        """Return all of them in the order in which they decide."""
        return [policy for floor in self.floors for policy in floor.policies]

    @cached_property
    def rules(self) -> list[CompiledRule]:
        """Return their rules in this direction, but for those that decide nothing."""
        return [
            rule
            for policy in self.policies
            for rule in self.rules_of(policy)
            if rule.action is not Action.LOG
        ]

    @cached_property
    def limiting(self) -> list[CompiledRule]:
        """Return the rules of Cilium's that allow up to a port and look above it."""
        return [
            rule
            for rule in self.rules
            if rule.action is Action.ALLOW
            and (
                rule.rule.layer7 is not None
                or rule.rule.confines
                or rule.rule.parser
                or rule.merged
                or rule.decides_elsewhere
            )
        ]

    @cached_property
    def redirects(self) -> bool:
        """Whether any rule sends traffic to one of Cilium's proxies."""
        return any(rule.rule.parser for rule in self.limiting)

    @cached_property
    def resolving(self) -> frozenset[Traffic]:
        """Return the ports that DNS rules are for."""
        return frozenset(
            port
            for rule in self.limiting
            if rule.rule.parser == DNS
            for port in rule.rule.traffic or ()
        )

    @cached_property
    def varying(self) -> list[CompiledRule]:
        """Return the rules that are not the same for all subjects of the stack."""
        by_name = self.direction is Direction.INGRESS
        return [
            rule
            for rule in self.rules
            if rule.subjects is not None or (by_name and (rule.names or rule.not_names))
        ]

    @cached_property
    def learns_names(self) -> bool:
        """Whether any rule has Cilium learn the addresses of names."""
        return any(rule.teaches_names for rule in self.rules)


class Stacks:
    """The stack of every class of subjects, of one layer."""

    def __init__(self, classes: Classes, layer: Layer = Layer.NETWORK) -> None:
        """Order the policies and find which apply to which class.

        What is set up for the network is not for a mesh.
        """
        self._classes = classes
        self.layer = layer
        profile = classes.snapshot.profile
        config = profile.cilium or CiliumConfig()
        cilium = profile.cni is Cni.CILIUM and layer is Layer.NETWORK
        self.always = cilium and config.enforcement is Enforcement.ALWAYS
        """Whether every subject is isolated both ways, selected or not."""
        self.inert = cilium and config.enforcement is Enforcement.NEVER
        """Whether nothing that policies say is enforced."""
        self.audited = cilium and config.audit
        """Whether what policies deny passes all the same."""
        self.policed = classes.subjects_in(layer)
        """The classes that policies of the layer can select at all."""
        ordered = sorted(
            (found for found in classes.policies if found.policy.tier.layer is layer),
            key=lambda p: (p.policy.tier, p.policy.order, p.policy.tie),
        )
        self._proxy = Proxy(classes) if cilium else None
        self.authenticated = classes.traffic.limit((Layer7(authenticated=True),))[0]
        """The traffic of peers that authenticated each other, where rules ask for that."""
        self._applying: dict[Direction, list[list[CompiledPolicy]]] = {}
        for direction in Direction:
            applying: list[list[CompiledPolicy]] = [[] for _ in range(classes.count)]
            for policy in () if self.inert else ordered:
                if policy.applies_in(direction):
                    for subject in bits.members(policy.subjects):
                        applying[subject].append(policy)
            self._applying[direction] = applying
        self._stacks: dict[tuple[object, ...], Stack] = {}

    def stack(self, subject: int, direction: Direction) -> Stack:
        """Return what applies to a class of subjects in one direction."""
        applying = self._applying[direction][subject]
        key = (direction, *map(id, applying))
        found = self._stacks.get(key)
        if found is None:
            floors = self._floors(applying, direction)
            if self.always and not any(f.tier == tiers.CILIUM_NORMAL for f in floors):
                floors.append(Floor(tiers.CILIUM_NORMAL, (), (), isolated=True))
                floors.sort(key=lambda floor: floor.tier)
            proxied = self._proxy.apply(applying, direction) if self._proxy else Proxied()
            found = self._stacks[key] = Stack(direction, tuple(floors), proxied)
        return found

    def _floors(self, ordered: list[CompiledPolicy], direction: Direction) -> list[Floor]:
        return [
            self._floor(tier, list(policies), direction)
            for tier, policies in groupby(ordered, key=lambda p: p.policy.tier)
        ]

    def layered(self, policies: Iterable[CompiledPolicy], direction: Direction) -> Stack:
        """Return policies as a stack of their own."""
        ordered = sorted(policies, key=lambda p: (p.policy.tier, p.policy.order, p.policy.tie))
        return Stack(direction, tuple(self._floors(ordered, direction)))

    def clashes(self, subject: int) -> list[Clash]:
        """Return the rules of a class of subjects that cannot be enforced together.

        Because of one, in whatever direction, Cilium computes no policy for the subject.
        """
        if self._proxy is None:
            return []
        return [clash for way in Direction for clash in self.stack(subject, way).proxied.clashes]

    def _floor(self, tier: Tier, policies: list[CompiledPolicy], direction: Direction) -> Floor:
        isolating = tuple(p for p in policies if direction in p.policy.isolates)
        isolated = bool(isolating) or (self.always and tier == tiers.CILIUM_NORMAL)
        if tier.resolution is Resolution.DENY_WINS:
            groups: tuple[tuple[CompiledPolicy, ...], ...] = (tuple(policies),)
        elif tier.ties is Ties.NAME:
            groups = tuple((policy,) for policy in policies)
        else:
            by_order = groupby(policies, key=lambda p: p.policy.order)
            groups = tuple(tuple(group) for _, group in by_order)
        return Floor(tier, groups, isolating, isolated)
