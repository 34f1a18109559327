"""Sidecars and ServiceEntries of Istio: what the proxies of clients let out."""

from typing import Any

import pytest

from dialects.istio_documents import document, namespace, parsed, ports, service
from ringfence.model.cluster import ServicePort
from ringfence.model.document import Document
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.layer7 import DomainPattern, HttpMatch, Layer7
from ringfence.model.mesh import DataPlane
from ringfence.model.rule import (
    Action,
    AddressPeer,
    AllPeers,
    Direction,
    DomainPeer,
    MeshPeer,
    PodPeer,
    Policy,
    Rule,
    ServicePeer,
)
from ringfence.model.selector import EVERYTHING, from_labels
from ringfence.model.tiers import MESH_EGRESS

SHOP = from_labels({NAMESPACE_NAME: "shop"})
SIDECARS = MeshPeer((DataPlane.SIDECAR,), gateway="")
ONLY = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
SERVICES = (service("web"), service("db", namespace="data"), service("api", namespace="data"))


def sidecar(spec: Any, name: str = "p", place: str = "shop", **metadata: Any) -> Document:
    return document("Sidecar", spec, name, place, **metadata)


def entry(place: str = "shop", **spec: Any) -> Document:
    return document("ServiceEntry", {"hosts": ["api.x.io"], **spec}, "external", place)


def policy(spec: Any, *others: Document, **config: Any) -> Policy:
    (found,) = parsed(sidecar(spec), *others, services=SERVICES, **config).policies
    return found


def imports(*hosts: str, port: int | None = None) -> dict[str, Any]:
    listener: dict[str, Any] = {"hosts": list(hosts)}
    if port is not None:
        listener["port"] = {"number": port, "protocol": "TCP", "name": "a"}
    return {**ONLY, "egress": [listener]}


def names(found: Policy) -> set[str]:
    """Return the Services that may be called."""
    return {
        f"{peer.namespace}/{peer.name}"
        for rule in found.rules
        if rule.action is Action.ALLOW
        for peer in rule.peers or ()
        if isinstance(peer, ServicePeer)
    }


# -- the mode --------------------------------------------------------------------------------------


def test_what_is_not_known_is_refused_where_only_the_registry_counts() -> None:
    found = policy(ONLY)
    assert found.tier == MESH_EGRESS
    assert found.isolates == ()
    *_, last = found.rules
    assert (last.direction, last.action, last.peers) == (Direction.EGRESS, Action.DENY, None)
    assert last.path == ("spec", "outboundTrafficPolicy")


@pytest.mark.parametrize("spec", [{}, {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}])
def test_else_everything_passes(spec: Any) -> None:
    assert [rule.action for rule in policy(spec).rules] == [Action.PASS]


def test_an_outbound_policy_without_a_mode_lets_only_the_registry_through() -> None:
    assert policy({"outboundTrafficPolicy": {}}).rules[-1].action is Action.DENY


def test_a_sidecar_without_a_mode_has_the_meshs() -> None:
    found = parsed(sidecar({}), services=SERVICES, registry_only=True).policies
    assert found[0].rules[-1].action is Action.DENY


def test_a_proxy_that_is_asked_for_the_rest_decides() -> None:
    spec = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY", "egressProxy": {"host": "a"}}}
    assert policy(spec).rules[-1].uncertain


def test_where_the_mesh_is_closed_no_sidecar_is_needed() -> None:
    found = parsed(entry(ports=[{"number": 80}]), services=SERVICES, registry_only=True)
    (implied,) = found.policies
    assert (implied.kind, implied.subject) == ("MeshConfig", SIDECARS)
    assert names(implied) == {"shop/web", "data/db", "data/api"}
    assert implied.rules[-1].action is Action.DENY
    assert found.implied[implied.document - 1].kind == "MeshConfig"


def test_where_it_is_open_nothing_is_implied() -> None:
    assert parsed(entry(), services=SERVICES).policies == ()


# -- whom it is for --------------------------------------------------------------------------------


