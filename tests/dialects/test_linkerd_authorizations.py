"""AuthorizationPolicy, ServerAuthorization and authentications: whom they let in, and where."""

from dataclasses import replace
from typing import Any

import pytest

from dialects.linkerd_documents import (
    FRIEND,
    FRONT,
    GATEWAY,
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
    parsed,
    refused,
    route,
    server,
    to_route,
    told,
)
from ringfence.model.mesh import LinkerdConfig

MESH_TLS = {"group": GROUP, "kind": "MeshTLSAuthentication", "name": "known"}
NETWORK = {"group": GROUP, "kind": "NetworkAuthentication", "name": "near"}


def known(**spec: Any) -> Any:
    return document("MeshTLSAuthentication", "known", spec)


def near(*networks: Any, namespace: str = "shop") -> Any:
    return document(
        "NetworkAuthentication", "near", {"networks": list(networks)}, namespace=namespace
    )


def saz(client: Any, which: Any = None, name: str = "front") -> Any:
    spec = {"server": which or {"name": "web"}, "client": client}
    return document("ServerAuthorization", name, spec)


def said(client: Client, *documents: Any, **how: Any) -> str:
    return answer(parsed(server(), *documents, **how).policies, client)


# -- AuthorizationPolicy: targets ------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        TO_WEB,
        {"group": "Policy.Linkerd.IO", "kind": "server", "name": "web"},
        {"kind": "Namespace", "name": "shop"},
        {"group": "core", "kind": "Namespace", "name": "shop"},
        {"group": "", "kind": "Namespace", "name": "shop"},
    ],
)
def test_a_policy_for_a_server_or_for_all_of_its_namespace(target: Any) -> None:
    policy = authorization(target, account())
    assert said(FRIEND, policy) == "allow"
    assert said(STRANGER, policy) == "deny"


def test_the_rule_stands_in_the_policy() -> None:
    policy = authorization(TO_WEB, account())
    found = parsed(server(), policy).policies
    (of_policy,) = [p for p in found if p.name == "front"]
    assert of_policy.ref == "AuthorizationPolicy.policy.linkerd.io/shop/front"
    assert of_policy.document == 1
    assert of_policy.rules[0].path == ("spec", "requiredAuthenticationRefs")


@pytest.mark.parametrize("group", [GROUP, GATEWAY])
def test_a_policy_for_a_route_lets_in_by_that_route_alone(group: str) -> None:
    documents = (
        route("a", {"path": {"value": "/a"}}, group=group),
        route("b", {"path": {"value": "/b"}}, group=group),
        authorization(to_route("a", group=group), account()),
    )
    assert said(replace(FRIEND, path="/a"), *documents) == "allow"
    assert said(replace(FRIEND, path="/b"), *documents) == "deny"
    assert said(replace(FRIEND, path="/c"), *documents) == "deny"


def test_a_policy_for_a_route_of_the_other_group_is_for_another_route() -> None:
    documents = (
        route("a", {"path": {"value": "/a"}}),
        authorization(to_route("a", group=GATEWAY), account()),
    )
    assert said(replace(FRIEND, path="/a"), *documents) == "deny"
    (note,) = told(server(), *documents)
    assert "no such route has a Server as its parent" in note


def test_a_policy_for_a_grpc_route() -> None:
    web = server(proxyProtocol="gRPC")
    calls = route("r", {"method": {"service": "pay.V1"}}, kind="GRPCRoute", group=GATEWAY)
    policy = authorization(to_route("r", "GRPCRoute", GATEWAY), account())
    found = parsed(web, calls, policy).policies
    asked = replace(FRIEND, method="POST", path="/pay.V1/Charge")
    assert answer(found, asked) == "allow"
    assert answer(found, replace(asked, principal=STRANGER.principal)) == "deny"
    assert answer(found, replace(asked, path="/pay.V2/Charge")) == "deny"


def test_what_a_server_lets_in_goes_by_every_route() -> None:
    documents = (
        route("a", {"path": {"value": "/a"}}),
        authorization(TO_WEB, account()),
        authorization(to_route("a"), account("other"), name="other"),
    )
    assert said(replace(FRIEND, path="/a"), *documents) == "allow"
    assert said(replace(STRANGER, path="/a"), *documents) == "allow"
    assert said(replace(FRIEND, path="/b"), *documents) == "deny"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"kind": "Namespace", "name": "pay"}, "only the policy's own namespace"),
        ({"kind": "Service", "name": "web"}, "is none of Server, HTTPRoute, GRPCRoute"),
        ({"group": GROUP, "kind": "Server"}, "`spec.targetRef.name`"),
        ({**TO_WEB, "namespace": "shop"}, "unknown field `namespace` at `spec.targetRef.names"),
        (None, "expected a map, found nothing at `spec.targetRef`"),
    ],
)
def test_a_target_that_is_not_understood(target: Any, reason: str) -> None:
    assert reason in refused(server(), authorization(target, account()))


