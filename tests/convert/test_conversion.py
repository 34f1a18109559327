"""Each dialect into each other, on one small shop; and what none of them can say."""

from itertools import permutations
from typing import Any

import pytest

from ringfence import reference
from ringfence.assemble import building
from ringfence.convert import Conversion, arrange, convert
from ringfence.convert.compare import alike
from ringfence.convert.told import Effect
from ringfence.errors import UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, End, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from written_policies import CLUSTER, POLICIES, PROFILES, documents, snapshot

PORTS = (1, 22, 79, 80, 100, 101, 443, 5432, 5999, 6000, 6001, 8080, 9000, 9010, 9011, 65535)
OUTSIDE = ("203.0.113.1", "203.0.113.200", "198.51.100.7", "10.9.0.1", "192.168.7.7")


def judged(before: Snapshot, found: Conversion) -> tuple[Snapshot, Snapshot]:
    after = building.rejudged(before, documents(found.files), profile=found.target)
    return alike(before, after)


def connections(shop: Snapshot) -> list[Connection]:
    pods: list[End] = [PodEnd(number, 0) for number in range(len(shop.workloads))]
    ends: list[End] = [*pods, *map(AddressEnd, OUTSIDE)]
    return [
        Connection(one, other, protocol, port)
        for one in ends
        for other in ends
        if one in pods or other in pods
        for protocol in (Protocol.TCP, Protocol.UDP)
        for port in PORTS
    ]


@pytest.mark.parametrize(("source", "target"), list(permutations(POLICIES, 2)))
def test_every_dialect_is_said_in_every_other_with_the_same_verdicts(
    source: str, target: str
) -> None:
    before = snapshot(POLICIES[source], PROFILES[source])
    found = convert(before, target)
    assert (found.proved, found.problems, found.comparison.wider) == (True, (), ())
    one, other = judged(before, found)
    verdicts = set()
    for connection in connections(one):
        wanted = reference.judge(one, connection).verdict
        assert reference.judge(other, connection).verdict is wanted, connection
        verdicts.add(wanted)
    assert verdicts == {Verdict.ALLOW, Verdict.DENY}


@pytest.mark.parametrize("dialect", POLICIES)
def test_what_is_written_says_the_same_when_converted_again(dialect: str) -> None:
    before = snapshot(POLICIES[dialect], PROFILES[dialect])
    once = convert(before, dialect)
    assert once.proved
    after = building.rejudged(before, documents(once.files), profile=once.target)
    assert convert(after, dialect).proved


@pytest.mark.parametrize("dialect", POLICIES)
def test_equal_policies_give_equal_bytes(dialect: str) -> None:
    before = snapshot(POLICIES["calico"], "calico")
    assert convert(before, dialect).files == convert(before, dialect).files


# -- the shape of what is written ----------------------------------------------------------------


def bodies(source: str, target: str, policies: str | None = None) -> list[dict[str, Any]]:
    given = policies or POLICIES[source]
    return [d.body for d in documents(convert(snapshot(given, PROFILES[source]), target).files)]


def test_a_network_policy_keeps_its_place_in_calico() -> None:
    [policy] = bodies("kubernetes", "calico")
    assert (policy["kind"], policy["metadata"]["name"]) == ("NetworkPolicy", "db")
    assert (policy["spec"]["tier"], policy["spec"]["order"]) == ("default", 1000)
    assert [rule["action"] for rule in policy["spec"]["ingress"]] == ["Allow", "Allow"]


def test_an_ip_block_that_holds_pods_and_nodes_names_them_beside_in_cilium() -> None:
    [policy] = bodies("kubernetes", "cilium")
    to_everyone = policy["spec"]["egress"][1:]
    assert [next(iter(rule)) for rule in to_everyone] == ["toEndpoints", "toEntities", "toCIDRSet"]


def test_denials_that_isolate_nobody_stay_denials_in_cilium() -> None:
    policies = bodies("cilium", "cilium")
    [other] = [p for p in policies if p["kind"] == "CiliumClusterwideNetworkPolicy"]
    assert other["spec"]["enableDefaultDeny"] == {"ingress": False}
    assert len(other["spec"]["ingressDeny"]) == 1


def test_what_has_an_order_of_its_own_stands_in_a_tier_before_the_default_in_calico() -> None:
    policies = bodies("cluster-network-policy", "calico")
    [tier] = [p for p in policies if p["kind"] == "Tier"]
    assert tier["spec"] == {"order": 900_000, "defaultAction": "Pass"}
    early = [p for p in policies if p["spec"].get("tier") == tier["metadata"]["name"]]
    assert [rule["action"] for rule in early[0]["spec"]["ingress"]] == ["Allow", "Deny"]