def test_the_first_that_is_for_a_pod_counts() -> None:
    found = parsed(
        sidecar({**ONLY, "workloadSelector": {"labels": {"app": "web"}}}, "a"),
        sidecar(ONLY, "b"),
        sidecar(ONLY, "c", "istio-system"),
        registry_only=True,
    ).policies
    assert [(policy.name, policy.order) for policy in found] == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
        ("istio", 3),
    ]
    assert [policy.subject for policy in found] == [
        AllPeers((SIDECARS, PodPeer(SHOP, from_labels({"app": "web"})))),
        AllPeers((SIDECARS, PodPeer(SHOP, EVERYTHING))),
        SIDECARS,
        SIDECARS,
    ]
    assert all(policy.rules[-1].action is Action.DENY for policy in found), "each decides all"


# -- what is imported ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["*/*"], {"shop/web", "data/db", "data/api"}),
        (["./*"], {"shop/web"}),
        (["data/*"], {"data/db", "data/api"}),
        (["data/db.data.svc.cluster.local"], {"data/db"}),
        (["*/db.data.svc.cluster.local"], {"data/db"}),
        (["*/*.data.svc.cluster.local"], {"data/db", "data/api"}),
        (["*/*", "data/db.data.svc.cluster.local"], {"shop/web", "data/db"}),
        (["~/*"], set()),
        (["data/db"], set()),
    ],
)
def test_hosts_are_listed_with_their_namespaces(hosts: list[str], expected: set[str]) -> None:
    assert names(policy(imports(*hosts))) == expected


def test_without_listeners_everything_is_imported() -> None:
    assert names(policy(ONLY)) == {"shop/web", "data/db", "data/api"}


def test_a_listener_with_a_port_imports_that_port_of_services() -> None:
    web = service("web", ServicePort(80, 8080), ServicePort(90, 9090))
    (found,) = parsed(
        sidecar(imports("*/*", port=80)), services=[web, service("db", ServicePort(5432, 5432))]
    ).policies
    assert names(found) == {"shop/web"}
    assert found.rules[0].traffic == ports(8080)


def test_of_the_root_namespace_each_namespace_imports_its_own() -> None:
    found = parsed(
        sidecar(imports("./*"), place="istio-system"),
        services=SERVICES,
        namespaces=[namespace("shop"), namespace("data")],
    ).policies
    by_place = {str(policy.subject): names(policy) for policy in found}
    assert sorted(map(sorted, by_place.values())) == [["data/api", "data/db"], ["shop/web"]]


# -- service entries -------------------------------------------------------------------------------


def external(*others: Document, spec: Any = ONLY) -> list[Rule]:
    """Return the rules that let out what is no Service."""
    found = policy(spec, *others)
    return [
        rule
        for rule in found.rules[:-1]
        if not any(isinstance(peer, ServicePeer) for peer in rule.peers or ())
    ]


def test_a_host_is_reached_by_its_name_at_its_ports() -> None:
    listed = [{"number": 443, "protocol": "TLS", "name": "a"}]
    by_name, by_what_is_said = external(entry(ports=listed))
    assert by_name.peers == (DomainPeer(DomainPattern("api.x.io")),)
    assert (by_name.traffic, by_name.layer7) == (ports(443), None)
    assert by_what_is_said.peers is None
    assert by_what_is_said.layer7 == (Layer7(server_names=(DomainPattern("api.x.io"),)),)


def test_a_host_of_http_is_told_by_what_a_request_says() -> None:
    _, by_what_is_said = external(entry(ports=[{"number": 80, "protocol": "HTTP"}]))
    assert by_what_is_said.layer7 is not None
    (box,) = by_what_is_said.layer7
    assert box.http is not None
    assert box.http != HttpMatch()


def test_tcp_goes_to_a_host_without_addresses_whatever_the_address() -> None:
    _, whatever = external(entry(ports=[{"number": 5432, "protocol": "TCP"}]))
    assert (whatever.peers, whatever.traffic, whatever.layer7) == (None, ports(5432), None)


