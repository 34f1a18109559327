"""Cilium's label selectors: sources of labels, the scope that is implied, selectors of nodes.

Authority: Cilium `pkg/policy/api/selector.go`, `pkg/labels/labels.go`,
`pkg/k8s/apis/cilium.io/utils/utils.go`, `pkg/labelsfilter/filter.go`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ringfence.dialects._shared import (
    DNS_SUBDOMAIN,
    NAME,
    Malformed,
    fields,
    items,
    one_of,
    text,
)
from ringfence.model.document import Path
from ringfence.model.label_space import CILIUM_NAMESPACE, CILIUM_NAMESPACE_LABELS
from ringfence.model.rule import (
    NOBODY,
    AllPeers,
    Entity,
    EntityPeer,
    LabelPeer,
    NodePeer,
    Peer,
)
from ringfence.model.selector import (
    KUBERNETES_OPERATORS,
    LabelAnd,
    LabelIs,
    LabelSelector,
    Operator,
    Requirement,
)
from ringfence.yaml_text import type_text

ANY: Final = "any"
K8S: Final = "k8s"
NODE: Final = "node"
RESERVED: Final = "reserved"

LEFT_OUT: Final = re.compile(
    r"(?!app\.kubernetes\.io)("
    r"io\.kubernetes|kubernetes\.io|k8s\.io|topology\.kubernetes\.io|.*beta\.kubernetes\.io"
    r"|pod-template-(hash|generation)|controller-revision-hash|annotation|etcd_node)"
)
"""The labels of a node that its host endpoint does not carry; each is a prefix.

Source: Cilium `pkg/labelsfilter/filter.go`, and `pkg/endpoint/endpoint.go` InitWithNodeLabels."""


@dataclass(frozen=True)
class Term:
    """One requirement of a selector, as it was written."""

    source: str
    """The label's source: `any` where the key names none."""
    requirement: Requirement
    """Its key without the source."""
    plain: bool
    """Whether it stands in `matchLabels`."""

    @property
    def held(self) -> Requirement:
        """Return the requirement with its key as `model/label_space` holds it."""
        if self.source in (ANY, K8S):
            return self.requirement
        key = f"{self.source}:{self.requirement.key}"
        return Requirement(key, self.requirement.operator, self.requirement.values)


def terms(value: Any, path: Path) -> list[Term]:  # noqa: ANN401
    """Return the requirements of a selector.

    Raises:
        Malformed: what the API server or Cilium would reject.
    """
    given = fields(value, path, ("matchLabels", "matchExpressions"))
    found: list[Term] = []
    labels, at = given.get("matchLabels", {}), (*path, "matchLabels")
    if not isinstance(labels, dict):
        raise Malformed(f"expected a map, found {type_text(labels)}", at)
    for written, wanted in labels.items():
        source, key = _source_and_key(written, (*at, written))
        only = _value(wanted, (*at, written))
        found.append(Term(source, Requirement(key, Operator.IN, (only,)), plain=True))
    for where, item in items(given.get("matchExpressions"), (*path, "matchExpressions")):
        parts = fields(item, where, ("key", "operator", "values"))
        source, key = _source_and_key(text(parts.get("key"), (*where, "key")), (*where, "key"))
        named = one_of(parts.get("operator"), (*where, "operator"), KUBERNETES_OPERATORS)
        operator = Operator(named)
        values = tuple(_value(v, p) for p, v in items(parts.get("values"), (*where, "values")))
        if bool(values) != (operator in (Operator.IN, Operator.NOT_IN)):
            needs = "needs" if not values else "takes no"
            raise Malformed(f"operator `{operator}` {needs} values", where)
        requirement = Requirement(key, operator, tuple(sorted(set(values))))
        found.append(Term(source, requirement, plain=False))
    return found


def _source_and_key(written: str, path: Path) -> tuple[str, str]:
    """Return a key's source and the key itself; `any` is the source of a key that names none.

    Source: Cilium `pkg/labels/labels.go` GetExtendedKeyFrom.
    """
    source, colon, key = written.partition(":")
    if not colon:
        source, key = ANY, written
    prefix, slash, name = key.rpartition("/")
    domain = not slash or (len(prefix) <= 253 and DNS_SUBDOMAIN.fullmatch(prefix))
    if not domain or len(name) > 63 or not NAME.fullmatch(name):
        raise Malformed(f"`{written}` is not a label's key", path)
    return source or ANY, key


def _value(value: Any, path: Path) -> str:  # noqa: ANN401
    found = text(value, path)
    if found and (len(found) > 63 or not NAME.fullmatch(found)):
        raise Malformed(f"`{found}` is not a label's value", path)
    return found


def label_peer(requirements: Iterable[Requirement]) -> LabelPeer:
    """Return the peer of which all these requirements hold; equal ones for equal selectors."""
    return LabelPeer(LabelAnd(tuple(LabelIs(each) for each in sorted(set(requirements)))))


def in_namespace(namespace: str) -> Requirement:
    """Return the requirement that a pod is in a namespace."""
    return Requirement(CILIUM_NAMESPACE, Operator.IN, (namespace,))


