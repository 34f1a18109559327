"""The same small shop under Cilium and under Calico, with HTTP rules, names and a DNS."""

from ringfence import assemble
from ringfence.model.reading import Reading
from ringfence.model.snapshot import Snapshot

from assemble import written  # isort: skip

NAMESPACES = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
"""
WEB = written.deployment("web")
PAYMENT = written.deployment(
    "payment", container="{name: c, ports: [{name: http, containerPort: 8080}]}"
)
WORKLOADS = NAMESPACES + WEB + PAYMENT
COREDNS = written.deployment(
    "coredns",
    labels="{k8s-app: kube-dns}",
    container="{name: c, ports: [{name: dns, containerPort: 53, protocol: UDP}, "
    "{name: tcp, containerPort: 53}]}",
    namespace="kube-system",
)
DNS = (
    COREDNS
    + """
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: dns}
  - {name: tcp, port: 53, targetPort: tcp}
"""
)
ONLY_POST = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: payment, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: payment}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts:
    - ports: [{port: "8080", protocol: TCP}]
      rules: {http: [{method: POST, path: /v1/payment}]}
"""
NAMES = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
  - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
    toPorts:
    - ports: [{port: "53", protocol: ANY}]
      rules: {dns: [{matchPattern: "*.stripe.com"}]}
  - toFQDNs: [{matchName: api.stripe.com}, {matchName: api.other.io}]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  - toEndpoints: [{matchLabels: {app: payment}}]
"""
CALICO = """
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.log}
spec:
  tier: security
  order: 10
  namespaceSelector: kubernetes.io/metadata.name == 'shop'
  types: [Ingress]
  ingress: [{action: Log}, {action: Pass}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: payment, namespace: shop}
spec:
  selector: app == 'payment'
  types: [Ingress]
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: app == 'web'}
    destination: {ports: [8080]}
    http: {methods: [GET, POST], paths: [{prefix: /v1}]}
"""
STAGED = """
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: payment, namespace: shop}
spec:
  stagedAction: Set
  selector: app == 'payment'
  types: [Ingress]
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: app == 'web'}
    destination: {ports: [8080]}
    http: {methods: [POST], paths: [{exact: /v1/payment}]}
"""
CILIUM_SHOP = WORKLOADS + DNS + ONLY_POST + NAMES
CALICO_SHOP = WORKLOADS + CALICO


def cilium(text: str = CILIUM_SHOP) -> Snapshot:
    """Return manifests as a snapshot under Cilium."""
    return written.snapshot(text, cni="cilium")


def calico(text: str = CALICO_SHOP, *, staged: bool = False) -> Snapshot:
    """Return manifests as a snapshot under Calico."""
    reading = Reading(written.documents(text), (), "test")
    return assemble.build(reading, cni="calico", staged=staged)
