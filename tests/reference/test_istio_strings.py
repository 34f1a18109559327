import pytest

from ringfence.reference import istio_strings
from ringfence.reference.mesh_flow import SOMEBODY

FRONT = "cluster.local/ns/web/sa/front"


@pytest.mark.parametrize(
    ("pattern", "text", "meant"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("ab*", "ab", True),
        ("ab*", "abc", True),
        ("*bc", "abc", True),
        ("*bc", "abcd", False),
        ("*", "a", True),
        ("*", "", False),
        ("a*c", "abc", False),
        ("a*c", "a*c", True),
        ("*a*", "xa*", True),
        ("*a*", "xay", False),
        ("ABC", "abc", False),
    ],
)
def test_a_star_means_something_at_one_end_alone(pattern: str, text: str, meant: bool) -> None:
    assert istio_strings.is_value(pattern, text) is meant


def test_of_a_header_a_lone_star_is_also_the_empty_value() -> None:
    assert istio_strings.is_header("*", "")
    assert not istio_strings.is_header("a*", "")


def test_a_host_has_no_case_but_a_port() -> None:
    assert istio_strings.is_host("Exact.com", "eXact.COM")
    assert not istio_strings.is_host("exact.com", "exact.com:80")
    assert istio_strings.is_host("*.exact.com", "a.EXACT.com")


@pytest.mark.parametrize(
    ("template", "path", "meant"),
    [
        ("/a/{*}", "/a/b", True),
        ("/a/{*}", "/a/", False),
        ("/a/{*}", "/a/b/c", False),
        ("/a/{*}", "/a/b c", False),
        ("/{*}/b", "/a/b", True),
        ("/a/{**}", "/a/", True),
        ("/a/{**}", "/a/b/c", True),
        ("/a/{**}", "/a", False),
        ("/store/{**}/cart", "/store//cart", True),
        ("/store/{**}/cart", "/store/cart", False),
        ("/{*}/x/{**}", "/a/x/b", True),
        ("/{*}/x/{**}", "//x/b", False),
    ],
)
def test_templates_of_paths(template: str, path: str, meant: bool) -> None:
    assert istio_strings.is_path(template, path) is meant


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [("web", True), ("we", False), ("w*", True), ("*b", True), ("w*b", True), ("*", True)],
)
def test_a_star_stands_anywhere_in_a_namespace(pattern: str, meant: bool) -> None:
    assert istio_strings.is_namespace(pattern, FRONT) is meant
    assert not istio_strings.is_namespace(pattern, "")


def test_somebody_is_met_by_a_lone_star_alone() -> None:
    assert istio_strings.is_namespace("*", SOMEBODY)
    assert not istio_strings.is_namespace("w*", SOMEBODY)
    assert istio_strings.is_value("*", SOMEBODY)
    assert not istio_strings.is_service_account("front", SOMEBODY, "web")


def test_a_service_account_is_of_any_trust_domain() -> None:
    assert istio_strings.is_service_account("front", FRONT, "web")
    assert istio_strings.is_service_account("web/front", "td/ns/web/sa/front", "shop")
    assert not istio_strings.is_service_account("front", FRONT, "shop")
    assert not istio_strings.is_service_account("web/fron", FRONT, "web")


@pytest.mark.parametrize(
    ("principal", "found"),
    [
        ("cluster.local/ns/a/sa/b", ["new/ns/a/sa/b", "old/ns/a/sa/b"]),
        ("old/ns/a/sa/b", ["new/ns/a/sa/b", "old/ns/a/sa/b"]),
        ("other/ns/a/sa/b", ["other/ns/a/sa/b"]),
        ("*/ns/a/sa/b", ["*/ns/a/sa/b"]),
        ("*ew/ns/a/sa/b", ["*ew/ns/a/sa/b", "old/ns/a/sa/b"]),
        ("*/sa/b", ["*/sa/b"]),
        ("*", ["*"]),
    ],
)
def test_aliases_of_trust_domains(principal: str, found: list[str]) -> None:
    assert istio_strings.with_aliases(principal, ("new", "old")) == found
