"""Whom an AuthorizationPolicy is for: pods by their labels, gateways, Services by a waypoint.

Pods with a proxy of their own and pods of ambient are told apart: they read a policy differently.

Authority: Istio `pilot/pkg/model/policyattachment.go`, `pkg/config/validation/validation.go`
(validateOneOfSelectorType, validatePolicyTargetReference).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._istio_values import labels
from ringfence.dialects._shared import Malformed, fields, filled, items, text
from ringfence.model.cluster import Protocol, Service
from ringfence.model.document import Document, Path
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.mesh import ISTIO, DataPlane, IstioConfig
from ringfence.model.rule import (
    AllPeers,
    AnyPeer,
    MeshPeer,
    NamedPort,
    Peer,
    PodPeer,
    PortRange,
    ServicePeer,
    Traffic,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, from_labels

MOST_TARGETS: Final = 16
WAYPOINT_CLASS: Final = "istio-waypoint"
GATEWAYS: Final = "gateway.networking.k8s.io"
TARGETS: Final = {
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    (GATEWAYS, "Gateway"),
    (GATEWAYS, "GatewayClass"),
}
"""Group and kind of what a policy can be attached to."""


@dataclass(frozen=True)
class Target:
    """What a policy is attached to."""

    path: Path
    kind: str
    name: str


@dataclass(frozen=True)
class Attachment:
    """How a policy says whom it is for: by labels, or by what it is attached to."""

    labels: dict[str, str] | None = None
    """None: there is no selector."""
    targets: tuple[Target, ...] = ()


def config(context: Context) -> IstioConfig:
    """Return how Istio is set up; its defaults where that is not known."""
    return context.mesh.istio or IstioConfig()


def attachment(spec: dict[str, Any]) -> Attachment:
    """Return how a policy says whom it is for.

    Raises:
        Malformed: it cannot be understood, or says it in two ways.
    """
    ways = ("selector", "targetRef", "targetRefs")
    given = [key for key in ways if spec.get(key) not in (None, [])]
    if len(given) > 1:
        raise Malformed("only one of selector, targetRef and targetRefs", ("spec", given[1]))
    at: Path = ("spec", "selector")
    selected = labels(spec["selector"], at) if "selector" in given else None
    listed = items(spec.get("targetRefs"), ("spec", "targetRefs"), MOST_TARGETS)
    if spec.get("targetRef") is not None:
        listed = [(("spec", "targetRef"), spec["targetRef"])]
    return Attachment(selected, tuple(_target(value, path) for path, value in listed))


def _target(value: Any, path: Path) -> Target:  # noqa: ANN401
    given = fields(value, path, ("group", "kind", "name", "namespace"))
    if text(given.get("namespace", ""), (*path, "namespace")):
        raise Malformed("a target in another namespace is not supported", (*path, "namespace"))
    group = text(given.get("group", ""), (*path, "group"))
    kind = filled(given.get("kind"), (*path, "kind"))
    name = filled(given.get("name"), (*path, "name"))
    if (group, kind) not in TARGETS:
        raise Malformed(f"a policy cannot be attached to a `{kind}` of `{group}`", path)
    if kind == "GatewayClass" and name != WAYPOINT_CLASS:
        raise Malformed(f"of GatewayClasses only `{WAYPOINT_CLASS}`", (*path, "name"))
    return Target(path, kind, name)


def within(namespace: str, root: str) -> LabelSelector:
    """Return the namespaces that a policy of a namespace is for: of the root one, all."""
    return EVERYTHING if namespace == root else from_labels({NAMESPACE_NAME: namespace})


def pods(document: Document, root: str, selected: dict[str, str], *who: MeshPeer) -> Peer:
    """Return the pods of a mesh that a policy selects by labels."""
    (mesh,) = who
    return AllPeers((mesh, PodPeer(within(document.namespace, root), from_labels(selected))))


def with_proxy() -> MeshPeer:
    """Return the pods with an Envoy of their own, gateways included, waypoints not."""
    return MeshPeer((DataPlane.SIDECAR,), waypoint=False)


def by_ztunnel() -> MeshPeer:
    """Return the pods for which ztunnel judges."""
    return MeshPeer((DataPlane.AMBIENT,), waypoint=False)


def may_have_ztunnel(context: Context) -> bool:
    """Return whether any pod may be one for which ztunnel judges: else nothing is read its way."""
    planes = {member.data_plane for member in context.memberships}
    return not planes or DataPlane.AMBIENT in planes


def gateway(namespace: str, name: str) -> Peer:
    """Return the proxies of a Gateway that is no waypoint."""
    return AllPeers(
        (
            MeshPeer(ISTIO, gateway=name, waypoint=False),
            PodPeer(from_labels({NAMESPACE_NAME: namespace}), EVERYTHING),
        )
    )


def waypoint(namespace: str, name: str | None) -> Peer:
    """Return the proxies of a waypoint as they judge what is for the own addresses of pods.

    Args:
        namespace: of the Gateway.
        name: of it; None: every waypoint, of whatever namespace.
    """
    proxies = MeshPeer(ISTIO, gateway=name, waypoint=True)
    if name is None:
        return proxies
    home = PodPeer(from_labels({NAMESPACE_NAME: namespace}), EVERYTHING)
    return AllPeers((proxies, home))


def through_waypoint(target: Target, document: Document, context: Context) -> list[Service]:
    """Return the Services for whose waypoint a target is meant."""
    namespace = document.namespace
    match target.kind:
        case "Service":
            found = context.service.get((namespace, target.name))
            return [found] if found else []
        case "Gateway":
            wanted = (namespace, target.name)
            return [service for service in context.services if service.waypoint == wanted]
        case "GatewayClass":
            if namespace != config(context).root_namespace:
                return []
            return [service for service in context.services if service.waypoint]
        case _:
            return []


def services(listed: Sequence[Service]) -> Peer:
    """Return Services as subjects: what their waypoint is to let through."""
    peers = tuple(ServicePeer(service.namespace, service.name) for service in listed)
    return peers[0] if len(peers) == 1 else AnyPeer(peers)


def ports_of(service: Service, ports: frozenset[int]) -> tuple[Traffic, ...]:
    """Return the traffic to a pod that some of a Service's ports lead to.

    A waypoint compares the port by which a Service is addressed.

    Source: Istio `pilot/pkg/networking/core/waypoint.go`: it listens by address and port of
    Services.
    """
    found: dict[Traffic, None] = {}
    for port in service.ports:
        if port.protocol is Protocol.TCP and port.port in ports:
            found |= {
                NamedPort(port.target, Protocol.TCP)
                if isinstance(port.target, str)
                else PortRange(Protocol.TCP, port.target, port.target): None
            }
    return tuple(found)


def anybody(document: Document, root: str, context: Context) -> Peer:
    """Return all whom a policy might be for, where that cannot be understood.

    One that only has a selector is for no waypoint, whatever that says.
    """
    spec = document.body.get("spec")
    given = spec if isinstance(spec, dict) else {}
    if given.get("selector") is not None and not (
        given.get("targetRef") or given.get("targetRefs")
    ):
        return pods(document, root, {}, MeshPeer(ISTIO, waypoint=False))
    everything = pods(document, root, {}, MeshPeer(ISTIO))
    meant = [
        service
        for service in context.services
        if service.waypoint and (document.namespace in (service.namespace, root))
    ]
    return AnyPeer((everything, services(meant))) if meant else everything
