"""What the outside reaches, and what reaches the outside."""

from pathlib import Path

import pytest

from ringfence import assemble
from ringfence.model.connectivity import Allowance
from ringfence.model.exposure import Entrance, Exposure
from ringfence.questions.exposure import exposure

ANY_IPV4 = "0.0.0.0-255.255.255.255"
NODES = """
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.0.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.10}]}
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]
"""
CONTROLLER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: traefik, namespace: edge}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: traefik}}
  template:
    metadata: {labels: {app.kubernetes.io/name: traefik}}
    spec:
      containers: [{name: traefik, ports: [{containerPort: 8443}]}]
"""
EDGE = """
apiVersion: v1
kind: Service
metadata: {name: traefik, namespace: edge}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app.kubernetes.io/name: traefik}
  ports: [{port: 443, targetPort: 8443}]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  ingressClassName: traefik
  rules:
  - host: shop.example
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]
"""
DENY_ALL = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""


def service(spec: str, name: str = "web") -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: http{", nodePort: 30080" if "Port" in spec else ""}}}]
  {spec}
"""


def admit(source: str, ports: str = "") -> str:
    return f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: web, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  policyTypes: [Ingress]
  ingress: [{{from: [{source}]{ports}}}]
"""


@pytest.fixture
def look(tmp_path: Path) -> "Look":
    return Look(tmp_path)


class Look:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *documents: str, namespace: str | None = None) -> Exposure:
        path = self.folder / "cluster.yaml"
        path.write_text("\n---\n".join(documents), encoding="utf-8")
        return exposure(assemble.load([str(path)], cni="generic"), namespace=namespace)

    def one(self, *documents: str, kind: str) -> Entrance:
        found = [e for e in self(*documents).entrances if e.kind == kind]
        assert len(found) == 1
        return found[0]


def test_a_load_balancer_leads_to_the_target_port(look: Look) -> None:
    found = look.one(
        WEB, service("type: LoadBalancer\n  externalTrafficPolicy: Local"), kind="LoadBalancer"
    )
    assert (found.object, found.service) == ("Service/shop/web", "svc/shop/web")
    assert (found.address, found.workload, found.port) == ("load balancer:80", "shop/web", 8080)
    assert (found.verdict, found.sources) == ("allow", (ANY_IPV4,))
    assert (found.location.line, found.evidence) == (14, ())


def test_a_policy_that_admits_some_addresses_is_told_by_them(look: Look) -> None:
    found = look.one(
        WEB,
        service("type: LoadBalancer\n  externalTrafficPolicy: Local"),
        admit("{ipBlock: {cidr: 203.0.113.0/24}}"),
        kind="LoadBalancer",
    )
    assert found.sources == ("203.0.113.0-203.0.113.255",)
    assert found.unknown_sources == ()
    assert found.verdict == "allow"


def test_a_closed_way_in_is_listed_with_the_rule_that_closes_it(look: Look) -> None:
    found = look.one(
        WEB, service("type: NodePort\n  externalTrafficPolicy: Local"), DENY_ALL, kind="NodePort"
    )
    assert (found.verdict, found.sources, found.address) == ("deny", (), "any node:30080")
    assert [(e.object, e.rule, e.line) for e in found.evidence] == [
        ("NetworkPolicy/shop/closed", "isolation", 28)
    ]


def test_where_a_node_may_stand_in_for_the_client_the_readings_must_agree(look: Look) -> None:
    cluster = (WEB, NODES, admit("{ipBlock: {cidr: 203.0.113.0/24}}"))
    found = look.one(*cluster, service("type: NodePort"), kind="NodePort")
    assert (found.verdict, found.sources) == ("unknown", ())
    assert found.unknown_sources == ("203.0.113.0-203.0.113.255",)
    assert "a node may put its own address" in found.because[0]
    found = look.one(
        *cluster, service("type: NodePort\n  externalTrafficPolicy: Local"), kind="NodePort"
    )
    assert found.verdict == "allow"


def test_a_node_that_may_call_where_clients_may_not_is_no_closed_door(look: Look) -> None:
    policy = admit("{ipBlock: {cidr: 192.168.0.0/24}}")
    found = look.one(WEB, NODES, policy, service("type: NodePort"), kind="NodePort")
    assert found.sources == ("192.168.0.0-192.168.0.255",)
    assert len(found.unknown_sources) == 2


def test_load_balancer_source_ranges_limit_who_comes_in(look: Look) -> None:
    spec = """type: LoadBalancer
  externalTrafficPolicy: Local
  loadBalancerSourceRanges: [198.51.100.0/25]"""
    opened = service(spec).replace("80, target", "80, nodePort: 30080, target")
    found = {e.kind: e for e in look(WEB, opened).entrances}
    assert found["LoadBalancer"].sources == ("198.51.100.0-198.51.100.127",)
    assert found["NodePort"].sources == (ANY_IPV4,)


def test_external_ips_are_a_way_in(look: Look) -> None:
    found = look.one(WEB, service("externalIPs: [203.0.113.9]"), kind="ExternalIP")
    assert found.address == "203.0.113.9:80"


def test_a_cluster_ip_is_no_way_in(look: Look) -> None:
    assert look(WEB, service("type: ClusterIP")).entrances == ()


def test_an_ingress_is_judged_through_its_controller(look: Look) -> None:
    cluster = (WEB, service("type: ClusterIP"), CONTROLLER, EDGE, INGRESS)
    found = look.one(*cluster, kind="Ingress")
    assert (found.address, found.workload, found.port) == ("shop.example/", "shop/web", 8080)
    assert found.through == ("edge/traefik",)
    assert (found.verdict, found.sources) == ("allow", (ANY_IPV4,))
    found = look.one(*cluster, DENY_ALL, kind="Ingress")
    assert found.verdict == "deny"
    assert [e.object for e in found.evidence] == ["NetworkPolicy/shop/closed"]
    edge = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}"
    assert look.one(*cluster, DENY_ALL, admit(edge), kind="Ingress").verdict == "allow"


def test_an_ingress_is_open_to_those_who_reach_its_controller(look: Look) -> None:
    closed = DENY_ALL.replace("shop", "edge")
    cluster = (WEB, service("type: ClusterIP"), CONTROLLER, EDGE, INGRESS)
    assert look.one(*cluster, closed, kind="Ingress").verdict == "deny"
    ranged = EDGE.replace("type:", "loadBalancerSourceRanges: [198.51.100.0/24]\n  type:")
    found = look.one(WEB, service("type: ClusterIP"), CONTROLLER, ranged, INGRESS, kind="Ingress")
    assert found.sources == ("198.51.100.0-198.51.100.255",)


def test_a_controller_that_nothing_exposes_is_judged_by_its_ports_and_that_is_said(
    look: Look,
) -> None:
    found = look.one(WEB, service("type: ClusterIP"), CONTROLLER, INGRESS, kind="Ingress")
    assert found.verdict == "allow"
    assert found.because == ("no Service in the input leads from the outside to `edge/traefik`",)


def test_the_only_controller_known_is_taken_for_a_class_of_another_name(look: Look) -> None:
    ingress = INGRESS.replace("ingressClassName: traefik", "ingressClassName: public")
    cluster = (WEB, service("type: ClusterIP"), CONTROLLER, EDGE, ingress)
    found = look.one(*cluster, kind="Ingress")
    assert found.through == ("edge/traefik",)
    assert "the only controller known" in found.because[0]


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [("", "allow"), (DENY_ALL, "deny"), (admit("{podSelector: {}}"), "unknown")],
    ids=["open", "closed", "open to some"],
)
def test_an_unknown_controller_may_be_anybody(look: Look, policy: str, verdict: str) -> None:
    other = WEB.replace("web", "other")
    ingress = INGRESS.replace("ingressClassName: traefik", "ingressClassName: alb")
    cluster = [WEB, other, service("type: ClusterIP"), ingress, *([policy] if policy else [])]
    found = look.one(*cluster, kind="Ingress")
    assert (found.verdict, found.through) == (verdict, ())
    assert found.because == ("which workload serves class `alb` is not known",)


OWNER = "gateway.envoyproxy.io/owning-gateway"
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: public, namespace: edge}]
  hostnames: [shop.example]
  rules: [{backendRefs: [{name: web, port: 80}]}]
"""


