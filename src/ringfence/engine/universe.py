"""Everything that can stand at an end of a connection: the elements, and where they live.

An element is an identity, a node, a cell of outside addresses, or a set of domain names that the
policies tell apart; and where pods take part in a mesh, a Service, by whose address proxies are
called. Under a profile that tells a pod's own node from the others, each node and
each host-network identity is there twice: as any other node, and (its twin) as the own one.
"""

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from ringfence.engine import addresses, bits
from ringfence.engine.addresses import AddressSpace
from ringfence.engine.host_endpoints import MOST_PAIRS, HostEndpoints, Way
from ringfence.engine.labels import PodLabels
from ringfence.engine.traffic import PORTED
from ringfence.model.cluster import ContainerPort, Identity, Pod
from ringfence.model.layer7 import DomainPattern
from ringfence.model.profile import CiliumConfig, Cni
from ringfence.model.selector import LabelExpression
from ringfence.model.snapshot import Snapshot

if TYPE_CHECKING:
    from ringfence.layer7.atoms import Atoms


class Universe:
    """The elements of a snapshot, numbered: identities, nodes, cells, names, twins, Services."""

    def __init__(
        self,
        snapshot: Snapshot,
        space: AddressSpace,
        patterns: tuple[DomainPattern, ...],
        family: int,
    ) -> None:
        """Number the elements and index the labels of those that have some.

        Args:
            snapshot: the cluster.
            space: how its addresses are cut.
            patterns: the domain names that policies write.
            family: by whose addresses pods and hosts are judged.
        """
        self.snapshot = snapshot
        self.family = family
        self.space = space
        self.patterns = patterns
        self.undecided_names = ""
        """Why names could not be told apart; empty where they were."""
        self.atoms = self._cut_names()
        self.first_identity: list[int] = []
        """Per workload, the element of its first identity; its others follow."""
        self.identities: list[tuple[int, int]] = []
        """Per identity element, its workload and its number in it."""
        for w, workload in enumerate(snapshot.workloads):
            self.first_identity.append(len(self.identities))
            self.identities += [(w, i) for i in range(len(workload.identities))]
        self.first_node = len(self.identities)
        self.first_cell = self.first_node + len(snapshot.nodes)
        self.first_name = self.first_cell + space.count
        self.first_twin = self.first_name + (self.atoms.count if self.atoms else 1)
        self._hosts = [
            element
            for element in range(self.first_cell)
            if element >= self.first_node or self.identity(element).host_network
        ]
        self.node_number = {node.name: n for n, node in enumerate(snapshot.nodes)}
        self._node_at = {a: n for n, node in enumerate(snapshot.nodes) for a in node.addresses}
        self.host_endpoints = HostEndpoints(snapshot.host_endpoints)
        self.twins = self._hosts if snapshot.profile.cni is Cni.CILIUM else []
        """The elements that have a twin, in the order of their twins."""
        self.twin = {e: self.first_twin + n for n, e in enumerate(self.twins)}
        self._pair_with_host_endpoints()
        self.first_service = self.first_twin + len(self.twins)
        self._copies: dict[int, int] = defaultdict(int)
        for n, element in enumerate(self.twins):
            self._copies[element] |= 1 << self.first_twin + n
        self.meshed = bits.from_members(
            element
            for element in range(self.first_node)
            if (identity := self.identity(element)).mesh and not identity.host_network
        )
        """The identities that take part in a mesh, or may."""
        services = snapshot.services if self.meshed else ()
        self.count = self.first_service + len(services)
        self.services = ((1 << self.count) - 1) & ~((1 << self.first_service) - 1)
        """All Services; nothing where no identity takes part in a mesh."""
        self.service_number = {(s.namespace, s.name): n for n, s in enumerate(services)}
        self.everything = (1 << self.count) - 1
        self.names = ((1 << self.first_twin) - 1) & ~((1 << self.first_name) - 1)
        """All sets of names."""
        self.cells = ((1 << self.first_name) - 1) & ~((1 << self.first_cell) - 1)
        self.every_host = bits.from_members(self._hosts)
        """Nodes and host-network identities; their twins left out."""

        nodes = snapshot.nodes
        self._all_nodes_known = bool(nodes) and all(node.addresses for node in nodes)
        self.pods = PodLabels(
            snapshot,
            [(snapshot.workloads[w].namespace, self.identity(e)) for e, (w, _) in self._numbered()],
        )
        self.networked = self.pods.networked
        """The identities that have a network of their own."""
        self.hosts = self._copied if snapshot.profile.cni is Cni.CALICO else 0
        """The hosts that are subjects of policies."""
        if (
            snapshot.profile.cni is Cni.CILIUM
            and (snapshot.profile.cilium or CiliumConfig()).host_firewall
        ):
            self.hosts = self.with_twins(self.every_host)
        self._scattered: dict[int, dict[int, frozenset[int]]] = {4: {}, 6: {}}
        """Per family, nodes with addresses in several cells, and pods on one of the nodes."""
        self._node_cells = cache(self._cells_of_nodes)
        self._placed = {family: self._place(family) for family in (4, 6)}
        self.families = [self._families(element) for element in range(self.count)]

    def _numbered(self) -> list[tuple[int, tuple[int, int]]]:
        return list(enumerate(self.identities))

    def identity(self, element: int) -> Identity:
        """Return the identity that an element is."""
        w, i = self.identities[element]
        return self.snapshot.workloads[w].identities[i]

    def original(self, element: int) -> int:
        """Return what an element is the twin of; itself where it is none."""
        if self.first_twin <= element < self.first_service:
            return self.twins[element - self.first_twin]
        return element

    def with_twins(self, found: int) -> int:
        """Return a set with the twins of its members."""
        hosts = found & self.every_host if self.twins else 0
        for element in bits.members(hosts):
            found |= self._copies[element]
        return found

    def named_ports(self, element: int) -> list[ContainerPort]:
        """Return the ports of an identity that a rule can name.

        Only pods with a network of their own have some, and in Calico hosts, by their host
        endpoints. Source: NetworkPolicyPort in types.go; Calico `workload_endpoint_default.go`
        also reads init containers.
        """
        element = self.original(element)
        if element >= self.first_node or self.identity(element).host_network:
            return self.host_endpoints.ports_at(self.addresses_of_family(element))
        identity = self.identity(element)
        with_init = self.snapshot.profile.cni is Cni.CALICO
        return [
            port
            for port in identity.ports
            if port.name and (with_init or not port.init) and port.protocol in PORTED
        ]

    # -- domain names ------------------------------------------------------------------------

    def _cut_names(self) -> "Atoms | None":
        """Return the sets of names that the policies tell apart; None where there is but one."""
        if not self.patterns:
            return None
        from ringfence.layer7.atoms import Atoms  # noqa: PLC0415 - only where names are
        from ringfence.layer7.language import NAMES  # noqa: PLC0415
        from ringfence.layer7.undecidable import Undecidable  # noqa: PLC0415

        try:
            return Atoms(self.patterns, NAMES)
        except Undecidable as error:
            self.undecided_names = str(error)
            return None

    def of_name(self, name: str) -> int:
        """Return the element of a domain name."""
        if self.atoms is None:
            return self.first_name
        from ringfence.layer7.names import matches  # noqa: PLC0415 - only where names are
        from ringfence.layer7.undecidable import Undecidable  # noqa: PLC0415

        try:
            return self.first_name + self.atoms.atom_of(name)
        except Undecidable:
            # No name that a policy could mean as such: the wildcards alone may still hold for it.
            held = tuple(n for n, p in enumerate(self.patterns) if matches(p, name))
            known = self.atoms.of_signature
            return self.first_name + (known[held] if held in known else known.get((), 0))

    def names_in_writing(self) -> list[tuple[int, str]]:
        """Return the sets of names that a policy means, each by its narrowest pattern.

        Shape: pairs of the element and what to call it, by element.
        """
        if self.atoms is None:
            return [(self.first_name, p.pattern) for p in self.patterns[:1]]
        masks = {pattern: self.atoms.mask(pattern) for pattern in self.patterns}
        found: dict[str, int] = {}
        for atom in range(self.atoms.count):
            size = {p: mask.bit_count() for p, mask in masks.items() if mask >> atom & 1}
            names = {p.pattern for p in size if size[p] == min(size.values())}
            if name := " and ".join(sorted(names)):
                found[name if name not in found else f"{name} ({atom})"] = self.first_name + atom
        return sorted((element, name) for name, element in found.items())

    def names_of(self, pattern: DomainPattern) -> int:
        """Return the sets of names that a pattern means; all of them where that is undecided."""
        if self.atoms is None:
            return self.names
        return self.atoms.mask(pattern) << self.first_name

    # -- hosts that policies can have for a subject ------------------------------------------

    def _pair_with_host_endpoints(self) -> None:
        """Give each host a twin for every host endpoint that it may have: what policies select."""
        self.ways: dict[int, tuple[Way, ...]] = {}
        """Per host of Calico that may have a host endpoint: those that it may have."""
        self.behind: dict[tuple[int, int], int] = {}
        """Per host and number of a host endpoint, its twin as a subject of policies."""
        self.crowded = 0
        """Hosts that may have so many that they are not told apart."""
        found = self.host_endpoints
        for element in self._hosts if found.all else ():
            node = self.node_name(element)
            self.ways[element] = found.ways(node, self.addresses_of_family(element))
            mine = found.on(node)
            if len(self.behind) + len(mine) > MOST_PAIRS:
                self.crowded |= 1 << element
                continue
            for number in mine:
                self.behind[element, number] = self.first_twin + len(self.twins)
                self.twins.append(element)
        self.ways = {element: ways for element, ways in self.ways.items() if ways}
        self._copied = bits.from_members(self.behind.values())

    def selected_hosts(self, expression: LabelExpression) -> tuple[int, int]:
        """Return whom among the twins of hosts an expression selects by a host endpoint's labels.

        Certainly, and perhaps.
        """
        certain = self.host_endpoints.where(expression)
        perhaps = self.host_endpoints.unlabelled
        return (
            bits.from_members(e for (_, n), e in self.behind.items() if certain >> n & 1),
            bits.from_members(e for (_, n), e in self.behind.items() if perhaps >> n & 1),
        )

    def node_name(self, element: int) -> str:
        """Return the name of the node that a host element is or runs on; empty if not known."""
        number = self.node_of_host(element)
        if number is not None:
            return self.snapshot.nodes[number].name
        return self.identity(element).pods[0].node if self._has_pod(element) else ""

    def nodes_of(self, element: int) -> frozenset[str]:
        """Return the nodes that an identity's pods run on, or that a node is; "" for unknown."""
        if element >= self.first_node:
            return frozenset({self.snapshot.nodes[element - self.first_node].name})
        return frozenset(pod.node for pod in self.identity(element).pods)

    def addresses_of_family(self, element: int) -> list[str]:
        """Return the known addresses of an element that are of the family judged."""
        known = self.element_addresses(element)
        return [a for a in known if addresses.parse(a)[0] == self.family]

    def _has_pod(self, element: int) -> bool:
        return element < self.first_node and bool(self.identity(element).pods)

    def node_of_host(self, element: int) -> int | None:
        """Return the number of the node that a host element is or runs on; None if not known."""
        if element >= self.first_node:
            return element - self.first_node
        return self.node_of(self.identity(element).pods[0]) if self._has_pod(element) else None

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

    def is_among_nodes(self, element: int) -> bool:
        """Return whether a host-network pod must be on a node of the snapshot, not known which.

        So it is where all nodes' addresses are known and it names none that is not among them.
        """
        if element >= self.first_node or not self._all_nodes_known:
            return False
        pods = self.identity(element).pods
        return not (pods and (pods[0].node or pods[0].addresses))

    def _cells_of_nodes(self, family: int) -> frozenset[int]:
        parsed = [addresses.parse(a) for node in self.snapshot.nodes for a in node.addresses]
        return frozenset(self.space.cell_of(family, a) for f, a in parsed if f == family)

    def _families(self, element: int) -> frozenset[int]:
        """Return the families that an element can be reached over."""
        element = self.original(element)
        if element >= self.first_name:
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
                elif self.is_among_nodes(element):
                    self._scattered[family][element] = self._node_cells(family)
                else:
                    hosts_somewhere.append(element)
        placed = {cell: bits.from_members(listed) for cell, listed in by_cell.items()}
        return placed, bits.from_members(pods_somewhere), bits.from_members(hosts_somewhere)

    def placed(self, family: int) -> tuple[dict[int, int], int, int]:
        """Return what lies in each cell of a family, and the pods and hosts of unknown address.

        Shape: (cell → elements, pods, hosts), each a bit set over elements.
        """
        return self._placed[family]

    def scattered(self, family: int) -> dict[int, frozenset[int]]:
        """Return the elements that lie in one of several cells of a family.

        Shape: element → the cells.
        """
        return self._scattered[family]
