import math

import pytest

from ringfence.learn.limits import CLUSTER_NAMES
from ringfence.learn.propose import Proposal, propose
from ringfence.learn.wishes import Wishes
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import DomainPattern, HttpMatch, Layer7, exact
from ringfence.model.rule import (
    Action,
    Direction,
    DomainPeer,
    Entity,
    EntityPeer,
    IpPeer,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    PortRange,
    Traffic,
)
from ringfence.model.selector import EVERYTHING, from_labels
from written_maps import cluster, dependency_map, node, service, workload

PORTS = "[{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]"
TWO = workload("a/x", ports=PORTS) + workload("b/w", ports=PORTS)
Rules = list[tuple[Direction, tuple[Peer, ...] | None, tuple[Traffic, ...] | None]]


def proposed(text: str, entries: str, namespaces: str = "[a, b]") -> Proposal:
    head = f"namespaces: {namespaces}\ndns: false\nworkloads:\n"
    return propose(dependency_map(head + entries), cluster(text))


def rules(proposal: Proposal, name: str) -> Rules:
    [policy] = [p for p in proposal.policies if p.policy.name == name]
    return [(each.rule.direction, each.rule.peers, each.rule.traffic) for each in policy.rules]


def calls(end: str, ports: str = "[8080]", subject: str = "a/x") -> str:
    given = f", ports: {ports}" if ports else ""
    return f"  - {{workload: {subject}, calls: [{{to: {end}{given}}}]}}\n"


def pods(namespace: str, **labels: str) -> PodPeer:
    return PodPeer(from_labels({"kubernetes.io/metadata.name": namespace}), from_labels(labels))


def tcp(first: int, last: int = 0) -> Traffic:
    return PortRange(Protocol.TCP, first, last or first)


def test_both_ends_are_written() -> None:
    found = proposed(TWO, calls("b/w"))
    assert rules(found, "ringfence-x") == [(Direction.EGRESS, (pods("b", app="w"),), (tcp(8080),))]
    assert rules(found, "ringfence-w") == [(Direction.INGRESS, (pods("a", app="x"),), (tcp(8080),))]


def test_only_covered_namespaces_get_policies() -> None:
    found = proposed(TWO, calls("b/w"), "[b]")
    assert [p.policy.name for p in found.policies] == ["ringfence-default-deny", "ringfence-w"]
    assert {p.policy.namespace for p in found.policies} == {"b"}


def test_a_dependency_that_changes_nothing_is_told() -> None:
    found = proposed(TWO + workload("c/z"), calls("b/w"), "[c]")
    [note] = found.notes
    assert note.message.startswith("a/x to b/w: neither end")
    assert note.location.line == 6


def test_a_port_name_is_written_with_the_protocol_that_it_has() -> None:
    found = proposed(TWO, calls("b/w", "[http, dns]"))
    [(_, _, traffic)] = rules(found, "ringfence-w")
    assert traffic == (NamedPort("http", Protocol.TCP), NamedPort("dns", Protocol.UDP))


def test_a_service_is_written_as_what_stands_behind_it() -> None:
    listed = "[{name: web, port: 80, targetPort: http}, {name: other, port: 81, targetPort: 9}]"
    text = TWO + service("b/s", "app: w", listed)
    found = proposed(text, calls("svc/b/s", "[80]"))
    [(_, peers, traffic)] = rules(found, "ringfence-x")
    assert (peers, traffic) == ((pods("b", app="w"),), (NamedPort("http", Protocol.TCP),))
    [(_, _, everything)] = rules(proposed(text, calls("svc/b/s", "")), "ringfence-x")
    assert everything == (NamedPort("http", Protocol.TCP), tcp(9))


def test_an_external_name_is_a_domain_name() -> None:
    text = TWO + service("b/s", "", "[]", "type: ExternalName, externalName: api.example.com")
    [(_, peers, traffic)] = rules(proposed(text, calls("svc/b/s", "[443]")), "ringfence-x")
    assert (peers, traffic) == ((DomainPeer(DomainPattern("api.example.com")),), (tcp(443),))


def test_an_external_name_may_lead_back_into_the_cluster() -> None:
    text = (
        TWO
        + service("b/inner", "app: w", "[{port: 80, targetPort: 8080}]")
        + service("b/s", "", "[]", "type: ExternalName, externalName: inner.b.svc.cluster.local")
    )
    [(_, peers, traffic)] = rules(proposed(text, calls("svc/b/s", "[80]")), "ringfence-x")
    assert (peers, traffic) == ((pods("b", app="w"),), (tcp(8080),))


def test_a_service_with_endpoint_slices_is_their_addresses() -> None:
    slices = """---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: b, name: s-1, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.7]}]
ports: [{name: "", port: 6443, protocol: TCP}]
"""
    text = TWO + service("b/s", "", "[{port: 443}]") + slices
    [(_, peers, traffic)] = rules(proposed(text, calls("svc/b/s", "[443]")), "ringfence-x")
    assert (peers, traffic) == ((IpPeer("192.0.2.7/32"),), (tcp(6443),))


