import ipaddress
from typing import Any

import pytest

from reference.small_cluster import BARE, end
from ringfence.model.cluster import Protocol
from ringfence.model.profile import Cni
from ringfence.model.rule import Direction
from ringfence.reference import addresses
from ringfence.reference.ends import Approach, OwnPod, party_of
from ringfence.reference.outcome import Degree
from ringfence.reference.schema import NotUnderstoodError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.1.2.3/32", "10.1.2.3/32"),
        ("2001:DB8::1/32", "2001:db8::/32"),
        ("::/0", "::/0"),
    ],
)
def test_cidr(text: str, expected: str) -> None:
    assert addresses.read_cidr(text, ()) == ipaddress.ip_network(expected)


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0/8",
        "010.0.0.0/8",
        "10.0.0.0/08",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/-1",
        " 10.0.0.0/8",
        "fe80::1%eth0/64",
        "::ffff:10.0.0.0/104",
        "2001:db8::/129",
        "",
        None,
        10,
    ],
)
def test_cidr_that_is_none(text: Any) -> None:
    with pytest.raises(NotUnderstoodError):
        addresses.read_cidr(text, ())


def degree(name: str, cidr: str, *excepts: str, cni: Cni = Cni.GENERIC, family: int = 4) -> Degree:
    subject = party_of(BARE, end(BARE, "shop/db"), family)
    assert isinstance(subject, OwnPod)
    peer = party_of(BARE, end(BARE, name), family)
    here = Approach(Direction.INGRESS, subject, peer, Protocol.TCP, 1, family, cni)
    blocks = [ipaddress.ip_network(block) for block in (cidr, *excepts)]
    return addresses.block_matches(blocks[0], blocks[1:], here).degree


@pytest.mark.parametrize(
    ("name", "blocks", "expected"),
    [
        ("8.8.8.8", ["8.8.8.0/24"], Degree.YES),
        ("8.8.8.8", ["8.8.8.8/32"], Degree.YES),
        ("8.8.8.8", ["8.8.9.0/24"], Degree.NO),
        ("8.8.8.8", ["8.0.0.0/8", "8.8.0.0/16"], Degree.NO),
        ("8.8.8.8", ["8.0.0.0/8", "8.9.0.0/16"], Degree.YES),
        ("8.8.8.8", ["::/0"], Degree.NO),
        ("2001:db8::1", ["0.0.0.0/0"], Degree.NO),
        # A pod's address counts like any other.
        ("shop/web", ["10.1.0.0/24"], Degree.YES),
        ("shop/web", ["10.1.0.0/24", "10.1.0.1/32"], Degree.NO),
        # The pod of a mere template lives somewhere in 10.1.0.0/16.
        ("lab/planned", ["10.0.0.0/8"], Degree.YES),
        ("lab/planned", ["10.1.0.0/17"], Degree.PERHAPS),
        ("lab/planned", ["10.2.0.0/16"], Degree.NO),
        ("lab/planned", ["10.0.0.0/8", "10.1.0.0/16"], Degree.NO),
        ("lab/planned", ["10.0.0.0/8", "10.1.9.0/24"], Degree.PERHAPS),
        ("lab/planned", ["10.0.0.0/8", "10.2.0.0/16"], Degree.YES),
        # Nodes, and host-network pods, which have their node's address.
        ("node/n1", ["192.168.0.0/24"], Degree.YES),
        ("node/n1", ["192.168.0.2/32"], Degree.NO),
        ("system/agent", ["192.168.0.1/32"], Degree.YES),
        ("system/agent", ["10.1.0.0/16"], Degree.NO),
        # Of a domain nothing is known: only the whole family surely holds it.
        ("api.example", ["0.0.0.0/0"], Degree.YES),
        ("api.example", ["0.0.0.0/1"], Degree.PERHAPS),
        ("api.example", ["0.0.0.0/0", "10.0.0.0/8"], Degree.PERHAPS),
    ],
)
def test_block(name: str, blocks: list[str], expected: Degree) -> None:
    assert degree(name, *blocks) is expected


def test_family_without_addresses_matches_nothing() -> None:
    assert degree("lab/planned", "::/0", family=6) is Degree.NO
    assert degree("shop/web", "::/0", family=6) is Degree.NO
    assert degree("node/n1", "::/0", family=6) is Degree.NO


@pytest.mark.parametrize("name", ["shop/web", "lab/planned", "node/n1", "system/agent"])
def test_blocks_of_cilium_hold_nothing_of_the_cluster(name: str) -> None:
    assert degree(name, "0.0.0.0/0", cni=Cni.CILIUM) is Degree.NO


@pytest.mark.parametrize("name", ["8.8.8.8", "api.example"])
def test_blocks_of_cilium_hold_the_outside(name: str) -> None:
    assert degree(name, "0.0.0.0/0", cni=Cni.CILIUM) is Degree.YES
