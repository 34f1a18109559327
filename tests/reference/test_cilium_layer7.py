"""Layer 7 in Cilium's rules: what is decided, what is left open, and how rules merge."""

import pytest

from reference.cilium_cluster import TO_DB, TO_WEB, ask, cluster, cnp, verdict
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.reference import cilium_names
from ringfence.reference.cilium_answers import Known, all_of, any_of, no, open_, unsure, yes
from ringfence.reference.cilium_http import SECRET

WEB = "fromEndpoints: [{matchLabels: {app: web}}]"


def http(*rules: str, port: str = "80") -> str:
    listed = ", ".join(rules)
    return f"toPorts: [{{ports: [{{port: '{port}', protocol: TCP}}], rules: {{http: [{listed}]}}}}]"


def ingress(*rules: str) -> str:
    return "\n".join(["ingress:", *(f"- {{{rule}}}" for rule in rules)])


def egress(*rules: str) -> str:
    return "\n".join(["egress:", *(f"- {{{rule}}}" for rule in rules)])


def sni(*names: str) -> str:
    return (
        f"toPorts: [{{ports: [{{port: '443', protocol: TCP}}], serverNames: [{', '.join(names)}]}}]"
    )


PLAIN_TLS = "toPorts: [{ports: [{port: '443', protocol: TCP}]}]"


def test_limits_are_what_the_question_left_open() -> None:
    own = cnp(TO_DB, ingress(f"{WEB}, {http('{method: GET, path: /public}', '{method: POST}')}"))
    snapshot = cluster(own)
    found = ask(snapshot, "shop/web", "shop/db")
    assert found.limited_to == (
        {"http": {"method": "GET", "path": "/public"}},
        {"http": {"method": "POST"}},
    )
    some = ask(snapshot, "shop/web", "shop/db", request=Request(http=True, method="GET"))
    assert some.limited_to == ({"http": {"method": "GET", "path": "/public"}},)
    all_said = ask(snapshot, "shop/web", "shop/db", request=Request(http=True, method="POST"))
    assert (all_said.verdict, all_said.limited_to) == ("allow", ())


def test_what_is_not_http_does_not_match_an_http_rule() -> None:
    own = cluster(cnp(TO_DB, ingress(http("{}"))))
    assert verdict(own, "shop/web", "shop/db", request=Request(http=False)) == "deny"
    assert verdict(own, "shop/web", "shop/db", request=Request(dns="x.io")) == "deny"
    assert ask(own, "shop/web", "shop/db").limited_to == ({"http": {}},)


def test_an_empty_list_of_http_rules_asks_for_nothing() -> None:
    own = cluster(cnp(TO_DB, ingress(http())))
    assert verdict(own, "shop/web", "shop/db") == "allow"


def test_headers_of_one_name_are_joined() -> None:
    own = cluster(cnp(TO_DB, ingress(http("{headers: ['X-A: 1,2']}"))))
    sent = (("x-a", "1"), ("x-a", "2"))
    both = Request(http=True, headers=sent)
    assert verdict(own, "shop/web", "shop/db", request=both) == "allow"
    one = Request(http=True, headers=sent[:1])
    assert verdict(own, "shop/web", "shop/db", request=one) == "deny"


def test_a_header_with_a_secret_is_not_known() -> None:
    rule = "{headerMatches: [{name: X-Key, secret: {name: key}}]}"
    own = cluster(cnp(TO_DB, ingress(http(rule))))
    sent = Request(http=True, headers=(("x-key", "1"),))
    found = ask(own, "shop/web", "shop/db", request=sent)
    assert (found.verdict, found.unknown_because) == ("unknown", (SECRET,))
    without = Request(http=True, headers=())
    assert verdict(own, "shop/web", "shop/db", request=without) == "deny"


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x"])
def test_hostile_patterns_take_linear_time(pattern: str) -> None:
    own = cluster(cnp(TO_DB, ingress(http(f"{{path: '{pattern}'}}"))))
    asked = Request(http=True, path="a" * 50_000 + "!")
    assert verdict(own, "shop/web", "shop/db", request=asked) == "deny"


# -- merging ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.io", "b.io"])
def test_server_names_for_one_peer_and_port_are_put_together(name: str) -> None:
    own = cluster(cnp(TO_WEB, egress(sni("a.io"), sni("b.io"), PLAIN_TLS)))
    assert verdict(own, "shop/web", "8.8.8.8", "tcp/443", request=Request(sni=name)) == "allow"
    assert verdict(own, "shop/web", "8.8.8.8", "tcp/443", request=Request(sni="c.io")) == "deny"
    assert verdict(own, "shop/web", "8.8.8.8", "tcp/443", request=Request(sni="")) == "deny"
    found = ask(own, "shop/web", "8.8.8.8", "tcp/443")
    assert found.limited_to == ({"tls": {"server_name": "a.io"}}, {"tls": {"server_name": "b.io"}})


