"""The peers that ClusterNetworkPolicy and its forerunners have in common.

A peer is a one-of: `namespaces`, `pods`, `networks`, `nodes` or `domainNames`.

Source: network-policy-api `apis/v1alpha2/clusternetworkpolicy_types.go`,
`apis/v1alpha1/shared_types.go`, `apis/v1alpha1/adminnetworkpolicy_types.go`.
"""

import re
from typing import Any

from ringfence.model.document import Path
from ringfence.model.profile import Cni
from ringfence.reference import addresses, schema, selectors
from ringfence.reference.ends import Approach, Host, Outside, OwnPod
from ringfence.reference.outcome import NO, YES, Match, any_of, certain, perhaps
from ringfence.reference.schema import NotUnderstoodError

_DOMAIN = re.compile(
    r"(\*\.)?([a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?"
)


INGRESS_PEERS = ("namespaces", "pods")
NOT_ON_CALICO = ("nodes", "domainNames")
"""Calico implements the standard channel alone, where these fields do not exist."""


def peer(
    value: Any,  # noqa: ANN401
    path: Path,
    here: Approach,
    known: tuple[str, ...],
    *,
    namespace_needed: bool,
) -> Match | None:
    """Return whether one entry of `from` or `to` matches the peer; None if no field is known.

    Exactly one field: `namespaces`, `pods`, and for egress others. No ingress peer matches what
    is outside the cluster.

    Args:
        value: what stands there.
        path: where it stands.
        here: the connection.
        known: the fields that a peer of this kind and direction can have.
        namespace_needed: whether `pods` must have a `namespaceSelector`.

    Source: ClusterNetworkPolicyIngressPeer, ClusterNetworkPolicyEgressPeer and their v1alpha1
    forms; Calico `conversion/clusternetworkpolicy.go`.

    Raises:
        NotUnderstoodError: something in the entry is not understood.
    """
    if not schema.fields(value, path, known):
        return None
    key, content = schema.only(value, path, known)
    at = (*path, key)
    match key:
        case "namespaces":
            found = namespaces(content, at, here)
        case "pods":
            found = pods(content, at, here, namespace_needed=namespace_needed)
        case "networks":
            found = networks(content, at, here)
        case "nodes":
            found = nodes(content, at, here)
        case _:
            found = domain_names(content, at, here)
    return None if here.cni is Cni.CALICO and key in NOT_ON_CALICO else found


def namespaces(value: Any, path: Path, here: Approach) -> Match:  # noqa: ANN401
    """Match all pods of the namespaces selected, but for the host-network ones.

    Source: ClusterNetworkPolicyIngressPeer.namespaces.
    """
    is_pod = isinstance(here.peer, OwnPod)
    labels = here.peer.namespace_labels if isinstance(here.peer, OwnPod) else {}
    return certain(selectors.matches(value, path, labels) and is_pod)


def pods(value: Any, path: Path, here: Approach, *, namespace_needed: bool) -> Match:  # noqa: ANN401
    """Match the pods selected in the namespaces selected, but for the host-network ones.

    Source: ClusterNetworkPolicyIngressPeer.pods, NamespacedPod.
    """
    peer = here.peer if isinstance(here.peer, OwnPod) else None
    found = namespaced_pod_matches(
        value,
        path,
        peer.namespace_labels if peer else {},
        peer.labels if peer else {},
        namespace_needed=namespace_needed,
    )
    return certain(found and peer is not None)


def namespaced_pod_matches(
    value: Any,  # noqa: ANN401
    path: Path,
    namespace_labels: dict[str, str],
    labels: dict[str, str],
    *,
    namespace_needed: bool,
) -> bool:
    """Return whether a NamespacedPod selects a pod: both selectors must.

    `podSelector` must be there; so must `namespaceSelector` in v1alpha1, while in v1alpha2 it may
    be missing and then, like an empty one, selects all namespaces.

    Source: NamespacedPod in v1alpha1 (all fields required) and v1alpha2 (`+optional`).

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    given = schema.fields(value, path, ("namespaceSelector", "podSelector"))
    if namespace_needed:
        schema.required(given, "namespaceSelector", path)
    selector = given.get("namespaceSelector", {})
    in_namespace = selectors.matches(selector, (*path, "namespaceSelector"), namespace_labels)
    selector = schema.required(given, "podSelector", path)
    return selectors.matches(selector, (*path, "podSelector"), labels) and in_namespace


def networks(value: Any, path: Path, here: Approach) -> Match:  # noqa: ANN401
    """Match addresses in any of up to 25 blocks: pods' and nodes' just as those outside.

    Source: ClusterNetworkPolicyEgressPeer.networks ("cluster-internal traffic will be checked
    against the rule as well"); at least one, at most 25, no two the same.
    """
    listed = _set(value, path)
    return any_of(
        [
            addresses.block_matches(addresses.read_cidr(block, (*path, index)), [], here)
            for index, block in enumerate(listed)
        ]
    )


def nodes(value: Any, path: Path, here: Approach) -> Match:  # noqa: ANN401
    """Match nodes by their labels, and so the host-network pods on them.

    Source: ClusterNetworkPolicyEgressPeer.nodes: selects the nodes' IPs.
    """
    peer = here.peer
    labels = peer.node.labels if isinstance(peer, Host) and peer.node else {}
    found = selectors.matches(value, path, labels)
    if not isinstance(peer, Host):
        return NO
    if peer.node:
        return certain(found)
    candidates = [selectors.matches(value, path, node.labels) for node in here.nodes]
    if peer.on_some_node and all(candidates):
        return YES
    if any(candidates) or not candidates:
        return perhaps(f"the node of `{peer.name}` is not known")
    return NO


def domain_names(value: Any, path: Path, here: Approach) -> Match:  # noqa: ANN401
    """Match a domain by its name: exactly, or below `*.` by one or more whole labels.

    The apex itself is never meant by `*.`; case and a final dot count for nothing.

    Source: DomainName; NPEP-133.

    Raises:
        NotUnderstoodError: something is no domain name.
    """
    found = False
    for index, pattern in enumerate(_set(value, path)):
        wanted = schema.text(pattern, (*path, index))
        if not _DOMAIN.fullmatch(wanted):
            raise NotUnderstoodError(f"`{wanted}` is no domain name", (*path, index))
        if isinstance(here.peer, Outside) and here.peer.domain:
            found |= _is_domain(here.peer.domain, wanted)
    return certain(found)


def _is_domain(name: str, pattern: str) -> bool:
    name, pattern = (part.lower().removesuffix(".") for part in (name, pattern))
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern[1:])
    return name == pattern


def _set(value: Any, path: Path) -> list[Any]:  # noqa: ANN401
    """Return the items of a list of 1 to 25 of which no two may be the same (`listType=set`)."""
    listed = schema.some(value, path, 25)
    for index, item in enumerate(listed):
        if item in listed[:index]:
            raise NotUnderstoodError(f"`{item}` is listed twice", (*path, index))
    return listed
