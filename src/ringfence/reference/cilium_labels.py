"""Cilium's labels: which ones an end carries, and the selectors that are matched against them.

A label has a source: `k8s` for a pod's, `reserved` for what names no pod, `node` for a node's. A
key in a selector may name one before a colon; `any`, which is meant where it names none, matches
labels of every source.

Source: Cilium `pkg/labels/labels.go` (ParseLabel), `pkg/policy/api/selector.go`
(NewESFromK8sLabelSelector), `pkg/k8s/apis/cilium.io/const.go`.
"""

import re
from dataclasses import dataclass
from typing import Any

from ringfence.model.cluster import Node
from ringfence.model.document import Path
from ringfence.model.label_space import (
    CILIUM_CLUSTER,
    CILIUM_NAMESPACE,
    CILIUM_NAMESPACE_LABELS,
    CILIUM_SERVICE_ACCOUNT,
)
from ringfence.reference import schema
from ringfence.reference.ends import Approach, Host, Outside, OwnPod, Party, cilium_identity
from ringfence.reference.schema import NotUnderstoodError
from ringfence.reference.selectors import OPERATORS

ANY = "any"
K8S = "k8s"
NODE = "node"
RESERVED = "reserved"
GROUP = "cidrgroup"
SOURCES = (ANY, K8S, NODE, RESERVED, GROUP, "cidr", "fqdn", "container", "cni", "unspec")

Labels = dict[tuple[str, str], str]
"""Values by source and key."""

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Condition:
    """One requirement on one label."""

    source: str
    key: str
    operator: str
    values: tuple[str, ...] = ()
    plain: bool = False
    """Whether it stands in `matchLabels`."""

    def holds(self, labels: Labels) -> bool:
        """Return whether it does; NotIn and DoesNotExist do where there is no such label."""
        sources = {source for source, key in labels if key == self.key}
        present = sources if self.source == ANY else sources & {self.source}
        found = {labels[source, self.key] for source in present}
        match self.operator:
            case "In":
                return bool(found & set(self.values))
            case "NotIn":
                return not found & set(self.values)
            case "Exists":
                return bool(present)
            case _:
                return not present


@dataclass(frozen=True)
class Selector:
    """Conditions that must all hold; without any it selects whatever there is."""

    conditions: tuple[Condition, ...] = ()

    def selects(self, labels: Labels) -> bool:
        """Return whether all conditions hold."""
        return all(condition.holds(labels) for condition in self.conditions)

    def names(self, sources: tuple[str, ...], key: str) -> bool:
        """Return whether a condition is on this very key of one of these sources."""
        return any(c.source in sources and c.key == key for c in self.conditions)

    def names_below(self, sources: tuple[str, ...], prefix: str) -> bool:
        """Return whether a condition is on a key of one of these sources that begins so."""
        return any(c.source in sources and c.key.startswith(prefix) for c in self.conditions)

    def with_(self, *conditions: Condition) -> "Selector":
        """Return the selector with further conditions."""
        return Selector((*self.conditions, *conditions))


def equals(key: str, value: str, source: str = K8S) -> Condition:
    """Return the condition that a label has a value."""
    return Condition(source, key, "In", (value,))


def read_selector(value: Any, path: Path, source: str = ANY) -> Selector:  # noqa: ANN401
    """Return a selector; both of its parts must hold, and an empty one selects everything.

    Args:
        value: what stands there.
        path: where it stands.
        source: the source of keys that name none.

    Raises:
        NotUnderstoodError: the API server or Cilium would reject it.
    """
    given = schema.fields(value, path, ("matchLabels", "matchExpressions"))
    at = (*path, "matchLabels")
    wanted = given.get("matchLabels", {})
    if not isinstance(wanted, dict):
        raise NotUnderstoodError("must be a mapping", at)
    found = []
    for key, label in sorted(wanted.items(), key=str):
        origin, name = read_key(key, (*at, key), source)
        found.append(Condition(origin, name, "In", (_value(label, (*at, key)),), plain=True))
    at = (*path, "matchExpressions")
    for index, entry in enumerate(schema.items(given.get("matchExpressions"), at)):
        found.append(_condition(entry, (*at, index), source))
    return Selector(tuple(found))


def _condition(value: Any, path: Path, default: str) -> Condition:  # noqa: ANN401
    given = schema.fields(value, path, ("key", "operator", "values"))
    source, key = read_key(schema.required(given, "key", path), (*path, "key"), default)
    at = (*path, "operator")
    operator = schema.choice(schema.required(given, "operator", path), at, OPERATORS)
    at = (*path, "values")
    listed = enumerate(schema.items(given.get("values"), at))
    values = tuple(_value(entry, (*at, index)) for index, entry in listed)
    if operator in ("In", "NotIn") and not values:
        raise NotUnderstoodError(f"`{operator}` needs values", path)
    if operator not in ("In", "NotIn") and values:
        raise NotUnderstoodError(f"`{operator}` takes no values", at)
    return Condition(source, key, operator, values)


