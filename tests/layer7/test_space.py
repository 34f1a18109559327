import itertools
import time

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from layer7.layer7_strategies import BOXES, REQUESTS, box_holds
from ringfence.layer7.space import Space, why_undecidable
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HeaderMatch,
    HttpMatch,
    Layer7,
    Request,
    Text,
    Wildcard,
    exact,
)

GET = Layer7(http=HttpMatch(methods=(exact("GET"),)))
POST_PAYMENT = Layer7(http=HttpMatch(methods=(exact("POST"),), paths=(exact("/v1/payment"),)))
PUBLIC = Layer7(http=HttpMatch(paths=(Text(Form.PREFIX, "/public/"),)))
DNS = Layer7(dns=(DomainPattern("*.example.com", Wildcard.CILIUM),))
SNI = Layer7(server_names=(DomainPattern("api.stripe.com", Wildcard.CILIUM),))
AUTHENTICATED = Layer7(authenticated=True)
MTLS = Layer7(mtls=True)
FIELDS = ("http", "method", "path", "host", "headers", "dns", "sni", "authenticated", "mtls")


def boxes_of(space: Space, number: int) -> set[Layer7]:
    return {box for box in space.boxes if space.mask(box) >> number & 1}


def grid(space: Space) -> list[Request]:
    """Return a request for every combination of values that the dimensions of a space have."""
    values = {
        name: [each.example(value) for value in range(each.count)]
        for name, each in space.dimensions.items()
    }
    size = 2
    for listed in values.values():
        size *= len(listed)
    assume(size <= 2000)
    headers = [name for name in values if name.startswith("header ")]
    found = []
    for chosen in itertools.product(*values.values()):
        said = dict(zip(values, chosen, strict=True))
        rest = Request(
            dns=said.get("dns") or "",
            sni=said.get("sni") or "",
            authenticated=said.get("authenticated") is not None,
            mtls=said.get("mtls") is not None,
        )
        sent = [(name.removeprefix("header "), said[name]) for name in headers]
        found.append(msgspec.structs.replace(rest, http=False))
        found.append(
            msgspec.structs.replace(
                rest,
                http=True,
                method=said.get("method") or "GET",
                path=said.get("path") or "/",
                host=said.get("host") or "example.com",
                headers=tuple((name, value) for name, value in sent if value is not None),
            )
        )
    return found


@settings(deadline=None)
@given(st.lists(BOXES, max_size=6), st.lists(REQUESTS, max_size=5))
def test_a_request_falls_in_the_one_class_of_the_boxes_that_hold_for_it(
    boxes: list[Layer7], requests: list[Request]
) -> None:
    space = Space(boxes)
    for request in (*requests, *map(space.witness, range(space.count))):
        mask = space.mask_of(request)
        assert mask.bit_count() == 1
        held = {box for box in boxes if box_holds(box, request)}
        assert boxes_of(space, mask.bit_length() - 1) == held - {Layer7()}
        for box in boxes:
            assert bool(space.mask(box) & mask) == (box in held)


@settings(deadline=None)
@given(st.lists(BOXES, max_size=6))
def test_the_witness_of_a_class_falls_in_it_and_says_everything(boxes: list[Layer7]) -> None:
    space = Space(boxes)
    for number in range(space.count):
        witness = space.witness(number)
        assert space.mask_of(witness) == 1 << number
        http = () if witness.http else ("method", "path", "host", "headers")
        assert all((getattr(witness, name) is None) == (name in http) for name in FIELDS)


@settings(max_examples=60, deadline=None)
@given(st.lists(BOXES, max_size=4))
def test_the_classes_are_all_there_are_and_no_two_are_alike(boxes: list[Layer7]) -> None:
    space = Space(boxes)
    signatures = {
        frozenset(box for box in space.boxes if box_holds(box, request)) for request in grid(space)
    }
    assert signatures == {frozenset(boxes_of(space, number)) for number in range(space.count)}
    assert len(signatures) == space.count


