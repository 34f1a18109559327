"""How Istio's policies write values: strings, hosts, paths, identities."""

import pytest
import re2

from dialects.istio_documents import operation, rules, source
from ringfence.dialects import _istio_values as values
from ringfence.dialects._istio_identities import Reading
from ringfence.dialects._shared import Malformed
from ringfence.layer7 import Space
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Request, Text, exact
from ringfence.model.mesh import IstioConfig
from ringfence.model.rule import ANYONE, AnyPeer, Peer, PrincipalPeer

IDENTITY = "cluster.local/ns/shop/sa/web"


def holds(box: Layer7, **said: str) -> bool:
    """Return whether a box holds for a request."""
    space = Space([box])
    request = Request(
        http=True,
        method="GET",
        path=said.get("path", "/"),
        host=said.get("host", "x"),
        headers=(),
        dns="",
        sni="",
        authenticated=False,
        mtls=False,
    )
    return bool(space.mask_of(request) & space.mask(box))


def of_path(written: str) -> Layer7:
    return Layer7(http=HttpMatch(paths=(values.path_pattern(written, ()),)))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a", exact("a")),
        ("a*", Text(Form.PREFIX, "a")),
        ("*a", Text(Form.SUFFIX, "a")),
        ("*a*", Text(Form.SUFFIX, "a*")),
        ("a*b", exact("a*b")),
        ("*", Text(Form.PREFIX, "")),
    ],
)
def test_a_star_stands_at_one_end(written: str, expected: Text) -> None:
    assert values.pattern(written) == expected


@pytest.mark.parametrize(
    ("written", "said", "expected"),
    [
        ("exact.com", "exact.com", True),
        ("exact.com", "EXACT.com", True),
        ("Exact.com", "exact.com", True),
        ("exact.com", "exact.com:80", False),
        ("exact.com", "exactxcom", False),
        ("exact.com*", "exact.com:80", True),
        ("*.Exact.com", "a.exact.COM", True),
        ("*.exact.com", "exact.com", False),
        ("*", "anything", True),
    ],
)
def test_hosts_are_the_same_whatever_their_case_and_keep_their_port(
    written: str, said: str, *, expected: bool
) -> None:
    box = Layer7(http=HttpMatch(hosts=(values.host(written),)))
    assert holds(box, host=said) is expected


def test_methods_and_paths_are_not_the_same_whatever_their_case() -> None:
    assert operation(methods=["get"]) != operation(methods=["GET"])
    assert not holds(of_path("/A"), path="/a")


@pytest.mark.parametrize(
    ("written", "path", "expected"),
    [
        ("/a/{*}", "/a/b", True),
        ("/a/{*}", "/a", False),
        ("/a/{*}", "/a/", False),
        ("/a/{*}", "/a/b/c", False),
        ("/a/{*}/c", "/a/b/c", True),
        ("/a/{*}/c", "/a//c", False),
        ("/a/{**}", "/a/b/c", True),
        ("/a/{**}", "/a/", True),
        ("/a/{**}", "/a", False),
        ("/store/{**}/cart", "/store//cart", True),
        ("/store/{**}/cart", "/store/1/2/cart", True),
        ("/store/{**}/cart", "/store/cart", False),
        ("/store/{*}/{**}", "/store/1/", True),
        ("/a.b/{*}", "/axb/c", False),
        ("/{*}", "/a*b", True),
    ],
)
def test_a_path_template_is_for_the_whole_path(written: str, path: str, *, expected: bool) -> None:
    assert holds(of_path(written), path=path) is expected


@pytest.mark.parametrize(
    "written",
    [
        "/{a}",
        "/{}",
        "/a{*}",
        "/{**}/{*}",
        "/{**}/{**}",
        "/{*}/a*",
        "/{*}//a",
        "{*}",
        "/{*}/",
        "/a}",
    ],
)
def test_what_is_no_path_template_is_refused(written: str) -> None:
    with pytest.raises(Malformed):
        values.path_pattern(written, ())


def test_a_star_elsewhere_in_a_path_is_itself() -> None:
    assert values.path_pattern("/a*b", ()) == exact("/a*b")


# -- identities ------------------------------------------------------------------------------------


def reading(*, ztunnel: bool = False, domain: str = "cluster.local", **more: object) -> Reading:
    aliases = more.get("aliases", ())
    assert isinstance(aliases, tuple)
    return Reading("shop", IstioConfig(trust_domain=domain, trust_domain_aliases=aliases), ztunnel)


