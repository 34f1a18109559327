"""A small cluster for the judge's own tests, put together by hand, without sources or dialects.

shop (team=shop)  web   app=web, tier=front          10.1.0.1   on n1
                  db    app=db; ports sql, dns        10.1.0.2   on n2
lab (team=lab)    tester  app=web                     10.1.0.3   on n1
lab               many  app=many, a Deployment of two pods, 10.1.0.4 and .5
lab               planned  app=planned, a Deployment's template alone
system            agent   app=web, on the host network of n1
nodes             n1 (zone=a) 192.168.0.1, n2 (zone=b) 192.168.0.2
"""

from typing import Any

import msgspec
import yaml

from ringfence.model import kinds
from ringfence.model.cluster import (
    ContainerPort,
    Identity,
    Namespace,
    Node,
    Pod,
    Protocol,
    Workload,
)
from ringfence.model.connection import (
    AddressEnd,
    Connection,
    DomainEnd,
    End,
    NodeEnd,
    PodEnd,
)
from ringfence.model.document import Document
from ringfence.model.location import Location
from ringfence.model.profile import Cni, Profile
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement
from ringfence.reference import judge

NAME = "kubernetes.io/metadata.name"
NOWHERE = Location("cluster.yaml")

PORTS = (
    ContainerPort(5432, Protocol.TCP, "sql"),
    ContainerPort(53, Protocol.UDP, "dns"),
    ContainerPort(15432, Protocol.TCP, "sql"),
    ContainerPort(7000, Protocol.TCP, "warmup", init=True),
)


def workload(namespace: str, name: str, kind: str, identity: Identity) -> Workload:
    return Workload(kind, namespace, name, (identity,), NOWHERE)


WORKLOADS = (
    workload(
        "shop",
        "web",
        "Pod",
        Identity({"app": "web", "tier": "front"}, pods=(Pod("web", ("10.1.0.1",), "n1"),)),
    ),
    workload(
        "shop",
        "db",
        "Pod",
        Identity({"app": "db"}, ports=PORTS, pods=(Pod("db", ("10.1.0.2",), "n2"),)),
    ),
    workload(
        "lab",
        "tester",
        "Pod",
        Identity({"app": "web"}, pods=(Pod("tester", ("10.1.0.3",), "n1"),)),
    ),
    workload(
        "lab",
        "many",
        "Deployment",
        Identity(
            {"app": "many"},
            pods=(Pod("many-1", ("10.1.0.4",), "n1"), Pod("many-2", ("10.1.0.5",), "n2")),
        ),
    ),
    workload("lab", "planned", "Deployment", Identity({"app": "planned"})),
    workload(
        "system",
        "agent",
        "Pod",
        Identity({"app": "web"}, host_network=True, ports=PORTS, pods=(Pod("agent", (), "n1"),)),
    ),
)
NODES = (
    Node("n1", {"zone": "a"}, ("192.168.0.1",)),
    Node("n2", {"zone": "b"}, ("192.168.0.2",)),
)
NAMESPACES = tuple(
    Namespace(name, {NAME: name, "team": name}) for name in ("lab", "shop", "system")
)
BARE = Snapshot(namespaces=NAMESPACES, workloads=WORKLOADS, nodes=NODES, pod_cidrs=("10.1.0.0/16",))

TEMPLATES = {
    "np": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "shop", "name": "np"},
    },
    "cnp": {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "cnp"},
    },
    "anp": {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "anp"},
    },
    "banp": {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "BaselineAdminNetworkPolicy",
        "metadata": {"name": "default"},
    },
}


def document(body: dict[str, Any], lines: tuple[int, ...] = ()) -> Document:
    """Return a manifest; where its namespace is left out it is `default`, as when it is read."""
    metadata = body["metadata"]
    kind = kinds.find(body["apiVersion"], body["kind"])
    default = "default" if kind and kind.namespaced else ""
    return Document(
        body["apiVersion"],
        body["kind"],
        metadata.get("namespace", default),
        metadata["name"],
        body,
        "policies.yaml",
        lines[0] if lines else None,
        lines,
    )


def policy(template: str, spec: str, name: str = "", **extra: Any) -> Document:
    """Return a policy of a kind (`np`, `cnp`, `anp`, `banp`) with this spec, in YAML."""
    body: dict[str, Any] = {**TEMPLATES[template], **extra, "spec": yaml.safe_load(spec)}
    if name:
        body["metadata"] = {**body["metadata"], "name": name}
    return document(body)


def cluster(
    *documents: Document,
    cni: Cni = Cni.GENERIC,
    version: str = "",
    flag: bool | None = True,
    base: Snapshot = BARE,
    **changes: Any,
) -> Snapshot:
    """Return the small cluster with these policies, under this profile."""
    return msgspec.structs.replace(
        base,
        documents=documents,
        profile=Profile(cni, version=version, cluster_network_policy=flag),
        **changes,
    )


def end(snapshot: Snapshot, name: str) -> End:
    """Return the end of a name: `shop/db`, `lab/many#1`, `node/n1`, an address, or a domain."""
    if name.startswith("node/"):
        names = [node.name for node in snapshot.nodes]
        return NodeEnd(names.index(name.removeprefix("node/")))
    if "/" in name:
        ref, _, pod = name.partition("#")
        refs = [found.ref for found in snapshot.workloads]
        return PodEnd(refs.index(ref), 0, int(pod) if pod else None)
    if name.replace(".", "").isdigit() or ":" in name:
        return AddressEnd(name)
    return DomainEnd(name)


def ask(
    snapshot: Snapshot,
    source: str,
    destination: str,
    traffic: str = "tcp/5432",
    family: int | None = None,
) -> Judgement:
    """Return what the reference judge says; `traffic` is `tcp/80`, `udp/53`, `icmp`."""
    protocol, _, port = traffic.partition("/")
    return judge(
        snapshot,
        Connection(
            end(snapshot, source),
            end(snapshot, destination),
            Protocol(protocol.upper()),
            int(port) if port else None,
            family,
        ),
    )


def verdict(
    snapshot: Snapshot,
    source: str,
    destination: str,
    traffic: str = "tcp/5432",
    family: int | None = None,
) -> str:
    """Return the verdict alone, as a word."""
    return ask(snapshot, source, destination, traffic, family).verdict.value
