import yaml
from hypothesis import given
from hypothesis import strategies as st

from ringfence import yaml_text
from ringfence.sources import kubernetes_yaml

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        (
            "on",
            "Y",
            "null",
            "1e3",
            "0x1f",
            "2024-01-01",
            "12:30:45",
            "a: b",
            "a #b",
            "- a",
            "*",
            "!",
        )
    ),
    st.from_regex(r"\A[ -~]{1,8}\Z"),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-(2**53), 2**53), st.booleans()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)),
    max_leaves=8,
)


@given(VALUES)
def test_every_reader_reads_what_was_meant(value: object) -> None:
    text = "\n".join(yaml_text.block({"key": value})) + "\n"
    assert yaml.safe_load(text) == {"key": value}
    [chunk] = kubernetes_yaml.split(text)
    parsed = kubernetes_yaml.parse(chunk, "x.yaml")
    assert parsed is not None
    assert parsed.value == {"key": value}


@given(st.lists(st.one_of(TEXTS, st.integers(1, 65535)), max_size=4))
def test_values_on_one_line(values: list[str | int]) -> None:
    text = "\n".join(yaml_text.block({"key": yaml_text.OneLine(values)}))
    assert "\n" not in text
    assert yaml.safe_load(text) == {"key": values}


@given(st.lists(st.text(max_size=300), max_size=3), st.integers(0, 8))
def test_no_text_leaves_a_comment(sentences: list[str], indent: int) -> None:
    text = "\n".join(yaml_text.comment(sentences, indent))
    assert yaml.safe_load(text) is None
    assert text.encode("utf-8", "replace").decode().isprintable() or "\n" in text


def test_long_sentences_are_wrapped() -> None:
    lines = list(yaml_text.comment(["word " * 40], 4))
    assert len(lines) > 2
    assert all(len(line) <= yaml_text.WIDTH and line.startswith("    #") for line in lines)
