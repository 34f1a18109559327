"""Gathers what an emitter must know of the cluster that its policies are for."""

from ringfence.learn.dependency_map import PRIVATE, PRIVATE_V6
from ringfence.learn.resolve import pod_networks
from ringfence.learn.wishes import CILIUM, Wishes
from ringfence.model.cluster import api_servers
from ringfence.model.profile import CiliumConfig
from ringfence.model.proposal import Surroundings
from ringfence.model.snapshot import Snapshot


def surroundings(snapshot: Snapshot, wishes: Wishes) -> Surroundings:
    """Return what policies for a cluster may have to say in place of what they cannot."""
    pods = pod_networks(snapshot)
    nodes = {address for node in snapshot.nodes for address in node.addresses}
    v6 = any(network.version == 6 for network in pods)
    cilium = snapshot.profile.cilium or CiliumConfig()
    return Surroundings(
        nodes=tuple(sorted(nodes)),
        inside=tuple(sorted({*PRIVATE, *(PRIVATE_V6 if v6 else ()), *map(str, pods)})),
        allow_wider=wishes.allow_wider,
        api_servers=tuple(sorted(set(api_servers(snapshot.services)))),
        calico_edition=wishes.edition,
        cilium_version=snapshot.profile.version if wishes.dialect == CILIUM else "",
        blocks_match_nodes=cilium.cidrs_match_nodes,
        staged=wishes.staged,
    )
