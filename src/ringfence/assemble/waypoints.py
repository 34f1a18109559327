"""Finds the waypoints of ambient, whose they are, and the pods that Istio will make of them.

Authority: Istio `pilot/pkg/serviceregistry/kube/controller/ambient/waypoints.go`,
`pilot/pkg/config/kube/gateway/deploymentcontroller.go` and
`istio-discovery/files/waypoint.yaml`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ringfence.assemble.catalog import Catalog
from ringfence.assemble.values import each, mapping, mappings, selector, string_map, text
from ringfence.model.cluster import Namespace, Service
from ringfence.model.document import Document, Path
from ringfence.model.location import Problem
from ringfence.model.mesh import HBONE_PORT
from ringfence.model.selector import LabelSelector

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
CLASS_NAME = "gateway.networking.k8s.io/gateway-class-name"
MANAGED, WAYPOINT_MANAGER = "gateway.istio.io/managed", "istio.io-mesh-controller"
USE, USE_NAMESPACE, FOR = (
    "istio.io/use-waypoint",
    "istio.io/use-waypoint-namespace",
    "istio.io/waypoint-for",
)
NO_WAYPOINT = "none"
WAYPOINT_CLASS, WAYPOINT_CONTROLLER = "istio-waypoint", "istio.io/mesh-controller"
SERVICES: Final = frozenset({"service", "all"})
WORKLOADS: Final = frozenset({"workload", "all"})
SAME: Final = "Same"
METADATA: Final[Path] = ("metadata",)
SPEC: Final[Path] = ("spec",)


@dataclass(frozen=True)
class Waypoint:
    """A Gateway that is a waypoint."""

    document: Document
    deployment: str
    """The name of the Deployment that Istio makes of it."""
    account: str
    """The service account of that."""
    labels: dict[str, str]
    """Of its pods."""
    traffic: str
    """What it is for: service, workload, all or none."""
    open_to: str
    """From which namespaces it may be used: Same, All or Selector."""
    selector: LabelSelector | None
    ready: bool
    """Whether it can be reached, as far as its status tells."""

    @property
    def name(self) -> tuple[str, str]:
        """Return namespace and name."""
        return self.document.namespace, self.document.name

    def admits(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return whether what is in a namespace may use it."""
        match self.open_to:
            case "All":
                return True
            case "Selector":
                from ringfence.engine.labels import selects  # noqa: PLC0415 - rarely needed

                return self.selector is not None and selects(self.selector, labels)
            case _:
                return namespace == self.document.namespace


class Gateways:
    """The waypoints of a catalog."""

    def __init__(self, catalog: Catalog, problems: list[Problem]) -> None:
        """Read them; what is malformed goes to `problems`."""
        # A class is read only if it is not Istio's own, whose name tells enough.
        classes = {WAYPOINT_CLASS: ""}
        classes |= {
            name: traffic
            for name, controller, traffic in each(
                catalog.of("GatewayClass"), _gateway_class, problems
            )
            if controller == WAYPOINT_CONTROLLER or name == WAYPOINT_CLASS
        }
        found = each(catalog.of("Gateway"), lambda document: _waypoint(document, classes), problems)
        self._found = {waypoint.name: waypoint for waypoint in found if waypoint}

    def is_waypoint(self, namespace: str, name: str) -> bool:
        """Return whether a Gateway is a waypoint."""
        return (namespace, name) in self._found

    def __iter__(self) -> Iterator[Waypoint]:
        """Yield the waypoints, sorted by namespace and name."""
        return (waypoint for _, waypoint in sorted(self._found.items()))

    def assigned(
        self,
        services: Sequence[Service],
        namespaces: Sequence[Namespace],
        problems: list[Problem],
    ) -> tuple[Service, ...]:
        """Return Services with their waypoints; a waypoint that is none is a problem."""
        labels = {namespace.name: namespace.labels for namespace in namespaces}
        found = []
        for service in services:
            own = service.labels or {}
            around = labels.get(service.namespace, {})
            wanted = None
            if own.get(MANAGED) != WAYPOINT_MANAGER:
                wanted = _wanted(own if USE in own else around, service.namespace)
            if wanted is not None:
                waypoint = self._found.get(wanted)
                if reason := _unusable(waypoint, wanted, service, around):
                    message = f"{service.ref}: its calls go past a waypoint: {reason}"
                    problems.append(
                        Problem(message, service.location, (), service.ref, severity="warning")
                    )
                else:
                    service = msgspec.structs.replace(service, waypoint=wanted)  # noqa: PLW2901
            found.append(service)
        return tuple(found)

    def of_pod(
        self, namespace: str, labels: Mapping[str, str], around: Mapping[str, str]
    ) -> Waypoint | None:
        """Return the waypoint of callers that use a pod's own address."""
        wanted = _wanted(labels if USE in labels else around, namespace)
        waypoint = self._found.get(wanted) if wanted and GATEWAY_NAME not in labels else None
        if waypoint is None or waypoint.traffic not in WORKLOADS or not waypoint.ready:
            return None
        return waypoint if waypoint.admits(namespace, around) else None


