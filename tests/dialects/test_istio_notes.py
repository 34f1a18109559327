"""What is told of objects of Istio: no effect, or another than they say."""

from typing import Any

import pytest

from dialects.istio_documents import AP, PA, document, namespace, parsed, service
from ringfence.model.cluster import ServicePort
from ringfence.model.document import Document
from ringfence.model.selector import from_labels

WEB = {"matchLabels": {"app": "web"}}


def told(*documents: Document, ambient: bool = False, **around: Any) -> list[str]:
    """Return what is told as a warning."""
    if ambient:
        shop = namespace("shop")
        shop.labels["istio.io/dataplane-mode"] = "ambient"
        around["namespaces"] = [shop]
    found = parsed(*documents, **around).problems
    return [problem.message for problem in found if problem.severity == "warning"]


def of_rule(rule: Any, action: str = "ALLOW", **around: Any) -> list[str]:
    return told(document(AP, {"action": action, "rules": [rule]}), **around)


GET = {"to": [{"operation": {"methods": ["GET"]}}]}


def test_each_is_told_with_file_and_line() -> None:
    (problem,) = parsed(document(AP, {"action": "DENY"})).problems
    assert str(problem.location) == "p.yaml:1"
    assert problem.object == "AuthorizationPolicy/shop/p"


def test_of_most_nothing_is_told() -> None:
    assert told(document(AP, {}), document(PA, {"mtls": {"mode": "STRICT"}})) == []
    assert of_rule(GET) == []
    assert of_rule({"from": [{"source": {"namespaces": ["a"]}}]}, ambient=True) == []


@pytest.mark.parametrize("action", ["DENY", "CUSTOM"])
def test_without_rules_it_has_no_effect(action: str) -> None:
    spec = {"action": action, **({"provider": {"name": "x"}} if action == "CUSTOM" else {})}
    assert any("without rules has no effect" in message for message in told(document(AP, spec)))


def test_a_dry_run_decides_nothing() -> None:
    found = told(document(AP, {"rules": [GET]}, annotations={"istio.io/dry-run": "true"}))
    assert ["dry run" in message for message in found] == [True]


def test_a_provider_that_is_not_set_up_is_told() -> None:
    spec = {"action": "CUSTOM", "provider": {"name": "x"}, "rules": [{}]}
    assert told(document(AP, spec)) == []
    assert "denied" in told(document(AP, spec), source="mesh.yaml")[0]


@pytest.mark.parametrize("field", ["notNamespaces", "notPrincipals", "notServiceAccounts"])
def test_an_allow_rule_that_only_excludes_admits_plaintext(field: str) -> None:
    rule = {"from": [{"source": {field: ["a"]}}]}
    assert "without mTLS" in of_rule(rule)[0]
    assert of_rule(rule, "DENY") == []


# -- TCP -------------------------------------------------------------------------------------------

DB = service("db", ServicePort(5432, 5432, name="tcp-db"))
SHOP_WEB = service("web", ServicePort(80, 8080, name="http"))


def test_an_allow_rule_of_http_allows_nothing_on_tcp() -> None:
    (message,) = of_rule(GET, services=[DB, SHOP_WEB])
    assert "allows nothing on TCP: svc/shop/db port 5432" in message


def test_a_deny_rule_of_http_holds_without_it_on_tcp() -> None:
    (message,) = of_rule(GET, "DENY", services=[DB])
    assert "holds without it: svc/shop/db port 5432" in message


def test_a_deny_rule_of_http_without_ports_denies_all_tcp_there_may_be() -> None:
    assert "no port is named" in of_rule(GET, "DENY", services=[SHOP_WEB])[0]
    with_port = {"to": [{"operation": {"methods": ["GET"], "ports": ["8080"]}}]}
    assert of_rule(with_port, "DENY", services=[SHOP_WEB, DB]) == []


def test_ports_of_services_that_it_cannot_be_for_are_not_told() -> None:
    spec = {"selector": WEB, "rules": [GET]}
    assert told(document(AP, spec), services=[DB]) == []
    both = service("db", ServicePort(1, 1, name="tcp"), selector=from_labels({"tier": "back"}))
    assert len(told(document(AP, spec), services=[both])) == 1


def test_what_an_app_protocol_says_comes_before_the_ports_name() -> None:
    other = service("db", ServicePort(1, 1, name="tcp", app_protocol="http"))
    assert of_rule(GET, services=[other]) == []


# -- ambient ---------------------------------------------------------------------------------------


def test_in_ambient_an_allow_rule_of_http_allows_nothing() -> None:
    (message,) = of_rule(GET, ambient=True)
    assert "in ambient the rule allows nothing" in message


