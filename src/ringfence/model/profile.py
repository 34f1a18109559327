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
