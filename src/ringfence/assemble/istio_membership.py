"""How pods take part in Istio: with a proxy of their own, by ambient, as a gateway.

Authority: Istio `pkg/kube/inject/inject.go` injectRequired, the injector's webhooks
(`istio-discovery/templates/mutatingwebhook.yaml`) and template (`files/injection-template.yaml`),
`cni/pkg/util/podutil.go`.
"""

from collections.abc import Mapping
from typing import Final

from ringfence.assemble import mesh_ports
from ringfence.assemble.catalog import Catalog
from ringfence.assemble.mesh_pods import ISTIO_PROXY, PodFacts
from ringfence.assemble.mesh_settings import Settings
from ringfence.assemble.waypoints import GATEWAY_NAME, MANAGED, WAYPOINT_MANAGER, Gateways
from ringfence.model.kinds import MESH_TITLES
from ringfence.model.mesh import CLASSIC_GATEWAY, DataPlane, IstioConfig, Membership, Ports

INJECTION, REVISION, INJECT = "istio-injection", "istio.io/rev", "sidecar.istio.io/inject"
MODE, AMBIENT, REDIRECTED = "istio.io/dataplane-mode", "ambient", "ambient.istio.io/redirection"
STATUS, TEMPLATES = "sidecar.istio.io/status", "inject.istio.io/templates"
TRAFFIC: Final = "traffic.sidecar.istio.io/"
TRUE: Final = frozenset({"y", "yes", "true", "on"})
NEVER: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
"""Namespaces in which nothing is injected, whatever labels say."""
OWN_PORTS: Final = (15021, 15090)
"""Of the proxy itself: its health, its metrics."""
STATUS_PORT: Final = "15020"
NONE_TAKEN: Final = Ports(all_but=False)
WAYPOINT_MODE, ROUTER_MODE = "waypoint", "router"
EVIDENCE: Final = frozenset({"AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"})
"""Objects that nobody writes who has no mesh; a ServiceEntry lies about in many a chart."""


