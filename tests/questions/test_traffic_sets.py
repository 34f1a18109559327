"""Sets of traffic against sets of (family, protocol, port), at the ports where runs end."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.connectivity import Allowance
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text, exact
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


# -- above the port ------------------------------------------------------------------------------


def http(method: str, path: str, form: Form = Form.EXACT) -> Layer7:
    return Layer7(http=HttpMatch(methods=(exact(method),), paths=(Text(form, path),)))


def limited(*boxes: Layer7, ports: str = "80", taken: tuple[Layer7, ...] = ()) -> TrafficSet:
    return TrafficSet.of((Allowance("TCP", ports, None, boxes, taken),))


NARROW, WIDE = http("GET", "/v1/a"), http("GET", "/v1/", Form.PREFIX)


def test_a_wider_path_less_a_narrower_one_is_the_rest_of_it() -> None:
    (rest,) = (limited(WIDE) - limited(NARROW)).allowances()
    assert (rest.ports, rest.l7, rest.l7_except) == ("80", (WIDE,), (NARROW,))
    assert not limited(NARROW) - limited(WIDE)


def test_a_path_within_a_wider_one_adds_nothing() -> None:
    assert (limited(WIDE) | limited(NARROW)).same(limited(WIDE))
    assert limited(WIDE) & limited(NARROW) == limited(NARROW)


def test_a_limit_ends_where_its_ports_do() -> None:
    everything = TrafficSet.of((Allowance("TCP", "79-81"),))
    found = (everything - limited(NARROW)).allowances()
    assert [(a.ports, a.l7, a.l7_except) for a in found] == [
        ("79,81", None, ()),
        ("80", None, (NARROW,)),
    ]
    assert (everything - limited(NARROW) | limited(NARROW)).same(everything)


def test_several_allowances_of_one_port_are_joined() -> None:
    post = http("POST", "/v1/a")
    both = TrafficSet.of(
        (Allowance("TCP", "80", None, (NARROW,)), Allowance("TCP", "80-81", None, (post,)))
    )
    assert both.same(limited(NARROW, post) | limited(post, ports="81"))


def test_types_of_icmp_are_told_apart() -> None:
    echo = TrafficSet.of((Allowance("ICMP", "8"),))
    rest = TrafficSet.of((Allowance("ICMP"),)) - echo
    assert rest.allowances() == (Allowance("ICMP", "0-7,9-255"),)
    assert TrafficSet.of((Allowance("ANY"),)) - rest != TrafficSet.of((Allowance("ANY"),))
    code = TrafficSet.of((Allowance("ICMP", "8/0"),))
    assert code & echo == code
