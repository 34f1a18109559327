import msgspec
import pytest

from reference.small_cluster import BARE, NOWHERE, cluster, end, policy, verdict
from ringfence.model.cluster import Identity, Node, Pod, Protocol, Workload
from ringfence.model.connection import Connection, PodEnd
from ringfence.model.snapshot import Snapshot
from ringfence.reference.ends import Host, OwnPod, family_of, party_of

FOUR, SIX = ("10.1.9.9",), ("fd00::9",)


def with_pod(
    addresses: tuple[str, ...], pod_cidrs: tuple[str, ...], *, host_network: bool = False
) -> Snapshot:
    pods = (Pod("extra", addresses),)
    identity = Identity({"app": "extra"}, host_network=host_network, pods=pods)
    extra = Workload("Pod", "lab", "extra", (identity,), NOWHERE)
    return msgspec.structs.replace(BARE, workloads=(*BARE.workloads, extra), pod_cidrs=pod_cidrs)


def family(snapshot: Snapshot, source: str, destination: str, asked: int | None = None) -> int:
    ends = end(snapshot, source), end(snapshot, destination)
    return family_of(snapshot, Connection(*ends, Protocol.TCP, 80, asked))


@pytest.mark.parametrize(
    ("addresses", "pod_cidrs", "peer", "expected"),
    [
        (FOUR + SIX, ("10.0.0.0/8",), "shop/web", 4),
        (SIX, ("10.0.0.0/8",), "shop/web", 4),  # nothing common: IPv4
        (SIX, ("fd00::/8",), "lab/planned", 6),
        ((), ("fd00::/8",), "lab/planned", 6),
        ((), ("10.0.0.0/8", "fd00::/8"), "lab/planned", 4),
        (SIX, ("10.0.0.0/8",), "fd01::1", 6),
        (FOUR + SIX, ("10.0.0.0/8",), "fd01::1", 6),
        (SIX, ("10.0.0.0/8",), "node/n1", 4),
        (SIX, ("10.0.0.0/8",), "api.example", 6),
        (FOUR, ("10.0.0.0/8",), "api.example", 4),
    ],
)
def test_family(
    addresses: tuple[str, ...], pod_cidrs: tuple[str, ...], peer: str, expected: int
) -> None:
    snapshot = with_pod(addresses, pod_cidrs)
    assert family(snapshot, "lab/extra", peer) == expected
    assert family(snapshot, peer, "lab/extra") == expected
    assert family(snapshot, peer, "lab/extra", asked=10 - expected) == 10 - expected


def test_host_pod_of_which_nothing_is_known_has_both_families() -> None:
    snapshot = with_pod((), ("fd00::/8",), host_network=True)
    assert family(snapshot, "lab/extra", "lab/planned") == 6


def test_host_pod_is_its_node_by_name_then_by_address() -> None:
    snapshot = with_pod(("192.168.0.2",), ("10.1.0.0/16",), host_network=True)
    found = party_of(snapshot, end(snapshot, "lab/extra"), 4)
    assert isinstance(found, Host)
    assert found.node is not None
    assert found.node.name == "n2"


def test_labels_of_the_single_pod_count_too() -> None:
    pods = (Pod("p", labels=(("hash", "1"),)),)
    identity = Identity({"app": "x"}, pods=pods)
    extra = Workload("Deployment", "lab", "extra", (identity,), NOWHERE)
    snapshot = msgspec.structs.replace(BARE, workloads=(extra,))
    found = party_of(snapshot, PodEnd(0, 0), 4)
    assert isinstance(found, OwnPod)
    assert found.labels == {"app": "x", "hash": "1"}


def test_namespace_that_is_nowhere_defined_has_its_name() -> None:
    snapshot = msgspec.structs.replace(BARE, namespaces=())
    found = party_of(snapshot, end(snapshot, "shop/web"), 4)
    assert isinstance(found, OwnPod)
    assert found.namespace_labels == {"kubernetes.io/metadata.name": "shop"}


def test_node_with_several_addresses_is_in_a_block_if_all_of_them_are() -> None:
    nodes = (Node("n1", {}, ("192.168.0.1", "203.0.113.1")),)
    inner = policy("np", "ingress: [{from: [{ipBlock: {cidr: 192.168.0.0/16}}]}]")
    outer = policy("np", "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]")
    other = policy("np", "ingress: [{from: [{ipBlock: {cidr: 198.51.100.0/24}}]}]")
    assert verdict(cluster(inner, nodes=nodes), "node/n1", "shop/db") == "unknown"
    assert verdict(cluster(outer, nodes=nodes), "node/n1", "shop/db") == "allow"
    assert verdict(cluster(other, nodes=nodes), "node/n1", "shop/db") == "deny"


def test_outside_client_of_the_other_family_is_judged_in_its_own() -> None:
    snapshot = cluster(policy("np", "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"))
    assert verdict(snapshot, "8.8.8.8", "shop/db") == "allow"
    assert verdict(snapshot, "2001:db8::1", "shop/db") == "deny"
