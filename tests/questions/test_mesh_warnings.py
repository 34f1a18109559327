"""Warnings of what policies do in a mesh: each is told with a connection that shows it."""

import pytest

from questions.mesh_shop import AMBIENT, ONLY_8080, ONLY_WEB, STRICT, linkerd, load, shop, text
from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.query import Query
from ringfence.model.snapshot import Snapshot
from ringfence.questions.explain import explain
from ringfence.questions.mesh_warnings import mesh_warnings

WAYPOINT = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: way, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: way, namespace: shop}
spec:
  selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: way}}
  template:
    metadata:
      labels:
        gateway.networking.k8s.io/gateway-name: way
        gateway.istio.io/managed: istio.io-mesh-controller
    spec: {serviceAccountName: way, containers: [{name: istio-proxy}]}
"""


def authorization(spec: str, name: str = "one") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: shop}}
spec: {spec}
"""


def authentication(spec: str, namespace: str = "shop", name: str = "one") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def found(snapshot: Snapshot, words: str) -> list[MeshWarning]:
    """Return the warnings with some words; each has a place and says what shows it."""
    told = [w for w in mesh_warnings(snapshot) if words in w.message]
    assert all(w.location.line and w.shown_by for w in told)
    return told


def through_waypoint(*more: str) -> Snapshot:
    manifests = text(WAYPOINT, *more, mesh=AMBIENT)
    labelled = "name: pay, namespace: shop, labels: {istio.io/use-waypoint: way}"
    service = "kind: Service\nmetadata: {name: pay, namespace: shop}"
    assert service in manifests
    return load(manifests.replace(service, f"kind: Service\nmetadata: {{{labelled}}}"))


# -- who gets past ---------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["notPrincipals", "notNamespaces"])
def test_an_allow_that_excludes_identities_admits_plaintext(field: str) -> None:
    spec = f"{{rules: [{{from: [{{source: {{{field}: [evil]}}}}]}}]}}"
    (warning,) = found(shop(authorization(spec)), "a peer without mTLS has no identity")
    assert warning.message.startswith(field)
    assert warning.object == "AuthorizationPolicy/shop/one"
    assert warning.shown_by == "legacy/batch -> shop/pay:8080 GET / in plaintext: allow"


def test_where_mtls_is_demanded_nobody_is_admitted_so() -> None:
    spec = "{rules: [{from: [{source: {notPrincipals: [evil]}}]}]}"
    assert not found(shop(authorization(spec), STRICT), "a peer without mTLS")


def test_what_names_somebody_as_well_admits_nobody_else() -> None:
    spec = '{rules: [{from: [{source: {notPrincipals: [evil], principals: ["*"]}}]}]}'
    assert not found(shop(authorization(spec)), "a peer without mTLS")


def test_a_denied_path_is_evaded_by_one_that_is_not_normalised() -> None:
    spec = '{action: DENY, rules: [{to: [{operation: {paths: ["/admin*"]}}]}]}'
    (warning,) = found(shop(authorization(spec)), "`//admin`")
    assert "GET //admin" in warning.shown_by
    assert warning.shown_by.endswith(": allow")


def test_a_path_that_only_some_may_use_is_not_evaded() -> None:
    spec = '{action: ALLOW, rules: [{to: [{operation: {paths: ["/shop*"]}}]}]}'
    assert not found(shop(authorization(spec)), "many servers take")


def test_a_deny_by_identity_is_void_where_plaintext_is_taken() -> None:
    spec = "{action: DENY, rules: [{from: [{source: {namespaces: [shop]}}]}]}"
    (warning,) = found(shop(authorization(spec)), "gets in without one")
    assert "in plaintext: allow" in warning.shown_by
    assert not found(shop(authorization(spec), STRICT), "gets in without one")
    assert not found(shop(authorization(spec), mesh=AMBIENT), "gets in without one")


# -- rules that are not read -----------------------------------------------------------------------


def as_tcp(*more: str) -> Snapshot:
    return load(text(*more).replace("name: http, port", "name: tcp, port"))


def test_an_allow_with_fields_of_http_allows_nothing_on_tcp() -> None:
    (warning,) = found(as_tcp(ONLY_WEB), "there the rule allows nothing")
    assert warning.message.startswith("methods, paths have a meaning in HTTP alone, and port 8080")
    assert warning.shown_by == "shop/web -> shop/pay:8080 by svc/shop/pay over mTLS: deny"
    assert not found(shop(ONLY_WEB), "there the rule allows nothing")


def test_a_deny_with_fields_of_http_denies_more_on_tcp() -> None:
    spec = "{action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}"
    (warning,) = found(as_tcp(authorization(spec)), "there the rule denies")
    assert warning.shown_by.endswith(": deny")
    assert not found(shop(authorization(spec)), "there the rule denies")


