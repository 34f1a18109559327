"""Which elements a peer of a rule stands for: those that match, and those that perhaps do."""

from functools import cache

from ringfence.engine import addresses, bits
from ringfence.engine.labels import LabelIndex, holds
from ringfence.engine.matches import NOTHING, Matches, union
from ringfence.engine.members import Members
from ringfence.engine.universe import Universe
from ringfence.model.cluster import address_block, api_servers
from ringfence.model.label_space import CILIUM_RESERVED
from ringfence.model.layer7 import DomainPattern, Wildcard
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.rule import (
    AddressPeer,
    AllPeers,
    AnyPeer,
    DomainPeer,
    Entity,
    EntityPeer,
    FamilyPeer,
    IpPeer,
    LabelPeer,
    MeshPeer,
    NodePeer,
    NotPeer,
    Peer,
    PodPeer,
    PrincipalPeer,
    ServicePeer,
)
from ringfence.model.selector import LabelExpression


class Peers:
    """Finds what peers stand for, pods judged by their addresses of one family."""

    def __init__(self, universe: Universe, family: int) -> None:
        """Prepare the look-up; nothing is matched yet."""
        self._universe = universe
        self._family = family
        snapshot = self._snapshot = universe.snapshot
        self._cni = snapshot.profile.cni
        self._config = snapshot.profile.cilium or CiliumConfig()
        self._nodes = LabelIndex([node.labels for node in snapshot.nodes])
        self._members = Members(universe)
        self.match = cache(self._match)
        self.in_family = cache(self._in_family)
        self._reserved = cache(self._find_reserved)
        self._carrying = cache(self._find_carrying)
        self._api_server = cache(self._match_api_server)
        sets = snapshot.network_sets
        self._sets = LabelIndex([found.labels for found in sets])
        self._unlabelled_sets = bits.from_members(
            number for number, found in enumerate(sets) if not found.labels_known
        )
        self._of_set = cache(self._network_set)
        self._of_host_endpoint = cache(self._host_endpoint)
        self._sets_where = cache(self._sets.where)

    def _in_family(self, family: int) -> int:
        """Return what is reached over a family where pods are judged by this one."""
        universe = self._universe
        first = universe.first_cell
        own = (
            cell for cell in range(universe.space.count) if universe.space.family_of(cell) == family
        )
        cells = bits.from_members(first + cell for cell in own)
        return cells | (universe.everything & ~universe.cells if family == self._family else 0)

    def _match(self, peer: Peer, *, names: bool = True, mesh: bool = False) -> Matches:
        """Return what a peer stands for.

        Args:
            peer: of a rule.
            names: whether the domain names of Calico's network sets count.
            mesh: whether a mesh asks, for which the CNI's own view of pods does not count.
        """
        universe = self._universe
        match peer:
            case PodPeer():
                return Matches(universe.pods.select(peer.namespaces, peer.pods, whole=mesh))
            case LabelPeer():
                return self._match_labels(peer.expression, names=names)
            case IpPeer():
                return self._with_twins(self._match_block(peer))
            case NodePeer():
                return self._with_twins(self._match_nodes(peer))
            case EntityPeer():
                return self._match_entity(peer.entity)
            case DomainPeer():
                return self._match_name(peer.pattern)
            case FamilyPeer():
                return Matches(self.in_family(peer.family))
            case AllPeers():
                if block := _block_of(peer):
                    return self._with_twins(self._match_addresses(block))
                found = Matches(universe.everything)
                for part in peer.parts:
                    found &= self.match(part, names=names, mesh=mesh)
                return found
            case AnyPeer():
                return self._match_any(peer, names=names, mesh=mesh)
            case NotPeer():
                held = self.match(peer.part, names=False, mesh=mesh)
                return held.without(universe.everything)
            case AddressPeer() | MeshPeer() | PrincipalPeer() | ServicePeer():
                return self._match_of_mesh(peer)

    def _match_of_mesh(self, peer: AddressPeer | MeshPeer | PrincipalPeer | ServicePeer) -> Matches:
        """Return what a peer stands for that a mesh tells apart."""
        match peer:
            case AddressPeer():
                return self._with_twins(self._match_addresses(IpPeer(peer.cidr)))
            case MeshPeer():
                return Matches(self._members.of(peer))
            case PrincipalPeer():
                return self._members.proving(peer.pattern)
            case ServicePeer():
                number = self._universe.service_number.get((peer.namespace, peer.name))
                first = self._universe.first_service
                return NOTHING if number is None else Matches(1 << first + number)

    def _with_twins(self, found: Matches) -> Matches:
        universe = self._universe
        return Matches(universe.with_twins(found.certain), universe.with_twins(found.perhaps))

    def _match_name(self, pattern: DomainPattern) -> Matches:
        found = self._universe.names_of(pattern)
        return Matches(0, found) if self._universe.undecided_names else Matches(found)

    # -- labels ------------------------------------------------------------------------------

    def _match_labels(self, expression: LabelExpression, *, names: bool) -> Matches:
        found = self.match_own_labels(expression)
        if self._cni is Cni.CALICO:
            found |= self._labelled_addresses(expression, names=names)
        return found

    def match_subject(self, peer: Peer, *, mesh: bool = False) -> Matches:
        """Return whom a policy's subject means: in Calico host endpoints by their labels.

        Source: Calico `felix/calc/active_rules_calculator.go`, which matches workload and host
        endpoints by labels alone, not network sets or addresses.
        """
        if self._cni is not Cni.CALICO or not isinstance(peer, LabelPeer):
            return self.match(peer, mesh=mesh)
        pods = self._universe.pods.where(peer.expression)
        certain, perhaps = self._universe.selected_hosts(peer.expression)
        return Matches(pods | certain, perhaps & ~certain)

    def match_own_labels(self, expression: LabelExpression) -> Matches:
        """Return what meets an expression by labels of its own, not by its address.

        Source: Cilium `pkg/labels/labels.go`: what is no pod has labels of the source `reserved`.
        """
        pods = Matches(self._universe.pods.where(expression))
        if self._cni is Cni.CILIUM:
            return pods | self._reserved(expression)
        return pods

    def _labelled_addresses(self, expression: LabelExpression, *, names: bool) -> Matches:
        """Return the addresses, and names, of the network sets and host endpoints selected.

        Source: Calico `felix/calc/rule_scanner.go`: a selector becomes one set of addresses, of
        pods, host endpoints and network sets.
        """
        found = NOTHING
        for number in bits.members(self._sets_where(expression) | self._unlabelled_sets):
            found |= self._of_set(number, names=names)
        hosts = self._universe.host_endpoints
        for number in bits.members(hosts.where(expression) | hosts.unlabelled):
            found |= self._of_host_endpoint(number)
        return found

    def _network_set(self, number: int, *, names: bool) -> Matches:
        """Return the addresses and, where they count, the names of a network set."""
        one = self._snapshot.network_sets[number]
        if one.unreadable:
            return Matches(0, self._universe.everything)
        nets = self.match(AnyPeer(tuple(map(IpPeer, one.nets))))
        patterns = (DomainPattern(d, Wildcard.COMPONENT) for d in one.domains if names)
        return nets | union(map(self._match_name, patterns))

    def _host_endpoint(self, number: int) -> Matches:
        """Return whoever has the addresses of a host endpoint."""
        one = self._universe.host_endpoints.all[number]
        if one.unreadable:
            return Matches(0, self._universe.everything)
        return union(self.match(IpPeer(address_block(a))) for a in one.addresses)

    def _find_reserved(self, expression: LabelExpression) -> Matches:
        """Return what is no pod and carries reserved labels that meet an expression.

        Source: Cilium `pkg/labels/labels.go` LabelHost and the others; `pkg/labels/cidr.go`.
        """

        def carry(*names: str) -> bool:
            return holds(expression, {CILIUM_RESERVED + name: "" for name in names})

        sorts = (("host",), ("remote-node",), *(("world", f"world-ipv{f}") for f in (4, 6)))
        return self._carrying(
            tuple((carry(*names), carry(*names, Entity.KUBE_APISERVER)) for names in sorts)
        )

    def _find_carrying(self, held: tuple[tuple[bool, bool], ...]) -> Matches:
        """Return what carries the labels of which an expression holds.

        Args:
            held: whether it holds for the labels of the own node, of another, of the outside over
                IPv4 and over IPv6; and for the same with the label of the API server.
        """
        universe = self._universe
        outside = (
            (self.in_family(family) & universe.cells)
            | (universe.names if family == self._family else 0)
            for family in (4, 6)
        )
        twins = universe.with_twins(universe.every_host) & ~universe.every_host
        sorts = (twins, universe.every_host, *outside)
        servers = self._with_twins(self._api_server())
        certain = perhaps = 0
        for members, (plain, serving) in zip(sorts, held, strict=True):
            certain |= members & servers.certain if serving else 0
            certain |= members & ~servers.possible if plain else 0
            unsure = members & servers.perhaps & ~servers.certain
            certain |= unsure if plain and serving else 0
            perhaps |= unsure if plain != serving else 0
        return Matches(certain, perhaps)

    # -- Cilium's entities -------------------------------------------------------------------

    def _match_entity(self, entity: Entity) -> Matches:
        universe = self._universe
        match entity:
            case Entity.HOST:
                return Matches(universe.with_twins(universe.every_host) & ~universe.every_host)
            case Entity.REMOTE_NODE:
                return Matches(universe.every_host)
            case Entity.WORLD:
                return Matches(universe.cells | universe.names)
            case Entity.PODS:
                return Matches(universe.networked)
            case Entity.KUBE_APISERVER:
                return self._with_twins(self._api_server())

    def _match_api_server(self) -> Matches:
        """Return the hosts and outside addresses behind `default/kubernetes`.

        Where these are not known, any may be. A domain's name never is the API server's.
        """
        known = api_servers(self._snapshot.services)
        universe = self._universe
        hosts_and_cells = universe.every_host | universe.cells
        if not known:
            return Matches(0, hosts_and_cells)
        found = union(self._match_addresses(IpPeer(address_block(a))) for a in known)
        return found.within(hosts_and_cells)

    # -- addresses ---------------------------------------------------------------------------

    def _match_block(self, peer: IpPeer) -> Matches:
        """Return what lies in a block; on Cilium what of the cluster does only where it is told.

        Source: Cilium `labels/cidr.go`, `pkg/policy/types/selector.go` CIDRSelector.Matches.
        """
        found = self._match_addresses(peer)
        if self._cni is not Cni.CILIUM:
            return found
        universe = self._universe
        heeded = universe.cells | universe.names
        if self._config.cidrs_match_nodes:
            heeded |= universe.every_host
        if self._config.cidrs_match_pods:
            heeded |= universe.networked
        return found.within(heeded)

    def _match_any(self, peer: AnyPeer, *, names: bool, mesh: bool) -> Matches:
        """Return what at least one part matches.

        Calico gathers the blocks of a rule: what lies somewhere within all of them together is
        met, though no single one is known to hold it. So it is with the networks of a mesh.
        """
        gathered = [block for part in peer.parts if (block := _block_of(part))]
        if len(gathered) > 1:
            others = (part for part in peer.parts if not _block_of(part))
            found = union(self.match(part, names=names, mesh=mesh) for part in others)
            return found | self._with_twins(self._match_addresses(*gathered))
        if self._cni is Cni.CALICO:
            blocks = tuple(part for part in peer.parts if isinstance(part, IpPeer))
            if len(blocks) == len(peer.parts):
                return self._with_twins(self._match_addresses(*blocks))
        told = [IpPeer(part.cidr) for part in peer.parts if isinstance(part, AddressPeer)]
        others = (part for part in peer.parts if not isinstance(part, AddressPeer))
        found = union(self.match(part, names=names, mesh=mesh) for part in others)
        return found | self._with_twins(self._match_addresses(*told)) if told else found

    def _match_addresses(self, *blocks: IpPeer) -> Matches:
        """Return what lies in any of several blocks, which are taken together."""
        universe, family = self._universe, self._family
        certain = perhaps = 0
        runs: list[tuple[int, int]] = []
        for block_ in blocks:
            of_block = universe.space.cells_of(block_)
            for first, past in of_block:
                certain |= ((1 << (past - first)) - 1) << (universe.first_cell + first)
            if addresses.intervals(block_)[0] == family:
                runs += of_block
        covered = addresses.together(blocks, family)
        if not covered:
            return Matches(certain)
        whole = addresses.is_whole(covered, family)
        # Where a name's address lies is not known unless the block is all of IPv4 (or of IPv6,
        # where that is the family asked for).
        if whole:
            certain |= universe.names
        else:
            perhaps |= universe.names
        placed, pods_somewhere, hosts_somewhere = universe.placed(family)
        for first, past in runs:
            if past - first < len(placed):
                for cell in range(first, past):
                    certain |= placed.get(cell, 0)
            else:
                for cell, elements in placed.items():
                    if first <= cell < past:
                        certain |= elements
        for element, cells in universe.scattered(family).items():
            held = [any(first <= cell < past for first, past in runs) for cell in cells]
            certain |= (bool(held) and all(held)) << element
            perhaps |= any(held) << element
        match addresses.covers(covered, family, self._snapshot.pod_cidrs):
            case True:
                certain |= pods_somewhere
            case None:
                perhaps |= pods_somewhere
        if whole:
            certain |= hosts_somewhere
        else:
            perhaps |= hosts_somewhere
        return Matches(certain, perhaps & ~certain)

    def _match_nodes(self, peer: NodePeer) -> Matches:
        universe = self._universe
        chosen = self._nodes.select(peer.nodes)
        certain, perhaps = chosen << universe.first_node, 0
        for element in range(universe.first_node):
            identity = universe.identity(element)
            if identity.host_network:
                node = universe.node_of(identity.pods[0]) if identity.pods else None
                if node is None:
                    if universe.is_among_nodes(element) and chosen == self._nodes.everyone:
                        certain |= 1 << element
                    elif chosen or not universe.node_number:
                        perhaps |= 1 << element
                elif chosen >> node & 1:
                    certain |= 1 << element
        return Matches(certain, perhaps)


def _block_of(peer: Peer) -> IpPeer | None:
    """Return as one block the addresses that a mesh compares, with what is left out of them."""
    parts = peer.parts if isinstance(peer, AllPeers) else (peer,)
    held = [part.cidr for part in parts if isinstance(part, AddressPeer)]
    negated = [part.part for part in parts if isinstance(part, NotPeer)]
    out = tuple(part.cidr for part in negated if isinstance(part, AddressPeer))
    if len(held) != 1 or len(held) + len(out) != len(parts):
        return None
    return IpPeer(held[0], out)
