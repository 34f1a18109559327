import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layer7.layer7_strategies import BOXES, HTTP_BOXES
from ringfence.layer7.space import Space
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HeaderMatch,
    HttpMatch,
    Layer7,
    Text,
    Wildcard,
    exact,
)


def http(*methods: str, path: Text | None = None, headers: tuple[HeaderMatch, ...] = ()) -> Layer7:
    return Layer7(
        http=HttpMatch(
            methods=tuple(map(exact, methods)) or None,
            paths=None if path is None else (path,),
            headers=headers,
        )
    )


def prefix(value: str) -> Text:
    return Text(Form.PREFIX, value)


def union(space: Space, boxes: list[Layer7]) -> int:
    return space.mask_of_any(boxes)


def assert_written_exactly(space: Space, mask: int) -> None:
    """Read what was written in a space that knows the written boxes as well."""
    allowed, excepts = space.write(mask)
    assert space.write(mask) == (allowed, excepts)
    wider = Space([*space.boxes, *(allowed or ()), *excepts])
    read = wider.mask_of_any(allowed) & ~wider.mask_of_any(excepts)
    for number in range(wider.count):
        was = space.mask_of(wider.witness(number)) & mask
        assert bool(was) == bool(read >> number & 1), wider.witness(number)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(HTTP_BOXES, max_size=3),
    st.lists(HTTP_BOXES, max_size=3),
    st.lists(HTTP_BOXES, max_size=2),
)
def test_what_two_sides_allow_less_what_is_denied_is_written_exactly(
    egress: list[Layer7], ingress: list[Layer7], denied: list[Layer7]
) -> None:
    space = Space([*egress, *ingress, *denied])
    both = union(space, egress) & union(space, ingress) & ~union(space, denied)
    try:
        assert_written_exactly(space, both)
    except Undecidable as undecidable:
        known = undecidable.reason.endswith(
            ("too long to be written", "too complex to be compared")
        )
        if not known:
            raise


@settings(max_examples=150, deadline=None)
@given(st.lists(BOXES, min_size=1, max_size=4), st.integers(0, 2**30))
def test_any_set_is_written_exactly_or_not_at_all(boxes: list[Layer7], bits: int) -> None:
    space = Space(boxes)
    try:
        assert_written_exactly(space, bits & space.everything)
    except Undecidable:
        return


@settings(deadline=None)
@given(st.lists(BOXES, max_size=5), st.data())
def test_a_union_of_boxes_is_written_as_some_of_them(
    boxes: list[Layer7], data: st.DataObject
) -> None:
    chosen = [box for box in boxes if data.draw(st.booleans())]
    space = Space(boxes)
    mask = union(space, chosen)
    allowed, excepts = space.write(mask)
    assert excepts == ()
    assert allowed is None or set(allowed) <= set(boxes)
    assert space.mask_of_any(allowed) == mask


@settings(deadline=None)
@given(st.lists(BOXES, max_size=5), st.data())
def test_everything_but_boxes_is_written_so(boxes: list[Layer7], data: st.DataObject) -> None:
    chosen = [box for box in boxes if data.draw(st.booleans())]
    space = Space(boxes)
    mask = space.everything & ~union(space, chosen)
    allowed, excepts = space.write(mask)
    assert space.mask_of_any(allowed) & ~space.mask_of_any(excepts) == mask
    if 0 in space.signatures:
        assert allowed is None or not mask
        assert set(excepts) <= set(boxes)


def test_everything_and_nothing() -> None:
    space = Space([http("GET")])
    assert space.write(space.everything) == (None, ())
    assert space.write(0) == ((), ())


def test_superfluous_boxes_are_not_written() -> None:
    wide, narrow = http(path=prefix("/a")), http("GET", path=exact("/a/b"))
    space = Space([wide, narrow])
    assert space.write(space.mask(wide)) == ((wide,), ())


def test_a_method_here_and_a_path_there_are_one_box() -> None:
    get, below = http("GET"), http(path=prefix("/a"))
    space = Space([get, below])
    both = space.mask(get) & space.mask(below)
    assert space.write(both) == ((http("GET", path=prefix("/a")),), ())


def test_an_exact_path_in_a_wider_one_is_the_exact() -> None:
    one = http("POST", path=exact("/v1/payment"))
    for wide in (prefix("/v1/"), Text(Form.REGEX, "/v[0-9]/.*"), Text(Form.SEGMENTS, "/v1")):
        other = http(path=wide, headers=(HeaderMatch("x-a"),))
        space = Space([one, other])
        expected = http("POST", path=exact("/v1/payment"), headers=(HeaderMatch("x-a"),))
        assert space.write(space.mask(one) & space.mask(other)) == ((expected,), ())


