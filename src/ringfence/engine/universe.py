"""Everything that can stand at an end of a connection, and which of it each peer stands for.

An element is an identity, a node, a cell of outside addresses, or a domain name that a policy
writes. Peers become pairs of bit sets over the elements: those that match, and those that
perhaps do (their address is not known).
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache

from ringfence.engine import addresses, bits
from ringfence.engine.addresses import AddressSpace
from ringfence.engine.traffic import PORTED
from ringfence.model.cluster import ContainerPort, Identity, Pod
from ringfence.model.profile import Cni
from ringfence.model.rule import DomainPeer, IpPeer, NodePeer, Peer, PodPeer
from ringfence.model.selector import LabelSelector, Operator, Requirement
from ringfence.model.snapshot import Snapshot

NO_IDENTITY = re.compile(
    r"(?!app\.kubernetes\.io)("
    r"io\.kubernetes|kubernetes\.io|k8s\.io|topology\.kubernetes\.io|.*beta\.kubernetes\.io"
    r"|pod-template-(hash|generation)|controller-revision-hash|controller-uid"
    r"|statefulset\.kubernetes\.io/pod-name|apps\.kubernetes\.io/pod-index"
    r"|batch\.kubernetes\.io/(job-completion-index|controller-uid)|annotation|etcd_node)"
)
"""Labels that Cilium leaves out of a pod's identity, so that no selector sees them.

Source: Cilium `pkg/labelsfilter/filter.go`; each is a prefix.
"""


@dataclass(frozen=True)
class Matches:
    """The elements that a peer stands for."""

    certain: int
    """Bit set of those that it matches."""
    perhaps: int = 0
    """Bit set of those that it may match: their address, or their node, is not known."""


class LabelIndex:
    """Finds by their labels the members of a list, as bit sets."""

    def __init__(self, labels: list[dict[str, str]]) -> None:
        """Index the members' labels."""
        self.everyone = (1 << len(labels)) - 1
        by_pair: dict[tuple[str, str], list[int]] = defaultdict(list)
        by_key: dict[str, list[int]] = defaultdict(list)
        for member, own in enumerate(labels):
            for key, value in own.items():
                by_pair[key, value].append(member)
                by_key[key].append(member)
        self._by_pair, self._by_key = by_pair, by_key
        self._pair = cache(lambda key, value: bits.from_members(by_pair.get((key, value), ())))
        self._key = cache(lambda key: bits.from_members(by_key.get(key, ())))
        self.select = cache(self._select)

    def _select(self, selector: LabelSelector) -> int:
        """Return the members that meet every requirement.

        Source: apimachinery `pkg/labels/selector.go`: NotIn and DoesNotExist hold where the key
        is absent.
        """
        found = self.everyone
        for requirement in selector.requirements:
            found &= self._meet(requirement)
        return found

    def _meet(self, requirement: Requirement) -> int:
        key = requirement.key
        match requirement.operator:
            case Operator.EXISTS:
                return self._key(key)
            case Operator.DOES_NOT_EXIST:
                return self.everyone & ~self._key(key)
            case operator:
                found = 0
                for value in requirement.values:
                    found |= self._pair(key, value)
                return found if operator is Operator.IN else self.everyone & ~found