def test_a_selection_is_written_as_it_stands() -> None:
    end = "{namespaceLabels: {}, labels: {app: w}}"
    found = proposed(TWO, calls(end, "[http]"))
    assert rules(found, "ringfence-x") == [
        (
            Direction.EGRESS,
            (PodPeer(EVERYTHING, from_labels({"app": "w"})),),
            (NamedPort("http", Protocol.TCP),),
        )
    ]


def test_the_internet_has_no_private_addresses_and_the_outside_has() -> None:
    text = TWO + node("n1", "192.168.0.1", "10.9.0.0/24")
    entries = "  - {workload: a/x, callers: [{from: internet, ports: any}, "
    found = proposed(text, entries + "{from: outside, ports: any}]}\n")
    [(_, internet, _), (_, outside, _)] = rules(found, "ringfence-x")
    assert outside == (IpPeer("0.0.0.0/0", ("10.9.0.0/24",)),)
    assert internet is not None
    [block] = internet
    assert isinstance(block, IpPeer)
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(block.excepts)


def test_the_outside_has_the_families_that_pods_have() -> None:
    written = dependency_map(
        "namespaces: [a]\nworkloads:\n  - {workload: a/x, callers: [{from: outside, ports: any}]}\n"
    )
    found = propose(written, cluster(TWO, pod_cidrs=("10.9.0.0/16", "fd00::/64")))
    [(_, peers, _)] = rules(found, "ringfence-x")
    assert peers == (IpPeer("0.0.0.0/0", ("10.9.0.0/16",)), IpPeer("::/0", ("fd00::/64",)))


def test_what_the_outside_leaves_out_by_assumption_is_told() -> None:
    entries = "  - {workload: a/x, callers: [{from: outside, ports: any}]}\n"
    [note] = proposed(TWO, entries).notes
    assert note.message.startswith("`outside` leaves out 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16")
    assert proposed(TWO + node("n1", "192.168.0.1", "10.9.0.0/24"), entries).notes == ()


def test_a_workload_on_the_host_network_is_reached_at_the_nodes() -> None:
    host = workload("b/h", ports="[{name: m, containerPort: 9100}]", kind="DaemonSet", host=True)
    found = proposed(TWO + host, calls("b/h", "[m]"))
    [(_, peers, traffic)] = rules(found, "ringfence-x")
    assert (peers, traffic) == ((NodePeer(EVERYTHING),), (tcp(9100),))
    assert [note.message for note in found.notes] == [
        "`b/h` is on the host network: no NetworkPolicy applies to it, and it stays open"
    ]


def test_equal_rules_are_written_once_with_all_their_reasons() -> None:
    entries = (
        "  - {workload: a/x, calls: [{to: b/w, ports: [8080], reason: one}]}\n"
        "  - {workload: b/w, callers: [{from: a/x, ports: [8080], reason: two}]}\n"
    )
    found = proposed(TWO, entries)
    [policy] = [p for p in found.policies if p.policy.name == "ringfence-w"]
    [rule] = policy.rules
    assert rule.why == ("from a/x, 8080: one", "from a/x, 8080: two")


def test_a_covered_dns_admits_every_pod_of_the_cluster() -> None:
    text = TWO + workload("kube-system/dns", "k8s-app: kube-dns")
    written = dependency_map("namespaces: [kube-system]\n")
    [(direction, peers, _)] = rules(propose(written, cluster(text)), "ringfence-dns.deployment")
    assert (direction, peers) == (Direction.INGRESS, (PodPeer(EVERYTHING, EVERYTHING),))


def test_workloads_of_one_name_get_files_of_their_own() -> None:
    text = workload("a/x", "app: one") + workload("a/x", "app: two", kind="StatefulSet")
    found = proposed(text, "  - {workload: a/Deployment/x}\n", "[a]")
    assert sorted(p.file for p in found.policies) == ["_namespace", "x", "x.statefulset"]


def test_workloads_that_nothing_tells_apart_are_told() -> None:
    text = workload("a/x", "app: x", kind="Job") + workload("a/w", "app: x", kind="Job")
    found = proposed(text + workload("b/w"), calls("b/w"))
    assert found.twins == {0: (1,), 1: (0,)}
    assert "no label tells `a/x` apart from `a/w`: each may what it may" in [
        note.message for note in found.notes
    ]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (calls("b/z"), "no workload `b/z` in the input; did you mean `b/w`?"),
        (calls("a/x", subject="a/xx"), "no workload `a/xx` in the input; did you mean `a/x`?"),
        (
            calls("svc/b/s"),
            "no Service `svc/b/s` in the input; did you mean `svc/b/web` or `svc/b/none`?",
        ),
        (calls("svc/b/web", "[81]"), "`svc/b/web` has no port `81`; its ports: 80/TCP"),
        (
            calls("svc/b/none", "[80]"),
            "`svc/b/none` leads nowhere: the input has nothing behind it at 80",
        ),
        (
            calls("b/w", "[htpp]"),
            "`b/w` has no container port named `htpp`; its names: dns, http",
        ),
        (
            calls("{namespace: b, labels: {app: z}}"),
            "pods of b with app=z: no workload of the input is selected",
        ),
        (calls("{namespace: bb}"), "no namespace `bb` in the input; did you mean `b`?"),
    ],
)
def test_names_that_the_cluster_does_not_have_are_told(entries: str, message: str) -> None:
    text = (
        TWO
        + service("b/web", "app: w", "[{port: 80}]")
        + service("b/none", "app: q", "[{port: 80}]")
    )
    found = proposed(text, entries)
    assert message in [problem.message for problem in found.problems]
    assert all(problem.location.line == 6 for problem in found.problems)
    assert found.policies == ()


