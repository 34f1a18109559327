"""PeerAuthentications of Istio: modes, levels, which of several counts."""

from typing import Any

import pytest

from dialects.istio_documents import MTLS, PA, TCP, document, of, parsed, ports
from ringfence.dialects._istio_peer_authentication import AGES, LOST
from ringfence.model.document import Document
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.mesh import ISTIO, DataPlane
from ringfence.model.rule import Action, AllPeers, MeshPeer, NotPeer, PodPeer, Policy, Rule
from ringfence.model.selector import EVERYTHING, from_labels
from ringfence.model.tiers import ISTIO_TRANSPORT

SHOP = from_labels({NAMESPACE_NAME: "shop"})
WEB = {"matchLabels": {"app": "web"}}


def spec(mode: str | None = None, **ports_: str) -> dict[str, Any]:
    found: dict[str, Any] = {"mtls": {"mode": mode}} if mode else {}
    if ports_:
        listed = {port.removeprefix("p"): {"mode": of_port} for port, of_port in ports_.items()}
        found |= {"portLevelMtls": listed, "selector": WEB}
    return found


def policies(*documents: Document) -> tuple[Policy, ...]:
    return parsed(*documents).policies


def by(plane: DataPlane, said: Any, *others: Document) -> tuple[Rule, ...]:
    """Return the rules of a PeerAuthentication for pods of a data plane."""
    found = [
        policy
        for policy in of(plane, parsed(document(PA, said), *others))
        if policy.document == 0 and policy.name == "p"
    ]
    assert len(found) < 2
    return found[0].rules if found else ()


def does(rules: tuple[Rule, ...]) -> list[tuple[str, tuple[Any, ...] | None, str]]:
    """Return what rules do, to which ports (None: all), and to what."""
    return [
        (
            rule.action.value,
            None if rule.traffic == TCP else rule.traffic,
            "mtls" if rule.layer7 else "plain" if rule.not_layer7 else "all",
        )
        for rule in rules
    ]


STRICT = [("deny", None, "plain"), ("pass", None, "all")]
PERMISSIVE = [("pass", None, "all")]
DISABLE = [("deny", None, "mtls"), ("pass", None, "all")]


@pytest.mark.parametrize(
    ("mode", "sidecar", "ambient"),
    [
        ("STRICT", STRICT, STRICT),
        ("PERMISSIVE", PERMISSIVE, PERMISSIVE),
        ("DISABLE", DISABLE, PERMISSIVE),
        ("UNSET", [], []),
        (None, [], []),
    ],
)
def test_modes(mode: str | None, sidecar: list[Any], ambient: list[Any]) -> None:
    assert does(by(DataPlane.SIDECAR, spec(mode))) == sidecar
    assert does(by(DataPlane.AMBIENT, spec(mode))) == ambient


def test_what_all_proxies_read_alike_is_one_policy() -> None:
    (found,) = policies(document(PA, spec("STRICT")))
    assert found.tier == ISTIO_TRANSPORT
    assert found.subject == AllPeers((MeshPeer(ISTIO, gateway=""), PodPeer(SHOP, EVERYTHING)))
    assert found.isolates == ()
    deny = found.rules[0]
    assert (deny.peers, deny.not_layer7, deny.path) == (None, (MTLS,), ("spec", "mtls"))


def test_gateways_are_none_of_its_subjects() -> None:
    for found in policies(document(PA, spec("DISABLE"))):
        assert isinstance(found.subject, AllPeers)
        mesh = found.subject.parts[0]
        assert isinstance(mesh, MeshPeer)
        assert mesh.gateway == ""


# -- levels ----------------------------------------------------------------------------------------


def test_the_workloads_decides_before_the_namespaces_and_that_before_the_meshs() -> None:
    found = policies(
        document(PA, spec("STRICT"), "mesh", "istio-system"),
        document(PA, spec("STRICT"), "namespace"),
        document(PA, {**spec("STRICT"), "selector": WEB}, "workload"),
    )
    assert [policy.name for policy in sorted(found, key=lambda one: one.order)] == [
        "workload",
        "namespace",
        "mesh",
    ]