@settings(max_examples=60, deadline=None)
@given(st.lists(BOXES, max_size=4), REQUESTS, st.sets(st.sampled_from(FIELDS)))
def test_a_request_that_is_partly_said_falls_in_the_classes_of_all_that_it_may_be(
    boxes: list[Layer7], request: Request, unsaid: set[str]
) -> None:
    space = Space(boxes)
    # What is said is said by a string of the grid, or the grid would not hold it.
    whole = space.witness(space.mask_of(request).bit_length() - 1)
    if request.http:
        unsaid -= {"http"}
    partly = Request(**{name: getattr(whole, name) for name in FIELDS if name not in unsaid})
    may_be = [
        other
        for other in (*grid(space), whole)
        if all(
            getattr(partly, name) in (None, getattr(other, name))
            for name in FIELDS
            if partly.http is not None
            or name in ("dns", "sni", "authenticated", "mtls")
            or other.http
        )
        and (partly.http is None or partly.http == other.http)
    ]
    if partly.http is None and any(
        getattr(partly, name) is not None for name in ("method", "path", "host", "headers")
    ):
        may_be = [other for other in may_be if other.http]
    expected = 0
    for other in may_be:
        expected |= space.mask_of(other)
    assert space.mask_of(partly) == expected


@settings(deadline=None)
@given(st.lists(BOXES, max_size=6))
def test_the_order_of_boxes_makes_no_difference(boxes: list[Layer7]) -> None:
    space = Space(boxes)
    again = Space([*reversed(boxes), *boxes])
    assert again.boxes == space.boxes
    assert again.signatures == space.signatures
    assert [again.mask(box) for box in boxes] == [space.mask(box) for box in boxes]


@settings(deadline=None)
@given(st.lists(BOXES, max_size=6))
def test_a_class_comes_before_those_with_more_boxes(boxes: list[Layer7]) -> None:
    signatures = Space(boxes).signatures
    for first, second in itertools.combinations(signatures, 2):
        assert not (second & ~first == 0 and second != first)


def test_without_boxes_there_is_one_class() -> None:
    space = Space()
    assert space.count == 1
    assert space.everything == 1
    assert space.mask_of(Request()) == space.mask_of(Request(http=True, method="GET")) == 1
    assert space.write(1) == (None, ())
    assert space.write(0) == ((), ())


def test_the_box_without_a_limit_is_everything() -> None:
    space = Space([Layer7(), GET])
    assert space.mask(Layer7()) == space.everything
    assert space.count == 2


def test_a_box_of_http_holds_for_nothing_that_is_not_http() -> None:
    space = Space([Layer7(http=HttpMatch())])
    assert space.count == 2
    assert not space.mask(Layer7(http=HttpMatch())) & space.mask_of(Request(http=False))


def test_a_header_must_be_there_and_its_name_has_no_case() -> None:
    there = Layer7(http=HttpMatch(headers=(HeaderMatch("x-a"),)))
    space = Space([there])
    sent = Request(http=True, headers=(("X-A", "1"),))
    assert space.mask_of(sent) == space.mask(there)
    assert not space.mask_of(Request(http=True, headers=())) & space.mask(there)


def test_a_header_sent_twice_is_one_list() -> None:
    """Source: RFC 9110 section 5.3."""
    both = Layer7(http=HttpMatch(headers=(HeaderMatch("x-a", exact("1,2")),)))
    space = Space([both])
    sent = Request(http=True, headers=(("x-a", "1"), ("x-a", "2")))
    assert space.mask_of(sent) == space.mask(both)


def test_what_only_http_has_says_that_it_is_http() -> None:
    space = Space([GET])
    for request in (Request(method="GET"), Request(headers=(), method="GET")):
        assert space.mask_of(request) == space.mask(GET)
    assert space.mask_of(Request(path="/")) == space.mask_of(Request(http=True))