def test_a_cluster_network_policy_leaves_the_outside_to_a_network_policy_beside() -> None:
    policies = bodies("kubernetes", "cluster-network-policy")
    kinds = [p["kind"] for p in policies]
    assert kinds == ["ClusterNetworkPolicy", "NetworkPolicy"]
    [rule] = policies[1]["spec"]["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"]}}]
    assert policies[1]["spec"]["policyTypes"] == ["Ingress"]


def test_what_a_deny_takes_out_of_an_allow_is_said_by_the_opposite_labels() -> None:
    policies = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: app == 'db'
  ingress:
  - {action: Deny, source: {selector: mark == 'bad'}}
  - {action: Allow, source: {selector: has(app)}}
"""
    [policy] = bodies("calico", "kubernetes", policies)
    [peer] = policy["spec"]["ingress"][0]["from"]
    assert peer["podSelector"]["matchExpressions"] == [
        {"key": "app", "operator": "Exists"},
        {"key": "mark", "operator": "NotIn", "values": ["bad"]},
    ]


# -- what cannot be said -------------------------------------------------------------------------

LIMITED = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts:
    - ports: [{port: "8080", protocol: TCP}]
      rules: {http: [{method: GET, path: /v1}]}
"""


@pytest.mark.parametrize("dialect", ["kubernetes", "cluster-network-policy"])
def test_limits_above_the_port_stay_closed_where_they_cannot_be_said(dialect: str) -> None:
    found = convert(snapshot(LIMITED, "cilium"), dialect)
    assert (found.proved, found.safe) == (False, True)
    assert [(d.source, d.destination) for d in found.comparison.narrower] == [
        ("shop/web", "shop/db")
    ]
    told = [told for told in found.told if told.effect is Effect.NARROWER]
    text = f"{CLUSTER}---\n{LIMITED}".splitlines()
    line = text.index("  - fromEndpoints: [{matchLabels: {app: web}}]")
    assert {(t.file, t.line, t.rule) for t in told} == {("in.yaml", line + 1, "ingress[0]")}
    assert all("does not look into connections" in t.what for t in told)


def test_limits_become_the_whole_port_where_wider_is_asked_for() -> None:
    found = convert(snapshot(LIMITED, "cilium"), "kubernetes", allow_wider=True)
    assert not found.safe
    assert [each.said.destination for each in found.comparison.wider] == ["shop/db"]
    assert Effect.WIDER in {told.effect for told in found.told}


def test_http_that_both_have_passes_between_calico_and_cilium() -> None:
    policies = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: app == 'db'
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: app == 'web'}
    destination: {ports: [8080]}
    http: {methods: [POST]}
"""
    found = convert(snapshot(policies, "calico"), "cilium")
    [policy] = [document.body for document in documents(found.files)]
    [ports] = policy["spec"]["ingress"][0]["toPorts"]
    assert ports["rules"] == {"http": [{"method": "POST"}]}
    assert found.proved


NAMED = """\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: names}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: shop}}}
  egress:
  - {action: Accept, to: [{domainNames: [api.example.com]}]}
  - {action: Deny, to: [{networks: [0.0.0.0/0]}]}
"""


def test_a_domain_name_is_closed_and_told_where_the_language_has_none() -> None:
    found = convert(snapshot(NAMED, "generic"), "kubernetes")
    assert found.safe
    told = [told.what for told in found.told if told.effect is Effect.NARROWER]
    assert "a NetworkPolicy cannot say the name api.example.com" in told


def test_a_service_account_is_told_as_the_pods_of_now() -> None:
    found = convert(snapshot(POLICIES["calico"], "calico"), "kubernetes")
    told = [told for told in found.told if "service account" in told.what]
    assert [(each.effect, each.instead) for each in told] == [
        (Effect.TODAY, "the pods that it means now")
    ]


def test_a_policy_that_cannot_be_read_is_not_converted() -> None:
    policies = POLICIES["kubernetes"].replace("podSelector: {matchLabels", "podSelector: {wrong")
    found = convert(snapshot(policies, "generic"), "calico")
    assert (found.files, found.proved, found.safe) == ((), False, False)
    assert found.unreadable[0].location.line


def test_staged_policies_are_told_and_left() -> None:
    policies = """\
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: planned, namespace: shop}
spec: {selector: all()}
"""
    found = convert(snapshot(policies, "calico"), "kubernetes")
    assert (found.files, found.proved) == ((), True)
    assert [told.effect for told in found.told] == [Effect.NOTE]


def test_isolation_without_rules_stays_isolation() -> None:
    policies = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: closed}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""
    for dialect in POLICIES:
        found = convert(snapshot(policies, "generic"), dialect)
        assert found.proved, dialect
        assert found.written, dialect


def test_nothing_is_converted_where_nothing_is_enforced() -> None:
    with pytest.raises(UsageError, match="nothing in this cluster enforces"):
        convert(snapshot(POLICIES["kubernetes"], "none"), "calico")


def test_no_such_dialect() -> None:
    with pytest.raises(UsageError, match="`istio` is no dialect"):
        convert(snapshot("", "generic", CLUSTER), "istio")


# -- paths of HTTP -------------------------------------------------------------------------------

NORMALISED = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: app == 'db'
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: app == 'web'}
    http: {methods: [POST], paths: [{exact: /v1}, {prefix: /pub}]}
"""