def test_of_the_root_namespace_it_is_for_all() -> None:
    (found,) = policies(document(PA, spec("STRICT"), namespace="istio-system"))
    assert isinstance(found.subject, AllPeers)
    assert found.subject.parts[1] == PodPeer(EVERYTHING, EVERYTHING)


def test_of_the_root_namespace_with_a_selector_it_is_for_nobody() -> None:
    said = {**spec("STRICT"), "selector": WEB}
    assert policies(document(PA, said, namespace="istio-system")) == ()


@pytest.mark.parametrize("selector", [{}, {"matchLabels": {}}, {"matchLabels": None}])
def test_a_selector_without_labels_is_none(selector: Any) -> None:
    (found,) = policies(document(PA, {**spec("STRICT"), "selector": selector}))
    assert found.order == 1


# -- which counts ----------------------------------------------------------------------------------


def aged(name: str, created: str, said: Any) -> Document:
    return document(PA, said, name, creationTimestamp=f"2026-01-{created}T00:00:00Z")


def test_the_oldest_of_a_namespace_counts() -> None:
    old, young = aged("old", "01", spec("STRICT")), aged("young", "02", spec("PERMISSIVE"))
    by_name = {policy.name: policy for policy in policies(young, old)}
    assert isinstance(by_name["young"].subject, AllPeers)
    assert NotPeer(PodPeer(SHOP, EVERYTHING)) in by_name["young"].subject.parts
    assert isinstance(by_name["old"].subject, AllPeers)
    assert len(by_name["old"].subject.parts) == 2


def test_of_one_second_the_first_by_name_counts() -> None:
    a, b = aged("a", "01", spec("STRICT")), aged("b", "01", spec("PERMISSIVE"))
    excluding = {
        policy.name
        for policy in policies(b, a)
        if isinstance(policy.subject, AllPeers) and len(policy.subject.parts) > 2
    }
    assert excluding == {"b"}


def test_the_oldest_of_two_for_a_workload_counts_where_both_select_it() -> None:
    old = aged("old", "01", {**spec("UNSET"), "selector": WEB})
    other = {"matchLabels": {"tier": "front"}}
    young = aged("young", "02", {**spec("STRICT"), "selector": other})
    (found,) = policies(young, old)
    assert found.name == "young"
    assert found.subject == AllPeers(
        (
            MeshPeer(ISTIO, gateway=""),
            PodPeer(SHOP, from_labels({"tier": "front"})),
            NotPeer(PodPeer(SHOP, from_labels({"app": "web"}))),
        )
    )


def test_where_their_age_is_not_known_and_they_differ_each_counts_perhaps() -> None:
    found = policies(document(PA, spec("STRICT"), "a"), document(PA, spec("PERMISSIVE"), "b"))
    doubtful = [policy for policy in found if any(AGES in rule.uncertain for rule in policy.rules)]
    assert {policy.name for policy in doubtful} == {"a", "b"}
    for policy in found:
        if policy not in doubtful:
            assert isinstance(policy.subject, AllPeers)
            assert NotPeer(PodPeer(SHOP, EVERYTHING)) in policy.subject.parts, "so for nobody"


def test_where_they_say_the_same_their_age_makes_no_difference() -> None:
    found = policies(document(PA, spec("STRICT"), "a"), document(PA, spec("STRICT"), "b"))
    assert all(not rule.uncertain for policy in found for rule in policy.rules)


def test_levels_do_not_compete() -> None:
    found = policies(
        document(PA, spec("STRICT"), "a"),
        document(PA, {**spec("DISABLE"), "selector": WEB}, "b"),
        document(PA, spec("DISABLE"), "c", "other"),
    )
    assert all(not rule.uncertain for policy in found for rule in policy.rules)


