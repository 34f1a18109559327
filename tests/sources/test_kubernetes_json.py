"""JSON: values, and the lines that a second look at the text gives."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringfence.errors import InputError
from ringfence.model.document import count_positions
from ringfence.sources import kubernetes_yaml
from ringfence.sources.kubernetes_json import end_of, lines_of, next_value, parse, repaired
from ringfence.sources.kubernetes_yaml import Chunk

TEXTS = st.text('abc {}[],:"\\/#é\n', max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def value_of(text: str) -> Any:
    return parse(text, next_value(text, 0), 1, "f").value


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(text, 0, 1, "f")
    return str(caught.value)


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.sampled_from([None, 0, 2]))
def test_values_are_those_of_the_standard_library(
    value: dict[str, Any], indent: int | None
) -> None:
    text = " " + json.dumps(value, indent=indent)
    extent = parse(text, 1, 1, "f")
    assert extent.value == json.loads(text, parse_int=value_of)
    assert (extent.start, extent.end) == (1, len(text))


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.sampled_from([None, 0, 2]))
@example({"": -(2**63) - 1}, None)
def test_lines_are_those_of_the_yaml_that_it_is(value: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    lines = lines_of(text, 0, 1, "f")
    assert len(lines) == count_positions(value)
    parsed = kubernetes_yaml.parse(Chunk(text, 1), "f")
    assert parsed is not None
    assert parsed.lines == lines
    assert parsed.value == value_of(text)


def test_each_item_of_a_list_has_its_place() -> None:
    text = '{\n"kind": "List",\n"items": [\n{"a": 1},\n\n[2],\n"}"\n], "x": {"items": [1]}}'
    extent = parse(text, 0, 7, "f")
    assert [text[item.start : item.end] for item in extent.items] == ['{"a": 1}', "[2]", '"}"']
    assert [item.line for item in extent.items] == [10, 12, 13]
    assert [item.value for item in extent.items] == extent.value["items"]
    assert extent.end == len(text)


def test_an_empty_list_and_an_empty_object_are_read() -> None:
    assert value_of('{"items": [ ]}') == {"items": []}
    assert value_of(" { }") == {}
    assert value_of('[{"items": [1]}]') == [{"items": [1]}]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{,}",
        '{"a"}',
        '{"a" 1}',
        '{"a": }',
        '{"a": 1,}',
        '{"a": 1 "b": 2}',
        '{"items": [1,]}',
        '{"items": [1 2]}',
        '{"items": [',
        "{a: 1}",
        "{'a': 1}",
        '{"a": 01}',
        '{"a": "\n"}',
        "[1",
    ],
)
def test_what_is_no_json_is_left_to_yaml(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse(text, 0, 1, "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {"b": 1,\n"c": 2,\n"b": 3}}', "f:3: key `b` is given twice, first in line 1"),
        ('{"a": 1,\n"\\u0061": 2}', "f:2: key `a` is given twice, first in line 1"),
        ('{"items": [{},\n{"x": 1, "x": 2}]}', "f:2: key `x` is given twice, first in line 2"),
        ('{"items": [],\n"items": []}', "f:2: key `items` is given twice, first in line 1"),
        ('{"NaN": "NaN",\n"b": NaN}', "f:2: JSON has no `NaN`"),
        ('{"a":\n-Infinity}', "f:2: JSON has no `-Infinity`"),
        ('{"a":\n\n1e999}', "f:3: the number `1e999` is out of range"),
        ('{"a":' * 100_000, "f:1: nested too deep to be read"),
        ('{"a":1, "b":' + "[" * 100_000, "f:1: nested too deep to be read"),
    ],
)
def test_json_that_kubernetes_cannot_have_is_an_error(text: str, message: str) -> None:
    assert refusal(text) == message


def test_an_object_has_a_largest_size() -> None:
    text = '{"a": "' + "x" * (64 << 20) + '"}'
    assert refusal(text) == "f:1: an object of 64 MiB: too large to be read"


def test_numbers_come_out_as_kubectl_writes_them() -> None:
    text = "[80.0, 1e3, 0.5, -0.0, 9223372036854775807, 9223372036854775808, %s]" % ("9" * 300)
    found = value_of(text)
    assert found == [80, 1000, 0.5, 0, 2**63 - 1, 2.0**63, 1e300]
    assert [type(number) for number in found] == [int, int, float, int, int, float, float]
    assert refusal("9" * 5000).startswith("f:1: the number `9999")


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    text = repaired(r'["\ud83d\ude00", "\ud83d", "\udE00\uD83D", "\\ud83d", "\\\uDabcx"]')
    assert value_of(text) == ["😀", "\ufffd", "\ufffd\ufffd", r"\ud83d", "\\\ufffdx"]


def test_lines_are_refused_for_what_nests_too_deep() -> None:
    assert len(lines_of("[" * 256 + "]" * 256, 0, 1, "f")) == 255
    with pytest.raises(InputError, match="f:1: nested more than 256 levels deep"):
        lines_of("[" * 257 + "]" * 257, 0, 1, "f")


def test_brackets_tell_where_a_value_ends() -> None:
    text = '{"a": "}]\\"}", "b": [1, {}]} {"c": 1}'
    assert text[: end_of(text, 0)] == '{"a": "}]\\"}", "b": [1, {}]}'
    assert end_of("{[}", 0) == 3
