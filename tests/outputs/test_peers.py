"""Peers that policies decide about, among those that they do not."""

from ringfence.model.connectivity import Peer
from ringfence.outputs._peers import Peers

OUTSIDE = Peer("0.0.0.0-255.255.255.255", "External")
WEB = Peer("shop/web", "Deployment")


def test_a_node_that_is_no_subject_has_no_pairs_with_the_outside() -> None:
    peers = Peers((WEB, Peer("node/a", "Node"), OUTSIDE))
    assert peers.left_out(1) == [1, 2]
    assert peers.left_out(2) == [1, 2]


def test_a_node_that_is_a_subject_has_all_pairs_but_that_with_itself() -> None:
    peers = Peers((WEB, Peer("node/a", "Node", policed=True), Peer("node/b", "Node"), OUTSIDE))
    assert peers.left_out(1) == [1]
    assert peers.left_out(3) == [2, 3]
