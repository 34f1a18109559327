"""Policies for hosts: never converted, always told, and never passed over in the comparison."""

import pytest

from ringfence.convert import convert
from ringfence.convert.conversion import DIALECTS
from ringfence.convert.told import Effect
from written_policies import CLUSTER, snapshot

CALICO = """\
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-all, labels: {role: node}}
spec: {node: n1, interfaceName: '*', expectedIPs: [192.168.0.1]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: closed}
spec: {selector: role == 'node', types: [Egress]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: forward}
spec:
  selector: role == 'node'
  applyOnForward: true
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: untracked}
spec:
  selector: role == 'node'
  applyOnForward: true
  doNotTrack: true
  ingress: [{action: Deny, protocol: UDP, destination: {ports: [53]}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: before-nat}
spec: {selector: role == 'node', applyOnForward: true, preDNAT: true, types: [Ingress]}
"""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_host_endpoints_and_all_that_selects_them_are_told(dialect: str) -> None:
    found = convert(snapshot(CALICO, "calico"), dialect)
    left = [told for told in found.told if told.effect is Effect.LEFT]
    assert [told.object.partition("/")[2] for told in left] == [
        "n1-all",
        "closed",
        "forward",
        "untracked",
        "before-nat",
    ]
    assert all(told.file == "in.yaml" and told.line for told in left)
    assert "applyOnForward" in left[2].what
    assert "doNotTrack" in left[3].what
    assert "preDNAT" in left[4].what


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_proved_where_a_host_with_a_host_endpoint_would_be_opened(dialect: str) -> None:
    found = convert(snapshot(CALICO, "calico"), dialect)
    assert (found.proved, found.safe) == (False, False)
    assert "node/n1" in {each.said.destination for each in found.comparison.wider}
    by = {piece.object for each in found.comparison.wider for piece in each.was.evidence}
    assert "GlobalNetworkPolicy/closed" in by


CILIUM = """\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: hosts}
spec:
  nodeSelector: {}
  ingress:
  - fromEntities: [cluster]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: several}
specs:
- nodeSelector: {matchLabels: {kubernetes.io/hostname: n1}}
  ingressDeny: [{fromEntities: [world]}]
"""
FIREWALL = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-host-firewall: "true"}
"""


@pytest.mark.parametrize("firewall", ["", FIREWALL])
def test_policies_of_nodes_are_told_whether_or_not_the_host_firewall_is_on(firewall: str) -> None:
    found = convert(snapshot(CILIUM, "cilium", f"{CLUSTER}{firewall}"), "calico")
    left = [told for told in found.told if told.effect is Effect.LEFT]
    assert [told.object.partition("/")[2] for told in left] == ["hosts", "several"]
    assert all(told.line for told in left)
    assert ("host firewall is off" in left[0].instead) is not firewall.startswith("---")
    opened = {each.said.destination for each in found.comparison.wider}
    assert ("node/n1" in opened) is firewall.startswith("---")
    assert found.proved is not firewall.startswith("---")
