"""Generated policies are proved; and the proof can fail, and says what differs."""

import msgspec
import pytest

from prove.proofs import CALL, TWO, example, mutated, proved
from ringfence import assemble
from ringfence.learn.wishes import Wishes
from ringfence.model.connectivity import Pair
from ringfence.model.proposal import Emission, EmittedFile
from ringfence.model.snapshot import Snapshot
from ringfence.prove.generated import generate, prove
from ringfence.prove.written import read_back
from ringfence.questions.connectivity import connectivity
from written_maps import cluster, dependency_map, node, service, workload


def test_the_example_is_proved() -> None:
    snapshot, written = example()
    proof = proved(generate(written, snapshot))
    assert proof.holds, proof
    assert (proof.workloads, proof.connections) == (12, 29)


def test_a_change_to_the_example_that_matters_is_found() -> None:
    """Widening one side of a pair does not matter: the other side is written too."""
    snapshot, written = example()
    generation = generate(written, snapshot)
    before = verdict_of(snapshot, generation.emission)
    found = 0
    for mutant in list(mutated(generation.emission))[::12]:
        proof = prove(written, snapshot, generation.proposal, mutant)
        if proof.holds:
            assert verdict_of(snapshot, mutant) == before
        else:
            found += 1
    assert found > 6


def verdict_of(snapshot: Snapshot, emission: Emission) -> tuple[Pair, ...]:
    documents = read_back(emission.files).documents
    return connectivity(assemble.with_documents(snapshot, documents)).connections


def test_a_broken_file_is_told() -> None:
    snapshot, written = example()
    generation = generate(written, snapshot)
    first, *others = generation.emission.files
    broken = EmittedFile(first.path, first.text.replace("  podSelector", "  podselector"))
    emission = msgspec.structs.replace(generation.emission, files=(broken, *others))
    proof = prove(written, snapshot, generation.proposal, emission)
    assert not proof.holds
    assert {problem.location.file for problem in proof.problems} == {first.path}


# -- what differs, and how it is told --------------------------------------------------------


def policy(name: str, spec: str, kind: str = "NetworkPolicy") -> str:
    namespace, _, own = name.partition("/")
    version = "networking.k8s.io/v1"
    place = f"{{namespace: {namespace}, name: {own}}}"
    if kind == "ClusterNetworkPolicy":
        version, place = "policy.networking.k8s.io/v1alpha2", f"{{name: {own}}}"
    return f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {place}\nspec: {spec}\n"


def test_a_policy_elsewhere_that_denies_what_the_map_says_is_found() -> None:
    snapshot = cluster(TWO + policy("b/closed", "{podSelector: {}, policyTypes: [Ingress]}"))
    proof = proved(generate(dependency_map(CALL), snapshot))
    [less] = proof.less
    assert (less.source, less.destination, less.ports) == ("a/x", "b/w", "TCP 80")
    assert less.because[-1].startswith("ingress deny: NetworkPolicy/b/closed isolation (-:")
    assert not proof.more


def test_an_admin_policy_that_allows_more_is_found() -> None:
    spec = (
        "{tier: Admin, priority: 1, subject: {namespaces: {}}, "
        "ingress: [{action: Accept, from: [{namespaces: {}}]}]}"
    )
    snapshot = cluster(TWO + policy("/wide", spec, "ClusterNetworkPolicy"))
    proof = proved(generate(dependency_map(CALL), snapshot))
    [more] = proof.more
    assert (more.source, more.destination, more.ports) == ("b/w", "a/x", "any")
    assert not proof.less


def test_policies_that_the_covered_namespaces_have_already_are_no_part_of_it() -> None:
    wide = policy("a/wide", "{podSelector: {}, ingress: [{}], egress: [{}]}")
    again = policy("a/ringfence-x", "{podSelector: {}, ingress: [{}]}")
    generation = generate(dependency_map(CALL), cluster(TWO + wide + again))
    assert proved(generation).holds
    assert [document.ref for document in generation.stays] == ["NetworkPolicy/a/wide"]


def test_nothing_is_proved_where_nothing_is_enforced() -> None:
    proof = proved(generate(dependency_map(CALL), cluster(TWO, cni="none")))
    assert ("b/w", "a/x") in [(more.source, more.destination) for more in proof.more]


def test_what_cannot_be_read_cannot_be_told() -> None:
    broken = policy("b/odd", "{podSelector: {matchLabels: {app: w}}, ingress: [{form: []}]}")
    proof = proved(generate(dependency_map(CALL), cluster(TWO + broken)))
    assert not proof.holds
    assert not proof.more
    assert not proof.less
    assert [(d.source, d.destination, d.ports) for d in proof.unknown] == [("a/x", "b/w", "TCP 80")]
    assert any("unknown field `form`" in reason for reason in proof.unknown_because)


