import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from layer7.layer7_strategies import DOMAINS, NAMES, PATHS, REGEXES, TEXTS, compiled, holds
from ringfence.layer7.atoms import Atoms
from ringfence.layer7.language import METHODS, VALUES
from ringfence.layer7.language import NAMES as NAMES_ONLY
from ringfence.layer7.language import PATHS as PATHS_ONLY
from ringfence.layer7.names import matches
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import DomainPattern, Form, Text, Wildcard, exact


def prefix(value: str) -> Text:
    return Text(Form.PREFIX, value)


def regex(value: str) -> Text:
    return Text(Form.REGEX, value)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6), st.lists(PATHS, min_size=1, max_size=6))
def test_a_string_is_in_the_atom_that_its_patterns_say(
    patterns: list[Text], strings: list[str]
) -> None:
    atoms = Atoms(patterns, PATHS_ONLY)
    for string in strings:
        atom = atoms.atom_of(string)
        assert set(atoms.signature(atom)) == {p for p in patterns if holds(p, string)}
        for pattern in patterns:
            assert bool(atoms.mask(pattern) >> atom & 1) == holds(pattern, string)


@settings(deadline=None)
@given(st.lists(st.one_of(TEXTS, REGEXES.map(regex)), max_size=5))
@example([exact("/a"), prefix("/a"), exact("/aa")])
@example([regex("a|b|c"), exact("a"), exact("b"), exact("c")])
@example([regex("[abc]"), exact("a"), exact("b")])
def test_the_witness_of_an_atom_has_its_signature(patterns: list[Text]) -> None:
    if any(p.form is Form.REGEX and compiled(p.value) is None for p in patterns):
        return
    try:
        atoms = Atoms(patterns, VALUES)
    except Undecidable:
        return
    assert len(set(atoms.signatures)) == atoms.count
    for atom in range(atoms.count):
        witness = atoms.witness(atom)
        assert atoms.atom_of(witness) == atom
        assert set(atoms.signature(atom)) == {p for p in patterns if holds(p, witness)}


@settings(deadline=None)
@given(st.lists(DOMAINS, max_size=5), st.lists(NAMES, min_size=1, max_size=5))
def test_the_witness_of_an_atom_of_names_is_a_name_of_its_signature(
    patterns: list[DomainPattern], names: list[str]
) -> None:
    atoms = Atoms(patterns, NAMES_ONLY)
    for name in (*names, *map(atoms.witness, range(atoms.count))):
        signature = set(atoms.signature(atoms.atom_of(name)))
        assert signature == {p for p in patterns if matches(p, name)}


def test_an_atom_that_exact_strings_use_up_is_none() -> None:
    """`[ab]` less `a` and `b` holds no string, so it is no atom."""
    atoms = Atoms([regex("[ab]"), exact("a"), exact("b")], PATHS_ONLY, "/")
    assert {atoms.witness(atom) for atom in range(atoms.count)} == {"/", "a", "b"}


def test_an_atom_keeps_what_exact_strings_leave_of_it() -> None:
    atoms = Atoms([regex("[a-c]"), exact("a"), exact("b")], PATHS_ONLY, "/")
    assert {atoms.witness(atom) for atom in range(atoms.count)} == {"/", "a", "b", "c"}
    assert atoms.witness(atoms.atom_of("c")) == "c"


def test_a_witness_is_shortest_printable_and_begins_with_a_slash_if_it_can() -> None:
    atoms = Atoms([regex("[^a]*z"), exact("/z"), regex(r"\xe9+")], PATHS_ONLY, "/")
    witnesses = {atoms.witness(atom) for atom in range(atoms.count)}
    assert witnesses == {"/", "/bz", "/z", "\u00e9"}


def test_equal_patterns_are_one() -> None:
    atoms = Atoms([prefix("/a"), prefix("/a"), regex("/a.*")], PATHS_ONLY)
    assert atoms.count == 2
    assert atoms.mask(prefix("/a")) == atoms.mask(regex("/a.*"))


def test_without_patterns_there_is_one_atom() -> None:
    atoms = Atoms([], PATHS_ONLY, "/")
    assert atoms.count == 1
    assert atoms.witness(0) == "/"


def test_a_pattern_outside_the_universe_holds_for_nothing() -> None:
    atoms = Atoms([exact("GET /"), exact(""), exact("GET")], METHODS)
    assert atoms.mask(exact("GET /")) == atoms.mask(exact("")) == 0
    assert atoms.mask(exact("GET")) == 1 << atoms.atom_of("GET")


@pytest.mark.parametrize("string", ["", "a\nb", "a\0"])
def test_a_string_outside_the_universe_cannot_be_asked_about(string: str) -> None:
    with pytest.raises(Undecidable):
        Atoms([prefix("a")], PATHS_ONLY).atom_of(string)


def test_segments_end_where_a_slash_is() -> None:
    segments = Text(Form.SEGMENTS, "/pub")
    atoms = Atoms([segments], PATHS_ONLY)
    held = [bool(atoms.mask(segments) >> atoms.atom_of(path) & 1) for path in _PUBLIC]
    assert held == [True, True, True, False, False]


_PUBLIC = ["/pub", "/pub/", "/pub/x", "/public", "/pu"]


def test_segments_of_the_root_are_all_paths_that_begin_with_a_slash() -> None:
    root = Text(Form.SEGMENTS, "/")
    atoms = Atoms([root], PATHS_ONLY)
    assert [bool(atoms.mask(root) >> atoms.atom_of(path) & 1) for path in ("/", "/a", "a")] == [
        *(True, True, False)
    ]


def test_what_a_pattern_is_written_as_makes_no_difference() -> None:
    atoms = Atoms(
        [regex("^/v1/.*$"), prefix("/v1/"), regex("/v1/(?s:.)*"), regex("(/v1/).*?")], PATHS_ONLY
    )
    assert atoms.count == 2


def test_thousands_of_literal_patterns_need_few_states() -> None:
    words = [f"/svc-{number % 71}/res-{number}" for number in range(5000)]
    patterns = [exact(word) for word in words]
    patterns += [prefix(f"/svc-{number}/") for number in range(70)]
    patterns += [prefix(f"/api/{number}/x/") for number in range(130)]
    started = time.monotonic()
    atoms = Atoms(patterns, PATHS_ONLY)
    assert time.monotonic() - started < 5, "a guard against hanging, not a measure"
    assert atoms.count == 5000 + 200 + 1
    assert len(atoms.dfa.states) < 5000, "exact strings need no states"


def test_patterns_that_share_beginnings_share_states() -> None:
    alone = len(Atoms([Text(Form.SUFFIX, ".example.com")], PATHS_ONLY).dfa.states)
    many = Atoms([Text(Form.SUFFIX, f".{n:03}.example.com") for n in range(500)], PATHS_ONLY)
    assert many.count == 501
    assert len(many.dfa.states) < 500 * alone


def test_thousands_of_domains() -> None:
    patterns = [DomainPattern(f"*.host-{n}.example.com", Wildcard.CILIUM) for n in range(2000)]
    atoms = Atoms(patterns, NAMES_ONLY)
    assert atoms.count == 2001
    assert atoms.atom_of("a.host-7.example.com") != atoms.atom_of("a.host-8.example.com")
