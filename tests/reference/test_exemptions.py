import pytest

from reference.small_cluster import NOWHERE, ask, cluster, policy, verdict
from ringfence.model.cluster import Identity, Pod, Workload
from ringfence.model.profile import Cni
from ringfence.model.snapshot import BlindSpot
from ringfence.reference import OWN_NODE, REPLICAS

CLOSED_SHOP = policy("np", "{policyTypes: [Ingress, Egress]}")
CLOSED_LAB = policy(
    "np",
    "{policyTypes: [Ingress, Egress]}",
    metadata={"namespace": "lab", "name": "closed"},
)
CLOSED = (CLOSED_SHOP, CLOSED_LAB)


@pytest.mark.parametrize("cni", [Cni.GENERIC, Cni.CALICO, Cni.CILIUM])
def test_own_node(cni: Cni) -> None:
    snapshot = cluster(*CLOSED, cni=cni)
    assert verdict(snapshot, "node/n1", "shop/web") == "allow"
    assert verdict(snapshot, "node/n2", "shop/web") == "deny"
    assert verdict(snapshot, "system/agent", "shop/web") == "allow"
    assert verdict(snapshot, "system/agent", "shop/db") == "deny"
    assert verdict(snapshot, "shop/web", "node/n1") == "deny"
    assert verdict(snapshot, "lab/tester", "shop/web") == "deny"  # a pod of that node is not it


def test_evidence_of_the_own_node() -> None:
    found = ask(cluster(*CLOSED), "node/n1", "shop/web")
    assert [piece.rule for piece in found.evidence] == ["default", "own node"]
    assert found.notes == ()


def test_own_node_of_one_of_several_pods() -> None:
    snapshot = cluster(*CLOSED)
    assert verdict(snapshot, "node/n1", "lab/many#0") == "allow"
    assert verdict(snapshot, "node/n1", "lab/many#1") == "deny"
    found = ask(snapshot, "node/n1", "lab/many")
    assert (found.verdict, found.notes) == ("deny", (OWN_NODE,))


def test_own_node_that_is_not_known() -> None:
    found = ask(cluster(*CLOSED), "node/n1", "lab/planned")
    assert (found.verdict, found.notes) == ("deny", (OWN_NODE,))
    assert ask(cluster(), "node/n1", "lab/planned").notes == ()


def test_host_pod_of_which_no_node_is_known() -> None:
    hosted = Identity({"app": "x"}, host_network=True, pods=(Pod("x", ("192.168.0.7",)),))
    workload = Workload("Pod", "lab", "hosted", (hosted,), NOWHERE)
    snapshot = cluster(*CLOSED)
    snapshot = cluster(*CLOSED, workloads=(*snapshot.workloads, workload))
    found = ask(snapshot, "lab/hosted", "shop/web")
    assert (found.verdict, found.notes) == ("deny", (OWN_NODE,))


def test_own_node_is_admitted_whatever_could_not_be_read() -> None:
    spots = (BlindSpot("lost", NOWHERE),)
    assert verdict(cluster(blind_spots=spots), "node/n1", "shop/web") == "allow"
    assert verdict(cluster(blind_spots=spots), "node/n2", "shop/web") == "unknown"


def test_pod_reaches_itself() -> None:
    snapshot = cluster(*CLOSED)
    found = ask(snapshot, "shop/web", "shop/web")
    assert found.verdict == "allow"
    assert [piece.rule for piece in found.evidence] == ["self", "self"]
    assert verdict(snapshot, "lab/many#1", "lab/many#1") == "allow"
    assert verdict(cluster(blind_spots=(BlindSpot("x", NOWHERE),)), "shop/db", "shop/db") == "allow"


def test_replicas_of_which_not_both_are_named() -> None:
    snapshot = cluster(*CLOSED)
    assert verdict(snapshot, "lab/many#0", "lab/many#1") == "deny"
    for source, destination in (
        ("lab/many", "lab/many"),
        ("lab/many#0", "lab/many"),
        ("lab/many", "lab/many#1"),
        ("lab/planned", "lab/planned"),
    ):
        found = ask(snapshot, source, destination)
        assert (found.egress, found.ingress, found.verdict) == ("unknown",) * 3
        assert found.unknown_because == (REPLICAS,)
    assert verdict(cluster(), "lab/many", "lab/many") == "allow"
