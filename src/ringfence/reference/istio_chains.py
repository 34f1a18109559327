"""How the proxy of the destination reads what comes in at a port: as HTTP, as TCP, or by looking.

Source: Istio `pkg/config/kube/conversion.go` (ConvertProtocol), `pkg/config/protocol/instance.go`;
for ports of no Service `pilot/pkg/networking/core/listener_inbound.go` (passthrough chains).
"""

from ringfence.model.cluster import Protocol, Service, ServicePort
from ringfence.model.rule import Chain
from ringfence.reference.ends import OwnPod
from ringfence.reference.mesh_flow import Flow

_HTTP = frozenset({"http", "http2", "grpc", "grpc-web", "http_proxy"})
_TCP = frozenset({"tcp", "https", "tls", "mongo", "redis", "mysql", "udp"})
_OF_APP_PROTOCOL = {
    "kubernetes.io/h2c": Chain.HTTP,
    "kubernetes.io/ws": Chain.HTTP,
    "kubernetes.io/wss": Chain.TCP,
}
_WELL_KNOWN = frozenset({25, 53, 3306, 27017})
"""SMTP, DNS, MySQL, MongoDB: their servers speak first, or are no HTTP."""


def chains_of_pod(flow: Flow) -> set[Chain]:
    """Return how the port may be read, by the Services that select the pod.

    A port of no Service is looked at. Where Services disagree, either may be right.
    """
    pod = flow.destination
    if not isinstance(pod, OwnPod):
        return {Chain.DETECTED}
    found = {
        chain_of(port)
        for service in flow.snapshot.services
        if service.namespace == pod.namespace and _selects(service, pod)
        for port in service.ports
        if port.protocol is Protocol.TCP and leads_to(port, pod, flow.port)
    }
    return found or {Chain.DETECTED}


def _selects(service: Service, pod: OwnPod) -> bool:
    """Return whether a Service selects a pod: by equal labels, at least one."""
    wanted = service.selector.requirements if service.selector else ()
    return bool(wanted) and all(pod.labels.get(one.key) in one.values for one in wanted)


def leads_to(port: ServicePort, pod: OwnPod, number: int) -> bool:
    """Return whether a port of a Service leads to a port of a pod."""
    if isinstance(port.target, int):
        return port.target == number
    return any(
        one.name == port.target and one.port == number and one.protocol is port.protocol
        for one in pod.ports
        if not one.init
    )


def chain_of(port: ServicePort) -> Chain:
    """Return how a Service's port is read: by `appProtocol`, else by its name up to a `-`.

    What neither names is looked at, but for a few ports that are known not to be HTTP.
    """
    name = (port.app_protocol or port.name).lower()
    if port.app_protocol in _OF_APP_PROTOCOL:
        return _OF_APP_PROTOCOL[port.app_protocol]
    name = "grpc-web" if name.startswith("grpc-web") else name.partition("-")[0]
    if name in _HTTP:
        return Chain.HTTP
    if name in _TCP or port.port in _WELL_KNOWN:
        return Chain.TCP
    return Chain.DETECTED
