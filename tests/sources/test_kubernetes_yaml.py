"""Streams of documents, and what is said of text that is no YAML."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringfence.errors import InputError
from ringfence.model.document import count_positions
from ringfence.sources.kubernetes_yaml import Chunk, parse, split

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: &m
  name: db
  namespace: shop
spec:
  podSelector: {matchLabels: {app: "db"}}
  ingress:
  - from: [{podSelector: {}}]   # all
    ports:
    - {port: 5432, protocol: TCP}
  - <<: *m
    text: |
      a
       b
    'on': !!str 12
"""


def values(text: str) -> list[object]:
    """Return what the documents of a stream hold, an error as its text."""
    found: list[object] = []
    for chunk in split(text):
        try:
            parsed = parse(chunk, "f")
        except InputError as error:
            found.append(str(error))
            continue
        if parsed is not None:
            found.append((parsed.value, parsed.line))
    return found


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(Chunk(text, 1), "f")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n# only a comment\n", []),
        ("---\n---\n# c\n---\n", []),
        ("null\n---\n~\n", []),
        ("a: 1", [({"a": 1}, 1)]),
        ("---\na: 1\n---\nb: 2\n", [({"a": 1}, 2), ({"b": 2}, 4)]),
        ("a: 1\n--- # Source: x.yaml\nb: 2\n---", [({"a": 1}, 1), ({"b": 2}, 3)]),
        ("a: 1\n---#x\nb: 2\n", [({"a": 1}, 1), ({"b": 2}, 3)]),
        ("a: 1\r\n---\r\nb: |\r\n  x\r\n  y\r\n", [({"a": 1}, 1), ({"b": "x\ny\n"}, 3)]),
        ("a: 1\n...\n---\nb: 2\n...\n", [({"a": 1}, 1), ({"b": 2}, 4)]),
        ("%YAML 1.1\n# c\n---\na: 1\n", [({"a": 1}, 4)]),
        ("a: |\n  ---\n  x\nb: ' ---'\n", [({"a": "---\nx\n", "b": " ---"}, 1)]),
        ("\ufeffa: 1\n---\n\ufeffb: 2\n", [({"a": 1}, 1), ({"b": 2}, 3)]),
    ],
)
def test_a_stream_is_its_documents(text: str, expected: list[object]) -> None:
    assert values(text) == expected


def test_documents_beside_a_broken_one_are_read() -> None:
    text = "a: 1\n---\nb: 'open\n---\nc: 3\n---\n- x\n- {\n---\nd: \udcff\n---\ne: 5\n"
    assert values(text) == [
        ({"a": 1}, 1),
        "f:3: invalid YAML: found unexpected end of stream while scanning a quoted scalar",
        ({"c": 3}, 5),
        "f:9: invalid YAML: did not find expected node content",
        "f:10: bad UTF-8",
        ({"e": 5}, 12),
    ]


def test_kubernetes_takes_nothing_behind_a_separator() -> None:
    assert values("--- {a: 1}\n---\nb: 2\n----\nc: 3\n---x\n") == [
        "f:1: only a comment may follow `---` on its line, not `{a: 1}`",
        ({"b": 2}, 3),
        "f:4: only a comment may follow `---` on its line, not `-`",
        "f:6: only a comment may follow `---` on its line, not `x`",
    ]


@pytest.mark.parametrize(
    "text", ["a: 1\n...\n# c\n\nb: 2\n", "[1]\n\n\n\n}", "{a: 1}\n\n\n\nb: 2\n"]
)
def test_what_follows_a_document_is_told(text: str) -> None:
    parsed = parse(Chunk(text, 11), "f")
    assert parsed is not None
    assert parsed.rest is not None
    assert parsed.rest.line in (13, 15)
    assert parsed.rest.text == text.split("\n", parsed.rest.line - 11)[-1]


def test_comments_behind_a_document_are_nothing() -> None:
    parsed = parse(Chunk("a: 1\n...\n# the end\n", 1), "f")
    assert parsed is not None
    assert parsed.rest is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1", "f:2: a tab in the indentation: YAML allows only spaces there"),
        ("a:\n  b: 1\n\tc: 1", "f:3: a tab in the indentation: YAML allows only spaces there"),
        ("a: 'x'\n\tb: 1", "f:2: a tab in the indentation: YAML allows only spaces there"),
        ("{\n\t'a': [\n\t}", "f:3: invalid YAML: did not find expected node content"),
        ("a: 1\nb: @x", "f:2: invalid YAML: `@` cannot begin a value unless it is quoted"),
        (
            "a: 1\nb c\nd: 2",
            "f:2: invalid YAML: could not find expected ':' while scanning a simple key",
        ),
        ("a: b: c", "f:1: invalid YAML: mapping values are not allowed in this context"),
        (
            "a:\n  - b\n  c: d",
            (
                "f:3: invalid YAML: did not find expected '-' indicator"
                " while parsing a block collection that begins 1 line above"
            ),
        ),
        ("a: 1\nb: é\x07", "f:2: character U+0007 is not allowed"),
        (
            "a\0:\0 \x001\0",
            "f:1: character U+0000 is not allowed (UTF-16 without a byte order mark?)",
        ),
        ("a: [1,\n 2", "f:2: invalid YAML: did not find expected ',' or ']' while parsing a flow"),
    ],
)
def test_errors_name_the_line_to_look_at(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        "kind: {{ .Values.kind }}\n",
        "{{- if .Values.x }}\nkind: NetworkPolicy\n{{- end }}\n",
        "a:\n{{ toYaml .Values.a | indent 2 }}\n",
    ],
)
def test_a_template_is_to_be_rendered_first(text: str) -> None:
    assert refusal(text).endswith("render it first, for example with `helm template`")


def test_a_template_within_quotes_is_a_string() -> None:
    assert values("a: '{{ x }}'\n") == [({"a": "{{ x }}"}, 1)]


def test_a_document_has_a_largest_size() -> None:
    text = "a: " + "x" * (64 << 20)
    assert refusal(text).startswith("f:1: a document of 64 MiB: YAML is read up to 64 MiB")


EDITS = st.lists(
    st.tuples(
        st.integers(0, len(POLICY)),
        st.integers(0, 3),
        st.text("{}[]:,-\"'#&*!|>%@`\t\n\r x?<~.0\udcff\u2028\ufeff\0", max_size=3),
    ),
    min_size=1,
    max_size=5,
)


def edited(edits: list[tuple[int, int, str]]) -> str:
    """Return the policy with pieces of its text replaced."""
    text = POLICY
    for place, length, put in edits:
        text = text[:place] + put + text[place + length :]
    return text


@given(EDITS.map(edited) | st.text(max_size=60))
@example(edited([(0, 0, "[")]))
@example(edited([(0, 3, "\udcff")]))
def test_of_any_text_only_input_errors_come(text: str) -> None:
    last = text.count("\n") + 1
    for chunk in split(text):
        try:
            parsed = parse(chunk, "f")
        except InputError as error:
            places = [error.location.line if error.location else None]
        else:
            places = [parsed.line, *parsed.lines] if parsed else []
        assert all(place is not None and 1 <= place <= last for place in places)


@given(EDITS)
def test_whatever_is_read_has_a_line_for_every_position(
    edits: list[tuple[int, int, str]],
) -> None:
    for chunk in split(edited(edits)):
        with suppress(InputError):
            parsed = parse(chunk, "f")
            assert parsed is None or len(parsed.lines) == count_positions(parsed.value)
