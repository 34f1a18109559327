from ringfence.layer7 import Limits
from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import Allowance
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text, exact
from ringfence.prove import amounts, port_sets
from ringfence.prove.amounts import EVERYTHING, NOTHING, Amount, limited, of_allowances

HTTP, HTTPS = (port_sets.ports(Protocol.TCP, port, port) for port in (80, 443))
POST, GET = (Layer7(http=HttpMatch(methods=(exact(method),))) for method in ("POST", "GET"))


def test_ports_without_limits_are_sets() -> None:
    both = Amount(HTTP | HTTPS)
    assert both & Amount(HTTP) == Amount(HTTP)
    assert both - Amount(HTTP) == Amount(HTTPS)
    assert Amount(HTTP) | Amount(HTTPS) == both
    assert not Amount(HTTP) - both


def test_limits_are_compared_port_by_port() -> None:
    mixed = Amount(HTTPS) | limited(HTTP, [POST])
    assert mixed.ports == HTTP | HTTPS
    assert mixed & limited(HTTP | HTTPS, [POST]) == limited(HTTP | HTTPS, [POST])
    assert Amount(HTTP | HTTPS) - mixed == Amount(HTTP) - limited(HTTP, [POST])
    assert mixed - Amount(HTTP | HTTPS) == NOTHING
    assert EVERYTHING & mixed == mixed


def test_whatever_is_written_otherwise_but_means_the_same_is_no_difference() -> None:
    pattern = Layer7(http=HttpMatch(methods=(Text(Form.REGEX, "POST|GET"),)))
    assert not limited(HTTP, [pattern]) - limited(HTTP, [POST, GET])
    assert not limited(HTTP, [POST, GET]) - limited(HTTP, [pattern])
    assert limited(HTTP, [pattern]) - limited(HTTP, [POST])


def test_limits_that_exclude_each_other_leave_nothing() -> None:
    assert limited(HTTP, [POST]) & limited(HTTP, [GET]) == NOTHING
    assert limited(HTTP, []) == NOTHING
    assert limited(0, [POST]) == NOTHING
    assert limited(HTTP, None) == Amount(HTTP)


def test_allowances_carry_their_limits() -> None:
    found = of_allowances(
        (
            Allowance("TCP", "80", l7=(POST,)),
            Allowance("TCP", "443"),
            Allowance("TCP", "8080", 6),
        ),
        4,
    )
    assert found == Amount(HTTPS) | limited(HTTP, [POST])
    assert amounts.of_limits(HTTP, Limits(None, (POST,))) & limited(HTTP, [POST]) == NOTHING


def test_an_amount_reads_as_people_write_it() -> None:
    assert (Amount(HTTPS) | limited(HTTP, [POST])).text() == "TCP 443; TCP 80 (POST *)"
