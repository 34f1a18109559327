from ringfence.learn.dependency_map import Dependency
from ringfence.learn.init import Draft, draft, heading
from ringfence.learn.propose import propose
from ringfence.learn.read_map import read_text
from ringfence.learn.write_map import write
from written_maps import cluster, node, service, workload

DB = workload("shop/db", ports="[{name: pg, containerPort: 5432}]") + service(
    "shop/db", "app: db", "[{name: sql, port: 15432, targetPort: pg}]"
)


def drafted(text: str) -> Draft:
    return draft(cluster(text))


def guesses(text: str) -> list[str]:
    return [words(dependency) for dependency in drafted(text).map.dependencies]


def words(dependency: Dependency) -> str:
    return f"{dependency.source} -> {dependency.destination} {dependency.traffic}"


def calling(value: str, name: str = "DB_ADDR", space: str = "shop") -> str:
    return workload(f"{space}/web", env=f"[{{name: {name}, value: '{value}'}}]")


def test_an_environment_value_that_names_a_service() -> None:
    [found] = drafted(DB + calling("db:15432")).map.dependencies
    assert words(found) == "shop/web -> svc/shop/db 15432"
    assert found.evidence.startswith("env DB_ADDR of container c, -:")


def test_names_of_other_namespaces_and_whole_cluster_names() -> None:
    for host in ("db.shop:15432", "db.shop.svc:15432", "db.shop.svc.cluster.local:15432"):
        assert guesses(DB + calling(host, space="other")) == ["other/web -> svc/shop/db 15432"]


def test_a_service_without_a_port_told_means_all_its_ports() -> None:
    assert guesses(DB + calling("db", "DB_HOST")) == ["shop/web -> svc/shop/db the Service's ports"]


def test_a_port_of_udp_is_found_by_its_number() -> None:
    udp = workload("shop/log") + service("shop/log", "app: log", "[{port: 514, protocol: UDP}]")
    assert guesses(udp + calling("log:514")) == ["shop/web -> svc/shop/log 514/UDP"]


def test_a_headless_service_leads_to_pods_at_any_port() -> None:
    headless = workload("shop/db") + service(
        "shop/db", "app: db", "[{port: 5432}]", "clusterIP: None"
    )
    assert guesses(headless + calling("db:9999")) == ["shop/web -> shop/db 9999"]


def test_hosts_of_the_outside() -> None:
    assert guesses(calling("https://api.example.com/v1")) == ["shop/web -> api.example.com 443"]
    assert guesses(calling("192.0.2.7:6000")) == ["shop/web -> 192.0.2.7 6000"]


def test_what_cannot_be_drafted_is_told() -> None:
    found = drafted(DB + calling("db:1")).left_out
    assert found[0].startswith(
        "shop/web: `svc/shop/db` has no port `1/SCTP`; its ports: 15432/TCP (sql) (env DB_ADDR"
    ) or found[0].startswith("shop/web: `svc/shop/db` has no port `1`; its ports")
    [absent] = drafted(calling("gone:80")).left_out
    assert absent.startswith("shop/web names `gone`, which is no Service (env DB_ADDR")


INGRESS = """---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: shop, name: front}
spec:
  ingressClassName: nginx
  rules:
    - host: shop.example.com
      http: {paths: [{path: /, backend: {service: {name: db, port: {name: sql}}}}]}
"""
NGINX = "app.kubernetes.io/name: ingress-nginx"


def test_an_ingress_leads_through_its_controller() -> None:
    controllers = workload("in/nginx", NGINX) + workload("in/traefik", "app: traefik")
    admission = f"{NGINX}, app.kubernetes.io/component: admission-webhook"
    found = drafted(DB + INGRESS + controllers + workload("in/hook", admission, kind="Job"))
    [guess] = found.map.dependencies
    assert words(guess) == "in/nginx -> svc/shop/db sql"
    assert "through in/nginx by its label app.kubernetes.io/name=ingress-nginx" in guess.evidence


def test_an_ingress_leads_in_from_the_nodes_if_its_controller_is_on_the_host_network() -> None:
    host = workload("in/nginx", NGINX, kind="DaemonSet", host=True)
    assert guesses(DB + INGRESS + host) == ["nodes -> shop/db pg"]


def test_an_ingress_leads_in_from_outside_if_no_controller_is_there() -> None:
    assert guesses(DB + INGRESS) == ["outside -> shop/db pg"]


def test_a_gateway_is_known_by_the_label_of_its_pods() -> None:
    route = """---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: front}
spec:
  parentRefs: [{name: main, namespace: in}]
  rules: [{backendRefs: [{name: db, port: 15432}]}]
"""
    pods = workload("in/gw-1", "gateway.networking.k8s.io/gateway-name: main")
    other = workload("in/gw-2", "gateway.networking.k8s.io/gateway-name: other")
    assert guesses(DB + route + pods + other) == ["in/gw-1 -> svc/shop/db 15432"]


def test_the_public_name_of_an_ingress_is_no_call() -> None:
    found = drafted(DB + INGRESS + calling("shop.example.com", "PUBLIC_HOST"))
    assert [words(d) for d in found.map.dependencies] == ["outside -> shop/db pg"]
    assert "shop/web names `shop.example.com`, a public name of this cluster" in found.left_out[0]


def facing(more: str) -> str:
    return workload("shop/web", ports="[{name: http, containerPort: 8080}]") + service(
        "shop/web", "app: web", "[{port: 80, targetPort: 8080}]", more
    )


def test_services_that_face_the_outside() -> None:
    for sort in ("NodePort", "LoadBalancer"):
        assert guesses(facing(f"type: {sort}")) == ["outside -> shop/web 8080"]
    assert guesses(facing("type: ClusterIP")) == []
    ranges = "type: LoadBalancer, loadBalancerSourceRanges: [192.0.2.0/24]"
    assert guesses(facing(ranges)) == ["192.0.2.0/24 -> shop/web 8080"]


def test_a_service_that_hides_its_clients_lets_the_nodes_in() -> None:
    text = facing("type: NodePort") + node("n1", "192.168.0.1")
    assert guesses(text) == ["nodes -> shop/web 8080", "outside -> shop/web 8080"]
    [unknown] = drafted(facing("type: NodePort")).left_out
    assert unknown.startswith("`svc/shop/web` is called by nodes, which are not in the input")
    kept = facing("type: NodePort, externalTrafficPolicy: Local") + node("n1", "192.168.0.1")
    assert guesses(kept) == ["outside -> shop/web 8080"]


def test_system_namespaces_are_not_covered_and_every_other_workload_has_an_entry() -> None:
    found = drafted(DB + workload("kube-system/dns") + workload("b/idle")).map
    assert found.namespaces == ("b", "shop")
    assert [str(entry.subject) for entry in found.workloads] == ["b/idle", "shop/db"]


def test_a_draft_can_be_read_and_generated_from() -> None:
    snapshot = cluster(DB + INGRESS + calling("db:15432") + facing("type: NodePort"))
    found = draft(snapshot)
    reading = read_text(write(found.map, heading("here", found.left_out)), "draft.yaml")
    assert reading.map is not None
    assert propose(reading.map, snapshot).problems == ()
