"""The peers of Cilium's rules: scopes, labels, entities, blocks, Services."""

import pytest

from reference.cilium_cluster import TO_DB, TO_WEB, ask, ccnp, cluster, cnp, group, verdict
from reference.small_cluster import NOWHERE
from ringfence.model.cluster import Backend, Service, ServicePort
from ringfence.model.profile import CiliumConfig
from ringfence.model.selector import from_labels
from ringfence.reference.cilium_blocks import EXCEPT
from ringfence.reference.cilium_entities import API_SERVER_INSIDE, API_SERVER_UNSURE
from ringfence.reference.cilium_labels import (
    Condition,
    Selector,
    equals,
    peer_selector,
    read_selector,
    subject_selector,
)

NAMESPACE = "io.kubernetes.pod.namespace"


def test_the_source_of_a_key_is_any_unless_it_names_one() -> None:
    found = read_selector({"matchLabels": {"app": "a", "k8s:b": "c", "reserved:host": ""}}, ())
    assert [(c.source, c.key) for c in found.conditions] == [
        ("any", "app"),
        ("k8s", "b"),
        ("reserved", "host"),
    ]


@pytest.mark.parametrize(
    ("operator", "values", "present", "absent"),
    [
        ("In", ("a", "b"), True, False),
        ("NotIn", ("a",), False, True),
        ("Exists", (), True, False),
        ("DoesNotExist", (), False, True),
    ],
)
def test_operators(operator: str, values: tuple[str, ...], *, present: bool, absent: bool) -> None:
    condition = Condition("any", "key", operator, values)
    assert condition.holds({("k8s", "key"): "a"}) is present
    assert condition.holds({("k8s", "other"): "a"}) is absent


def test_a_source_that_is_named_must_be_the_labels() -> None:
    assert not Condition("node", "key", "Exists").holds({("k8s", "key"): "a"})
    assert Condition("any", "key", "Exists").holds({("node", "key"): "a"})


@pytest.mark.parametrize(
    "written",
    [
        {NAMESPACE: "lab"},
        {f"k8s:{NAMESPACE}": "lab"},
        {f"any:{NAMESPACE}": "lab"},
        {"io.cilium.k8s.namespace.labels.team": "lab"},
        {"reserved:world": ""},
    ],
)
def test_peers_that_say_where_they_are_from_are_not_confined(written: dict[str, str]) -> None:
    selector = read_selector({"matchLabels": written}, ())
    assert peer_selector(selector, "shop") == selector


def test_a_clusterwide_peer_has_a_namespace_even_if_it_names_labels_of_namespaces() -> None:
    selector = read_selector({"matchLabels": {"io.cilium.k8s.namespace.labels.a": "b"}}, ())
    exists = Condition("k8s", NAMESPACE, "Exists")
    assert peer_selector(selector, "").conditions[-1] == exists
    assert peer_selector(Selector(), "").conditions == (exists,)


def test_the_subjects_namespace_takes_the_place_of_a_k8s_label_only() -> None:
    other = read_selector({"matchLabels": {f"k8s:{NAMESPACE}": "lab"}}, ())
    assert subject_selector(other, "shop").conditions == (equals(NAMESPACE, "shop"),)
    unprefixed = read_selector({"matchLabels": {NAMESPACE: "lab"}}, ())
    assert len(subject_selector(unprefixed, "shop").conditions) == 2


def test_a_subject_of_another_namespace_by_any_source_selects_nothing() -> None:
    own = cnp(f"endpointSelector: {{matchLabels: {{{NAMESPACE}: lab}}}}", "ingress: [{}]")
    assert verdict(cluster(own), "8.8.8.8", "shop/db") == "allow"
    assert verdict(cluster(own), "8.8.8.8", "lab/tester") == "allow"


@pytest.mark.parametrize("cluster_name", ["default", "east"])
def test_the_clusters_name_is_a_label(cluster_name: str) -> None:
    own = ccnp(
        TO_DB, "ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: east}}]}]"
    )
    snapshot = cluster(own, settings=CiliumConfig(cluster=cluster_name))
    expected = "allow" if cluster_name == "east" else "deny"
    assert verdict(snapshot, "lab/tester", "shop/db") == expected


# -- the API server --------------------------------------------------------------------------------


def service(name: str, namespace: str = "shop", *addresses: str, **labels: str) -> Service:
    ports = (ServicePort(443, 443),)
    return Service(
        namespace,
        name,
        "ClusterIP",
        None,
        ports,
        NOWHERE,
        backends=tuple(Backend(address, ports) for address in addresses),
        labels=labels,
    )


API = service("kubernetes", "default", "192.168.0.2", "172.30.0.1")


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("node/n2", "allow"),
        ("node/n1", "deny"),
        ("172.30.0.1", "allow"),
        ("172.30.0.2", "deny"),
        ("api.example.com", "deny"),
        ("shop/db", "deny"),
    ],
)
def test_the_api_server_is_what_stands_behind_its_service(peer: str, expected: str) -> None:
    own = cnp(TO_WEB, "egress: [{toEntities: [kube-apiserver]}]")
    assert verdict(cluster(own, services=(API,)), "shop/web", peer) == expected


def test_the_api_server_outside_is_of_the_world_and_of_the_cluster() -> None:
    for entity in ("world", "cluster"):
        own = cnp(TO_WEB, f"egress: [{{toEntities: [{entity}]}}]")
        assert verdict(cluster(own, services=(API,)), "shop/web", "172.30.0.1") == "allow"


