"""Writes peers as Cilium has them: endpoints by their labels, entities, blocks, domain names.

Authority: Cilium `pkg/policy/api/ingress.go`, `egress.go`, and for what is implied
`pkg/k8s/apis/cilium.io/utils/utils.go`.
"""

import ipaddress
from typing import Any, Final

from ringfence.dialects._emission import Body, Telling, blocks_for, single_block
from ringfence.dialects._emission_words import peer_text
from ringfence.dialects._emit_cilium_layer7 import Unsayable, names
from ringfence.model.label_space import (
    CILIUM_NAMESPACE,
    CILIUM_NAMESPACE_LABELS,
    CILIUM_RESERVED,
    NAMESPACE_NAME,
)
from ringfence.model.proposal import Surroundings
from ringfence.model.rule import (
    Action,
    Direction,
    DomainPeer,
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    NodePeer,
    Peer,
    PodPeer,
)
from ringfence.model.selector import (
    EVERYTHING,
    KUBERNETES_OPERATORS,
    LabelAnd,
    LabelExpression,
    LabelIs,
    Operator,
    Requirement,
    from_labels,
)

NODES: Final = (Entity.HOST, Entity.REMOTE_NODE)

_NO_NODES: Final = "a block of Cilium's stands for the outside, never for a node"
_NO_DNS: Final = (
    "Cilium learns a name's addresses from the lookups that a policy lets through its proxy, and "
    "no policy does"
)


class Members:
    """The peers of one rule, sorted by the fields that hold them; each field is a rule of its own.

    Source: Cilium `pkg/policy/api/rule_validation.go`: the fields exclude each other.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._found: dict[str, list[Any]] = {
            "Endpoints": [],
            "Entities": [],
            "CIDRSet": [],
            "FQDNs": [],
        }

    def add(self, field: str, value: Any) -> None:  # noqa: ANN401
        """Add a peer to a field, unless it is there already."""
        if value not in self._found[field]:
            self._found[field].append(value)

    def bodies(self, direction: Direction) -> list[Body]:
        """Return one rule's peers for each field that has any."""
        prefix = "from" if direction is Direction.INGRESS else "to"
        return [{f"{prefix}{field}": values} for field, values in self._found.items() if values]


class Peers:
    """Writes the peers of rules in one cluster."""

    def __init__(self, around: Surroundings, resolving: frozenset[str]) -> None:
        """Take the cluster, and the workloads whose lookups go through Cilium's proxy."""
        self._around = around
        self._resolving = resolving

    def write(self, telling: Telling, peers: tuple[Peer, ...]) -> list[Body]:
        """Return the peers of one rule, as one body for each rule that is needed."""
        members = Members()
        for peer in peers:
            try:
                self._add(telling, peer, members)
            except Unsayable as unsayable:
                telling.leave_out("peer", telling.end(peer_text(peer)), str(unsayable))
        return members.bodies(telling.rule.direction)

    def _add(self, telling: Telling, peer: Peer, members: Members) -> None:
        match peer:
            case PodPeer():
                members.add("Endpoints", endpoints(peer, telling.namespace))
            case LabelPeer():
                members.add("Endpoints", labelled(peer.expression))
            case IpPeer():
                self._block(telling, peer, members)
            case NodePeer() if peer.nodes == EVERYTHING:
                for entity in NODES:
                    members.add("Entities", entity.value)
            case NodePeer():
                raise Unsayable("Cilium selects nodes by their labels only where that is set up")
            case EntityPeer(Entity.PODS):
                members.add("Endpoints", endpoints(PodPeer(EVERYTHING, EVERYTHING), ""))
            case EntityPeer():
                members.add("Entities", peer.entity.value)
            case DomainPeer():
                self._domain(telling, peer, members)
            case _:
                raise Unsayable("Cilium has no words for such a combination")

    def _domain(self, telling: Telling, peer: DomainPeer, members: Members) -> None:
        rule = telling.rule
        if rule.direction is Direction.INGRESS or rule.action is not Action.ALLOW:
            raise Unsayable("domain names stand only where egress is allowed")
        if not self._resolving.issuperset(telling.proposed.subject):
            for block in blocks_for(telling, peer, self._around, _NO_DNS):
                members.add("CIDRSet", _cidr(block))
            return
        for written in names((peer.pattern,), self._around.cilium_version):
            members.add("FQDNs", written)

    def _block(self, telling: Telling, peer: IpPeer, members: Members) -> None:
        """Add a block, or the entity that stands for it: blocks never mean nodes.

        Source: Cilium `pkg/policy/types/selector.go` CIDRSelector.Matches.
        """
        around = self._around
        block = ipaddress.ip_network(peer.cidr)
        inside = [
            address
            for address in (*around.nodes, *around.api_servers)
            if single_block(address) == peer.cidr or _holds(peer, address)
        ]
        nodes = set(inside) & set(around.nodes)
        if around.blocks_match_nodes or not inside or block.num_addresses > 1:
            members.add("CIDRSet", _cidr(peer))
            if nodes and not around.blocks_match_nodes:
                what = telling.end(f"the nodes within {peer.cidr}")
                telling.leave_out("address of a node", what, _NO_NODES)
            return
        entities: tuple[Entity, ...] = NODES if nodes else ()
        others = set(around.nodes) - set(inside)
        if set(inside) & set(around.api_servers):
            entities = (Entity.KUBE_APISERVER,)
            others = set(around.api_servers) - set(inside)
        what = telling.end(inside[0])
        if others and not nodes and not around.allow_wider:
            # One of several API servers, outside as far as is known: there a block does stand.
            members.add("CIDRSet", _cidr(peer))
            return
        if others and not around.allow_wider:
            telling.leave_out("address of a node", what, _NO_NODES)
            return
        written = " and ".join(f"the entity {entity.value}" for entity in entities)
        if others:
            telling.tell("address of a node", what, _NO_NODES, written, wider=True)
        else:
            telling.remark(f"{inside[0]} is written as {written}: {_NO_NODES}.")
        telling.substitute((), telling.rule.traffic, entities)
        for entity in entities:
            members.add("Entities", entity.value)


