import ipaddress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from assemble.written import from_block, only_workload, pod, policy, snapshot, template
from ringfence.assemble.distinctions import PER_POD_LABELS, Distinctions
from ringfence.assemble.identities import Folder, Member, unfold
from ringfence.model.cluster import Identity, Node, Pod, Workload
from ringfence.model.location import Location
from ringfence.model.mesh import DataPlane, Membership

OPEN = policy("open", "podSelector: {}")


def folded(text: str) -> list[list[str]]:
    """Return the names of the pods of each identity of the only workload."""
    return [
        [p.name for p in identity.pods] for identity in only_workload(snapshot(text)).identities
    ]


def replicas(*ips: str) -> str:
    """Return one pod of a Deployment per address, named by its number."""
    return template("Deployment", "web") + "".join(
        pod(f"w{n}", owner="ReplicaSet web-1", ips=ip) for n, ip in enumerate(ips)
    )


def test_pods_are_one_where_no_block_comes_between_them() -> None:
    assert folded(replicas("10.1.0.1", "10.2.0.1") + OPEN) == [["w0", "w1"]]


def test_a_block_between_pods_tells_them_apart() -> None:
    text = replicas("10.1.0.1", "10.2.0.1", "10.1.0.2")
    assert folded(text + policy("p", from_block("10.1.0.0/16"))) == [["w0", "w2"], ["w1"]]


def test_an_exception_between_pods_tells_them_apart() -> None:
    text = replicas("10.1.0.1", "10.1.1.1", "10.2.0.1")
    excepted = policy("p", from_block("10.0.0.0/8", "10.1.1.0/24"))
    assert folded(text + excepted) == [["w0", "w2"], ["w1"]]


def test_each_family_counts() -> None:
    text = replicas("10.1.0.1 fd00::1", "10.1.0.2 fd00:1::1", "10.1.0.3", "10.1.0.4 fd00::2")
    block = policy("p", from_block('"fd00::/32"'))
    assert folded(text + block) == [["w0", "w3"], ["w1"], ["w2"]]


def test_a_pod_without_an_address_is_like_its_like_where_no_address_matters() -> None:
    assert folded(replicas("10.1.0.1", "") + OPEN) == [["w0", "w1"]]


def test_a_pod_without_an_address_stands_alone_where_it_may_get_another_family() -> None:
    text = replicas("10.1.0.1", "") + OPEN
    (workload,) = snapshot(text, pod_cidrs=["10.1.0.0/16", "fd00::/64"]).workloads
    assert len(workload.identities) == 2
    (workload,) = snapshot(text, pod_cidrs=["10.1.0.0/16"]).workloads
    assert len(workload.identities) == 1


def test_a_pod_without_an_address_stands_alone_where_a_block_cuts_the_pods_space() -> None:
    text = replicas("10.1.0.1", "") + policy("p", from_block("10.1.0.0/16"))
    assert folded(text) == [["w0"], ["w1"]]


def test_a_pod_without_an_address_joins_where_the_whole_pods_space_is_in_the_same_blocks() -> None:
    text = replicas("", "10.1.0.1") + policy("p", from_block("10.0.0.0/8"))
    found = snapshot(text, pod_cidrs=["10.1.0.0/16"])
    (identity,) = found.workloads[0].identities
    # Those with an address come first: any one pod stands for all.
    assert [p.name for p in identity.pods] == ["w1", "w0"]


def test_per_pod_labels_are_kept_with_the_pod() -> None:
    labels = "{app: db, statefulset.kubernetes.io/pod-name: %s, controller-revision-hash: abc}"
    text = template("StatefulSet", "db") + "".join(
        pod(name, owner="StatefulSet db", labels=labels % name) for name in ("db-0", "db-1")
    )
    (identity,) = only_workload(snapshot(text)).identities
    assert identity.labels == {"app": "db"}
    assert identity.pods[0].labels == (
        ("controller-revision-hash", "abc"),
        ("statefulset.kubernetes.io/pod-name", "db-0"),
    )
    selecting = policy(
        "p", "podSelector: {matchLabels: {statefulset.kubernetes.io/pod-name: db-0}}"
    )
    assert folded(text + selecting) == [["db-0"], ["db-1"]]


SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {name: primary, namespace: shop}
spec: {selector: {statefulset.kubernetes.io/pod-name: db-4}, ports: [{port: 5432}]}
"""


def test_a_stateful_set_known_by_its_template_has_the_pods_that_a_service_selects() -> None:
    text = template("StatefulSet", "db", spec="replicas: 2, ordinals: {start: 3}")
    assert only_workload(snapshot(text)).identities[0].pods == ()
    first, second = only_workload(snapshot(text + SERVICE)).identities
    assert first.labels == {"app": "web", "statefulset.kubernetes.io/pod-name": "db-3"}
    assert second.labels == {"app": "web", "statefulset.kubernetes.io/pod-name": "db-4"}
    assert second.pods == (Pod("db-4", labels=(("apps.kubernetes.io/pod-index", "4"),)),)


def test_a_stateful_set_without_end_is_not_counted_out() -> None:
    text = template("StatefulSet", "db", spec="replicas: 2000000000") + SERVICE
    assert len(only_workload(snapshot(text)).identities) == 1


def test_a_job_known_by_its_template_has_the_label_that_a_policy_selects() -> None:
    selecting = policy("p", "podSelector: {matchLabels: {job-name: load}}")
    (identity,) = only_workload(snapshot(template("Job", "load") + selecting)).identities
    assert identity.labels == {"app": "web", "job-name": "load"}


NODES = """
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {role: edge, zone: a}}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2, labels: {role: inner, zone: a}}
status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}
"""
AGENTS = template("DaemonSet", "agent") + "".join(
    pod(f"agent-{n}", owner="DaemonSet agent", spec=f"hostNetwork: true, nodeName: n{n}")
    for n in (1, 2)
)


def to_nodes(labels: str) -> str:
    return f"""
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: p}}
spec:
  tier: Admin
  priority: 1
  subject: {{namespaces: {{}}}}
  egress: [{{action: Deny, to: [{{nodes: {{matchLabels: {labels}}}}}]}}]
