"""Finds what lets the outside in: ingress controllers, and the routes that lead through them."""

from typing import Final

from ringfence.model.cluster import Route, Workload
from ringfence.model.snapshot import Snapshot

GATEWAY_LABEL: Final = "gateway.networking.k8s.io/gateway-name"
"""On the pods that a Gateway's implementation makes for it. Source: GEP-1762."""

_NAMING: Final = ("app.kubernetes.io/name", "app", "k8s-app", "name")
_KNOWN: Final = frozenset(
    ("ambassador", "emissary", "envoy", "haproxy", "kong", "nginx-ingress", "traefik")
)
"""What the common controllers are called, beside those that have `ingress` in their name."""
_BESIDE: Final = frozenset(("admission-webhook", "default-backend", "defaultbackend"))
"""Components that come with a controller and carry its name."""
_KINDS: Final = frozenset(("DaemonSet", "Deployment", "Pod", "ReplicaSet", "StatefulSet"))


class Controllers:
    """The ingress controllers and gateways of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Find every workload that looks like one."""
        self._snapshot = snapshot
        self._why: dict[int, str] = {}
        self._gateways: dict[str, list[int]] = {}
        for number, workload in enumerate(snapshot.workloads):
            labels = workload.identities[0].labels
            if gateway := labels.get(GATEWAY_LABEL):
                self._gateways.setdefault(f"{workload.namespace}/{gateway}", []).append(number)
                self._why[number] = f"label {GATEWAY_LABEL}={gateway}"
            elif why := _looks_like_controller(workload):
                self._why[number] = why

    def through(self, route: Route) -> list[tuple[int, str]]:
        """Return the workloads that a route leads through, each with why it is taken for one.

        A route of a class that one controller's name has in it leads through that one; any other
        through all controllers there are.
        """
        if route.kind != "Ingress" and (exact := self._gateways.get(route.parent)):
            return [(number, self._why[number]) for number in exact]
        named = [number for number in self._why if route.parent and self._is_of(number, route)]
        return [(number, self._why[number]) for number in named or self._why]

    def _is_of(self, number: int, route: Route) -> bool:
        workload = self._snapshot.workloads[number]
        wanted = route.parent.rpartition("/")[2]
        return wanted in workload.name or wanted in self._why[number].rpartition("=")[2]


def _looks_like_controller(workload: Workload) -> str:
    """Return the label by which a workload is taken for an ingress controller; empty if none."""
    labels = workload.identities[0].labels
    if workload.kind not in _KINDS or labels.get("app.kubernetes.io/component") in _BESIDE:
        return ""
    for key in _NAMING:
        value = labels.get(key, "")
        if value in _KNOWN or "ingress" in value.split("-"):
            return f"label {key}={value}"
    return ""
