"""Servers: whom they select, at which ports, and what the authorizations on them let in."""

from dataclasses import replace
from typing import Any

import pytest

from dialects.linkerd_documents import (
    FRIEND,
    GROUP,
    NOBODY,
    STRANGER,
    TO_WEB,
    WEB,
    Client,
    account,
    answer,
    authorization,
    document,
    member,
    parsed,
    refused,
    route,
    server,
    told,
)
from ringfence.model.cluster import Protocol
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.mesh import DataPlane
from ringfence.model.profile import Cni
from ringfence.model.rule import AllPeers, MeshPeer, NamedPort, PodPeer
from ringfence.model.selector import equals, from_labels
from ringfence.model.tiers import LINKERD_SERVER


def test_a_server_is_of_the_meshed_pods_of_its_namespace_that_it_selects() -> None:
    (first, *others) = parsed(server()).policies
    own = from_labels({NAMESPACE_NAME: "shop"})
    meshed = MeshPeer((DataPlane.LINKERD,))
    assert first.subject == AllPeers((meshed, PodPeer(own, equals(app="web"))))
    assert (first.tier, first.ref) == (LINKERD_SERVER, "Server/shop/web")
    assert all(policy.subject == first.subject for policy in others)


@pytest.mark.parametrize("cni", list(Cni))
def test_it_has_effect_whatever_the_cni(cni: Cni) -> None:
    found = parsed(server(), cni=cni)
    assert (found.ignored, answer(found.policies, FRIEND)) == ((), "deny")


def test_a_server_denies_whom_nothing_authorizes_at_its_port_alone() -> None:
    found = parsed(server()).policies
    assert answer(found, FRIEND) == "deny"
    assert answer(found, replace(FRIEND, port=81)) == "pass"


def test_a_named_port_is_looked_up_on_the_pod() -> None:
    found = parsed(server(port="http")).policies
    (rule,) = found[-1].rules
    assert rule.traffic == (NamedPort("http", Protocol.TCP),)


def test_a_port_of_digits_in_quotes_is_a_name() -> None:
    (rule,) = parsed(server(port="80")).policies[-1].rules
    assert rule.traffic == (NamedPort("80", Protocol.TCP),)


def test_localhost_is_always_let_in() -> None:
    found = parsed(server()).policies
    assert answer(found, replace(NOBODY, address="127.0.0.1")) == "allow"
    assert answer(found, replace(NOBODY, address="::1")) == "allow"


# -- accessPolicy --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "friend", "nobody", "outside", "friend_outside"),
    [
        ("deny", "deny", "deny", "deny", "deny"),
        ("audit", "allow", "allow", "allow", "allow"),
        ("all-unauthenticated", "allow", "allow", "allow", "allow"),
        ("all-authenticated", "allow", "deny", "deny", "allow"),
        ("cluster-unauthenticated", "allow", "allow", "deny", "deny"),
        ("cluster-authenticated", "allow", "deny", "deny", "deny"),
    ],
)
def test_access_policy(
    access: str, friend: str, nobody: str, outside: str, friend_outside: str
) -> None:
    found = parsed(server(accessPolicy=access)).policies
    assert answer(found, FRIEND) == friend
    assert answer(found, NOBODY) == nobody
    assert answer(found, replace(NOBODY, address="8.8.8.8")) == outside
    assert answer(found, replace(FRIEND, address="8.8.8.8")) == friend_outside


def test_access_policy_is_of_the_newest_version_only() -> None:
    found = refused(server(accessPolicy="deny", how={"version": "v1beta2"}))
    assert "unknown field `accessPolicy`" in found


# -- several Servers -----------------------------------------------------------------------------


def test_of_several_servers_of_a_port_the_oldest_decides() -> None:
    old, new = "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
    closed = server("a", {"created": new})
    opened = server("b", {"created": old}, accessPolicy="all-unauthenticated")
    assert answer(parsed(closed, opened).policies, NOBODY) == "allow"


def test_of_equally_old_ones_the_first_by_name() -> None:
    opened = server("a", accessPolicy="all-unauthenticated")
    closed = server("a-b")
    assert answer(parsed(closed, opened).policies, NOBODY) == "allow"
    assert answer(parsed(server("a"), server("a-b", accessPolicy="audit")).policies, NOBODY) == (
        "deny"
    )


def test_a_younger_server_for_the_same_is_told() -> None:
    found = told(server("a"), server("b"))
    assert len(found) == 1
    assert "Server/shop/b gives way to the older Server/shop/a" in found[0]
    assert told(server("a"), server("b", port=81)) == []


