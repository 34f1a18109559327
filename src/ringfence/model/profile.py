"""Which CNI enforces the policies: the same objects mean different things on different ones."""

from enum import StrEnum

import msgspec


class Cni(StrEnum):
    """The profiles. `none` enforces nothing at all."""

    GENERIC = "generic"
    OVN_KUBERNETES = "ovn-kubernetes"
    ANTREA = "antrea"
    CALICO = "calico"
    CILIUM = "cilium"
    NONE = "none"


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """The profile by which verdicts are computed, and how it was chosen."""

    cni: Cni = Cni.GENERIC
    chosen: str = "default"
    """`given` (by `--profile`), `detected`, or `default`."""
    evidence: str = ""
    """What it was detected from, as `DaemonSet kube-system/calico-node`."""
    version: str = ""
    """The agent's version where its image tells, as `1.18.2`."""
    cluster_network_policy: bool | None = None
    """Cilium only judges ClusterNetworkPolicy where `enable-k8s-cluster-network-policy` is on;
    None where the input does not tell."""
    cilium: "CiliumConfig | None" = None
    """What `cilium-config` says; None where it is not in the input, and defaults are taken."""


class Enforcement(StrEnum):
    """Cilium's `enable-policy`."""

    DEFAULT = "default"
    ALWAYS = "always"
    """Every endpoint is isolated both ways, selected or not."""
    NEVER = "never"


class CiliumConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """The settings of Cilium's agent that change verdicts; each with Cilium's own default.

    Source: Cilium `pkg/option/config.go`, `pkg/defaults/defaults.go`.
    """

    enforcement: Enforcement = Enforcement.DEFAULT
    audit: bool = False
    """`policy-audit-mode`: what policies deny passes all the same, and is logged."""
    host_firewall: bool = False
    """`enable-host-firewall`: policies with a `nodeSelector` have effect."""
    node_selectors: bool = False
    """`enable-node-selector-labels`: `fromNodes` and `toNodes` match."""
    cidrs_match_nodes: bool = False
    """`policy-cidr-match-mode` holds `nodes` (from 1.15)."""
    cidrs_match_pods: bool = False
    """`policy-cidr-match-mode` holds `pods` (from 1.20)."""
    local_host_allowed: bool = True
    """`allow-localhost`: `auto` and `always` in Kubernetes; False for `policy`."""
    cluster: str = "default"
    """`cluster-name`."""


def older_than(version: str, major: int, minor: int) -> bool:
    """Return whether a version is known and older; an unknown one counts as the newest."""
    parts = version.removeprefix("v").split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return False
    return (int(parts[0]), int(parts[1])) < (major, minor)
