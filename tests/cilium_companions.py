"""Hypothesis strategies for what Cilium's policies refer to, and for Cilium's agent."""

from collections.abc import Sequence

from hypothesis import strategies as st

from cilium_strategies import BLOCKS, SERVICES
from policy_strategies import INHABITED, POD_LABELS, Draw, Manifest

VERSIONS = ("v1.16.9", "v1.17.5", "v1.18.2", "v1.19.4", "v1.20.1")


@st.composite
def cilium_settings(draw: Draw) -> Manifest:
    """The ConfigMap of Cilium's agent."""
    options = {
        "enable-policy": st.sampled_from(("default", "always", "never")),
        "policy-audit-mode": st.sampled_from(("true", "false")),
        "enable-host-firewall": st.sampled_from(("true", "true", "false")),
        "enable-node-selector-labels": st.sampled_from(("true", "true", "false")),
        "policy-cidr-match-mode": st.sampled_from(("nodes", "pods", "nodes,pods", "")),
        "allow-localhost": st.sampled_from(("auto", "always", "policy")),
        "cluster-name": st.sampled_from(("default", "east")),
        "enable-k8s-cluster-network-policy": st.sampled_from(("true", "true", "false")),
    }
    likely = {"enable-policy": 7, "policy-audit-mode": 7}
    data = {
        key: draw(value)
        for key, value in options.items()
        if draw(st.integers(0, 9)) >= likely.get(key, 4)
    }
    metadata = {"name": "cilium-config", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def cilium_agent(version: str) -> Manifest:
    """The DaemonSet of Cilium's agent."""
    image = f"quay.io/cilium/cilium:{version}"
    spec = {"hostNetwork": True, "containers": [{"name": "agent", "image": image}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "cilium", "namespace": "kube-system"},
        "spec": {"selector": {}, "template": {"metadata": {}, "spec": spec}},
    }


@st.composite
def endpoint_services(
    draw: Draw, namespace: str, name: str, addresses: Sequence[str]
) -> list[Manifest]:
    """A Service without a selector, and its EndpointSlice."""
    spec: Manifest = {"ports": [{"port": 443, "targetPort": 6443}]}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "web"}}
    address = draw(st.sampled_from(addresses))
    sliced = {"labels": {"kubernetes.io/service-name": name}}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata | sliced,
            "addressType": "IPv6" if ":" in address else "IPv4",
            "endpoints": [{"addresses": [address]}],
            "ports": [{"port": 6443, "protocol": "TCP"}],
        },
    ]


@st.composite
def cilium_companions(draw: Draw) -> list[Manifest]:
    """What policies refer to: groups of blocks, Services; and the agent with its settings."""
    found: list[Manifest] = []
    for name in ("offices", "partners"):
        if draw(st.integers(0, 2)):
            labels = {"site": draw(st.sampled_from(("a", "b")))}
            cidrs = draw(st.lists(st.sampled_from(BLOCKS), max_size=2, unique=True))
            found.append(
                {
                    "apiVersion": draw(st.sampled_from(("cilium.io/v2", "cilium.io/v2alpha1"))),
                    "kind": "CiliumCIDRGroup",
                    "metadata": {"name": name, "labels": labels},
                    "spec": {"externalCIDRs": cidrs},
                }
            )
    for name in SERVICES[:2]:
        if draw(st.booleans()):
            metadata: Manifest = {"name": name, "namespace": draw(st.sampled_from(INHABITED))}
            metadata["labels"] = {"app": draw(st.sampled_from(("web", "db")))}
            spec = {"selector": {"app": draw(st.sampled_from(POD_LABELS["app"]))}, "ports": []}
            service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
            found.append(service)
    if draw(st.booleans()):
        inside = ("203.0.113.7", "10.0.0.5", "192.168.0.1")
        found += draw(endpoint_services("alpha", "bare", inside))
    if draw(st.booleans()):
        servers = ("203.0.113.9", "192.168.0.1", "10.0.0.4", "2001:db8::1")
        found += draw(endpoint_services("default", "kubernetes", servers))
    if draw(st.integers(0, 3)):
        found.append(draw(cilium_settings()))
    if draw(st.booleans()):
        found.append(cilium_agent(draw(st.sampled_from(VERSIONS))))
    return found
