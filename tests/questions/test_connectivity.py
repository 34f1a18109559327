"""All pairs: which endpoints there are, and what is written between them."""

import msgspec

from questions.shop import shop
from questions.test_check import BY_POD
from ringfence.model.connectivity import Connectivity
from ringfence.model.location import Location, Problem
from ringfence.model.snapshot import Snapshot
from ringfence.outputs import write
from ringfence.questions.connectivity import connectivity

OUTSIDE = ["0.0.0.0-203.0.112.255", "203.0.113.0-203.0.113.255", "203.0.114.0-255.255.255.255"]
SIX = "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
SELECTS_NOTHING = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: idle, namespace: shop}
spec:
  podSelector: {matchLabels: {app: nobody}}
  ingress: [{from: [{ipBlock: {cidr: 198.51.100.0/24}}, {podSelector: {matchLabels: {app: web}}}]}]
"""
NODES = """
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: nodes}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
  egress: [{action: Deny, to: [{nodes: {}}]}]
"""


def names(answer: Connectivity) -> list[str]:
    return [peer.name for peer in answer.endpoints]


def traffic(answer: Connectivity, source: str, destination: str) -> list[tuple[str, str]]:
    return [
        (allowance.protocol, allowance.ports)
        for pair in answer.connections
        if (pair.source, pair.destination) == (source, destination)
        for allowance in pair.allow
    ]


def test_endpoints_are_workloads_and_the_coarsest_ranges() -> None:
    assert names(connectivity(shop())) == ["ops/tool", "shop/db", "shop/web", *OUTSIDE, SIX]


def test_pairs() -> None:
    answer = connectivity(shop())
    assert traffic(answer, "shop/web", "shop/db") == [("TCP", "5432")]
    assert traffic(answer, "shop/db", "shop/web") == [("ANY", "")]
    assert traffic(answer, OUTSIDE[1], "shop/db") == [("TCP", "5432")]
    assert traffic(answer, OUTSIDE[0], "shop/db") == []
    assert traffic(answer, SIX, "shop/db") == []


def test_neither_a_workload_to_itself_nor_outside_to_outside_is_listed() -> None:
    answer = connectivity(shop(BY_POD))
    workload = {name: name.partition("[")[0] for name in names(answer)}
    outside = {*OUTSIDE, SIX}
    assert answer.connections
    for pair in answer.connections:
        assert workload[pair.source] != workload[pair.destination]
        assert not {pair.source, pair.destination} <= outside


def test_pairs_are_sorted_and_stand_once() -> None:
    pairs = [(pair.source, pair.destination) for pair in connectivity(shop(BY_POD)).connections]
    assert pairs == sorted(set(pairs))


def test_a_policy_that_selects_nothing_changes_nothing() -> None:
    plain, idle = connectivity(shop()), connectivity(shop(SELECTS_NOTHING))
    assert idle.endpoints == plain.endpoints
    assert idle.connections == plain.connections


def test_pods_of_a_workload_are_told_apart_only_where_policies_do() -> None:
    assert "shop/shard[shard-0]" in names(connectivity(shop(BY_POD)))
    allow_all = BY_POD.replace("shard-0}}\n", "shard-0}}\n  ingress: [{}]\n")
    assert "ingress: [{}]" in allow_all
    assert "shop/shard" in names(connectivity(shop(allow_all)))


def test_pods_of_a_workload_that_differ_only_towards_the_outside_are_told_apart() -> None:
    inside = BY_POD.replace(
        "shard-0}}\n", "shard-0}}\n  ingress: [{from: [{namespaceSelector: {}}]}]\n"
    )
    answer = connectivity(shop(inside))
    assert traffic(answer, "0.0.0.0-203.0.112.255", "shop/shard[shard-0]") == []
    assert traffic(answer, "0.0.0.0-203.0.112.255", "shop/shard[shard-1]") == [("ANY", "")]


def test_nodes_are_listed_where_a_policy_names_nodes() -> None:
    assert "node/n1" not in names(connectivity(shop()))
    answer = connectivity(shop(NODES))
    assert traffic(answer, "shop/web", "node/n1") == []
    assert traffic(answer, "ops/tool", "node/n1") == [("ANY", "")]


def test_one_namespace_alone() -> None:
    answer = connectivity(shop(), namespace="ops")
    assert answer.connections
    assert all("ops/tool" in (p.source, p.destination) for p in answer.connections)


def test_what_is_unknown_is_listed_with_its_reasons() -> None:
    surprise = SELECTS_NOTHING.replace("app: nobody", "app: web").replace("cidr:", "cird:")
    answer = connectivity(shop(surprise))
    (pair,) = (
        p for p in answer.connections if (p.source, p.destination) == ("shop/db", "shop/web")
    )
    assert [(a.protocol, a.ports) for a in pair.unknown] == [("ANY", "")]
    assert pair.allow == ()
    assert any("unknown field `cird`" in reason for reason in answer.unknown_because)


def test_profile_none_is_told_loudly() -> None:
    answer = connectivity(shop(cni="none"))
    assert traffic(answer, "ops/tool", "shop/db") == [("ANY", "")]
    assert any("nothing in this cluster enforces" in note for note in answer.notes)


def test_an_empty_cluster_has_no_pairs() -> None:
    assert connectivity(Snapshot()).connections == ()


def test_a_note_of_what_is_assumed_is_no_unreadable_thing() -> None:
    told = tuple(
        Problem(f"some {severity}", Location("a.yaml"), severity=severity)
        for severity in ("error", "warning", "note")
    )
    answer = connectivity(msgspec.structs.replace(shop(), problems=told))
    assert "some note" in answer.notes
    assert [problem.severity for problem in answer.problems] == ["error", "warning"]
    for output in (b"".join(write(answer, form)).decode() for form in ("text", "markdown")):
        before, _, after = output.lower().partition("could not be read")
        assert "some note" in before
        assert "some note" not in after