"""


def test_pods_on_the_host_network_are_told_apart_by_what_selects_nodes() -> None:
    assert folded(AGENTS + NODES) == [["agent-1", "agent-2"]]
    assert folded(AGENTS + NODES + to_nodes("{zone: a}")) == [["agent-1", "agent-2"]]
    assert folded(AGENTS + NODES + to_nodes("{role: edge}")) == [["agent-1"], ["agent-2"]]


def test_pods_on_the_host_network_are_where_their_node_is() -> None:
    block = policy("p", from_block("192.168.0.0/24"))
    assert folded(AGENTS + NODES + block) == [["agent-1"], ["agent-2"]]


PLACES = ["", "10.1.0.1", "10.1.0.9", "10.2.0.1", "10.1.0.1 fd00::1", "10.2.0.1 fd01::1"]
MEMBERS = st.lists(
    st.tuples(
        st.dictionaries(
            st.sampled_from(["app", "tier", *sorted(PER_POD_LABELS)[:3]]),
            st.sampled_from(["a", "b"]),
            max_size=3,
        ),
        st.sampled_from(PLACES),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
TOLD_APART = st.builds(
    Distinctions,
    st.sets(st.sampled_from(sorted(PER_POD_LABELS)[:3])).map(frozenset),
    st.sets(
        st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/29", "0.0.0.0/0", "fd00::/16"])
    ).map(frozenset),
    st.sampled_from([None, (), ("role",)]),
)


MESHES = (None, Membership(DataPlane.SIDECAR, "cluster.local/ns/shop/sa/default", seen=True))


def members(drawn: list[tuple[dict[str, str], str, bool]]) -> list[Member]:
    return [
        Member(labels, "default", host, (), f"p{n}", tuple(ips.split()), f"n{n % 3}", MESHES[n % 2])
        for n, (labels, ips, host) in enumerate(drawn)
    ]


def folder(told_apart: Distinctions) -> Folder:
    nodes = (
        Node("n0", {"role": "edge"}, ("192.168.0.1",)),
        Node("n1", {"role": "inner"}, ("192.168.0.2",)),
    )
    return Folder(told_apart, nodes, ("10.0.0.0/8",))


@given(drawn=MEMBERS, told_apart=TOLD_APART)
def test_pods_of_an_identity_cannot_be_told_apart(
    drawn: list[tuple[dict[str, str], str, bool]], told_apart: Distinctions
) -> None:
    by_name = {member.name: member for member in members(drawn)}
    found = folder(told_apart).fold("Deployment", "web", by_name.values())
    assert sorted(p.name for identity in found for p in identity.pods) == sorted(by_name)
    blocks = [ipaddress.ip_network(cidr) for cidr in told_apart.blocks]
    for identity in found:
        seen = set()
        for known in identity.pods:
            member = by_name[known.name]
            assert identity.labels | dict(known.labels) == member.labels
            assert identity.mesh == member.mesh
            assert not told_apart.hidden & identity.labels.keys()
            assert {key for key, _ in known.labels} <= told_apart.hidden
            if member.addresses:
                seen.add(
                    frozenset(
                        (block, ipaddress.ip_address(address).version)
                        for address in member.addresses
                        for block in (None, *blocks)
                        if block is None or ipaddress.ip_address(address) in block
                    )
                )
        assert len(seen) <= 1


@given(drawn=MEMBERS, before=TOLD_APART, after=TOLD_APART)
def test_folding_anew_forgets_how_it_was_folded(
    drawn: list[tuple[dict[str, str], str, bool]], before: Distinctions, after: Distinctions
) -> None:
    def workload(identities: tuple[Identity, ...]) -> Workload:
        return Workload("Deployment", "shop", "web", identities, Location("x"))

    first = workload(folder(before).fold("Deployment", "web", members(drawn)))
    direct = workload(folder(after).fold("Deployment", "web", members(drawn)))
    assert folder(after).refold(first) == direct


@given(drawn=MEMBERS, told_apart=TOLD_APART, data=st.data())
def test_the_order_of_pods_does_not_matter(
    drawn: list[tuple[dict[str, str], str, bool]], told_apart: Distinctions, data: st.DataObject
) -> None:
    given_order = members(drawn)
    other_order = data.draw(st.permutations(given_order))
    one = folder(told_apart).fold("Deployment", "web", given_order)
    two = folder(told_apart).fold("Deployment", "web", other_order)
    assert msgspec.json.encode(one) == msgspec.json.encode(two)


def test_a_template_unfolds_to_a_member_without_a_name() -> None:
    workload = only_workload(snapshot(template("Deployment", "web")))
    assert [member.name for member in unfold(workload)] == [""]