def test_a_host_with_addresses_is_reached_by_these() -> None:
    (found,) = external(
        entry(
            ports=[{"number": 5432, "protocol": "TCP"}], addresses=["192.0.2.1", "198.51.100.0/24"]
        )
    )
    assert found.peers == (
        DomainPeer(DomainPattern("api.x.io")),
        AddressPeer("192.0.2.1/32"),
        AddressPeer("198.51.100.0/24"),
    )


@pytest.mark.parametrize(
    ("place", "exported", "hosts", "expected"),
    [
        ("shop", None, "*/*", True),
        ("other", None, "*/*", True),
        ("other", ["."], "*/*", False),
        ("other", ["shop"], "*/*", True),
        ("other", ["~"], "*/*", False),
        ("other", None, "./*", False),
        ("other", None, "other/api.x.io", True),
        ("other", None, "*/*.x.io", True),
        ("other", None, "*/y.io", False),
    ],
)
def test_it_is_exported_and_imported(
    place: str, exported: list[str] | None, hosts: str, *, expected: bool
) -> None:
    spec = {"exportTo": exported} if exported else {}
    found = external(entry(place, ports=[{"number": 80}], **spec), spec=imports(hosts))
    assert bool(found) is expected


def test_what_cannot_be_understood_of_it_may_let_anything_out() -> None:
    wrong: list[dict[str, Any]] = [
        {"ports": [{"number": 0}]},
        {"sizes": 1},
        {"addresses": ["x"]},
        {"hosts": []},
    ]
    for spec in wrong:
        found = external(entry(**spec))
        assert found
        assert all(rule.unreadable and rule.action is Action.ALLOW for rule in found)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        [],
        {"sizes": 1},
        {"outboundTrafficPolicy": {"mode": "X"}},
        {"outboundTrafficPolicy": []},
        {"egress": [{}]},
        {"egress": [{"hosts": ["web"]}]},
        {"egress": [{"hosts": ["/web"]}]},
        {"egress": [{"hosts": ["*/*"], "ports": []}]},
        {"egress": [{"hosts": ["*/*"], "port": {"number": 70000}}]},
        {"workloadSelector": {"matchLabels": {}}},
    ],
)
def test_what_cannot_be_understood_of_a_sidecar_may_let_anything_out_or_nothing(spec: Any) -> None:
    found = policy(spec)
    assert {rule.action for rule in found.rules} == {Action.ALLOW, Action.DENY}
    assert all(rule.unreadable and rule.direction is Direction.EGRESS for rule in found.rules)


def test_a_listener_with_a_port_has_that_port_for_itself() -> None:
    spec = {
        **ONLY,
        "egress": [
            {"hosts": ["./*"], "port": {"number": 90, "protocol": "TCP", "name": "a"}},
            {"hosts": ["*/*"]},
        ],
    }
    db = service("db", ServicePort(80, 8080), ServicePort(90, 9090), namespace="data")
    external_ports = [{"number": 90, "protocol": "TCP"}, {"number": 91, "protocol": "TCP"}]
    elsewhere = entry("data", ports=external_ports)
    (found,) = parsed(sidecar(spec), elsewhere, services=[db]).policies
    (by_service,) = (rule for rule in found.rules if rule.not_traffic)
    assert by_service.peers == (ServicePeer("data", "db"),)
    assert by_service.not_traffic == ports(9090)
    assert {rule.traffic for rule in found.rules[:-1]} == {by_service.traffic, ports(91)}


def test_what_is_exported_to_some_namespaces_is_known_to_these() -> None:
    private = entry("shop", ports=[{"number": 80}], exportTo=["."])
    found = parsed(
        private, registry_only=True, namespaces=[namespace("shop"), namespace("data")]
    ).policies
    assert [len(policy.rules) for policy in found] == [1, 3]
    assert found[1].subject == AllPeers((SIDECARS, PodPeer(SHOP, EVERYTHING)))
