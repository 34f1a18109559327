"""NetworkPolicy `networking.k8s.io/v1`, clause by clause.

Source: kubernetes/api `networking/v1/types.go` (KAPI); kubernetes.io "Network Policies" (KDOC);
kubernetes `pkg/apis/networking/validation/validation.go` (KVAL), `v1/defaults.go` (KDEF).
"""

from typing import Any

from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.profile import Cni
from ringfence.model.rule import Direction
from ringfence.reference import addresses, ports, schema, selectors
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.outcome import YES, Match, Outcome, Selected, all_of, any_of, certain
from ringfence.reference.schema import NotUnderstoodError

API_VERSIONS = ("networking.k8s.io/v1",)

_SECTIONS = {Direction.INGRESS: "ingress", Direction.EGRESS: "egress"}
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}


def select(document: Document, pod: OwnPod, cni: Cni) -> Selected | None:
    """Return the policy if it selects the pod.

    It selects pods of its own namespace by `podSelector`; a missing one is an empty one and
    selects all of them.

    Source: KAPI NetworkPolicySpec.podSelector ("If it is not specified, it defaults to an empty
    selector").

    Raises:
        NotUnderstoodError: whether it does, or how it then isolates the pod, cannot be told.
    """
    if document.namespace != pod.namespace:
        return None
    if document.api_version not in API_VERSIONS:
        raise NotUnderstoodError(f"`{document.api_version}` is not known", ("apiVersion",))
    spec = document.body.get("spec")
    at: Path = ("spec",)
    if spec is None:
        spec = {}
    if not isinstance(spec, dict):
        raise NotUnderstoodError("must be a mapping", at)
    return select_by(spec, document, pod, cni)


def select_by(spec: dict[str, Any], document: Document, pod: OwnPod, cni: Cni) -> Selected | None:
    """Return the policy with such a `spec` if it selects the pod, of the document's namespace.

    Raises:
        NotUnderstoodError: whether it does, or how it then isolates the pod, cannot be told.
    """
    at: Path = ("spec",)
    selector = spec.get("podSelector")
    if selector is None:
        selector = {}
    if not selectors.matches(selector, (*at, "podSelector"), pod.labels):
        return None
    schema.fields(document.body, (), ("apiVersion", "kind", "metadata", "spec", "status"))
    schema.fields(spec, at, ("podSelector", "policyTypes", "ingress", "egress"))
    sections = {
        direction: schema.items(spec.get(name), (*at, name))
        for direction, name in _SECTIONS.items()
    }
    return Selected(
        document=document,
        sections=sections,
        read_rule=read_rule,
        possible_actions=possible_actions,
        isolates=isolation(spec.get("policyTypes"), (*at, "policyTypes"), sections, cni),
    )


def isolation(
    value: Any,  # noqa: ANN401
    path: Path,
    sections: dict[Direction, list[Any]],
    cni: Cni,
) -> frozenset[Direction]:
    """Return the directions in which the policy isolates the pods that it selects.

    Without `policyTypes`: ingress always, and egress if there is at least one egress rule.
    A list that is given is authoritative: rules of a direction that it does not name count for
    nothing. Cilium, though, makes entries of all rules that are there, whatever the list says,
    so that a section with rules isolates.

    Source: KAPI policyTypes; KDEF SetDefaults_NetworkPolicy; KVAL (at most two, both known);
    Cilium `pkg/k8s/network_policy.go` ParseNetworkPolicy.
    """
    named = [
        schema.choice(entry, (*path, index), _TYPES)
        for index, entry in enumerate(schema.items(value, path, 2))
    ]
    found = {_TYPES[name] for name in named}
    if not named:
        found = {Direction.INGRESS}
        if sections[Direction.EGRESS]:
            found.add(Direction.EGRESS)
    if cni is Cni.CILIUM:
        found |= {direction for direction, rules in sections.items() if rules}
    return frozenset(found)


def read_rule(value: Any, path: Path, here: Approach) -> tuple[Match, Outcome]:  # noqa: ANN401
    """Return whether a rule matches: any of its peers AND any of its ports; it then allows.

    A list that is missing, null or empty restricts nothing, so that a rule `{}` matches all.

    Source: KAPI NetworkPolicyIngressRule, NetworkPolicyEgressRule.

    Raises:
        NotUnderstoodError: something in the rule is not understood.
    """
    side = "from" if here.direction is Direction.INGRESS else "to"
    given = schema.fields(value, path, (side, "ports"))
    peers = [
        peer(entry, (*path, side, index), here)
        for index, entry in enumerate(schema.items(given.get(side), (*path, side)))
    ]
    traffic = [
        certain(port(entry, (*path, "ports", index), here))
        for index, entry in enumerate(schema.items(given.get("ports"), (*path, "ports")))
    ]
    anyone = any_of(peers) if peers else YES
    anything = any_of(traffic) if traffic else YES
    return all_of([anyone, anything]), Outcome.ALLOW


