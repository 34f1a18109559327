import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.engine import addresses
from ringfence.engine.addresses import AddressSpace
from ringfence.model.rule import IpPeer

CIDRS = st.builds(
    lambda number, length: str(ipaddress.ip_network((number, length), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(CIDRS, st.lists(CIDRS, max_size=4), st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_a_block_covers_its_cidr_without_the_exceptions(
    cidr: str, excepts: list[str], probes: list[int]
) -> None:
    block = IpPeer(cidr, tuple(excepts))
    _, covered = addresses.intervals(block)
    for probe in (*probes, *(int(ipaddress.ip_network(c)[0]) for c in (cidr, *excepts))):
        address = ipaddress.IPv4Address(probe)
        expected = address in ipaddress.ip_network(cidr) and not any(
            address in ipaddress.ip_network(e) for e in excepts
        )
        assert any(a <= probe <= b for a, b in covered) == expected


@given(st.lists(CIDRS, max_size=6), st.integers(0, 2**32 - 1))
def test_the_cells_of_a_block_are_those_of_its_addresses(cidrs: list[str], probe: int) -> None:
    space = AddressSpace([IpPeer(cidr) for cidr in cidrs])
    cell = space.cell_of(4, probe)
    first, last = space.span_of(cell)
    assert first <= probe <= last
    for cidr in cidrs:
        inside = any(a <= cell < b for a, b in space.cells_of(IpPeer(cidr)))
        assert inside == (ipaddress.IPv4Address(probe) in ipaddress.ip_network(cidr))


@pytest.mark.parametrize(
    ("block", "pods", "expected"),
    [
        (IpPeer("0.0.0.0/0"), ["10.0.0.0/8"], True),
        (IpPeer("192.168.0.0/16"), ["10.0.0.0/8"], False),
        (IpPeer("10.1.0.0/16"), ["10.0.0.0/8"], None),
        (IpPeer("0.0.0.0/0", ("10.0.0.0/8",)), ["10.0.0.0/8"], False),
        (IpPeer("0.0.0.0/0", ("10.0.0.0/16",)), ["10.0.0.0/8"], None),
        (IpPeer("10.0.0.0/8"), ["10.1.0.0/16", "192.168.0.0/16"], None),
        (IpPeer("::/0"), ["10.0.0.0/8"], False),
        (IpPeer("::/0"), ["10.0.0.0/8", "fd00::/64"], True),
    ],
)
def test_whether_a_block_covers_where_pods_live(
    block: IpPeer, pods: list[str], expected: bool | None
) -> None:
    family, _ = addresses.intervals(block)
    assert addresses.covers(addresses.together((block,), family), family, pods) is expected


def test_blocks_may_cover_together_what_none_covers_alone() -> None:
    blocks = tuple(map(IpPeer, ("192.168.0.0/16", "10.0.0.0/9", "10.128.0.0/9", "fd00::/8")))
    covered = addresses.together(blocks, 4)
    assert addresses.covers(covered, 4, ["10.0.0.0/8", "192.168.0.0/16"]) is True
    assert not addresses.is_whole(covered, 4)
    halves = (IpPeer("0.0.0.0/1"), IpPeer("128.0.0.0/1"))
    assert addresses.is_whole(addresses.together(halves, 4), 4)


def test_an_ipv4_mapped_address_is_ipv4() -> None:
    assert addresses.parse("::ffff:10.0.0.1") == addresses.parse("10.0.0.1")
