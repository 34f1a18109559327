"""Which pods take part in Istio, and what their proxies take."""

import pytest

from assemble.written import pod, snapshot
from ringfence.model.mesh import CLASSIC_GATEWAY, DataPlane, Membership, Ports


def namespace(labels: str, name: str = "shop") -> str:
    return f"""
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, labels: {{{labels}}}}}
"""


def template(
    labels: str = "", annotations: str = "", spec: str = "", name: str = "shop", args: str = ""
) -> str:
    extra = f", {{name: istio-proxy, args: [{args}]}}" if args else ""
    return f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {name}}}
spec:
  template:
    metadata: {{labels: {{{labels}}}, annotations: {{{annotations}}}}}
    spec: {{serviceAccountName: web, containers: [{{name: app}}{extra}]{spec}}}
"""


def member(text: str) -> Membership | None:
    (workload,) = snapshot(text).workloads
    (identity,) = workload.identities
    return identity.mesh


def plane(text: str) -> DataPlane | None:
    found = member(text)
    assert found is None or not found.uncertain
    return found.data_plane if found else None


ENABLED, DISABLED, REVISION = (
    "istio-injection: enabled",
    "istio-injection: disabled",
    "istio.io/rev: canary",
)
WANTED, REFUSED = 'sidecar.istio.io/inject: "true"', 'sidecar.istio.io/inject: "false"'
AMBIENT = "istio.io/dataplane-mode: ambient"


@pytest.mark.parametrize(
    ("around", "own", "injected"),
    [
        (ENABLED, "", True),
        (ENABLED, WANTED, True),
        (ENABLED, REFUSED, False),
        (ENABLED, 'sidecar.istio.io/inject: "no"', False),
        (ENABLED, 'sidecar.istio.io/inject: "Yes"', True),
        (f"{ENABLED}, {REVISION}", "", True),
        ("", "", False),
        ("", WANTED, True),
        ("", 'sidecar.istio.io/inject: "yes"', False),
        ("", REVISION, True),
        ("", f"{REVISION}, {REFUSED}", False),
        (REVISION, "", True),
        (REVISION, REFUSED, False),
        (DISABLED, "", False),
        (DISABLED, WANTED, False),
        (f"{DISABLED}, {REVISION}", "", False),
        (DISABLED, REVISION, False),
    ],
)
def test_labels_of_namespace_and_pod_decide_about_injection(
    around: str, own: str, injected: bool
) -> None:
    expected = DataPlane.SIDECAR if injected else None
    assert plane(namespace(around) + template(own)) is expected


def test_the_label_of_a_pod_comes_before_its_annotation() -> None:
    annotation = REFUSED
    assert plane(namespace(ENABLED) + template("", annotation)) is None
    assert plane(namespace(ENABLED) + template(WANTED, annotation)) is DataPlane.SIDECAR


def test_pods_on_the_host_network_are_never_injected() -> None:
    assert member(namespace(ENABLED) + template(spec=", hostNetwork: true")) is None
    assert member(namespace(AMBIENT) + template(spec=", hostNetwork: true")) is None


def test_nothing_is_injected_in_namespaces_of_the_system() -> None:
    found = member(namespace(ENABLED, "kube-system") + template(name="kube-system"))
    assert found is None


def test_a_principal_is_trust_domain_namespace_and_service_account() -> None:
    found = member(namespace(ENABLED) + template())
    assert found is not None
    assert (found.principal, found.seen) == ("cluster.local/ns/shop/sa/web", False)


@pytest.mark.parametrize(
    ("around", "own", "ambient"),
    [
        (AMBIENT, "", True),
        ("", AMBIENT, True),
        (AMBIENT, "istio.io/dataplane-mode: none", False),
        ("istio.io/dataplane-mode: none", AMBIENT, True),
        ("", "", False),
    ],
)
def test_labels_of_namespace_and_pod_decide_about_ambient(
    around: str, own: str, ambient: bool
) -> None:
    expected = DataPlane.AMBIENT if ambient else None
    assert plane(namespace(around) + template(own)) is expected


def test_a_sidecar_keeps_a_pod_out_of_ambient() -> None:
    assert plane(namespace(f"{AMBIENT}, {ENABLED}") + template()) is DataPlane.SIDECAR


RUNNING = "phase: Running, podIP: 10.0.0.1"


@pytest.mark.parametrize("field", ["containers", "initContainers"])
def test_a_pod_that_carries_a_proxy_is_a_sidecar_whatever_labels_say(field: str) -> None:
    found = member(
        namespace(DISABLED) + pod("web", spec=f"{field}: [{{name: istio-proxy}}]", status=RUNNING)
    )
    assert found is not None
    assert (found.data_plane, found.seen) == (DataPlane.SIDECAR, True)


def test_a_pod_that_runs_without_a_proxy_is_none_whatever_labels_say() -> None:
    assert member(namespace(ENABLED) + pod("web", status=RUNNING)) is None


def test_a_pod_that_runs_is_in_ambient_if_its_traffic_was_redirected() -> None:
    told = "annotations: {ambient.istio.io/redirection: enabled}"
    found = member(namespace("") + pod("web", status=RUNNING, metadata=told))
    assert found is not None
    assert (found.data_plane, found.seen) == (DataPlane.AMBIENT, True)
    assert member(namespace(AMBIENT) + pod("web", status=RUNNING)) is None


def test_a_pod_without_an_address_yet_will_be_in_ambient_by_its_labels() -> None:
    found = member(namespace(AMBIENT) + pod("web", status="phase: Pending"))
    assert found is not None
    assert (found.data_plane, found.seen) == (DataPlane.AMBIENT, False)


def test_pods_of_one_workload_that_differ_are_two_identities() -> None:
    carrying = pod(
        "new", ips="10.0.0.1", owner="Deployment web", spec="containers: [{name: istio-proxy}]"
    )
    (workload,) = snapshot(
        namespace(ENABLED) + carrying + pod("old", owner="Deployment web", ips="10.0.0.2")
    ).workloads
    assert sorted(
        (identity.pods[0].name, identity.mesh is not None) for identity in workload.identities
    ) == [("new", True), ("old", False)]


def taken(annotations: str) -> tuple[Ports, Ports]:
    found = member(namespace(ENABLED) + template(annotations=annotations))
    assert found is not None
    return found.inbound, found.outbound


OWN = ((15020, 15021), (15090, 15090))


def test_the_ports_of_the_proxy_itself_are_never_taken() -> None:
    assert taken("") == (Ports(OWN), Ports())


def test_ports_that_are_left_out_go_past_the_proxy() -> None:
    inbound, outbound = taken(
        'traffic.sidecar.istio.io/excludeInboundPorts: "8081,9000", '
        'traffic.sidecar.istio.io/excludeOutboundPorts: "3306"'
    )
    assert inbound == Ports(((8081, 8081), (9000, 9000), *OWN))
    assert outbound == Ports(((3306, 3306),))


def test_where_ports_are_listed_only_these_are_taken() -> None:
    inbound, _ = taken(
        'traffic.sidecar.istio.io/includeInboundPorts: "8080", '
        'traffic.sidecar.istio.io/excludeInboundPorts: "8080"'
    )
    assert inbound == Ports(((8080, 8080),), all_but=False)
    assert taken('traffic.sidecar.istio.io/includeInboundPorts: ""')[0] == Ports(all_but=False)
    assert taken('traffic.sidecar.istio.io/includeInboundPorts: "*"')[0] == Ports(OWN)


def test_outbound_ports_are_only_a_limit_where_no_address_is_taken() -> None:
    listed = 'traffic.sidecar.istio.io/includeOutboundPorts: "80,443"'
    assert taken(listed)[1] == Ports()
    none = 'traffic.sidecar.istio.io/includeOutboundIPRanges: ""'
    assert taken(f"{listed}, {none}")[1] == Ports(((80, 80), (443, 443)), all_but=False)


def test_a_proxy_may_be_told_to_take_nothing() -> None:
    assert taken("sidecar.istio.io/interceptionMode: NONE") == (
        Ports(all_but=False),
        Ports(all_but=False),
    )


def test_a_list_of_ports_that_is_none_leaves_open_what_is_taken() -> None:
    found = member(
        namespace(ENABLED)
        + template(annotations="traffic.sidecar.istio.io/excludeInboundPorts: http")
    )
    assert found is not None
    assert found.uncertain == (
        "`traffic.sidecar.istio.io/excludeInboundPorts: http` is no list of ports"
    )


def test_addresses_that_a_proxy_leaves_out_are_told_not_to_be_judged() -> None:
    found = snapshot(
        namespace(ENABLED)
        + template(annotations="traffic.sidecar.istio.io/excludeOutboundIPRanges: 10.1.0.0/16")
    )
    (warning,) = [problem for problem in found.problems if problem.severity == "warning"]
    assert "excludeOutboundIPRanges: 10.1.0.0/16" in warning.message


def test_a_gateway_of_the_gateway_api_has_its_name() -> None:
    found = member(
        namespace("")
        + template("gateway.networking.k8s.io/gateway-name: edge", args="proxy, router")
    )
    assert found is not None
    assert (found.data_plane, found.gateway, found.waypoint) == (DataPlane.SIDECAR, "edge", False)
    assert found.inbound == Ports(((15021, 15021), (15090, 15090)))


@pytest.mark.parametrize(
    ("annotations", "args"),
    [("inject.istio.io/templates: gateway", ""), ("", "proxy, router")],
)
def test_a_classic_gateway_is_a_sidecar_that_is_a_gateways(annotations: str, args: str) -> None:
    found = member(
        namespace("") + template(f"istio: ingressgateway, {WANTED}", annotations, args=args)
    )
    assert found is not None
    assert (found.data_plane, found.gateway) == (DataPlane.SIDECAR, CLASSIC_GATEWAY)


POLICY = """
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""


def test_where_no_namespace_object_tells_labels_membership_is_uncertain() -> None:
    found = member(template() + POLICY)
    assert found is not None
    assert found.uncertain == (
        "whether pods of namespace `shop` are in the mesh: no Namespace object of the input has "
        "its labels"
    )
    assert found.data_plane is DataPlane.SIDECAR


def test_where_only_ambient_is_in_sight_it_is_ambient_that_is_uncertain() -> None:
    found = snapshot(template() + namespace(AMBIENT, "lab")).workloads
    assert found[0].identities[0].mesh is not None
    assert found[0].identities[0].mesh.data_plane is DataPlane.AMBIENT


@pytest.mark.parametrize(
    "text",
    [
        template(),
        template(REFUSED) + POLICY,
        template("istio.io/dataplane-mode: none") + POLICY,
        template(name="kube-system") + POLICY,
        template(name="istio-system") + POLICY,
        pod("web", status=RUNNING) + POLICY,
        namespace("") + template() + POLICY,
        template()
        + POLICY.replace("security", "networking").replace("PeerAuthentication", "Sidecar"),
    ],
)
def test_what_is_certain_is_not_left_open(text: str) -> None:
    assert member(text) is None