# -- protocols -----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["opaque", "TLS"])
def test_what_is_not_read_is_let_in_by_the_server_alone(protocol: str) -> None:
    on_route = authorization({"group": GROUP, "kind": "HTTPRoute", "name": "r"}, name="any")
    found = parsed(
        server(proxyProtocol=protocol),
        authorization(TO_WEB, account()),
        route("r", {"path": {"value": "/a"}}),
        on_route,
    ).policies
    assert answer(found, replace(FRIEND, http=False)) == "allow"
    assert answer(found, replace(FRIEND, path="/b")) == "allow"
    assert answer(found, replace(STRANGER, path="/a")) == "deny"


@pytest.mark.parametrize("protocol", ["HTTP/1", "HTTP/2", "gRPC"])
def test_what_is_to_be_http_and_is_not_is_refused(protocol: str) -> None:
    found = parsed(server(proxyProtocol=protocol), authorization(TO_WEB, account())).policies
    call = replace(FRIEND, method="POST", path="/pay.V1/Charge")
    assert answer(found, call) == "allow"
    assert answer(found, replace(call, method="GET")) == ("deny" if protocol == "gRPC" else "allow")
    assert answer(found, replace(call, http=False)) == "deny"


def test_what_is_found_to_be_no_http_is_let_in_by_the_server() -> None:
    found = parsed(
        server(), authorization(TO_WEB, account()), route("r", {"path": {"value": "/a"}})
    ).policies
    assert answer(found, replace(FRIEND, http=False)) == "allow"
    assert answer(found, replace(STRANGER, http=False)) == "deny"


# -- probes --------------------------------------------------------------------------------------

PROBED = member(probes=((80, "/live"), (81, "/live")))
PROBE = Client(path="/live", membership=PROBED)


def asked(found: Any, client: Client) -> str:
    return answer(found.policies, client)


def test_probes_are_let_in_where_no_route_is() -> None:
    found = parsed(server(), members=[PROBED])
    assert asked(found, PROBE) == "allow"
    assert asked(found, replace(PROBE, path="/live/x")) == "deny"
    assert asked(found, replace(PROBE, method="POST")) == "deny"
    assert asked(found, replace(PROBE, http=False)) == "deny"


def test_probes_are_let_in_only_at_their_port_and_the_servers() -> None:
    found = parsed(server(), members=[PROBED])
    assert asked(found, replace(PROBE, port=81)) == "pass"
    other = parsed(server(port=82), members=[PROBED])
    assert asked(other, replace(PROBE, port=82)) == "deny"


def test_any_route_takes_the_probes_away() -> None:
    found = parsed(server(), route("r", {"path": {"value": "/a"}}), members=[PROBED])
    assert asked(found, PROBE) == "deny"


@pytest.mark.parametrize("protocol", ["opaque", "TLS", "gRPC"])
def test_probes_are_not_let_in_where_no_http_is_read(protocol: str) -> None:
    found = parsed(server(proxyProtocol=protocol), members=[PROBED])
    assert asked(found, PROBE) == "deny"


# -- what is not understood ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"podSelector": WEB}, "expected a whole number, found nothing at `spec.port`"),
        ({"podSelector": WEB, "port": 0}, "`0` is not between"),
        ({"port": 80}, "exactly one of podSelector and externalWorkloadSelector"),
        ({"podSelector": WEB, "port": 80, "proxyProtocol": "HTTP"}, "`HTTP` is none of"),
        ({"podSelector": WEB, "port": 80, "accessPolicy": "allow"}, "`allow` is none of"),
        ({"podSelector": {"app": "web"}, "port": 80}, "unknown field `app` at `spec.podSelector"),
        ({"podSelector": WEB, "port": 80, "ports": []}, "unknown field `ports` at `spec.ports`"),
    ],
)
def test_a_server_that_is_not_understood(spec: Any, reason: str) -> None:
    assert reason in refused(document("Server", "web", spec))


def test_it_leaves_unknown_what_its_pods_do() -> None:
    documents = (server(proxyProtocol="HTTP"), authorization(TO_WEB, account()))
    (found,) = parsed(*documents).policies
    own = from_labels({NAMESPACE_NAME: "shop"})
    meshed = MeshPeer((DataPlane.LINKERD,))
    assert found.subject == AllPeers((meshed, PodPeer(own, equals(app="web"))))
    assert answer([found], FRIEND) == "allow or deny or pass"


def test_servers_of_external_workloads_are_told() -> None:
    spec = {"externalWorkloadSelector": WEB, "port": 80}
    found = parsed(document("Server", "vm", spec))
    assert found.policies == ()
    (note,) = found.problems
    assert (note.severity, "external workloads" in note.message) == ("note", True)


def test_version_one_knows_no_external_workloads() -> None:
    spec = {"externalWorkloadSelector": WEB, "port": 80}
    found = refused(document("Server", "vm", spec, version="v1beta1"))
    assert "unknown field `externalWorkloadSelector`" in found