IN_A_NAMESPACE: Final = Requirement(CILIUM_NAMESPACE, Operator.EXISTS)
"""Of pods alone: nothing else has the label."""


def subject(value: Any, path: Path, namespace: str) -> LabelPeer:  # noqa: ANN401
    """Return what an `endpointSelector` selects.

    That of a namespaced policy is confined to the policy's namespace: a namespace which
    `matchLabels` asks for under `k8s:` is overridden, any other one must hold beside it. That of
    a clusterwide one selects any endpoint but the host, of which a question can only name pods.

    Source: `utils.go` ParseToCiliumRule; `pkg/policy/rule.go` matchesSubject.
    """
    found = terms(value, path)
    if not namespace:
        return label_peer([IN_A_NAMESPACE, *(term.held for term in found)])
    kept = (
        term.held
        for term in found
        if not (term.plain and term.source == K8S and term.requirement.key == CILIUM_NAMESPACE)
    )
    return label_peer([in_namespace(namespace), *kept])


def selects_initializing(value: Any, path: Path) -> bool:  # noqa: ANN401
    """Return whether an `endpointSelector` names `reserved:init`.

    Source: `utils.go` matchesPodInit.
    """
    return any(t.source == RESERVED and t.requirement.key == "init" for t in terms(value, path))


def endpoints(value: Any, path: Path, namespace: str, *, initializing: bool) -> LabelPeer:  # noqa: ANN401
    """Return the endpoints that a selector among a rule's peers selects.

    Those of the policy's own namespace, or of any where the policy is clusterwide, unless the
    selector names a namespace, a label of the namespace, or an identity that is no pod. (Which
    cluster is meant, the own one unless it is named, makes no difference to the pods of one.)

    Args:
        value: the selector.
        path: where it stands.
        namespace: the policy's; empty for a clusterwide one.
        initializing: whether the subject of the policy is `reserved:init`.
    Source: `utils.go` getEndpointSelector.
    """
    found = terms(value, path)
    held = [term.held for term in found]
    if any(term.source == RESERVED for term in found):
        return label_peer(held)
    keys = {term.requirement.key for term in found if term.source in (ANY, K8S)}
    if CILIUM_NAMESPACE in keys:
        return label_peer(held)
    if not namespace:
        return label_peer(held if initializing else [IN_A_NAMESPACE, *held])
    if any(key.startswith(CILIUM_NAMESPACE_LABELS) for key in keys):
        return label_peer(held)
    return label_peer([in_namespace(namespace), *held])


def hosts(value: Any, path: Path) -> Peer:  # noqa: ANN401
    """Return the nodes that a `nodeSelector` selects as the subject of a policy.

    The host endpoint has the node's labels but for those that Cilium leaves out of every
    identity, and `reserved:host`.
    """
    own: list[Requirement] = []
    for term in terms(value, path):
        key = term.requirement.key
        if term.source in (ANY, K8S) and not LEFT_OUT.match(key):
            own.append(term.requirement)
        elif not _holds(term.requirement, (term.source, key) == (RESERVED, "host")):
            return NOBODY
    return NodePeer(LabelSelector(tuple(sorted(set(own)))))


def remote_nodes(value: Any, path: Path) -> Peer:  # noqa: ANN401
    """Return the nodes that a selector among `fromNodes` or `toNodes` selects.

    Never the subject's own: only other nodes have an identity with labels. These are the node's,
    all of them, under the source `node`.

    Source: `utils.go` parseToCiliumIngressCommonRule; `pkg/labelsfilter` FilterNodeLabels.
    """
    own: list[Requirement] = []
    reserved: list[Requirement] = []
    for term in terms(value, path):
        if term.source in (ANY, NODE):
            own.append(term.requirement)
        elif term.source == RESERVED:
            reserved.append(term.held)
        elif not _holds(term.requirement, present=False):
            return NOBODY
    parts: list[Peer] = [EntityPeer(Entity.REMOTE_NODE)]
    if reserved:
        parts.append(label_peer(reserved))
    return AllPeers((*parts, NodePeer(LabelSelector(tuple(sorted(set(own)))))))


def _holds(requirement: Requirement, present: bool) -> bool:  # noqa: FBT001 - a fact, not a switch
    """Return whether a requirement holds of a label that is there without a value, or absent."""
    match requirement.operator:
        case Operator.EXISTS:
            return present
        case Operator.DOES_NOT_EXIST:
            return not present
        case Operator.NOT_IN:
            return not (present and "" in requirement.values)
        case _:
            return present and "" in requirement.values


def meets(requirements: Sequence[Requirement], labels: dict[str, str]) -> bool:
    """Return whether an object with these labels meets all the requirements."""
    return all(_met(requirement, labels) for requirement in requirements)


def _met(requirement: Requirement, labels: dict[str, str]) -> bool:
    present = requirement.key in labels
    match requirement.operator:
        case Operator.EXISTS:
            return present
        case Operator.DOES_NOT_EXIST:
            return not present
        case Operator.NOT_IN:
            return not present or labels[requirement.key] not in requirement.values
        case _:
            return present and labels[requirement.key] in requirement.values
