from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import ANY, Allowance
from ringfence.prove import port_sets

PORTS = st.integers(1, 65535)
RANGES = st.tuples(st.sampled_from(port_sets.PORTED), PORTS, PORTS)


@given(st.lists(RANGES, max_size=5))
def test_text_says_each_port_once(ranges: list[tuple[Protocol, int, int]]) -> None:
    found = port_sets.NOTHING
    for protocol, first, last in ranges:
        found |= port_sets.ports(protocol, first, last)
    read = port_sets.NOTHING
    for part in filter(None, port_sets.text(found).split("; ")):
        protocol_text, _, written = part.partition(" ")
        listed = "1-65535" if written == "all ports" else written
        read |= port_sets.of_allowance(Allowance(protocol_text, listed))
    assert read == found


def test_what_answers_write() -> None:
    allowances = (Allowance("TCP", "80,443,8000-8001"), Allowance("UDP", "53", 6))
    tcp = port_sets.of_allowances(allowances, 4)
    assert tcp.bit_count() == 4
    assert port_sets.of_allowances(allowances, 6) == tcp | port_sets.ports(Protocol.UDP, 53, 53)
    assert port_sets.of_allowance(Allowance(ANY)) == port_sets.EVERYTHING
    assert port_sets.of_allowance(Allowance("ICMP")) == port_sets.NOTHING


def test_words() -> None:
    assert port_sets.text(port_sets.EVERYTHING) == "any"
    assert port_sets.text(port_sets.NOTHING) == ""
    both = port_sets.ports(Protocol.TCP, 80, 81) | port_sets.ports(Protocol.UDP)
    assert port_sets.text(both) == "TCP 80-81; UDP all ports"


def test_edges_are_where_membership_changes() -> None:
    both = port_sets.ports(Protocol.TCP, 80, 81) | port_sets.ports(Protocol.SCTP, 7, 7)
    assert port_sets.edges(both) == [
        (Protocol.TCP, 80),
        (Protocol.TCP, 82),
        (Protocol.SCTP, 7),
        (Protocol.SCTP, 8),
    ]