def test_paths_that_only_overlap_become_an_expression() -> None:
    scripts = http(path=Text(Form.SUFFIX, ".js"))
    below = http(path=prefix("/a"))
    space = Space([scripts, below])
    mask = space.mask(scripts) & space.mask(below)
    allowed, _ = space.write(mask)
    assert allowed is not None
    (box,) = allowed
    assert box.http is not None
    assert box.http.paths is not None
    assert [path.form for path in box.http.paths] == [Form.REGEX]
    assert_written_exactly(space, mask)


def test_a_denied_path_is_taken_out_of_what_is_allowed() -> None:
    allowed, denied = http("GET"), http(path=prefix("/admin"))
    space = Space([allowed, denied])
    mask = space.mask(allowed) & ~space.mask(denied)
    assert space.write(mask) == ((allowed,), (denied,))


def test_what_is_denied_alone_is_taken_out_of_everything() -> None:
    denied = http(path=prefix("/admin"))
    space = Space([denied, http("GET")])
    assert space.write(space.everything & ~space.mask(denied)) == (None, (denied,))


def test_a_header_whose_value_is_asked_need_not_be_asked_for() -> None:
    there = http(headers=(HeaderMatch("x-a"),))
    valued = http("GET", headers=(HeaderMatch("x-a", prefix("1")),))
    space = Space([there, valued])
    assert space.write(space.mask(there) & space.mask(valued)) == ((valued,), ())


def test_names_with_something_in_common_that_is_no_pattern_are_undecidable() -> None:
    one = Layer7(dns=(DomainPattern("a*.io", Wildcard.CILIUM),))
    two = Layer7(dns=(DomainPattern("*b.io", Wildcard.CILIUM),))
    space = Space([one, two])
    with pytest.raises(Undecidable, match="no domain pattern"):
        space.write(space.mask(one) & space.mask(two))


def test_names_of_which_one_pattern_holds_the_other_are_the_narrower() -> None:
    wide = Layer7(dns=(DomainPattern("**.x.io", Wildcard.CILIUM),))
    one = Layer7(dns=(DomainPattern("*.x.io", Wildcard.CILIUM),), authenticated=True)
    space = Space([wide, one])
    assert space.write(space.mask(wide) & space.mask(one)) == ((one,), ())


def test_what_is_not_convex_cannot_be_written() -> None:
    """Either both of two independent limits, or neither."""
    get, authenticated = http("GET"), Layer7(authenticated=True)
    space = Space([get, authenticated])
    first, second = space.mask(get), space.mask(authenticated)
    with pytest.raises(Undecidable, match="cannot be written"):
        space.write(space.everything & ~(first ^ second))


@pytest.mark.parametrize(
    ("denied", "but"),
    [
        (http(), http(path=exact("/healthz"))),
        (http(path=prefix("/admin")), http("GET")),
        (http("GET", "POST"), http("POST", path=prefix("/a"))),
    ],
)
def test_what_is_denied_but_for_some_of_it_is_taken_out_by_patterns_of_its_own(
    denied: Layer7, but: Layer7
) -> None:
    space = Space([denied, but])
    mask = space.everything & ~(space.mask(denied) & ~space.mask(but))
    assert_written_exactly(space, mask)
    allowed, excepts = space.write(mask)
    assert excepts
    assert not {denied, but} & {*(allowed or ()), *excepts}


def test_a_pattern_of_its_own_is_no_other() -> None:
    space = Space([http(), http("GET")])
    mask = space.everything & ~(space.mask(http()) & ~space.mask(http("GET")))
    _, (taken,) = space.write(mask)
    assert taken.http is not None
    assert taken.http.methods == (Text(Form.REGEX, "GE?|([^G]|G([^E]|E([^T]|T.))).*"),)


def test_a_header_that_is_not_there_cannot_be_said() -> None:
    there = http(headers=(HeaderMatch("x"),))
    space = Space([http(), there])
    with pytest.raises(Undecidable, match="cannot be written"):
        space.write(space.everything & ~(space.mask(http()) & ~space.mask(there)))


def test_what_needs_too_many_boxes_is_not_written() -> None:
    headers = [http(headers=(HeaderMatch(f"x-{n}", exact("1")),)) for n in range(8)]
    space = Space([http(), *headers])
    parity = 0
    for number, signature in enumerate(space.signatures):
        parity |= (signature.bit_count() % 2) << number
    with pytest.raises(Undecidable):
        space.write(parity)