def _wanted(labels: Mapping[str, str], namespace: str) -> tuple[str, str] | None:
    name = labels.get(USE)
    if name is None or name == NO_WAYPOINT:
        return None
    return labels.get(USE_NAMESPACE, namespace), name


def _unusable(
    waypoint: Waypoint | None,
    wanted: tuple[str, str],
    service: Service,
    around: Mapping[str, str],
) -> str:
    """Return why a waypoint that is wanted is not used; empty where it is."""
    ref = "/".join(wanted)
    if waypoint is None:
        return f"no Gateway `{ref}` that is one in the input"
    if not waypoint.admits(service.namespace, around):
        return f"Gateway `{ref}` does not admit namespace `{service.namespace}`"
    if waypoint.traffic not in SERVICES:
        return f"Gateway `{ref}` is for `{waypoint.traffic}`, not for Services"
    return "" if waypoint.ready else f"Gateway `{ref}` has no address yet"


def _gateway_class(document: Document) -> tuple[str, str, str]:
    labels = string_map(mapping(document.body, "metadata", ()), "labels", METADATA)
    controller = text(mapping(document.body, "spec", ()), "controllerName", SPEC)
    return document.name, controller, labels.get(FOR, "")


def _waypoint(document: Document, classes: Mapping[str, str]) -> Waypoint | None:
    """Return the waypoint that a Gateway is; None where it is none."""
    spec = mapping(document.body, "spec", ())
    kind = text(spec, "gatewayClassName", SPEC)
    if kind not in classes:
        return None
    metadata = mapping(document.body, "metadata", ())
    labels = string_map(metadata, "labels", METADATA)
    annotations = string_map(metadata, "annotations", METADATA)
    infrastructure = mapping(spec, "infrastructure", SPEC)
    given = string_map(infrastructure, "labels", (*SPEC, "infrastructure"))
    open_to, chosen = _openness(spec)
    status = document.body.get("status")
    deployment = annotations.get("gateway.istio.io/name-override") or document.name
    return Waypoint(
        document,
        deployment,
        annotations.get("gateway.istio.io/service-account") or deployment,
        {
            "sidecar.istio.io/inject": "false",
            "istio.io/dataplane-mode": "none",
            "service.istio.io/canonical-name": deployment,
            "service.istio.io/canonical-revision": "latest",
            **(given or labels),
            GATEWAY_NAME: document.name,
            CLASS_NAME: kind,
            MANAGED: WAYPOINT_MANAGER,
        },
        labels.get(FOR) or classes[kind] or "service",
        open_to,
        chosen,
        # A manifest has no status: what is applied will be ready one day.
        not isinstance(status, dict) or bool(status.get("addresses")),
    )


def _openness(spec: dict[str, Any]) -> tuple[str, LabelSelector | None]:
    """Return from which namespaces the listener for ambient's tunnels may be used."""
    for index, listener in enumerate(mappings(spec, "listeners", SPEC)):
        at: Path = (*SPEC, "listeners", index)
        if listener.get("protocol") == "HBONE" and listener.get("port") == HBONE_PORT:
            allowed = mapping(listener, "allowedRoutes", at)
            namespaces = mapping(allowed, "namespaces", (*at, "allowedRoutes"))
            at = (*at, "allowedRoutes", "namespaces")
            return text(namespaces, "from", at) or SAME, selector(namespaces, "selector", at)
    return SAME, None
