"""What Calico's policies refer to: network sets, host endpoints, profiles; editions."""

import math
from typing import Any

import pytest

from dialects.calico_documents import context, document, namespace, policies
from ringfence import dialects
from ringfence.dialects import calico
from ringfence.model.cluster import ContainerPort, HostEndpoint, NetworkSet, Protocol
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import Action, Direction, LabelPeer, Policy, PortRange
from ringfence.model.selector import LabelAnd, LabelIs, Operator, Requirement
from ringfence.model.tiers import CALICO_FAILSAFE, CALICO_PROFILES

BOTH = (Direction.INGRESS, Direction.EGRESS)
NODE: dict[str, Any] = {"node": "n1", "interfaceName": "*"}
ALLOW = [{"action": "Allow"}]


# -- network sets ------------------------------------------------------------------------------


def network_set(spec: Any, kind: str = "NetworkSet", **more: Any) -> NetworkSet:
    labels = more.pop("labels", None)
    around = context(document(kind, spec, labels=labels), **more)
    (found,) = dialects.parse(around).network_sets
    return found


def test_a_network_set_has_its_labels_and_those_of_its_namespace() -> None:
    found = network_set(
        {"nets": ["10.0.0.1", "10.1.2.3/16", "FD00::/8"]},
        labels={"a": "b"},
        namespaces=[namespace("shop", env="prod"), namespace("other", env="dev")],
    )
    assert (found.namespace, found.name, found.unreadable) == ("shop", "p", "")
    assert found.nets == ("10.0.0.1/32", "10.1.0.0/16", "fd00::/8")
    assert found.labels == {
        "a": "b",
        "projectcalico.org/namespace": "shop",
        "pcns.projectcalico.org/name": "shop",
        "pcns.kubernetes.io/metadata.name": "shop",
        "pcns.env": "prod",
    }


def test_a_global_network_set_has_its_labels_alone() -> None:
    found = network_set({"nets": []}, "GlobalNetworkSet", labels={"a": "b"})
    assert (found.namespace, found.labels) == ("", {"a": "b"})


def test_a_network_set_may_hold_domain_names() -> None:
    found = network_set({"allowedEgressDomains": ["*.X.io", "y.io."]}, "GlobalNetworkSet")
    assert found.domains == ("*.x.io", "y.io")


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        ({"nets": ["x"]}, None),
        ({"nets": "10.0.0.0/8"}, None),
        ({"net": []}, None),
        ({"allowedEgressDomains": ["*.*"]}, None),
        ({}, {"projectcalico.org/namespace": "x"}),
        ({}, {"a": 1}),
        ([1], None),
    ],
)
def test_an_unreadable_network_set_says_why(spec: Any, labels: Any) -> None:
    assert network_set(spec, labels=labels).unreadable
    notes = calico.notes(context(document("NetworkSet", spec, labels=labels)))
    (told,) = (note for note in notes if note.severity == "error")
    assert told.affects == ("NetworkSet",)


# -- host endpoints ----------------------------------------------------------------------------


def host_endpoint(spec: Any, labels: Any = None, *others: Any, **more: Any) -> HostEndpoint:
    around = context(document("HostEndpoint", spec, "h", labels=labels), *others, **more)
    (found,) = dialects.parse(around).host_endpoints
    return found


def means(found: Policy) -> str:
    """Return the name of the one host endpoint that a policy is for."""
    assert isinstance(found.subject, LabelPeer)
    assert isinstance(found.subject.expression, LabelIs)
    requirement = found.subject.expression.requirement
    assert requirement.key == ":host-endpoint"
    (name,) = requirement.values
    return name


def test_a_host_endpoint() -> None:
    spec = {
        "node": "n1",
        "interfaceName": "eth0",
        "expectedIPs": ["192.168.0.1", "FD00::1"],
        "ports": [{"name": "ssh", "protocol": "TCP", "port": 22}],
    }
    found = host_endpoint(spec, {"role": "edge"})
    assert found == HostEndpoint(
        document=0,
        name="h",
        node="n1",
        labels={"role": "edge", ":host-endpoint": "h"},
        every_interface=False,
        addresses=("192.168.0.1", "fd00::1"),
        ports=(ContainerPort(22, Protocol.TCP, "ssh"),),
    )
    assert host_endpoint(NODE).every_interface


