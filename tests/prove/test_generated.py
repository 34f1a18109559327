"""Generated policies are proved; and the proof can fail."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from map_strategies import Situation, situations
from policy_strategies import Draw
from ringfence import assemble
from ringfence.errors import UsageError
from ringfence.examples import MAP, shop
from ringfence.learn.dependency_map import DependencyMap
from ringfence.learn.read_map import read_text
from ringfence.learn.wishes import CALICO, CILIUM, Naming, Wishes
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, End, PodEnd
from ringfence.model.connectivity import Pair
from ringfence.model.proposal import Edition, Emission, EmittedFile
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.prove.generated import Generation, Proof, generate, kept, prove, read_back
from ringfence.questions.connectivity import connectivity
from ringfence.reference import judge
from ringfence.sources import manifests
from written_maps import cluster, dependency_map, node, service, workload

Manifest = dict[str, Any]


# -- laws ------------------------------------------------------------------------------------


@settings(max_examples=80, suppress_health_check=list(HealthCheck), deadline=None)
@given(situations(), st.booleans())
def test_whatever_a_map_says_its_policies_are_proved(
    situation: Situation, allow_wider: bool
) -> None:
    generation = generate(
        situation.dependency_map, situation.snapshot(), Wishes(allow_wider=allow_wider)
    )
    assume(generation.proof is not None)
    assert generation.proof is not None
    assert generation.proof.holds, generation.proof


@st.composite
def wishes(draw: Draw) -> Wishes:
    """Return wishes for one of the languages that not every cluster enforces."""
    dialect = draw(st.sampled_from((CALICO, CILIUM)))
    calico = dialect == CALICO
    return Wishes(
        dialect=dialect,
        allow_wider=draw(st.booleans()),
        identity=draw(st.sampled_from(Naming)),
        edition=draw(st.sampled_from(Edition)) if calico else Edition.OSS,
        staged=calico and draw(st.booleans()),
        log_denied=draw(st.booleans()),
    )


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(situations(), wishes())
def test_whatever_a_map_says_is_proved_in_every_language(
    situation: Situation, wished: Wishes
) -> None:
    there = replace(situation, cni=wished.dialect)
    generation = generate(there.dependency_map, there.snapshot(), wished)
    assume(generation.proof is not None)
    assert generation.proof is not None
    assert generation.proof.holds, generation.proof


@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(situations(addresses=False), st.data())
def test_a_change_that_matters_is_found(situation: Situation, data: st.DataObject) -> None:
    snapshot = situation.snapshot()
    generation = generate(situation.dependency_map, snapshot)
    assume(generation.proof is not None)
    mutants = list(mutated(generation.emission))
    assume(mutants)
    mutant = data.draw(st.sampled_from(mutants))
    before = verdicts(situation.dependency_map, snapshot, generation.emission)
    after = verdicts(situation.dependency_map, snapshot, mutant)
    proof = prove(situation.dependency_map, snapshot, generation.proposal, mutant)
    assert proof.holds == (before == after)


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(situations())
def test_the_same_input_gives_the_same_bytes(situation: Situation) -> None:
    backwards = Situation(
        situation.manifests[::-1], situation.cni, situation.pod_cidrs, situation.dependency_map
    )
    first = generate(situation.dependency_map, situation.snapshot())
    assert first == generate(situation.dependency_map, backwards.snapshot())


def verdicts(
    written: DependencyMap, snapshot: Snapshot, emission: Emission
) -> dict[tuple[End, End, Protocol, int], Verdict]:
    """Return what the literal judge says wherever a covered workload takes part."""
    documents = (*kept(written, snapshot), *read_back(emission.files).documents)
    judged = assemble.with_documents(snapshot, documents)
    pods = [PodEnd(number, 0) for number in range(len(judged.workloads))]
    ends: list[End] = [*pods, AddressEnd("192.0.2.1")]
    covered = {
        end for end in pods if judged.workloads[end.workload].namespace in written.namespaces
    }
    return {
        (*pair, protocol, port): judge(judged, Connection(*pair, protocol, port)).verdict
        for pair in itertools.product(ends, ends)
        if not covered.isdisjoint(pair)
        for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
        for port in (1, 53, 80, 443, 5353, 8080, 9001)
    }


def mutated(emission: Emission) -> Iterator[Emission]:
    """Yield the emission with one thing changed in one of its policies."""
    for number, file in enumerate(emission.files):
        objects = list(yaml.safe_load_all(file.text))
        for index, written in enumerate(objects):
            for mutant in mutants_of(written):
                changed = [*objects[:index], mutant, *objects[index + 1 :]]
                text = yaml.safe_dump_all(changed)
                files = [*emission.files]
                files[number] = EmittedFile(file.path, text)
                yield msgspec.structs.replace(emission, files=tuple(files))


def mutants_of(written: Manifest) -> Iterator[Manifest]:
    spec = written["spec"]
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        rules = spec.get(direction, [])
        if direction.capitalize() in spec["policyTypes"]:
            yield with_spec(written, **{direction: [*rules, {}]})
        for index, rule in enumerate(rules):
            others = [*rules[:index], *rules[index + 1 :]]
            yield with_spec(written, **{direction: others})
            for key in (peers, "ports"):
                if key in rule:
                    wider = {k: v for k, v in rule.items() if k != key}
                    yield with_spec(written, **{direction: [*others, wider]})
    yield with_spec(written, podSelector={"matchLabels": {"app": "nobody"}})


def with_spec(written: Manifest, **fields: Any) -> Manifest:
    return written | {"spec": written["spec"] | fields}


# -- the example -----------------------------------------------------------------------------


def example() -> tuple[Snapshot, DependencyMap]:
    files = shop()
    reading = read_text(files.pop(MAP).decode(), MAP)
    assert reading.map is not None, reading.problems
    text = b"\n---\n".join(files.values())
    return assemble.build(manifests.read(["-"], BytesIO(text))), reading.map


def proved(generation: Generation) -> Proof:
    assert generation.proof is not None, generation.proposal.problems
    return generation.proof


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

TWO = workload("a/x", ports="[{name: http, containerPort: 80}]") + workload("b/w")
CALL = "namespaces: [a]\ndns: false\nworkloads: [{workload: a/x, calls: [{to: b/w, ports: [80]}]}]"


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


# -- other languages -------------------------------------------------------------------------

HTTP = (
    "namespaces: [a, b]\ndns: false\nworkloads:\n"
    "  - {workload: a/x, calls: [{to: b/w, ports: [80], "
    "http: [{methods: [POST], path: /v1/pay}]}]}\n"
)
NAMED = (
    "namespaces: [a]\nworkloads:\n"
    "  - {workload: a/x, calls: [{to: api.example.com, ports: [443]}]}\n"
)
DNS = workload(
    "kube-system/coredns",
    "k8s-app: kube-dns",
    "[{name: dns, containerPort: 53, protocol: UDP}]",
)


def changed(emission: Emission, *pairs: tuple[str, str]) -> Emission:
    """Return an emission with words of its files replaced; each must stand somewhere."""
    files = list(emission.files)
    for old, new in pairs:
        assert any(old in file.text for file in files), old
        files = [EmittedFile(file.path, file.text.replace(old, new)) for file in files]
    return msgspec.structs.replace(emission, files=tuple(files))


@pytest.mark.parametrize("dialect", [CALICO, CILIUM])
def test_the_example_is_proved_in_every_language(dialect: str) -> None:
    snapshot, written = example()
    generation = generate(written, snapshot, Wishes(dialect=dialect))
    proof = proved(generation)
    assert proof.holds, proof
    assert proof.workloads == 12
    assert generation.assumed
    assert generation.profile.cni == dialect


@pytest.mark.parametrize(
    ("dialect", "old", "new", "difference"),
    [
        (CALICO, "methods: [POST]", "methods: [POST, GET]", "but not POST"),
        (CALICO, "exact: /v1/pay", "prefix: /v1/", "but not POST"),
        (CILIUM, "method: POST", 'method: "POST|GET"', "but not POST"),
        (CILIUM, "/v1/pay(", "/v1/.*(", "but not POST"),
    ],
)
def test_any_other_verb_or_path_is_found(dialect: str, old: str, new: str, difference: str) -> None:
    snapshot, written = cluster(TWO, dialect), dependency_map(HTTP)
    generation = generate(written, snapshot, Wishes(dialect=dialect))
    assert proved(generation).holds
    wider = changed(generation.emission, (old, new))
    proof = prove(written, snapshot, generation.proposal, wider)
    [more] = proof.more
    assert (more.source, more.destination) == ("a/x", "b/w")
    assert difference in more.ports
    assert not proof.less


@pytest.mark.parametrize("dialect", [CALICO, CILIUM])
def test_a_narrower_request_is_found(dialect: str) -> None:
    snapshot, written = cluster(TWO, dialect), dependency_map(HTTP)
    generation = generate(written, snapshot, Wishes(dialect=dialect))
    proof = prove(
        written, snapshot, generation.proposal, changed(generation.emission, ("/v1/pay", "/v1/p"))
    )
    assert proof.more
    assert proof.less


def test_limits_that_cannot_be_followed_cannot_be_told() -> None:
    snapshot, written = cluster(TWO, CILIUM), dependency_map(HTTP)
    generation = generate(written, snapshot, Wishes(dialect=CILIUM))
    odd = changed(generation.emission, ("/v1/pay(\\\\?.*)?", "/v1/\\\\bpay"))
    proof = prove(written, snapshot, generation.proposal, odd)
    assert not proof.holds


@pytest.mark.parametrize("dialect", [CALICO, CILIUM])
def test_a_domain_name_is_proved_by_its_name(dialect: str) -> None:
    snapshot, written = cluster(TWO + DNS, dialect), dependency_map(NAMED)
    edition = Edition.CLOUD if dialect == CALICO else Edition.OSS
    generation = generate(written, snapshot, Wishes(dialect=dialect, edition=edition))
    proof = proved(generation)
    assert proof.holds, proof
    assert proof.connections == 1
    other = changed(generation.emission, ("api.example.com", "evil.example.com"))
    proof = prove(written, snapshot, generation.proposal, other)
    assert [(d.source, d.destination, d.ports) for d in proof.more] == [
        ("a/x", "evil.example.com", "TCP 443"),
        *([("a/x", "kube-system/coredns", "UDP 53 (DNS evil.example.com)")] * (dialect == CILIUM)),
    ]
    assert ("a/x", "api.example.com", "TCP 443") in [
        (d.source, d.destination, d.ports) for d in proof.less
    ]


def test_lookups_of_other_names_are_found() -> None:
    snapshot, written = cluster(TWO + DNS, CILIUM), dependency_map(NAMED)
    generation = generate(written, snapshot, Wishes(dialect=CILIUM))
    [file] = [file for file in generation.emission.files if file.path == "a/_namespace.yaml"]
    assert '"**.cluster.local"' in file.text
    every = changed(generation.emission, ('matchPattern: "**.cluster.local"', 'matchPattern: "*"'))
    proof = prove(written, snapshot, generation.proposal, every)
    [more] = proof.more
    assert (more.source, more.destination) == ("a/x", "kube-system/coredns")


@pytest.mark.parametrize(("version", "depth_told"), [("1.18.2", True), ("1.19.0", False)])
def test_names_below_a_name_are_proved_for_old_versions_too(version: str, depth_told: bool) -> None:
    agent = workload("kube-system/cilium", "k8s-app: cilium", kind="DaemonSet", host=True)
    agent = agent.replace("name: c,", f"name: c, image: quay.io/cilium/cilium:v{version},")
    snapshot = cluster(TWO + DNS + agent)
    assert snapshot.profile.version == version
    written = dependency_map(NAMED.replace("api.example.com", "'*.example.com'"))
    generation = generate(written, snapshot, Wishes(dialect=CILIUM))
    proof = proved(generation)
    assert proof.holds, proof
    assert not generation.assumed
    text = "".join(file.text for file in generation.emission.files)
    assert ("*.*.example.com" in text) == depth_told
    assert any("before 1.19" in note for note in generation.emission.notes) == depth_told
    narrow = changed(generation.emission, ('"**.example.com"', "www.example.com"))
    assert prove(written, snapshot, generation.proposal, narrow).less


def test_whoever_calls_addresses_may_look_up_any_name() -> None:
    text = (
        "namespaces: [a]\nworkloads: [{workload: a/x, calls: [{to: 203.0.113.7, ports: [25]}]}]\n"
    )
    generation = generate(dependency_map(text), cluster(TWO + DNS, CILIUM), Wishes(dialect=CILIUM))
    assert proved(generation).holds
    [file] = [file for file in generation.emission.files if file.path == "a/x.yaml"]
    assert 'matchPattern: "*"\n' in file.text


def test_a_service_account_of_its_own_stands_for_a_workload() -> None:
    own = workload("b/w").replace("containers:", "serviceAccountName: w, containers:")
    text = (
        "namespaces: [a, b]\ndns: false\n"
        "workloads: [{workload: a/x, calls: [{to: b/w, ports: [80]}]}]"
    )
    for dialect in (CALICO, CILIUM):
        generation = generate(
            dependency_map(text),
            cluster(workload("a/x") + own, dialect),
            Wishes(dialect=dialect, identity=Naming.SERVICE_ACCOUNTS),
        )
        assert proved(generation).holds
        [file] = [file for file in generation.emission.files if file.path == "a/x.yaml"]
        assert "serviceaccount" in file.text.lower()
        [file] = [file for file in generation.emission.files if file.path == "b/w.yaml"]
        assert "serviceaccount" not in file.text.lower()  # a/x has none of its own


def test_the_api_server_is_an_entity() -> None:
    server = """---