# -- ports -----------------------------------------------------------------------------------------


def test_a_mode_of_a_port_comes_before_the_workloads() -> None:
    found = by(DataPlane.SIDECAR, spec("STRICT", p80="PERMISSIVE", p90="DISABLE", p91="UNSET"))
    assert does(found) == [
        ("pass", ports(80), "all"),
        ("deny", ports(90), "mtls"),
        ("pass", ports(90), "all"),
        *STRICT,
    ]
    assert found[0].path == ("spec", "portLevelMtls", "80")


def test_for_ztunnel_a_port_that_is_disabled_is_permissive() -> None:
    found = by(DataPlane.AMBIENT, spec("STRICT", p80="DISABLE"))
    assert does(found) == [("pass", ports(80), "all"), *STRICT]


def test_for_ztunnel_a_disabled_port_alone_opens_nothing_that_is_strict_above() -> None:
    assert does(by(DataPlane.AMBIENT, spec(None, p80="DISABLE"))) == []
    assert does(by(DataPlane.AMBIENT, spec(None, p80="DISABLE", p81="PERMISSIVE"))) == [
        ("pass", ports(80), "all"),
        ("pass", ports(81), "all"),
    ]


@pytest.mark.parametrize("mode", ["PERMISSIVE", "DISABLE"])
def test_for_ztunnel_a_strict_port_may_be_lost_where_the_mesh_is_strict(mode: str) -> None:
    mesh = document(PA, spec("STRICT"), "mesh", "istio-system")
    found = by(DataPlane.AMBIENT, spec(mode, p80="STRICT"), mesh)
    assert does(found) == [
        ("deny", ports(80), "plain"),
        ("pass", ports(80), "all"),
        *PERMISSIVE,
    ]
    assert found[0].uncertain == LOST
    assert by(DataPlane.SIDECAR, spec(mode, p80="STRICT"), mesh)[0].uncertain == ""


def test_for_ztunnel_a_strict_port_is_kept_where_the_namespace_says_a_mode() -> None:
    mesh = document(PA, spec("STRICT"), "mesh", "istio-system")
    namespace = document(PA, spec("PERMISSIVE"), "namespace")
    found = by(DataPlane.AMBIENT, spec("PERMISSIVE", p80="STRICT"), mesh, namespace)
    assert found[0].uncertain == ""


def test_for_ztunnel_all_may_be_lost_beside_a_namespace_that_says_no_mode() -> None:
    mesh = document(PA, spec("STRICT"), "mesh", "istio-system")
    namespace = document(PA, {}, "namespace")
    found = by(DataPlane.AMBIENT, spec(None, p80="PERMISSIVE"), mesh, namespace)
    assert does(found) == [("pass", ports(80), "all"), *STRICT]
    assert found[1].uncertain == LOST
    assert does(by(DataPlane.AMBIENT, spec(None, p80="PERMISSIVE"), mesh)) == [
        ("pass", ports(80), "all")
    ]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"mode": "STRICT"},
        {"mtls": "STRICT"},
        {"mtls": {"mode": "strict"}},
        {"mtls": {"level": 1}},
        {"selector": {"matchLabels": {"a": "*"}}},
        {"selector": {"matchLabel": {}}},
        {"portLevelMtls": {"80": {"mode": "STRICT"}}},
        {"selector": WEB, "portLevelMtls": {"0": {"mode": "STRICT"}}},
        {"selector": WEB, "portLevelMtls": {"http": {"mode": "STRICT"}}},
        {"selector": WEB, "portLevelMtls": {"80": {"mode": "X"}}},
        {"selector": WEB, "portLevelMtls": []},
    ],
)
def test_what_cannot_be_understood_perhaps_refuses_anything(said: Any) -> None:
    found = parsed(document(PA, said))
    assert found.problems
    (policy,) = found.policies
    assert {rule.action for rule in policy.rules} == {Action.DENY, Action.PASS}
    assert all(rule.unreadable for rule in policy.rules)