def test_where_the_api_server_is_not_known() -> None:
    own = cnp(TO_WEB, "egress: [{toEntities: [kube-apiserver]}]")
    found = ask(cluster(own), "shop/web", "172.30.0.1")
    assert (found.verdict, found.unknown_because) == ("unknown", (API_SERVER_UNSURE,))
    whole = cnp(TO_WEB, "egress: [{toEntities: [cluster]}]")
    found = ask(cluster(whole), "shop/web", "172.30.0.1")
    assert (found.verdict, found.notes) == ("deny", (API_SERVER_INSIDE,))
    for policies in (own, whole):
        assert verdict(cluster(policies), "shop/web", "api.example.com") == "deny"


# -- blocks ----------------------------------------------------------------------------------------


def test_blocks_match_nodes_and_pods_where_the_settings_say_so() -> None:
    own = cnp(TO_DB, "ingress: [{fromCIDR: [192.168.0.1/32, 10.1.0.1/32]}]")
    settings = CiliumConfig(cidrs_match_nodes=True, cidrs_match_pods=True)
    snapshot = cluster(own, settings=settings)
    assert verdict(snapshot, "node/n1", "shop/db") == "allow"
    assert verdict(snapshot, "shop/web", "shop/db") == "allow"
    assert verdict(snapshot, "lab/tester", "shop/db") == "deny"
    assert verdict(cluster(own), "node/n1", "shop/db") == "deny"


def test_an_exception_may_be_as_large_as_its_block() -> None:
    own = cnp(TO_DB, "ingress: [{fromCIDRSet: [{cidr: 8.0.0.0/8, except: [8.0.0.0/8]}]}]")
    assert verdict(cluster(own), "8.8.8.8", "shop/db") == "deny"


def test_exceptions_from_groups_are_left_to_the_version() -> None:
    rule = "ingress: [{fromCIDRSet: [{cidrGroupRef: g, except: [8.8.8.0/24]}]}]"
    snapshot = cluster(cnp(TO_DB, rule), group("g", "8.0.0.0/8"))
    found = ask(snapshot, "8.8.8.8", "shop/db")
    assert (found.verdict, found.unknown_because) == ("unknown", (EXCEPT,))
    assert verdict(snapshot, "9.9.9.9", "shop/db") == "deny"


def test_groups_by_their_labels() -> None:
    rule = "ingress: [{fromCIDRSet: [{cidrGroupSelector: {matchLabels: {kind: partner}}}]}]"
    groups = group("a", "8.0.0.0/8", kind="partner"), group("b", "9.0.0.0/8", kind="other")
    snapshot = cluster(cnp(TO_DB, rule), *groups)
    assert verdict(snapshot, "8.8.8.8", "shop/db") == "allow"
    assert verdict(snapshot, "9.9.9.9", "shop/db") == "deny"


# -- services, nodes, requirements -----------------------------------------------------------------


def test_a_service_without_a_namespace_means_every_namespace() -> None:
    own = cnp(TO_WEB, "egress: [{toServices: [{k8sService: {serviceName: legacy}}]}]")
    services = service("legacy", "shop", "9.9.9.1"), service("legacy", "lab", "9.9.9.2")
    for address in ("9.9.9.1", "9.9.9.2"):
        assert verdict(cluster(own, services=services), "shop/web", address) == "allow"
    assert verdict(cluster(own, services=services), "shop/web", "9.9.9.3") == "deny"


def test_addresses_behind_a_service_hit_no_pods() -> None:
    own = cnp(TO_WEB, "egress: [{toServices: [{k8sService: {serviceName: legacy}}]}]")
    services = (service("legacy", "shop", "10.1.0.2"),)
    assert verdict(cluster(own, services=services), "shop/web", "shop/db") == "deny"


def test_services_whose_labels_are_not_known() -> None:
    rule = "{k8sServiceSelector: {selector: {matchLabels: {tier: data}}}}"
    own = cnp(TO_WEB, f"egress: [{{toServices: [{rule}]}}]")
    known = service("db", "shop", "9.9.9.1", tier="data")
    assert verdict(cluster(own, services=(known,)), "shop/web", "9.9.9.1") == "allow"
    bare = Service("shop", "db", "ClusterIP", from_labels({"app": "db"}), (), NOWHERE)
    assert verdict(cluster(own, services=(bare,)), "shop/web", "shop/db") == "unknown"


def test_nodes_by_their_labels() -> None:
    own = cnp(TO_WEB, "egress: [{toNodes: [{matchLabels: {zone: b}}]}]")
    snapshot = cluster(own, settings=CiliumConfig(node_selectors=True))
    assert verdict(snapshot, "shop/web", "node/n2") == "allow"
    assert verdict(snapshot, "shop/web", "node/n1") == "deny"
    assert verdict(snapshot, "shop/web", "shop/db") == "deny"


def test_nodes_are_never_the_own_one() -> None:
    own = cnp(TO_WEB, "egress: [{toNodes: [{}]}]")
    snapshot = cluster(own, settings=CiliumConfig(node_selectors=True))
    assert verdict(snapshot, "shop/web", "node/n1") == "deny"
    assert verdict(snapshot, "shop/web", "system/agent") == "deny"
    assert verdict(snapshot, "shop/web", "node/n2") == "allow"


def test_what_is_required_of_every_endpoint_before_1_19() -> None:
    requires = cnp(TO_DB, "ingress: [{fromRequires: [{matchLabels: {tier: front}}]}]")
    allows = cnp(
        TO_DB,
        f"ingress: [{{fromEndpoints: [{{}}, {{matchLabels: {{{NAMESPACE}: lab}}}}]}},"
        " {fromEntities: [world]}]",
        name="q",
    )
    snapshot = cluster(requires, allows, version="1.18")
    assert verdict(snapshot, "shop/web", "shop/db") == "allow"
    assert verdict(snapshot, "lab/tester", "shop/db") == "deny"
    assert verdict(snapshot, "8.8.8.8", "shop/db") == "allow"