def test_paths_that_calico_normalises_are_said_without_what_needs_normalising() -> None:
    before = snapshot(NORMALISED, "calico")
    found = convert(before, "cilium")
    assert (found.safe, found.proved) == (True, False)
    after = building.rejudged(before, documents(found.files), profile=found.target)
    web, db = PodEnd(2, 0), PodEnd(1, 0)
    verdicts = {}
    for path in ("/v1", "/v1?a=b", "/x/../v1", "/pub/a.b", "/pub/../adm", "/pub/%2e%2e/adm"):
        asked = Request(http=True, method="POST", path=path, host="x", headers=(), dns="", sni="")
        connection = Connection(web, db, Protocol.TCP, 80, 4, asked)
        was, now = (reference.judge(side, connection).verdict for side in (before, after))
        assert now is Verdict.DENY or was is Verdict.ALLOW, path
        verdicts[path] = now
    allowed = [path for path, verdict in verdicts.items() if verdict is Verdict.ALLOW]
    assert allowed == ["/v1", "/v1?a=b", "/pub/a.b"]


def test_a_path_is_not_given_to_calico_which_takes_many_for_the_same_one() -> None:
    found = convert(snapshot(LIMITED, "cilium"), "calico")
    assert (found.safe, found.proved) == (True, False)
    assert any("normalises paths" in told.what for told in found.told)


# -- where pods live -----------------------------------------------------------------------------

ADDRESSED = "---\n".join(part for part in CLUSTER.split("---\n") if "kind: Node" not in part)
OUTSIDE_DENIED = """\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: no-internet}
spec:
  endpointSelector: {}
  enableDefaultDeny: {egress: false}
  egressDeny: [{toEntities: [world]}]
"""


@pytest.mark.parametrize("dialect", ["calico", "cluster-network-policy"])
def test_the_outside_stays_denied_where_pods_are_only_assumed_to_live(dialect: str) -> None:
    before = snapshot(OUTSIDE_DENIED, "cilium", ADDRESSED)
    assert before.pod_cidrs_assumed
    found = convert(before, dialect)
    assert found.safe
    assert any("--pod-cidr" in told.what for told in found.told)


# -- priorities ----------------------------------------------------------------------------------


def namespaces(count: int) -> str:
    return "---\n".join(
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: n{n}}}\n---\n"
        f"apiVersion: v1\nkind: Pod\nmetadata: {{namespace: n{n}, name: p}}\n"
        f"spec: {{containers: [{{name: c, image: x}}]}}\nstatus: {{podIP: 10.1.{n}.1}}\n"
        for n in range(count)
    )


def test_policies_of_different_pods_share_priorities_where_there_are_too_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrange, "LAST_PRIORITY", 3)
    policies = "---\n".join(
        f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{namespace: n{n}, name: np}}\n"
        f"spec: {{podSelector: {{}}, ingress: [{{ports: [{{port: {n + 1}}}]}}]}}\n"
        for n in range(8)
    )
    found = convert(snapshot(policies, "generic", namespaces(8)), "cluster-network-policy")
    assert found.proved
    chosen = [d.body["spec"]["priority"] for d in documents(found.files) if not d.namespace]
    assert len(chosen) > 4
    assert max(chosen) <= 3


def test_too_many_cluster_network_policies_are_refused_with_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrange, "LAST_PRIORITY", 3)
    policies = "---\n".join(
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
        f"metadata: {{name: g{n}}}\nspec:\n  order: {n}\n  selector: has(l{n})\n"
        f"  ingress: [{{action: Deny, protocol: TCP, destination: {{ports: [{n + 1}]}}}}]\n"
        for n in range(5)
    )
    before = snapshot(policies, "calico", namespaces(1))
    with pytest.raises(UsageError, match=r"would need 10 Cluster.*has 4 priorities"):
        convert(before, "cluster-network-policy")
