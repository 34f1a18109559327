"""What Cilium's policies are as a whole: subjects, isolation, versions, and what is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.cilium_documents import (
    CCNP,
    CNP,
    NAMESPACE,
    SHOP,
    WEB,
    document,
    exists,
    group,
    has,
    labelled,
    parsed,
    policies,
    policy,
    refused,
    rules,
)
from ringfence import dialects
from ringfence.model.document import Path
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import NOBODY, Action, Direction, NodePeer
from ringfence.model.selector import EVERYTHING, Operator, Requirement, equals
from ringfence.model.tiers import CILIUM_NORMAL

IN, OUT = Direction.INGRESS, Direction.EGRESS
SOME: dict[str, Any] = {"endpointSelector": {}, "ingress": [{"fromEntities": ["world"]}]}


# -- subject -----------------------------------------------------------------------------------


def test_the_subject_of_a_namespaced_policy_is_in_its_namespace() -> None:
    found = policy({**SOME, "endpointSelector": WEB})
    assert (found.subject, found.tier) == (labelled(SHOP, has("app", "web")), CILIUM_NORMAL)
    assert (found.kind, found.ref) == (CNP, f"{CNP}/shop/p")


def test_another_namespace_in_the_subject_is_overridden() -> None:
    selector = {"matchLabels": {f"k8s:{NAMESPACE}": "pay"}}
    assert policy({**SOME, "endpointSelector": selector}).subject == labelled(SHOP)


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {NAMESPACE: "pay"}},
        {"matchExpressions": [{"key": f"k8s:{NAMESPACE}", "operator": "In", "values": ["pay"]}]},
    ],
)
def test_but_not_where_it_is_no_plain_kubernetes_label(selector: Any) -> None:
    found = policy({**SOME, "endpointSelector": selector})
    assert found.subject == labelled(SHOP, has(NAMESPACE, "pay"))


def test_the_subject_of_a_clusterwide_policy_is_any_pod() -> None:
    found = policy({**SOME, "endpointSelector": WEB}, kind=CCNP)
    assert found.subject == labelled(exists(NAMESPACE), has("app", "web"))


def test_prefixes_of_labels() -> None:
    selector = {"matchLabels": {"k8s:a": "1", "any:b": "2", "c": "3", "reserved:health": ""}}
    found = policy({**SOME, "endpointSelector": selector})
    assert found.subject == labelled(
        SHOP, has("a", "1"), has("b", "2"), has("c", "3"), has("reserved:health", "")
    )


def test_match_expressions() -> None:
    written = [
        {"key": "a", "operator": "NotIn", "values": ["y", "x"]},
        {"key": "k8s:b", "operator": "DoesNotExist"},
    ]
    found = policy({**SOME, "endpointSelector": {"matchExpressions": written}})
    assert found.subject == labelled(
        SHOP,
        Requirement("a", Operator.NOT_IN, ("x", "y")),
        Requirement("b", Operator.DOES_NOT_EXIST),
    )


@pytest.mark.parametrize("spec", [{}, {"endpointSelector": {}, "nodeSelector": {}}])
def test_exactly_one_selector(spec: Any) -> None:
    assert "exactly one of endpointSelector and nodeSelector" in refused(
        {**spec, "ingress": [{}]}, kind=CCNP
    )


def test_only_clusterwide_policies_select_nodes() -> None:
    assert "clusterwide" in refused({"nodeSelector": {}, "ingress": [{}]})


# -- nodes as subjects -------------------------------------------------------------------------


def of_nodes(selector: Any, *sections: Any, **how: Any) -> Any:
    spec = {"nodeSelector": selector, "ingress": [{"fromEntities": ["world"]}]}
    for section in sections:
        spec |= section
    return policies(spec, kind=CCNP, **how)


def test_a_policy_of_nodes_has_effect_only_with_the_host_firewall() -> None:
    assert of_nodes({}) == ()
    assert of_nodes({}, host_firewall=False, audit=True) == ()
    (found,) = of_nodes({"matchLabels": {"zone": "a"}}, host_firewall=True)
    assert (found.subject, found.isolates) == (NodePeer(equals(zone="a")), (IN,))


@pytest.mark.parametrize(
    ("selector", "subject"),
    [
        ({"matchLabels": {"kubernetes.io/hostname": "n1"}}, NOBODY),
        ({"matchLabels": {"reserved:host": ""}}, NodePeer(EVERYTHING)),
        ({"matchLabels": {"reserved:remote-node": ""}}, NOBODY),
        (
            {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "DoesNotExist"}]},
            NodePeer(EVERYTHING),
        ),
    ],
)
def test_nodes_have_no_labels_that_cilium_leaves_out(selector: Any, subject: Any) -> None:
    (found,) = of_nodes(selector, host_firewall=True)
    assert found.subject == subject


def test_a_policy_of_nodes_has_no_http_rules_and_dns_on_egress() -> None:
    http = {"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{}]}}
    dns = {"ports": [{"port": "53"}], "rules": {"dns": [{"matchPattern": "*"}]}}
    for section in ("ingress", "egress"):
        (found,) = of_nodes({}, {section: [{"toPorts": [http]}]}, host_firewall=True)
        assert "a policy of nodes has no such rules" in found.unreadable[0].reason
    (found,) = of_nodes({}, {"egress": [{"toPorts": [dns]}]}, host_firewall=True)
    assert found.unreadable == ()


# -- isolation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "isolates"),
    [
        ({"ingress": [{}]}, (IN,)),
        ({"egress": [{}]}, (OUT,)),
        ({"ingress": [{}], "egress": []}, (IN,)),
        ({"ingressDeny": [{"fromEntities": ["world"]}]}, (IN,)),
        ({"egressDeny": [{"toEntities": ["world"]}], "ingress": [{}]}, (IN, OUT)),
        ({"ingress": [{}], "enableDefaultDeny": {"ingress": False}}, ()),
        ({"ingress": [{}], "egress": [{}], "enableDefaultDeny": {"egress": False}}, (IN,)),
    ],
)
def test_a_direction_with_rules_isolates_unless_it_says_otherwise(
    sections: Any, isolates: Any
) -> None:
    assert policy({"endpointSelector": {}, **sections}).isolates == isolates


def test_a_direction_without_rules_does_not_isolate() -> None:
    spec = {"endpointSelector": {}, "ingress": [{}], "enableDefaultDeny": {"egress": True}}
    assert policy(spec).isolates == (IN,)
    assert policy(spec, version="1.16.3").isolates == (IN,)


def test_an_empty_rule_isolates_and_allows_nothing() -> None:
    (found,) = rules("ingress", {})
    assert (found.peers, found.traffic, found.action) == ((), None, Action.ALLOW)


def test_a_policy_without_rules_is_refused_from_1_19() -> None:
    spec: dict[str, Any] = {"endpointSelector": {}, "ingress": []}
    assert "without any rule" in refused(spec)
    older = policy(spec, version="1.18.0")
    assert (older.isolates, older.rules, older.unreadable) == ((), (), ())


def test_default_deny_is_a_field_from_1_16() -> None:
    spec = {**SOME, "enableDefaultDeny": {"ingress": False}}
    assert "unknown field `enableDefaultDeny`" in refused(spec, version="1.15.9")
    assert policy(spec, version="1.16.0").isolates == ()


# -- spec and specs ----------------------------------------------------------------------------


def test_spec_and_specs_are_a_policy_each() -> None:
    out = {"endpointSelector": WEB, "egress": [{"toEntities": ["world"]}]}
    found = parsed(document(CNP, spec=SOME, specs=[out, SOME])).policies
    assert [p.isolation_path for p in found] == [("spec",), ("specs", 0), ("specs", 1)]
    assert [p.isolates for p in found] == [(IN,), (OUT,), (IN,)]
    assert found[1].rules[0].path == ("specs", 0, "egress", 0)


def test_neither_spec_nor_specs_is_refused() -> None:
    (found,) = parsed(document(CNP)).policies
    assert (found.subject, "`spec` or `specs`" in found.unreadable[0].reason) == (None, True)


def test_one_bad_element_makes_the_whole_object_unreadable() -> None:
    bad = {"endpointSelector": WEB, "egress": [{"toEntities": ["moon"]}]}
    found = parsed(document(CNP, specs=[SOME, bad]))
    assert [p.subject for p in found.policies] == [
        labelled(SHOP),
        labelled(SHOP, has("app", "web")),
    ]
    assert all(p.rules == () and p.isolates == () for p in found.policies)
    assert {p.unreadable[0].path for p in found.policies} == {
        ("specs", 1, "egress", 0, "toEntities", 0)
    }
    assert len(found.problems) == 1


# -- the profile -------------------------------------------------------------------------------


@pytest.mark.parametrize("cni", [cni for cni in Cni if cni is not Cni.CILIUM])
def test_only_cilium_enforces_them(cni: Cni) -> None:
    context = dialects.Context(Profile(cni=cni), [document(CNP, spec=SOME), group("g")])
    found = dialects.parse(context)
    assert (found.policies, len(found.ignored)) == ((), 2)


# -- unknown fields ----------------------------------------------------------------------------

EVERYTHING_AT_ONCE: dict[str, Any] = {
    "endpointSelector": {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}],
    },
    "enableDefaultDeny": {"ingress": True},
    "log": {"value": "x"},
    "labels": [{"key": "a", "value": "b", "source": "k8s"}],
    "description": "x",
    "ingress": [
        {"fromEndpoints": [WEB], "authentication": {"mode": "required"}},
        {"fromEntities": ["world"], "icmps": [{"fields": [{"family": "IPv6", "type": 1}]}]},
        {"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]},
        {"fromGroups": [{"aws": {"region": "x"}}]},
        {
            "toPorts": [
                {
                    "ports": [{"port": "80", "protocol": "TCP"}],
                    "terminatingTLS": {"secret": {"name": "s"}},
                    "rules": {
                        "http": [{"path": "/", "headerMatches": [{"name": "x", "value": "y"}]}]
                    },
                }
            ]
        },
    ],
    "ingressDeny": [{"fromCIDRSet": [{"cidrGroupRef": "g"}]}],
    "egress": [
        {"toServices": [{"k8sService": {"serviceName": "db"}}]},
        {"toServices": [{"k8sServiceSelector": {"selector": WEB, "namespace": "shop"}}]},
        {"toFQDNs": [{"matchName": "a.io"}]},
        {
            "toPorts": [
                {"ports": [{"port": "53"}], "rules": {"dns": [{"matchPattern": "*"}]}},
                {
                    "ports": [{"port": "1"}],
                    "listener": {
                        "name": "l",
                        "envoyConfig": {"kind": "CiliumEnvoyConfig", "name": "e"},
                    },
                },
            ]
        },
    ],
    "egressDeny": [{"toPorts": [{"ports": [{"port": "25", "endPort": 26}]}]}],
}


def maps(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where every map stands whose keys are fields."""
    if isinstance(value, dict):
        if not path or path[-1] != "matchLabels":
            yield path
        for key, child in value.items():
            yield from maps(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from maps(child, (*path, index))


def test_a_policy_with_every_field_is_read() -> None:
    assert policy(EVERYTHING_AT_ONCE).unreadable == ()


@given(st.sampled_from(list(maps(EVERYTHING_AT_ONCE))), st.sampled_from(["surprise", "from"]))
def test_an_unknown_field_at_any_depth_makes_the_policy_unreadable(path: Path, name: str) -> None:
    spec = json.loads(json.dumps(EVERYTHING_AT_ONCE))
    place: Any = spec
    for part in path:
        place = place[part]
    place[name] = 1
    found = policy(spec)
    assert [part.path for part in found.unreadable] == [("spec", *path, name)]
    assert f"unknown field `{name}`" in found.unreadable[0].reason


def test_an_unknown_field_beside_spec() -> None:
    (found,) = parsed(document(CNP, spec=SOME, surprise=1)).policies
    assert (found.subject, found.unreadable[0].path) == (labelled(SHOP), ("surprise",))


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ({"matchLabels": {"a b": "c"}}, "not a label's key"),
        ({"matchLabels": {"a": "c d"}}, "not a label's value"),
        ({"matchLabels": {"a": 1}}, "expected a string"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "needs values"),
        ({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}, "`Gt`"),
    ],
)
def test_invalid_selectors_are_refused(selector: Any, reason: str) -> None:
    spec = {"endpointSelector": selector, "ingress": [{}]}
    found = policy(spec)
    assert (found.subject, reason in found.unreadable[0].reason) == (None, True)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where every value stands."""
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from places(child, (*path, index))


ODD: list[Any] = [None, 1, -1.5, True, "", "\ud800", "x:", ":", "*" * 300, [], [None], {}, {"": {}}]


@given(
    st.sampled_from(list(places({"spec": EVERYTHING_AT_ONCE}))[1:]),
    st.sampled_from(ODD),
    st.sampled_from(["", "1.15.0", "1.18.0", "1.20.0", "odd"]),
)
def test_no_value_at_any_place_breaks_the_parser(path: Path, odd: Any, version: str) -> None:
    body = json.loads(json.dumps({"spec": EVERYTHING_AT_ONCE}))
    place: Any = body
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = odd
    for kind in (CNP, CCNP):
        of_kind = document(kind, **body)
        for each in parsed(of_kind, group("g"), version=version).policies:
            assert (each.kind, each.name) == (kind, of_kind.name)
            assert all(rule.path[0] in {"spec", "specs"} for rule in each.rules)
