"""One small shop, and what its policies are in each dialect."""

from ringfence.assemble import building
from ringfence.model.document import Document
from ringfence.model.proposal import EmittedFile
from ringfence.model.snapshot import Snapshot
from ringfence.prove.written import read_back

CLUSTER = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: lab, labels: {team: lab}}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: web, labels: {app: web}}
spec:
  nodeName: n1
  serviceAccountName: clerk
  containers: [{name: c, image: web, ports: [{name: http, containerPort: 8080}]}]
status: {podIP: 10.1.0.1}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: db, labels: {app: db}}
spec:
  nodeName: n2
  containers: [{name: c, image: db, ports: [{name: sql, containerPort: 5432}]}]
status: {podIP: 10.1.1.2}
---
apiVersion: v1
kind: Pod
metadata: {namespace: lab, name: tester, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, image: tester}]}
status: {podIP: 10.1.0.3}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.1.0.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
spec: {podCIDR: 10.1.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}
"""

POLICIES = {
    "kubernetes": """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: sql}, {port: 9000, endPort: 9010}]
  - from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.128/25]}}]
    ports: [{port: 443}]
  egress:
  - to: [{namespaceSelector: {matchLabels: {team: lab}}}]
  - to: [{ipBlock: {cidr: 0.0.0.0/0}}]
    ports: [{port: 443}]
""",
    "calico": """\
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.block}
spec:
  tier: security
  order: 10
  selector: app == 'db' || app == 'web'
  namespaceSelector: has(team)
  types: [Ingress, Egress]
  ingress:
  - action: Deny
    protocol: TCP
    source: {namespaceSelector: team == 'lab', selector: app == 'web'}
    destination: {ports: [22]}
  - {action: Pass}
  egress:
  - {action: Deny, destination: {nets: [203.0.113.0/24]}}
  - {action: Pass}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  order: 500
  selector: app == 'db'
  types: [Ingress, Egress]
  ingress:
  - action: Allow
    protocol: TCP
    source: {serviceAccounts: {names: [clerk]}}
    destination: {ports: [5432]}
  - action: Deny
    protocol: TCP
    source: {namespaceSelector: team == 'lab'}
    destination: {ports: ['1:100']}
  - {action: Allow, protocol: TCP, source: {namespaceSelector: team == 'lab'}}
  egress:
  - {action: Allow}
""",
    "cilium": """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
  - fromEntities: [world]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  ingressDeny:
  - fromCIDR: [203.0.113.0/24]
  egress:
  - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": lab}}]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: no-ssh}
spec:
  endpointSelector: {}
  enableDefaultDeny: {ingress: false}
  ingressDeny:
  - fromEndpoints: [{}]
    toPorts: [{ports: [{port: "22", protocol: TCP}]}]
""",
    "cluster-network-policy": """\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: admin}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress:
  - action: Accept
    from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]
    protocols: [{tcp: {destinationPort: {number: 5432}}}]
  - action: Deny
    from: [{namespaces: {matchLabels: {team: lab}}}]
    protocols: [{tcp: {destinationPort: {range: {start: 1, end: 6000}}}}]
  egress:
  - {action: Deny, to: [{networks: [203.0.113.0/24]}]}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: base}
spec:
  tier: Baseline
  priority: 10
  subject: {namespaces: {}}
  ingress:
  - {action: Deny, from: [{namespaces: {}}]}
""",
}

PROFILES = {
    "kubernetes": "generic",
    "calico": "calico",
    "cilium": "cilium",
    "cluster-network-policy": "generic",
}


def snapshot(policies: str, cni: str, cluster: str = CLUSTER) -> Snapshot:
    """Return the shop with some policies, by a profile."""
    text = f"{cluster}---\n{policies}"
    return building.build(read_back([EmittedFile("in.yaml", text)]), cni=cni)


def documents(files: tuple[EmittedFile, ...]) -> list[Document]:
    """Return the objects of written files."""
    return list(read_back(files).documents)
