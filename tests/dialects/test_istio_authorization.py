"""AuthorizationPolicies of Istio: actions, whom they are for, what is refused."""

from typing import Any

import msgspec
import pytest

from dialects.istio_documents import AP, document, envoy, of, parsed, planes, service, ztunnel
from ringfence.model.cluster import Protocol, ServicePort
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.mesh import ISTIO, DataPlane
from ringfence.model.rule import (
    Action,
    AllPeers,
    AnyPeer,
    Direction,
    MeshPeer,
    NamedPort,
    PodPeer,
    PortRange,
    ServicePeer,
)
from ringfence.model.selector import EVERYTHING, from_labels
from ringfence.model.tiers import ISTIO_ALLOW, ISTIO_AUDIT, ISTIO_CUSTOM, ISTIO_DENY

SHOP = from_labels({NAMESPACE_NAME: "shop"})
WEB = from_labels({"app": "web"})


# -- actions ---------------------------------------------------------------------------------------


def test_without_an_action_it_allows() -> None:
    found = envoy({"rules": [{}]})
    assert found.tier == ISTIO_ALLOW
    assert [rule.action for rule in found.rules] == [Action.ALLOW]
    assert found.isolates == (Direction.INGRESS,)


def test_an_empty_spec_allows_nothing() -> None:
    for found in (envoy({}), envoy(None), ztunnel({})):
        assert found.isolates == (Direction.INGRESS,)
        assert found.rules == ()


def test_an_empty_rule_matches_everything() -> None:
    for found in (envoy({"rules": [{}]}), ztunnel({"rules": [{}]})):
        (rule,) = found.rules
        assert rule.peers is None
        assert rule.traffic == (PortRange(Protocol.TCP),)
        assert (rule.layer7, rule.not_layer7, rule.not_traffic) == (None, (), ())


def test_deny_without_rules_denies_nothing() -> None:
    found = envoy({"action": "DENY"})
    assert (found.tier, found.rules, found.isolates) == (ISTIO_DENY, (), ())


def test_audit_only_notes() -> None:
    found = envoy({"action": "AUDIT", "rules": [{}]})
    assert found.tier == ISTIO_AUDIT
    assert [rule.action for rule in found.rules] == [Action.LOG]


@pytest.mark.parametrize("written", ["1", "t", "T", "TRUE", "true", "True"])
@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_a_dry_run_only_notes_and_does_not_isolate(written: str, action: str) -> None:
    spec = {"action": action, "rules": [{}]}
    found = parsed(document(AP, spec, annotations={"istio.io/dry-run": written}))
    (policy,) = found.policies
    assert planes(policy) == (DataPlane.SIDECAR,), "ztunnel does not get it at all"
    assert (policy.tier, policy.isolates) == (ISTIO_AUDIT, ())
    assert [rule.action for rule in policy.rules] == [Action.LOG]


@pytest.mark.parametrize("written", ["false", "yes", "", 1, None])
def test_any_other_annotation_is_no_dry_run(written: Any) -> None:
    found = parsed(document(AP, {"rules": [{}]}, annotations={"istio.io/dry-run": written}))
    assert {policy.tier for policy in found.policies} == {ISTIO_ALLOW}


def test_the_provider_of_custom_decides() -> None:
    found = envoy({"action": "CUSTOM", "provider": {"name": "oauth"}, "rules": [{}]})
    assert found.tier == ISTIO_CUSTOM
    (rule,) = found.rules
    assert rule.action is Action.DENY
    assert "oauth" in rule.uncertain


def test_a_provider_that_is_known_decides_likewise() -> None:
    spec = {"action": "CUSTOM", "provider": {"name": "oauth"}, "rules": [{}]}
    found = envoy(spec, source="mesh.yaml", providers=("oauth",))
    assert found.rules[0].uncertain


def test_what_an_unknown_provider_is_asked_is_denied() -> None:
    spec = {"action": "CUSTOM", "provider": {"name": "oauth"}, "rules": [{}]}
    found = envoy(spec, source="mesh.yaml", providers=("other",))
    assert found.rules[0].action is Action.DENY
    assert found.rules[0].uncertain == ""