def test_a_covered_namespace_must_exist() -> None:
    [problem] = proposed(TWO, "  []\n", "[a, bb]").problems
    assert problem.message == "no namespace `bb` in the input; did you mean `b`?"


def test_an_ambiguous_workload_is_told() -> None:
    text = TWO + workload("b/w", "app: two", kind="StatefulSet")
    [problem] = proposed(text, calls("b/w")).problems
    assert problem.message == "`b/w` is ambiguous: `b/Deployment/w`, `b/StatefulSet/w`"


# -- other languages -------------------------------------------------------------------------


def wished(text: str, entries: str, wishes: Wishes, head: str = "dns: false\n") -> Proposal:
    written = dependency_map(f"namespaces: [a, b]\n{head}workloads:\n{entries}")
    return propose(written, cluster(text, wishes.dialect), wishes)


def layer7(proposal: Proposal, name: str) -> list[tuple[Layer7, ...] | None]:
    [policy] = [p for p in proposal.policies if p.policy.name == name]
    return [each.rule.layer7 for each in policy.rules]


def test_http_limits_both_ends_and_the_caller_knows_that_the_callee_does() -> None:
    entries = "  - {workload: a/x, calls: [{to: b/w, ports: [80], http: [{methods: [GET]}]}]}\n"
    get = (Layer7(http=HttpMatch(methods=(exact("GET"),))),)
    found = wished(TWO, entries, Wishes(dialect="calico"))
    assert layer7(found, "ringfence-x") == layer7(found, "ringfence-w") == [get]
    [policy] = [p for p in found.policies if p.policy.name == "ringfence-x"]
    assert policy.rules[0].echoed
    alone = propose(
        dependency_map(f"namespaces: [a]\ndns: false\nworkloads:\n{entries}"), cluster(TWO)
    )
    [policy] = [p for p in alone.policies if p.policy.name == "ringfence-x"]
    assert not policy.rules[0].echoed


def test_a_selection_that_may_grow_beyond_the_map_is_not_limited_elsewhere() -> None:
    entries = (
        "  - {workload: a/x, calls: [{to: {namespaceLabels: {}, labels: {app: w}}, ports: [80], "
        "http: [{methods: [GET]}]}]}\n"
    )
    found = wished(TWO, entries, Wishes(dialect="calico"))
    [policy] = [p for p in found.policies if p.policy.name == "ringfence-x"]
    assert not policy.rules[0].echoed


def test_only_cilium_limits_lookups() -> None:
    entries = "  - {workload: a/x, calls: [{to: api.example.com, ports: [443]}]}\n"
    for dialect, expected in (("calico", [None]), ("cilium", [(Layer7(dns=(CLUSTER_NAMES,)),)])):
        found = wished(TWO, entries, Wishes(dialect=dialect), head="")
        dns = [p for p in found.policies if p.policy.name == "ringfence-dns"]
        assert [each.rule.layer7 for each in dns[0].rules] == expected
        own = layer7(found, "ringfence-x")
        names = (Layer7(dns=(DomainPattern("api.example.com"),)),)
        assert (names in own) == (dialect == "cilium")


def test_the_outside_is_an_entity_for_cilium_alone() -> None:
    entries = "  - {workload: a/x, calls: [{to: outside, ports: [443]}]}\n"
    [(_, peers, _)] = rules(wished(TWO, entries, Wishes(dialect="cilium")), "ringfence-x")
    assert peers == (EntityPeer(Entity.WORLD),)
    [(_, peers, _)] = rules(wished(TWO, entries, Wishes(dialect="calico")), "ringfence-x")
    assert isinstance((peers or ())[0], IpPeer)


def test_what_is_denied_is_logged_behind_everything_else() -> None:
    found = wished(TWO, calls("b/w"), Wishes(dialect="calico", log_denied=True))
    [deny, _] = [p for p in found.policies if p.policy.name == "ringfence-default-deny"]
    assert deny.policy.order == math.inf
    assert [each.rule.action for each in deny.rules] == [Action.LOG, Action.LOG]
    assert all(p.policy.order == 0 for p in found.policies if p.policy.name == "ringfence-x")


def test_objects_are_of_the_languages_kind() -> None:
    kinds = {
        wishes: wished(TWO, calls("b/w"), wishes).policies[0].policy.kind
        for wishes in (
            Wishes(dialect="calico"),
            Wishes(dialect="calico", staged=True),
            Wishes(dialect="cilium"),
        )
    }
    assert list(kinds.values()) == [
        "NetworkPolicy.projectcalico.org",
        "StagedNetworkPolicy",
        "CiliumNetworkPolicy",
    ]
