"""Finds the cluster's DNS, and the ports at which it really listens.

A Service of port 53 may lead to any target port; policies see only the target. Where the input
has no DNS at all, the names that nearly every cluster uses are assumed, and that is told.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ringfence.learn.resolve_ports import Ports, declared
from ringfence.learn.stable_selector import StableSelectors, on_host_network
from ringfence.model.cluster import Protocol, Service, Workload
from ringfence.model.rule import IpPeer, NodePeer, Peer, PodPeer, PortRange, Traffic
from ringfence.model.selector import EVERYTHING, from_labels
from ringfence.model.snapshot import Snapshot
from ringfence.questions.naming import selects

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
NODE_CACHE_ADDRESS: Final = "169.254.20.10/32"
"""Where a node-local cache listens unless told otherwise.

Source: Kubernetes documentation, "Using NodeLocal DNSCache in Kubernetes Clusters"."""
DEFAULT_PORT: Final = 53
NAME_LABEL: Final = "kubernetes.io/metadata.name"


class DnsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How every pod of a covered namespace gets its names resolved."""

    rules: tuple[tuple[tuple[Peer, ...], Ports], ...]
    """Peers and their ports, for the egress of who asks."""
    workloads: tuple[tuple[int, Ports], ...]
    """The DNS workloads that the input has, by index, each with the ports it listens at."""
    why: tuple[str, ...]
    assumed: bool = False
    """True where something of it is not in the input, but what clusters commonly have."""


def find_dns(snapshot: Snapshot, selectors: StableSelectors) -> DnsAnswer:
    """Return the DNS of a cluster."""
    answer = _cluster_dns(snapshot, selectors)
    cache = next((w.ref for w in snapshot.workloads if _carries(w, *NODE_CACHE)), None)
    if cache is None:
        return answer
    return msgspec.structs.replace(
        answer,
        rules=(*answer.rules, ((IpPeer(NODE_CACHE_ADDRESS),), _both(DEFAULT_PORT))),
        why=(*answer.why, f"to the cache {cache} on each node, assumed at {NODE_CACHE_ADDRESS}"),
        assumed=True,
    )


def _cluster_dns(snapshot: Snapshot, selectors: StableSelectors) -> DnsAnswer:
    found = dict(_by_service(snapshot)) or dict(_by_labels(snapshot))
    if not found:
        key, value = LABELS[0]
        namespaces = from_labels({NAME_LABEL: "kube-system"})
        peer = PodPeer(namespaces, from_labels({key: value}))
        why = f"to the cluster's DNS, assumed at kube-system, {key}={value}: the input has none"
        rules = (((peer,), _both(DEFAULT_PORT)),)
        return DnsAnswer(rules=rules, workloads=(), why=(why,), assumed=True)
    rules_found = []
    for number, ports in sorted(found.items()):
        workload = snapshot.workloads[number]
        peer_found: Peer = NodePeer(EVERYTHING)
        if not on_host_network(workload):
            namespaces = from_labels({NAME_LABEL: workload.namespace})
            peer_found = PodPeer(namespaces, selectors.of(number).selector)
        rules_found.append(((peer_found,), ports))
    names = ", ".join(snapshot.workloads[number].ref for number in sorted(found))
    return DnsAnswer(
        rules=tuple(rules_found),
        workloads=tuple(sorted(found.items())),
        why=(f"to the cluster's DNS, {names}, at the port where it listens",),
    )


def _by_service(snapshot: Snapshot) -> Iterator[tuple[int, Ports]]:
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


def _targets(workload: Workload, service: Service) -> Ports:
    """Return the ports of a workload behind the Service's port 53, UDP and TCP."""
    found: list[Traffic] = []
    for port in service.ports:
        if port.port != DEFAULT_PORT:
            continue
        if isinstance(port.target, int):
            numbers = [port.target]
        else:
            numbers = [
                own.port
                for own in declared(workload)
                if own.name == port.target and own.protocol is port.protocol
            ]
        found += [PortRange(port.protocol, number, number) for number in numbers]
    return tuple(sorted(set(found), key=str))


def _by_labels(snapshot: Snapshot) -> Iterator[tuple[int, Ports]]:
    """Yield the workloads that carry the labels of a DNS, with the ports that they declare."""
    for label in LABELS:
        carrying = [n for n, w in enumerate(snapshot.workloads) if _carries(w, *label)]
        for number in carrying:
            ports = {
                PortRange(own.protocol, own.port, own.port)
                for own in declared(snapshot.workloads[number])
                if own.port == DEFAULT_PORT or own.name in ("dns", "dns-tcp", "dns-udp")
            }
            yield number, tuple(sorted(ports, key=str)) or _both(DEFAULT_PORT)
        if carrying:
            return


def _carries(workload: Workload, key: str, value: str) -> bool:
    return all(identity.labels.get(key) == value for identity in workload.identities)


def _both(port: int) -> Ports:
    return (PortRange(Protocol.UDP, port, port), PortRange(Protocol.TCP, port, port))
