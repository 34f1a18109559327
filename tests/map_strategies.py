"""Hypothesis strategies for small clusters, and for dependency maps that fit them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from policy_strategies import Draw, Manifest
from ringfence.learn.dependency_map import (
    Block,
    Dependency,
    DependencyMap,
    Domain,
    End,
    Entry,
    HttpRequest,
    Place,
    Pods,
    Port,
    ServiceName,
    WorkloadName,
)
from ringfence.model.cluster import Protocol
from ringfence.model.location import Location
from ringfence.model.snapshot import Snapshot
from strategies import build

NAMESPACES = ("a", "b", "kube-system")
KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")
PORT_NAMES = ("http", "metrics", "dns")
NUMBERS = (53, 80, 443, 8080)
CIDRS = (
    "10.0.0.0/8",
    "10.0.0.4/31",
    "10.0.0.5/32",
    "192.168.0.1/32",
    "203.0.113.0/24",
    "fd00::/64",
)
NODE_ADDRESSES = ("192.168.0.1", "192.168.0.2")
HERE = Location("map.yaml", 1)

LABELS = st.fixed_dictionaries(
    {},
    optional={
        "app": st.sampled_from(("x", "y")),
        "app.kubernetes.io/name": st.sampled_from(("x", "y")),
        "app.kubernetes.io/component": st.sampled_from(("server", "job")),
        "tier": st.sampled_from(("front", "yes")),
    },
)


@dataclass(frozen=True)
class Situation:
    """A cluster, and a map of it."""

    manifests: list[Manifest]
    cni: str
    pod_cidrs: tuple[str, ...]
    dependency_map: DependencyMap

    def snapshot(self) -> Snapshot:
        """Return the cluster."""
        return build(self.manifests, self.cni, self.pod_cidrs)


@st.composite
def situations(draw: Draw, *, addresses: bool = True) -> Situation:
    """Return a cluster and a map of it.

    Args:
        draw: Hypothesis's.
        addresses: also draw what is told by address: CIDRs, nodes, hosts, the outside.
    """
    manifests = draw(clusters(hosts=addresses))
    cni = draw(st.sampled_from(("generic", "calico", "cilium", "ovn-kubernetes")))
    pod_cidrs = draw(st.sampled_from(((), ("10.0.0.0/16",), ("10.0.0.0/25", "fd00::/64"))))
    dependency_map = draw(maps(build(manifests, cni, pod_cidrs), addresses=addresses))
    return Situation(manifests, cni, pod_cidrs, dependency_map)


@st.composite
def clusters(draw: Draw, *, hosts: bool = True) -> list[Manifest]:
    """Return the manifests of a small cluster."""
    manifests: list[Manifest] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name in NAMESPACES
        for labels in [draw(st.sampled_from(({}, {"team": "one"})))]
    ]
    for number in range(draw(st.integers(1, 6))):
        manifests += draw(workloads(number, hosts=hosts))
    for number in range(draw(st.integers(0, 2))):
        manifests.append(draw(services(f"s{number}")))
    if draw(st.booleans()):
        manifests += draw(dns())
    if hosts and draw(st.booleans()):
        manifests += [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": f"n{number}"},
                "status": {"addresses": [{"type": "InternalIP", "address": address}]},
            }
            for number, address in enumerate(NODE_ADDRESSES)
        ]
    return manifests


@st.composite
def workloads(draw: Draw, number: int, *, hosts: bool) -> list[Manifest]:
    """Return a workload, perhaps with pods that run."""
    kind = draw(st.sampled_from(KINDS))
    labels = draw(LABELS)
    metadata = {
        "name": draw(st.sampled_from((f"w{number}", "same"))),
        "namespace": draw(st.sampled_from(NAMESPACES)),
    }
    if metadata["name"] == "same":
        metadata["name"] = f"same-{kind.lower()}-{number}" if number else "same"
    spec: dict[str, Any] = {
        "hostNetwork": hosts and draw(st.integers(0, 5)) == 0,
        "containers": [
            {
                "name": "c",
                "ports": [
                    {
                        "name": name,
                        "containerPort": draw(st.sampled_from(NUMBERS)),
                        "protocol": draw(st.sampled_from(("TCP", "TCP", "UDP"))),
                    }
                    for name in draw(st.lists(st.sampled_from(PORT_NAMES), unique=True))
                ],
            }
        ],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    if kind == "Pod":
        status = {}
        if draw(st.booleans()):
            status = {"phase": "Running", "podIPs": [{"ip": f"10.0.0.{number + 3}"}]}
        pod_metadata = metadata | {"labels": labels}
        return [
            {"apiVersion": "v1", "kind": kind, "metadata": pod_metadata, "spec": spec}
            | ({"status": status} if status else {})
        ]
    if kind == "CronJob":
        job = {"spec": {"template": template}}
        return [
            _manifest("batch/v1", kind, metadata, {"schedule": "* * * * *", "jobTemplate": job})
        ]
    own: dict[str, Any] = {"template": template}
    if kind != "Job":
        chosen = draw(st.sampled_from((tuple(labels), tuple(labels)[:1])))
        own["selector"] = {"matchLabels": {key: labels[key] for key in chosen}}
    api_version = "batch/v1" if kind == "Job" else "apps/v1"
    return [_manifest(api_version, kind, metadata, own)]


def _manifest(api_version: str, kind: str, metadata: Any, spec: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


@st.composite
def services(draw: Draw, name: str) -> Manifest:
    """Return a Service."""
    ports = [
        {
            "name": f"p{index}",
            "port": draw(st.sampled_from(NUMBERS)),
            "targetPort": draw(st.sampled_from((*PORT_NAMES, *NUMBERS))),
            "protocol": draw(st.sampled_from(("TCP", "UDP"))),
        }
        for index in range(draw(st.integers(1, 2)))
    ]
    metadata = {"name": name, "namespace": draw(st.sampled_from(NAMESPACES))}
    return _manifest("v1", "Service", metadata, {"selector": draw(LABELS), "ports": ports})


@st.composite
def dns(draw: Draw) -> list[Manifest]:
    """Return a DNS, sometimes with its Service."""
    port = draw(st.sampled_from((53, 5353)))
    labels = {"k8s-app": "kube-dns"}
    spec = {
        "containers": [
            {
                "name": "dns",
                "ports": [
                    {"name": "dns", "containerPort": port, "protocol": "UDP"},
                    {"name": "dns-tcp", "containerPort": port, "protocol": "TCP"},
                ],
            }
        ]
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    service = {
        "selector": labels,
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": port},
        ],
    }
    space = "kube-system"
    found = [_manifest("apps/v1", "Deployment", {"name": "dns", "namespace": space}, deployment)]
    if draw(st.booleans()):
        found.append(_manifest("v1", "Service", {"name": "kube-dns", "namespace": space}, service))
    return found


# -- maps ------------------------------------------------------------------------------------


@st.composite
def maps(draw: Draw, snapshot: Snapshot, *, addresses: bool) -> DependencyMap:
    """Return a map that names only what a cluster has."""
    names = [
        WorkloadName(workload.namespace, workload.name, workload.kind)
        for workload in snapshot.workloads
    ]
    subjects = draw(st.lists(st.sampled_from(names), unique=True, max_size=4))
    entries: list[Entry] = []
    for subject in subjects:
        calls = draw(st.lists(dependencies(snapshot, subject, None, addresses), max_size=3))
        callers = draw(st.lists(dependencies(snapshot, None, subject, addresses), max_size=2))
        entries.append(
            Entry(
                subject=subject,
                owner=draw(st.sampled_from(("", "team: one # x"))),
                calls=tuple(calls),
                callers=tuple(callers),
                location=HERE,
            )
        )
    covered = draw(st.lists(st.sampled_from(NAMESPACES), unique=True, min_size=1))
    return DependencyMap(
        namespaces=tuple(covered),
        dns=draw(st.booleans()),
        workloads=tuple(entries),
        location=HERE,
    )


@st.composite
def dependencies(
    draw: Draw,
    snapshot: Snapshot,
    source: WorkloadName | None,
    destination: WorkloadName | None,
    addresses: bool,
) -> Dependency:
    """Return a dependency of which one end is given."""
    other = draw(ends(snapshot, source is not None, addresses))
    listed = st.lists(st.sampled_from(NUMBER_PORTS), min_size=1)
    ports: Sequence[Port] | None = draw(st.one_of(st.none(), listed))
    target = destination or other
    if isinstance(target, ServiceName):
        ports = draw(st.sampled_from(((), _service_ports(snapshot, target)[:1])))
    elif isinstance(target, WorkloadName | Pods) and draw(st.booleans()):
        ports = [*(ports or ()), Port(name=draw(st.sampled_from(PORT_NAMES)))]
    http = (HttpRequest(("GET",), "/v1/*"),) if ports and draw(st.integers(0, 5)) == 0 else ()
    return Dependency(
        source=source or other,
        destination=target,
        ports=None if ports is None else tuple(ports),
        http=http,
        reason=draw(st.sampled_from(("", "it: needs # this\nvery much"))),
        location=HERE,
    )


NUMBER_PORTS = (
    Port(first=80, last=80),
    Port(first=443, last=443),
    Port(first=53, last=53, protocol=Protocol.UDP),
    Port(first=8000, last=9000),
    Port(first=1, last=65535, protocol=Protocol.SCTP),
)


def _service_ports(snapshot: Snapshot, name: ServiceName) -> tuple[Port, ...]:
    service = next(s for s in snapshot.services if s.name == name.name)
    return tuple(Port(name=port.name) for port in service.ports)


@st.composite
def ends(draw: Draw, snapshot: Snapshot, as_destination: bool, addresses: bool) -> End:
    """Return an end that a cluster has, or one outside it."""
    workloads = [WorkloadName(w.namespace, w.name, w.kind) for w in snapshot.workloads]
    choices: list[st.SearchStrategy[Any]] = [st.sampled_from(workloads), selections(snapshot)]
    if as_destination:
        choices.append(st.sampled_from((Domain("api.example.com"), Domain("*.example.com"))))
        if snapshot.services:
            listed = [ServiceName(s.namespace, s.name) for s in snapshot.services]
            choices.append(st.sampled_from(listed))
    if addresses:
        choices += [st.sampled_from(Place), st.builds(Block, st.sampled_from(CIDRS))]
    chosen: End = draw(st.one_of(choices))
    return chosen


@st.composite
def selections(draw: Draw, snapshot: Snapshot) -> Pods:
    """Return a selection of pods."""
    labels = tuple(sorted(draw(LABELS).items()))[:1]
    if draw(st.booleans()):
        return Pods(draw(st.sampled_from(NAMESPACES)), (), labels)
    return Pods(None, draw(st.sampled_from(((), (("team", "one"),)))), labels)
