"""Which Services have a waypoint, and what Istio makes of the Gateways that are waypoints."""

import pytest

from assemble.written import pod, snapshot
from ringfence.model.cluster import Identity, Workload
from ringfence.model.mesh import DataPlane
from ringfence.model.selector import from_labels
from ringfence.model.snapshot import Snapshot

USE = "istio.io/use-waypoint: wp"


def namespace(labels: str = "", name: str = "shop") -> str:
    return f"""
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, labels: {{{labels}}}}}
"""


def service(labels: str = "") -> str:
    return f"""
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop, labels: {{{labels}}}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}
"""


def gateway(
    labels: str = "",
    *,
    where: str = "shop",
    allowed: str = "",
    kind: str = "istio-waypoint",
    annotations: str = "",
    more: str = "",
    status: str = "",
) -> str:
    routes = f", allowedRoutes: {{namespaces: {{{allowed}}}}}" if allowed else ""
    return f"""
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: wp, namespace: {where}, labels: {{{labels}}}, annotations: {{{annotations}}}}}
spec:
  gatewayClassName: {kind}
  listeners: [{{name: mesh, port: 15008, protocol: HBONE{routes}}}]{more}
{status}
"""


def waypoint(text: str) -> tuple[str, str] | None:
    (found,) = snapshot(text).services
    return found.waypoint


def warnings(found: Snapshot) -> list[str]:
    return [problem.message for problem in found.problems if problem.severity == "warning"]


def test_a_service_uses_the_waypoint_of_its_label() -> None:
    assert waypoint(namespace() + service(USE) + gateway()) == ("shop", "wp")
    assert waypoint(namespace() + service() + gateway()) is None


def test_a_service_uses_the_waypoint_of_its_namespace_unless_it_says_none() -> None:
    assert waypoint(namespace(USE) + service() + gateway()) == ("shop", "wp")
    refused = service("istio.io/use-waypoint: none")
    assert waypoint(namespace(USE) + refused + gateway()) is None


def test_the_label_of_a_service_comes_before_that_of_its_namespace() -> None:
    found = snapshot(namespace(USE) + service("istio.io/use-waypoint: other") + gateway())
    assert found.services[0].waypoint is None
    assert warnings(found) == [
        (
            "svc/shop/web: its calls go past a waypoint: no Gateway `shop/other` that is one in "
            "the input"
        )
    ]


@pytest.mark.parametrize(
    ("allowed", "admitted"),
    [
        ("", False),
        ("from: Same", False),
        ("from: All", True),
        ("from: Selector, selector: {matchLabels: {team: a}}", True),
        ("from: Selector, selector: {matchLabels: {team: b}}", False),
    ],
)
def test_a_waypoint_of_another_namespace_must_admit_this_one(allowed: str, admitted: bool) -> None:
    labels = f"{USE}, istio.io/use-waypoint-namespace: infra"
    text = namespace("team: a") + service(labels) + gateway(where="infra", allowed=allowed)
    assert waypoint(text) == (("infra", "wp") if admitted else None)


@pytest.mark.parametrize(
    ("traffic", "used"),
    [("service", True), ("all", True), ("workload", False), ("none", False)],
)
def test_a_waypoint_is_for_services_unless_it_says_otherwise(traffic: str, used: bool) -> None:
    text = namespace(USE) + service() + gateway(f"istio.io/waypoint-for: {traffic}")
    assert waypoint(text) == (("shop", "wp") if used else None)


def test_a_class_may_say_what_its_waypoints_are_for() -> None:
    written = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: own, labels: {istio.io/waypoint-for: workload}}
