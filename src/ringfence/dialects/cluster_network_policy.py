"""`policy.networking.k8s.io/v1alpha2` ClusterNetworkPolicy.

Authority: kubernetes-sigs/network-policy-api `apis/v1alpha2/clusternetworkpolicy_types.go`.
"""

from typing import Any, Final

from ringfence.dialects import Context, Dialect, _policy_api
from ringfence.dialects._shared import Malformed, fields, filled, integer, one_of
from ringfence.model import tiers
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.profile import Cni, Profile, older_than
from ringfence.model.rule import Action, NamedPort, Policy, PortRange, Tier, Traffic


def _place(_document: Document, spec: dict[str, Any], cni: Cni) -> tuple[Tier, int]:
    tier = one_of(spec.get("tier"), ("spec", "tier"), ("Admin", "Baseline"))
    priority = _policy_api.priority(spec.get("priority"), ("spec", "priority"))
    return (tiers.admin if tier == "Admin" else tiers.baseline)(cni), priority


def _traffic(value: Any, path: Path) -> Traffic:  # noqa: ANN401
    given = fields(value, path, ("tcp", "udp", "sctp", "destinationNamedPort"))
    if len(given) != 1:
        raise Malformed("exactly one of tcp, udp, sctp and destinationNamedPort", path)
    ((name, content),) = given.items()
    at = (*path, name)
    if name == "destinationNamedPort":
        # Whatever protocol the container port declares (types.go, DestinationNamedPort).
        return NamedPort(filled(content, at), None)
    protocol = Protocol(name.upper())
    port = fields(content, at, ("destinationPort",)).get("destinationPort")
    if port is None:
        # The CRD refuses `tcp: {}`; implementations read a missing port as all ports.
        return PortRange(protocol)
    at = (*at, "destinationPort")
    chosen = fields(port, at, ("number", "range"))
    if len(chosen) != 1:
        raise Malformed("exactly one of number and range", at)
    if "number" in chosen:
        number = integer(chosen["number"], (*at, "number"), 1, 65535)
        return PortRange(protocol, number, number)
    ends = fields(chosen["range"], (*at, "range"), ("start", "end"))
    start = integer(ends.get("start"), (*at, "range", "start"), 1, 65535)
    end = integer(ends.get("end"), (*at, "range", "end"), 1, 65535)
    if start >= end:
        raise Malformed("start must be less than end", (*at, "range"))
    return PortRange(protocol, start, end)


FORM: Final = _policy_api.Form(
    spec_fields=("tier", "priority", "subject", "ingress", "egress"),
    actions={"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
    traffic_field="protocols",
    parse_traffic=_traffic,
    ingress_peers=("namespaces", "pods"),
    egress_peers=("namespaces", "pods", "nodes", "networks", "domainNames"),
    place=_place,
    named_port="destinationNamedPort",
    most=25,
    namespaces_required=False,
)


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return a ClusterNetworkPolicy in common form."""
    return _policy_api.parse(FORM, index, document, context.profile)


def inert_because(kind: str, profile: Profile) -> str | None:  # noqa: ARG001
    """Return why the profile enforces no ClusterNetworkPolicies; None where it does.

    Source: kubernetes-sigs/network-policy-api `site-src/implementations.md`; Cilium
    `pkg/defaults/defaults.go` (off unless switched on, from 1.20).
    """
    match profile.cni:
        case Cni.NONE:
            return "nothing in this cluster enforces network policies (profile none)"
        case Cni.OVN_KUBERNETES | Cni.ANTREA:
            return f"{profile.cni} enforces AdminNetworkPolicy, not ClusterNetworkPolicy"
        case Cni.CALICO if older_than(profile.version, 3, 32):
            return f"calico {profile.version} does not know ClusterNetworkPolicy (3.32 does)"
        case Cni.CILIUM if older_than(profile.version, 1, 20):
            return f"cilium {profile.version} does not know ClusterNetworkPolicy (1.20 does)"
        case Cni.CILIUM if profile.cluster_network_policy is False:
            return "cilium's `enable-k8s-cluster-network-policy` is off"
        case _:
            return None


DIALECT: Final = Dialect(
    kinds=frozenset({("policy.networking.k8s.io", "ClusterNetworkPolicy")}),
    parse=parse,
    inert_because=inert_because,
)
