"""The tiers that a CNI profile has for every cluster, and which of them a kind of policy is in.

Calico's custom tiers are objects of their own; `dialects/calico` reads them.
"""

import math
from typing import Final

from ringfence.model.profile import Cni
from ringfence.model.rule import (
    ADMIN,
    BASELINE,
    NETWORK_POLICY,
    Action,
    Layer,
    Resolution,
    Tier,
    Ties,
)

CALICO_FAILSAFE: Final = Tier(-math.inf, "failsafe", ties=Ties.NAME)
"""Ports of host endpoints that no policy can close."""
CALICO_UNTRACKED: Final = -2e300
CALICO_PRE_DNAT: Final = -1e300
"""Where tiers of untracked and of pre-DNAT policies begin: before every tier that anybody gives an
order, and after the failsafe ports."""
CALICO_ADMIN: Final = Tier(1_000, "kube-admin", ties=Ties.NAME)
CALICO_DEFAULT: Final = Tier(1_000_000, "default", ties=Ties.NAME, unmatched=Action.DENY)
CALICO_BASELINE: Final = Tier(10_000_000, "kube-baseline", ties=Ties.NAME)
CALICO_PROFILES: Final = Tier(math.inf, "~profiles", ties=Ties.NAME, unmatched=Action.DENY)
"""After every other tier, also those without an order: `~` sorts behind all names.

Source: Calico `api/pkg/apis/projectcalico/v3/tier.go`, `felix/rules/endpoints.go`."""
CALICO_NETWORK_POLICY_ORDER: Final = 1000.0
"""The order of every Kubernetes NetworkPolicy in the tier `default`."""

CILIUM_ADMIN: Final = Tier(100, "admin", ties=Ties.DENY_FIRST)
CILIUM_NORMAL: Final = Tier(200, "normal", Resolution.DENY_WINS, unmatched=Action.DENY)
CILIUM_BASELINE: Final = Tier(250, "baseline", ties=Ties.DENY_FIRST)
"""Source: Cilium `pkg/policy/types/policyentry.go`."""

ISTIO_TRANSPORT: Final = Tier(10, "transport", ties=Ties.NAME, layer=Layer.MESH)
"""PeerAuthentication: what must, or must not, be mTLS."""
ISTIO_CUSTOM: Final = Tier(20, "custom", Resolution.DENY_WINS, layer=Layer.MESH)
ISTIO_AUDIT: Final = Tier(30, "audit", Resolution.DENY_WINS, layer=Layer.MESH)
ISTIO_DENY: Final = Tier(40, "deny", Resolution.DENY_WINS, layer=Layer.MESH)
ISTIO_ALLOW: Final = Tier(
    50, "allow", Resolution.DENY_WINS, unmatched=Action.DENY, layer=Layer.MESH
)
"""Source: istio/api `security/v1beta1/authorization_policy.proto`; Istio
`pilot/pkg/networking/core/listener_builder.go`."""
LINKERD_SERVER: Final = Tier(60, "server", ties=Ties.NAME, layer=Layer.MESH)
LINKERD_DEFAULT: Final = Tier(70, "default", ties=Ties.NAME, layer=Layer.MESH)
"""Source: linkerd2 `policy-controller/k8s/index/src/inbound/index.rs`."""
MESH_EGRESS: Final = Tier(80, "egress", ties=Ties.NAME, layer=Layer.MESH)
"""What the proxy of the source lets out: Istio's Sidecar and outbound mode, EgressNetwork."""


def is_before_nat(tier: Tier) -> bool:
    """Return whether a tier is of Calico's pre-DNAT policies."""
    return CALICO_PRE_DNAT <= tier.order < CALICO_PRE_DNAT / 10


def admin(cni: Cni) -> Tier:
    """Return the tier of ClusterNetworkPolicies of tier Admin, and of AdminNetworkPolicies."""
    return {Cni.CALICO: CALICO_ADMIN, Cni.CILIUM: CILIUM_ADMIN}.get(cni, ADMIN)


def network_policy(cni: Cni) -> Tier:
    """Return the tier of NetworkPolicies."""
    return {Cni.CALICO: CALICO_DEFAULT, Cni.CILIUM: CILIUM_NORMAL}.get(cni, NETWORK_POLICY)


def baseline(cni: Cni) -> Tier:
    """Return the tier of ClusterNetworkPolicies of tier Baseline, and of their forerunner."""
    return {Cni.CALICO: CALICO_BASELINE, Cni.CILIUM: CILIUM_BASELINE}.get(cni, BASELINE)
