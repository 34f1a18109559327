"""What `toServices` of Cilium's rules stands for."""

from typing import Any

from dialects.cilium_documents import (
    NAMESPACE,
    PORTS,
    SHOP,
    has,
    labelled,
    refused_rule,
    rule,
)
from ringfence.model.cluster import Backend, Service
from ringfence.model.location import Location
from ringfence.model.rule import (
    ANYONE,
    IpPeer,
    Peer,
)
from ringfence.model.selector import equals

# -- services ----------------------------------------------------------------------------------

DB = Service(
    "shop", "db", "ClusterIP", equals(app="db"), (), Location("s.yaml"), labels={"tier": "data"}
)
DB_ELSEWHERE = Service("pay", "db", "ClusterIP", equals(app="db2"), (), Location("s.yaml"))
OUTSIDE = Service(
    "shop",
    "mail",
    "ClusterIP",
    None,
    (),
    Location("s.yaml"),
    backends=(Backend("192.0.2.1", ()), Backend("2001:db8::1", ())),
    labels={"tier": "mail"},
)
SERVICES = (DB, DB_ELSEWHERE, OUTSIDE)
BEHIND_DB = labelled(SHOP, has("app", "db"))
BEHIND_THE_OTHER = labelled(has(NAMESPACE, "pay"), has("app", "db2"))


def behind(item: Any, **how: Any) -> tuple[Peer, ...] | None:
    return rule("egress", {"toServices": [item]}, services=SERVICES, **how).peers


def test_a_service_with_a_selector_is_its_pods() -> None:
    named = {"k8sService": {"serviceName": "db", "namespace": "shop"}}
    assert behind(named) == (BEHIND_DB,)


def test_a_service_without_a_namespace_is_that_of_every_namespace() -> None:
    assert behind({"k8sService": {"serviceName": "db"}}) == (BEHIND_DB, BEHIND_THE_OTHER)


def test_a_service_without_a_selector_is_its_addresses() -> None:
    assert behind({"k8sService": {"serviceName": "mail"}}) == (
        IpPeer("192.0.2.1/32"),
        IpPeer("2001:db8::1/128"),
    )


def test_services_by_label() -> None:
    by_label = {"selector": {"matchLabels": {"tier": "data"}}, "namespace": "shop"}
    assert behind({"k8sServiceSelector": by_label}) == (BEHIND_DB,)
    assert behind({"k8sServiceSelector": by_label, "k8sService": {"serviceName": "mail"}}) == (
        BEHIND_DB,
    )


def test_services_whose_labels_were_not_read_leave_the_rule_open() -> None:
    by_label = {"selector": {"matchLabels": {"tier": "data"}}}
    written = {"toServices": [{"k8sServiceSelector": by_label}]}
    found = rule("egress", written, services=SERVICES)
    assert found.peers == (ANYONE,)
    assert "svc/pay/db were not read" in found.uncertain


def test_no_service_is_nobody_and_with_ports_perhaps_anybody() -> None:
    written = {"toServices": [{"k8sService": {"serviceName": "none"}}]}
    assert rule("egress", written, services=SERVICES).peers == ()
    anybody = rule("egress", {**written, **PORTS}, services=SERVICES)
    assert anybody.peers == (ANYONE,)
    assert "no Service is meant" in anybody.uncertain


def test_services_go_with_ports_from_1_19() -> None:
    written = {"toServices": [{"k8sService": {"serviceName": "db"}}], **PORTS}
    assert rule("egress", written, services=SERVICES).peers == (BEHIND_DB, BEHIND_THE_OTHER)
    assert "before 1.19" in refused_rule("egress", written, version="1.18.0")


def test_services_denied_leave_the_rule_open() -> None:
    written = {"toServices": [{"k8sService": {"serviceName": "db"}}]}
    found = rule("egressDeny", written, services=SERVICES)
    assert found.peers == (ANYONE,)
    assert "`toServices` denies" in found.uncertain
