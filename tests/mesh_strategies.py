"""Hypothesis strategies for small clusters with a mesh: members of every kind, and those outside.

There are few names and few ports, so that policies meet what they are about; policies of the
network stand beside those of the mesh, at the port of the application and at that of the wire.
"""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

import istio_strategies as istio
import linkerd_strategies as linkerd
from policy_strategies import Draw, Manifest, spoiled
from strategies import Situation
from talkative_strategies import calico_policies, cilium_policies

CNIS = ("generic", "generic", "calico", "cilium")
NUMBERS = (80, 8080, 9000)
NAMES = ("http", "http-x", "grpc", "tcp", "tcp-x", "https", "tls", "mongo", "", "odd", "http2")
PROTOCOLS = ("http", "tcp", "kubernetes.io/h2c", "https", "odd.test/x")
SEEN: Manifest = {"sidecar.istio.io/status": "{}"}
REDIRECTED: Manifest = {"ambient.istio.io/redirection": "enabled"}
TRAFFIC = "traffic.sidecar.istio.io/"
CONFIG = "config.linkerd.io/"
ISTIO_PORTS: tuple[Manifest, ...] = (
    {f"{TRAFFIC}excludeInboundPorts": "8080"},
    {f"{TRAFFIC}includeInboundPorts": "80"},
    {f"{TRAFFIC}excludeOutboundPorts": "80"},
    {f"{TRAFFIC}includeOutboundPorts": "80", f"{TRAFFIC}includeOutboundIPRanges": ""},
    {"sidecar.istio.io/interceptionMode": "NONE"},
    {f"{TRAFFIC}excludeInboundPorts": "what"},
)
LINKERD_PORTS: tuple[Manifest, ...] = (
    {f"{CONFIG}skip-inbound-ports": "8080"},
    {f"{CONFIG}skip-outbound-ports": "80"},
    {f"{CONFIG}opaque-ports": "80"},
    {f"{CONFIG}proxy-require-identity-inbound-ports": "8080"},
    *({f"{CONFIG}default-inbound-policy": value} for value in linkerd.DEFAULTS),
)


