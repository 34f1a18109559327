"""Sets of traffic against sets of (family, protocol, port), at the ports where runs end."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.connectivity import Allowance
from ringfence.questions.traffic_sets import NOTHING, TrafficSet

PORTS = (1, 2, 79, 80, 81, 443, 65534, 65535)
RUNS = ("80", "79-81", "1-65535", "2,443", "1-79,81-65535", "65535")
Point = tuple[int, str, int]


@st.composite
def written(draw: st.DrawFn) -> tuple[Allowance, ...]:
    found = []
    for protocol in draw(st.lists(st.sampled_from(["TCP", "UDP", "SCTP", "ICMP", "ANY"]))):
        ports = draw(st.sampled_from(RUNS)) if protocol in {"TCP", "UDP", "SCTP"} else ""
        found.append(Allowance(protocol, ports, draw(st.sampled_from([None, 4, 6]))))
    return tuple(found)


def points(allowances: tuple[Allowance, ...]) -> set[Point]:
    """Return what allowances stand for, as far as `PORTS` show it."""
    found: set[Point] = set()
    for a in allowances:
        protocols = ["TCP", "UDP", "SCTP", "ICMP"] if a.protocol == "ANY" else [a.protocol]
        for family in [a.ip_family] if a.ip_family else [4, 6]:
            for protocol in protocols:
                runs = [part.partition("-") for part in (a.ports or "1-65535").split(",")]
                found |= {
                    (family, protocol, port)
                    for port in ((0,) if protocol == "ICMP" else PORTS)
                    for low, _, high in runs
                    if protocol == "ICMP" or int(low) <= port <= int(high or low)
                }
    return found


@given(written(), written())
def test_the_algebra_is_that_of_sets(a: tuple[Allowance, ...], b: tuple[Allowance, ...]) -> None:
    first, second = TrafficSet.of(a), TrafficSet.of(b)
    assert points((first | second).allowances()) == points(a) | points(b)
    assert points((first & second).allowances()) == points(a) & points(b)
    assert points((first - second).allowances()) == points(a) - points(b)
    assert bool(first) == bool(points(a))


@given(written())
def test_writing_is_canonical(a: tuple[Allowance, ...]) -> None:
    once = TrafficSet.of(a).allowances()
    assert TrafficSet.of(once).allowances() == once
    assert TrafficSet.of(once) == TrafficSet.of(a)
    assert TrafficSet.of(a) - TrafficSet.of(a) == NOTHING


def test_any_less_a_port_is_the_rest() -> None:
    rest = TrafficSet.of((Allowance("ANY"),)) - TrafficSet.of((Allowance("TCP", "80"),))
    assert rest.allowances() == (
        Allowance("TCP", "1-79,81-65535"),
        Allowance("UDP", "1-65535"),
        Allowance("SCTP", "1-65535"),
        Allowance("ICMP"),
    )


def test_families_are_told_apart_only_where_they_differ() -> None:
    both = TrafficSet.of((Allowance("TCP", "80"), Allowance("UDP", "53", 6)))
    assert both.allowances() == (Allowance("TCP", "80"), Allowance("UDP", "53", 6))
    assert TrafficSet.of((Allowance("ANY", "", 4),)).allowances() == (Allowance("ANY", "", 4),)
