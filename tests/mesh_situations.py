"""Hypothesis strategies for small clusters in which some namespaces are in a mesh, with maps."""

from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st

from map_strategies import Situation, clusters, maps
from policy_strategies import Draw, Manifest
from strategies import build

LABELS: Final[dict[str, dict[str, str]]] = {
    "none": {},
    "sidecar": {"istio-injection": "enabled"},
    "ambient": {"istio.io/dataplane-mode": "ambient"},
}
INJECTED: Final = {"linkerd.io/inject": "enabled"}
DEFAULT: Final = "config.linkerd.io/default-inbound-policy"
ACCOUNTS: Final = ("default", "one", "two", "three", "four")


@st.composite
def meshed(draw: Draw, mesh: str, cni: str | None = None) -> Situation:
    """Return a cluster of which some namespaces are in a mesh, and a map of it.

    Args:
        draw: Hypothesis's.
        mesh: `istio` or `linkerd`.
        cni: the CNI; None: any.
    """
    manifests = draw(clusters())
    for manifest in manifests:
        _join(draw, mesh, manifest)
    chosen = cni or draw(st.sampled_from(("generic", "calico", "cilium")))
    pod_cidrs = draw(st.sampled_from((("10.0.0.0/16",), ("10.0.0.0/25", "fd00::/64"))))
    written = draw(maps(build(manifests, chosen, pod_cidrs), addresses=True))
    return Situation(manifests, chosen, pod_cidrs, written)


def _join(draw: Draw, mesh: str, manifest: Manifest) -> None:
    """Let an object take part in a mesh, or not."""
    metadata: dict[str, Any] = manifest["metadata"]
    match manifest["kind"]:
        case "Namespace" if mesh == "linkerd":
            if draw(st.integers(0, 3)):
                metadata["annotations"] = dict(INJECTED)
                if default := draw(st.sampled_from(("", "deny", "all-authenticated"))):
                    metadata["annotations"][DEFAULT] = default
        case "Namespace":
            plane = draw(st.sampled_from(("none", "sidecar", "sidecar", "ambient", "ambient")))
            metadata["labels"] = {**metadata["labels"], **LABELS[plane]}
        case "Service":
            for port in manifest["spec"]["ports"]:
                before = draw(st.sampled_from(("", "http-", "tcp-")))
                port["name"] = before + port["name"]
        case "Node":
            pass
        case kind:
            spec = manifest["spec"]
            if kind == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            if kind != "Pod":
                spec = spec["template"]["spec"]
            spec["serviceAccountName"] = draw(st.sampled_from(ACCOUNTS))


def under(situation: Situation, cni: str) -> Situation:
    """Return the same under another CNI."""
    return replace(situation, cni=cni)
