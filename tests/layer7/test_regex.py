import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from layer7.layer7_strategies import NOISE, REGEXES, STRINGS, compiled
from ringfence.layer7.atoms import Atoms
from ringfence.layer7.language import ANYTHING
from ringfence.layer7.regex import invalid_pattern, parse
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import Form, Text


def accepts(pattern: str, *strings: str) -> list[bool]:
    """Return whether an expression holds for strings, by the automaton alone."""
    atoms = Atoms([Text(Form.REGEX, pattern)], ANYTHING)
    mask = atoms.mask(Text(Form.REGEX, pattern))
    return [bool(mask >> atoms.atom_of(string) & 1) for string in strings]


@settings(max_examples=300, deadline=None)
@given(REGEXES, st.lists(STRINGS, min_size=1, max_size=6))
@example("(?i)[^a]\\w", ["b\u212a", "a\u017f"])
@example("(?i)[K-s]*", ["\u212a\u017f", "t", "k"])
@example("(|a)*$|^b", ["", "aa", "b", "ab"])
def test_an_expression_holds_for_what_re2_says(pattern: str, strings: list[str]) -> None:
    oracle = compiled(pattern)
    if oracle is None:
        with pytest.raises(Undecidable):
            parse(pattern)
        return
    try:
        found = accepts(pattern, *strings)
    except Undecidable:
        assert "(?i" in pattern
        return
    assert found == [oracle.fullmatch(string) is not None for string in strings]


@settings(max_examples=400, deadline=None)
@given(NOISE, st.lists(STRINGS, min_size=1, max_size=3))
def test_what_re2_refuses_is_refused_and_the_rest_not_misread(
    pattern: str, strings: list[str]
) -> None:
    oracle = compiled(pattern)
    assert (invalid_pattern(pattern) is None) == (oracle is not None)
    try:
        found = accepts(pattern, *strings)
    except Undecidable:
        return
    assert oracle is not None, "invalid, and yet it was read"
    assert found == [oracle.fullmatch(string) is not None for string in strings]


INVALID = [
    *("a**", "a{2}{3}", r"\E", r"[\b]", r"\1", r"\Z", r"[a-\d]", "(?i)*", "a|*", "(a", "a)", "[a"),
    *("a{1001}", "(?=a)", "(?!a)", "(?<=a)", r"(a)\1", r"\h", "(?x)a", "[z-a]", r"\x{110000}"),
    *(r"\x4", "\\", "{2}", "(?P=n)", "[[:foo:]]", "a++", r"(?P<n-n>a)", "x{2,1}", "(?-:a)"),
]


@pytest.mark.parametrize("pattern", INVALID)
def test_an_invalid_expression_is_told_and_never_read(pattern: str) -> None:
    assert invalid_pattern(pattern)
    with pytest.raises(Undecidable):
        parse(pattern)


@pytest.mark.parametrize(
    ("pattern", "because"),
    [
        (r"\bword\b", "word boundary"),
        (r"a\Bb", "word boundary"),
        (r"\pL+", "Unicode class"),
        (r"[\p{Greek}]", "Unicode class"),
        ("(?m)^a$", "anchors of lines"),
        (r"\C", "single byte"),
        ("(?i)stra\u00dfe", "beyond ASCII"),
        ("(" * 60 + ")" * 60, "within each other"),
    ],
)
def test_what_cannot_be_represented_exactly_is_undecidable(pattern: str, because: str) -> None:
    assert invalid_pattern(pattern) is None
    with pytest.raises(Undecidable, match=because):
        parse(pattern)


def test_the_dot_holds_no_newline() -> None:
    assert accepts("a.b", "a\nb", "a\rb") == [False, True]
    assert accepts("(?s)a.b", "a\nb") == [True]


def test_a_negated_class_holds_newlines() -> None:
    assert accepts("[^a]", "\n", "a") == [True, False]


def test_whitespace_holds_no_vertical_tab_but_its_posix_name_does() -> None:
    assert accepts(r"\s", "\v", "\f") == [False, True]
    assert accepts("[[:space:]]", "\v") == [True]


def test_flags_hold_to_the_end_of_their_group() -> None:
    assert accepts("(a(?i)b|c)d", "aBd", "Cd", "aBD", "Abd") == [True, True, False, False]


def test_inner_anchors_hold_at_the_ends_alone() -> None:
    assert accepts("(^|/)foo($|/.*)", "foo", "/foo", "foo/x", "/foobar") == [
        *(True, True, True, False)
    ]
    assert accepts("a^b|a$b", "ab") == [False]
    assert accepts("(^a)*", "", "a", "aa") == [True, True, False]


def test_quoted_text_is_literal_and_the_repetition_is_of_its_last_character() -> None:
    assert accepts(r"\Qa.b\E*", "a.", "a.bbb", "axb") == [True, True, False]
    assert accepts(r"\Qa*", "a*", "aa") == [True, False]


def test_braces_that_are_no_repetition_are_characters() -> None:
    assert accepts("a{,2}", "a{,2}", "aa") == [True, False]
    assert accepts("{a}", "{a}") == [True]


HOSTILE = [
    *("(a|a)*b", "(.*a){20}", "(a|b)*a(a|b){20}", "((a{0,30}){0,30})", "(a?){1000}"),
    *("(((a?){10}){10}){10}", "(x+x+)+y", "(.*)(.*)(.*)(.*)(.*)(.*)z{3}", "[a-z]{1000}"),
    *("(?:(?:.{0,9}a){9}b){9}", ".{500}a.{500}", "(.{1,9}a|b.{1,8})*c.{9}", "(a*)" * 500),
    *("(" * 45 + "a" + "*)" * 45, "((a*b*c*d*)*){30}", "(.*a.*|.*b.*){50}c{9}.{400}"),
    "|".join(f"[{chr(200 + number)}-\U0010ffff]" for number in range(1000)),
    "|".join(f".*{letter}.{{{number}}}" for number, letter in enumerate("abcdefghijklm", 8)),
]


@pytest.mark.parametrize("pattern", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_expression_ends_in_bounded_time(pattern: str) -> None:
    started = time.monotonic()
    try:
        answer = accepts(pattern, "aab", "z")
    except Undecidable:
        pass
    else:
        oracle = compiled(pattern)
        assert oracle is not None
        assert answer == [oracle.fullmatch(string) is not None for string in ("aab", "z")]
    assert time.monotonic() - started < 5, "a guard against hanging, not a measure"


def test_what_explodes_is_undecidable_and_says_so() -> None:
    with pytest.raises(Undecidable, match="too complex"):
        accepts("(a|b)*a(a|b){20}")


def test_a_reason_quotes_its_pattern() -> None:
    with pytest.raises(Undecidable, match=r"the regular expression `\\bx`: "):
        parse(r"\bx")
