import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from ringfence.assemble import distinctions
from ringfence.assemble.distinctions import Blocks, Distinctions
from ringfence.model.cluster import Service
from ringfence.model.location import Location
from ringfence.model.rule import (
    NETWORK_POLICY,
    Action,
    Direction,
    IpPeer,
    NodePeer,
    Peer,
    PodPeer,
    Policy,
    Rule,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, equals, from_labels

BITS = {4: 32, 6: 128}


def cidrs(family: int) -> st.SearchStrategy[list[str]]:
    """Blocks that often contain each other, at either end of the family's space too."""
    bits = BITS[family]

    def block(address: int, prefix: int) -> str:
        return str(ipaddress.ip_network((address, prefix), strict=False))

    first = (1 << bits) - 1
    addresses = st.sampled_from([0, first, first >> 1, 10 << (bits - 8), (10 << (bits - 8)) + 77])
    prefixes = st.sampled_from([0, 1, 8, bits - 8, bits - 7, bits - 1, bits])
    return st.lists(st.builds(block, addresses, prefixes), max_size=8)


@given(family=st.sampled_from([4, 6]), data=st.data())
def test_equal_surroundings_mean_membership_in_the_same_blocks(
    family: int, data: st.DataObject
) -> None:
    written = data.draw(cidrs(family))
    networks = [ipaddress.ip_network(cidr) for cidr in written]
    blocks = Blocks(family, written)
    edges = {0, (1 << BITS[family]) - 1}
    for network in networks:
        low, high = int(network.network_address), int(network.broadcast_address)
        edges |= {low, high, max(low - 1, 0), min(high + 1, (1 << BITS[family]) - 1)}
    make = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    membership: dict[int, tuple[bool, ...]] = {}
    for value in sorted(edges):
        lies_in = tuple(make(value) in network for network in networks)
        assert membership.setdefault(blocks.around(value), lies_in) == lies_in
    assert len(set(membership.values())) == len(membership)


@given(family=st.sampled_from([4, 6]), data=st.data())
def test_across_a_range_is_what_is_around_its_addresses(family: int, data: st.DataObject) -> None:
    blocks = Blocks(family, data.draw(cidrs(family)))
    start = data.draw(st.sampled_from([0, 10 << (BITS[family] - 8), (1 << BITS[family]) - 300]))
    values = range(start, start + 300)
    assert blocks.across(values[0], values[-1]) == {blocks.around(value) for value in values}


def test_blocks_of_the_other_family_are_left_out() -> None:
    assert Blocks(4, ["::/0"]).around(0) == -1
    assert Blocks(6, ["::/0"]).around(0) == 0


def policy(*peers: Peer, pods: LabelSelector = EVERYTHING) -> Policy:
    rule = Rule(
        direction=Direction.INGRESS, action=Action.ALLOW, peers=peers, traffic=None, path=()
    )
    return Policy(
        document=0,
        kind="NetworkPolicy",
        namespace="shop",
        name="p",
        tier=NETWORK_POLICY,
        subject=PodPeer(EVERYTHING, pods),
        rules=(rule,),
    )


def service(selector: LabelSelector) -> Service:
    return Service(
        namespace="shop",
        name="s",
        type="ClusterIP",
        selector=selector,
        ports=(),
        location=Location("x"),
    )


def test_per_pod_labels_are_hidden_unless_something_selects_by_them() -> None:
    assert distinctions.find([], []) == Distinctions(distinctions.PER_POD_LABELS)
    by_subject = policy(pods=from_labels({"pod-template-hash": "x"}))
    by_peer = policy(PodPeer(EVERYTHING, from_labels({"job-name": "x"})))
    by_service = service(from_labels({"statefulset.kubernetes.io/pod-name": "db-0"}))
    found = distinctions.find([by_subject, by_peer], [by_service])
    assert distinctions.PER_POD_LABELS - found.hidden == {
        "pod-template-hash",
        "job-name",
        "statefulset.kubernetes.io/pod-name",
    }


def test_every_block_and_exception_counts() -> None:
    found = distinctions.find([policy(IpPeer("10.0.0.0/8", ("10.1.0.0/16",)))], [])
    assert found.blocks == {"10.0.0.0/8", "10.1.0.0/16"}


def test_nodes_count_only_where_a_policy_selects_some() -> None:
    assert distinctions.find([policy()], []).node_keys is None
    assert distinctions.find([policy(NodePeer(EVERYTHING))], []).node_keys == ()
    assert distinctions.find([policy(NodePeer(equals(b="1", a="2")))], []).node_keys == ("a", "b")


def test_the_common_place_of_a_range_that_a_block_cuts_is_unknown() -> None:
    blocks = {family: Blocks(family, ["10.128.0.0/9"]) for family in (4, 6)}
    assert distinctions.common_place(blocks, ["10.0.0.0/8"]) is None
    assert distinctions.common_place(blocks, ["10.0.0.0/9", "fd00::/8"]) == {4: -1, 6: -1}
    assert distinctions.common_place(blocks, ["10.0.0.0/9", "10.128.0.0/9"]) is None