def test_names_of_queries_and_servers_have_no_case_and_no_final_dot() -> None:
    space = Space([DNS, SNI])
    assert space.mask_of(Request(dns="A.Example.COM.")) & space.mask(DNS)
    assert not space.mask_of(Request(dns="")) & space.mask(DNS)
    assert not space.mask_of(Request(dns="a.b.example.com")) & space.mask(DNS)
    assert not space.mask_of(Request(sni="")) & space.mask(SNI)


def test_methods_and_paths_have_case() -> None:
    space = Space([POST_PAYMENT])
    other = Request(http=True, method="post", path="/v1/payment")
    assert not space.mask_of(other) & space.mask(POST_PAYMENT)


def test_the_query_belongs_to_the_path() -> None:
    """Gotcha 41 of the semantics."""
    box = Layer7(http=HttpMatch(methods=(Text(Form.REGEX, "GET"),), paths=(exact("/public"),)))
    space = Space([box])
    assert space.mask_of(Request(http=True, method="GET", path="/public")) == space.mask(box)
    for method, path in (("GET", "/public?x=1"), ("GETX", "/public")):
        assert not space.mask_of(Request(True, method=method, path=path)) & space.mask(box)


def test_the_other_verbs_are_one_class_with_a_witness() -> None:
    space = Space([POST_PAYMENT])
    others = space.mask_of(Request(http=True, path="/v1/payment")) & ~space.mask(POST_PAYMENT)
    assert others.bit_count() == 1
    witness = space.witness(others.bit_length() - 1)
    assert witness.http
    assert (witness.method, witness.path) != ("POST", "/v1/payment")


def test_an_empty_list_admits_nothing() -> None:
    nothing = Layer7(http=HttpMatch(methods=()))
    space = Space([nothing])
    assert space.mask(nothing) == 0
    assert space.count == 1


def test_what_no_request_can_carry_cannot_be_asked() -> None:
    for request in (Request(dns="a..b"), Request(http=True, path="/\n"), Request(True, path="")):
        with pytest.raises(Undecidable):
            Space([DNS, PUBLIC]).mask_of(request)


def test_a_box_that_cannot_be_followed_says_why() -> None:
    assert why_undecidable(GET) is None
    reason = why_undecidable(Layer7(http=HttpMatch(paths=(Text(Form.REGEX, r"\bx"),))))
    assert reason is not None
    assert "word boundary" in reason


def test_thousands_of_boxes_need_no_grid() -> None:
    methods = ("GET", "POST", "PUT", "DELETE")
    forms = (Form.EXACT, Form.PREFIX)
    boxes = [
        Layer7(
            http=HttpMatch(
                methods=(exact(methods[n % 4]),),
                paths=(Text(forms[n % 3 == 0], f"/svc-{n % 71}/res-{n:04}"),),
            )
        )
        for n in range(5000)
    ]
    started = time.monotonic()
    space = Space(boxes)
    assert time.monotonic() - started < 10, "a guard against hanging, not a measure"
    assert space.count == 5001
    half = 0
    for box in boxes[::2]:
        half |= space.mask(box)
    allowed, excepts = space.write(half)
    assert set(allowed or ()) == set(boxes[::2])
    assert excepts == ()


def test_independent_limits_are_a_product_and_its_size_is_bounded() -> None:
    boxes = [Layer7(http=HttpMatch(headers=(HeaderMatch(f"x-{number}"),))) for number in range(40)]
    with pytest.raises(Undecidable, match="too many classes"):
        Space(boxes)


def test_what_is_not_over_mtls_is_a_class_of_its_own() -> None:
    space = Space([MTLS, GET])
    assert space.count == 4
    plain = space.everything & ~space.mask(MTLS)
    assert space.mask_of(Request(mtls=False)) == plain
    assert space.mask_of(Request(mtls=True)) == space.mask(MTLS)
    assert {space.witness(number).mtls for number in range(4) if plain >> number & 1} == {False}
    assert space.write(plain) == (None, (MTLS,))
    assert space.write(space.mask(MTLS) & space.mask(GET)) == (
        (Layer7(http=GET.http, mtls=True),),
        (),
    )
