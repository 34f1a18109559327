"""Exposure where rules look above the port, and where policies are for nodes."""

from questions.cni_shops import CALICO_SHOP, ONLY_POST, WORKLOADS, calico, cilium
from ringfence.model.connectivity import Allowance
from ringfence.model.exposure import Entrance, Exposure
from ringfence.model.verdict import Verdict
from ringfence.outputs import write
from ringfence.questions.exposure import exposure

NODE_PORT = """
---
apiVersion: v1
kind: Service
metadata: {name: payment, namespace: shop}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: payment}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
"""
FROM_OUTSIDE = """
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: outside, namespace: shop}
spec:
  selector: app == 'payment'
  types: [Ingress]
  ingress:
  - action: Allow
    protocol: TCP
    source: {nets: [203.0.113.0/24]}
    destination: {ports: [8080]}
    http: {methods: [POST], paths: [{exact: /v1/payment}]}
"""
HOST_ENDPOINT = """
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-all}
spec: {node: n1, interfaceName: "*", expectedIPs: [192.168.0.1]}
"""
ON_HOST = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: kube-system}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      hostNetwork: true
      containers: [{name: c, ports: [{containerPort: 9100}, {containerPort: 22}]}]
---
apiVersion: v1
kind: Pod
metadata:
  name: agent-x
  namespace: kube-system
  labels: {app: agent}
  ownerReferences: [{kind: DaemonSet, name: agent, apiVersion: apps/v1, controller: true}]
spec:
  nodeName: n1
  hostNetwork: true
  containers: [{name: c, ports: [{containerPort: 9100}, {containerPort: 22}]}]
status: {phase: Running, podIPs: [{ip: 192.168.0.1}]}
"""


def only(found: Exposure, kind: str) -> Entrance:
    (entrance,) = (e for e in found.entrances if e.kind == kind)
    return entrance


def text(found: Exposure) -> str:
    return b"".join(write(found, "text")).decode()


def test_an_entrance_says_what_may_be_said_there() -> None:
    found = exposure(calico(CALICO_SHOP + NODE_PORT + FROM_OUTSIDE))
    entrance = only(found, "NodePort")
    assert (entrance.verdict, entrance.sources) == (Verdict.ALLOW, ("203.0.113.0-203.0.113.255",))
    assert entrance.limited_to == ({"http": {"method": "POST", "path": "/v1/payment"}},)
    assert "shop/payment:8080 (POST /v1/payment)" in text(found)


def test_an_entrance_without_such_rules_has_no_limits() -> None:
    found = exposure(calico(WORKLOADS + NODE_PORT))
    assert only(found, "NodePort").limited_to == ()
    assert b"limited_to" not in b"".join(write(found, "json"))


def test_what_outside_addresses_are_admitted_to_is_limited_too() -> None:
    everyone = ONLY_POST.replace(
        "fromEndpoints: [{matchLabels: {app: web}}]", "fromEntities: [all]"
    )
    found = exposure(cilium(WORKLOADS + everyone))
    (admitted,) = (p for p in found.admitted if p.workload == "shop/payment")
    (allowance,) = admitted.allow
    assert (allowance.protocol, allowance.ports) == ("TCP", "8080")
    assert allowance.l7
    assert "TCP 8080 (POST /v1/payment)" in " ".join(text(found).split())


def test_nodes_of_which_policies_decide_are_told() -> None:
    found = exposure(calico(WORKLOADS + HOST_ENDPOINT))
    assert [node.name for node in found.nodes] == ["node/n1"]
    (admitted,) = (p for p in found.admitted if p.workload == "node/n1")
    tcp = next(a for a in admitted.allow if a.protocol == "TCP")
    assert tcp != Allowance("TCP", "1-65535")
    assert "node/n1" in text(found)
    assert "2 of 2 workloads" not in text(found)


def test_a_host_network_is_open_unless_policies_are_for_its_node() -> None:
    def states(more: str) -> set[tuple[int | None, str]]:
        found = exposure(calico(WORKLOADS + ON_HOST + more))
        return {(e.port, e.verdict.value) for e in found.entrances if e.kind == "HostNetwork"}

    assert states("") == {(9100, "allow"), (22, "allow")}
    assert states(HOST_ENDPOINT) == {(9100, "deny"), (22, "allow")}
