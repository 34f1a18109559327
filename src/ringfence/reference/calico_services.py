"""`services` of a Calico rule: the addresses, and ports, behind a Service.

Source: Calico `api/pkg/apis/projectcalico/v3/policy_common.go` ServiceMatch; `felix/calc/
rule_scanner.go` (a destination's set holds addresses with ports, a source's only addresses);
`felix/serviceindex` (its members come from EndpointSlices).
"""

import ipaddress
from collections.abc import Sequence

from ringfence.model.cluster import Identity, Protocol, Service, ServicePort
from ringfence.model.selector import LabelSelector, Operator
from ringfence.model.snapshot import Snapshot
from ringfence.reference import calico_ends
from ringfence.reference.ends import Approach, Network, OwnPod, Party
from ringfence.reference.outcome import NO, Match, any_of, certain

NO_SERVICE = "`{}` is no Service of the input: nothing is behind it"


def is_behind(
    snapshot: Snapshot, namespace: str, name: str, party: Party, here: Approach, *, ports: bool
) -> Match:
    """Return whether a party is behind a Service, and asked for on a port of it.

    Args:
        snapshot: the cluster.
        namespace: the Service's.
        name: the Service's.
        party: who may be behind it.
        here: the connection.
        ports: whether the connection's port must be one that the Service leads to.
    """
    for service in snapshot.services:
        if (service.namespace, service.name) == (namespace, name):
            return _is_behind(snapshot, service, party, here, ports=ports)
    here.notes.add(NO_SERVICE.format(f"{namespace}/{name}"))
    return NO


def _is_behind(
    snapshot: Snapshot, service: Service, party: Party, here: Approach, *, ports: bool
) -> Match:
    """Return whether a party is behind a Service.

    Behind one with a selector are the pods that it selects, host-network ones included; behind
    one without, the addresses that EndpointSlices list for it.
    """
    found = [
        calico_ends.lies_in((_network(backend.address),), party, here)
        for backend in service.backends
        if not ports or any(_is_port(port, here, ()) for port in backend.ports)
    ]
    if service.selector is None:
        return any_of(found)
    if isinstance(party, OwnPod):
        chosen = party.namespace == service.namespace and _selects(service.selector, party.labels)
        reached = not ports or any(
            _is_port(port, here, [(p.name, p.protocol, p.port) for p in party.ports])
            for port in service.ports
        )
        found.append(certain(chosen and reached))
    for workload in snapshot.workloads:
        for identity in workload.identities:
            if (
                workload.namespace == service.namespace
                and identity.host_network
                and _selects(service.selector, identity.labels)
                and (not ports or _leads_to(service, identity, here))
            ):
                nets = tuple(map(_network, _host_addresses(snapshot, identity)))
                found.append(calico_ends.lies_in(nets, party, here))
    return any_of(found)


def _leads_to(service: Service, identity: Identity, here: Approach) -> bool:
    declared = [(port.name, port.protocol, port.port) for port in identity.ports]
    return any(_is_port(port, here, declared) for port in service.ports)


def _is_port(
    port: ServicePort, here: Approach, declared: Sequence[tuple[str, Protocol, int]]
) -> bool:
    """Return whether the connection goes to what a Service's port leads to.

    A target that is a name is looked up among the ports that the pod's containers declare.
    """
    if port.protocol != here.protocol or here.port is None:
        return False
    if isinstance(port.target, int):
        return port.target == here.port
    return (port.target, port.protocol, here.port) in declared


def _host_addresses(snapshot: Snapshot, identity: Identity) -> list[str]:
    """Return the addresses of host-network pods: their own, else those of their nodes."""
    found: list[str] = []
    for pod in identity.pods:
        nodes = [node for node in snapshot.nodes if node.name == pod.node]
        found += pod.addresses or [a for node in nodes for a in node.addresses]
    return found


def _network(address: str) -> Network:
    return ipaddress.ip_network(address)


def _selects(selector: LabelSelector, labels: dict[str, str]) -> bool:
    """Return whether a Service's selector, a map of labels, selects a pod."""
    return all(
        one.operator is Operator.IN and labels.get(one.key) in one.values
        for one in selector.requirements
    )