def test_without_a_target_any_server_of_the_namespace_may_be_meant() -> None:
    broken = authorization(None, account())
    assert said(FRIEND, broken) == "allow or deny"
    assert said(replace(FRIEND, port=81), broken) == "pass"
    on_route = route("a", {"path": {"value": "/a"}})
    assert said(replace(FRIEND, path="/a"), broken, on_route) == "allow or deny"


# -- AuthorizationPolicy: what it requires ---------------------------------------------------------


def test_a_policy_that_requires_nothing_lets_everybody_in() -> None:
    for client in (NOBODY, replace(NOBODY, address="2001:db8::1")):
        assert said(client, authorization(TO_WEB)) == "allow"


def test_but_the_list_must_be_there() -> None:
    policy = document("AuthorizationPolicy", "front", {"targetRef": TO_WEB})
    assert "`requiredAuthenticationRefs` is required" in refused(server(), policy)
    assert said(FRIEND, policy) == "allow or deny"


def test_a_service_account_of_another_namespace() -> None:
    client = Client("front.pay.serviceaccount.identity.linkerd.cluster.local")
    policy = authorization(TO_WEB, account(namespace="pay"))
    assert (said(client, policy), said(FRIEND, policy)) == ("allow", "deny")


def test_identities_are_of_the_control_plane_and_trust_domain() -> None:
    setup = LinkerdConfig(namespace="l5d", trust_domain="example.org")
    client = Client("front.shop.serviceaccount.identity.l5d.example.org")
    assert said(client, authorization(TO_WEB, account()), setup=setup) == "allow"
    assert said(FRIEND, authorization(TO_WEB, account()), setup=setup) == "deny"


def test_all_that_is_required_must_hold() -> None:
    documents = (authorization(TO_WEB, account(), NETWORK), near({"cidr": "10.1.0.0/16"}))
    assert said(FRIEND, *documents) == "allow"
    assert said(replace(FRIEND, address="10.2.0.1"), *documents) == "deny"
    assert said(STRANGER, *documents) == "deny"


def test_an_identity_is_only_proved_over_mtls() -> None:
    assert said(replace(FRIEND, mtls=False), authorization(TO_WEB, account())) == "deny"


def test_several_policies_each_let_in() -> None:
    documents = (
        authorization(TO_WEB, account(), name="a"),
        authorization(TO_WEB, account("other"), name="b"),
    )
    assert (said(FRIEND, *documents), said(STRANGER, *documents)) == ("allow", "allow")


@pytest.mark.parametrize(
    ("required", "reason"),
    [
        ((account(), MESH_TLS), "only one authentication by identity"),
        ((NETWORK, NETWORK), "only one authentication by network"),
        (({"kind": "Secret", "name": "x"},), "is none of MeshTLSAuthentication"),
        (({"kind": "ServiceAccount"},), "`spec.requiredAuthenticationRefs[0].name`"),
    ],
)
def test_requirements_that_are_not_understood(required: Any, reason: str) -> None:
    policy = authorization(TO_WEB, *required)
    assert reason in refused(server(), policy)
    assert said(FRIEND, policy) == "allow or deny"


# -- dangling --------------------------------------------------------------------------------------


def test_a_policy_whose_authentication_is_not_there_is_ignored() -> None:
    policy = authorization(TO_WEB, MESH_TLS)
    assert said(FRIEND, policy) == "deny"
    (note,) = told(server(), policy)
    assert "has no effect: MeshTLSAuthentication/shop/known, which it requires" in note


def test_it_is_told_with_file_and_line() -> None:
    (problem,) = parsed(server(), authorization(TO_WEB, MESH_TLS)).problems
    assert (problem.severity, problem.location.file) == ("warning", "p.yaml")
    assert problem.object == "AuthorizationPolicy.policy.linkerd.io/shop/front"


def test_an_authentication_is_looked_up_in_the_policys_namespace() -> None:
    policy = authorization(TO_WEB, NETWORK)
    far = near({"cidr": "0.0.0.0/0"}, namespace="pay")
    assert said(NOBODY, policy, far) == "deny"
    there = authorization(TO_WEB, {**NETWORK, "namespace": "pay"})
    assert said(NOBODY, there, far) == "allow"


