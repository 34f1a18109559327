from functools import partial

import pytest

from assemble.written import pod, policy, snapshot
from ringfence import reference
from ringfence.engine import Engine
from ringfence.model.connection import AddressEnd, Connection, PodEnd
from ringfence.model.location import Location, Problem
from ringfence.model.snapshot import BlindSpot

HERE = Location("broken.yaml", 7)


def problem(
    *affects: str, about: str | None = None, severity: str = "error", message: str = "broken"
) -> Problem:
    return Problem(message, HERE, affects, about, severity)


def spots(text: str, *problems: Problem) -> tuple[BlindSpot, ...]:
    return snapshot(text, problems=problems).blind_spots


def test_text_of_which_nothing_can_be_said_blinds_everything() -> None:
    assert spots("", problem()) == (BlindSpot("broken", HERE),)


def test_an_unreadable_policy_blinds_its_namespace() -> None:
    found = spots("", problem("NetworkPolicy", about="NetworkPolicy/shop/db"))
    assert found == (BlindSpot("broken", HERE, "shop"),)


@pytest.mark.parametrize(
    "about", [None, "ClusterNetworkPolicy/all", "NetworkPolicy", "ClusterNetworkPolicy/a/b"]
)
def test_a_policy_without_a_namespace_blinds_everything(about: str | None) -> None:
    found = spots("", problem("NetworkPolicy", "ClusterNetworkPolicy", about=about))
    assert found == (BlindSpot("broken", HERE),)


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "Service", "Ingress", "ConfigMap"])
def test_what_is_no_policy_blinds_nothing(kind: str) -> None:
    assert spots("", problem(kind)) == ()


def test_a_warning_blinds_nothing() -> None:
    assert spots("", problem(severity="warning")) == ()


BY_NAME = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: infra}}"
BY_LABEL = "namespaceSelector: {matchLabels: {team: a}}"


def from_namespaces(selector: str) -> str:
    return policy("p", f"podSelector: {{}}, ingress: [{{from: [{{{selector}}}]}}]")


def test_unknown_labels_of_namespaces_blind_where_a_policy_selects_by_them() -> None:
    unlisted = problem("Namespace")
    assert spots(from_namespaces(BY_NAME), unlisted) == ()
    assert spots(from_namespaces("podSelector: {}"), unlisted) == ()
    assert spots(from_namespaces(BY_LABEL), unlisted) == (BlindSpot("broken", HERE),)


SUBJECT_BY_LABEL = """
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: a}}}
  egress: [{action: Deny, to: [{nodes: {matchLabels: {role: edge}}}]}]
"""


@pytest.mark.parametrize("kind", ["Namespace", "Node"])
def test_subjects_and_nodes_count_as_well(kind: str) -> None:
    assert spots(SUBJECT_BY_LABEL, problem(kind)) == (BlindSpot("broken", HERE),)
    assert spots(from_namespaces(BY_NAME), problem(kind)) == ()


def test_a_malformed_namespace_blinds_where_a_policy_selects_by_label() -> None:
    broken = "\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: 1}}\n"
    found = snapshot(from_namespaces(BY_LABEL) + broken)
    assert [spot.namespace for spot in found.blind_spots] == [None]


def test_what_a_dialect_cannot_understand_is_no_blind_spot() -> None:
    found = snapshot(policy("p", "podSelector: {}, ingress: [{from: [{}]}]"))
    assert len(found.problems) == 1
    assert found.blind_spots == ()


@pytest.mark.parametrize(
    ("kind", "about", "cni", "namespace"),
    [
        ("NetworkPolicy.crd.antrea.io", "NetworkPolicy/shop/x", "antrea", "shop"),
    ],
)
def test_policies_of_the_cni_itself_that_are_not_judged_blind_under_its_profile(
    kind: str, about: str, cni: str, namespace: str | None
) -> None:
    foreign = problem(kind, about=about, severity="warning")
    (spot,) = snapshot("", cni=cni, problems=(foreign,)).blind_spots
    assert spot.namespace == namespace
    assert spot.because == f"{about} has effect on {cni} and is not judged yet"
    assert snapshot("", cni="generic", problems=(foreign,)).blind_spots == ()


def test_blind_spots_are_sorted_and_told_once() -> None:
    one = problem("NetworkPolicy", about="NetworkPolicy/b/x")
    two = problem("NetworkPolicy", about="NetworkPolicy/a/x")
    assert [spot.namespace for spot in spots("", one, two, one)] == ["a", "b"]


