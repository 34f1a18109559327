"""Default inbound policies: a policy for each value that pods have, and for those that say none."""

from dataclasses import replace
from typing import Any

import pytest

from dialects.linkerd_documents import (
    FRIEND,
    NOBODY,
    Client,
    answer,
    member,
    parsed,
    server,
)
from ringfence.model.mesh import DataPlane, LinkerdConfig, Membership
from ringfence.model.rule import AnyPeer, MeshPeer
from ringfence.model.tiers import LINKERD_DEFAULT


def said(client: Client, value: str, setup: LinkerdConfig | None = None, **fields: Any) -> str:
    here = member(default_inbound=value, **fields)
    found = parsed(members=[here], setup=setup).policies
    return answer(found, replace(client, membership=here), LINKERD_DEFAULT)


@pytest.mark.parametrize(
    ("value", "friend", "nobody", "outside"),
    [
        ("deny", "deny", "deny", "deny"),
        ("audit", "allow", "allow", "allow"),
        ("all-unauthenticated", "allow", "allow", "allow"),
        ("all-authenticated", "allow", "deny", "deny"),
        ("cluster-unauthenticated", "allow", "allow", "deny"),
        ("cluster-authenticated", "allow", "deny", "deny"),
    ],
)
def test_what_a_default_policy_lets_in(value: str, friend: str, nobody: str, outside: str) -> None:
    assert said(FRIEND, value) == friend
    assert said(NOBODY, value) == nobody
    assert said(replace(NOBODY, address="8.8.8.8"), value) == outside


def test_it_is_of_the_pods_that_have_it() -> None:
    found = parsed(members=[member(default_inbound="deny")])
    (policy,) = found.policies
    assert policy.subject == MeshPeer((DataPlane.LINKERD,), default_inbound="deny")
    assert (policy.tier, policy.ref) == (LINKERD_DEFAULT, "DefaultInboundPolicy/deny")


def test_pods_that_say_none_or_nonsense_have_that_of_the_control_plane() -> None:
    setup = LinkerdConfig(source="l5d.yaml", default_inbound="deny")
    found = parsed(members=[member(), member(default_inbound="nope")], setup=setup)
    (policy,) = found.policies
    assert policy.subject == AnyPeer(
        tuple(MeshPeer((DataPlane.LINKERD,), default_inbound=said) for said in ("", "nope"))
    )
    assert policy.name == "deny-of-the-cluster"
    assert answer(found.policies, FRIEND, LINKERD_DEFAULT) == "deny"
    assert [document.file for document in found.implied] == ["l5d.yaml"]


def test_each_value_that_occurs_has_a_policy_and_no_other() -> None:
    values = ["deny", "audit", ""]
    found = parsed(members=[member(default_inbound=value) for value in values])
    names = [policy.name for policy in found.policies]
    assert names == ["audit", "deny", "all-unauthenticated-of-the-cluster"]


def test_without_pods_in_the_mesh_there_is_none() -> None:
    assert parsed().policies == ()
    assert parsed(members=[Membership(DataPlane.SIDECAR, "x")]).policies == ()


def test_what_says_it_stands_behind_the_documents() -> None:
    found = parsed(server(), members=[member(default_inbound="deny")])
    (policy,) = [each for each in found.policies if each.tier == LINKERD_DEFAULT]
    assert policy.document == 1
    (implied,) = found.implied
    assert implied.ref == policy.ref
    assert implied.file == "annotation config.linkerd.io/default-inbound-policy"


def test_a_setting_that_is_no_value_leaves_it_unknown() -> None:
    found = parsed(members=[member()], setup=LinkerdConfig(default_inbound="allow"))
    (policy,) = found.policies
    assert policy.unreadable
    assert "`allow` is none of" in found.problems[0].message


# -- ports that ask for an identity ----------------------------------------------------------------

ASKS: dict[str, Any] = {"identity_ports": ((80, 80),)}


@pytest.mark.parametrize(
    ("value", "friend", "nobody"),
    [
        ("all-unauthenticated", "allow", "deny"),
        ("cluster-unauthenticated", "allow", "deny"),
        ("all-authenticated", "allow", "deny"),
        ("audit", "allow", "allow"),
        ("deny", "deny", "deny"),
    ],
)
def test_ports_that_ask_for_an_identity(value: str, friend: str, nobody: str) -> None:
    assert said(FRIEND, value, **ASKS) == friend
    assert said(NOBODY, value, **ASKS) == nobody
    assert said(replace(NOBODY, port=81), "all-unauthenticated", **ASKS) == "allow"


def test_they_keep_to_the_networks_of_the_cluster() -> None:
    outside = replace(FRIEND, address="8.8.8.8")
    assert said(outside, "cluster-unauthenticated", **ASKS) == "deny"


def test_localhost_is_let_in_all_the_same() -> None:
    here = replace(NOBODY, address="127.0.0.1")
    assert said(here, "deny") == "allow"
    assert said(here, "all-unauthenticated", **ASKS) == "allow"


# -- probes ----------------------------------------------------------------------------------------

PROBES: dict[str, Any] = {"probes": ((80, "/live"),)}
PROBE = Client(path="/live", address="8.8.8.8")


@pytest.mark.parametrize("value", ["deny", "all-authenticated", "cluster-authenticated"])
def test_probes_are_let_in(value: str) -> None:
    assert said(PROBE, value, **PROBES) == "allow"
    assert said(replace(PROBE, path="/"), value, **PROBES) == "deny"
    assert said(replace(PROBE, port=81), value, **PROBES) == "deny"


def test_not_at_ports_that_are_not_read() -> None:
    assert said(PROBE, "deny", opaque=((80, 80),), **PROBES) == "deny"


def test_only_from_where_probes_come() -> None:
    setup = LinkerdConfig(probe_networks=("10.0.0.0/8",))
    assert said(PROBE, "deny", setup, **PROBES) == "deny"
    assert said(replace(PROBE, address="10.1.1.1"), "deny", setup, **PROBES) == "allow"
