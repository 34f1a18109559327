"""A small shop in a mesh, in manifests: two meshed workloads, and one caller that is not."""

import io
from typing import Final

from ringfence import assemble
from ringfence.model.snapshot import Snapshot

SIDECAR: Final = "istio-injection: enabled"
AMBIENT: Final = "istio.io/dataplane-mode: ambient"
MANIFESTS: Final = """
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{{mesh}}}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: legacy}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}, annotations: {annotations}}}
    spec: {{serviceAccountName: web, containers: [{{name: c, ports: [{{containerPort: 8080}}]}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: pay, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: pay}}}}
  template:
    metadata: {{labels: {{app: pay}}, annotations: {annotations}}}
    spec: {{serviceAccountName: pay, containers: [{{name: c, ports: [{{containerPort: 8080}}]}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: batch, namespace: legacy}}
spec:
  selector: {{matchLabels: {{app: batch}}}}
  template:
    metadata: {{labels: {{app: batch}}}}
    spec: {{containers: [{{name: c}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: pay, namespace: shop}}
spec: {{selector: {{app: pay}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
"""
ONLY_WEB: Final = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: pay, namespace: shop}
spec:
  selector: {matchLabels: {app: pay}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
    to: [{operation: {methods: [POST], paths: [/v1/payment]}}]
"""
ONLY_8080: Final = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: pay, namespace: shop}
spec:
  podSelector: {matchLabels: {app: pay}}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 8080}]}]
"""
STRICT: Final = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""


def text(*more: str, mesh: str = SIDECAR, annotations: str = "{}") -> str:
    """Return the manifests of the shop, with more of them."""
    return "\n---\n".join([MANIFESTS.format(mesh=mesh, annotations=annotations), *more])


def load(manifests: str) -> Snapshot:
    """Return the snapshot of some manifests, with their lines."""
    return assemble.load(["-"], stdin=io.BytesIO(manifests.encode()))


def shop(*more: str, mesh: str = SIDECAR) -> Snapshot:
    """Return the shop with more manifests."""
    return load(text(*more, mesh=mesh))


def linkerd(*more: str) -> Snapshot:
    """Return the shop with Linkerd's proxies."""
    return load(text(*more, mesh="", annotations="{linkerd.io/inject: enabled}"))
