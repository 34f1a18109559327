"""Calico objects for the tests of the dialect, and their parsing."""

from collections.abc import Sequence
from typing import Any

from ringfence import dialects
from ringfence.dialects import Context
from ringfence.model.cluster import Namespace, Protocol, Service
from ringfence.model.document import Document, count_positions
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import Direction, Policy, Rule
from ringfence.model.selector import LabelIs, Operator, Requirement

CLUSTER = {
    *("GlobalNetworkPolicy", "StagedGlobalNetworkPolicy", "Tier", "GlobalNetworkSet"),
    *("HostEndpoint", "Profile"),
}
GLOBAL = "GlobalNetworkPolicy"
ALLOW = [{"action": "Allow"}]
IN, OUT = Direction.INGRESS, Direction.EGRESS
TCP, UDP, SCTP, ICMP = Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP
USER, STORED = "projectcalico.org/v3", "crd.projectcalico.org/v1"


def is_(key: str, *values: str) -> LabelIs:
    return LabelIs(Requirement(key, Operator.IN, values))


def has(key: str) -> LabelIs:
    return LabelIs(Requirement(key, Operator.EXISTS))


OWN = is_("projectcalico.org/namespace", "shop")
NAMESPACED = has("projectcalico.org/namespace")


def document(
    kind: str,
    spec: Any = None,
    name: str = "p",
    *,
    api: str = USER,
    labels: Any = None,
    namespace: str = "shop",
    **extra: Any,
) -> Document:
    metadata = {"name": name, **({} if labels is None else {"labels": labels})}
    body = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec, **extra}
    lines = tuple(range(1, 1 + count_positions(body)))
    where = "" if kind in CLUSTER else namespace
    return Document(api, kind, where, name, body, "p.yaml", 1, lines)


def tier(name: str = "t", **spec: Any) -> Document:
    return document("Tier", spec, name)


def context(*documents: Document, version: str = "", staged: bool = False, **more: Any) -> Context:
    return Context(Profile(Cni.CALICO, version=version), documents, staged=staged, **more)


def policies(*documents: Document, **more: Any) -> tuple[Policy, ...]:
    return dialects.parse(context(*documents, **more)).policies


def policy(spec: Any, kind: str = "NetworkPolicy", **more: Any) -> Policy:
    """Return the one policy of a spec."""
    found = document(kind, spec, **{k: more.pop(k) for k in ("name", "api") & more.keys()})
    (parsed,) = policies(found, **more)
    return parsed


def rule(
    written: Any,
    section: str = "ingress",
    kind: str = "NetworkPolicy",
    services: Sequence[Service] = (),
) -> Rule:
    """Return the one rule that a rule becomes."""
    (found,) = rules(written, section, kind, services)
    return found


def rules(
    written: Any,
    section: str = "ingress",
    kind: str = "NetworkPolicy",
    services: Sequence[Service] = (),
) -> tuple[Rule, ...]:
    return policy({section: [{"action": "Allow", **written}]}, kind, services=services).rules


def namespace(name: str, **labels: str) -> Namespace:
    return Namespace(name, {"kubernetes.io/metadata.name": name, **labels})
