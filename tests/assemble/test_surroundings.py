import pytest

from assemble.written import pod, policy, snapshot, template
from ringfence.errors import UsageError
from ringfence.model.cluster import Namespace, Node
from ringfence.model.location import Location
from ringfence.model.snapshot import ASSUMED_POD_CIDRS

SHOP = """
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a, kubernetes.io/metadata.name: forged}}
"""


def test_a_namespace_always_has_the_label_of_its_name() -> None:
    (found,) = snapshot(SHOP).namespaces
    labels = {"kubernetes.io/metadata.name": "shop", "team": "a"}
    assert found == Namespace("shop", labels, location=Location("test.yaml"))


@pytest.mark.parametrize(
    "text", [template("Deployment", "web"), pod("web"), policy("p", "podSelector: {}")]
)
def test_a_namespace_that_objects_name_exists_implicitly(text: str) -> None:
    assert snapshot(text).namespaces == (
        Namespace("shop", {"kubernetes.io/metadata.name": "shop"}, implicit=True),
    )
    assert [n.implicit for n in snapshot(text + SHOP).namespaces] == [False]


def test_namespaces_are_sorted() -> None:
    text = template("Deployment", "a", namespace="zoo") + SHOP + pod("b", namespace="bar")
    assert [n.name for n in snapshot(text).namespaces] == ["bar", "shop", "zoo"]


def test_a_malformed_namespace_is_told_and_counts_as_implicit() -> None:
    found = snapshot(SHOP.replace("team: a", "team: 1"))
    assert [(n.name, n.implicit) for n in found.namespaces] == [("shop", True)]
    assert [problem.affects for problem in found.problems] == [("Namespace",)]


def node(name: str, spec: str, status: str = "") -> str:
    return f"""
---
apiVersion: v1
kind: Node
metadata: {{name: {name}, labels: {{zone: b, arch: arm}}}}
spec: {{{spec}}}
status: {{{status}}}
"""


def test_a_node_has_the_addresses_that_are_ips() -> None:
    status = """addresses: [{type: Hostname, address: n1}, {type: InternalIP, address: 192.168.0.1},
        {type: InternalIP, address: "fd00::1"}, {type: ExternalIP, address: 198.51.100.1},
        {type: InternalIP, address: 192.168.0.1}, {type: ExternalIP, address: n1.example.com}]"""
    text = node("n1", 'podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, "fd01::/64"]', status)
    assert snapshot(text).nodes == (
        Node(
            "n1",
            {"arch": "arm", "zone": "b"},
            ("192.168.0.1", "fd00::1", "198.51.100.1"),
            ("10.1.0.0/24", "fd01::/64"),
        ),
    )


def test_the_nodes_blocks_are_where_pods_live() -> None:
    text = (
        node("n2", "podCIDR: 10.1.1.0/24")
        + node("n1", 'podCIDRs: ["fd01::/64", 10.1.0.0/24]')
        + node("n3", "podCIDR: 10.9.0.0/24")
    )
    found = snapshot(text)
    assert found.pod_cidrs == ("10.1.0.0/23", "10.9.0.0/24", "fd01::/64")
    assert not found.pod_cidrs_assumed
    assert [n.name for n in found.nodes] == ["n1", "n2", "n3"]


def test_given_blocks_come_before_the_nodes() -> None:
    text = node("n1", "podCIDR: 10.1.0.0/24")
    found = snapshot(text, pod_cidrs=["fd01::5/64", "10.0.0.0/9", "10.128.0.0/9"])
    assert found.pod_cidrs == ("10.0.0.0/8", "fd01::/64")
    assert not found.pod_cidrs_assumed


def test_private_space_is_assumed_where_nothing_tells() -> None:
    found = snapshot(template("Deployment", "web") + node("n1", ""))
    assert found.pod_cidrs == ASSUMED_POD_CIDRS
    assert found.pod_cidrs_assumed


@pytest.mark.parametrize("written", ["10.0.0.0", "10.0.0.0/33", "pods", ""])
def test_a_given_block_must_be_a_cidr(written: str) -> None:
    with pytest.raises(UsageError, match="is no CIDR"):
        snapshot("", pod_cidrs=[written])


@pytest.mark.parametrize(
    "text",
    [
        node("n1", "podCIDR: nowhere"),
        node("n1", "podCIDRs: 10.0.0.0/8"),
        node("n1", "", "addresses: {}"),
        node("n1", "", "addresses: [{type: InternalIP, address: 5}]"),
    ],
)
def test_malformed_nodes_are_told(text: str) -> None:
    found = snapshot(text)
    assert found.nodes == ()
    assert [problem.affects for problem in found.problems] == [("Node",)]