def _holds(peer: IpPeer, address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed in ipaddress.ip_network(peer.cidr) and not any(
        parsed in ipaddress.ip_network(cidr) for cidr in peer.excepts
    )


def _cidr(peer: IpPeer) -> Body:
    return {"cidr": peer.cidr, **({"except": list(peer.excepts)} if peer.excepts else {})}


# -- endpoints -------------------------------------------------------------------------------


def endpoints(peer: PodPeer, own_namespace: str) -> Body:
    """Return pods as an endpoint selector.

    A selector that says nothing of namespaces stays in that of its policy.
    """
    if peer.namespaces == from_labels({NAMESPACE_NAME: own_namespace}):
        return selector(peer.pods.requirements)
    wanted = tuple(map(_of_namespace, peer.namespaces.requirements))
    if not wanted:
        wanted = (Requirement(CILIUM_NAMESPACE, Operator.EXISTS),)
    return selector((*wanted, *peer.pods.requirements))


def _of_namespace(requirement: Requirement) -> Requirement:
    if requirement.key == NAMESPACE_NAME:
        return Requirement(CILIUM_NAMESPACE, requirement.operator, requirement.values)
    key = CILIUM_NAMESPACE_LABELS + requirement.key
    return Requirement(key, requirement.operator, requirement.values)


def labelled(found: LabelExpression) -> Body:
    """Return endpoints by their labels in Cilium's own label space.

    Raises:
        Unsayable: an alternative or a negation, or a selector that says nothing of namespaces,
            which would be confined to one.
    """
    parts = found.parts if isinstance(found, LabelAnd) else (found,)
    requirements = []
    for part in parts:
        if not isinstance(part, LabelIs) or part.requirement.operator not in KUBERNETES_OPERATORS:
            raise Unsayable("a selector of Cilium's only joins requirements of Kubernetes' kind")
        requirements.append(part.requirement)
    if not any(_scopes(requirement.key) for requirement in requirements):
        raise Unsayable("a namespace's policy names no endpoint without naming its namespace")
    return selector(tuple(requirements))


def _scopes(key: str) -> bool:
    return key == CILIUM_NAMESPACE or key.startswith((CILIUM_NAMESPACE_LABELS, CILIUM_RESERVED))


def selector(requirements: tuple[Requirement, ...]) -> Body:
    """Return requirements as a label selector, `matchLabels` wherever that can say it."""
    labels: dict[str, str] = {}
    expressions: list[Body] = []
    for requirement in requirements:
        key = _key(requirement.key)
        if (
            requirement.operator is Operator.IN
            and len(requirement.values) == 1
            and key not in labels
        ):
            labels[key] = requirement.values[0]
            continue
        entry: Body = {"key": key, "operator": requirement.operator.value}
        if requirement.values:
            entry["values"] = list(requirement.values)
        expressions.append(entry)
    body: Body = {}
    if labels:
        body["matchLabels"] = labels
    if expressions:
        body["matchExpressions"] = expressions
    return body


def _key(key: str) -> str:
    """Return a label's key with its source, where one is needed to read it rightly.

    Source: Cilium `pkg/labels/labels.go` parseSource: what stands before a `:` is the source.
    """
    if key.startswith(("io.kubernetes.", "io.cilium.")):
        return f"k8s:{key}"
    return f"k8s:{key}" if ":" in key and not key.startswith(CILIUM_RESERVED) else key