def test_policies_that_could_be_read_in_one_namespace_alone_spare_its_pods() -> None:
    hidden = Problem("may not list", HERE, ("NetworkPolicy",), spared="shop")
    pods = pod("web", namespace="shop") + pod("web", namespace="lab")
    found = snapshot(pods, problems=(hidden,))
    assert found.blind_spots == (BlindSpot("may not list", HERE, spared="shop"),)
    for judge in (Engine(found).judge, partial(reference.judge, found)):
        verdicts = {
            found.workloads[number].namespace: judge(
                Connection(AddressEnd("8.8.8.8"), PodEnd(number, 0), port=80)
            ).verdict.value
            for number in range(2)
        }
        assert verdicts == {"shop": "allow", "lab": "unknown"}


def test_what_the_profile_does_not_enforce_blinds_nothing() -> None:
    told = problem("ClusterNetworkPolicy", about="ClusterNetworkPolicy/all")
    assert snapshot("", cni="ovn-kubernetes", problems=(told,)).blind_spots == ()
    assert snapshot("", cni="none", problems=(told, problem())).blind_spots == ()


ISTIO = """
---
apiVersion: v1
kind: Namespace
metadata: {name: lab, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: lab}
spec: {containers: [{name: app}]}
"""
LINKERD = """
---
apiVersion: v1
kind: Namespace
metadata: {name: lab, annotations: {linkerd.io/inject: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: lab}
spec: {containers: [{name: app}]}
"""


@pytest.mark.parametrize(
    ("kind", "there"),
    [
        ("AuthorizationPolicy", ISTIO),
        ("Sidecar", ISTIO),
        ("Server", LINKERD),
        ("AuthorizationPolicy.policy.linkerd.io", LINKERD),
        ("HTTPRoute", LINKERD),
    ],
)
def test_policies_of_a_mesh_blind_where_that_mesh_is_there(kind: str, there: str) -> None:
    told = problem(kind, about=f"{kind}/shop/x")
    found = (BlindSpot("broken", HERE, "shop"),)
    assert spots("", told) == ()
    assert spots(there, told) == found
    assert snapshot(there, cni="none", problems=(told,)).blind_spots == found


def test_a_broken_text_may_be_the_policy_of_either_mesh() -> None:
    assert spots(LINKERD, problem("AuthorizationPolicy")) == (BlindSpot("broken", HERE),)


def test_policies_of_the_other_mesh_blind_nothing() -> None:
    assert spots(ISTIO, problem("Server")) == ()
    assert spots(LINKERD, problem("DestinationRule")) == ()


@pytest.mark.parametrize(
    ("kind", "there", "blinds"),
    [
        ("Service", ISTIO, True),
        ("Gateway", ISTIO, True),
        ("Service", LINKERD, False),
        ("Gateway", "", False),
    ],
)
def test_what_a_mesh_goes_by_blinds_where_it_cannot_be_read(
    kind: str, there: str, blinds: bool
) -> None:
    found = spots(there, problem(kind, about=f"{kind}/shop/x"))
    where = None if kind == "Gateway" else "shop"
    assert found == (BlindSpot("broken", HERE, where),) * blinds


def test_a_mesh_in_which_no_pod_takes_part_blinds_nothing() -> None:
    nobody = ISTIO.partition("---\napiVersion: v1\nkind: Pod")[0]
    assert "istio-injection" in nobody
    assert spots(nobody, problem("AuthorizationPolicy"), problem("Service")) == ()


@pytest.mark.parametrize(("there", "blinds"), [(ISTIO, True), (LINKERD, True), ("", False)])
def test_a_namespace_that_cannot_be_read_blinds_where_a_mesh_goes_by_it(
    there: str, blinds: bool
) -> None:
    found = spots(there, problem("Namespace", about="Namespace/shop"))
    assert found == (BlindSpot("broken", HERE),) * blinds


def test_the_configuration_of_a_mesh_matters_to_every_namespace() -> None:
    told = problem("AuthorizationPolicy", about="ConfigMap/istio-system/istio")
    assert spots(ISTIO, told) == (BlindSpot("broken", HERE),)


@pytest.mark.parametrize(
    ("about", "there"),
    [
        ("PeerAuthentication/istio-system/default", ISTIO),
        ("DestinationRule/shop/x", ISTIO),
        ("ServiceEntry/shop/x", ISTIO),
        ("MeshTLSAuthentication/shop/x", LINKERD),
        ("EgressNetwork/linkerd-egress/x", LINKERD),
    ],
)
def test_what_holds_in_every_namespace_blinds_every_namespace(about: str, there: str) -> None:
    found = spots(there, problem(about.partition("/")[0], about=about))
    assert found == (BlindSpot("broken", HERE),)