def read_key(key: Any, path: Path, default: str = ANY) -> tuple[str, str]:  # noqa: ANN401
    """Return the source and the key proper of a label key as a selector writes it.

    Args:
        key: as it stands in the manifest.
        path: where it stands.
        default: the source where it names none.

    Raises:
        NotUnderstoodError: it is no key of a label, or its source is not known.
    """
    written = schema.text(key, path)
    source, colon, rest = written.partition(":")
    if not colon:
        source, rest = default, written
    elif source not in SOURCES:
        raise NotUnderstoodError(f"`{source}` is no source of labels", path)
    prefix, slash, name = rest.rpartition("/")
    if len(name) > 63 or not _NAME.fullmatch(name):
        raise NotUnderstoodError(f"`{written}` is no label key", path)
    # Labels of namespaces have a key within their key: `io.cilium…labels.example.com/team`.
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        raise NotUnderstoodError(f"`{written}` is no label key", path)
    return source, rest


def _value(value: Any, path: Path) -> str:  # noqa: ANN401
    found = schema.text(value, path)
    if found and (len(found) > 63 or not _NAME.fullmatch(found)):
        raise NotUnderstoodError(f"`{found}` is no label value", path)
    return found


def peer_selector(selector: Selector, namespace: str) -> Selector:
    """Return the selector of an entry of `fromEndpoints` or `toEndpoints` with its implied scope.

    One that names a `reserved:` label stays as it is, and so does one that names the namespace. In
    a policy of a namespace, any other is confined to that namespace, unless it names a label of
    namespaces; in a clusterwide one to ends that have a namespace, which are pods.

    Args:
        selector: as it was written.
        namespace: the policy's; empty for a clusterwide one.

    Source: Cilium `pkg/k8s/apis/cilium.io/utils/utils.go` getEndpointSelector.
    """
    pods = (K8S, ANY)
    if any(condition.source == RESERVED for condition in selector.conditions):
        return selector
    if selector.names(pods, CILIUM_NAMESPACE):
        return selector
    if not namespace:
        return selector.with_(Condition(K8S, CILIUM_NAMESPACE, "Exists"))
    if selector.names_below(pods, CILIUM_NAMESPACE_LABELS.removesuffix(".")):
        return selector
    return selector.with_(equals(CILIUM_NAMESPACE, namespace))


def subject_selector(selector: Selector, namespace: str) -> Selector:
    """Return the selector of the pods that a policy of a namespace applies to.

    Its namespace takes the place of one that `matchLabels` gives as a `k8s:` label; everything
    else must hold beside it.

    Source: Cilium `pkg/k8s/apis/cilium.io/utils/utils.go` ParseToCiliumRule (AddMatch).
    """
    kept = (
        condition
        for condition in selector.conditions
        if (condition.source, condition.key) != (K8S, CILIUM_NAMESPACE) or not condition.plain
    )
    return Selector((*kept, equals(CILIUM_NAMESPACE, namespace)))


def labels_of(party: Party, here: Approach, *, api_server: bool) -> Labels:
    """Return the labels of an end, as its identity has them.

    Args:
        party: the end.
        here: the connection; it says whether a node is the subject's own.
        api_server: whether the end is the API server.

    Source: Cilium `pkg/k8s/utils` GetPodMetadata (namespace, its labels, service account,
    cluster), `pkg/labelsfilter/filter.go` (the labels of the namespace are kept),
    `pkg/labels/labels.go` (reserved labels).
    """
    found: Labels = {}
    match party:
        case OwnPod():
            found |= {(K8S, key): value for key, value in party.labels.items()}
            for key, value in party.namespace_labels.items():
                found[K8S, CILIUM_NAMESPACE_LABELS + key] = value
            found[K8S, CILIUM_NAMESPACE] = party.namespace
            found[K8S, CILIUM_SERVICE_ACCOUNT] = party.service_account
            found[K8S, CILIUM_CLUSTER] = here.cilium.cluster
        case Host():
            found[RESERVED, "host" if here.one_node else "remote-node"] = ""
        case Outside():
            found[RESERVED, "world"] = ""
            found[RESERVED, f"world-ipv{here.family}"] = ""
    if api_server:
        found[RESERVED, "kube-apiserver"] = ""
    return found


def labels_of_host(node: Node) -> Labels:
    """Return the labels of a node's own endpoint, which `nodeSelector` selects.

    They are the node's, but for those that no identity has, and `reserved:host`.

    Source: Cilium `pkg/endpoint/endpoint.go` InitWithNodeLabels.
    """
    found: Labels = {(K8S, key): value for key, value in cilium_identity(node.labels).items()}
    return found | {(RESERVED, "host"): ""}


def may_select_host(selector: Selector) -> bool:
    """Return whether any node could have the labels that a `nodeSelector` asks for."""
    for condition in selector.conditions:
        known = {(RESERVED, "host"): ""}
        own = condition.source in (ANY, K8S) and bool(cilium_identity({condition.key: ""}))
        if condition.operator in ("In", "Exists") and not own and not condition.holds(known):
            return False
    return True


def labels_of_remote_node(node: Node, here: Approach) -> Labels:
    """Return the labels of another node's identity, which `fromNodes` and `toNodes` select.

    Source: Cilium `pkg/labelsfilter/filter.go` FilterNodeLabels; `pkg/k8s/apis/cilium.io/utils/
    utils.go` parseToCiliumIngressCommonRule (keys are of the source `node` unless they name one).
    """
    found: Labels = {(NODE, key): value for key, value in node.labels.items()}
    found[RESERVED, "remote-node"] = ""
    found[K8S, CILIUM_CLUSTER] = here.cilium.cluster
    return found