def means(peer: Peer, identity: str = IDENTITY) -> bool:
    """Return whether a peer means whoever proves something."""
    match peer:
        case PrincipalPeer(Text(form, value)):
            return {
                Form.EXACT: identity == value,
                Form.PREFIX: identity.startswith(value),
                Form.SUFFIX: identity.endswith(value),
                Form.SEGMENTS: False,
                Form.REGEX: form is Form.REGEX and bool(re2.fullmatch(value, identity)),
            }[form]
        case AnyPeer():
            return any(means(part, identity) for part in peer.parts)
        case _:
            return peer == ANYONE


def listed(*written: str) -> list[tuple[tuple[str | int, ...], str]]:
    return [(("spec",), one) for one in written]


@pytest.mark.parametrize("ztunnel", [False, True])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (IDENTITY, True),
        ("cluster.local/ns/shop/sa/other", False),
        ("cluster.local/ns/shop/*", True),
        ("*/sa/web", True),
        ("*/ns/shop/sa/web", True),
        ("*/sa/other", False),
        ("*", True),
        ("other.domain/ns/shop/sa/web", False),
    ],
)
def test_principals(written: str, *, expected: bool, ztunnel: bool) -> None:
    assert means(reading(ztunnel=ztunnel).principals(listed(written))) is expected


def test_what_follows_a_leading_star_is_a_regular_expression_for_envoy_alone() -> None:
    for ztunnel in (False, True):
        found = reading(ztunnel=ztunnel).principals(listed("*/ns/sh.p/sa/web"))
        assert means(found) is not ztunnel


@pytest.mark.parametrize("written", ["cluster.local", "old", "new", "o*"])
def test_a_trust_domain_of_the_mesh_stands_for_all_of_them_for_envoy(written: str) -> None:
    ours = reading(domain="new", aliases=("old",))
    found = ours.principals(listed(f"{written}/ns/shop/sa/web"))
    assert means(found, "new/ns/shop/sa/web")
    assert not means(found, "other/ns/shop/sa/web")
    assert not means(found, IDENTITY)


def test_a_trust_domain_stands_for_itself_for_ztunnel() -> None:
    found = reading(ztunnel=True, domain="new").principals(listed(IDENTITY))
    assert means(found, IDENTITY)
    assert not means(found, "new/ns/shop/sa/web")


@pytest.mark.parametrize(
    ("written", "expected"),
    [("elsewhere/ns/shop/sa/web", "elsewhere/ns/shop/sa/web"), ("*/ns/shop/sa/web", IDENTITY)],
)
def test_other_trust_domains_stay_as_they_are(written: str, expected: str) -> None:
    found = reading(domain="new").principals(listed(written))
    assert means(found, expected)


@pytest.mark.parametrize(
    ("written", "envoy", "ztunnel"),
    [
        ("shop", True, True),
        ("sho", False, False),
        ("sh*", True, True),
        ("*op", True, True),
        ("s*p", True, False),
        ("*", True, True),
        ("sh.p", True, False),
    ],
)
def test_namespaces_have_stars_anywhere_for_envoy_and_at_one_end_for_ztunnel(
    written: str, *, envoy: bool, ztunnel: bool
) -> None:
    assert means(reading().namespaces(listed(written))) is envoy
    assert means(reading(ztunnel=True).namespaces(listed(written))) is ztunnel


@pytest.mark.parametrize("ztunnel", [False, True])
@pytest.mark.parametrize(
    ("written", "expected"),
    [("web", True), ("shop/web", True), ("other/web", False), ("we", False), ("shop/webs", False)],
)
def test_service_accounts_are_of_the_policys_namespace_and_any_trust_domain(
    written: str, *, expected: bool, ztunnel: bool
) -> None:
    found = reading(ztunnel=ztunnel).service_accounts(listed(written))
    assert means(found) is expected
    assert means(found, "elsewhere/ns/shop/sa/web") is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("cluster.local", True),
        ("old", True),
        ("cluster", False),
        ("cluster.*", True),
        ("*.local", True),
        ("*", True),
    ],
)
def test_trust_domains(written: str, *, expected: bool) -> None:
    assert means(reading(aliases=("old",)).trust_domains(listed(written))) is expected


def test_an_identity_is_the_principal_of_the_rule() -> None:
    (rule,) = source(principals=[IDENTITY])
    assert rule.peers == (PrincipalPeer(exact(IDENTITY)),)
    (rule,) = rules({"from": [{"source": {"trustDomains": ["cluster.local"]}}]})
    assert rule.peers == (PrincipalPeer(Text(Form.PREFIX, "cluster.local/")),)
