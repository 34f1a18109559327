"""Whom Linkerd lets in: ServerAuthorization, AuthorizationPolicy, and both authentications."""

import pytest

from reference.linkerd_cluster import (
    ANYONE,
    DOMAIN,
    TO_SERVER,
    WEB,
    ask,
    made,
    meshed,
    policy,
    server,
    verdict,
)
from ringfence.model.document import Document
from ringfence.model.mesh import LinkerdConfig
from ringfence.model.snapshot import Snapshot
from ringfence.reference.linkerd_clients import is_identity

EVERYONE = ("shop/web", "lab/tester", "lab/many", "8.8.8.8")


def who(snapshot: Snapshot, port: int = 80) -> str:
    """Return the verdicts on web, tester (both in the mesh), many (not), and an address outside."""
    words = [verdict(snapshot, one, port=port) for one in EVERYONE]
    return " ".join({"allow": "+", "deny": "-", "unknown": "?"}[word] for word in words)


# -- ServerAuthorization -------------------------------------------------------------------------


def saz(client: str, to: str = "server: {name: s}") -> Document:
    return made("ServerAuthorization", "a", f"{to}\nclient: {client}")


@pytest.mark.parametrize(
    ("client", "found"),
    [
        ("{unauthenticated: true}", "+ + + -"),
        ("{unauthenticated: true, networks: [{cidr: 0.0.0.0/0}]}", "+ + + +"),
        ("{unauthenticated: true, networks: [{cidr: 10.1.0.3}]}", "- + - -"),
        ("{unauthenticated: true, networks: [{cidr: 10.0.0.0/8, except: [10.1.0.1]}]}", "- + + -"),
        ("{meshTLS: {unauthenticatedTLS: true}}", "+ + - -"),
        ("{meshTLS: {identities: ['*']}}", "+ + - -"),
        (f"{{meshTLS: {{identities: ['*.shop.{DOMAIN}']}}}}", "+ - - -"),
        (f"{{meshTLS: {{identities: [tester.lab.{DOMAIN}]}}}}", "- + - -"),
        ("{meshTLS: {serviceAccounts: [{name: web}]}}", "+ - - -"),
        ("{meshTLS: {serviceAccounts: [{name: tester, namespace: lab}]}}", "- + - -"),
        ("{meshTLS: {serviceAccounts: [{name: tester}]}}", "- - - -"),
        ("{meshTLS: {identities: ['*']}, networks: [{cidr: 10.1.0.3/32}]}", "- + - -"),
        ("{meshTLS: {}}", "- - - -"),
        ("{}", "- - - -"),
        ("{networks: [{cidr: 0.0.0.0/0}]}", "- - - -"),
        ("{unauthenticated: false}", "- - - -"),
        # What the webhook turns away.
        ("{unauthenticated: true, meshTLS: {identities: ['*']}}", "? ? ? ?"),
        ("{meshTLS: {unauthenticatedTLS: true, identities: ['*']}}", "? ? ? ?"),
        ("{unauthenticated: yes-please}", "? ? ? ?"),
        ("{unauthenticated: true, networks: [{cidr: 10.0.0.0}, {cidr: x}]}", "? ? ? ?"),
        (
            "{unauthenticated: true, networks: [{cidr: 1.0.0.0/8, except: [11.0.0.0/8]}]}",
            "? ? ? ?",
        ),
        (
            "{unauthenticated: true, networks: [{cidr: 1.0.0.0/8, except: [1.0.0.0/8]}]}",
            "? ? ? ?",
        ),
        ("{everyone: true}", "? ? ? ?"),
    ],
)
def test_clients_of_a_server_authorization(client: str, found: str) -> None:
    assert who(meshed(server(), saz(client))) == found


def test_without_networks_it_is_the_networks_of_the_cluster() -> None:
    config = LinkerdConfig(source="x", cluster_networks=("10.1.0.3/32",))
    assert who(meshed(server(), saz("{unauthenticated: true}"), config=config)) == "- + - -"