def test_a_host_endpoint_keeps_the_failsafe_ports_open_and_closes_the_rest() -> None:
    failsafe, last = policies(document("HostEndpoint", NODE, "h"))
    assert means(failsafe) == means(last) == "h"
    assert (failsafe.tier, failsafe.isolates) == (CALICO_FAILSAFE, ())
    ingress, egress = failsafe.rules
    assert isinstance(ingress.traffic, tuple)
    assert isinstance(egress.traffic, tuple)
    assert PortRange(Protocol.TCP, 22, 22) in ingress.traffic
    assert PortRange(Protocol.UDP, 53, 53) in egress.traffic
    assert PortRange(Protocol.TCP, 22, 22) not in egress.traffic
    assert (last.tier, last.order, last.isolates) == (CALICO_PROFILES, math.inf, BOTH)
    assert last.rules == ()


def test_the_profile_of_the_host_endpoints_that_calico_makes_allows_everything() -> None:
    spec = {**NODE, "profiles": ["projectcalico-default-allow"]}
    _, allowing, _ = policies(document("HostEndpoint", spec, "h"))
    assert [(r.direction, r.action, r.uncertain) for r in allowing.rules] == [
        (direction, Action.ALLOW, "") for direction in BOTH
    ]


def test_a_profile_that_is_not_there_perhaps_allows_and_perhaps_denies() -> None:
    found = policies(document("HostEndpoint", {**NODE, "profiles": ["x"]}, "h"))[1]
    assert {r.action for r in found.rules} == {Action.ALLOW, Action.DENY}
    assert all("`x`" in rule.uncertain for rule in found.rules)
    assert found.rules[0].path == ("spec", "profiles", 0)


def test_the_profiles_of_a_host_endpoint_apply_in_their_order() -> None:
    spec = {**NODE, "profiles": ["b", "a"]}
    found = policies(
        document("HostEndpoint", spec, "h"),
        document("Profile", {"ingress": ALLOW}, "a"),
        document("Profile", {"egress": [{"action": "Deny"}]}, "b"),
        document("Profile", {}, "c"),
    )
    ordered = sorted((p for p in found if p.tier == CALICO_PROFILES), key=lambda p: p.order)
    assert [p.ref for p in ordered] == ["Profile/b", "Profile/a", "HostEndpoint/h"]
    assert {means(p) for p in ordered} == {"h"}


def test_a_host_endpoint_inherits_the_labels_of_its_profiles() -> None:
    found = host_endpoint(
        {**NODE, "profiles": ["a", "b"]},
        {"mine": "own"},
        document("Profile", {"labelsToApply": {"x": "a", "mine": "a"}}, "a"),
        document("Profile", {"labelsToApply": {"x": "b", "y": "b"}}, "b"),
    )
    assert found.labels == {"mine": "own", "x": "a", "y": "b", ":host-endpoint": "h"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"node": "n1"}, ("spec",)),
        ({**NODE, "interfaceName": "a b"}, ("spec", "interfaceName")),
        ({**NODE, "extra": 1}, ("spec", "extra")),
        ({**NODE, "expectedIPs": ["x"]}, ("spec", "expectedIPs", 0)),
        ({**NODE, "profiles": [1]}, ("spec", "profiles", 0)),
        (
            {**NODE, "ports": [{"name": "a", "protocol": "ICMP", "port": 1}]},
            ("spec", "ports", 0, "protocol"),
        ),
        (
            {**NODE, "ports": [{"name": "a", "protocol": "TCP", "port": 0}]},
            ("spec", "ports", 0, "port"),
        ),
    ],
)
def test_an_unreadable_host_endpoint_makes_its_node_unknown(spec: Any, path: Any) -> None:
    (found,) = policies(document("HostEndpoint", spec, "h"))
    assert [part.path for part in found.unreadable] == [path]
    assert means(found) == "h"
    assert host_endpoint(spec).node == "n1"


@pytest.mark.parametrize("spec", [None, {}, {"interfaceName": "*"}, {"node": 1}, "x"])
def test_a_host_endpoint_without_a_node_is_told(spec: Any) -> None:
    parsed = dialects.parse(context(document("HostEndpoint", spec)))
    assert [found.node for found in parsed.host_endpoints] == [""]
    assert parsed.host_endpoints[0].unreadable
    (policy,) = parsed.policies
    assert means(policy) == "p"
    assert policy.unreadable
    assert parsed.problems


