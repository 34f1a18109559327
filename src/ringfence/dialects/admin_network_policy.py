"""`policy.networking.k8s.io/v1alpha1` AdminNetworkPolicy and BaselineAdminNetworkPolicy.

Authority: kubernetes-sigs/network-policy-api `apis/v1alpha1/*.go`, of the releases before
ClusterNetworkPolicy replaced both.
"""

from typing import Any, Final

from ringfence.dialects import Context, Dialect, _policy_api
from ringfence.dialects._shared import Malformed, fields, filled, integer, one_of
from ringfence.model import tiers
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.profile import Cni, Profile, older_than
from ringfence.model.rule import Action, NamedPort, Policy, PortRange, Tier, Traffic

PROTOCOLS: Final = ("TCP", "UDP", "SCTP")


def _place_admin(_document: Document, spec: dict[str, Any], cni: Cni) -> tuple[Tier, int]:
    return tiers.admin(cni), _policy_api.priority(spec.get("priority"), ("spec", "priority"))


def _place_baseline(document: Document, _spec: dict[str, Any], cni: Cni) -> tuple[Tier, int]:
    if document.name != "default":
        raise Malformed(
            "the only BaselineAdminNetworkPolicy there can be is named `default`",
            ("metadata", "name"),
        )
    # After every Baseline ClusterNetworkPolicy, where both kinds are enforced.
    return tiers.baseline(cni), 1001


def _traffic(value: Any, path: Path) -> Traffic:  # noqa: ANN401
    given = fields(value, path, ("portNumber", "portRange", "namedPort"))
    if len(given) != 1:
        raise Malformed("exactly one of portNumber, portRange and namedPort", path)
    ((name, content),) = given.items()
    at = (*path, name)
    if name == "namedPort":
        return NamedPort(filled(content, at), None)
    known = ("protocol", "port") if name == "portNumber" else ("protocol", "start", "end")
    parts = fields(content, at, known)
    protocol = Protocol(one_of(parts.get("protocol", "TCP"), (*at, "protocol"), PROTOCOLS))
    if name == "portNumber":
        number = integer(parts.get("port"), (*at, "port"), 1, 65535)
        return PortRange(protocol, number, number)
    start = integer(parts.get("start"), (*at, "start"), 1, 65535)
    end = integer(parts.get("end"), (*at, "end"), 1, 65535)
    if start >= end:
        raise Malformed("start must be less than end", at)
    return PortRange(protocol, start, end)


ADMIN: Final = _policy_api.Form(
    spec_fields=("priority", "subject", "ingress", "egress"),
    actions={"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
    traffic_field="ports",
    parse_traffic=_traffic,
    ingress_peers=("namespaces", "pods"),
    egress_peers=("namespaces", "pods", "nodes", "networks", "domainNames"),
    place=_place_admin,
    named_port="namedPort",
    most=100,
    namespaces_required=True,
)
BASELINE: Final = _policy_api.Form(
    spec_fields=("subject", "ingress", "egress"),
    actions={"Allow": Action.ALLOW, "Deny": Action.DENY},
    traffic_field="ports",
    parse_traffic=_traffic,
    ingress_peers=("namespaces", "pods"),
    egress_peers=("namespaces", "pods", "nodes", "networks"),
    place=_place_baseline,
    named_port="namedPort",
    most=100,
    namespaces_required=True,
)


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return an AdminNetworkPolicy or the BaselineAdminNetworkPolicy in common form."""
    form = ADMIN if document.kind == "AdminNetworkPolicy" else BASELINE
    return _policy_api.parse(form, index, document, context.profile)


def inert_because(kind: str, profile: Profile) -> str | None:
    """Return why the profile does not enforce these kinds; None where it does.

    Source: kubernetes-sigs/network-policy-api `site-src/implementations.md`.
    """
    match profile.cni:
        case Cni.NONE:
            return "nothing in this cluster enforces network policies (profile none)"
        case Cni.CILIUM:
            return f"cilium does not know {kind}"
        case Cni.CALICO if not (profile.version and older_than(profile.version, 3, 32)):
            return f"calico 3.32 and later enforce ClusterNetworkPolicy, not {kind}"
        case _:
            return None


DIALECT: Final = Dialect(
    kinds=frozenset(
        {
            ("policy.networking.k8s.io", "AdminNetworkPolicy"),
            ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"),
        }
    ),
    parse=parse,
    inert_because=inert_because,
)