def test_a_policy_whose_server_is_not_there_is_told() -> None:
    (note,) = told(authorization(TO_WEB, account()))
    assert "there is no Server/shop/web" in note


def test_a_policy_for_a_namespace_without_servers_has_no_effect() -> None:
    policy = authorization({"kind": "Namespace", "name": "shop"})
    found = parsed(policy)
    assert found.policies == ()
    assert "its namespace has no Server" in found.problems[0].message


def test_a_policy_whose_authentication_is_not_understood_lets_in_perhaps() -> None:
    documents = (authorization(TO_WEB, MESH_TLS), known(identities=["*"], names=[]))
    assert said(FRIEND, *documents) == "allow or deny"
    messages = [problem.message for problem in parsed(server(), *documents).problems]
    assert len(messages) == 2
    assert any("unknown field `names` at `spec.names`" in message for message in messages)
    assert any("could not be understood" in message for message in messages)


# -- MeshTLSAuthentication -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "friend"),
    [
        (FRONT, "allow"),
        ("*", "allow"),
        ("*.shop.serviceaccount.identity.linkerd.cluster.local", "allow"),
        ("*.cluster.local", "allow"),
        ("*.pay.serviceaccount.identity.linkerd.cluster.local", "deny"),
        ("front.pay.serviceaccount.identity.linkerd.cluster.local", "deny"),
        (f"*.{FRONT}", "deny"),
        ("spiffe://root.linkerd.cluster.local/vm", "deny"),
    ],
)
def test_identities(identity: str, friend: str) -> None:
    documents = (authorization(TO_WEB, MESH_TLS), known(identities=[identity]))
    assert said(FRIEND, *documents) == friend
    assert said(NOBODY, *documents) == "deny"


def test_identity_refs() -> None:
    policy = authorization(TO_WEB, MESH_TLS)
    by_account = known(identityRefs=[account()])
    assert (said(FRIEND, policy, by_account), said(STRANGER, policy, by_account)) == (
        "allow",
        "deny",
    )
    by_namespace = known(identityRefs=[{"kind": "Namespace", "name": "shop"}])
    far = Client("front.pay.serviceaccount.identity.linkerd.cluster.local")
    assert (said(STRANGER, policy, by_namespace), said(far, policy, by_namespace)) == (
        "allow",
        "deny",
    )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "exactly one of identities and identityRefs"),
        ({"identities": ["*"], "identityRefs": [account()]}, "exactly one of"),
        ({"identities": ["*front"]}, "`*front` is no identity at `spec.identities[0]`"),
        ({"identities": ["*.*.local"]}, "is no identity"),
        ({"identityRefs": [{"kind": "Pod", "name": "x"}]}, "neither a ServiceAccount nor a"),
        ({"identityRefs": [{"kind": "Namespace", "name": "x", "namespace": "y"}]}, "in no name"),
    ],
)
def test_a_mesh_tls_authentication_that_is_not_understood(spec: Any, reason: str) -> None:
    assert reason in refused(known(**spec))


def test_one_without_identities_counts_as_absent() -> None:
    documents = (authorization(TO_WEB, MESH_TLS), known(identities=[]))
    assert said(FRIEND, *documents) == "deny"
    assert any("is not heeded: it names no identity" in note for note in told(*documents))


