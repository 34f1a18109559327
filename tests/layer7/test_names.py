import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layer7.layer7_strategies import DOMAINS, NAMES, compiled
from ringfence.layer7.atoms import Atoms
from ringfence.layer7.language import NAMES as NAMES_ONLY
from ringfence.layer7.names import matches
from ringfence.model.layer7 import DomainPattern, Wildcard

LABELS, COMPONENT = Wildcard.LABELS, Wildcard.COMPONENT
CILIUM, OLD = Wildcard.CILIUM, Wildcard.CILIUM_BEFORE_1_19


def meets(pattern: str, wildcard: Wildcard, *names: str) -> list[bool]:
    return [matches(DomainPattern(pattern, wildcard), name) for name in names]


@settings(max_examples=300)
@given(DOMAINS, st.lists(NAMES, min_size=1, max_size=5))
def test_the_matcher_by_hand_and_the_automaton_agree(
    pattern: DomainPattern, names: list[str]
) -> None:
    atoms = Atoms([pattern], NAMES_ONLY)
    for name in (*names, *map(atoms.witness, range(atoms.count))):
        assert matches(pattern, name) == bool(atoms.mask(pattern) >> atoms.atom_of(name) & 1)


@settings(max_examples=300)
@given(DOMAINS, NAMES)
def test_a_cilium_pattern_is_the_expression_that_cilium_makes_of_it(
    pattern: DomainPattern, name: str
) -> None:
    """Source: Cilium `pkg/fqdn/matchpattern/matchpattern.go`, ToAnchoredRegexp."""
    value = pattern.pattern
    group = "[-a-zA-Z0-9_]"
    rest = value.lstrip("*")
    head = ""
    if not rest:
        head, rest = f"({group}+[.])*{group}+", ""
    elif len(value) - len(rest) >= 2 and rest.startswith("."):
        head, rest = f"({group}+([.]{group}+)*)[.]", rest[1:]
    else:
        rest = value
    expression = head + rest.replace(".", "[.]").replace("*", f"{group}*")
    oracle = compiled(expression)
    assert oracle is not None
    cilium = DomainPattern(value, CILIUM)
    assert matches(cilium, name) == (oracle.fullmatch(name) is not None)


def test_a_leading_wildcard_of_cluster_network_policy_is_one_or_more_labels() -> None:
    """Gotcha 23 of the semantics, first half; NPEP-133."""
    assert meets("*.x.io", LABELS, "a.x.io", "a.b.x.io", "x.io", "ax.io") == [
        *(True, True, False, False)
    ]


def test_a_wildcard_of_cilium_is_within_one_label() -> None:
    """Gotcha 23 of the semantics, second half."""
    assert meets("*.x.io", CILIUM, "a.x.io", "a.b.x.io", "x.io") == [True, False, False]
    assert meets("*x.io", CILIUM, "x.io", "ax.io", "a.x.io") == [True, True, False]
    assert meets("a*b.io", CILIUM, "ab.io", "axb.io", "aab.io", "b.io", "a.b.io") == [
        *(True, True, True, False, False)
    ]
    assert meets("a*a.io", CILIUM, "a.io", "aa.io", "aba.io") == [False, True, True]


def test_a_double_wildcard_of_cilium_is_one_or_more_labels_since_1_19() -> None:
    assert meets("**.x.io", CILIUM, "a.x.io", "a.b.x.io", "x.io") == [True, True, False]
    assert meets("****.x.io", CILIUM, "a.b.x.io") == [True]
    assert meets("**.x.io", OLD, "a.x.io", "a.b.x.io", "x.io") == [True, False, False]


def test_a_double_wildcard_of_cilium_elsewhere_is_a_single_one() -> None:
    assert meets("a.**.io", CILIUM, "a.b.io", "a.b.c.io") == [True, False]
    assert meets("**x.io", CILIUM, "ax.io", "a.x.io") == [True, False]


@pytest.mark.parametrize("pattern", ["*", "**", "***"])
@pytest.mark.parametrize("wildcard", [CILIUM, OLD])
def test_a_lone_wildcard_of_cilium_is_every_name(pattern: str, wildcard: Wildcard) -> None:
    assert meets(pattern, wildcard, "a", "a.b.c", "x_y.io") == [True] * 3


def test_a_wildcard_of_calico_is_a_whole_component_anywhere() -> None:
    """Source: docs.tigera.io, domain-based policy: `*.google.com`, `update.*.com`."""
    assert meets("*.google.com", COMPONENT, "www.google.com", "www.ipv6.google.com") == [True] * 2
    assert meets("*.google.com", COMPONENT, "google.com", "xgoogle.com") == [False] * 2
    assert meets("update.*.com", COMPONENT, "update.a.com", "update.a.b.com", "update.com") == [
        *(True, True, False)
    ]
    assert meets("www.*", COMPONENT, "www.a", "www.a.b", "www") == [True, True, False]


@pytest.mark.parametrize(
    ("pattern", "wildcard"),
    [("a*.io", LABELS), ("a.*.io", LABELS), ("*", LABELS), ("a*", COMPONENT)],
)
def test_a_wildcard_where_the_dialect_has_none_meets_no_name(
    pattern: str, wildcard: Wildcard
) -> None:
    assert not any(meets(pattern, wildcard, "a", "a.io", "ab.io", "a.b.io"))
    assert Atoms([DomainPattern(pattern, wildcard)], NAMES_ONLY).count == 1


@pytest.mark.parametrize("wildcard", Wildcard)
def test_names_are_compared_in_lower_case_without_the_final_dot(wildcard: Wildcard) -> None:
    assert meets("api.stripe.com", wildcard, "API.Stripe.com", "api.stripe.com.") == [True] * 2
    assert meets("api.stripe.com", wildcard, "api.stripe.com..", "xapi.stripe.com") == [False] * 2


@pytest.mark.parametrize("name", ["", ".", "a..b", "a b", "\u00e9.io"])
@pytest.mark.parametrize("wildcard", Wildcard)
def test_what_is_no_name_meets_nothing(name: str, wildcard: Wildcard) -> None:
    assert not matches(DomainPattern("*.io", wildcard), name)
    assert not matches(DomainPattern("*", wildcard), name)