def test_a_deny_that_a_ztunnel_does_not_read_fails_open() -> None:
    spec = """
  action: DENY
  rules: [{from: [{source: {namespaces: [shop]}}], to: [{operation: {methods: [GET]}}]}]"""
    (warning,) = found(shop(authorization(spec), mesh=AMBIENT), "denies nothing by this rule")
    assert warning.shown_by.endswith("GET / over mTLS: allow")
    assert not found(shop(authorization(spec)), "denies nothing by this rule")


def test_an_allow_that_a_ztunnel_does_not_read_allows_nothing() -> None:
    (warning,) = found(shop(ONLY_WEB, mesh=AMBIENT), "allows nothing by this rule")
    assert warning.shown_by == "shop/web -> shop/pay:8080 POST /v1/payment over mTLS: deny"


def test_pods_behind_a_waypoint_do_not_see_the_caller() -> None:
    spec = """
  selector: {matchLabels: {app: pay}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]"""
    (warning,) = found(through_waypoint(authorization(spec)), "behind waypoint shop/way")
    assert warning.shown_by == "shop/web -> shop/pay:8080 by svc/shop/pay over mTLS: deny"


def test_what_selects_a_waypoint_is_not_about_what_goes_through_it() -> None:
    spec = """
  selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: way}}
  action: DENY
  rules: [{}]"""
    (warning,) = found(through_waypoint(authorization(spec)), "selects the pods of waypoint")
    assert warning.shown_by.endswith("by svc/shop/pay over mTLS: allow")


# -- transport -------------------------------------------------------------------------------------


def test_strict_refuses_callers_that_are_in_no_mesh() -> None:
    (warning,) = found(shop(STRICT), "demands mTLS, and refuses a caller")
    assert warning.object == "PeerAuthentication/shop/default"
    assert "legacy/batch -> shop/" in warning.shown_by
    assert warning.shown_by.endswith("in plaintext: deny")


INSIDE = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: inside, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}
"""


def test_strict_refuses_nobody_whom_the_network_keeps_out() -> None:
    assert not found(shop(STRICT, INSIDE), "demands mTLS")


def test_a_network_policy_may_forget_the_tunnel_of_ambient() -> None:
    (warning,) = found(shop(ONLY_8080, mesh=AMBIENT), "but not TCP 15008 itself")
    assert warning.object == "NetworkPolicy/shop/pay"
    assert warning.shown_by == "shop/web -> shop/pay:8080 by svc/shop/pay over mTLS: deny"
    assert not found(shop(ONLY_8080), "itself")


def test_a_network_policy_may_forget_the_port_of_linkerd() -> None:
    (warning,) = found(linkerd(ONLY_8080), "but not TCP 4143 itself")
    assert warning.object == "NetworkPolicy/shop/pay"


@pytest.mark.parametrize(
    ("spec", "namespace"),
    [
        ("{selector: {matchLabels: {app: nobody}}, mtls: {mode: STRICT}}", "shop"),
        ("{mtls: {mode: STRICT}}", "legacy"),
        ("{selector: {matchLabels: {app: pay}}, mtls: {mode: STRICT}}", "istio-system"),
    ],
)
def test_a_peer_authentication_that_never_applies(spec: str, namespace: str) -> None:
    (warning,) = found(shop(authentication(spec, namespace)), "has no effect on anything")
    assert warning.object == f"PeerAuthentication/{namespace}/one"


@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE", "DISABLE"])
def test_one_that_applies_is_not_told(mode: str) -> None:
    assert not found(shop(authentication(f"{{mtls: {{mode: {mode}}}}}")), "has no effect")


# -- where they are told ---------------------------------------------------------------------------


def test_explain_tells_those_about_the_destination() -> None:
    other = authorization(
        "{selector: {matchLabels: {app: web}}, action: DENY,"
        ' rules: [{to: [{operation: {paths: ["/admin*"]}}]}]}'
    )
    snapshot = shop(other)
    asked = explain(snapshot, Query(source="legacy/batch", destination="shop/web", port=8080))
    assert [w.object for w in asked.warnings] == ["AuthorizationPolicy/shop/one"]
    asked = explain(snapshot, Query(source="legacy/batch", destination="shop/pay", port=8080))
    assert asked.warnings == ()


def test_of_one_namespace_those_are_told_that_show_there() -> None:
    assert mesh_warnings(shop(STRICT), namespace="shop")
    assert mesh_warnings(shop(STRICT), namespace="legacy") == ()


def test_without_a_mesh_nothing_is_told() -> None:
    assert mesh_warnings(shop(ONLY_8080, mesh="")) == ()