def test_replicas_among_themselves_are_proved_too() -> None:
    text = (
        "namespaces: [a]\ndns: false\nworkloads: [{workload: a/x, calls: [{to: a/x, ports: [80]}]}]"
    )
    generation = generate(dependency_map(text), cluster(TWO))
    assert proved(generation).holds
    assert proved(generation).connections == 1
    [file] = [file for file in generation.emission.files if file.path == "a/x.yaml"]
    closed = EmittedFile(file.path, file.text.replace("port: 80", "port: 81"))
    emission = msgspec.structs.replace(generation.emission, files=(closed,))
    written = dependency_map(text)
    proof = prove(written, cluster(TWO), generation.proposal, emission)
    assert [(d.source, d.destination, d.ports) for d in proof.less] == [("a/x", "a/x", "TCP 80")]
    assert [(d.source, d.destination, d.ports) for d in proof.more] == [("a/x", "a/x", "TCP 81")]


def test_pods_that_policies_tell_apart_by_address_are_proved_one_by_one() -> None:
    pods = "".join(
        "---\napiVersion: v1\nkind: Pod\n"
        f"metadata: {{namespace: b, name: w-{n}, labels: {{app: w}},"
        f" ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: w, uid: u,"
        f" controller: true}}]}}\nspec: {{containers: [{{name: c}}]}}\n"
        f"status: {{phase: Running, podIPs: [{{ip: 10.0.0.{n}}}]}}\n"
        for n in (1, 2)
    )
    text = (
        "namespaces: [a]\ndns: false\n"
        "workloads: [{workload: a/x, calls: [{to: 10.0.0.1, ports: [80]}]}]"
    )
    snapshot = cluster(workload("a/x") + workload("b/w", kind="StatefulSet") + pods)
    written = dependency_map(text)
    generation = generate(written, snapshot)
    assert proved(generation).holds
    files = tuple(
        EmittedFile(file.path, file.text.replace("10.0.0.1/32", "10.0.0.0/30"))
        for file in generation.emission.files
    )
    wider = msgspec.structs.replace(generation.emission, files=files)
    proof = prove(written, snapshot, generation.proposal, wider)
    assert ("a/x", "TCP 80") in [(d.source, d.ports) for d in proof.more]
    assert not proof.less


@pytest.mark.parametrize(("allow_wider", "instead"), [(False, "nothing"), (True, "0.0.0.0/0")])
def test_a_domain_name_is_closed_or_wider_as_was_told(allow_wider: bool, instead: str) -> None:
    text = (
        "namespaces: [a]\ndns: false\n"
        "workloads: [{workload: a/x, calls: [{to: api.example.com, ports: [443]}]}]"
    )
    generation = generate(dependency_map(text), cluster(TWO), Wishes(allow_wider=allow_wider))
    assert proved(generation).holds
    [told] = generation.emission.unsupported
    assert told.instead.startswith(instead)


def test_dns_is_let_through_at_the_port_where_it_listens() -> None:
    dns = workload(
        "kube-system/coredns",
        "k8s-app: kube-dns",
        "[{name: dns, containerPort: 5353, protocol: UDP}]",
    ) + service(
        "kube-system/kube-dns",
        "k8s-app: kube-dns",
        "[{port: 53, protocol: UDP, targetPort: dns}]",
    )
    snapshot = cluster(TWO + dns)
    written = dependency_map("namespaces: [a]")
    generation = generate(written, snapshot)
    assert proved(generation).holds
    files = tuple(
        EmittedFile(file.path, file.text.replace("port: 5353", "port: 53"))
        for file in generation.emission.files
    )
    wrong = msgspec.structs.replace(generation.emission, files=files)
    proof = prove(written, snapshot, generation.proposal, wrong)
    assert [(d.source, d.destination, d.ports) for d in proof.less] == [
        ("a/x", "kube-system/coredns", "UDP 5353")
    ]


def test_nodes_are_proved_by_their_addresses() -> None:
    text = (
        "namespaces: [a]\ndns: false\n"
        "workloads: [{workload: a/x, calls: [{to: nodes, ports: [9100]}]}]"
    )
    snapshot = cluster(TWO + node("n1", "192.168.0.1", "10.9.0.0/24"))
    generation = generate(dependency_map(text), snapshot)
    assert proved(generation).holds
    emission = msgspec.structs.replace(generation.emission, substitutes=())
    proof = prove(dependency_map(text), snapshot, generation.proposal, emission)
    [more] = proof.more
    assert (more.source, more.destination, more.ports) == ("a/x", "192.168.0.1", "TCP 9100")