@pytest.mark.parametrize(
    ("to", "found"),
    [
        ("{name: s}", "allow"),
        ("{name: other}", "deny"),
        ("{selector: {}}", "allow"),
        ("{selector: {matchLabels: {tier: data}}}", "allow"),
        ("{selector: {matchLabels: {tier: front}}}", "deny"),
        ("{name: s, selector: {}}", "unknown"),
        ("{}", "unknown"),
    ],
)
def test_a_server_is_meant_by_its_name_or_by_its_labels(to: str, found: str) -> None:
    authorization = saz("{unauthenticated: true}", f"server: {to}")
    assert verdict(meshed(server(labels={"tier": "data"}), authorization), "lab/many") == found


# -- AuthorizationPolicy -------------------------------------------------------------------------


def test_nothing_required_lets_in_everyone() -> None:
    assert who(meshed(server(), policy(TO_SERVER + ANYONE))) == "+ + + +"


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("{group: policy.linkerd.io, kind: Server, name: s}", "allow"),
        ("{group: Policy.Linkerd.IO, kind: server, name: s}", "allow"),
        ("{group: policy.linkerd.io, kind: Server, name: other}", "deny"),
        ("{kind: Namespace, name: shop}", "allow"),
        ("{group: core, kind: Namespace, name: shop}", "allow"),
        ("{group: policy.linkerd.io, kind: HTTPRoute, name: r}", "deny"),
        ("{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}", "deny"),
        ("{group: gateway.networking.k8s.io, kind: GRPCRoute, name: r}", "deny"),
        ("{kind: Namespace, name: lab}", "unknown"),
        ("{kind: Server, name: s}", "unknown"),
        ("{kind: Service, name: db}", "unknown"),
        ("{group: policy.linkerd.io, kind: Server}", "unknown"),
        ("{group: policy.linkerd.io, kind: Server, name: s, namespace: shop}", "unknown"),
    ],
)
def test_what_a_policy_targets(target: str, found: str) -> None:
    snapshot = meshed(server(), policy(f"targetRef: {target}\n{ANYONE}"))
    assert verdict(snapshot, "lab/many") == found


def test_policies_and_servers_are_of_one_namespace() -> None:
    assert verdict(meshed(server(), policy(TO_SERVER + ANYONE, namespace="lab")), "lab/many") == (
        "deny"
    )


def test_any_one_of_several_is_enough() -> None:
    tester = "requiredAuthenticationRefs: [{kind: ServiceAccount, name: tester, namespace: lab}]"
    snapshot = meshed(server(), policy(TO_SERVER + WEB), policy(TO_SERVER + tester, name="q"))
    assert who(snapshot) == "+ + - -"


def test_an_access_policy_for_all_makes_the_others_void() -> None:
    snapshot = meshed(server("accessPolicy: all-unauthenticated"), policy(TO_SERVER + WEB))
    assert who(snapshot) == "+ + + +"


MESH = "{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: m}"
NET = "{group: policy.linkerd.io, kind: NetworkAuthentication, name: n}"
ACCOUNT = "{kind: ServiceAccount, name: web}"


def required(*refs: str) -> Document:
    return policy(f"{TO_SERVER}requiredAuthenticationRefs: [{', '.join(refs)}]")


def mesh(spec: str, **extra: str) -> Document:
    return made("MeshTLSAuthentication", "m", spec, **extra)


def net(spec: str) -> Document:
    return made("NetworkAuthentication", "n", spec)


PODS = net("networks: [{cidr: 10.1.0.0/16, except: [10.1.0.3/32]}]")


def test_all_that_is_required_must_hold() -> None:
    anybody = mesh("identities: ['*']")
    assert who(meshed(server(), anybody, required(MESH))) == "+ + - -"
    assert who(meshed(server(), PODS, required(NET))) == "+ - + -"
    assert who(meshed(server(), anybody, PODS, required(MESH, NET))) == "+ - - -"
    assert who(meshed(server(), required(ACCOUNT))) == "+ - - -"


@pytest.mark.parametrize("refs", [(MESH, MESH), (MESH, ACCOUNT), (NET, NET), (ACCOUNT, ACCOUNT)])
def test_two_of_one_sort_are_turned_away(refs: tuple[str, ...]) -> None:
    assert who(meshed(server(), mesh("identities: ['*']"), PODS, required(*refs))) == "? ? ? ?"


@pytest.mark.parametrize(
    "ref", ["{kind: Secret, name: x}", "{group: a, kind: ServiceAccount, name: x}"]
)
def test_what_is_no_authentication_is_turned_away(ref: str) -> None:
    assert who(meshed(server(), required(ref))) == "? ? ? ?"


