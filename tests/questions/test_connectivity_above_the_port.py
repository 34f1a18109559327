"""All pairs where rules look above the port, name hosts, or have them for their subjects."""

from questions.cni_shops import CALICO_SHOP, CILIUM_SHOP, ONLY_POST, WORKLOADS, calico, cilium
from ringfence.model.connectivity import Allowance, Connectivity
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text, exact
from ringfence.questions.connectivity import connectivity

HOSTS = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - fromEntities: [ENTITIES]
    toPorts: [{ports: [{port: "80", protocol: TCP}]}]
"""
HOST_ENDPOINT = """
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-all}
spec: {node: n1, interfaceName: "*", expectedIPs: [192.168.0.1]}
"""


def traffic(answer: Connectivity, source: str, destination: str) -> tuple[Allowance, ...]:
    pairs = {(p.source, p.destination): p for p in answer.connections}
    found = pairs.get((source, destination))
    return found.allow if found else ()


def test_an_edge_says_what_may_be_sent() -> None:
    (found,) = traffic(connectivity(cilium()), "shop/web", "shop/payment")
    post = Layer7(http=HttpMatch(methods=(exact("POST"),), paths=(exact("/v1/payment"),)))
    assert (found.protocol, found.ports) == ("TCP", "8080")
    assert found.l7 is not None
    assert [box.http and box.http.methods for box in found.l7] == [post.http and post.http.methods]


def test_calico_prefixes_end_where_segments_do() -> None:
    (found,) = traffic(connectivity(calico()), "shop/web", "shop/payment")
    assert found.l7 is not None
    (box,) = found.l7
    assert box.http is not None
    assert box.http.paths == (Text(Form.SEGMENTS, "/v1"),)


def test_types_of_icmp_are_listed_where_a_rule_allows_them() -> None:
    policy = """
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}}]
"""
    answer = connectivity(calico(CALICO_SHOP + policy))
    assert traffic(answer, "shop/payment", "shop/web") == (Allowance("ICMP", "8"),)


def test_a_node_that_may_be_the_pods_own_is_certain_only_where_it_does_not_matter() -> None:
    both = connectivity(cilium(WORKLOADS + HOSTS.replace("ENTITIES", "host, remote-node")))
    assert traffic(both, "node/n1", "shop/web") == (Allowance("TCP", "80"),)
    one = connectivity(cilium(WORKLOADS + HOSTS.replace("ENTITIES", "host")))
    (pair,) = (p for p in one.connections if (p.source, p.destination) == ("node/n1", "shop/web"))
    assert (pair.allow, pair.unknown) == ((), (Allowance("TCP", "80"),))
    assert any("own node" in reason for reason in one.unknown_because)


def test_other_nodes_are_certain_as_a_pod_admits_its_own_one_anyway() -> None:
    answer = connectivity(cilium(WORKLOADS + HOSTS.replace("ENTITIES", "remote-node")))
    assert traffic(answer, "node/n1", "shop/web") == (Allowance("TCP", "80"),)


def test_nodes_are_no_peers_where_no_policy_speaks_of_them() -> None:
    answer = connectivity(cilium(CILIUM_SHOP))
    assert [p for p in answer.endpoints if p.kind == "Node"] == []


def test_a_node_with_a_host_endpoint_is_listed_with_the_outside_too() -> None:
    answer = connectivity(calico(WORKLOADS + HOST_ENDPOINT))
    (node,) = (p for p in answer.endpoints if p.kind == "Node")
    assert node.policed
    (outside, *_) = (p.name for p in answer.endpoints if p.kind == "External")
    assert "22" in traffic(answer, outside, "node/n1")[0].ports.split(",")
    assert traffic(answer, "node/n1", "node/n1") == ()


def test_calico_says_what_its_http_rules_need() -> None:
    note = "HTTP rules hold only where Calico's application layer policy (Envoy) runs"
    assert note in connectivity(calico()).notes
    assert note not in connectivity(cilium()).notes
    assert note not in connectivity(calico(WORKLOADS)).notes


def test_without_a_rule_above_the_port_nothing_is_limited() -> None:
    answer = connectivity(cilium(WORKLOADS))
    assert all(a.l7 is None for p in answer.connections for a in p.allow)
    assert any(
        a.l7 for p in connectivity(cilium(WORKLOADS + ONLY_POST)).connections for a in p.allow
    )