def possible_actions(value: Any) -> tuple[Outcome, ...]:  # noqa: ANN401, ARG001
    """Return what a rule can do that is not understood: rules of this kind only ever allow.

    Source: KDOC ("network policies are additive").
    """
    return (Outcome.ALLOW,)


def peer(value: Any, path: Path, here: Approach) -> Match:  # noqa: ANN401
    """Return whether one entry of `from` or `to` matches the peer.

    `podSelector` alone: pods of the policy's own namespace. `namespaceSelector` alone: all pods
    of the namespaces selected. Both in one entry: both must hold (two entries are ORed). Pods
    have a network of their own: neither selector ever matches outside addresses, nodes or
    host-network pods. `ipBlock` excludes the other two; one of the three must be there.

    Source: KAPI NetworkPolicyPeer; KVAL ValidateNetworkPolicyPeer.

    Raises:
        NotUnderstoodError: something in the entry is not understood.
    """
    given = schema.fields(value, path, ("podSelector", "namespaceSelector", "ipBlock"))
    if not given:
        raise NotUnderstoodError("an empty peer is none", path)
    if "ipBlock" in given:
        if len(given) > 1:
            raise NotUnderstoodError("`ipBlock` excludes the selectors", path)
        return ip_block(given["ipBlock"], (*path, "ipBlock"), here)
    pod = here.peer if isinstance(here.peer, OwnPod) else None
    held = [pod is not None]
    if "podSelector" in given:
        selector, at = given["podSelector"], (*path, "podSelector")
        held.append(selectors.matches(selector, at, pod.labels if pod else {}))
    if "namespaceSelector" in given:
        selector, at = given["namespaceSelector"], (*path, "namespaceSelector")
        held.append(selectors.matches(selector, at, pod.namespace_labels if pod else {}))
    else:
        own = here.subject.namespace if isinstance(here.subject, OwnPod) else None
        held.append(pod is not None and pod.namespace == own)
    return certain(all(held))


def ip_block(value: Any, path: Path, here: Approach) -> Match:  # noqa: ANN401
    """Return whether the peer's address lies in `cidr` and in none of `except`.

    Each exception must be a block strictly inside `cidr`; it takes away from this entry alone.

    Source: KAPI IPBlock; KVAL ValidateIPBlock.

    Raises:
        NotUnderstoodError: something in the block is not understood.
    """
    given = schema.fields(value, path, ("cidr", "except"))
    cidr = addresses.read_cidr(schema.required(given, "cidr", path), (*path, "cidr"))
    excepts = []
    for index, entry in enumerate(schema.items(given.get("except"), (*path, "except"))):
        at = (*path, "except", index)
        block = addresses.read_cidr(entry, at)
        if not addresses.strictly_inside(block, cidr):
            raise NotUnderstoodError(f"`{entry}` is no part of `{cidr}`", at)
        excepts.append(block)
    return addresses.block_matches(cidr, excepts, here)


def port(value: Any, path: Path, here: Approach) -> bool:  # noqa: ANN401
    """Return whether one entry of `ports` matches the connection.

    `protocol` is TCP if not given. Without `port`: every port of that protocol. `endPort` makes
    a range, both ends included; it needs a numeric `port` that is not larger. A name is looked
    up, together with the protocol, on the destination pod.

    Source: KAPI NetworkPolicyPort; KVAL ValidateNetworkPolicyPort.

    Raises:
        NotUnderstoodError: something in the entry is not understood.
    """
    given = schema.fields(value, path, ("protocol", "port", "endPort"))
    wanted = ports.protocol(given.get("protocol", Protocol.TCP), (*path, "protocol"))
    first, last = given.get("port"), given.get("endPort")
    if last is not None and (first is None or isinstance(first, str)):
        raise NotUnderstoodError("`endPort` needs a numeric `port`", (*path, "endPort"))
    if first is None:
        return here.protocol == wanted
    if isinstance(first, str):
        return ports.is_named_port(ports.port_name(first, (*path, "port")), wanted, here)
    low = ports.port_number(first, (*path, "port"))
    high = low if last is None else ports.port_number(last, (*path, "endPort"))
    if high < low:
        raise NotUnderstoodError("`endPort` is less than `port`", (*path, "endPort"))
    return here.protocol == wanted and here.port is not None and low <= here.port <= high
