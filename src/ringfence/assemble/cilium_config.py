"""Reads `kube-system/cilium-config`: the settings of Cilium's agent that change verdicts.

Authority: Cilium `pkg/option/config.go`, `pkg/defaults/defaults.go`.
"""

from dataclasses import dataclass
from typing import Final

from ringfence.assemble.catalog import Catalog
from ringfence.assemble.values import Malformed, string_map
from ringfence.model.document import Document
from ringfence.model.location import Problem
from ringfence.model.profile import CiliumConfig, Enforcement

CILIUM_CONFIG: Final = ("kube-system", "cilium-config")
TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
"""What Go's `strconv.ParseBool` takes for true."""


@dataclass(frozen=True)
class Found:
    """What the configuration says."""

    settings: CiliumConfig
    cluster_network_policy: bool
    """`enable-k8s-cluster-network-policy`: off where the configuration says nothing."""


def read(catalog: Catalog, problems: list[Problem]) -> Found | None:
    """Return the agent's settings; None where the configuration is not in the input."""
    for document in catalog.of("ConfigMap"):
        if (document.namespace, document.name) == CILIUM_CONFIG:
            try:
                return _read(document)
            except Malformed as malformed:
                problems.append(malformed.of(document))
    return None


def _read(document: Document) -> Found:
    data = string_map(document.body, "data", ())

    def on(key: str) -> bool:
        return data.get(key, "") in TRUE

    enforcement = data.get("enable-policy", "").lower() or "default"
    if enforcement not in tuple(Enforcement):
        raise Malformed(f"`{enforcement}` is no mode of enforcement", ("data", "enable-policy"))
    cidrs = data.get("policy-cidr-match-mode", "").replace(",", " ").split()
    settings = CiliumConfig(
        enforcement=Enforcement(enforcement),
        audit=on("policy-audit-mode"),
        host_firewall=on("enable-host-firewall"),
        node_selectors=on("enable-node-selector-labels"),
        cidrs_match_nodes="nodes" in cidrs,
        cidrs_match_pods="pods" in cidrs,
        local_host_allowed=data.get("allow-localhost", "auto") != "policy",
        cluster=data.get("cluster-name") or "default",
    )
    return Found(settings, on("enable-k8s-cluster-network-policy"))
