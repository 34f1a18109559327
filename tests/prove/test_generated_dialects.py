"""The proof where policies are of Calico or Cilium: requests, names, accounts, entities."""

import pytest

from prove.proofs import DNS, HTTP, NAMED, TWO, changed, example, proved
from ringfence.errors import UsageError
from ringfence.learn.wishes import CALICO, CILIUM, Naming, Wishes
from ringfence.model.proposal import Edition
from ringfence.prove.generated import generate, prove
from written_maps import cluster, dependency_map, node, workload


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


@pytest.mark.parametrize(
    ("dialect", "lost"), [(CALICO, []), (CILIUM, ["TCP 80 (anything but HTTP)"])]
)
def test_what_a_proxy_cannot_read_beside_a_limit_is_told(dialect: str, lost: list[str]) -> None:
    text = HTTP + "  - {workload: b/w, callers: [{from: {namespace: a}, ports: [80, 81]}]}\n"
    generation = generate(dependency_map(text), cluster(TWO, dialect), Wishes(dialect=dialect))
    proof = proved(generation)
    assert proof.holds, proof
    assert [each.ports for each in proof.refused] == lost
    plain = generate(dependency_map(HTTP), cluster(TWO, dialect), Wishes(dialect=dialect))
    assert proved(plain).refused == ()


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
