"""Values and lines of single documents, hostile ones among them."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ringfence.errors import InputError
from ringfence.model.document import Document, Path, count_positions
from ringfence.sources import yaml_builder
from ringfence.sources.kubernetes_yaml import Chunk, Parsed, parse

KEYS = st.text("abcdefgh-/. #:'\"\\é", min_size=1, max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-(2.0**53), 2.0**53)
    | st.text(max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def read(text: str, line: int = 1) -> Parsed:
    parsed = parse(Chunk(text, line), "f.yaml")
    assert parsed is not None
    assert len(parsed.lines) == count_positions(parsed.value)
    return parsed


def refusal(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(Chunk(text, 1), "f.yaml")
    return caught.value


def line(parsed: Parsed, *path: str | int) -> int | None:
    body = parsed.value
    document = Document("", "", "", "", body, "f.yaml", parsed.line, tuple(parsed.lines))
    return document.line_of(path)


def paths(value: Any, above: Path = ()) -> list[Path]:
    """Return the path of every key and item, in the order of `Document.lines`."""
    found: list[Path] = []
    listed = enumerate(value if isinstance(value, list) else ())
    for key, child in value.items() if isinstance(value, dict) else listed:
        found += [(*above, key), *paths(child, (*above, key))]
    return found


def test_every_key_and_item_has_its_line() -> None:
    parsed = read(
        "a: 1\n"
        "b:\n"
        "  - x\n"
        "\n"
        "  -\n"
        "    c: {d: 1,\n"
        "       e: [f, # why\n"
        "         g]}\n"
        "'h': |\n"
        "  text\n"
        "i: last\n",
        line=100,
    )
    assert dict(zip(paths(parsed.value), parsed.lines, strict=True)) == {
        ("a",): 100,
        ("b",): 101,
        ("b", 0): 102,
        ("b", 1): 105,
        ("b", 1, "c"): 105,
        ("b", 1, "c", "d"): 105,
        ("b", 1, "c", "e"): 106,
        ("b", 1, "c", "e", 0): 106,
        ("b", 1, "c", "e", 1): 107,
        ("h",): 108,
        ("i",): 110,
    }
    assert parsed.line == 100


@given(VALUES)
def test_what_was_dumped_is_read_back(value: object) -> None:
    text = yaml.safe_dump(value, default_style='"', allow_unicode=True)
    parsed = parse(Chunk(text, 1), "f.yaml")
    if value is None:
        assert parsed is None
        return
    assert parsed is not None
    assert parsed.value == value
    assert len(parsed.lines) == count_positions(value)


@given(st.dictionaries(st.sampled_from(["kx", "ky", "kz"]), VALUES), st.booleans())
def test_lines_never_go_back_in_text_without_aliases(value: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(value, default_style='"', default_flow_style=flow)
    if "&" not in text:
        parsed = read(text)
        assert parsed.lines == sorted(parsed.lines)
        assert all(f'"{key}"' in text.split("\n")[line(parsed, key) - 1] for key in value)  # type: ignore[operator]


def test_an_alias_repeats_value_and_lines_of_its_anchor() -> None:
    parsed = read("base: &b\n  x: 1\n  z: [2]\ncopy: *b\nmore: [*b]\nword: &w no\nsame: *w\n")
    assert parsed.value["copy"] == parsed.value["base"] == parsed.value["more"][0]
    assert parsed.value["same"] is False
    assert line(parsed, "copy") == 4
    assert line(parsed, "copy", "x") == 2
    assert line(parsed, "copy", "z", 0) == 3
    assert line(parsed, "more", 0) == 5
    assert line(parsed, "more", 0, "z") == 3
    assert line(parsed, "same") == 7


def test_the_latest_anchor_of_a_name_counts() -> None:
    assert read("a: &x 1\nb: &x 2\nc: *x").value["c"] == 2
    assert read("a: &x [&x 1, *x]").value == {"a": [1, 1]}


def test_an_alias_can_be_a_key() -> None:
    assert read("- &k 1e6\n- {*k : v}").value == [1000000, {"1e+06": "v"}]


def test_a_merge_brings_keys_with_their_lines() -> None:
    parsed = read("base: &b\n  x: 1\n  w: {deep: 1}\none:\n  <<: *b\n  x: 3\n  z: [4]\n")
    assert parsed.value["one"] == {"x": 3, "w": {"deep": 1}, "z": [4]}
    assert line(parsed, "one", "x") == 6
    assert line(parsed, "one", "w") == 3
    assert line(parsed, "one", "w", "deep") == 3
    assert line(parsed, "one", "z", 0) == 7


def test_a_merge_replaces_what_stands_before_it() -> None:
    parsed = read("b: &b {x: 1}\none:\n  x: 2\n  w: [9]\n  <<: *b\n")
    assert parsed.value["one"] == {"x": 1, "w": [9]}
    assert line(parsed, "one", "x") == 1
    assert line(parsed, "one", "w", 0) == 4


def test_the_first_of_several_merged_objects_counts() -> None:
    parsed = read("- &a {x: 1}\n- &b {x: 2, u: {z: 2}}\n- <<: [*a, *b, {w: [1]}]\n  v: 0\n")
    assert parsed.value[2] == {"w": [1], "x": 1, "u": {"z": 2}, "v": 0}
    assert line(Parsed({"": parsed.value}, [0, *parsed.lines], 1, None), "", 2, "u", "z") == 2


def test_merged_objects_in_a_list_have_lines_of_their_own() -> None:
    parsed = read("<<:\n- p: 1\n\n- q: 2\n  r: [3,\n  4]\ns: 5\n")
    assert parsed.value == {"q": 2, "r": [3, 4], "p": 1, "s": 5}
    assert parsed.lines == [4, 5, 5, 6, 2, 7]


def test_merges_merge_what_was_merged() -> None:
    parsed = read("a: &a {p: 1}\nb: &b\n  <<: *a\n  q: 2\nc:\n  <<: *b\n  <<: {r: 3}\n")
    assert parsed.value["c"] == {"p": 1, "q": 2, "r": 3}
    assert [line(parsed, "c", key) for key in "pqr"] == [1, 4, 7]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read("'<<': 1").value == {"<<": 1}
    assert read("!!merge <<: {a: 1}").value == {"a": 1}
    assert read("a: <<").value == {"a": "<<"}


@pytest.mark.parametrize("text", ["<<: 1", "<<:", "<<: [1]", "a: &a [{}]\nb:\n  <<: *a"])
def test_only_objects_can_be_merged(text: str) -> None:
    error = refusal(text)
    assert error.message == "`<<` takes an object or a list of objects"
    assert error.location is not None
    assert error.location.line == text.count("\n") + 1


def test_keys_are_strings() -> None:
    assert read("80: a\n0x10: b\non: c\n1.5: d").value == {
        "80": "a",
        "16": "b",
        "true": "c",
        "1.5": "d",
    }


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3", 5, "key `c` is given twice, first in line 3"),
        ("a: 1\n'a': 2", 2, "key `a` is given twice, first in line 1"),
        ("16: 1\n0x10: 2", 2, "key `16` is given twice, first in line 1"),
        ("on: 1\nx: 1\nyes: 2", 3, "key `true` is given twice, first in line 1"),
        ("a: 1\n<<: {b: 2}\nc: [3]\nc: 4", 4, "key `c` is given twice, first in line 3"),
        ("a: 1\n<<: {a: 2}\na: 3", 3, "key `a` is given twice, first in line 2"),
        ("a: 1\n~: 2", 2, "a key must not be empty or null"),
        ("a: 1\n? [x]\n: 2", 2, "a key must be a word, not an object or a list"),
        ("a: &a [x]\n*a : 2", 2, "a key must be a word, not an object or a list"),
        ("a: 1\nb: .inf", 2, "Kubernetes has no infinite numbers and no `.nan`"),
        ("a: 1\nb: !!int x", 2, "`x` is no int"),
        ("a: 1\nb: *x", 2, "no anchor `&x` stands before this alias"),
        ("a: 1\nb: &x [1,\n*x]", 3, "`&x` contains itself"),
        ("&x\na: 1\n<<: *x", 3, "`&x` contains itself"),
    ],
)
def test_what_kubernetes_cannot_have_is_an_error(text: str, place: int, message: str) -> None:
    error = refusal(text)
    assert str(error) == f"f.yaml:{place}: {message}"


def test_an_alias_bomb_is_refused() -> None:
    bomb = "l0: &l0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    error = refusal(bomb)
    assert error.message == "aliases bring more than 200,000 keys and items"
    assert error.location is not None
    assert error.location.line == 6


def test_a_merge_bomb_is_refused() -> None:
    error = refusal("a: &a {x: 1}\nb: {<<: [" + "*a, " * 110_000 + "*a]}\n")
    assert error.message == "aliases bring more than 200,000 keys and items"


def test_aliases_within_the_limit_are_read() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\nb:\n" + "- *a\n" * 10_000
    assert len(read(text).value["b"]) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "\n".join(" " * depth + "a:" for depth in range(1000)),
        "a: &a [" + "[" * 150 + "]" * 150 + ", &b []]\nc: " + "[" * 150 + "*a" + "]" * 150,
        "a0: &a0 {}\n" + "".join(f"a{n + 1}: &a{n + 1} {{x: *a{n}}}\n" for n in range(1000)),
    ],
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert refusal(text).message == "nested more than 256 levels deep"


def test_the_deepest_nesting_allowed_can_be_walked_over() -> None:
    assert count_positions(read("[" * 256 + "]" * 256).value) == 255
    refusal("[" * 257 + "]" * 257)


def test_unusual_line_breaks_do_not_shift_lines() -> None:
    parsed = read("a: 1 # one\u2028b: 2\x85c: 3\r\nd: 4\n")
    assert parsed.value == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert parsed.lines == [1, 1, 1, 2]


def test_the_parser_of_pyyaml_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Python(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
        def __init__(self, stream: str) -> None:
            yaml.reader.Reader.__init__(self, stream)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)

    text = "a: &x {on: 012}\nb:\n  <<: *x\n  c: [no, 'no']\n"
    fast = read(text)
    monkeypatch.setattr(yaml_builder, "EventParser", Python)
    assert read(text) == fast
    assert (
        refusal("a:\n\tb: 1").message == "a tab in the indentation: YAML allows only spaces there"
    )
    assert refusal("a: 1\nb: \x07").message == "character U+0007 is not allowed"
    assert refusal("a: 1\nb: \udcff").message
