"""Cilium's policies as documents, and what the dialect makes of them."""

from collections.abc import Sequence
from typing import Any

from ringfence import dialects
from ringfence.model.cluster import Service
from ringfence.model.document import Document
from ringfence.model.profile import CiliumConfig, Cni, Profile
from ringfence.model.rule import (
    LabelPeer,
    Policy,
    Rule,
)
from ringfence.model.selector import LabelAnd, LabelIs, Operator, Requirement

CNP = "CiliumNetworkPolicy"
CCNP = "CiliumClusterwideNetworkPolicy"
WEB: dict[str, Any] = {"matchLabels": {"app": "web"}}
NAMESPACE = "io.kubernetes.pod.namespace"
SHOP = Requirement(NAMESPACE, Operator.IN, ("shop",))
PORTS: dict[str, Any] = {"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}


def document(kind: str, name: str = "p", **body: Any) -> Document:
    namespace = "shop" if kind == CNP else ""
    whole = {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": {"name": name}, **body}
    return Document("cilium.io/v2", kind, namespace, name, whole, "p.yaml")


def group(name: str, *cidrs: str, **labels: str) -> Document:
    metadata = {"name": name, "labels": labels}
    spec = {"externalCIDRs": list(cidrs)}
    return document("CiliumCIDRGroup", name, metadata=metadata, spec=spec)


def profile(version: str = "", **settings: Any) -> Profile:
    return Profile(
        cni=Cni.CILIUM,
        version=version,
        cilium=CiliumConfig(**settings) if settings else None,
    )


def parsed(
    *documents: Document, version: str = "", services: Sequence[Service] = (), **settings: Any
) -> dialects.Parsed:
    return dialects.parse(
        dialects.Context(profile(version, **settings), documents, services=services)
    )


def policies(spec: Any, *others: Document, kind: str = CNP, **how: Any) -> tuple[Policy, ...]:
    return parsed(document(kind, spec=spec), *others, **how).policies


def policy(spec: Any, *others: Document, **how: Any) -> Policy:
    (found,) = policies(spec, *others, **how)
    return found


def rules(
    section: str, *written: Any, others: Sequence[Document] = (), **how: Any
) -> tuple[Rule, ...]:
    found = policy({"endpointSelector": {}, section: list(written)}, *others, **how)
    assert found.unreadable == ()
    return found.rules


def rule(section: str, written: Any, **how: Any) -> Rule:
    (found,) = rules(section, written, **how)
    return found


def refused(spec: Any, *others: Document, **how: Any) -> str:
    """Return why a policy was not understood, and where."""
    found = policy(spec, *others, **how)
    (part,) = found.unreadable
    assert (found.rules, found.isolates) == ((), ())
    return part.reason


def refused_rule(section: str, written: Any, **how: Any) -> str:
    return refused({"endpointSelector": {}, section: [written]}, **how)


def labelled(*requirements: Requirement) -> LabelPeer:
    return LabelPeer(LabelAnd(tuple(LabelIs(each) for each in sorted(requirements))))


def has(key: str, value: str) -> Requirement:
    return Requirement(key, Operator.IN, (value,))


def exists(key: str) -> Requirement:
    return Requirement(key, Operator.EXISTS)
