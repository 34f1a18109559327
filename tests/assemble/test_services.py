import pytest

from assemble.written import snapshot
from ringfence.model.cluster import Backend, Protocol, Service, ServicePort
from ringfence.model.selector import equals


def service(spec: str, name: str = "db", status: str = "") -> str:
    return f"""
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{{spec}}}
status: {{{status}}}
"""


def endpoint_slice(content: str, service_name: str = "db") -> str:
    return f"""
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  {{name: {service_name}-x1, namespace: shop,
   labels: {{kubernetes.io/service-name: {service_name}}}}}
{content}
"""


def only(text: str) -> Service:
    found = snapshot(text)
    assert found.problems == ()
    (result,) = found.services
    return result


def test_ports_default_to_tcp_and_to_themselves() -> None:
    found = only(
        service("""selector: {app: db}, clusterIP: 10.96.0.7, ports: [
            {port: 80}, {port: 443, targetPort: https, name: tls, appProtocol: https},
            {port: 53, targetPort: 5353, protocol: UDP, nodePort: 30053}]""")
    )
    assert found.type == "ClusterIP"
    assert found.selector == equals(app="db")
    assert found.cluster_ips == ("10.96.0.7",)
    assert found.ports == (
        ServicePort(80, 80),
        ServicePort(443, "https", name="tls", app_protocol="https"),
        ServicePort(53, 5353, Protocol.UDP, node_port=30053),
    )
    assert not found.headless


def test_a_headless_service_has_no_address() -> None:
    found = only(service("selector: {app: db}, clusterIP: None, clusterIPs: [None]"))
    assert found.headless
    assert found.cluster_ips == ()


def test_dual_stack_addresses_are_kept() -> None:
    assert only(
        service('clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, "fd00::7"]')
    ).cluster_ips == ("10.96.0.7", "fd00::7")


def test_an_external_name_is_an_alias_whatever_its_selector() -> None:
    found = only(service("type: ExternalName, externalName: DB.Example.com., selector: {app: db}"))
    assert found.external_name == "db.example.com"
    assert found.selector is None


def test_a_load_balancer_is_reached_by_its_addresses() -> None:
    found = only(
        service(
            """type: LoadBalancer, externalTrafficPolicy: Local, externalIPs: [198.51.100.9],
            loadBalancerSourceRanges: [203.0.113.7/24]""",
            status="loadBalancer: {ingress: [{ip: 198.51.100.1}, {hostname: lb.example.com}]}",
        )
    )
    assert found.type == "LoadBalancer"
    assert found.external_ips == ("198.51.100.9", "198.51.100.1", "lb.example.com")
    assert found.external_traffic_local
    assert found.source_ranges == ("203.0.113.0/24",)


def test_an_empty_selector_is_none() -> None:
    assert only(service("selector: {}")).selector is None


SLICE = """
addressType: IPv4
ports: [{name: pg, port: 5432, protocol: TCP}, {port: 9187, name: metrics}]
endpoints:
- {addresses: [10.9.0.2], conditions: {ready: true}}
- {addresses: [10.9.0.1], targetRef: {kind: Pod, name: db-0, namespace: shop}}
- {addresses: [10.9.0.3], conditions: {ready: false}}
- {addresses: [10.9.0.4], conditions: {ready: false, serving: true, terminating: true}}
"""


def test_backends_of_a_service_without_a_selector_come_from_its_slices() -> None:
    ports = (ServicePort(5432, 5432, name="pg"), ServicePort(9187, 9187, name="metrics"))
    assert only(service("ports: [{port: 5432, name: pg}]") + endpoint_slice(SLICE)).backends == (
        Backend("10.9.0.1", ports, "shop/db-0"),
        Backend("10.9.0.2", ports),
        Backend("10.9.0.4", ports),
    )


def test_slices_of_a_service_with_a_selector_say_nothing_new() -> None:
    assert only(service("selector: {app: db}") + endpoint_slice(SLICE)).backends == ()


def test_a_slice_port_without_a_number_means_the_services_own() -> None:
    content = """
addressType: IPv4
ports: [{name: web}]
endpoints: [{addresses: [10.9.0.1]}]
"""
    text = service("ports: [{port: 80, targetPort: 8080, name: web}]") + endpoint_slice(content)
    (backend,) = only(text).backends
    assert backend.ports == (ServicePort(8080, 8080, name="web"),)


def test_host_names_in_slices_lead_nowhere() -> None:
    fqdn = "addressType: FQDN\nendpoints: [{addresses: [db.example.com]}]"
    assert only(service("ports: []") + endpoint_slice(fqdn)).backends == ()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("type: Public", "none of ClusterIP, NodePort, LoadBalancer, ExternalName"),
        ('ports: [{port: 80, targetPort: "8080"}]', "`8080` is no port name (no quotes)"),
        ("ports: [{targetPort: 80}]", "`port` is required"),
        ("ports: [{port: 0}]", "`0` is not between 1 and 65535"),
        ("ports: [80]", "expected a map, found the number `80`"),
        ("ports: [{port: 80, protocol: HTTP}]", "`HTTP` is none of TCP, UDP, SCTP"),
        ("selector: {version: 1.0}", "(quote it)"),
        ("clusterIPs: [nowhere]", "`nowhere` is no IP address"),
        ("loadBalancerSourceRanges: [everywhere]", "`everywhere` is no CIDR"),
    ],
)
def test_malformed_services_are_told(spec: str, message: str) -> None:
    found = snapshot(service(spec) + service("ports: []", name="other"))
    assert [s.name for s in found.services] == ["other"]
    (problem,) = found.problems
    assert message in problem.message
    assert problem.affects == ("Service",)


@pytest.mark.parametrize(
    "content",
    [
        "endpoints: []",
        "addressType: IPv4\nendpoints: [{addresses: [nowhere]}]",
        "addressType: IPv4\nendpoints: {}",
        "addressType: IPv4\nports: [{port: 99999}]",
    ],
)
def test_malformed_slices_are_told(content: str) -> None:
    found = snapshot(service("ports: []") + endpoint_slice(content))
    assert [problem.affects for problem in found.problems] == [("EndpointSlice",)]
