"""Whom the source and destination of Calico's rules mean."""

from typing import Any

import pytest

from dialects.calico_documents import GLOBAL, NAMESPACED, OWN, TCP, UDP, is_, rule, rules
from ringfence.model.cluster import Backend, Service, ServicePort
from ringfence.model.location import Location
from ringfence.model.rule import (
    AllPeers,
    AnyPeer,
    FamilyPeer,
    IpPeer,
    LabelPeer,
    NamedPort,
    NotPeer,
    PodPeer,
    PortRange,
)
from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelNot,
    equals,
    from_labels,
)

A, C = is_("a", "b"), is_("c", "d")


def meant(source: Any, kind: str = "NetworkPolicy") -> LabelExpression:
    """Return the one expression that the source of a rule becomes."""
    peers = rule({"source": source}, kind=kind).peers
    assert peers
    (peer,) = peers
    assert isinstance(peer, LabelPeer)
    return peer.expression


# -- selectors: whom a rule means --------------------------------------------------------------


def test_a_selector_means_the_own_namespace() -> None:
    assert meant({"selector": "a == 'b'"}) == LabelAnd((OWN, A))
    assert meant({"selector": "all()"}) == LabelAnd((OWN, LabelAnd()))


def test_a_selector_of_a_policy_of_the_cluster_means_every_namespace() -> None:
    assert meant({"selector": "a == 'b'"}, GLOBAL) == A


def test_a_namespace_selector_means_those_namespaces() -> None:
    found = meant({"namespaceSelector": "c == 'd'", "selector": "a == 'b'"})
    assert found == LabelAnd((is_("pcns.c", "d"), A))
    assert meant({"namespaceSelector": "c == 'd'"}) == is_("pcns.c", "d")


@pytest.mark.parametrize("kind", ["NetworkPolicy", GLOBAL])
def test_all_as_namespace_selector_means_whatever_has_a_namespace(kind: str) -> None:
    assert meant({"namespaceSelector": "all()"}, kind) == NAMESPACED


@pytest.mark.parametrize("kind", ["NetworkPolicy", GLOBAL])
def test_global_as_namespace_selector_means_what_has_no_namespace(kind: str) -> None:
    found = meant({"namespaceSelector": "global()", "selector": "a == 'b'"}, kind)
    assert found == LabelAnd((LabelNot(NAMESPACED), A))


def test_a_not_selector_of_a_namespace_is_confined_to_it() -> None:
    assert meant({"notSelector": "a == 'b'"}) == LabelAnd((OWN, LabelNot(A)))


def test_a_not_selector_of_the_cluster_means_also_the_outside() -> None:
    found = rule({"source": {"notSelector": "a == 'b'"}}, kind=GLOBAL)
    assert found.peers == (NotPeer(LabelPeer(A)),)


def test_a_not_selector_beside_a_selector_takes_from_it() -> None:
    found = meant({"selector": "c == 'd'", "notSelector": "a == 'b'"}, GLOBAL)
    assert found == LabelAnd((C, LabelNot(A)))


def test_service_accounts_are_meant_by_name_and_by_label() -> None:
    names = {"serviceAccounts": {"names": ["y", "x"]}}
    both = {"serviceAccounts": {"names": ["x"], "selector": "c == 'd'"}}
    account = "projectcalico.org/serviceaccount"
    assert meant(names) == LabelAnd((OWN, is_(account, "x", "y")))
    assert meant(both, GLOBAL) == LabelAnd((is_("pcsa.c", "d"), is_(account, "x")))
    assert rule({"source": {"serviceAccounts": {}}}).peers is None


# -- nets --------------------------------------------------------------------------------------


def test_nets_are_any_of_them() -> None:
    found = rule({"source": {"nets": ["10.0.0.0/8", "192.168.0.0/16"]}})
    choice = AnyPeer((IpPeer("10.0.0.0/8"), IpPeer("192.168.0.0/16")))
    assert found.peers == (AllPeers((choice, FamilyPeer(4))),)


def test_not_nets_match_no_other_family() -> None:
    found = rule({"source": {"notNets": ["fd00::/8"]}})
    assert found.peers == (AllPeers((NotPeer(AnyPeer((IpPeer("fd00::/8"),))), FamilyPeer(6))),)


