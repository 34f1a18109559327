import pytest

from assemble.written import snapshot
from ringfence.model.cluster import Route


def routes(text: str) -> tuple[Route, ...]:
    found = snapshot(text)
    assert found.problems == ()
    return found.routes


INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  ingressClassName: nginx
  defaultBackend: {service: {name: fallback, port: {name: http}}}
  rules:
  - host: Shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /assets, pathType: Prefix, backend: {resource: {kind: Bucket, name: assets}}}
  - host: idle.example.com
"""


def test_every_path_of_an_ingress_is_a_route() -> None:
    fallback, web = routes(INGRESS)
    assert (fallback.service, fallback.port, fallback.host, fallback.path) == (
        "fallback",
        "http",
        "",
        "",
    )
    assert (web.service, web.port, web.host, web.path) == ("web", 80, "shop.example.com", "/")
    assert {route.parent for route in (fallback, web)} == {"nginx"}
    assert (web.kind, web.namespace, web.service_namespace) == ("Ingress", "shop", "shop")


def test_an_ingress_may_name_its_class_by_annotation() -> None:
    text = INGRESS.replace("  ingressClassName: nginx\n", "").replace(
        "namespace: shop}", "namespace: shop, annotations: {kubernetes.io/ingress.class: old}}"
    )
    assert {route.parent for route in routes(text)} == {"old"}


def gateway_route(kind: str, spec: str, version: str = "v1") -> str:
    return f"""
---
apiVersion: gateway.networking.k8s.io/{version}
kind: {kind}
metadata: {{name: r, namespace: shop}}
spec: {{{spec}}}
"""


def test_an_http_route_leads_from_each_gateway_host_and_path() -> None:
    found = routes(
        gateway_route(
            "HTTPRoute",
            """parentRefs: [{name: public, namespace: infra}, {name: own}],
            hostnames: [a.example.com, b.example.com],
            rules: [{matches: [{path: {value: /v1}}, {headers: []}],
                     backendRefs: [{name: web, port: 80}]}]""",
        )
    )
    assert len(found) == 8
    assert {route.parent for route in found} == {"infra/public", "shop/own"}
    assert {route.host for route in found} == {"a.example.com", "b.example.com"}
    assert {route.path for route in found} == {"/v1", "/"}
    assert {(route.service, route.port) for route in found} == {("web", 80)}


def test_a_grpc_route_leads_to_methods() -> None:
    found = routes(
        gateway_route(
            "GRPCRoute",
            """parentRefs: [{name: public}], rules: [{matches: [
                {method: {service: shop.Cart, method: Add}}, {method: {service: shop.Catalog}}],
                backendRefs: [{name: cart, port: 7070, namespace: other}]}]""",
        )
    )
    assert [(route.path, route.service_namespace) for route in found] == [
        ("/shop.Cart/Add", "other"),
        ("/shop.Catalog/*", "other"),
    ]


@pytest.mark.parametrize(("kind", "version"), [("TLSRoute", "v1alpha3"), ("TCPRoute", "v1alpha2")])
def test_routes_below_http_lead_from_the_gateway(kind: str, version: str) -> None:
    (found,) = routes(
        gateway_route(
            kind,
            "parentRefs: [{name: public}], rules: [{backendRefs: [{name: db, port: 5432}]}]",
            version,
        )
    )
    assert (found.kind, found.parent, found.service, found.port, found.path) == (
        kind,
        "shop/public",
        "db",
        5432,
        "",
    )


def test_a_route_of_a_mesh_is_no_way_in() -> None:
    rules = "rules: [{backendRefs: [{name: web, port: 80}]}]"
    mesh = "parentRefs: [{kind: Service, group: '', name: web}]"
    assert routes(gateway_route("HTTPRoute", f"{mesh}, {rules}")) == ()
    (found,) = routes(gateway_route("HTTPRoute", rules))
    assert found.parent == ""


def test_backends_that_are_no_services_are_left_out() -> None:
    refs = "[{kind: ServiceImport, group: multicluster.x-k8s.io, name: x}, {name: web}]"
    found = routes(gateway_route("HTTPRoute", f"rules: [{{backendRefs: {refs}}}]"))
    assert [(route.service, route.port) for route in found] == [("web", None)]


@pytest.mark.parametrize(
    "text",
    [
        INGRESS.replace("{service: {name: web, port: {number: 80}}}", "{}"),
        INGRESS.replace("{number: 80}", "80"),
        INGRESS.replace("{number: 80}", "{number: web}"),
        INGRESS.replace("host: idle.example.com", "host: [a]"),
        gateway_route("HTTPRoute", "rules: {}"),
        gateway_route("HTTPRoute", "rules: [{backendRefs: [web]}]"),
        gateway_route("HTTPRoute", "parentRefs: [public]"),
        gateway_route("HTTPRoute", "hostnames: shop.example.com"),
    ],
)
def test_malformed_routes_are_told(text: str) -> None:
    found = snapshot(text)
    assert found.routes == ()
    (problem,) = found.problems
    assert problem.affects[0] in ("Ingress", "HTTPRoute")