@pytest.mark.parametrize(
    ("namespace", "labels"),
    [
        ("edge", "gateway.networking.k8s.io/gateway-name: public"),
        (
            "envoy-gateway-system",
            f"{OWNER}-name: public, {OWNER}-namespace: edge",
        ),
    ],
)
def test_a_gateways_own_pods_are_found_by_their_labels(
    look: Look, namespace: str, labels: str
) -> None:
    proxy = CONTROLLER.replace("namespace: edge", f"namespace: {namespace}")
    proxy = proxy.replace("app.kubernetes.io/name: traefik", labels)
    found = look.one(WEB, service("type: ClusterIP"), proxy, GATEWAY, kind="HTTPRoute")
    assert found.through == (f"{namespace}/traefik",)


def test_a_gateway_of_the_same_name_elsewhere_is_another_one(look: Look) -> None:
    proxy = CONTROLLER.replace(
        "app.kubernetes.io/name: traefik", "gateway.networking.k8s.io/gateway-name: public"
    ).replace("namespace: edge", "namespace: other")
    found = look.one(WEB, service("type: ClusterIP"), proxy, GATEWAY, kind="HTTPRoute")
    assert found.through == ()


def test_a_host_network_is_open_whatever_policies_say(look: Look) -> None:
    agent = WEB.replace(
        "spec:\n      containers", "spec:\n      hostNetwork: true\n      containers"
    )
    found = look.one(agent, DENY_ALL, kind="HostNetwork")
    assert (found.verdict, found.address, found.port) == ("allow", "its node:8080", 8080)