spec: {controllerName: istio.io/mesh-controller}
"""
    text = namespace(USE) + service() + written
    assert waypoint(text + gateway(kind="own")) is None
    assert waypoint(text + gateway("istio.io/waypoint-for: all", kind="own")) == ("shop", "wp")


def test_a_gateway_of_another_class_is_no_waypoint() -> None:
    found = snapshot(namespace(USE) + service() + gateway(kind="istio"))
    assert found.services[0].waypoint is None
    assert len(warnings(found)) == 1
    assert found.workloads == ()


def test_a_waypoint_that_has_no_address_yet_is_gone_past() -> None:
    text = namespace(USE) + service()
    assert waypoint(text + gateway(status="status: {conditions: []}")) is None
    assert waypoint(text + gateway(status="status: {addresses: [{value: 10.0.0.9}]}")) is not None


def test_the_service_before_a_waypoint_has_none() -> None:
    own = service("gateway.istio.io/managed: istio.io-mesh-controller")
    assert waypoint(namespace(USE) + own + gateway()) is None


def only(text: str) -> Workload:
    (found,) = snapshot(text).workloads
    return found


def test_of_a_gateway_that_is_a_waypoint_istio_makes_a_deployment() -> None:
    found = only(namespace() + gateway("team: a"))
    (identity,) = found.identities
    assert (found.kind, found.ref) == ("Deployment", "shop/wp")
    assert found.selector == from_labels({"gateway.networking.k8s.io/gateway-name": "wp"})
    assert identity.service_account == "wp"
    assert identity.labels["team"] == "a"
    assert identity.labels["istio.io/dataplane-mode"] == "none"
    assert identity.mesh is not None
    assert (identity.mesh.data_plane, identity.mesh.gateway, identity.mesh.waypoint) == (
        DataPlane.SIDECAR,
        "wp",
        True,
    )
    assert identity.mesh.principal == "cluster.local/ns/shop/sa/wp"


def test_annotations_of_a_gateway_name_what_is_made_of_it() -> None:
    found = only(
        namespace()
        + gateway(
            annotations="gateway.istio.io/name-override: way, gateway.istio.io/service-account: sa",
            more="\n  infrastructure: {labels: {tier: mesh}}",
        )
    )
    assert found.ref == "shop/way"
    assert found.identities[0].service_account == "sa"
    assert found.identities[0].labels["tier"] == "mesh"


def test_where_pods_of_a_waypoint_are_there_none_are_made_up() -> None:
    labels = "{gateway.networking.k8s.io/gateway-name: wp}"
    running = pod("wp-1", labels=labels, ips="10.0.0.3", spec="containers: [{name: istio-proxy}]")
    found = only(namespace() + gateway() + running)
    assert (found.kind, found.name) == ("Pod", "wp-1")
    assert found.identities[0].mesh is not None
    assert found.identities[0].mesh.waypoint


def test_a_malformed_gateway_is_told() -> None:
    found = snapshot(namespace() + gateway(more="\n  infrastructure: []"))
    assert [problem.object for problem in found.problems] == ["Gateway/shop/wp"]


def test_a_waypoint_for_the_addresses_of_pods_is_of_those_in_the_mesh() -> None:
    web = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app}]}}}
"""
    meshed = namespace(f"{USE}, istio.io/dataplane-mode: ambient")
    everything = gateway("istio.io/waypoint-for: all")
    (member,) = (one.mesh for one in pods(snapshot(meshed + web + everything), "web"))
    assert member is not None
    assert member.waypoint_of == ("shop", "wp")
    assert warnings(snapshot(meshed + web + everything)) == []
    for services_alone in (gateway(), gateway("istio.io/waypoint-for: service")):
        (member,) = (one.mesh for one in pods(snapshot(meshed + web + services_alone), "web"))
        assert member is not None
        assert member.waypoint_of is None
    (warning,) = warnings(snapshot(namespace(USE) + web + everything))
    assert warning.startswith("Deployment/shop/web: Gateway `shop/wp` is the waypoint for its own")


def pods(found: Snapshot, name: str) -> tuple[Identity, ...]:
    return next(one.identities for one in found.workloads if one.name == name)
