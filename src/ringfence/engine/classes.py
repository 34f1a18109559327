"""Elements that no policy of the snapshot tells apart, gathered into classes.

All that follows is computed per class: its cost grows with what distinguishes the workloads,
not with their number.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from ringfence.engine import addresses, bits
from ringfence.engine.addresses import AddressSpace
from ringfence.engine.traffic import TrafficSpace
from ringfence.engine.universe import Matches, Universe
from ringfence.model.cluster import Protocol
from ringfence.model.profile import Cni
from ringfence.model.rule import (
    NETWORK_POLICY,
    Action,
    Direction,
    DomainPeer,
    IpPeer,
    NamedPort,
    Peer,
    Policy,
    PortRange,
    Rule,
)
from ringfence.model.snapshot import Snapshot


@dataclass
class CompiledRule:
    """A rule, its peers as bit sets over classes."""

    rule: Rule
    policy: Policy
    action: Action
    certain: int
    """Classes that its peers match."""
    perhaps: int
    mask: int
    """Traffic classes of its numbered ports."""
    names: tuple[NamedPort, ...]
    """Port names, to be resolved at the destination."""
    peers: tuple[Matches, ...]
    """The same per peer: one that many rules share is worked through once for all pairs."""
    split: tuple[tuple[int, int, int], ...] = ()
    """For egress: (mask, certain, perhaps) with the names resolved at each destination."""


@dataclass
class CompiledPolicy:
    """A policy, its subjects as a bit set over classes."""

    policy: Policy
    subjects: int
    ingress: list[CompiledRule] = field(default_factory=list)
    egress: list[CompiledRule] = field(default_factory=list)

    def rules(self, direction: Direction) -> list[CompiledRule]:
        """Return the rules of a direction, in the order in which they are written."""
        return self.ingress if direction is Direction.INGRESS else self.egress


class Classes:
    """The classes of a snapshot for pods judged by their addresses of one family."""

    def __init__(self, snapshot: Snapshot, family: int) -> None:
        """Find the classes and compile the policies to them."""
        self.snapshot = snapshot
        self.family = family
        rules = [rule for policy in snapshot.policies for rule in policy.rules]
        peers = {peer: None for rule in rules for peer in rule.peers or ()}
        self.space = AddressSpace(peer for peer in peers if isinstance(peer, IpPeer))
        self.universe = Universe(
            snapshot, self.space, tuple(p for p in peers if isinstance(p, DomainPeer))
        )
        self._cut_traffic(rules)
        self._form(peers)
        self._compile()

    # -- traffic -----------------------------------------------------------------------------

    def _cut_traffic(self, rules: list[Rule]) -> None:
        universe = self.universe
        ranges: set[tuple[Protocol, int, int]] = set()
        names: dict[str, set[NamedPort]] = defaultdict(set)
        for rule in rules:
            for port in rule.traffic or ():
                if isinstance(port, PortRange):
                    ranges.add((port.protocol, port.first, port.last))
                else:
                    names[port.name].add(port)
        # Per name as the rules write it: what it stands for at which element.
        found: dict[NamedPort, dict[int, set[tuple[Protocol, int]]]] = {
            port: defaultdict(set) for same in names.values() for port in same
        }
        for element in range(universe.first_node) if names else ():
            for declared in universe.named_ports(element):
                for port in names.get(declared.name, ()):
                    if port.protocol in (None, declared.protocol):
                        found[port][element].add((declared.protocol, declared.port))
                        ranges.add((declared.protocol, declared.port, declared.port))
        self.traffic = TrafficSpace(ranges)
        # The same as classes of traffic → the elements at which the name stands for them.
        self._resolved: dict[NamedPort, dict[int, int]] = {}
        for port, elements in found.items():
            at: dict[int, list[int]] = defaultdict(list)
            for element, numbers in elements.items():
                mask = 0
                for protocol, number in numbers:
                    mask |= self.traffic.mask(protocol, number, number)
                at[mask].append(element)
            self._resolved[port] = {mask: bits.from_members(e) for mask, e in at.items()}

    # -- classes -----------------------------------------------------------------------------

    def _form(self, peers: dict[Peer, None]) -> None:
        """Gather the elements that lie in exactly the same sets."""
        universe, snapshot = self.universe, self.snapshot
        matches = {peer: universe.match(peer, self.family) for peer in peers}
        subjects = [
            universe.match(policy.subject, self.family).certain & universe.networked
            if policy.subject
            else self._inhabitants(policy.namespace or None)
            for policy in snapshot.policies
        ]
        blind = [
            self._inhabitants(spot.namespace)
            & ~(self._inhabitants(spot.spared) if spot.spared else 0)
            for spot in snapshot.blind_spots
        ]
        distinct: dict[int, int] = {}
        for match in matches.values():
            distinct.setdefault(match.certain, len(distinct))
            distinct.setdefault(match.perhaps, len(distinct))
        for found in (*subjects, *blind, universe.networked):
            distinct.setdefault(found, len(distinct))
        for at in self._resolved.values():
            for found in at.values():
                distinct.setdefault(found, len(distinct))
        signatures: list[list[int]] = [[] for _ in range(universe.count)]
        for found, number in distinct.items():
            for element in bits.members(found):
                signatures[element].append(number)
        number_of: dict[tuple[object, ...], int] = {}
        self.class_of: list[int] = []
        """Per element, its class."""
        self.members: list[list[int]] = []
        """Per class, its elements."""
        self.families: list[frozenset[int]] = []
        """Per class, the families by which its elements can be reached."""
        holders: list[list[int]] = [[] for _ in distinct]
        for element, signature in enumerate(signatures):
            families = universe.families[element]
            # Hosts, cells and names are told apart from pods even where no set does it.
            rank = sum(
                element >= first
                for first in (universe.first_node, universe.first_cell, universe.first_domain)
            )
            key = (rank, families, *signature)
            known = number_of.get(key)
            if known is None:
                known = number_of[key] = len(self.members)
                self.members.append([])
                self.families.append(families)
                for number in signature:
                    holders[number].append(known)
            self.class_of.append(known)
            self.members[known].append(element)
        self.count = len(self.members)
        self.everything = (1 << self.count) - 1
        compact = {found: bits.from_members(holders[n]) for found, n in distinct.items()}
        self.networked = compact[universe.networked]
        self._matches = {
            peer: Matches(compact[m.certain], compact[m.perhaps]) for peer, m in matches.items()
        }
        self._subjects = [compact[found] for found in subjects]
        self.blind = [compact[found] for found in blind]
        """Per blind spot of the snapshot, the classes that it concerns."""
        self._names = {
            port: {mask: compact[found] for mask, found in at.items()}
            for port, at in self._resolved.items()
        }

    def _inhabitants(self, namespace: str | None) -> int:
        universe = self.universe
        if namespace is None:
            return universe.networked
        listed = (
            element
            for element, (w, _) in enumerate(universe.identities)
            if self.snapshot.workloads[w].namespace == namespace
        )
        return bits.from_members(listed) & universe.networked

    # -- rules -------------------------------------------------------------------------------

    def _compile(self) -> None:
        self.policies: list[CompiledPolicy] = []
        self.unreadable = 0
        """Classes that a policy may select of which something could not be understood."""
        for policy, subjects in zip(self.snapshot.policies, self._subjects, strict=True):
            compiled = CompiledPolicy(policy, subjects)
            for rule in policy.rules:
                compiled.rules(rule.direction).append(self._compile_rule(policy, rule))
            self.policies.append(compiled)
            if policy.unreadable or policy.subject is None:
                self.unreadable |= subjects
        for found in self.blind:
            self.unreadable |= found

    def _compile_rule(self, policy: Policy, rule: Rule) -> CompiledRule:
        if rule.unreadable:
            peers = [Matches(0, self.everything)]
        elif rule.peers is None:
            peers = [Matches(self.everything)]
        else:
            peers = [self._matches[peer] for peer in rule.peers]
        certain = perhaps = 0
        for match in peers:
            certain |= match.certain
            perhaps |= match.perhaps
        mask, names = self._traffic_of(policy, rule)
        split: list[tuple[int, int, int]] = [(mask, certain, perhaps)] if mask else []
        for port in names:
            for named, at in self._names[port].items():
                split.append((named, certain & at, perhaps & at))
        return CompiledRule(
            rule, policy, rule.action, certain, perhaps, mask, names, tuple(peers), tuple(split)
        )

    def _traffic_of(self, policy: Policy, rule: Rule) -> tuple[int, tuple[NamedPort, ...]]:
        if rule.traffic is None or rule.unreadable:
            mask = self.traffic.everything
            if policy.tier == NETWORK_POLICY and self.icmp_is_open:
                mask &= ~self.traffic.icmp
            return mask, ()
        mask, names = 0, []
        for port in rule.traffic:
            if isinstance(port, PortRange):
                mask |= self.traffic.mask(port.protocol, port.first, port.last)
            else:
                names.append(port)
        return mask, tuple(names)

    @property
    def icmp_is_open(self) -> bool:
        """Whether NetworkPolicy's effect on ICMP is left open: it is, unless the CNI is known."""
        return self.snapshot.profile.cni is Cni.GENERIC

    def named_at(self, port: NamedPort, subject: int) -> int:
        """Return the traffic that a port's name stands for at a class of pods."""
        found = 0
        for mask, at in self._names[port].items():
            if at >> subject & 1:
                found |= mask
        return found

    def mask_at(self, compiled: CompiledRule, subject: int) -> int:
        """Return the traffic of an ingress rule, its names resolved at the subject."""
        mask = compiled.mask
        for port in compiled.names:
            mask |= self.named_at(port, subject)
        return mask

    # -- looking up --------------------------------------------------------------------------

    def of_address(self, address: str) -> int:
        """Return the class of an outside address."""
        cell = self.space.cell_of(*addresses.parse(address))
        return self.class_of[self.universe.first_cell + cell]
