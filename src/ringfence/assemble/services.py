"""Reads Services, and from EndpointSlices what stands behind those without a selector.

Authority: core/v1 `types.go` Service; discovery.k8s.io/v1 `types.go` EndpointSlice.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from ringfence.assemble.catalog import Catalog
from ringfence.assemble.identities import Member
from ringfence.assemble.pod_specs import protocol
from ringfence.assemble.values import (
    Malformed,
    each,
    mapping,
    mappings,
    number,
    parse_address,
    port,
    sequence,
    string_map,
    text,
    texts,
)
from ringfence.model.cluster import Backend, Node, Service, ServicePort
from ringfence.model.document import Document, Path
from ringfence.model.location import Problem
from ringfence.model.selector import from_labels

SPEC: Final[Path] = ("spec",)
STATUS: Final[Path] = ("status", "loadBalancer")
SERVICE_NAME: Final = "kubernetes.io/service-name"
EXPORT_TO: Final = "networking.istio.io/exportTo"
TYPES: Final = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
Name = tuple[str, str]
"""Namespace and name."""


def read(catalog: Catalog, problems: list[Problem]) -> tuple[Service, ...]:
    """Return the Services, sorted; what is malformed goes to `problems`."""
    services = each(catalog.of("Service"), _service, problems)
    wanted = {(s.namespace, s.name): s for s in services if s.selector is None}
    behind: defaultdict[Name, list[Backend]] = defaultdict(list)
    for name, backends in each(catalog.of("EndpointSlice"), _slice_reader(wanted), problems):
        behind[name] += backends
    return tuple(
        msgspec.structs.replace(service, backends=_sorted(behind[service.namespace, service.name]))
        if (service.namespace, service.name) in behind
        else service
        for service in sorted(services, key=lambda s: (s.namespace, s.name))
    )


def _service(document: Document) -> Service:
    spec = mapping(document.body, "spec", ())
    metadata = mapping(document.body, "metadata", ())
    kind = text(spec, "type", SPEC) or "ClusterIP"
    if kind not in TYPES:
        raise Malformed(f"`{kind}` is none of {', '.join(TYPES)}", (*SPEC, "type"))
    external = kind == "ExternalName"
    # An ExternalName Service is an alias of a name: its selector is not looked at.
    selector = {} if external else string_map(spec, "selector", SPEC)
    single = text(spec, "clusterIP", SPEC)
    headless = single == "None" or "None" in sequence(spec, "clusterIPs", SPEC)
    cluster_ips: list[str] = []
    if not headless:
        cluster_ips = _addresses(spec, "clusterIPs", SPEC) or ([single] if single else [])
    status = mapping(mapping(document.body, "status", ()), "loadBalancer", ("status",))
    balancers = [
        text(entry, key, STATUS)
        for entry in mappings(status, "ingress", STATUS)
        for key in ("ip", "hostname")
    ]
    written = [text(spec, "loadBalancerIP", SPEC)] if not any(balancers) else []
    return Service(
        namespace=document.namespace,
        name=document.name,
        type=kind,
        selector=from_labels(selector) if selector else None,
        ports=tuple(
            _port(entry, (*SPEC, "ports", index))
            for index, entry in enumerate(mappings(spec, "ports", SPEC))
        ),
        location=document.location_of(),
        cluster_ips=tuple(cluster_ips),
        external_ips=tuple(
            ip for ip in (*_addresses(spec, "externalIPs", SPEC), *balancers, *written) if ip
        ),
        external_name=text(spec, "externalName", SPEC).lower().rstrip(".") if external else "",
        headless=headless and not external,
        external_traffic_local=text(spec, "externalTrafficPolicy", SPEC) == "Local",
        source_ranges=_ranges(spec),
        export_to=_export_to(metadata, document.namespace),
        labels=dict(sorted(string_map(metadata, "labels", ("metadata",)).items())),
    )


def _export_to(metadata: dict[str, Any], namespace: str) -> tuple[str, ...]:
    """Return the namespaces whose clients in Istio know a Service.

    Source: Istio `pkg/config/kube/conversion.go`, `pilot/pkg/model/push_context.go`
    initServiceRegistry (`~` goes before `*`, and both before all others).
    """
    annotations = metadata.get("annotations")
    written = annotations.get(EXPORT_TO) if isinstance(annotations, dict) else None
    if not isinstance(written, str) or not written:
        return ("*",)
    listed = {one.strip() for one in written.split(",")}
    if "~" in listed:
        return ()
    if "*" in listed:
        return ("*",)
    return tuple(sorted({namespace if one == "." else one for one in listed}))


def _addresses(parent: dict[str, Any], key: str, path: Path) -> list[str]:
    """Return a list of IP addresses, as they are written."""
    listed = texts(parent, key, path)
    for index, written in enumerate(listed):
        if parse_address(written) is None:
            raise Malformed(f"`{written}` is no IP address", (*path, key, index))
    return listed


def _ranges(spec: dict[str, Any]) -> tuple[str, ...]:
    """Return the blocks that a load balancer admits, in canonical form."""
    found: list[str] = []
    for index, written in enumerate(texts(spec, "loadBalancerSourceRanges", SPEC)):
        try:
            found.append(str(ipaddress.ip_network(written.strip(), strict=False)))
        except ValueError:
            at = (*SPEC, "loadBalancerSourceRanges", index)
            raise Malformed(f"`{written}` is no CIDR", at) from None
    return tuple(found)


def _port(entry: dict[str, Any], path: Path) -> ServicePort:
    own = port(entry, "port", path)
    target = entry.get("targetPort")
    if isinstance(target, str):
        # A name has a letter in it, so `"8080"` is neither a name nor a number.
        # Source: apimachinery `pkg/util/validation` IsValidPortName.
        if not any(character.isalpha() for character in target):
            raise Malformed(f"`{target}` is no port name (no quotes)", (*path, "targetPort"))
    else:
        target = number(entry, "targetPort", path, 1, 65535) or own
    return ServicePort(
        port=own,
        target=target,
        protocol=protocol(entry, path),
        name=text(entry, "name", path),
        node_port=number(entry, "nodePort", path, 0, 65535) or None,
        app_protocol=text(entry, "appProtocol", path),
    )


def _slice_reader(
    wanted: dict[Name, Service],
) -> Callable[[Document], tuple[Name, list[Backend]]]:
    """Return a reader of EndpointSlices; those of Services not wanted are not looked into."""

    def read_slice(document: Document) -> tuple[Name, list[Backend]]:
        labels = string_map(mapping(document.body, "metadata", ()), "labels", ("metadata",))
        name = (document.namespace, labels.get(SERVICE_NAME, ""))
        service = wanted.get(name)
        return name, [] if service is None else _backends(document, service)

    return read_slice


def _backends(document: Document, service: Service) -> list[Backend]:
    address_type = text(document.body, "addressType", ())
    if not address_type:
        raise Malformed("`addressType` is required", ())
    if address_type == "FQDN":
        # Nothing forwards to these. Source: kubernetes `pkg/proxy/endpointslicecache.go`.
        return []
    ports: list[ServicePort] = []
    for index, entry in enumerate(mappings(document.body, "ports", ())):
        at: Path = ("ports", index)
        name = text(entry, "name", at)
        numbers = [number(entry, "port", at, 1, 65535)]
        if numbers == [None]:
            # All ports: those of the Service's port of that name then.
            numbers = [
                declared.target if isinstance(declared.target, int) else declared.port
                for declared in service.ports
                if declared.name == name
            ]
        kind = protocol(entry, at)
        ports += [ServicePort(n, n, kind, name) for n in numbers if n is not None]
    found: list[Backend] = []
    for index, endpoint in enumerate(mappings(document.body, "endpoints", ())):
        at = ("endpoints", index)
        conditions = mapping(endpoint, "conditions", at)
        # Absent means ready; so does `ready: false, serving: true` while it is being drained.
        if conditions.get("ready") is False and conditions.get("serving") is not True:
            continue
        target = mapping(endpoint, "targetRef", at)
        pod = ""
        if target.get("kind") == "Pod" and text(target, "name", at):
            namespace = text(target, "namespace", at) or document.namespace
            pod = f"{namespace}/{target['name']}"
        found += [
            Backend(address, tuple(sorted(ports, key=_port_order)), pod)
            for address in _addresses(endpoint, "addresses", at)
        ]
    return found


def _port_order(declared: ServicePort) -> tuple[int, str, str]:
    return declared.port, declared.protocol, declared.name


def _sorted(backends: list[Backend]) -> tuple[Backend, ...]:
    unique = {(b.address, b.pod, tuple(map(_port_order, b.ports))): b for b in backends}
    return tuple(backend for _, backend in sorted(unique.items()))


def with_host_backends(
    services: Sequence[Service], pods: Iterable[tuple[str, Member]], nodes: Sequence[Node]
) -> tuple[Service, ...]:
    """Return the Services with what stands behind each on the host network.

    Args:
        services: as `read` has them.
        pods: namespace and pod of those on the host network.
        nodes: whose addresses such a pod has where its own are not told.
    """
    by_namespace: defaultdict[str, list[Member]] = defaultdict(list)
    for namespace, pod in pods:
        by_namespace[namespace].append(pod)
    of_node = {node.name: node.addresses for node in nodes}
    found = []
    for service in services:
        wanted = service.selector and {(r.key, *r.values) for r in service.selector.requirements}
        behind = [
            Backend(address, ports, f"{service.namespace}/{pod.name}")
            for pod in by_namespace.get(service.namespace, ())
            if wanted and wanted <= pod.labels.items()
            for ports in (_led_to(service, pod),)
            for address in pod.addresses or of_node.get(pod.node, ())
        ]
        if behind:
            service = msgspec.structs.replace(service, host_backends=_sorted(behind))  # noqa: PLW2901
        found.append(service)
    return tuple(found)


def _led_to(service: Service, pod: Member) -> tuple[ServicePort, ...]:
    """Return the ports of a pod that a Service's own lead to, names looked up in the pod."""
    numbers = {
        (declared.name, declared.protocol): declared.port for declared in pod.ports if declared.name
    }
    found = []
    for own in service.ports:
        target = own.target
        number = target if isinstance(target, int) else numbers.get((target, own.protocol))
        if number is not None:
            found.append(ServicePort(number, number, own.protocol))
    return tuple(found)
