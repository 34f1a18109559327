"""One connection to be judged: its two ends already resolved to what the kernel sees."""

import msgspec

from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import ANYTHING, Request


class PodEnd(msgspec.Struct, frozen=True, tag="pod"):
    """Pods of one identity, or one pod of it."""

    workload: int
    """Index into `Snapshot.workloads`."""
    identity: int
    """Index into that workload's `identities`."""
    pod: int | None = None
    """Index into that identity's `pods`, where the question named a single pod."""


class AddressEnd(msgspec.Struct, frozen=True, tag="address"):
    """An address outside the cluster: neither a pod's nor a node's."""

    address: str


class NodeEnd(msgspec.Struct, frozen=True, tag="node"):
    """A node itself (its kubelet, or a process in its network namespace)."""

    node: int
    """Index into `Snapshot.nodes`."""
    address: str = ""
    """The one of its addresses that is meant; empty where any of them may be."""


class DomainEnd(msgspec.Struct, frozen=True, tag="domain"):
    """A host of the outside of which only the domain name is known."""

    name: str
    """Lower case, without a final dot."""


End = PodEnd | AddressEnd | NodeEnd | DomainEnd


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first packet of a connection, after Service addresses were rewritten."""

    source: End
    destination: End
    protocol: Protocol = Protocol.TCP
    port: int | None = None
    """The destination's port, 0 to 65535. For ICMP 256 times the type plus the code, as in
    `rule.PortRange`; None there: any type."""
    family: int | None = None
    """4 or 6; None: whichever both ends have (IPv4 if nothing tells)."""
    request: Request = ANYTHING
    """What is known of what is said above the port."""
    service: int | None = None
    """The Service by whose address it was sent, as an index into `Snapshot.services`; None: by the
    destination's own. Where no mesh is, that makes no difference."""
