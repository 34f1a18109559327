"""What the policies of a snapshot look for: blocks and names; and which policies count."""

from collections.abc import Iterable, Iterator

from ringfence.model.cluster import address_block, api_servers
from ringfence.model.label_space import CILIUM_RESERVED
from ringfence.model.layer7 import DomainPattern, Wildcard
from ringfence.model.rule import (
    Action,
    AddressPeer,
    AnyPeer,
    Direction,
    DomainPeer,
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    Layer,
    Peer,
    Policy,
    Rule,
)
from ringfence.model.selector import expression_keys
from ringfence.model.snapshot import Snapshot


def enforced(snapshot: Snapshot) -> Iterator[Policy]:
    """Yield the policies that anything enforces: of a mesh only where pods take part in one."""
    meshed = any(one.mesh for workload in snapshot.workloads for one in workload.identities)
    yield from (policy for policy in snapshot.policies if meshed or not in_mesh(policy))


def in_mesh(policy: Policy) -> bool:
    """Return whether a mesh enforces a policy."""
    return policy.tier.layer is Layer.MESH


def by_name(policy: Policy, rule: Rule) -> tuple[bool, bool]:
    """Return whether the domain names of Calico's network sets count for a rule, or a mesh asks.

    Source: docs.tigera.io, domain-based policy: they are for egress rules that allow.
    """
    names = rule.direction is Direction.EGRESS and rule.action is Action.ALLOW
    return names, in_mesh(policy)


def peers_of(rule: Rule) -> tuple[Peer, ...]:
    """Return the peers of a rule, the blocks of a mesh's together.

    What lies somewhere within all of them is met, though no single one is known to hold it.
    """
    found = rule.peers or ()
    addresses = tuple(peer for peer in found if isinstance(peer, AddressPeer))
    if len(addresses) < 2:
        return found
    return (AnyPeer(addresses), *(peer for peer in found if not isinstance(peer, AddressPeer)))


def blocks(snapshot: Snapshot, parts: Iterable[Peer]) -> Iterator[IpPeer]:
    """Yield every block that must be cut out of the addresses.

    Args:
        snapshot: the cluster.
        parts: of all peers.
    """
    listed = list(parts)
    for part in listed:
        if isinstance(part, IpPeer):
            yield part
        elif isinstance(part, AddressPeer):
            yield IpPeer(part.cidr)
    for network_set in snapshot.network_sets:
        yield from map(IpPeer, network_set.nets)
    for host in snapshot.host_endpoints:
        yield from (IpPeer(address_block(address)) for address in host.addresses)
    if any(map(may_be_api_server, listed)):
        for address in api_servers(snapshot.services):
            yield IpPeer(address_block(address))


def patterns(snapshot: Snapshot, parts: Iterable[Peer]) -> tuple[DomainPattern, ...]:
    """Return every domain name that policies write.

    Args:
        snapshot: the cluster.
        parts: of all peers.
    """
    found = {part.pattern: None for part in parts if isinstance(part, DomainPeer)}
    for network_set in snapshot.network_sets:
        found |= {DomainPattern(d, Wildcard.COMPONENT): None for d in network_set.domains}
    return tuple(sorted(found))


def may_be_api_server(part: Peer) -> bool:
    """Return whether a peer may depend on the API server's addresses.

    Source: Cilium `Documentation/security/policy/layer3.rst`, "Entities based": `kube-apiserver`,
    which selectors reach by its label `reserved:kube-apiserver`.
    """
    if isinstance(part, LabelPeer):
        return f"{CILIUM_RESERVED}{Entity.KUBE_APISERVER}" in expression_keys(part.expression)
    return isinstance(part, EntityPeer)