@pytest.mark.parametrize(
    "other",
    [
        f"toCIDR: [8.8.8.8/32], {PLAIN_TLS}",
        "toEntities: [world]",
        "toPorts: [{ports: [{port: '443', endPort: 444, protocol: TCP}]}]",
        "toPorts: [{ports: [{port: '0', protocol: TCP}]}]",
    ],
)
def test_rules_for_other_peers_or_other_ports_are_not_merged(other: str) -> None:
    own = cluster(cnp(TO_WEB, egress(sni("a.io"), other)))
    asked = Request(sni="")
    assert verdict(own, "shop/web", "8.8.8.8", "tcp/443", request=asked) == "allow"


def test_rules_of_other_policies_are_merged_too() -> None:
    own = cluster(cnp(TO_WEB, egress(sni("a.io"))), cnp(TO_WEB, egress(PLAIN_TLS), name="q"))
    asked = Request(sni="")
    assert verdict(own, "shop/web", "8.8.8.8", "tcp/443", request=asked) == "deny"


def test_http_rules_merged_with_none_admit_all_that_is_http() -> None:
    port = "toPorts: [{ports: [{port: '80', protocol: TCP}]}]"
    own = cluster(cnp(TO_DB, ingress(http("{method: GET}"), port)))
    assert verdict(own, "shop/web", "shop/db") == "limited"
    asked = Request(http=True, method="POST", path="/")
    assert verdict(own, "shop/web", "shop/db", request=asked) == "allow"
    assert verdict(own, "shop/web", "shop/db", request=Request(http=False)) == "deny"


def dns(protocol: str = "TCP", port: str = "80") -> str:
    rules = "rules: {dns: [{matchPattern: '*'}]}"
    return f"toPorts: [{{ports: [{{port: '{port}', protocol: {protocol}}}], {rules}}}]"


def test_rules_that_cannot_be_merged_leave_both_directions_unknown() -> None:
    own = cluster(cnp(TO_WEB, egress(http("{}"), dns())))
    for ends in (("shop/web", "8.8.8.8"), ("8.8.8.8", "shop/web")):
        found = ask(own, *ends, "tcp/1")
        assert found.verdict == "unknown"
        assert "egress[0]: cannot be enforced together" in found.unknown_because[0]
        assert "(dns and http)" in found.unknown_because[0]
    assert verdict(own, "8.8.8.8", "shop/db") == "allow"


@pytest.mark.parametrize("other", [dns("UDP"), dns(port="81"), f"toCIDR: [8.8.8.8/32], {dns()}"])
def test_rules_for_other_protocols_ports_or_peers_do_not_clash(other: str) -> None:
    own = cluster(cnp(TO_WEB, egress(http("{}"), other)))
    assert verdict(own, "shop/web", "8.8.8.8", "tcp/1") == "deny"


def test_before_1_18_rules_for_other_peers_clash() -> None:
    own = cnp(TO_WEB, egress(http("{}"), f"toCIDR: [8.8.8.8/32], {dns()}"))
    assert verdict(cluster(own, version="1.17"), "shop/web", "8.8.8.8", "tcp/1") == "unknown"


def test_server_names_and_http_rules_clash_unless_tls_is_terminated() -> None:
    clash = cluster(cnp(TO_WEB, egress(sni("a.io"), http("{}", port="443"))))
    assert verdict(clash, "shop/web", "8.8.8.8", "tcp/443") == "unknown"
    terminated = (
        "toPorts: [{ports: [{port: '443', protocol: TCP}], serverNames: [a.io], "
        "terminatingTLS: {secret: {name: s}}, rules: {http: [{method: GET}]}}]"
    )
    fine = cluster(cnp(TO_WEB, egress(terminated)))
    asked = Request(http=True, method="GET", sni="a.io")
    assert verdict(fine, "shop/web", "8.8.8.8", "tcp/443", request=asked) == "allow"
    found = ask(fine, "shop/web", "8.8.8.8", "tcp/443")
    assert found.limited_to == ({"http": {"method": "GET"}, "tls": {"server_name": "a.io"}},)


# -- authentication --------------------------------------------------------------------------------

REQUIRED = "authentication: {mode: required}"
KNOWN = Request(authenticated=True)
STRANGER = Request(authenticated=False)


def test_authentication_that_is_required() -> None:
    own = cluster(cnp(TO_DB, ingress(f"{WEB}, {REQUIRED}")))
    assert verdict(own, "shop/web", "shop/db", request=KNOWN) == "allow"
    assert verdict(own, "shop/web", "shop/db", request=STRANGER) == "deny"
    assert ask(own, "shop/web", "shop/db").limited_to == ({"authenticated": True},)


