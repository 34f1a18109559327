"""Reads the ways from outside to Services: Ingresses and the routes of the Gateway API.

Authority: networking.k8s.io/v1 `types.go`; gateway-api `apis/v1`, `apis/v1alpha2`.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, Final

from ringfence.assemble.catalog import Catalog
from ringfence.assemble.values import Malformed, each, mapping, mappings, number, text, texts
from ringfence.model.cluster import Route
from ringfence.model.document import Document, Path
from ringfence.model.location import Problem

SPEC: Final[Path] = ("spec",)
GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
"""How an Ingress named its class before `spec.ingressClassName`; still read by controllers."""

Matches = Callable[[dict[str, Any], Path], list[str]]
"""From a rule to the paths that it matches; empty for every path."""


def read(catalog: Catalog, problems: list[Problem]) -> tuple[Route, ...]:
    """Return the routes, sorted; what is malformed goes to `problems`."""
    found: list[Route] = []
    for routes in each(catalog.of("Ingress"), _ingress, problems):
        found += routes
    for kind, matches in MATCHES.items():
        for routes in each(catalog.of(kind), _gateway_reader(matches), problems):
            found += routes
    return tuple(sorted(found, key=_order))


def _order(route: Route) -> tuple[str, ...]:
    return (
        route.namespace,
        route.name,
        route.kind,
        route.parent,
        route.host,
        route.path,
        route.service_namespace,
        route.service,
        str(route.port),
    )


# -- Ingress ---------------------------------------------------------------------------------


def _ingress(document: Document) -> list[Route]:
    metadata, spec = mapping(document.body, "metadata", ()), mapping(document.body, "spec", ())
    annotations = mapping(metadata, "annotations", ("metadata",))
    parent = text(spec, "ingressClassName", SPEC) or str(annotations.get(CLASS_ANNOTATION) or "")

    def route(backend: dict[str, Any], at: Path, host: str, path: str) -> list[Route]:
        service = mapping(backend, "service", at)
        if not service and backend.get("resource") is None:
            raise Malformed("a backend has a service or a resource", at)
        if not service:
            return []  # a bucket or the like, which no pod serves
        port_at = (*at, "service", "port")
        port = mapping(service, "port", (*at, "service"))
        return [
            Route(
                kind="Ingress",
                namespace=document.namespace,
                name=document.name,
                service_namespace=document.namespace,
                service=text(service, "name", (*at, "service")),
                port=text(port, "name", port_at) or number(port, "number", port_at, 1, 65535),
                location=document.location_of(at),
                host=host.lower(),
                path=path,
                parent=parent,
            )
        ]

    found: list[Route] = []
    if default := mapping(spec, "defaultBackend", SPEC):
        found += route(default, (*SPEC, "defaultBackend"), "", "")
    for index, rule in enumerate(mappings(spec, "rules", SPEC)):
        at = (*SPEC, "rules", index)
        host, http = text(rule, "host", at), mapping(rule, "http", at)
        for number_, path in enumerate(mappings(http, "paths", (*at, "http"))):
            path_at = (*at, "http", "paths", number_)
            backend = mapping(path, "backend", path_at)
            found += route(backend, (*path_at, "backend"), host, text(path, "path", path_at))
    return found


# -- Gateway API -----------------------------------------------------------------------------


def _gateway_reader(matches: Matches) -> Callable[[Document], list[Route]]:
    def read_route(document: Document) -> list[Route]:
        spec = mapping(document.body, "spec", ())
        parents = _parents(document, spec)
        hosts = [host.lower() for host in texts(spec, "hostnames", SPEC)] or [""]
        found: list[Route] = []
        for index, rule in enumerate(mappings(spec, "rules", SPEC)):
            at = (*SPEC, "rules", index)
            paths = matches(rule, at) or [""]
            for number_, backend in enumerate(mappings(rule, "backendRefs", at)):
                backend_at = (*at, "backendRefs", number_)
                if text(backend, "group", backend_at) not in ("", "core"):
                    continue
                if (text(backend, "kind", backend_at) or "Service") != "Service":
                    continue
                target = text(backend, "namespace", backend_at) or document.namespace
                service = text(backend, "name", backend_at)
                port = number(backend, "port", backend_at, 1, 65535)
                location = document.location_of(backend_at)
                found += [
                    Route(
                        kind=document.kind,
                        namespace=document.namespace,
                        name=document.name,
                        service_namespace=target,
                        service=service,
                        port=port,
                        location=location,
                        host=host,
                        path=path,
                        parent=parent,
                    )
                    for parent, host, path in product(parents, hosts, paths)
                ]
        return found

    return read_route


def _parents(document: Document, spec: dict[str, Any]) -> list[str]:
    """Return the Gateways of a route, each once; one without a name where it lists none at all.

    A route whose parent is a Service steers traffic within a mesh: it is no way in.
    """
    listed = mappings(spec, "parentRefs", SPEC)
    found: dict[str, None] = {}
    for index, parent in enumerate(listed):
        at = (*SPEC, "parentRefs", index)
        if (text(parent, "kind", at) or "Gateway") != "Gateway":
            continue
        if text(parent, "group", at, GATEWAY_GROUP) != GATEWAY_GROUP:
            continue
        namespace = text(parent, "namespace", at) or document.namespace
        found[f"{namespace}/{text(parent, 'name', at)}"] = None
    return list(found) if listed else [""]


def _http_paths(rule: dict[str, Any], at: Path) -> list[str]:
    """Return the paths that a rule matches: every one where it says nothing of them."""
    found: dict[str, None] = {}
    for index, match in enumerate(mappings(rule, "matches", at)):
        match_at = (*at, "matches", index)
        path = mapping(match, "path", match_at)
        found[text(path, "value", (*match_at, "path")) or "/"] = None
    return list(found) or ["/"]


def _grpc_paths(rule: dict[str, Any], at: Path) -> list[str]:
    """Return the methods as the HTTP/2 paths that they travel under."""
    found: dict[str, None] = {}
    for index, match in enumerate(mappings(rule, "matches", at)):
        match_at = (*at, "matches", index)
        method = mapping(match, "method", match_at)
        at_method = (*match_at, "method")
        service = text(method, "service", at_method) or "*"
        found[f"/{service}/{text(method, 'method', at_method) or '*'}"] = None
    return list(found)


def _no_paths(_rule: dict[str, Any], _at: Path) -> list[str]:
    return []


MATCHES: Final[dict[str, Matches]] = {
    "HTTPRoute": _http_paths,
    "GRPCRoute": _grpc_paths,
    "TLSRoute": _no_paths,
    "TCPRoute": _no_paths,
}
