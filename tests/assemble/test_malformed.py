"""Whatever stands in a document, assembling never raises."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from assemble.written import documents, from_block, owned_by, pod, policy, template
from ringfence import assemble
from ringfence.model.document import Document
from ringfence.model.reading import Reading

CLUSTER = documents(
    template(
        "Deployment",
        "web",
        metadata="labels: {a: b}",
        spec="replicas: 2, selector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: Exists}]}",  # noqa: E501 - one field
        pod_spec="""hostNetwork: false, serviceAccountName: x, initContainers: [{name: i}],
            containers: [{name: app, command: [a], args: [--x, b], image: "x:1",
              env: [{name: A, value: "db:1"}, {name: B, valueFrom: {}}],
              ports: [{name: http, containerPort: 80, protocol: TCP}]}]""",
    )
    + template("StatefulSet", "db", spec="ordinals: {start: 1}")
    + template("DaemonSet", "cilium", namespace="kube-system")
    + template("CronJob", "tick")
    + template("ReplicaSet", "web-1", metadata=owned_by("Deployment", "web"))
    + template("ReplicationController", "old", spec="selector: {a: b}")
    + pod(
        "web-1-a",
        owner="ReplicaSet web-1",
        ips="10.0.0.1 fd00::1",
        spec="nodeName: n1",
        metadata="deletionTimestamp: x, annotations: {cni.projectcalico.org/podIP: x}",
    )
    + policy("p", from_block("10.0.0.0/8", "10.1.0.0/16"))
    + """
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  {type: LoadBalancer, clusterIPs: [10.96.0.1], externalIPs: [198.51.100.1], clusterIP: 10.96.0.1,
   loadBalancerSourceRanges: [10.0.0.0/8], externalTrafficPolicy: Local, externalName: x,
   ports: [{name: pg, port: 5432, targetPort: pg, protocol: TCP, nodePort: 30000}]}
status: {loadBalancer: {ingress: [{ip: 198.51.100.2}, {hostname: x}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: pg, port: 5432}]
endpoints: [{addresses: [10.9.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: x}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in, namespace: shop, annotations: {kubernetes.io/ingress.class: x}}
spec:
  defaultBackend: {service: {name: db, port: {name: pg}}}
  rules: [{host: a, http: {paths: [{path: /, backend: {service: {name: db, port: {number: 1}}}}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  parentRefs: [{name: g, namespace: x, kind: Gateway, group: gateway.networking.k8s.io}]
  hostnames: [a]
  rules: [{matches: [{path: {value: /}}], backendRefs: [{name: db, port: 1, kind: Service}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: r, namespace: shop}
spec: {rules: [{matches: [{method: {service: a, method: b}}], backendRefs: [{name: db}]}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {a: b}}
spec: {podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {a: b}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-k8s-cluster-network-policy: "true"}
"""
)
JUNK: tuple[object, ...] = (
    *(None, True, False, 0, 1, -1, 10**30, 1.5, float("inf")),
    *("", "x", "x" * 300, "10.0.0.0/8", "10.0.0.1"),
    *([], {}, [None], ["x"], [1], [[]], [{}], {"": None}, {"x": 1}, {"x": "y"}),
)
Place = tuple[int, tuple[str | int, ...]]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value below a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in pairs:
        yield (*path, key)
        if isinstance(child, dict | list):
            yield from places(child, (*path, key))


PLACES: list[Place] = [
    (number, path) for number, document in enumerate(CLUSTER) for path in places(document.body)
]


def damaged(document: Document, path: tuple[str | int, ...], junk: object) -> Document:
    """Return a document with junk in the place of one of its values."""
    body = copy.deepcopy(document.body)
    parent: Any = body
    for part in path[:-1]:
        parent = parent[part]
    parent[path[-1]] = copy.deepcopy(junk)
    return msgspec.structs.replace(document, body=body)


def test_the_cluster_is_well_formed_at_first() -> None:
    found = assemble.build(Reading(CLUSTER))
    assert found.problems == ()
    assert len(found.workloads) == 5
    assert len(found.routes) == 4


@given(place=st.sampled_from(PLACES), junk=st.sampled_from(JUNK))
def test_junk_anywhere_raises_nothing_and_spares_the_rest(place: Place, junk: object) -> None:
    number, path = place
    broken = damaged(CLUSTER[number], path, junk)
    found = assemble.build(Reading((*CLUSTER[:number], broken, *CLUSTER[number + 1 :])))
    assert msgspec.json.encode(found)
    whole = assemble.build(Reading((*CLUSTER[:number], *CLUSTER[number + 1 :])))
    assert {w.ref for w in whole.workloads} <= {w.ref for w in found.workloads}
    assert {p.object for p in found.problems} <= {broken.ref, None}
    assert assemble.with_documents(found, found.documents) == found


MESHED = documents(
    """
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: wp, istio.io/rev: x}
  annotations: {linkerd.io/inject: enabled}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata:
      labels: {app: web, sidecar.istio.io/inject: "true", istio.io/dataplane-mode: none}
      annotations:
        traffic.sidecar.istio.io/excludeInboundPorts: "80"
        traffic.sidecar.istio.io/includeOutboundIPRanges: ""
        config.linkerd.io/skip-inbound-ports: "80"
    spec:
      automountServiceAccountToken: true
      containers: [{name: istio-proxy, args: [proxy, router]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: lab}
spec:
  template:
    metadata:
      annotations: {linkerd.io/inject: enabled, config.linkerd.io/opaque-ports: http}
    spec:
      containers:
      - name: app
        ports: [{containerPort: 80, name: http}]
        livenessProbe: {httpGet: {port: http, path: /}}
        readinessProbe: {httpGet: {port: 81}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: own, labels: {istio.io/waypoint-for: all}}
spec: {controllerName: istio.io/mesh-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop, labels: {a: b}, annotations: {a: b}}
spec:
  gatewayClassName: own
  infrastructure: {labels: {a: b}}
  listeners:
  - port: 15008
    protocol: HBONE
    allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}
status: {addresses: [{value: 10.0.0.9}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "trustDomain: corp"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: linkerd-config, namespace: linkerd}
data: {values: "identityTrustDomain: corp"}
"""
)
MESHED_PLACES: list[Place] = [
    (number, path) for number, document in enumerate(MESHED) for path in places(document.body)
]


@given(place=st.sampled_from(MESHED_PLACES), junk=st.sampled_from(JUNK))
def test_junk_in_what_tells_of_a_mesh_raises_nothing(place: Place, junk: object) -> None:
    number, path = place
    broken = damaged(MESHED[number], path, junk)
    found = assemble.build(Reading((*MESHED[:number], broken, *MESHED[number + 1 :])))
    assert msgspec.json.encode(found)
    assert assemble.with_documents(found, found.documents) == found