class IstioRules:
    """The rules, with what of the cluster they depend on."""

    def __init__(
        self,
        settings: Settings,
        gateways: Gateways,
        catalog: Catalog,
        namespaces: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Look for signs of Istio."""
        config = settings.istio or IstioConfig()
        self._domain = config.trust_domain
        self._root = config.root_namespace
        self._gateways = gateways
        titles = {document.title for document in catalog.policies}
        labelled = any(map(_takes_part, namespaces.values()))
        self._sure = bool(settings.istio or labelled or EVIDENCE & titles)
        self._ambient = not any(map(_injects, namespaces.values())) and any(
            labels.get(MODE) == AMBIENT for labels in namespaces.values()
        )
        self.there = self._sure or any(MESH_TITLES.get(title) == "istio" for title in titles)
        """Whether anything of Istio is there, beside pods."""

    def of(self, pod: PodFacts) -> Membership | None:
        """Return how a pod takes part; None where it does not."""
        name = pod.labels.get(GATEWAY_NAME, "")
        if ISTIO_PROXY in pod.containers.proxies or STATUS in pod.annotations:
            return self._with_proxy(pod, seen=True)
        if pod.created:
            redirected = pod.annotations.get(REDIRECTED)
            if redirected == "enabled" or (not pod.running and self._in_ambient(pod)):
                return self._in_ambient_mesh(pod, seen=redirected == "enabled")
            return None
        if name and self._gateways.is_waypoint(pod.space.name, name):
            return self._with_proxy(pod, seen=False)
        if injected(pod):
            return self._with_proxy(pod, seen=False)
        if self._in_ambient(pod):
            return self._in_ambient_mesh(pod, seen=False)
        return self._uncertain(pod)

    # -- by what -----------------------------------------------------------------------------

    def _with_proxy(self, pod: PodFacts, *, seen: bool) -> Membership:
        gateway = pod.labels.get(GATEWAY_NAME, "")
        waypoint = bool(gateway) and (
            self._gateways.is_waypoint(pod.space.name, gateway)
            or pod.labels.get(MANAGED) == WAYPOINT_MANAGER
            or WAYPOINT_MODE in pod.containers.modes
        )
        if not gateway and _is_classic_gateway(pod):
            gateway = CLASSIC_GATEWAY
        if gateway:
            # Nothing is redirected to it: it listens.
            inbound, outbound = Ports(mesh_ports.joined((p, p) for p in OWN_PORTS)), Ports()
            unclear = ""
        else:
            inbound, outbound, unclear = taken(pod.annotations)
        return Membership(
            DataPlane.SIDECAR,
            self._principal(pod),
            seen=seen,
            inbound=inbound,
            outbound=outbound,
            gateway=gateway,
            waypoint=waypoint,
            uncertain=unclear,
        )

    def _in_ambient_mesh(self, pod: PodFacts, *, seen: bool) -> Membership:
        return Membership(DataPlane.AMBIENT, self._principal(pod), seen=seen)

    def _uncertain(self, pod: PodFacts) -> Membership | None:
        """Return what may be where the labels of the namespace are not known."""
        space = pod.space
        asked = pod.labels.get(INJECT, "")
        if (
            space.labels is not None
            or not self._sure
            or space.name in NEVER
            or space.name == self._root
            or (asked and asked.lower() not in TRUE)
            or pod.labels.get(MODE) == "none"
        ):
            return None
        plane = DataPlane.AMBIENT if self._ambient else DataPlane.SIDECAR
        inbound, outbound, _ = taken(pod.annotations)
        if plane is DataPlane.AMBIENT:
            inbound = outbound = Ports()
        return Membership(
            plane,
            self._principal(pod),
            inbound=inbound,
            outbound=outbound,
            uncertain=(
                f"whether pods of namespace `{space.name}` are in the mesh: no Namespace object of "
                "the input has its labels"
            ),
        )

    def _in_ambient(self, pod: PodFacts) -> bool:
        own = pod.labels.get(MODE)
        if own is not None:
            return own == AMBIENT
        return (pod.space.labels or {}).get(MODE) == AMBIENT

    def _principal(self, pod: PodFacts) -> str:
        return principal(self._domain, pod.space.name, pod.account)


def principal(trust_domain: str, namespace: str, account: str) -> str:
    """Return the SPIFFE identity of a service account, without its scheme.

    Source: Istio `pkg/spiffe/spiffe.go`.
    """
    return f"{trust_domain}/ns/{namespace}/sa/{account}"


def injected(pod: PodFacts) -> bool:
    """Return whether the injector will put a proxy into a pod.

    The webhooks select by labels of namespace and pod; what they select, the injector looks at
    again. Of revisions, each that a label names is taken to be installed. Where the namespace's
    labels are not known, a label of the pod that would do alone does.
    """
    space, labels = pod.space, pod.labels
    if space.name in NEVER:
        return False
    around = space.labels or {}
    asked = labels.get(INJECT)
    if INJECTION in around:
        selected = around[INJECTION] == "enabled" and asked != "false"
    elif REVISION in around or REVISION in labels:
        selected = asked != "false"
    else:
        selected = asked == "true"
    if not selected:
        return False
    wished = pod.annotations.get(INJECT, "") if asked is None else asked
    return wished == "" or wished.lower() in TRUE


def taken(annotations: Mapping[str, str]) -> tuple[Ports, Ports, str]:
    """Return the ports that a proxy takes, inbound and outbound, and what is not understood.

    Source: Istio `tools/istio-iptables/pkg/capture/run.go`: where ports are listed to be taken,
    only they are, and the list of those to be left out is not looked at.
    """
    unclear: list[str] = []

    def read(name: str, default: str = "") -> mesh_ports.Ranges:
        written = annotations.get(name, default)
        found = mesh_ports.parse(written)
        if found is None:
            unclear.append(f"`{name}: {written}` is no list of ports")
        return found or ()

    if annotations.get("sidecar.istio.io/interceptionMode") == "NONE":
        return NONE_TAKEN, NONE_TAKEN, ""
    if annotations.get(f"{TRAFFIC}includeInboundPorts", "*") == "*":
        own = [(port, port) for port in OWN_PORTS]
        status = read("status.sidecar.istio.io/port", STATUS_PORT)
        left_out = read(f"{TRAFFIC}excludeInboundPorts")
        inbound = Ports(mesh_ports.joined((*own, *status, *left_out)))
    else:
        inbound = Ports(read(f"{TRAFFIC}includeInboundPorts"), all_but=False)
    outbound = Ports(read(f"{TRAFFIC}excludeOutboundPorts"))
    if annotations.get(f"{TRAFFIC}includeOutboundIPRanges") == "":
        # No address is taken, and so no port but the listed ones.
        listed = read(f"{TRAFFIC}includeOutboundPorts")
        ports = (port for first, last in listed for port in range(first, last + 1))
        left = mesh_ports.joined((port, port) for port in ports if outbound.holds(port))
        outbound = Ports(left, all_but=False)
    return inbound, outbound, "; ".join(unclear)


def _injects(labels: Mapping[str, str]) -> bool:
    return labels.get(INJECTION) == "enabled" or (REVISION in labels and INJECTION not in labels)


def _takes_part(labels: Mapping[str, str]) -> bool:
    return _injects(labels) or labels.get(MODE) == AMBIENT


def _is_classic_gateway(pod: PodFacts) -> bool:
    """Return whether a proxy is a gateway's that no Gateway of the Gateway API stands for."""
    templates = pod.annotations.get(TEMPLATES, "").split(",")
    return ROUTER_MODE in pod.containers.modes or "gateway" in map(str.strip, templates)