def test_nets_and_selectors_must_both_hold() -> None:
    found = rule({"source": {"nets": ["10.0.0.0/8"], "selector": "a == 'b'"}}, kind=GLOBAL)
    nets = AnyPeer((IpPeer("10.0.0.0/8"),))
    assert found.peers == (AllPeers((nets, LabelPeer(A), FamilyPeer(4))),)


def test_ip_version() -> None:
    assert rule({"ipVersion": 6}).peers == (FamilyPeer(6),)


# -- the subject's own end ---------------------------------------------------------------------


def test_what_an_ingress_rule_says_of_its_destination_is_of_the_subject() -> None:
    found = rule(
        {
            "protocol": "TCP",
            "destination": {"selector": "a == 'b'", "nets": ["10.0.0.0/8"], "ports": [80]},
        },
        kind=GLOBAL,
    )
    assert found.peers == (FamilyPeer(4),)
    assert found.subjects == AllPeers((AnyPeer((IpPeer("10.0.0.0/8"),)), LabelPeer(A)))
    assert found.traffic == (PortRange(TCP, 80, 80),)


def test_what_an_egress_rule_says_of_its_source_is_of_the_subject() -> None:
    found = rule({"source": {"selector": "a == 'b'"}}, "egress", GLOBAL)
    assert (found.peers, found.subjects) == (None, LabelPeer(A))


# -- Services ----------------------------------------------------------------------------------

HERE = Location("s.yaml")
WEB = Service(
    "shop",
    "web",
    "ClusterIP",
    from_labels({"app": "web"}),
    (ServicePort(80, 8080), ServicePort(53, "dns", UDP)),
    HERE,
)
OUTSIDE = Service(
    "shop",
    "out",
    "ClusterIP",
    None,
    (ServicePort(80, 80),),
    HERE,
    backends=(
        Backend("203.0.113.5", (ServicePort(8080, 8080),)),
        Backend("203.0.113.6", (ServicePort(9090, 9090),)),
    ),
)
WEB_PODS = PodPeer(equals(**{"kubernetes.io/metadata.name": "shop"}), from_labels({"app": "web"}))


def test_a_service_as_destination_means_its_backends_at_their_ports() -> None:
    found = rule({"destination": {"services": {"name": "web"}}}, "egress", services=[WEB])
    assert found.peers == (WEB_PODS,)
    assert found.traffic == (PortRange(TCP, 8080, 8080), NamedPort("dns", UDP))


def test_a_service_as_destination_keeps_to_the_protocol_of_the_rule() -> None:
    written = {"protocol": "TCP", "destination": {"services": {"name": "web"}}}
    assert rule(written, "egress", services=[WEB]).traffic == (PortRange(TCP, 8080, 8080),)


def test_the_backends_of_a_service_without_selector_each_have_their_ports() -> None:
    found = rules({"destination": {"services": {"name": "out"}}}, "egress", services=[OUTSIDE])
    assert [(r.peers, r.traffic) for r in found] == [
        ((IpPeer("203.0.113.5/32"),), (PortRange(TCP, 8080, 8080),)),
        ((IpPeer("203.0.113.6/32"),), (PortRange(TCP, 9090, 9090),)),
    ]
    assert {r.path for r in found} == {("spec", "egress", 0)}


def test_a_service_as_source_means_its_addresses_alone() -> None:
    found = rule({"source": {"services": {"name": "web"}}}, services=[WEB])
    assert (found.peers, found.traffic) == ((WEB_PODS,), None)
    both = rule({"source": {"services": {"name": "out"}}}, services=[OUTSIDE])
    assert both.peers == (IpPeer("203.0.113.5/32"), IpPeer("203.0.113.6/32"))


def test_a_service_that_is_not_there_matches_nothing() -> None:
    assert rule({"destination": {"services": {"name": "no"}}}, "egress").peers == ()


def test_a_service_of_another_namespace() -> None:
    chosen = {"services": {"name": "web", "namespace": "shop"}}
    assert rule({"destination": chosen}, "egress", GLOBAL, [WEB]).peers == (WEB_PODS,)