# -- NetworkAuthentication -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("networks", "address", "expected"),
    [
        ([{"cidr": "10.1.0.0/16"}], "10.1.2.3", "allow"),
        ([{"cidr": "10.1.0.0/16"}], "10.2.2.3", "deny"),
        ([{"cidr": "10.1.0.0/16", "except": ["10.1.2.0/24"]}], "10.1.2.3", "deny"),
        ([{"cidr": "10.1.0.0/16", "except": ["10.1.2.3"]}], "10.1.2.4", "allow"),
        ([{"cidr": "10.1.2.3"}], "10.1.2.3", "allow"),
        ([{"cidr": "10.1.2.3/16"}], "10.1.9.9", "allow"),
        ([{"cidr": "10.9.0.0/16"}, {"cidr": "10.1.0.0/16"}], "10.1.2.3", "allow"),
        ([{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}], "2001:db8::1", "allow"),
        ([{"cidr": "0.0.0.0/0"}], "2001:db8::1", "deny"),
    ],
)
def test_networks(networks: Any, address: str, expected: str) -> None:
    documents = (authorization(TO_WEB, NETWORK), near(*networks))
    assert said(replace(NOBODY, address=address), *documents) == expected


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        ([], "at least one network is required at `spec.networks`"),
        ([{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}], "does not lie strictly inside"),
        ([{"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}], "does not lie strictly inside"),
        ([{"cidr": "10.0.0/8"}], "is not a CIDR at `spec.networks[0].cidr`"),
        ([{"cidr": "ten"}], "neither an address nor a CIDR"),
        ([{"cidr": "10.0.0.0/8", "excepts": []}], "unknown field `excepts`"),
    ],
)
def test_a_network_authentication_that_is_not_understood(networks: Any, reason: str) -> None:
    assert reason in refused(near(*networks))


# -- ServerAuthorization ---------------------------------------------------------------------------


def test_a_server_authorization_without_networks_is_for_those_of_the_cluster() -> None:
    anybody = saz({"unauthenticated": True})
    assert said(NOBODY, anybody) == "allow"
    assert said(replace(NOBODY, address="8.8.8.8"), anybody) == "deny"
    setup = LinkerdConfig(cluster_networks=("8.0.0.0/8",))
    assert said(replace(NOBODY, address="8.8.8.8"), anybody, setup=setup) == "allow"
    assert said(NOBODY, anybody, setup=setup) == "deny"
    assert said(NOBODY, saz({"unauthenticated": True, "networks": []})) == "allow"


def test_its_networks() -> None:
    world = saz({"unauthenticated": True, "networks": [{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}]})
    assert said(replace(NOBODY, address="8.8.8.8"), world) == "allow"


@pytest.mark.parametrize(
    ("tls", "friend", "stranger"),
    [
        ({"identities": [FRONT]}, "allow", "deny"),
        ({"identities": ["*"]}, "allow", "allow"),
        ({"serviceAccounts": [{"name": "front"}]}, "allow", "deny"),
        ({"serviceAccounts": [{"name": "front", "namespace": "pay"}]}, "deny", "deny"),
        ({"unauthenticatedTLS": True}, "allow", "allow"),
    ],
)
def test_its_mesh_tls(tls: Any, friend: str, stranger: str) -> None:
    found = saz({"meshTLS": tls})
    assert (said(FRIEND, found), said(STRANGER, found)) == (friend, stranger)
    assert said(NOBODY, found) == "deny"


def test_over_mtls_any_identity_is_proved_though_not_known_which() -> None:
    found = saz({"meshTLS": {"unauthenticatedTLS": True}})
    assert said(replace(NOBODY, mtls=True), found) == "allow"
    assert said(replace(NOBODY, mtls=True), saz({"meshTLS": {"identities": ["*"]}})) == "allow"
    assert said(replace(NOBODY, mtls=True), saz({"meshTLS": {"identities": [FRONT]}})) == "deny"


def test_it_selects_servers_by_their_labels() -> None:
    labelled = document("Server", "web", {"podSelector": WEB, "port": 80}, tier="front")
    found = saz({"unauthenticated": True}, {"selector": {"matchLabels": {"tier": "front"}}})
    assert answer(parsed(labelled, found).policies, NOBODY) == "allow"
    assert answer(parsed(server(), found).policies, NOBODY) == "deny"
    assert any("it selects no Server" in note for note in told(server(), found))
    every = saz({"unauthenticated": True}, {"selector": {}})
    assert answer(parsed(server(), every).policies, NOBODY) == "allow"


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ({}, "names no clients"),
        ({"unauthenticated": False}, "names no clients"),
        ({"meshTLS": {}}, "names no clients"),
    ],
)
def test_one_that_names_no_clients_is_ignored(client: Any, reason: str) -> None:
    assert said(FRIEND, saz(client)) == "deny"
    assert any(reason in note for note in told(server(), saz(client)))


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ({"unauthenticated": True, "meshTLS": {}}, "does not go with `meshTLS`"),
        ({"meshTLS": {"unauthenticatedTLS": True, "identities": ["*"]}}, "does not go with ident"),
        ({"unauthenticated": "yes"}, "expected true or false"),
        ({"meshTls": {}}, "unknown field `meshTls` at `spec.client.meshTls`"),
        ({"meshTLS": {"serviceAccounts": [{}]}}, "serviceAccounts[0].name`"),
    ],
)
def test_clients_that_are_not_understood(client: Any, reason: str) -> None:
    assert reason in refused(server(), saz(client))
    assert said(FRIEND, saz(client)) == "allow or deny"


@pytest.mark.parametrize("which", [{"name": "web", "selector": {}}, {"names": ["web"]}, "web"])
def test_servers_that_are_not_understood(which: Any) -> None:
    found = saz({"unauthenticated": True}, which)
    assert said(NOBODY, found) == "allow or deny"
