from hypothesis import given
from hypothesis import strategies as st

from ringfence.engine.traffic import TrafficSpace
from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import Allowance

TCP, UDP, SCTP, ICMP = Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP
PORTS = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(
    lambda ends: tuple(sorted(ends))
)
RANGES = st.lists(
    st.tuples(st.sampled_from([TCP, UDP, SCTP]), PORTS).map(lambda r: (r[0], *r[1])), max_size=8
)


@given(RANGES, st.sampled_from([TCP, UDP, SCTP]), st.integers(0, 65535))
def test_a_mask_holds_exactly_the_ports_of_its_range(
    ranges: list[tuple[Protocol, int, int]], protocol: Protocol, port: int
) -> None:
    space = TrafficSpace(ranges)
    for of, first, last in ranges:
        holds = space.mask(of, first, last) & space.of(protocol, port)
        assert bool(holds) == (of is protocol and first <= port <= last)


def test_all_of_every_protocol_is_any() -> None:
    space = TrafficSpace([(TCP, 80, 80)])
    assert space.allowances(space.everything, space.everything) == (Allowance("ANY"),)


def test_icmp_not_known_to_be_allowed_still_leaves_any() -> None:
    space = TrafficSpace([])
    ported = space.everything & ~space.icmp
    assert space.allowances(ported, space.everything) == (Allowance("ANY"),)


def test_icmp_denied_is_not_any() -> None:
    space = TrafficSpace([])
    ported = space.everything & ~space.icmp
    assert space.allowances(ported, ported) == (
        Allowance("TCP", "1-65535"),
        Allowance("UDP", "1-65535"),
        Allowance("SCTP", "1-65535"),
    )


def test_neighbouring_ranges_are_written_as_one() -> None:
    space = TrafficSpace([(TCP, 80, 80), (TCP, 81, 90), (TCP, 443, 443)])
    mask = space.mask(TCP, 80, 80) | space.mask(TCP, 81, 90) | space.mask(TCP, 443, 443)
    assert space.allowances(mask, mask) == (Allowance("TCP", "80-90,443"),)


def test_icmp_has_a_class_of_its_own() -> None:
    space = TrafficSpace([(TCP, 1, 1)])
    assert space.mask(ICMP) == space.icmp == space.of(ICMP, None)
    assert space.allowances(space.icmp, space.icmp) == (Allowance("ICMP"),)