# -- profiles ----------------------------------------------------------------------------------


def is_(key: str, value: str) -> LabelIs:
    return LabelIs(Requirement(f"projectcalico.org/{key}", Operator.IN, (value,)))


PODS = LabelAnd(
    (
        is_("namespace", "shop"),
        LabelIs(Requirement("projectcalico.org/orchestrator", Operator.EXISTS)),
    )
)


def test_the_profile_of_a_namespace_replaces_the_one_that_is_built_in() -> None:
    (found,) = policies(document("Profile", {"ingress": ALLOW}, "kns.shop"))
    assert found.subject == LabelPeer(PODS)
    assert (found.tier, found.order, found.isolates) == (CALICO_PROFILES, 0, BOTH)
    assert [r.direction for r in found.rules] == [Direction.INGRESS]


def test_the_profiles_that_every_cluster_has_make_no_policies() -> None:
    both = [{"action": "Allow", "source": {}, "destination": {}}]
    added = {"pcns.projectcalico.org/name": "shop"}
    spec = {"ingress": both, "egress": both, "labelsToApply": added}
    assert policies(document("Profile", spec, "kns.shop")) == ()
    account = document("Profile", {"labelsToApply": {"pcsa.a": "b"}}, "ksa.shop.web")
    (found,) = policies(document("Profile", {"egress": both}, "kns.shop"), account)
    assert found.name == "kns.shop"


def test_the_profile_of_a_service_account_matters_behind_that_of_its_namespace() -> None:
    account = document("Profile", {"egress": ALLOW}, "ksa.shop.web")
    assert policies(account) == ()
    found = policies(document("Profile", {}, "kns.shop"), account)[1]
    assert found.subject == LabelPeer(LabelAnd((PODS, is_("serviceaccount", "web"))))
    assert found.order == 1


def test_what_passes_in_a_profile_denies() -> None:
    (found,) = policies(document("Profile", {"ingress": [{"action": "Pass"}]}, "kns.shop"))
    assert found.rules[0].action is Action.DENY


def test_a_profile_that_nothing_has_does_nothing() -> None:
    assert policies(document("Profile", {"ingress": ALLOW}, "other")) == ()


def test_labels_that_pods_have_from_their_namespace_anyway() -> None:
    added = {"pcns.projectcalico.org/name": "shop", "pcns.env": "prod"}
    profile = document("Profile", {"labelsToApply": added}, "kns.shop")
    (found,) = policies(profile, namespaces=[namespace("shop", env="prod")])
    assert found.unreadable == ()
    (other,) = policies(profile, namespaces=[namespace("shop", env="dev")])
    assert other.unreadable[0].path == ("spec", "labelsToApply", "pcns.env")


@pytest.mark.parametrize("name", ["kns.shop", "other"])
def test_an_unreadable_profile_is_told(name: str) -> None:
    profile = document("Profile", {"ingress": [{"action": "Allow", "x": 1}]}, name)
    (told,) = calico.notes(context(profile))
    assert told.location == profile.location_of(("spec", "ingress", 0, "x"))


# -- editions ----------------------------------------------------------------------------------


def test_domain_names_are_told_to_need_an_edition() -> None:
    rule = {"action": "Allow", "destination": {"domains": ["x.io"]}}
    objects = (
        document("GlobalNetworkPolicy", {"egress": [{"action": "Allow"}, rule]}),
        document("GlobalNetworkSet", {"allowedEgressDomains": ["x.io"]}, "s"),
        document("NetworkPolicy", {"egress": [{"action": "Allow"}]}),
    )
    told = calico.notes(context(*objects))
    assert [(t.object, t.severity) for t in told] == [
        ("GlobalNetworkPolicy/p", "warning"),
        ("GlobalNetworkSet/s", "warning"),
    ]
    assert all("Calico Enterprise or Calico Cloud" in t.message for t in told)
    assert told[0].location == objects[0].location_of(
        ("spec", "egress", 1, "destination", "domains")
    )


def test_companions_are_told_once_under_other_profiles() -> None:
    objects = [document("Tier", {}, "t"), document("NetworkSet", {})]
    parsed = dialects.parse(dialects.Context(Profile(Cni.CILIUM), objects))
    assert len(parsed.ignored) == 2
    assert (parsed.policies, parsed.network_sets, parsed.problems) == ((), (), ())