def test_authentication_is_asked_for_by_rules_that_say_nothing_of_it() -> None:
    plain = "toPorts: [{ports: [{port: '80'}]}]"
    own = cluster(cnp(TO_DB, ingress(f"{WEB}, {REQUIRED}", plain)))
    assert verdict(own, "shop/web", "shop/db", request=STRANGER) == "deny"
    assert verdict(own, "8.8.8.8", "shop/db", request=STRANGER) == "allow"


def test_authentication_that_is_switched_off_beside_one_that_is_required() -> None:
    off = "authentication: {mode: disabled}, toPorts: [{ports: [{port: '80'}]}]"
    own = cluster(cnp(TO_DB, ingress(f"{WEB}, {REQUIRED}", off)))
    assert verdict(own, "shop/web", "shop/db", request=STRANGER) == "unknown"
    assert verdict(own, "shop/web", "shop/db", request=KNOWN) == "allow"


def test_a_rule_that_always_fails_allows_nothing() -> None:
    own = cluster(cnp(TO_DB, ingress(f"{WEB}, authentication: {{mode: test-always-fail}}")))
    assert verdict(own, "shop/web", "shop/db", request=KNOWN) == "deny"


def test_authentication_is_enforced_although_nothing_isolates() -> None:
    off = "enableDefaultDeny: {ingress: false}"
    own = cluster(cnp(TO_DB, off, ingress(f"{WEB}, {REQUIRED}")))
    assert verdict(own, "shop/web", "shop/db", request=STRANGER) == "deny"
    assert verdict(own, "8.8.8.8", "shop/db", request=STRANGER) == "allow"


# -- uncertainty -----------------------------------------------------------------------------------


def test_a_limit_beside_something_that_is_only_possible_is_unknown() -> None:
    deny = "ingressDeny: [{fromEntities: [kube-apiserver]}]"
    own = cluster(cnp(TO_DB, deny, ingress(http("{method: GET}"))))
    assert verdict(own, "8.8.8.8", "shop/db") == "unknown"
    assert verdict(own, "lab/tester", "shop/db") == "limited"


def test_some_types_of_icmp() -> None:
    allow = cnp(TO_DB, "ingress: [{icmps: [{fields: [{type: 8}]}]}]")
    deny = cnp(TO_DB, "ingressDeny: [{icmps: [{fields: [{type: 8}]}]}]")
    assert ask(cluster(allow), "shop/web", "shop/db", "icmp").limited_to == ({"icmp": "8"},)
    off = cnp(
        TO_DB,
        "enableDefaultDeny: {ingress: false}",
        "ingressDeny: [{icmps: [{fields: [{type: 8}]}]}]",
    )
    assert verdict(cluster(deny), "shop/web", "shop/db", "icmp") == "deny"
    assert verdict(cluster(off), "shop/web", "shop/db", "icmp") == "unknown"
    assert verdict(cluster(off), "shop/web", "shop/db", "icmp/0") == "allow"


def test_answers_come_together() -> None:
    limit, other = {"a": 1}, {"b": 2}
    assert any_of([no(), open_(limit)]).limits == (limit,)
    assert any_of([open_(limit), yes()]).known is Known.YES
    assert any_of([open_(limit), unsure("why")]).known is Known.UNSURE
    assert any_of([]).known is Known.NO
    assert all_of([open_(limit), open_(other)]).limits == ({"a": 1, "b": 2},)
    assert all_of([open_(limit), no()]).known is Known.NO
    assert all_of([]).known is Known.YES


@pytest.mark.parametrize(
    ("name", "pattern", "version", "expected"),
    [
        ("a.x.io", "*.x.io", "", True),
        ("A.X.IO.", "*.x.io", "", True),
        ("x.io", "*.x.io", "", False),
        ("a.b.x.io", "*.x.io", "", False),
        ("a.b.x.io", "**.x.io", "", True),
        ("a.b.x.io", "**.x.io", "1.18", False),
        ("a.x.io", "**.x.io", "1.18", True),
        ("x.io", "**.x.io", "", False),
        ("a.b.x.io", "***.x.io", "", True),
        ("x.io", "*x.io", "", True),
        ("ax.io", "*x.io", "", True),
        ("a.x.io", "*x.io", "", False),
        ("sub-a_1.x.io", "sub*.x.io", "", True),
        ("a.b.io", "a.*.io", "", True),
        ("a.b.io", "a.**.io", "", True),
        ("a.b.c.io", "a.**.io", "", False),
        ("anything.at.all", "*", "", True),
        ("anything.at.all", "**", "", True),
        ("axio", "a.io", "", False),
    ],
)
def test_patterns_of_names(name: str, pattern: str, version: str, expected: bool) -> None:
    assert cilium_names.matches(name, pattern, version) is expected


def test_nothing_is_asked_of_layer_7_where_no_rule_does() -> None:
    assert verdict(cluster(), "shop/web", "shop/db", request=ANYTHING) == "allow"