def test_a_way_that_leads_nowhere_is_told(look: Look) -> None:
    notes = look(WEB, INGRESS).notes
    assert any("Ingress/shop/shop names `svc/shop/web`, which is not there" in n for n in notes)
    no_pods = service("type: LoadBalancer").replace("app: web", "app: nothing")
    assert any("svc/shop/web" in note for note in look(WEB, no_pods).notes)
    other_port = INGRESS.replace("port: {name: http}", "port: {number: 81}")
    notes = look(WEB, service("type: ClusterIP"), other_port).notes
    assert any("names port `81`" in note and "no such port" in note for note in notes)


def test_ways_out_are_told_by_where_they_lead(look: Look) -> None:
    policy = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: 203.0.113.0/24}}]
    ports: [{port: 443}]
  - ports: [{port: 53, protocol: UDP}]
"""
    exits = look(WEB, policy).exits
    assert [(e.workload, e.outside, e.allow) for e in exits] == [
        (
            "shop/web",
            ("203.0.113.0-203.0.113.255",),
            (Allowance("TCP", "443"), Allowance("UDP", "53")),
        ),
        (
            "shop/web",
            (
                "0.0.0.0-203.0.112.255",
                "203.0.114.0-255.255.255.255",
                "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (Allowance("UDP", "53"),),
        ),
    ]
    assert look(WEB, DENY_ALL).exits == ()


def test_what_nothing_exposes_but_policies_admit_is_told_apart(look: Look) -> None:
    told = look(WEB, WEB.replace("web", "api"), service("type: NodePort"))
    assert [passage.workload for passage in told.admitted] == ["shop/api"]
    assert {e.workload for e in told.entrances} == {"shop/web"}


def test_one_namespace_alone(look: Look) -> None:
    cluster = (WEB, service("type: NodePort"), CONTROLLER, EDGE, INGRESS)
    told = look(*cluster, namespace="edge")
    assert {e.workload for e in told.entrances} == {"edge/traefik"}
    assert {e.workload for e in told.exits} == {"edge/traefik"}
    assert [peer.name for peer in told.workloads] == ["edge/traefik"]
