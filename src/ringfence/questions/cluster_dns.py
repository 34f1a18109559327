"""Which workloads are the cluster's DNS, and the ports at which they really listen.

A Service of port 53 may lead to any target port; policies see only the target.
"""

from collections.abc import Iterator
from typing import Final

from ringfence.engine.labels import selects
from ringfence.model.cluster import ContainerPort, Protocol, Service, Workload
from ringfence.model.rule import PortRange
from ringfence.model.snapshot import Snapshot

SERVICES: Final = (
    ("kube-system", "kube-dns"),
    ("kube-system", "coredns"),
    ("kube-system", "rke2-coredns-rke2-coredns"),
    ("openshift-dns", "dns-default"),
)
"""What the DNS Service is called: by Kubernetes, by some charts, by RKE2, by OpenShift."""
LABELS: Final = (
    ("k8s-app", "kube-dns"),
    ("k8s-app", "coredns"),
    ("app.kubernetes.io/name", "coredns"),
    ("dns.operator.openshift.io/daemonset-dns", "default"),
)
NODE_CACHE: Final = ("k8s-app", "node-local-dns")
NODE_CACHE_ADDRESS: Final = "169.254.20.10"
"""Where a node-local cache listens unless told otherwise.

Source: Kubernetes documentation, "Using NodeLocal DNSCache in Kubernetes Clusters"."""
DEFAULT_PORT: Final = 53
PORTS: Final = (
    PortRange(Protocol.UDP, DEFAULT_PORT, DEFAULT_PORT),
    PortRange(Protocol.TCP, DEFAULT_PORT, DEFAULT_PORT),
)

Listening = tuple[PortRange, ...]


def dns_workloads(snapshot: Snapshot) -> dict[int, Listening]:
    """Return the DNS workloads of a snapshot by index, each with the ports that it listens at."""
    return dict(_by_service(snapshot)) or dict(_by_labels(snapshot))


def node_cache(snapshot: Snapshot) -> int | None:
    """Return the workload that caches DNS on each node; None where there is none."""
    found = (n for n, w in enumerate(snapshot.workloads) if _carries(w, *NODE_CACHE))
    return next(found, None)


def _by_service(snapshot: Snapshot) -> Iterator[tuple[int, Listening]]:
    """Yield the workloads behind the first DNS Service that there is, with their target ports."""
    services = {(service.namespace, service.name): service for service in snapshot.services}
    for key in SERVICES:
        service = services.get(key)
        if service is None or service.selector is None:
            continue
        selected = [
            number
            for number, workload in enumerate(snapshot.workloads)
            if workload.namespace == service.namespace
            and any(selects(service.selector, identity.labels) for identity in workload.identities)
        ]
        answers = [(n, _targets(snapshot.workloads[n], service)) for n in selected]
        answers = [(number, ports) for number, ports in answers if ports]
        if answers:
            yield from answers
            return


def _targets(workload: Workload, service: Service) -> Listening:
    """Return the ports of a workload behind the Service's port 53, UDP and TCP."""
    found: list[PortRange] = []
    for port in service.ports:
        if port.port != DEFAULT_PORT:
            continue
        if isinstance(port.target, int):
            numbers = [port.target]
        else:
            numbers = [
                own.port
                for own in _declared(workload)
                if own.name == port.target and own.protocol is port.protocol
            ]
        found += [PortRange(port.protocol, number, number) for number in numbers]
    return tuple(sorted(set(found), key=str))


def _by_labels(snapshot: Snapshot) -> Iterator[tuple[int, Listening]]:
    """Yield the workloads that carry the labels of a DNS, with the ports that they declare."""
    for label in LABELS:
        carrying = [n for n, w in enumerate(snapshot.workloads) if _carries(w, *label)]
        for number in carrying:
            ports = {
                PortRange(own.protocol, own.port, own.port)
                for own in _declared(snapshot.workloads[number])
                if own.port == DEFAULT_PORT or own.name in ("dns", "dns-tcp", "dns-udp")
            }
            yield number, tuple(sorted(ports, key=str)) or PORTS
        if carrying:
            return


def _declared(workload: Workload) -> list[ContainerPort]:
    return sorted({p for identity in workload.identities for p in identity.ports if not p.init})


def _carries(workload: Workload, key: str, value: str) -> bool:
    return all(identity.labels.get(key) == value for identity in workload.identities)
