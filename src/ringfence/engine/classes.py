"""Elements that no policy of the snapshot tells apart, gathered into classes.

All that follows is computed per class: its cost grows with what distinguishes the workloads,
not with their number.
"""

from collections import defaultdict
from functools import cached_property
from typing import Final

import msgspec

from ringfence.engine import addresses, bits
from ringfence.engine.addresses import AddressSpace
from ringfence.engine.clients import Clients
from ringfence.engine.matches import Matches, union
from ringfence.engine.peers import Peers
from ringfence.engine.ports import Ports
from ringfence.engine.rules import CompiledPolicy, CompiledRule
from ringfence.engine.shares import NOWHERE, Shares, names
from ringfence.engine.sought import blocks, by_name, enforced, in_mesh, patterns, peers_of
from ringfence.engine.universe import Universe
from ringfence.engine.zones import Zones, destinations
from ringfence.model.profile import Cni
from ringfence.model.rule import (
    Direction,
    DomainPeer,
    Layer,
    Peer,
    Policy,
    Rule,
    leaves,
)
from ringfence.model.snapshot import Snapshot

OF_KUBERNETES: Final = (
    "NetworkPolicy",
    "ClusterNetworkPolicy",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
)


class Classes:
    """The classes of a snapshot for pods judged by their addresses of one family."""

    def __init__(self, snapshot: Snapshot, family: int) -> None:
        """Find the classes and compile the policies to them."""
        self.snapshot = snapshot
        self.family = family
        self._enforced = tuple(enforced(snapshot))
        told = [(policy, rule) for policy in self._enforced for rule in policy.rules]
        rules = [rule for _, rule in told]
        sought = dict.fromkeys((p, *by_name(*one)) for one in told for p in peers_of(one[1]))
        peers = dict.fromkeys(peer for peer, *_ in sought)
        chosen = dict.fromkeys((p.subject, in_mesh(p)) for p in self._enforced if p.subject)
        subjects = dict.fromkeys((r.subjects, in_mesh(p)) for p, r in told if r.subjects)
        parts = dict.fromkeys(
            leaf
            for peer in (*peers, *(one for one, _ in (*chosen, *subjects)))
            for leaf in leaves(peer)
        )
        self.space = AddressSpace(blocks(snapshot, parts))
        self.universe = Universe(snapshot, self.space, patterns(snapshot, parts), family)
        found = self.peers = Peers(self.universe, family)
        self._ports = Ports(
            rules, self.universe, lambda n: destinations(self.universe, found, *told[n])
        )
        self.traffic = self._ports.space
        self.chains = self._ports.chains
        self._form(
            {
                (peer, names, mesh): found.match(peer, names=names, mesh=mesh)
                for peer, names, mesh in sought
            },
            {(subject, mesh): found.match(subject, mesh=mesh) for subject, mesh in subjects},
            {(subject, mesh): found.match_subject(subject, mesh=mesh) for subject, mesh in chosen},
            {f: found.in_family(f) for f in (4, 6)},
        )
        self.zones = Zones(self.traffic, self.members)
        self._compile()

    # -- classes -----------------------------------------------------------------------------

    def _form(
        self,
        peers: dict[tuple[Peer, bool, bool], Matches],
        subjects: dict[tuple[Peer, bool], Matches],
        chosen: dict[tuple[Peer, bool], Matches],
        families: dict[int, int],
    ) -> None:
        """Gather the elements that lie in exactly the same sets."""
        universe, snapshot = self.universe, self.snapshot
        policed = universe.networked | universe.hosts
        meshed = universe.meshed | universe.services
        of_policies = [
            Matches(self._perhaps_meant(policy))
            if policy.subject is None
            else chosen[policy.subject, True].within(meshed)
            if in_mesh(policy)
            else chosen[policy.subject, False].within(policed)
            for policy in self._enforced
        ]
        blind = [
            self._inhabitants(spot.namespace)
            & ~(self._inhabitants(spot.spared) if spot.spared else 0)
            for spot in snapshot.blind_spots
        ]
        distinct: dict[int, int] = {}
        for match in (*peers.values(), *subjects.values(), *of_policies):
            distinct.setdefault(match.certain, len(distinct))
            distinct.setdefault(match.perhaps, len(distinct))
        apart = [1 << element for element in universe.ways]
        placed = self._placements()
        several = (*blind, policed, universe.networked, universe.crowded, *apart, *placed)
        others = (universe.names, universe.cells, universe.meshed, universe.services)
        members = self._told_apart_by_mesh()
        for found in (*several, *families.values(), *others, *members):
            distinct.setdefault(found, len(distinct))
        for at in self._ports.resolved.values():
            for found in at.values():
                distinct.setdefault(found, len(distinct))
        self._gather(distinct)
        compact = {found: bits.from_members(self._holders[n]) for found, n in distinct.items()}
        self.networked = compact[universe.networked]
        """The classes of pods with a network of their own."""
        self.policed = compact[policed]
        """The classes that policies of the network can select at all."""
        self.members_of_mesh = compact[universe.meshed]
        """The classes of pods that take part in a mesh, or may."""
        self.services = compact[universe.services]
        """The classes of Services, which only proxies of a mesh tell from the pods behind."""
        self.crowded = compact[universe.crowded]
        """Hosts of which it is not known which of many host endpoints they have."""
        self.ways: dict[int, tuple[int | None, ...]] = {
            self.class_of[element]: tuple(
                None if way.number is None else self.class_of[universe.behind[element, way.number]]
                for way in ways
            )
            for element, ways in universe.ways.items()
            if not universe.crowded >> element & 1
        }
        """Per class of a host that may have host endpoints: the subjects as whom policies may
        select it; None: as nobody."""
        self.outside = compact[universe.cells] | compact[universe.names]
        self.in_family = {family: compact[found] for family, found in families.items()}
        """Per family, the classes that are reached over it where pods are judged by this one."""

        def narrow(found: Matches) -> Matches:
            return Matches(compact[found.certain], compact[found.perhaps])

        self._matches = {peer: narrow(found) for peer, found in peers.items()}
        self._own = {peer: narrow(found) for peer, found in subjects.items()}
        self._subjects = [narrow(found) for found in of_policies]
        self.blind = [compact[found] for found in blind]
        """Per blind spot of the snapshot, the classes that it concerns."""
        names = {
            port: {mask: compact[found] for mask, found in at.items()}
            for port, at in self._ports.resolved.items()
        }
        self.shares = Shares(
            self._ports,
            self.everything,
            self.in_family,
            names,
            icmp_is_open=self.icmp_is_open,
        )
        """The traffic that rules mean, and of whom."""

    def _gather(self, distinct: dict[int, int]) -> None:
        universe = self.universe
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
        self._holders: list[list[int]] = [[] for _ in distinct]
        starts = (
            universe.first_node,
            universe.first_cell,
            universe.first_name,
            universe.first_twin,
            universe.first_service,
        )
        for element, signature in enumerate(signatures):
            families = universe.families[element]
            # Hosts, cells and names are told apart from pods even where no set does it.
            rank = sum(element >= first for first in starts)
            key = (rank, families, *signature)
            known = number_of.get(key)
            if known is None:
                known = number_of[key] = len(self.members)
                self.members.append([])
                self.families.append(families)
                for number in signature:
                    self._holders[number].append(known)
            self.class_of.append(known)
            self.members[known].append(element)
        self.count = len(self.members)
        self.everything = (1 << self.count) - 1

    def _told_apart_by_mesh(self) -> list[int]:
        """Return sets of identities, each alike in how a mesh carries what they send and get."""
        universe = self.universe
        clients = self.clients = Clients(universe)
        services = self.snapshot.services
        together: dict[tuple[object, ...], list[int]] = defaultdict(list)
        leading = self.chains.leading
        for element in {*bits.members(universe.meshed), *leading}:
            led = {
                (clients.signature(number), services[number].waypoint, target)
                for number, _, target in leading.get(element, ())
            }
            key: tuple[object, ...] = (frozenset(led),)
            if mesh := universe.identity(element).mesh:
                proxy = (mesh.data_plane, mesh.inbound, mesh.outbound, mesh.gateway, mesh.waypoint)
                doubts = (mesh.uncertain, mesh.unclear, mesh.plaintext)
                key = (*key, *proxy, *doubts, mesh.waypoint_of, clients.key(element))
            together[key].append(element)
        for number, service in enumerate(services if universe.services else ()):
            together["service", service.waypoint].append(universe.first_service + number)
        return list(map(bits.from_members, together.values()))

    def _perhaps_meant(self, policy: Policy) -> int:
        """Return whom a policy may mean of which the subject could not be understood."""
        if in_mesh(policy):
            istio = self.snapshot.mesh.istio
            anywhere = not policy.namespace or (
                istio is not None and policy.namespace == istio.root_namespace
            )
            return self._inhabitants(None if anywhere else policy.namespace) & self.universe.meshed
        if policy.namespace:
            return self._inhabitants(policy.namespace)
        # Policies of Kubernetes are for no hosts.
        of_kubernetes = policy.kind in OF_KUBERNETES
        return self.universe.networked | (0 if of_kubernetes else self.universe.hosts)

    def _placements(self) -> tuple[int, ...]:
        """Return whom rules for forwarded traffic tell apart by the nodes that they run on."""
        universe = self.universe
        found: dict[str, list[int]] = defaultdict(list)
        self._nodes: dict[int, frozenset[str]] = {}
        forwarding = any(policy.forward for policy in self._enforced)
        for element in range(universe.first_cell if forwarding else 0):
            self._nodes[element] = universe.nodes_of(element)
            for node in self._nodes[element] or {""}:
                found[node].append(element)
        several = (e for e, nodes in self._nodes.items() if len(nodes) > 1)
        return (*map(bits.from_members, found.values()), bits.from_members(several))

    def nodes_of(self, number: int) -> frozenset[str]:
        """Return the nodes that the elements of a class may be on; one without a name is any."""
        return self._nodes.get(self.members[number][0], frozenset())

    @cached_property
    def placed_alone(self) -> dict[str, int]:
        """Return the classes of what is on one node alone.

        Shape: name of the node → bit set over classes.
        """
        found: dict[str, int] = defaultdict(int)
        for element, nodes in self._nodes.items():
            if len(nodes) == 1 and "" not in nodes:
                (node,) = nodes
                found[node] |= 1 << self.class_of[element]
        return dict(found)

    def subjects_in(self, layer: Layer) -> int:
        """Return the classes that policies of a layer can select at all."""
        return self.policed if layer is Layer.NETWORK else self.members_of_mesh | self.services

    def _inhabitants(self, namespace: str | None) -> int:
        universe = self.universe
        if namespace is None:
            return universe.networked | universe.hosts
        return universe.pods.inhabitants(namespace)

    # -- rules -------------------------------------------------------------------------------

    def _compile(self) -> None:
        self.policies: list[CompiledPolicy] = []
        self._widened: dict[int, CompiledRule] = {}
        self.unreadable = dict.fromkeys(Layer, 0)
        """Per layer, the classes that a policy may select of which something could not be
        understood."""
        for policy, found in zip(self._enforced, self._subjects, strict=True):
            layer = policy.tier.layer
            compiled = CompiledPolicy(policy, found.certain, found.perhaps & ~found.certain)
            for rule in policy.rules:
                compiled.rules(rule.direction).append(self.compile_rule(policy, rule))
            self.policies.append(compiled)
            self.unreadable[layer] |= compiled.perhaps
            if policy.unreadable or policy.subject is None:
                self.unreadable[layer] |= found.possible
        for found_blind in self.blind:
            self.unreadable[Layer.NETWORK] |= found_blind
            self.unreadable[Layer.MESH] |= found_blind & self.members_of_mesh

    def compile_rule(self, policy: Policy, rule: Rule, *, only: int | None = None) -> CompiledRule:
        """Return a rule with its peers and its traffic as bit sets.

        Args:
            policy: that it is of.
            rule: whose peers and ports are the policies' own.
            only: classes of traffic beyond which it says nothing.
        """
        if rule.unreadable:
            peers = [Matches(0, self.everything)]
        elif rule.peers is None:
            peers = [Matches(self.everything)]
        else:
            peers = [self._matches[peer, *by_name(policy, rule)] for peer in peers_of(rule)]
        if rule.uncertain:
            peers = [found.unsure() for found in peers]
        compiled = CompiledRule(
            rule,
            policy,
            rule.action,
            tuple(peers),
            union(peers),
            subjects=None if rule.subjects is None else self._own[rule.subjects, in_mesh(policy)],
            only=self.traffic.everything if only is None else only,
            merged=only is not None,
        )
        if rule.peers and not rule.unreadable:
            taught = [isinstance(p, DomainPeer) and p.seen_by_proxy for p in rule.peers]
            if any(taught):
                compiled.unseen = tuple(
                    found for found, only in zip(peers, taught, strict=True) if not only
                )
        compiled.names = names(rule.traffic)
        compiled.not_names = names(rule.not_traffic)
        compiled.shares = self.shares.of(compiled, NOWHERE, NOWHERE)
        if rule.direction is Direction.EGRESS:
            compiled.split = tuple(self.shares.split(compiled, compiled.matched))
        if compiled.unseen is not None:
            compiled.split_unseen = tuple(self.shares.split(compiled, union(compiled.unseen)))
        return compiled

    def widened(self, compiled: CompiledRule) -> CompiledRule:
        """Return a rule without what it says above the port."""
        rule = compiled.rule
        if rule.layer7 is None and not rule.not_layer7 and not compiled.merged:
            return compiled
        if id(compiled) not in self._widened:
            rule = msgspec.structs.replace(rule, layer7=None, not_layer7=())
            self._widened[id(compiled)] = self.compile_rule(compiled.policy, rule)
        return self._widened[id(compiled)]

    @property
    def icmp_is_open(self) -> bool:
        """Whether NetworkPolicy's effect on ICMP is left open: it is, unless the CNI is known.

        Source: kubernetes.io "Network Policies" ("For all the other protocols, the behaviour may
        vary across network plugins").
        """
        return self.snapshot.profile.cni is Cni.GENERIC

    # -- looking up --------------------------------------------------------------------------

    def element_of_address(self, address: str) -> int:
        """Return the cell, as an element, of an outside address."""
        return self.universe.first_cell + self.space.cell_of(*addresses.parse(address))
