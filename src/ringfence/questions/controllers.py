"""Which workloads serve an Ingress class or a Gateway: those that call its Services.

Neither an Ingress nor a route names the pods that serve it, so they are known by the labels that
their projects put on them. What is not known is told as such, never guessed at.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from ringfence.model.cluster import Route
from ringfence.model.connection import PodEnd
from ringfence.model.snapshot import Snapshot

Labels = dict[str, str]

BY_CLASS: Final[dict[str, tuple[Labels, ...]]] = {
    "nginx": (
        {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"},
        {"app.kubernetes.io/name": "nginx-ingress"},
        {"app": "nginx-ingress"},
        {"app": "ingress-nginx"},
    ),
    "traefik": ({"app.kubernetes.io/name": "traefik"}, {"app": "traefik"}),
    "haproxy": (
        {"app.kubernetes.io/name": "kubernetes-ingress"},
        {"app.kubernetes.io/name": "haproxy-ingress"},
        {"run": "haproxy-ingress"},
    ),
    "contour": (
        {"app.kubernetes.io/name": "contour", "app.kubernetes.io/component": "envoy"},
        {"app": "envoy"},
    ),
    "kong": (
        {"app.kubernetes.io/name": "kong"},
        {"app": "ingress-kong"},
        {"app": "proxy-kong"},
    ),
    "istio": ({"istio": "ingressgateway"},),
    "openshift": (
        {"ingresscontroller.operator.openshift.io/deployment-ingresscontroller": "default"},
    ),
}
"""By a word of the class's name: the labels of the pods, any set of which must be there.

Source: the Helm charts and manifests of these projects."""

GATEWAY_NAME: Final = "gateway.networking.k8s.io/gateway-name"
"""Source: gateway-api GEP-1762, "Automated Deployments": the pods of a Gateway carry it."""

ENVOY_OWNER: Final = (
    "gateway.envoyproxy.io/owning-gateway-namespace",
    "gateway.envoyproxy.io/owning-gateway-name",
)
"""Envoy Gateway runs its proxies in a namespace of its own, and labels them with their Gateway.
Source: gateway.envoyproxy.io, tasks, "Customize EnvoyProxy"."""


class Controllers(msgspec.Struct, frozen=True):
    """The workloads that serve a route."""

    ends: tuple[PodEnd, ...]
    because: str = ""
    """What they are taken from where that is no more than likely, or why there are none."""


def controllers_of(route: Route, snapshot: Snapshot) -> Controllers:
    """Return what serves a route: by its Gateway or class, else the only controller there is."""
    gateway = route.kind != "Ingress"
    name = f"Gateway `{route.parent}`" if gateway else f"class `{route.parent}`"
    if not route.parent:
        name = "the default Gateway" if gateway else "the default class"
    exact = _of_gateway(route.parent, snapshot) if gateway else _of_class(route.parent, snapshot)
    if exact:
        return Controllers(tuple(exact))
    known = _matching(snapshot, [labels for sets in BY_CLASS.values() for labels in sets])
    if len({end.workload for end in known}) == 1:
        only = snapshot.workloads[known[0].workload].ref
        return Controllers(
            tuple(known), f"{name} is taken to be served by `{only}`, the only controller known"
        )
    return Controllers((), f"which workload serves {name} is not known")


def _of_class(name: str, snapshot: Snapshot) -> list[PodEnd]:
    """Return the pods of the controllers whose word is in a class's name: `nginx-internal`."""
    words = set(re.split("[^a-z0-9]+", name.lower()))
    return _matching(snapshot, [labels for word in words for labels in BY_CLASS.get(word, ())])


def _of_gateway(parent: str, snapshot: Snapshot) -> list[PodEnd]:
    namespace, _, name = parent.partition("/")
    if not name:
        return []
    own = _matching(snapshot, [{GATEWAY_NAME: name}])
    found = [end for end in own if snapshot.workloads[end.workload].namespace == namespace]
    return found or _matching(snapshot, [dict(zip(ENVOY_OWNER, (namespace, name), strict=True))])


def _matching(snapshot: Snapshot, choices: Iterable[Labels]) -> list[PodEnd]:
    """Return the identities that carry all the labels of any choice."""
    sets = [choice.items() for choice in choices]
    return [
        PodEnd(number, i)
        for number, workload in enumerate(snapshot.workloads)
        for i, identity in enumerate(workload.identities)
        if any(wanted <= identity.labels.items() for wanted in sets)
    ]