apiVersion: v1
kind: Service
metadata: {namespace: default, name: kubernetes}
spec: {ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: kubernetes, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.168.0.1]}]
ports: [{name: https, port: 6443, protocol: TCP}]
"""
    text = (
        "namespaces: [a]\ndns: false\n"
        "workloads: [{workload: a/x, calls: [{to: svc/default/kubernetes}]}]"
    )
    snapshot = cluster(TWO + server + node("n1", "192.168.0.1") + node("n2", "192.168.0.2"), CILIUM)
    generation = generate(dependency_map(text), snapshot, Wishes(dialect=CILIUM))
    assert proved(generation).holds
    assert proved(generation).connections == 1
    wider = changed(generation.emission, ("- kube-apiserver", "- host\n        - remote-node"))
    proof = prove(dependency_map(text), snapshot, generation.proposal, wider)
    assert [(d.source, d.destination, d.ports) for d in proof.more] == [
        ("a/x", "node/n2", "TCP 6443")
    ]


def test_the_outside_is_an_entity_on_cilium_wherever_pods_live() -> None:
    text = (
        "namespaces: [a]\ndns: false\n"
        "workloads: [{workload: a/x, callers: [{from: outside, ports: [80]}]}]"
    )
    generation = generate(dependency_map(text), cluster(TWO, CILIUM), Wishes(dialect=CILIUM))
    assert proved(generation).holds
    assert generation.proposal.notes == ()
    [file] = [file for file in generation.emission.files if file.path == "a/x.yaml"]
    assert "- world\n" in file.text


def test_staged_policies_are_proved_as_if_they_were_enforced() -> None:
    snapshot, written = cluster(TWO, CALICO), dependency_map(HTTP)
    generation = generate(written, snapshot, Wishes(dialect=CALICO, staged=True))
    assert proved(generation).holds
    open_to_all = changed(generation.emission, ("methods: [POST]", "methods: [PUT]"))
    assert prove(written, snapshot, generation.proposal, open_to_all).more


def test_policies_that_nothing_enforces_are_refused() -> None:
    with pytest.raises(UsageError, match="nothing enforces policies of `calico`"):
        generate(dependency_map(HTTP), cluster(TWO, CILIUM), Wishes(dialect=CALICO))


@pytest.mark.parametrize(
    "wished",
    [
        Wishes(identity=Naming.SERVICE_ACCOUNTS),
        Wishes(staged=True),
        Wishes(dialect=CILIUM, staged=True),
        Wishes(edition=Edition.CLOUD),
        Wishes(dialect=CILIUM, edition=Edition.CLOUD),
    ],
)
def test_what_no_object_could_mean_is_refused(wished: Wishes) -> None:
    with pytest.raises(UsageError):
        generate(dependency_map(HTTP), cluster(TWO), wished)


def test_what_is_denied_is_logged_where_the_language_can() -> None:
    written = dependency_map(HTTP)
    for dialect, logs, notes in (("kubernetes", 0, 0), (CALICO, 4, 2), (CILIUM, 0, 2)):
        snapshot = cluster(TWO, None if dialect == "kubernetes" else dialect)
        generation = generate(written, snapshot, Wishes(dialect=dialect, log_denied=True))
        assert proved(generation).holds
        text = "".join(file.text for file in generation.emission.files)
        assert text.count("action: Log\n") == logs
        assert len(generation.emission.notes) == notes
        told = [each for each in generation.emission.unsupported if each.sort == "logging"]
        assert bool(told) == (dialect == "kubernetes")
