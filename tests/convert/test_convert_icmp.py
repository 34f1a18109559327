"""ICMP in conversions: never more open, and told where NetworkPolicy leaves it to the CNI."""

from typing import Any

import pytest

from ringfence import reference
from ringfence.assemble import building
from ringfence.convert import Conversion, convert
from ringfence.convert.compare import alike
from ringfence.convert.conversion import DIALECTS
from ringfence.convert.told import Effect
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection, PodEnd
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from written_policies import PROFILES, documents, snapshot

ECHO, ECHO_REPLY, UNREACHABLE = 256 * 8, 0, 256 * 3
WEB, DB = PodEnd(2, 0), PodEnd(1, 0)


def calico(rules: str) -> Snapshot:
    policies = f"""\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: db, namespace: shop}}
spec:
  selector: app == 'db'
  types: [Ingress]
  ingress:
{rules}
"""
    return snapshot(policies, "calico")


def pinged(before: Snapshot, found: Conversion, number: int) -> tuple[Verdict, Verdict]:
    """Return what the literal judge says of ICMP from web to db, before and after."""
    after = building.rejudged(before, documents(found.files), profile=found.target)
    connection = Connection(WEB, DB, Protocol.ICMP, number, 4)
    was, now = (reference.judge(side, connection).verdict for side in alike(before, after))
    return was, now


ALL_BUT_ECHO = """\
  - {action: Deny, protocol: ICMP, notICMP: {type: 8}}
  - {action: Deny, protocol: ICMPv6}
  - {action: Allow}
"""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_deny_of_all_icmp_but_a_type_is_nowhere_wider(dialect: str) -> None:
    before = calico(ALL_BUT_ECHO)
    found = convert(before, dialect)
    assert found.safe
    was, now = pinged(before, found, UNREACHABLE)
    left = dialect == "kubernetes"
    assert (was, now) == (Verdict.DENY, Verdict.UNKNOWN if left else Verdict.DENY)
    tcp = Connection(WEB, DB, Protocol.TCP, 5432, 4)
    after = building.rejudged(before, documents(found.files), profile=found.target)
    assert reference.judge(after, tcp).verdict is Verdict.ALLOW


@pytest.mark.parametrize("dialect", ["calico", "cilium", "cluster-network-policy"])
def test_a_deny_of_icmp_alone_closes_nothing_else(dialect: str) -> None:
    before = calico("  - {action: Deny, protocol: ICMP}\n  - {action: Deny, protocol: ICMPv6}\n")
    found = convert(before, dialect)
    assert found.proved
    before = snapshot(TIERED, "calico")
    found = convert(before, dialect)
    assert found.proved
    assert pinged(before, found, ECHO) == (Verdict.DENY, Verdict.DENY)


TIERED = """\
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: early}
spec: {order: 1, defaultAction: Pass}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: early.no-ping}
spec:
  tier: early
  selector: all()
  namespaceSelector: has(team)
  types: [Ingress]
  ingress: [{action: Deny, protocol: ICMP}, {action: Deny, protocol: ICMPv6}]
"""


def test_a_type_of_icmp_is_said_where_there_are_words_for_it() -> None:
    before = calico("  - {action: Allow, protocol: ICMP, icmp: {type: 8}}\n")
    found = convert(before, "cilium")
    assert found.proved
    [policy] = [document.body for document in documents(found.files)]
    said = [rule["icmps"] for rule in policy["spec"]["ingress"]]
    assert said == [[{"fields": [{"family": "IPv4", "type": 8}]}]] * len(said)
    assert pinged(before, found, ECHO) == (Verdict.ALLOW, Verdict.ALLOW)
    assert pinged(before, found, ECHO_REPLY) == (Verdict.DENY, Verdict.DENY)


@pytest.mark.parametrize("dialect", ["cilium", "cluster-network-policy"])
def test_icmp_that_cannot_be_allowed_apart_stays_closed_and_is_told(dialect: str) -> None:
    found = convert(
        calico("  - {action: Allow, protocol: ICMP, icmp: {type: 8, code: 0}}\n"), dialect
    )
    assert (found.safe, found.proved) == (True, False)
    assert {each.ports for each in found.comparison.narrower} == {"ICMP 8/0"}
    told = [told for told in found.told if told.effect is Effect.NARROWER]
    assert all(each.line for each in told)
    assert any("ICMP" in each.what for each in told)


def test_a_cluster_network_policy_denies_icmp_where_the_rest_of_the_traffic_passes() -> None:
    found = convert(snapshot(TIERED, "calico"), "cluster-network-policy")
    policies = [d.body for d in documents(found.files) if d.kind == "ClusterNetworkPolicy"]
    rules: list[dict[str, Any]] = [r for p in policies for r in p["spec"]["ingress"]]
    assert [rule["action"] for rule in rules][-2:] == ["Accept", "Deny"]
    assert "protocols" not in rules[-1]


# -- what NetworkPolicy leaves to the CNI --------------------------------------------------------

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 5432}]
"""


@pytest.mark.parametrize("dialect", ["calico", "cilium", "cluster-network-policy"])
def test_what_network_policy_leaves_to_the_cni_is_told_where_it_is_settled(dialect: str) -> None:
    found = convert(snapshot(POLICY, "generic"), dialect)
    assert found.proved
    assert ("left to the CNI", "denied") in {
        (each.was, each.now) for each in found.comparison.left_to_cni
    }
    assert {each.example.destination for each in found.comparison.left_to_cni} == {"shop/db"}


def test_what_is_settled_is_told_where_it_is_left_to_the_cni() -> None:
    before = calico("  - {action: Allow, protocol: TCP, source: {selector: app == 'web'}}\n")
    found = convert(before, "kubernetes")
    assert found.proved
    [left] = found.comparison.left_to_cni
    assert (left.was, left.now) == ("denied", "left to the CNI")
    assert left.pairs > 1


def test_nothing_is_told_of_icmp_where_both_sides_leave_it() -> None:
    found = convert(snapshot(POLICY, PROFILES["kubernetes"]), "kubernetes")
    assert (found.proved, found.comparison.left_to_cni) == (True, ())
