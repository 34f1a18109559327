"""Calico's selector language: the grammar, its errors, hostile input."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.dialects import _calico_selector as selectors
from ringfence.dialects._calico_selector import ALL, SelectorError, is_global, parse
from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    LabelOr,
    Operator,
    Requirement,
)

Labels = dict[str, str]


def leaf(key: str, operator: Operator, *values: str) -> LabelIs:
    return LabelIs(Requirement(key, operator, values))


A, B, C = (leaf(key, Operator.EXISTS) for key in "abc")


def holds(found: LabelExpression, labels: Labels) -> bool:
    match found:
        case LabelAnd():
            return all(holds(part, labels) for part in found.parts)
        case LabelOr():
            return any(holds(part, labels) for part in found.parts)
        case LabelNot():
            return not holds(found.part, labels)
        case LabelIs():
            return met(found.requirement, labels)


def met(requirement: Requirement, labels: Labels) -> bool:
    value = labels.get(requirement.key)
    wanted = requirement.values
    match requirement.operator:
        case Operator.NOT_IN:
            return value not in wanted
        case Operator.DOES_NOT_EXIST:
            return value is None
        case _ if value is None:
            return False
        case Operator.EXISTS:
            return True
        case Operator.IN:
            return value in wanted
        case Operator.CONTAINS:
            return wanted[0] in value
        case Operator.STARTS_WITH:
            return value.startswith(wanted[0])
        case Operator.ENDS_WITH:
            return value.endswith(wanted[0])


# -- each form ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("has(a)", A),
        ("has( a )", A),
        ("all()", ALL),
        ("all( \t)", ALL),
        ("a == 'x'", leaf("a", Operator.IN, "x")),
        ('a=="it\'s"', leaf("a", Operator.IN, "it's")),
        ("a == ''", leaf("a", Operator.IN, "")),
        ("a != 'x'", leaf("a", Operator.NOT_IN, "x")),
        ("a contains 'x'", leaf("a", Operator.CONTAINS, "x")),
        ("a contains'x'", leaf("a", Operator.CONTAINS, "x")),
        ("a starts with 'x'", leaf("a", Operator.STARTS_WITH, "x")),
        ("a startswith 'x'", leaf("a", Operator.STARTS_WITH, "x")),
        ("a ends \t with 'x'", leaf("a", Operator.ENDS_WITH, "x")),
        ("a endswith'x'", leaf("a", Operator.ENDS_WITH, "x")),
        ("a in {'y', \"x\", 'y'}", leaf("a", Operator.IN, "x", "y")),
        ("a in{'x',}", leaf("a", Operator.IN, "x")),
        ("a not in {'x'}", leaf("a", Operator.NOT_IN, "x")),
        ("a notin {'x'}", leaf("a", Operator.NOT_IN, "x")),
        ("a in {}", LabelOr()),
        ("a not in { }", ALL),
        ("a.b/c-d_1 == 'x'", leaf("a.b/c-d_1", Operator.IN, "x")),
        ("in == 'x'", leaf("in", Operator.IN, "x")),
        ("contains contains 'contains'", leaf("contains", Operator.CONTAINS, "contains")),
        ("allb == 'x'", leaf("allb", Operator.IN, "x")),
        ("has == 'x'", leaf("has", Operator.IN, "x")),
        ("!has(a)", LabelNot(A)),
        ("! ! !has(a)", LabelNot(A)),
        ("!!has(a)", A),
        ("((has(a)))", A),
        (" \thas(a)\t ", A),
        ("a == 'a && b || \\'", leaf("a", Operator.IN, "a && b || \\")),
    ],
)
def test_each_form(text: str, expected: LabelExpression) -> None:
    assert parse(text) == expected


def test_and_binds_tighter_than_or() -> None:
    assert parse("has(a) || has(b) && has(c)") == LabelOr((A, LabelAnd((B, C))))
    assert parse("has(a) && has(b) || has(c)") == LabelOr((LabelAnd((A, B)), C))
    assert parse("(has(a) || has(b)) && has(c)") == LabelAnd((LabelOr((A, B)), C))


def test_not_binds_tightest() -> None:
    assert parse("!has(a) && has(b)") == LabelAnd((LabelNot(A), B))
    assert parse("!(has(a) && has(b))") == LabelNot(LabelAnd((A, B)))


@pytest.mark.parametrize("text", ["a != 'x'", "a not in {'x'}", "!has(a)", "!(a == 'x')"])
def test_what_holds_where_the_label_is_absent(text: str) -> None:
    assert holds(parse(text), {})


@pytest.mark.parametrize(
    "text", ["a == 'x'", "a in {'x'}", "a contains ''", "a starts with ''", "a ends with ''"]
)
def test_what_does_not_hold_where_the_label_is_absent(text: str) -> None:
    assert not holds(parse(text), {})


def test_labels_can_be_put_where_endpoints_carry_them() -> None:
    assert parse("x == 'y'", prefix="pcns.") == leaf("pcns.x", Operator.IN, "y")
    assert parse("all() && has(b)", everything=A) == LabelAnd((A, B))


@pytest.mark.parametrize(
    ("text", "expected"), [("global()", True), (" global( )", True), ("all()", False), ("", False)]
)
def test_global_alone(text: str, expected: bool) -> None:
    assert is_global(text) is expected


# -- errors point at the column ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("a = 'b'", 3, "expected `==`"),
        ("a & has(b)", 3, "expected `&&`"),
        ("has(a) | has(b)", 8, "expected `||`"),
        ("a == 'b", 6, "does not end"),
        ('a == "b', 6, "does not end"),
        ("a == b", 6, "expected a text in quotes, found `b`"),
        ("a b 'c'", 3, "expected an operator"),
        ("a starts 'c'", 3, "expected an operator"),
        ("a == 'b' c", 10, "expected `&&`, `||` or the end"),
        ("a ==", 5, "found the end"),
        ("a", 2, "expected an operator"),
        ("", 1, "expected a label"),
        (" ", 2, "expected a label"),
        ("a in 'b'", 6, "expected `{`"),
        ("a in {'b' 'c'}", 11, "expected `,` or `}`"),
        ("a in {,}", 7, "expected a text in quotes or `}`"),
        ("a in {'b'", 10, "expected `,` or `}`"),
        ("has()", 5, "expected a label in `has()`"),
        ("has(a b)", 7, "expected `)`"),
        ("has (a)", 5, "expected an operator"),
        ("all(a)", 5, "expected `)`"),
        ("(has(a)", 8, "expected `)`"),
        ("has(a))", 7, "expected `&&`, `||` or the end"),
        ("has(a) &&", 10, "found the end"),
        ("|| has(a)", 1, "expected a label"),
        ("a == 'b'\n", 9, "unexpected `\\u000a`"),
        ("ä == 'b'", 1, "unexpected `ä`"),
        ("a:b == 'c'", 2, "expected an operator"),
        ("has(a) && global()", 11, "`global()` stands alone"),
        ("a" * 513 + " == 'b'", 1, "at most 512"),
    ],
)
def test_an_error_points_at_the_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"at column {column}: ")
    assert reason in str(caught.value)


# -- hostile input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "(" * 16_000,
        "(" * 51 + "has(a)" + ")" * 51,
        "!" * 16_383,
        "!(" * 8_000,
        "has(a) && " * 2_000,
        "a in {" + "'x'," * 4_000,
        "'" * 16_384,
        "a" * 16_385,
        "\t" * 16_000 + "a",
    ],
)
def test_hostile_selectors_end_in_an_error(text: str) -> None:
    with pytest.raises(SelectorError):
        parse(text)


def test_long_but_flat_selectors_are_read() -> None:
    assert parse("!" * 1_000 + "has(a)") == A
    assert isinstance(parse(" || ".join(["has(a)"] * 1_000)), LabelOr)
    assert parse("(" * 50 + "has(a)" + ")" * 50) == A


@given(st.text(alphabet="ab'\"(){}!=&|, \tinhasl.", max_size=60))
def test_any_text_is_a_selector_or_an_error_at_a_column_of_it(text: str) -> None:
    try:
        found = parse(text)
    except SelectorError as error:
        [column] = re.findall(r"at column (\d+)", str(error))
        assert 1 <= int(column) <= len(text) + 1
    else:
        assert isinstance(found, LabelAnd | LabelOr | LabelNot | LabelIs)


# -- written and read again --------------------------------------------------------------------

KEYS = st.sampled_from(("a", "b", "in", "x.io/c", "notin"))
VALUES = st.sampled_from(("", "x", "y", "xy", "it's", "&& ||"))
BLANK = st.sampled_from(("", " ", "\t", "  "))


def quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


@st.composite
def leaves(draw: st.DrawFn) -> tuple[str, LabelExpression]:
    key, value, blank = draw(KEYS), draw(VALUES), draw(BLANK)
    word = blank or " "
    match draw(st.integers(0, 8)):
        case 0:
            return f"has({blank}{key}{blank})", leaf(key, Operator.EXISTS)
        case 1:
            return f"all({blank})", LabelAnd()
        case 2:
            return f"{key}{blank}=={blank}{quoted(value)}", leaf(key, Operator.IN, value)
        case 3:
            return f"{key}{blank}!={blank}{quoted(value)}", leaf(key, Operator.NOT_IN, value)
        case 4:
            text = f"{key}{word}contains{blank}{quoted(value)}"
            return text, leaf(key, Operator.CONTAINS, value)
        case 5:
            text = f"{key}{word}starts{blank}with{blank}{quoted(value)}"
            return text, leaf(key, Operator.STARTS_WITH, value)
        case 6:
            text = f"{key}{word}ends{blank}with{blank}{quoted(value)}"
            return text, leaf(key, Operator.ENDS_WITH, value)
        case form:
            values = draw(st.lists(VALUES, max_size=3))
            listed = f"{{{blank}{f'{blank},{blank}'.join(map(quoted, values))}{blank}}}"
            if form == 7:
                return f"{key}{word}in{blank}{listed}", leaf(key, Operator.IN, *values)
            return f"{key}{word}not{blank}in{blank}{listed}", leaf(key, Operator.NOT_IN, *values)


@st.composite
def combined(
    draw: st.DrawFn, inner: st.SearchStrategy[tuple[str, LabelExpression]]
) -> tuple[str, LabelExpression]:
    blank = draw(BLANK)
    if draw(st.booleans()):
        text, meant = draw(inner)
        return f"!{blank}({text})", LabelNot(meant)
    parts = draw(st.lists(inner, min_size=2, max_size=3))
    made, sign = draw(st.sampled_from(((LabelAnd, "&&"), (LabelOr, "||"))))
    # Parentheses only where they are needed: an `||` within an `&&`.
    texts = [
        f"({text})" if made is LabelAnd and isinstance(meant, LabelOr) else text
        for text, meant in parts
    ]
    meanings = tuple(meant for _, meant in parts)
    joined: LabelExpression = LabelAnd(meanings) if made is LabelAnd else LabelOr(meanings)
    return f"{blank}{sign}{blank}".join(texts), joined


SELECTORS = st.recursive(leaves(), combined, max_leaves=8)
LABELS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(SELECTORS, st.lists(LABELS, min_size=1, max_size=6))
def test_what_is_written_means_the_same_when_read(
    written: tuple[str, LabelExpression], labels: list[Labels]
) -> None:
    text, meant = written
    found = parse(text)
    for one in labels:
        assert holds(found, one) == holds(meant, one), text


def test_the_limits_are_above_what_calico_takes() -> None:
    assert selectors.MOST_CHARACTERS >= 1024
