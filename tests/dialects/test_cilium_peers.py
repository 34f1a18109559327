"""The peers of Cilium's rules: which endpoints, entities, nodes, names."""

from typing import Any

import pytest

from dialects.cilium_documents import (
    CCNP,
    NAMESPACE,
    PORTS,
    SHOP,
    WEB,
    exists,
    has,
    labelled,
    refused_rule,
    rule,
    rules,
)
from ringfence.model.cluster import Backend, Service
from ringfence.model.layer7 import DomainPattern, Wildcard
from ringfence.model.location import Location
from ringfence.model.rule import (
    NOBODY,
    Action,
    AllPeers,
    DomainPeer,
    Entity,
    EntityPeer,
    NodePeer,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, Operator, Requirement, equals

TEAM = "io.cilium.k8s.namespace.labels.team"


def sources(selector: Any, **how: Any) -> Any:
    (peer,) = rule("ingress", {"fromEndpoints": [selector]}, **how).peers or ()
    return peer


# -- endpoints ---------------------------------------------------------------------------------


def test_endpoints_are_of_the_policys_namespace() -> None:
    assert sources({}) == labelled(SHOP)
    assert sources(WEB) == labelled(SHOP, has("app", "web"))


def test_endpoints_of_a_clusterwide_policy_are_pods_of_any_namespace() -> None:
    assert sources(WEB, kind=CCNP) == labelled(exists(NAMESPACE), has("app", "web"))


@pytest.mark.parametrize("prefix", ["", "k8s:", "any:"])
def test_a_namespace_that_is_named_is_the_one(prefix: str) -> None:
    selector = {"matchLabels": {f"{prefix}{NAMESPACE}": "pay"}}
    assert sources(selector) == labelled(has(NAMESPACE, "pay"))
    assert sources(selector, kind=CCNP) == labelled(has(NAMESPACE, "pay"))


def test_any_requirement_on_the_namespace_counts() -> None:
    selector = {"matchExpressions": [{"key": NAMESPACE, "operator": "Exists"}]}
    assert sources(selector) == labelled(exists(NAMESPACE))


@pytest.mark.parametrize("prefix", ["", "k8s:"])
def test_a_label_of_the_namespace_frees_from_the_own_one(prefix: str) -> None:
    selector = {"matchLabels": {f"{prefix}{TEAM}": "a"}}
    assert sources(selector) == labelled(has(TEAM, "a"))
    assert sources(selector, kind=CCNP) == labelled(has(TEAM, "a"), exists(NAMESPACE))


def test_a_reserved_label_frees_from_any_namespace() -> None:
    selector = {"matchExpressions": [{"key": "reserved:host", "operator": "Exists"}]}
    assert sources(selector) == labelled(exists("reserved:host"))
    assert sources(selector, kind=CCNP) == labelled(exists("reserved:host"))


def test_a_service_account_is_a_label() -> None:
    account = "io.cilium.k8s.policy.serviceaccount"
    assert sources({"matchLabels": {account: "sa"}}) == labelled(SHOP, has(account, "sa"))


def test_several_endpoints_are_alternatives() -> None:
    found = rule("ingress", {"fromEndpoints": [WEB, {}]})
    assert found.peers == (labelled(SHOP, has("app", "web")), labelled(SHOP))


# -- lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes"])
@pytest.mark.parametrize("ports", [{}, PORTS])
def test_an_explicit_empty_list_selects_nothing(key: str, ports: Any) -> None:
    assert rule("ingress", {f"from{key}": [], **ports}).peers == ()
    assert rule("egress", {f"to{key}": [], **ports}).peers == ()


@pytest.mark.parametrize("key", ["toFQDNs", "toServices", "toGroups"])
def test_but_an_empty_list_of_names_services_or_groups_is_none(key: str) -> None:
    assert rule("egress", {key: [], **PORTS}).peers is None
    assert rule("egress", {key: []}).peers == ()


def test_ports_without_peers_mean_any_peer() -> None:
    assert rule("ingress", PORTS).peers is None
    assert rule("egress", {"icmps": [{"fields": [{"type": 8}]}]}).peers is None


def test_peers_without_ports_mean_all_traffic() -> None:
    assert rule("ingress", {"fromEndpoints": [{}], "toPorts": []}).traffic is None


def test_lists_of_peers_exclude_each_other() -> None:
    assert "`toEntities` and `toCIDR` exclude" in refused_rule(
        "egress", {"toEntities": ["world"], "toCIDR": ["10.0.0.0/8"]}
    )
    found = rule("egress", {"toEntities": ["world"], "toCIDR": []})
    assert found.peers == ()


@pytest.mark.parametrize("section", ["ingressDeny", "egressDeny"])
def test_rules_that_deny(section: str) -> None:
    key = "fromEntities" if section == "ingressDeny" else "toEntities"
    found = rule(section, {key: ["world"], **PORTS})
    assert (found.action, found.peers) == (Action.DENY, (EntityPeer(Entity.WORLD),))
    assert found.path == ("spec", section, 0)


def test_names_cannot_be_denied() -> None:
    assert "unknown field `toFQDNs`" in refused_rule("egressDeny", {"toFQDNs": []})


@pytest.mark.parametrize("section", ["ingress", "egressDeny"])
def test_requirements(section: str) -> None:
    key = "fromRequires" if section == "ingress" else "toRequires"
    assert "none of them" in refused_rule(section, {key: [{}]})
    assert "other policies" in refused_rule(section, {key: [{}]}, version="1.18.0")
    assert rule(section, {key: []}).peers == ()


# -- entities ----------------------------------------------------------------------------------


def entities(*names: str, **how: Any) -> Any:
    return rule("egress", {"toEntities": list(names)}, **how).peers


@pytest.mark.parametrize("name", ["host", "remote-node", "kube-apiserver", "world"])
def test_entities_that_a_question_can_name(name: str) -> None:
    assert entities(name) == (EntityPeer(Entity(name)),)


def test_cluster_is_pods_nodes_and_an_api_server_that_is_known() -> None:
    inside = (Entity.HOST, Entity.REMOTE_NODE, Entity.PODS)
    assert entities("cluster", "host") == tuple(map(EntityPeer, inside))
    server = Service(
        "default",
        "kubernetes",
        "ClusterIP",
        None,
        (),
        Location("s.yaml"),
        backends=(Backend("192.0.2.1", ()),),
    )
    found = rule("egress", {"toEntities": ["cluster"]}, services=(server,))
    assert found.peers == tuple(map(EntityPeer, (*inside, Entity.KUBE_APISERVER)))


def test_all_is_any_peer() -> None:
    assert entities("world", "all") is None
    assert rule("egress", {"toEntities": ["all"]}).traffic is None


@pytest.mark.parametrize("name", ["init", "health", "ingress", "unmanaged", "none"])
def test_entities_that_no_question_can_name(name: str) -> None:
    assert entities(name) == ()


def test_whether_cluster_mesh_holds_the_own_cluster_is_open() -> None:
    certain, perhaps = rules("egress", {"toEntities": ["cluster-mesh", "world"]})
    assert (certain.peers, certain.uncertain) == ((EntityPeer(Entity.WORLD),), "")
    assert perhaps.peers == entities("cluster")
    assert "cluster-mesh" in perhaps.uncertain
    assert "cluster-mesh" in refused_rule(
        "egress", {"toEntities": ["cluster-mesh"]}, version="1.19.4"
    )


@pytest.mark.parametrize("name", ["world-ipv4", "moon"])
def test_other_entities_are_refused(name: str) -> None:
    assert f"`{name}` is none of" in refused_rule("egress", {"toEntities": [name]})


# -- nodes -------------------------------------------------------------------------------------


def nodes(selector: Any) -> Any:
    return rule("egress", {"toNodes": [selector]}, node_selectors=True).peers


def test_nodes_are_other_nodes_by_their_labels() -> None:
    remote = EntityPeer(Entity.REMOTE_NODE)
    assert nodes({}) == (AllPeers((remote, NodePeer(EVERYTHING))),)
    assert nodes({"matchLabels": {"node:zone": "a"}}) == (
        AllPeers((remote, NodePeer(equals(zone="a")))),
    )


def test_nodes_have_no_labels_of_other_sources() -> None:
    absent = {"matchExpressions": [{"key": "k8s:zone", "operator": "NotIn", "values": ["a"]}]}
    assert nodes({"matchLabels": {"k8s:zone": "a"}}) == (NOBODY,)
    assert nodes(absent) == nodes({})


def test_nodes_keep_labels_that_pods_do_not() -> None:
    host = Requirement("kubernetes.io/hostname", Operator.IN, ("n1",))
    assert nodes({"matchLabels": {"kubernetes.io/hostname": "n1"}}) == (
        AllPeers((EntityPeer(Entity.REMOTE_NODE), NodePeer(LabelSelector((host,))))),
    )


def test_nodes_need_the_setting() -> None:
    assert "enable-node-selector-labels" in refused_rule("egress", {"toNodes": [{}]})
    assert "enable-node-selector-labels" in refused_rule("ingress", {"fromNodes": [{}]}, audit=True)


# -- names -------------------------------------------------------------------------------------


def name(item: Any, **how: Any) -> DomainPattern:
    (peer,) = rule("egress", {"toFQDNs": [item]}, **how).peers or ()
    assert isinstance(peer, DomainPeer)
    assert peer.seen_by_proxy
    return peer.pattern


@pytest.mark.parametrize(
    ("item", "pattern"),
    [
        ({"matchName": "API.Example.com."}, "api.example.com"),
        ({"matchPattern": "*.Example.com"}, "*.example.com"),
        ({"matchPattern": "a**b.io"}, "a*b.io"),
        ({"matchPattern": "***.x.io"}, "**.x.io"),
        ({"matchPattern": "**x.io"}, "*x.io"),
        ({"matchPattern": "**"}, "*"),
        ({"matchPattern": "*."}, "*"),
    ],
)
def test_names_and_patterns(item: Any, pattern: str) -> None:
    assert name(item) == DomainPattern(pattern, Wildcard.CILIUM)


def test_two_stars_are_one_label_before_1_19() -> None:
    before = {"matchPattern": "**.x.io"}
    assert name(before, version="1.18.1") == DomainPattern("*.x.io", Wildcard.CILIUM_BEFORE_1_19)
    assert "one label only" in refused_rule(
        "egress", {"toFQDNs": [{"matchPattern": "**"}]}, version="1.18.1"
    )


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"matchName": "a.io", "matchPattern": "*"},
        {"matchName": "*.io"},
        {"matchPattern": "a..io"},
        {"matchName": "a" * 256},
        {"matchName": "a" * 200 + "!"},
    ],
)
def test_what_is_no_name_is_refused(item: Any) -> None:
    assert refused_rule("egress", {"toFQDNs": [item]})