@st.composite
def namespaces(draw: Draw, mesh: str) -> list[Manifest]:
    """Two that may be in the mesh, and one that is not."""
    found = []
    for name in ("alpha", "beta", "gamma"):
        labels: Manifest = {}
        annotations: Manifest = {}
        if name != "gamma" and mesh == "istio":
            labels = dict(
                draw(
                    st.sampled_from(
                        (
                            {"istio-injection": "enabled"},
                            {"istio.io/dataplane-mode": "ambient"},
                            {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "way"},
                            {},
                        )
                    )
                )
            )
        elif name != "gamma":
            annotations = {"linkerd.io/inject": draw(st.sampled_from(("enabled", "disabled")))}
            if draw(st.integers(0, 3)) == 0:
                annotations |= draw(st.sampled_from(LINKERD_PORTS))
        metadata = {"name": name, "labels": labels, "annotations": annotations}
        found.append({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return found


@st.composite
def taking_part(draw: Draw, mesh: str) -> tuple[Manifest, Manifest, list[Manifest]]:
    """Labels, annotations and further containers that say how pods take part."""
    labels: Manifest = {}
    annotations: Manifest = {}
    proxies: list[Manifest] = []
    if mesh == "linkerd":
        if draw(st.integers(0, 2)):
            labels = {"linkerd.io/control-plane-ns": "linkerd"}
            proxies = [{"name": "linkerd-proxy", "image": "l"}]
        elif draw(st.booleans()):
            annotations = {"linkerd.io/inject": draw(st.sampled_from(("enabled", "disabled")))}
        if draw(st.integers(0, 2)) == 0:
            annotations = {**annotations, **draw(st.sampled_from(LINKERD_PORTS))}
        return labels, annotations, proxies
    match draw(st.integers(0, 9)):
        case 0 | 1 | 2:
            annotations = dict(SEEN)
        case 3 | 4 | 5:
            annotations = dict(REDIRECTED)
        case 6:
            labels = {"sidecar.istio.io/inject": draw(st.sampled_from(("true", "false")))}
        case 7:
            labels = {"istio.io/dataplane-mode": draw(st.sampled_from(("ambient", "none")))}
        case 8 if draw(st.booleans()):
            annotations = dict(SEEN)
            labels = {"gateway.networking.k8s.io/gateway-name": "gate"}
    if draw(st.integers(0, 4)) == 0:
        annotations |= draw(st.sampled_from(ISTIO_PORTS))
    return labels, annotations, proxies


@st.composite
def workloads(draw: Draw, number: int, mesh: str) -> Manifest:
    """A pod, or a Deployment without any."""
    app = draw(st.sampled_from(istio.APPS))
    homes = ("alpha", "alpha", "alpha", "beta", "beta", "gamma")
    namespace = draw(st.sampled_from((*homes, "ghost") if number == 3 else homes))
    labels, annotations, proxies = draw(taking_part(mesh))
    ports: list[Manifest] = [{"containerPort": 80, "name": "http"}]
    if draw(st.booleans()):
        ports.append({"containerPort": 8080, "name": "admin"})
    container: Manifest = {"name": "main", "image": "x", "ports": ports}
    if mesh == "linkerd" and draw(st.integers(0, 2)) == 0:
        probe = {"httpGet": {"path": "/pub", "port": draw(st.sampled_from((80, "admin")))}}
        container["readinessProbe"] = probe
    account = draw(st.sampled_from((app, app, app, "robot", "")))
    spec: Manifest = {"containers": [container, *proxies]}
    if account:
        spec["serviceAccountName"] = account
    if draw(st.integers(0, 14)) == 0:
        spec["hostNetwork"] = True
    metadata: Manifest = {"labels": {"app": app, **labels}, "annotations": annotations}
    name = f"w{number}"
    if draw(st.integers(0, 3)) == 0:
        template = {"metadata": metadata, "spec": spec}
        chosen = {"replicas": 2, "selector": {"matchLabels": {"app": app}}, "template": template}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": chosen,
        }
    addresses = [{"ip": f"10.0.0.{number + 4}"}, {"ip": f"fd00::{number + 4}"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
        "status": {"phase": "Running", "podIPs": addresses[: draw(st.sampled_from((1, 1, 2)))]},
    }


@st.composite
def services(draw: Draw, name: str, mesh: str) -> Manifest:
    """A Service whose ports say what is spoken there, in their names or beside them."""
    ports = []
    for number in draw(st.sampled_from(((80,), (80,), (80, 9000), (9000,)))):
        port: Manifest = {"port": number, "name": draw(st.sampled_from(NAMES)) or f"p{number}"}
        targets = (80, 8080, 9000, "http") if number == 80 else (8080, 9000, "admin")
        if draw(st.integers(0, 3)):
            port["targetPort"] = draw(st.sampled_from(targets))
        if draw(st.integers(0, 3)) == 0:
            port["appProtocol"] = draw(st.sampled_from(PROTOCOLS))
        ports.append(port)
    if len({port["name"] for port in ports}) < len(ports):
        ports = ports[:1]
    metadata: Manifest = {
        "name": name,
        "namespace": draw(st.sampled_from(("alpha", "alpha", "beta"))),
    }
    if mesh == "istio" and draw(st.booleans()):
        metadata["labels"] = {"istio.io/use-waypoint": "way"}
    spec: Manifest = {"ports": ports}
    if draw(st.integers(0, 14)):
        spec["selector"] = {"app": draw(st.sampled_from(istio.APPS))}
    if draw(st.integers(0, 7)) == 0:
        spec["clusterIP"] = "None"
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@st.composite
def gateways(draw: Draw) -> list[Manifest]:
    """A waypoint, and at times a gateway of the Gateway API."""
    found: list[Manifest] = []
    for name, kind in (("way", "istio-waypoint"), ("gate", "istio")):
        if draw(st.integers(0, 3)) >= (kind == "istio") * 2:
            listener = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
            if kind == "istio":
                listener = {"name": "web", "port": 80, "protocol": "HTTP"}
            metadata: Manifest = {"name": name, "namespace": "alpha"}
            if draw(st.integers(0, 4)) == 0:
                metadata["labels"] = {"istio.io/waypoint-for": "all"}
            spec = {"gatewayClassName": kind, "listeners": [listener]}
            api = "gateway.networking.k8s.io/v1"
            found.append({"apiVersion": api, "kind": "Gateway", "metadata": metadata, "spec": spec})
    return found


@st.composite
def clusters(draw: Draw, mesh: str) -> list[Manifest]:
    """A cluster of three to five workloads, with Services in front of them."""
    found = draw(namespaces(mesh))
    if draw(st.integers(0, 3)) == 0:
        addresses = [{"type": "InternalIP", "address": "192.168.0.1"}]
        status = {"addresses": addresses}
        found.append(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": status}
        )
    found += [draw(workloads(number, mesh)) for number in range(draw(st.integers(3, 5)))]
    found += [draw(services(name, mesh)) for name in ("front", "back")]
    if mesh == "istio":
        found += draw(gateways())
    said = istio.configurations() if mesh == "istio" else linkerd.configurations()
    return found + draw(said)


@st.composite
def network_policies(draw: Draw, name: str) -> Manifest:
    """A NetworkPolicy that lets in, or out, one port or another: of the app or of the wire."""
    spec: Manifest = {"podSelector": draw(st.sampled_from(({}, {"matchLabels": {"app": "web"}})))}
    section, side = draw(st.sampled_from((("ingress", "from"),) * 3 + (("egress", "to"),)))
    spec["policyTypes"] = [section.capitalize()]
    rule: Manifest = {}
    if draw(st.integers(0, 2)):
        numbers = draw(
            st.lists(st.sampled_from((80, 8080, 15008, 4143, "http")), min_size=1, max_size=3)
        )
        rule["ports"] = [{"port": number} for number in dict.fromkeys(numbers)]
    if draw(st.booleans()):
        rule[side] = [{"podSelector": {"matchLabels": {"app": draw(st.sampled_from(istio.APPS))}}}]
    spec[section] = [rule]
    namespace = draw(st.sampled_from(("alpha", "alpha", "beta")))
    metadata = {"name": name, "namespace": namespace}
    api = "networking.k8s.io/v1"
    return {"apiVersion": api, "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


@st.composite
def meshed(
    draw: Draw, mesh: str, *, sound: bool = False, cni: str = "", certain: bool = False
) -> Situation:
    """A cluster with a mesh, and policies of both layers.

    Args:
        draw: given by Hypothesis.
        mesh: `istio` or `linkerd`.
        sound: whether all policies are well-formed.
        cni: the profile, where it is to be a certain one.
        certain: whether of every pod it is known whether it takes part.
    """
    own = draw(istio.istio_policies() if mesh == "istio" else linkerd.linkerd_policies())
    if sound:
        for number, policy in enumerate(own, 1):
            if policy["kind"] == "PeerAuthentication":
                # Of those of one age the engine knows only that either may count.
                policy["metadata"]["creationTimestamp"] = f"2026-01-0{number}T00:00:00Z"
    elif draw(st.integers(0, 2)) == 0:
        number = draw(st.integers(0, len(own) - 1))
        own[number] = draw(spoiled(own[number]))
    chosen = cni or draw(st.sampled_from(CNIS))
    beside: list[Manifest] = []
    for number in range(draw(st.sampled_from((0, 0, 1, 1, 2)))):
        one: Any = network_policies
        if chosen in ("calico", "cilium") and draw(st.booleans()):
            one = calico_policies if chosen == "calico" else cilium_policies
        policy = draw(one(f"np{number}"))
        policy["spec"].pop("tier", None)
        beside.append(policy)
    manifests = draw(clusters(mesh))
    if certain:
        manifests = [m for m in manifests if m["metadata"].get("namespace") != "ghost"]
    return Situation(manifests, [*beside, *own], chosen)


def without_policies(situation: Situation, *kinds: str) -> Situation:
    """Return a situation without policies of some kinds."""
    kept = [policy for policy in situation.policies if policy["kind"] not in kinds]
    return replace(situation, policies=kept)
