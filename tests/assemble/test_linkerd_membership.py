"""Which pods take part in Linkerd, and what their proxies take."""

import pytest

from assemble.test_istio_membership import member
from assemble.written import pod, snapshot
from ringfence.model.mesh import DataPlane, Membership, Ports


def namespace(annotations: str = "", labels: str = "", name: str = "shop") -> str:
    return f"""
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, annotations: {{{annotations}}}, labels: {{{labels}}}}}
"""


def template(
    annotations: str = "",
    labels: str = "",
    spec: str = "",
    container: str = "",
    name: str = "shop",
) -> str:
    return f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {name}}}
spec:
  template:
    metadata: {{labels: {{{labels}}}, annotations: {{{annotations}}}}}
    spec: {{serviceAccountName: web, containers: [{{name: app, {container}}}]{spec}}}
"""


def certain(text: str) -> Membership:
    found = member(text)
    assert found is not None
    assert not found.uncertain
    assert found.data_plane is DataPlane.LINKERD
    return found


ENABLED, DISABLED, INGRESS = (
    "linkerd.io/inject: enabled",
    "linkerd.io/inject: disabled",
    "linkerd.io/inject: ingress",
)


@pytest.mark.parametrize(
    ("around", "own", "injected"),
    [
        (ENABLED, "", True),
        (ENABLED, ENABLED, True),
        (ENABLED, DISABLED, False),
        (DISABLED, ENABLED, True),
        ("", ENABLED, True),
        (INGRESS, "", True),
        ("", INGRESS, True),
        ("", "", False),
        (DISABLED, "", False),
        ("linkerd.io/inject: yes-please", ENABLED, False),
        (ENABLED, "linkerd.io/inject: yes-please", False),
    ],
)
def test_annotations_of_namespace_and_pod_decide_about_injection(
    around: str, own: str, injected: bool
) -> None:
    found = member(namespace(around) + template(own))
    assert (found is not None) is injected


@pytest.mark.parametrize(
    "text",
    [
        namespace(ENABLED) + template(spec=", hostNetwork: true"),
        namespace(ENABLED) + template(spec=", automountServiceAccountToken: false"),
        namespace(ENABLED) + template(labels="linkerd.io/control-plane-component: identity"),
        namespace(ENABLED, "config.linkerd.io/admission-webhooks: disabled") + template(),
        namespace(ENABLED, name="kube-system") + template(name="kube-system"),
    ],
)
def test_some_pods_are_never_injected(text: str) -> None:
    assert member(text) is None


def test_a_pod_that_carries_a_proxy_takes_part_whatever_annotations_say() -> None:
    found = certain(
        namespace() + pod("web", spec="containers: [{name: linkerd-proxy}]", ips="10.0.0.1")
    )
    assert found.seen
    assert member(namespace(ENABLED) + pod("web", ips="10.0.0.1")) is None


def test_a_principal_names_service_account_namespace_and_control_plane() -> None:
    found = certain(namespace(ENABLED) + template())
    assert found.principal == "web.shop.serviceaccount.identity.linkerd.cluster.local"


def test_the_label_of_a_pod_tells_where_the_control_plane_is() -> None:
    text = namespace() + pod(
        "web",
        labels="{linkerd.io/control-plane-ns: mesh}",
        spec="containers: [{name: linkerd-proxy}]",
        ips="10.0.0.1",
    )
    assert certain(text).principal == "default.shop.serviceaccount.identity.mesh.cluster.local"
    linkerd = snapshot(text).mesh.linkerd
    assert linkerd is not None
    assert linkerd.namespace == "mesh"


def test_ports_are_skipped_as_the_chart_says_where_no_annotation_does() -> None:
    found = certain(namespace(ENABLED) + template())
    assert found.inbound == Ports(((4190, 4190), (4567, 4568)))
    assert found.outbound == Ports(((4567, 4568),))


def test_annotations_skip_ports_in_the_place_of_the_default() -> None:
    found = certain(
        namespace(f'{ENABLED}, config.linkerd.io/skip-outbound-ports: "25,3000-3002"')
        + template('config.linkerd.io/skip-inbound-ports: "9100"')
    )
    assert found.inbound == Ports(((4190, 4190), (9100, 9100)))
    assert found.outbound == Ports(((25, 25), (3000, 3002)))


def test_the_annotation_of_a_pod_comes_before_that_of_its_namespace() -> None:
    around = f"{ENABLED}, config.linkerd.io/default-inbound-policy: deny"
    own = "config.linkerd.io/default-inbound-policy: all-authenticated"
    assert certain(namespace(around) + template()).default_inbound == "deny"
    assert certain(namespace(around) + template(own)).default_inbound == "all-authenticated"


def test_a_default_policy_that_does_not_exist_counts_as_none() -> None:
    around = f"{ENABLED}, config.linkerd.io/default-inbound-policy: perhaps"
    assert certain(namespace(around) + template()).default_inbound == ""


def test_ports_that_need_an_identity() -> None:
    own = 'config.linkerd.io/proxy-require-identity-inbound-ports: "8080,9000-9001"'
    found = certain(namespace(ENABLED) + template(own))
    assert found.identity_ports == ((8080, 8080), (9000, 9001))


def test_opaque_ports_are_the_listed_ones_by_number_or_name() -> None:
    own = 'config.linkerd.io/opaque-ports: "3306,pg"'
    found = certain(
        namespace(ENABLED) + template(own, container="ports: [{containerPort: 5000, name: pg}]")
    )
    assert found.opaque == ((3306, 3306), (5000, 5000))


def test_of_the_default_opaque_ports_those_that_a_pod_declares_are() -> None:
    declared = "ports: [{containerPort: 5432}, {containerPort: 8080}]"
    found = certain(namespace(ENABLED) + template(container=declared))
    assert found.opaque == ((5432, 5432),)


OWN = ((4191, "/live"), (4191, "/ready"))


def test_probes_are_ports_and_paths_without_their_query() -> None:
    container = (
        "ports: [{containerPort: 8080, name: http}], livenessProbe: {httpGet: {path: '/up?a=b', "
        "port: HTTP}}, readinessProbe: {httpGet: {port: 9000}}, startupProbe: {exec: {}}"
    )
    found = certain(namespace(ENABLED) + template(container=container))
    assert found.probes == (*OWN, (8080, "/up"), (9000, "/"))


@pytest.mark.parametrize(
    "declared",
    [
        "ports: [{containerPort: 8080, name: http, protocol: UDP}]",
        "ports: [{containerPort: 8080, name: web}]",
    ],
)
def test_a_probe_of_a_port_that_is_not_there_is_none(declared: str) -> None:
    container = f"{declared}, livenessProbe: {{httpGet: {{path: /up, port: http}}}}"
    assert certain(namespace(ENABLED) + template(container=container)).probes == OWN


SERVER = """
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, port: 80}
"""


def test_where_no_namespace_object_tells_annotations_membership_is_uncertain() -> None:
    found = member(template() + SERVER)
    assert found is not None
    assert found.uncertain.endswith("no Namespace object of the input has its annotations")
    assert member(template(DISABLED) + SERVER) is None
    certain(template(ENABLED) + SERVER)
