"""Requests as Linkerd's routes see them: the query cut off, its parameters as headers."""

import pytest

from ringfence.layer7 import Space
from ringfence.layer7.linkerd_requests import as_matched, query_header, values_of
from ringfence.model.layer7 import HeaderMatch, HttpMatch, Layer7, Request, exact

ONE = Layer7(http=HttpMatch(headers=(HeaderMatch(query_header("x"), exact("1")),)))


def request(path: str | None, headers: tuple[tuple[str, str], ...] | None = ()) -> Request:
    return as_matched(Request(http=True, path=path, headers=headers))


@pytest.mark.parametrize("path", ["/a", "/a?", "/a?x=1", "/a#b", "/a?x#b", "/a#?x"])
def test_the_query_and_the_fragment_are_cut_off(path: str) -> None:
    assert request(path).path == "/a"


@pytest.mark.parametrize("host", ["web.example", "Web.Example", "web.example.", "web.example:80"])
def test_hosts_are_compared_without_case_port_and_final_dot(host: str) -> None:
    assert as_matched(Request(http=True, host=host)).host == "web.example"


def test_parameters_are_decoded() -> None:
    found = request("/?a+b=c%20d&e")
    assert values_of(found, query_header("a b")) == ["c d"]
    assert values_of(found, query_header("e")) == [""]
    assert values_of(found, query_header("f")) == []


def test_their_names_are_told_apart_by_case_and_from_headers() -> None:
    found = request("/?Xy=1", (("xy", "2"),))
    assert values_of(found, query_header("Xy")) == ["1"]
    assert values_of(found, query_header("xy")) == []
    assert values_of(found, "xy") == ["2"]


def test_they_are_known_where_headers_are_not() -> None:
    found = request("/?x=1", None)
    assert values_of(found, query_header("x")) == ["1"]
    assert values_of(found, "x") is None


def test_nothing_is_known_of_them_without_a_path() -> None:
    found = request(None, (("x", "1"),))
    assert values_of(found, query_header("x")) is None
    assert values_of(found, "x") == ["1"]


def test_of_one_that_stands_there_twice_either_may_be_meant() -> None:
    assert values_of(request("/?x=1&x=2"), query_header("x")) is None


def test_they_are_told_apart_as_headers_are() -> None:
    space = Space([ONE])
    assert space.mask_of(request("/?x=1", None)) & ~space.mask(ONE) == 0
    assert space.mask_of(request("/?x=2", None)) & space.mask(ONE) == 0
    assert space.mask_of(request("/", None)) & space.mask(ONE) == 0
    either = space.mask_of(request("/?x=1&x=2", None))
    assert either & space.mask(ONE)
    assert either & ~space.mask(ONE)