@pytest.mark.parametrize("ref", [MESH, NET])
def test_a_policy_that_requires_what_is_not_there_has_no_effect(ref: str) -> None:
    found = ask(meshed(server(), required(ref)), "shop/web")
    assert found.verdict == "deny"
    assert any("has no effect" in note for note in found.notes)
    assert who(meshed(server(), mesh("identities: []"), required(MESH))) == "- - - -"


def test_authentications_may_be_of_another_namespace() -> None:
    there = mesh("identities: ['*']", namespace="lab")
    ref = "{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: m, namespace: lab}"
    assert who(meshed(server(), there, required(ref))) == "+ + - -"
    assert who(meshed(server(), there, required(MESH))) == "- - - -"


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (f"identities: [web.shop.{DOMAIN}]", "+ - - -"),
        (f"identities: ['*.lab.{DOMAIN}']", "- + - -"),
        (f"identities: ['*.{DOMAIN}']", "+ + - -"),
        ("identityRefs: [{kind: ServiceAccount, name: web}]", "+ - - -"),
        ("identityRefs: [{kind: ServiceAccount, name: tester, namespace: lab}]", "- + - -"),
        ("identityRefs: [{kind: Namespace, name: lab}]", "- + - -"),
        ("identityRefs: [{kind: Namespace, name: lab, namespace: lab}]", "? ? ? ?"),
        ("identityRefs: [{kind: Pod, name: web}]", "? ? ? ?"),
        ("identities: web", "? ? ? ?"),
        ("identities: [Web]", "? ? ? ?"),
        ("identities: ['web.*']", "? ? ? ?"),
        ("identities: [spiffe://root/web]", "- - - -"),
        ("names: [web]", "? ? ? ?"),
    ],
)
def test_mesh_tls_authentication(spec: str, found: str) -> None:
    assert who(meshed(server(), mesh(spec), required(MESH))) == found


@pytest.mark.parametrize(
    "spec", ["networks: []", "networks: [{}]", "networks: [{cidr: 10/8}]", "{}"]
)
def test_networks_that_are_not_understood(spec: str) -> None:
    assert who(meshed(server(), net(spec), required(NET))) == "? ? ? ?"


def test_what_is_not_understood_does_not_matter_where_another_lets_in() -> None:
    snapshot = meshed(
        server(), required("{kind: Secret, name: x}"), policy(TO_SERVER + WEB, name="q")
    )
    assert who(snapshot) == "+ ? ? ?"


def test_a_pod_without_an_address_may_be_in_a_network_or_not() -> None:
    some = net("networks: [{cidr: 10.1.128.0/17}]")
    assert verdict(meshed(server(), some, required(NET)), "lab/planned") == "unknown"
    every = net("networks: [{cidr: 10.0.0.0/8}]")
    assert verdict(meshed(server(), every, required(NET)), "lab/planned") == "allow"


def test_suffixes_are_of_names_alone() -> None:
    assert is_identity("web.shop.x", "*")
    assert is_identity("web.shop.x", "*.shop.x")
    assert not is_identity("shop.x", "*.shop.x")
    assert not is_identity("web.myshop.x", "*.shop.x")
    assert not is_identity("spiffe://root/web", "*")
    assert not is_identity("spiffe://root/web.shop.x", "*.shop.x")
    assert is_identity("spiffe://root/web", "spiffe://root/web")


def test_what_is_not_understood_matters_no_further_than_the_rest_of_it_reaches() -> None:
    elsewhere = "targetRef: {group: policy.linkerd.io, kind: Server, name: t}\nbogus: 1\n"
    assert who(meshed(server(), policy(elsewhere + ANYONE))) == "- - - -"
    here = "bogus: 1\n" + TO_SERVER + ANYONE
    assert who(meshed(server(), policy(here))) == "? ? ? ?"
    unread = net("networks: [{cidr: x}]")
    assert who(meshed(server(), unread, required(ACCOUNT, NET))) == "? - - -"
    nobody = mesh("identities: [A]")
    near = net("networks: [{cidr: 10.1.0.3/32}]")
    assert who(meshed(server(), nobody, near, required(MESH, NET))) == "- ? - -"
    other = saz("{bogus: 1}", "server: {name: t}")
    assert who(meshed(server(), other)) == "- - - -"
