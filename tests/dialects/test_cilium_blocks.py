"""Blocks of addresses in Cilium's rules, and groups of them."""

from typing import Any

import pytest

from dialects.cilium_documents import (
    group,
    refused_rule,
    rule,
    rules,
)
from ringfence.dialects._cilium_blocks import ANY_BLOCK
from ringfence.model.rule import (
    AllPeers,
    IpPeer,
)

# -- blocks ------------------------------------------------------------------------------------


def blocks(item: Any, *others: Any, **how: Any) -> Any:
    return rule("ingress", {"fromCIDRSet": [item]}, others=others, **how).peers


def test_blocks_are_canonical() -> None:
    found = rule("egress", {"toCIDR": ["10.1.2.3/8", "2001:DB8::/32"]})
    assert found.peers == (IpPeer("10.0.0.0/8"), IpPeer("2001:db8::/32"))


def test_an_address_is_a_block_before_1_20() -> None:
    assert "is not a CIDR" in refused_rule("egress", {"toCIDR": ["10.1.2.3"]})
    found = rule("egress", {"toCIDR": ["10.1.2.3"]}, version="1.19.0")
    assert found.peers == (IpPeer("10.1.2.3/32"),)


@pytest.mark.parametrize("written", ["10.0.0.0/255.0.0.0", "10.0.0.0/33", "x", "10.0.0.0/08"])
def test_what_is_no_block_is_refused(written: str) -> None:
    assert "is not a CIDR" in refused_rule("egress", {"toCIDR": [written]})
    assert "is not a CIDR" in refused_rule("egress", {"toCIDRSet": [{"cidr": written}]})


def test_exceptions_lie_in_the_block() -> None:
    item = {"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16", "10.1.0.0/16"]}
    assert blocks(item) == (IpPeer("10.0.0.0/8", ("10.1.0.0/16", "10.2.0.0/16")),)
    assert blocks({"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}) == (
        IpPeer("10.0.0.0/8", ("10.0.0.0/8",)),
    )
    outside = {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}
    assert "does not lie in" in refused_rule("ingress", {"fromCIDRSet": [outside]})


@pytest.mark.parametrize("item", [{}, {"cidr": "10.0.0.0/8", "cidrGroupRef": "g"}])
def test_exactly_one_form_of_block(item: Any) -> None:
    assert "exactly one of cidr" in refused_rule("ingress", {"fromCIDRSet": [item]})


def test_a_group_by_name() -> None:
    g = group("g", "10.0.0.0/8", "9.0.0.0/8")
    assert blocks({"cidrGroupRef": "g"}, g) == (IpPeer("10.0.0.0/8"), IpPeer("9.0.0.0/8"))
    assert blocks({"cidrGroupRef": "other"}, g) == ()


def test_groups_by_label() -> None:
    groups = (group("a", "1.0.0.0/8", team="x"), group("b", "2.0.0.0/8", team="y"))
    both = {"key": "team", "operator": "In", "values": ["x", "y"]}
    assert blocks({"cidrGroupSelector": {"matchLabels": {"team": "x"}}}, *groups) == (
        IpPeer("1.0.0.0/8"),
    )
    assert blocks({"cidrGroupSelector": {"matchExpressions": [both]}}, *groups) == (
        IpPeer("1.0.0.0/8"),
        IpPeer("2.0.0.0/8"),
    )


def test_a_block_has_the_labels_of_all_its_groups() -> None:
    groups = (group("a", "1.0.0.0/8", team="x"), group("b", "1.0.0.0/8", zone="z"))
    selector = {"matchLabels": {"team": "x", "zone": "z"}}
    assert blocks({"cidrGroupSelector": selector}, *groups) == (IpPeer("1.0.0.0/8"),)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"cidrGroupRef": "bad"}, "could not be read"),
        ({"cidrGroupSelector": {"matchLabels": {"team": "x"}}}, "could not be read"),
        ({"cidrGroupSelector": {}}, "asks for no label"),
        ({"cidrGroupRef": "g", "except": ["10.1.0.0/16"]}, "`except`"),
    ],
)
def test_groups_that_cannot_be_told_leave_the_rule_open(item: Any, reason: str) -> None:
    others = (group("g", "10.0.0.0/8"), group("bad", "moon"))
    found = rule("ingress", {"fromCIDRSet": [item]}, others=others)
    assert reason in found.uncertain
    outside = (AllPeers((IpPeer("10.0.0.0/8"),)),) if "except" in item else ANY_BLOCK
    assert found.peers == outside


def test_what_else_a_rule_lists_stays_certain() -> None:
    others = (group("g", "10.0.0.0/8"), group("bad", "moon"))
    listed = [{"cidrGroupRef": "bad"}, {"cidrGroupRef": "g"}]
    sure, open_ = rules("ingress", {"fromCIDRSet": listed}, others=others)
    assert (sure.peers, sure.uncertain) == ((IpPeer("10.0.0.0/8"),), "")
    assert (open_.peers, "bad" in open_.uncertain) == (ANY_BLOCK, True)


def test_a_label_of_two_values_leaves_a_block_open() -> None:
    twice = (group("g", "10.0.0.0/8", team="x"), group("h", "10.0.0.0/8", team="y"))
    selector = {"cidrGroupSelector": {"matchLabels": {"team": "x"}}}
    found = rule("ingress", {"fromCIDRSet": [selector]}, others=twice)
    assert found.peers == (AllPeers((IpPeer("10.0.0.0/8"),)),)
    assert "two values" in found.uncertain


def test_groups_of_a_cloud_leave_the_rule_open() -> None:
    found = rule("egress", {"toGroups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]})
    assert found.peers == ANY_BLOCK
    assert "security group" in found.uncertain
