import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assemble.written import documents, template
from ringfence.assemble import values
from ringfence.assemble.values import Malformed
from ringfence.model.selector import LabelSelector, Operator, Requirement

ADDRESSES = st.ip_addresses().map(str) | st.text("0123456789abcdef.:%x", max_size=20) | st.text()


@given(ADDRESSES)
def test_an_address_is_what_ipaddress_takes_for_one(written: str) -> None:
    try:
        expected = ipaddress.ip_address(written)
    except ValueError:
        assert values.parse_address(written) is None
        return
    if isinstance(expected, ipaddress.IPv6Address):
        if expected.scope_id is not None:
            assert values.parse_address(written) is None
            return
        expected = expected.ipv4_mapped or expected
    assert values.parse_address(written) == (expected.version, int(expected))


READERS: tuple[tuple[Callable[..., object], object, object], ...] = (
    (values.mappings, [{}], []),
    (values.texts, ["a"], []),
    (values.text, "a", ""),
    (values.flag, True, False),
    (values.string_map, {"a": "b"}, {}),
)


@pytest.mark.parametrize(("read", "value", "absent"), READERS)
def test_a_value_of_the_right_type_is_returned(
    read: Callable[..., object], value: object, absent: object
) -> None:
    assert read({"key": value}, "key", ()) == value
    assert read({}, "key", ()) == read({"key": None}, "key", ()) == absent


def _shape(value: object) -> object:
    """Return a value's type, and the type of what is in it."""
    if isinstance(value, dict):
        return dict, *map(type, value.values())
    return (list, *map(type, value)) if isinstance(value, list) else type(value)


WRONG: tuple[object, ...] = (1, "a", True, [1], ["a"], [{}], {"a": 1}, {"a": []}, 1.5)


@pytest.mark.parametrize("read", [reader for reader, _, _ in READERS])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_value_of_the_wrong_type_is_told_with_its_place(
    read: Callable[..., object], wrong: object
) -> None:
    right = next(value for reader, value, _ in READERS if reader is read)
    if _shape(wrong) == _shape(right):
        return
    with pytest.raises(Malformed, match=r"^expected ") as caught:
        read({"key": wrong}, "key", ("spec",))
    assert caught.value.path[:2] == ("spec", "key")


def test_maps_and_lists_may_hold_anything() -> None:
    assert values.mapping({"key": {"a": 1}}, "key", ()) == {"a": 1}
    assert values.sequence({"key": [1, "a"]}, "key", ()) == [1, "a"]
    assert values.mapping({}, "key", ()) == {}
    assert values.sequence({}, "key", ()) == []
    with pytest.raises(Malformed, match="expected a map, found a list"):
        values.mapping({"key": []}, "key", ())
    with pytest.raises(Malformed, match="expected a list, found a map"):
        values.sequence({"key": {}}, "key", ())


NO_NUMBERS: tuple[object, ...] = (0, 10, "5", True, 5.5, float("inf"), float("nan"), [])


def test_numbers_have_bounds() -> None:
    assert values.number({"n": 5}, "n", (), 1, 9) == values.number({"n": 5.0}, "n", (), 1, 9) == 5
    assert values.number({}, "n", (), 1, 9) is None
    for wrong in NO_NUMBERS:
        with pytest.raises(Malformed):
            values.number({"n": wrong}, "n", (), 1, 9)
    with pytest.raises(Malformed, match="`n` is required"):
        values.port({}, "n", ())


def test_a_selector_is_read_whole() -> None:
    expressions: list[dict[str, object]] = [
        {"key": "tier", "operator": "In", "values": ["b", "a"]},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    written = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    assert values.selector({"selector": written}, "selector", ()) == LabelSelector(
        (
            Requirement("app", Operator.IN, ("web",)),
            Requirement("old", Operator.DOES_NOT_EXIST),
            Requirement("tier", Operator.IN, ("a", "b")),
        )
    )
    assert values.selector({}, "selector", ()) is None
    expressions[0]["operator"] = "Like"
    with pytest.raises(Malformed, match="`Like` is no operator"):
        values.selector({"selector": written}, "selector", ())


def test_a_problem_says_what_where_and_which() -> None:
    (document,) = documents(template("Deployment", "web"))
    problem = Malformed("expected a map, found a list", ("spec", "template")).of(document)
    assert problem.message == (
        "Deployment/shop/web: expected a map, found a list at `spec.template`"
    )
    assert (problem.affects, problem.object) == (("Deployment",), "Deployment/shop/web")