def test_of_two_providers_for_a_pod_none_is_asked_and_what_they_match_is_denied() -> None:
    one, other = (
        document(AP, {"action": "CUSTOM", "provider": {"name": name}, "rules": [{}], **more}, name)
        for name, more in (("a", {}), ("b", {"selector": {"matchLabels": {"app": "web"}}}))
    )
    found = parsed(one, other).policies
    both = [policy for policy in found if not policy.rules[0].uncertain]
    assert [policy.name for policy in both] == ["a", "b"]
    for policy in both:
        assert policy.rules[0].action is Action.DENY
        assert isinstance(policy.subject, AllPeers)
        assert isinstance(policy.subject.parts[1], AnyPeer)
    assert len(parsed(one, msgspec.structs.replace(one, name="c")).policies) == 2


@pytest.mark.parametrize(
    "spec",
    [
        {"action": "CUSTOM", "rules": [{}], "provider": {"name": "x"}},
        {"action": "AUDIT", "rules": [{}]},
    ],
)
def test_ztunnel_holds_only_what_allows_or_denies(spec: Any) -> None:
    assert of(DataPlane.AMBIENT, parsed(document(AP, spec))) == []


# -- whom it is for --------------------------------------------------------------------------------


def test_it_is_for_the_pods_of_its_namespace() -> None:
    assert envoy({}).subject == AllPeers(
        (MeshPeer((DataPlane.SIDECAR,), waypoint=False), PodPeer(SHOP, EVERYTHING))
    )
    assert ztunnel({}).subject == AllPeers(
        (MeshPeer((DataPlane.AMBIENT,), waypoint=False), PodPeer(SHOP, EVERYTHING))
    )


def test_a_selector_selects_pods() -> None:
    spec = {"selector": {"matchLabels": {"app": "web"}}}
    assert envoy(spec).subject == AllPeers(
        (MeshPeer((DataPlane.SIDECAR,), waypoint=False), PodPeer(SHOP, WEB))
    )


@pytest.mark.parametrize("spec", [{}, {"selector": {"matchLabels": {"app": "web"}}}])
def test_one_of_the_root_namespace_is_for_all_namespaces(spec: Any) -> None:
    found = parsed(document(AP, spec, namespace="mesh"), root_namespace="mesh")
    pods = from_labels(spec["selector"]["matchLabels"]) if spec else EVERYTHING
    assert len(found.policies) == 2
    for policy in found.policies:
        assert isinstance(policy.subject, AllPeers)
        assert policy.subject.parts[1] == PodPeer(EVERYTHING, pods)


def test_what_an_empty_selector_selects_for_ztunnel_is_not_known() -> None:
    spec: dict[str, Any] = {"selector": {}, "rules": [{}]}
    assert envoy(spec).rules[0].unreadable is None
    found = ztunnel(spec)
    assert {rule.action for rule in found.rules} == {Action.ALLOW, Action.DENY}
    assert all(rule.unreadable for rule in found.rules)


def test_attached_to_a_service_it_is_held_by_its_waypoint_alone() -> None:
    spec = {"targetRefs": [{"kind": "Service", "name": "web", "group": ""}], "rules": [{}]}
    web = service(waypoint=("shop", "wp"))
    (policy,) = parsed(document(AP, spec), services=[web, service("db")]).policies
    assert policy.subject == ServicePeer("shop", "web")


def test_attached_to_a_service_of_another_namespace_it_is_for_nobody() -> None:
    spec = {"targetRefs": [{"kind": "Service", "name": "web"}]}
    other = service(namespace="other", waypoint=("other", "wp"))
    assert parsed(document(AP, spec), services=[other]).policies == ()


def test_attached_to_a_gateway_it_is_for_its_proxies() -> None:
    gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"}
    found = parsed(document(AP, {"targetRef": gateway})).policies
    assert [policy.subject for policy in found] == [
        AllPeers((MeshPeer(ISTIO, gateway="front", waypoint=waypoint), PodPeer(SHOP, EVERYTHING)))
        for waypoint in (False, True)
    ]


def test_attached_to_a_waypoint_it_is_for_all_services_of_that() -> None:
    gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "wp"}
    services = [
        service("a", waypoint=("shop", "wp")),
        service("b", waypoint=("shop", "wp"), namespace="other"),
        service("c", waypoint=("shop", "another")),
        service("d"),
    ]
    found = parsed(document(AP, {"targetRefs": [gateway]}), services=services)
    assert [policy.subject for policy in found.policies[2:]] == [
        AnyPeer((ServicePeer("shop", "a"), ServicePeer("other", "b")))
    ]


