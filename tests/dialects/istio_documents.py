"""Istio's objects as documents, and what the dialect makes of them."""

from collections.abc import Sequence
from typing import Any

from ringfence import dialects
from ringfence.model.cluster import Namespace, Protocol, Service, ServicePort
from ringfence.model.document import Document
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text
from ringfence.model.location import Location
from ringfence.model.mesh import DataPlane, IstioConfig, Mesh
from ringfence.model.profile import Profile
from ringfence.model.rule import (
    Chain,
    ChainPort,
    MeshPeer,
    Policy,
    PortRange,
    PrincipalPeer,
    Rule,
    leaves,
)
from ringfence.model.selector import LabelSelector, from_labels

AP = "AuthorizationPolicy"
PA = "PeerAuthentication"
MTLS = Layer7(mtls=True)
HTTP = Layer7(http=HttpMatch())
TCP = (PortRange(Protocol.TCP),)
ON_HTTP = (ChainPort(Chain.TCP),)
ON_TCP = (ChainPort(Chain.TCP, others=True),)
ON_DETECTED = (ChainPort(Chain.DETECTED, others=True),)


def document(
    kind: str, spec: Any = None, name: str = "p", namespace: str = "shop", **metadata: Any
) -> Document:
    group = "security" if kind in (AP, PA, "RequestAuthentication") else "networking"
    version = f"{group}.istio.io/v1"
    body = {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }
    return Document(version, kind, namespace, name, body, f"{name}.yaml", 1)


def parsed(
    *documents: Document,
    services: Sequence[Service] = (),
    namespaces: Sequence[Namespace] = (),
    **config: Any,
) -> dialects.Parsed:
    return dialects.parse(
        dialects.Context(
            Profile(),
            documents,
            namespaces=namespaces,
            services=services,
            mesh=Mesh(istio=IstioConfig(**config)),
        )
    )


def service(
    name: str = "web",
    *ports: ServicePort,
    namespace: str = "shop",
    waypoint: tuple[str, str] | None = None,
    selector: LabelSelector | None = None,
) -> Service:
    return Service(
        namespace,
        name,
        "ClusterIP",
        selector or from_labels({"app": name}),
        ports or (ServicePort(80, 8080),),
        Location("s.yaml"),
        waypoint=waypoint,
    )


def namespace(name: str) -> Namespace:
    return Namespace(name, {NAMESPACE_NAME: name})


def planes(policy: Policy) -> tuple[DataPlane, ...]:
    """Return the data planes whose pods a policy is for; none where it is for Services."""
    assert policy.subject is not None
    found = [leaf for leaf in leaves(policy.subject) if isinstance(leaf, MeshPeer)]
    return found[0].planes if found else ()


def of(plane: DataPlane, found: dialects.Parsed) -> list[Policy]:
    return [policy for policy in found.policies if plane in planes(policy)]


def envoy(spec: Any, **config: Any) -> Policy:
    """Return an AuthorizationPolicy as pods with a proxy of their own have it."""
    (found,) = of(DataPlane.SIDECAR, parsed(document(AP, spec), **config))
    return found


def ztunnel(spec: Any, **config: Any) -> Policy:
    """Return an AuthorizationPolicy as ztunnel has it."""
    (found,) = of(DataPlane.AMBIENT, parsed(document(AP, spec), **config))
    return found


def rules(rule: Any, action: str = "ALLOW", **config: Any) -> tuple[Rule, ...]:
    """Return what Envoy makes of one rule."""
    return envoy({"action": action, "rules": [rule]}, **config).rules


def source(action: str = "ALLOW", **fields: Any) -> tuple[Rule, ...]:
    return rules({"from": [{"source": fields}]}, action)


def operation(action: str = "ALLOW", **fields: Any) -> tuple[Rule, ...]:
    return rules({"to": [{"operation": fields}]}, action)


def when(key: str, *values: str, action: str = "ALLOW", **more: Any) -> tuple[Rule, ...]:
    condition = {"key": key, **({"values": list(values)} if values else {}), **more}
    return rules({"when": [condition]}, action)


def ports(*numbers: int) -> tuple[PortRange, ...]:
    return tuple(PortRange(Protocol.TCP, number, number) for number in numbers)


def principal(form: Form, value: str) -> PrincipalPeer:
    return PrincipalPeer(Text(form, value))


def http(**fields: Any) -> Layer7:
    return Layer7(http=HttpMatch(**fields))
