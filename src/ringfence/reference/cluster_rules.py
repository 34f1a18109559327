"""What ClusterNetworkPolicy and its forerunners have in common, but for their peers.

Source: network-policy-api `apis/v1alpha2/clusternetworkpolicy_types.go` (NPA),
`apis/v1alpha1/shared_types.go`.
"""

from typing import Any

from ringfence.model.document import Document, Path
from ringfence.model.profile import Cni
from ringfence.model.rule import Direction
from ringfence.reference import peers, ports, schema, selectors
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.outcome import NO, YES, Match, Outcome, all_of, any_of, certain
from ringfence.reference.schema import NotUnderstoodError

SIDES = {Direction.INGRESS: "from", Direction.EGRESS: "to"}

TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")
"""What an object may have beside its `spec`; nothing of it changes what the policy means."""

_UNNAMED = ("networks", "nodes", "domainNames")


def spec_of(document: Document, versions: tuple[str, ...]) -> dict[str, Any]:
    """Return the policy's `spec`, which must be there, of a version that is known.

    Raises:
        NotUnderstoodError: it is not.
    """
    if document.api_version not in versions:
        raise NotUnderstoodError(f"`{document.api_version}` is not known", ("apiVersion",))
    spec = document.body.get("spec")
    if not isinstance(spec, dict):
        raise NotUnderstoodError("must be a mapping", ("spec",))
    return spec


def subject(
    value: Any,  # noqa: ANN401
    path: Path,
    pod: OwnPod,
    *,
    namespace_needed: bool,
) -> bool:
    """Return whether a subject selects the pod.

    Exactly one of `namespaces` (all pods of the namespaces selected) and `pods` (both selectors);
    never host-network pods.

    Source: NPA ClusterNetworkPolicySubject; v1alpha1 AdminNetworkPolicySubject.

    Raises:
        NotUnderstoodError: that cannot be told.
    """
    key, selector = schema.only(value, path, ("namespaces", "pods"))
    at = (*path, key)
    if key == "namespaces":
        return selectors.matches(selector, at, pod.namespace_labels)
    return peers.namespaced_pod_matches(
        selector, at, pod.namespace_labels, pod.labels, namespace_needed=namespace_needed
    )


def sections(spec: dict[str, Any], path: Path, most: int) -> dict[Direction, list[Any]]:
    """Return the rules of each direction, raw; one without any is not affected at all.

    Source: NPA ClusterNetworkPolicySpec.ingress ("CNPs with no ingress rules do not affect
    ingress traffic").

    Raises:
        NotUnderstoodError: there is no list, or more rules than there may be.
    """
    return {
        direction: schema.items(spec.get(direction.value), (*path, direction.value), most)
        for direction in Direction
    }


def fail_closed(
    found: list[Match | None], traffic: list[bool], action: Outcome, *, unsupported: bool = False
) -> tuple[Match, Outcome]:
    """Return what a rule does of which some peers may have no known field (None).

    It fails closed: an Accept rule with such a peer matches nothing; a Deny or Pass rule with one
    denies every peer all traffic.

    Args:
        found: one match per peer.
        traffic: one answer per entry of protocols or ports; none at all restricts nothing.
        action: what the rule says.
        unsupported: the rule as a whole says something that is not implemented.

    Source: NPA ClusterNetworkPolicyIngressPeer: for "Accept" rules "fail closed" means matching
    no traffic; for "Deny" and "Pass" rules it means "Deny all".
    """
    known = [match for match in found if match is not None]
    if unsupported or len(known) < len(found):
        return (NO, action) if action is Outcome.ALLOW else (YES, Outcome.DENY)
    return all_of([any_of(known), certain(any(traffic) or not traffic)]), action


def possible_actions(value: Any, actions: dict[str, Outcome]) -> tuple[Outcome, ...]:  # noqa: ANN401
    """Return what a rule can do that is not understood: its action, or any if that is not known."""
    named = value.get("action") if isinstance(value, dict) else None
    known = actions.get(named) if isinstance(named, str) else None
    return (known,) if known else tuple(actions.values())


def in_range(given: dict[str, Any], path: Path, here: Approach) -> bool:
    """Return whether the port is from `start` to `end`, both included; start must be less.

    Source: NPA PortRange; v1alpha1 PortRange.

    Raises:
        NotUnderstoodError: the two make no range.
    """
    first = ports.port_number(schema.required(given, "start", path), (*path, "start"))
    last = ports.port_number(schema.required(given, "end", path), (*path, "end"))
    if first >= last:
        raise NotUnderstoodError("`start` must be less than `end`", path)
    return here.port is not None and first <= here.port <= last


def forbid_names_without_pods(
    entries: list[Any], wanted: list[Any], named_port: str, path: Path
) -> None:
    """Hold that a rule with a named port has no peers that have no named ports.

    Source: NPA ClusterNetworkPolicyEgressRule, XValidation.

    Raises:
        NotUnderstoodError: it has.
    """
    if has(wanted, named_port) and any(has(entries, peer) for peer in _UNNAMED):
        raise NotUnderstoodError("networks, nodes and domain names have no named ports", path)


def forbid_domain_names(entries: list[Any], action: Outcome, here: Approach, path: Path) -> None:
    """Hold that only rules that accept have domain names.

    Calico never sees them: there such a rule fails closed instead.

    Source: NPA ClusterNetworkPolicyEgressPeer.domainNames ("only supported for Accept rules").

    Raises:
        NotUnderstoodError: another rule has.
    """
    if action is not Outcome.ALLOW and here.cni is not Cni.CALICO and has(entries, "domainNames"):
        raise NotUnderstoodError("`domainNames` can only be accepted", path)


def has(entries: list[Any], field: str) -> bool:
    """Return whether any of several mappings has a field; a null is none."""
    return any(entry.get(field) is not None for entry in entries)
