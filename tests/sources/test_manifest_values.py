"""Texts of YAML, of JSON, and of both."""

import json

import pytest

from ringfence.sources.manifest_values import Broken, read


def told(text: str) -> list[object]:
    """Return value and line of each part, or the error."""
    return [
        str(part.error) if isinstance(part, Broken) else (part.value, part.line)
        for part in read(text, "f")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', [({"a": 1}, 1)]),
        ('\n {\n\n"a": 1}', [({"a": 1}, 4)]),
        ("{}", [({}, 1)]),
        ("[1]", [([1], 1)]),
        ('{"a": 1}{"b": 2}\n\n{\n"c": 3}\n', [({"a": 1}, 1), ({"b": 2}, 1), ({"c": 3}, 4)]),
        ('{"a": 1}\n---\n{"b": 2}\n---\nc: 012\n', [({"a": 1}, 1), ({"b": 2}, 3), ({"c": 10}, 5)]),
        ("{a: 1, b: no}\n", [({"a": 1, "b": False}, 1)]),
        ('{"a": [1,],}\n---\nb: 2\n', [({"a": [1]}, 1), ({"b": 2}, 3)]),
        ("a: 1\n---\n{b: 2}\n", [({"a": 1}, 1), ({"b": 2}, 3)]),
        ("\n \n", []),
    ],
)
def test_json_is_read_for_as_long_as_it_is_that(text: str, expected: list[object]) -> None:
    assert told(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1\n "b": 2}', ["f:2: invalid JSON: expecting ',' delimiter"]),
        (
            '{}\n{"a": [1\n}\n---\nb: 2\n',
            [({}, 1), "f:3: invalid JSON: expecting ',' delimiter", ({"b": 2}, 5)],
        ),
        ("{a: [1\n}", ["f:2: invalid YAML: did not find expected ',' or ']' while parsing a flow"]),
        (
            '{"a": 1,\n"a": 2}\n{"b": 3}',
            ["f:2: key `a` is given twice, first in line 1", ({"b": 3}, 3)],
        ),
        (
            '{"a": 1}\n{"b":\n "\udcff"}\n{"c": "\udcff"}{"d": 4}',
            [
                ({"a": 1}, 1),
                "f:3: bad UTF-8",
                "f:4: bad UTF-8",
                ({"d": 4}, 4),
            ],
        ),
        (
            "a: 1\n...\nb: 2\n---\nc: 3\n",
            [
                ({"a": 1}, 1),
                "f:3: what follows is not read by kubectl: put `---` before it",
                ({"c": 3}, 5),
            ],
        ),
        ("null\n...\nb: 2\n", ["f:3: what follows is not read by kubectl: put `---` before it"]),
    ],
)
def test_what_is_broken_is_told_between_what_is_read(text: str, expected: list[object]) -> None:
    found = told(text)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == other or (isinstance(one, str) and one.startswith(str(other)))


def test_broken_text_comes_along() -> None:
    (_, broken, _) = read("a: 1\n---\nkind: X\n b: c\n---\nc: 3\n", "f")
    assert isinstance(broken, Broken)
    assert broken.text == "\nkind: X\n b: c\n"
    broken, _ = read('{"kind": "X", "a": NaN} {"b": 1}', "f")
    assert isinstance(broken, Broken)
    assert broken.text == '{"kind": "X", "a": NaN}'


LIST = {"x": {"y": [1]}, "items": [{"a": [1]}, [], {}, {"items": [{"b": 2}]}], "z": 0}


@pytest.mark.parametrize(
    "text", [json.dumps(LIST, indent=1), "# yaml\n" + json.dumps(LIST, indent=1)]
)
def test_items_know_their_lines(text: str) -> None:
    (part,) = read(text, "f")
    assert not isinstance(part, Broken)
    lines = text.split("\n")
    items = list(part.items())
    assert [item.value for item in items] == LIST["items"]
    assert '"a"' in lines[items[0].line - 1]
    assert items[0].lines() == [items[0].line, items[0].line + 1]
    assert [len(item.lines()) for item in items] == [2, 0, 0, 3]
    (inner,) = items[3].items()
    assert inner.value == {"b": 2}
    assert '"b"' in lines[inner.line - 1]
    assert inner.lines() == [inner.line]
    assert [len(item.lines_at_hand()) for item in items] in ([2, 0, 0, 3], [0, 0, 0, 0])


def test_lines_are_at_hand_in_yaml_only() -> None:
    yaml, json_ = (next(read(text, "f")) for text in ("a: 1", '{"a": 1}'))
    assert not isinstance(yaml, Broken)
    assert not isinstance(json_, Broken)
    assert yaml.lines_at_hand() == json_.lines() == [1]
    assert json_.lines_at_hand() == []
