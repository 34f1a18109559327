import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layer7.layer7_strategies import HTTP_BOXES, REQUESTS, box_holds
from ringfence.layer7.compare import Limits, difference, included, intersection, union
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Request, Text, exact

_BOXES = st.lists(HTTP_BOXES, max_size=2).map(tuple)
LIMITS = st.builds(Limits, l7=st.none() | _BOXES, l7_except=st.just(()) | _BOXES)


def admits(limits: Limits, request: Request) -> bool:
    allowed = limits.l7 is None or any(box_holds(box, request) for box in limits.l7)
    return allowed and not any(box_holds(box, request) for box in limits.l7_except)


def path(value: str, form: Form = Form.REGEX) -> Limits:
    return Limits((Layer7(http=HttpMatch(paths=(Text(form, value),))),))


@settings(max_examples=150, deadline=None)
@given(LIMITS, LIMITS, st.lists(REQUESTS, min_size=1, max_size=6))
def test_a_request_is_in_a_combination_as_in_its_parts(
    first: Limits, second: Limits, requests: list[Request]
) -> None:
    for combine in (union, intersection, difference):
        try:
            found = combine(first, second)
        except Undecidable:
            continue
        for request in requests:
            one, two = admits(first, request), admits(second, request)
            expected = {union: one or two, intersection: one and two}.get(combine, one and not two)
            assert admits(found, request) == expected


@settings(max_examples=150, deadline=None)
@given(LIMITS, LIMITS, st.lists(REQUESTS, max_size=6))
def test_a_limit_is_included_if_no_request_is_in_it_alone(
    first: Limits, second: Limits, requests: list[Request]
) -> None:
    if included(first, second):
        assert all(admits(second, request) for request in requests if admits(first, request))
    assert included(first, first)
    assert included(Limits(()), first)
    assert included(first, Limits())


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (path("/v1/payment", Form.EXACT), path("/v1/", Form.PREFIX), True),
        (path("/v1/", Form.PREFIX), path("/v1/payment", Form.EXACT), False),
        (path("/v1/[0-9]+"), path("/v1/[^/]+"), True),
        (path("/v1/[^/]+"), path("/v1/[0-9]+"), False),
        (path("/v1/.*"), path("/v1/", Form.PREFIX), True),
        (path("/v1/", Form.PREFIX), path("/v1/.*"), True),
        (path("/a/b", Form.SEGMENTS), path("/a", Form.SEGMENTS), True),
        (path("/ab", Form.SEGMENTS), path("/a", Form.SEGMENTS), False),
        (path("(ab)*"), path("(ab)*(ab)*"), True),
        (Limits(), path(".*"), False),
    ],
)
def test_inclusion(part: Limits, whole: Limits, expected: bool) -> None:
    assert included(part, whole) is expected


def test_a_union_of_methods_is_the_method_of_either() -> None:
    both = Limits((Layer7(http=HttpMatch(methods=(exact("GET"), exact("HEAD")))),))
    get, head = (Limits((Layer7(http=HttpMatch(methods=(exact(m),))),)) for m in ("GET", "HEAD"))
    assert included(both, union(get, head))
    assert included(union(get, head), both)


def test_what_cannot_be_told_is_none_or_undecidable() -> None:
    hostile = path("(a|b)*a(a|b){20}")
    assert included(hostile, path("/a")) is None
    with pytest.raises(Undecidable):
        union(hostile, path("/a"))