class Universe:
    """The elements of a snapshot, numbered: identities, nodes, cells, domain names."""

    def __init__(
        self, snapshot: Snapshot, space: AddressSpace, domains: tuple[DomainPeer, ...]
    ) -> None:
        """Number the elements and index the labels of those that have some."""
        self.snapshot = snapshot
        self.space = space
        self.domains = domains
        self.first_identity: list[int] = []
        """Per workload, the element of its first identity; its others follow."""
        self.identities: list[tuple[int, int]] = []
        """Per identity element, its workload and its number in it."""
        for w, workload in enumerate(snapshot.workloads):
            self.first_identity.append(len(self.identities))
            self.identities += [(w, i) for i in range(len(workload.identities))]
        self.first_node = len(self.identities)
        self.first_cell = self.first_node + len(snapshot.nodes)
        self.first_domain = self.first_cell + space.count
        self.count = self.first_domain + len(domains)
        self.everything = (1 << self.count) - 1

        self.node_number = {node.name: n for n, node in enumerate(snapshot.nodes)}
        self._node_at = {a: n for n, node in enumerate(snapshot.nodes) for a in node.addresses}
        nodes = snapshot.nodes
        self._all_nodes_known = bool(nodes) and all(node.addresses for node in nodes)
        own = [self.identity(e) for e in range(self.first_node)]
        labels = [identity.labels for identity in own]
        if snapshot.profile.cni is Cni.CILIUM:
            labels = [{k: v for k, v in one.items() if not _no_identity(k)} for one in labels]
        self._pods = LabelIndex(labels)
        self._nodes = LabelIndex([node.labels for node in snapshot.nodes])
        self._namespaces = LabelIndex([namespace.labels for namespace in snapshot.namespaces])
        number = {namespace.name: n for n, namespace in enumerate(snapshot.namespaces)}
        inhabitants: dict[int, list[int]] = defaultdict(list)
        for element, (w, _) in enumerate(self.identities):
            if not own[element].host_network:
                inhabitants[number[snapshot.workloads[w].namespace]].append(element)
        self._inhabitants = {n: bits.from_members(listed) for n, listed in inhabitants.items()}
        self.networked = 0
        """The identities that have a network of their own: the subjects there can be."""
        for inhabitants_of_one in self._inhabitants.values():
            self.networked |= inhabitants_of_one
        self._in_namespaces = cache(self._find_in_namespaces)
        self._scattered: dict[int, dict[int, frozenset[int]]] = {4: {}, 6: {}}
        """Per family, nodes with addresses in several cells, and pods on one of the nodes."""
        self._placed = {family: self._place(family) for family in (4, 6)}
        self.families = [self._families(element) for element in range(self.count)]

    def identity(self, element: int) -> Identity:
        """Return the identity that an element is."""
        w, i = self.identities[element]
        return self.snapshot.workloads[w].identities[i]

    def _find_in_namespaces(self, selector: LabelSelector) -> int:
        if not selector.requirements:
            return self.networked
        found = 0
        for n in bits.members(self._namespaces.select(selector)):
            found |= self._inhabitants.get(n, 0)
        return found

    def select(self, namespaces: LabelSelector, pods: LabelSelector) -> int:
        """Return the identities selected; those on the host network never are."""
        found = self._in_namespaces(namespaces)
        return found & self._pods.select(pods) if pods.requirements and found else found

    # -- addresses ---------------------------------------------------------------------------

    def element_addresses(self, element: int) -> tuple[str, ...]:
        """Return the known addresses that stand for an element; none for cells and names."""
        if element < self.first_node:
            identity = self.identity(element)
            pod = identity.pods[0] if identity.pods else None
            if pod and (pod.addresses or not identity.host_network):
                return pod.addresses
            if pod:
                number = self.node_of(pod)
                return () if number is None else self.snapshot.nodes[number].addresses
        elif element < self.first_cell:
            return self.snapshot.nodes[element - self.first_node].addresses
        return ()

    def node_of(self, pod: Pod) -> int | None:
        """Return the node of a host-network pod: by its name, else by the address they share."""
        if pod.node:
            return self.node_number.get(pod.node)
        return next((self._node_at[a] for a in pod.addresses if a in self._node_at), None)

    def _is_among_nodes(self, element: int) -> bool:
        """Return whether a host-network pod must be on a node of the snapshot, not known which.

        So it is where all nodes' addresses are known and it names none that is not among them.
        """
        if element >= self.first_node or not self._all_nodes_known:
            return False
        pods = self.identity(element).pods
        return not (pods and (pods[0].node or pods[0].addresses))

    @cache  # noqa: B019 - a universe lives as long as its judge
    def _node_cells(self, family: int) -> frozenset[int]:
        parsed = [addresses.parse(a) for node in self.snapshot.nodes for a in node.addresses]
        return frozenset(self.space.cell_of(family, a) for f, a in parsed if f == family)

    def _families(self, element: int) -> frozenset[int]:
        """Return the families that an element can be reached over."""
        if element >= self.first_domain:
            return frozenset({4, 6})
        if element >= self.first_cell:
            return frozenset({self.space.family_of(element - self.first_cell)})
        if known := self.element_addresses(element):
            return frozenset(addresses.parse(address)[0] for address in known)
        if element >= self.first_node or self.identity(element).host_network:
            return frozenset({4, 6})
        return frozenset(addresses.interval(cidr)[0] for cidr in self.snapshot.pod_cidrs)

    def _place(self, family: int) -> tuple[dict[int, int], int, int]:
        """Return what lies in each cell of a family, and the pods and hosts of unknown address."""
        by_cell: dict[int, list[int]] = defaultdict(list)
        pods_somewhere: list[int] = []
        hosts_somewhere: list[int] = []
        for element in range(self.first_cell):
            known = self.element_addresses(element)
            of_family = [a for f, a in map(addresses.parse, known) if f == family]
            cells = {self.space.cell_of(family, address) for address in of_family}
            if len(cells) > 1:
                self._scattered[family][element] = frozenset(cells)
            elif cells:
                by_cell[cells.pop()].append(element)
            elif not known:
                on_host = element >= self.first_node or self.identity(element).host_network
                if not on_host:
                    pods_somewhere.append(element)
                elif self._is_among_nodes(element):
                    self._scattered[family][element] = self._node_cells(family)
                else:
                    hosts_somewhere.append(element)
        placed = {cell: bits.from_members(listed) for cell, listed in by_cell.items()}
        return placed, bits.from_members(pods_somewhere), bits.from_members(hosts_somewhere)

    # -- peers -------------------------------------------------------------------------------

    def match(self, peer: Peer, family: int) -> Matches:
        """Return the elements that a peer stands for, pods judged by their address of a family."""
        match peer:
            case PodPeer():
                return Matches(self.select(peer.namespaces, peer.pods))
            case IpPeer():
                return self._match_block(peer, family)
            case NodePeer():
                return self._match_nodes(peer)
            case DomainPeer():
                found = (
                    self.first_domain + n
                    for n, written in enumerate(self.domains)
                    if domain_matches(peer, written.pattern.pattern)
                )
                return Matches(bits.from_members(found))
            case _:
                return Matches(0)

    def _match_block(self, peer: IpPeer, family: int) -> Matches:
        own_family, _ = addresses.intervals(peer)
        runs = self.space.cells_of(peer)
        certain = 0
        for first, past in runs:
            certain |= ((1 << (past - first)) - 1) << (self.first_cell + first)
        # Where a name's address lies is not known unless the block is all of IPv4 (or of IPv6,
        # where that is the family asked for).
        names = ((1 << len(self.domains)) - 1) << self.first_domain
        perhaps = 0
        if own_family == family:
            if addresses.whole_family(peer):
                certain |= names
            else:
                perhaps |= names
        # Cilium's blocks match neither pods nor nodes (`labels/cidr.go`).
        if own_family != family or self.snapshot.profile.cni is Cni.CILIUM:
            return Matches(certain, perhaps)
        placed, pods_somewhere, hosts_somewhere = self._placed[family]
        for first, past in runs:
            if past - first < len(placed):
                for cell in range(first, past):
                    certain |= placed.get(cell, 0)
            else:
                for cell, elements in placed.items():
                    if first <= cell < past:
                        certain |= elements
        for element, cells in self._scattered[family].items():
            held = [any(first <= cell < past for first, past in runs) for cell in cells]
            certain |= (bool(held) and all(held)) << element
            perhaps |= any(held) << element
        match addresses.covers(peer, self.snapshot.pod_cidrs):
            case True:
                certain |= pods_somewhere
            case None:
                perhaps |= pods_somewhere
        if addresses.whole_family(peer):
            certain |= hosts_somewhere
        else:
            perhaps |= hosts_somewhere
        return Matches(certain, perhaps)

    def _match_nodes(self, peer: NodePeer) -> Matches:
        chosen = self._nodes.select(peer.nodes)
        certain, perhaps = chosen << self.first_node, 0
        for element in range(self.first_node):
            identity = self.identity(element)
            if identity.host_network:
                node = self.node_of(identity.pods[0]) if identity.pods else None
                if node is None:
                    if self._is_among_nodes(element) and chosen == self._nodes.everyone:
                        certain |= 1 << element
                    elif chosen or not self.node_number:
                        perhaps |= 1 << element
                elif chosen >> node & 1:
                    certain |= 1 << element
        return Matches(certain, perhaps)

    # -- named ports -------------------------------------------------------------------------

    def named_ports(self, element: int) -> list[ContainerPort]:
        """Return the ports of an identity that a rule can name.

        Only pods with a network of their own have some. Source: NetworkPolicyPort in types.go;
        Calico `workload_endpoint_default.go` also reads init containers.
        """
        identity = self.identity(element)
        if identity.host_network:
            return []
        with_init = self.snapshot.profile.cni is Cni.CALICO
        return [
            port
            for port in identity.ports
            if port.name and (with_init or not port.init) and port.protocol in PORTED
        ]


@cache
def _no_identity(key: str) -> bool:
    return NO_IDENTITY.match(key) is not None


def domain_matches(peer: DomainPeer, name: str) -> bool:
    """Return whether a name, or every name of a wildcard, is meant by a domain peer.

    A leading `*.` stands for one or more whole labels, so the apex is not meant.
    Source: network-policy-api NPEP-133.
    """
    pattern = peer.pattern.pattern
    if not pattern.startswith("*."):
        return pattern == name
    suffix = pattern[1:]
    return name.endswith(suffix) and len(name) > len(suffix)


def name_matches(peer: Peer, name: str, family: int) -> bool | None:
    """Return whether a peer means a host of the outside known by its name only; None: perhaps."""
    if isinstance(peer, DomainPeer):
        return domain_matches(peer, name)
    if isinstance(peer, IpPeer) and addresses.intervals(peer)[0] == family:
        return True if addresses.whole_family(peer) else None
    return False