@pytest.mark.parametrize(("namespace", "count"), [("istio-system", 1), ("shop", 0)])
def test_only_in_the_root_namespace_it_is_for_all_waypoints(namespace: str, count: int) -> None:
    target = {
        "group": "gateway.networking.k8s.io",
        "kind": "GatewayClass",
        "name": "istio-waypoint",
    }
    services = [service("a", waypoint=("shop", "wp")), service("b")]
    found = parsed(document(AP, {"targetRefs": [target]}, namespace=namespace), services=services)
    assert [policy.subject for policy in found.policies] == [
        MeshPeer(ISTIO, waypoint=True),
        ServicePeer("shop", "a"),
    ][: 2 * count]


def test_the_ports_that_a_waypoint_compares_are_those_of_the_service() -> None:
    spec = {
        "targetRefs": [{"kind": "Service", "name": "web"}],
        "rules": [{"to": [{"operation": {"ports": ["80", "90"]}}]}],
    }
    web = service(
        "web",
        ServicePort(80, 8080),
        ServicePort(90, "metrics"),
        ServicePort(91, 9091),
        ServicePort(53, 53, Protocol.UDP),
        waypoint=("shop", "wp"),
    )
    (policy,) = parsed(document(AP, spec), services=[web]).policies
    (rule,) = policy.rules
    assert rule.traffic == (
        PortRange(Protocol.TCP, 8080, 8080),
        NamedPort("metrics", Protocol.TCP),
    )


def test_services_whose_waypoint_compares_other_ports_get_policies_of_their_own() -> None:
    gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "wp"}
    spec = {"targetRefs": [gateway], "rules": [{"to": [{"operation": {"notPorts": ["80"]}}]}]}
    services = [
        service("a", waypoint=("shop", "wp")),
        service("b", ServicePort(80, 81), waypoint=("shop", "wp")),
    ]
    found = parsed(document(AP, spec), services=services)
    assert [policy.rules[0].not_traffic for policy in found.policies[2:]] == [
        (PortRange(Protocol.TCP, 8080, 8080),),
        (PortRange(Protocol.TCP, 81, 81),),
    ]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        [],
        {"sizes": 1},
        {"action": "REFUSE"},
        {"action": 1},
        {"provider": {"name": "x"}},
        {"action": "CUSTOM", "rules": [{}]},
        {"action": "CUSTOM", "provider": {"name": "", "x": 1}},
        {"rules": {}},
        {"selector": {"matchLabels": {"a*": "b"}}},
        {"selector": {"matchLabels": {"a": "*"}}},
        {"selector": {"matchLabels": {"": "b"}}},
        {"selector": {"matchExpressions": []}},
        {"selector": {}, "targetRef": {"kind": "Service", "name": "x"}},
        {"targetRef": {"kind": "Service", "name": "x"}, "targetRefs": [{}]},
        {"targetRefs": [{"kind": "Service", "name": "x"}] * 17},
        {"targetRefs": [{"kind": "Service", "name": "x", "namespace": "other"}]},
        {"targetRefs": [{"kind": "Service"}]},
        {"targetRefs": [{"kind": "Deployment", "name": "x", "group": "apps"}]},
        {
            "targetRefs": [
                {"kind": "GatewayClass", "name": "x", "group": "gateway.networking.k8s.io"}
            ]
        },
    ],
)
def test_what_cannot_be_understood_outside_of_rules_may_be_anything(spec: Any) -> None:
    found = parsed(document(AP, spec))
    assert found.problems
    for policy in found.policies:
        assert policy.tier == ISTIO_ALLOW
        assert {rule.action for rule in policy.rules} == {Action.ALLOW, Action.DENY}
        assert all(rule.unreadable and rule.direction is Direction.INGRESS for rule in policy.rules)
        assert policy.isolates == ()


def test_what_is_wrong_with_a_policy_that_only_notes_changes_nothing() -> None:
    found = parsed(document(AP, {"action": "AUDIT", "sizes": 1}))
    assert [rule.action for policy in found.policies for rule in policy.rules] == [Action.LOG]
    assert found.problems


def test_the_older_version_means_the_same() -> None:
    newer = document(AP, {"rules": [{}]})
    older = msgspec.structs.replace(newer, api_version="security.istio.io/v1beta1")
    assert parsed(older).policies == parsed(newer).policies