def test_in_ambient_a_deny_rule_of_http_denies_nothing_or_more() -> None:
    found = of_rule(GET, "DENY", ambient=True)
    assert any("in ambient the rule denies nothing" in message for message in found)
    with_port = {"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]}
    (message,) = of_rule(with_port, "DENY", ambient=True)
    assert "in ambient the rule denies without it" in message


@pytest.mark.parametrize("action", ["AUDIT", "CUSTOM"])
def test_in_ambient_other_actions_have_no_effect(action: str) -> None:
    provider = {"provider": {"name": "x"}} if action == "CUSTOM" else {}
    spec = {"action": action, "rules": [{}], **provider}
    (message,) = told(document(AP, spec), ambient=True)
    assert "no effect in ambient" in message


def test_in_ambient_cluster_local_is_no_other_trust_domain() -> None:
    rule = {"from": [{"source": {"principals": ["cluster.local/ns/a/sa/b"]}}]}
    assert "nobody is meant" in of_rule(rule, ambient=True, trust_domain="td")[0]
    assert of_rule(rule, ambient=True) == []


def test_in_ambient_disable_is_permissive() -> None:
    (message,) = told(document(PA, {"mtls": {"mode": "DISABLE"}}), ambient=True)
    assert "does what PERMISSIVE does" in message


def test_in_ambient_what_is_lost_of_ports_is_told() -> None:
    spec = {
        "selector": WEB,
        "mtls": {"mode": "PERMISSIVE"},
        "portLevelMtls": {"80": {"mode": "STRICT"}},
    }
    mesh = document(PA, {"mtls": {"mode": "STRICT"}}, "mesh", "istio-system")
    assert any("ztunnel" in message for message in told(document(PA, spec), mesh, ambient=True))
    assert told(document(PA, spec), mesh) == []


# -- targets ---------------------------------------------------------------------------------------


def attached(name: str = "web", kind: str = "Service", group: str = "") -> Document:
    target = {"kind": kind, "name": name, "group": group}
    return document(AP, {"targetRefs": [target], "rules": [{}]})


def test_a_service_without_a_waypoint_holds_no_policy() -> None:
    assert "has no waypoint" in told(attached(), services=[service()])[0]
    assert "no Service `web`" in told(attached())[0]
    assert told(attached(), services=[service(waypoint=("shop", "wp"))]) == []


def test_only_in_the_root_namespace_is_one_for_a_gateway_class() -> None:
    found = told(attached("istio-waypoint", "GatewayClass", "gateway.networking.k8s.io"))
    assert "only in the root namespace" in found[0]


def test_what_goes_to_a_service_entry_by_a_waypoint_is_not_judged() -> None:
    assert "not judged" in told(attached("a", "ServiceEntry", "networking.istio.io"))[0]


def test_a_selector_means_no_waypoint() -> None:
    label = {"gateway.networking.k8s.io/gateway-name": "wp"}
    spec = {"selector": {"matchLabels": label}, "rules": [{}]}
    found = told(document(AP, spec), services=[service(waypoint=("shop", "wp"))])
    assert "no effect on the waypoint `wp`" in found[0]


# -- other objects ---------------------------------------------------------------------------------


def test_a_peer_authentication_of_the_root_namespace_with_a_selector_never_applies() -> None:
    spec = {"selector": WEB, "mtls": {"mode": "STRICT"}}
    (message,) = told(document(PA, spec, namespace="istio-system"))
    assert "has no effect" in message


def test_a_peer_authentication_that_is_not_the_oldest_never_applies() -> None:
    documents = [
        document(PA, {"mtls": {"mode": mode}}, mode.lower(), creationTimestamp=f"2026-01-0{day}")
        for day, mode in enumerate(("STRICT", "PERMISSIVE"), 1)
    ]
    (message,) = told(*documents)
    assert message.startswith("PeerAuthentication/shop/permissive: has no effect")


def test_peer_authentications_of_unknown_age_that_differ_are_told() -> None:
    documents = [
        document(PA, {"mtls": {"mode": mode}}, mode.lower()) for mode in ("STRICT", "PERMISSIVE")
    ]
    assert len(told(*documents)) == 2


def test_a_request_authentication_demands_no_token() -> None:
    jwt = document("RequestAuthentication", {"jwtRules": [{"issuer": "a"}]}, "jwt")
    assert "refuses only bad tokens" in told(jwt)[0]
    demand = document(AP, {"rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]})
    assert told(jwt, demand) == []


def test_the_tls_of_a_subset_is_not_judged() -> None:
    subset = {"name": "v1", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    found = told(document("DestinationRule", {"host": "web", "subsets": [subset]}))
    assert "subset" in found[0]


def test_a_host_with_its_namespace_is_no_short_name() -> None:
    found = told(document("DestinationRule", {"host": "web.shop"}), services=[service()])
    assert "does not mean svc/shop/web" in found[0]


def test_what_a_sidecar_does_beside_is_told() -> None:
    spec = {"egress": [{"hosts": ["./*"]}], "ingress": [{"port": {"number": 80}}]}
    found = told(document("Sidecar", spec))
    assert any("come" in message for message in found)
