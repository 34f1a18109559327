import pytest

from reference.small_cluster import ask, cluster, policy, verdict
from ringfence.model.location import Location
from ringfence.model.profile import Cni, Profile
from ringfence.model.snapshot import BlindSpot
from ringfence.reference.cilium import FLAG
from ringfence.reference.composition import enforced_kinds

NP, CNP = "NetworkPolicy", "ClusterNetworkPolicy"
ANP, BANP = "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"
SHOP = "subject: {namespaces: {matchLabels: {team: shop}}}"
DENY = "ingress: [{action: Deny, from: [{namespaces: {}}]}]"
CLUSTER_WIDE = policy("cnp", f"{{tier: Admin, priority: 1, {SHOP}, {DENY}}}")


@pytest.mark.parametrize(
    ("cni", "version", "flag", "expected"),
    [
        (Cni.GENERIC, "", None, {NP, CNP, ANP, BANP}),
        (Cni.OVN_KUBERNETES, "", None, {NP, ANP, BANP}),
        (Cni.ANTREA, "", None, {NP, ANP, BANP}),
        (Cni.CALICO, "", None, {NP, CNP}),
        (Cni.CALICO, "3.32.0", None, {NP, CNP}),
        (Cni.CALICO, "v3.31.4", None, {NP, ANP, BANP}),
        (Cni.CALICO, "3.9.1", None, {NP, ANP, BANP}),
        (Cni.CALICO, "master", None, {NP, CNP}),
        (Cni.CILIUM, "", True, {NP, CNP}),
        (Cni.CILIUM, "", None, {NP, CNP}),
        (Cni.CILIUM, "", False, {NP}),
        (Cni.CILIUM, "1.20.0-pre.4", True, {NP, CNP}),
        (Cni.CILIUM, "1.19.4", True, {NP}),
        (Cni.CILIUM, "1.9.4", None, {NP}),
        (Cni.NONE, "", True, set()),
    ],
)
def test_kinds_that_a_profile_enforces(
    cni: Cni, version: str, flag: bool | None, expected: set[str]
) -> None:
    profile = Profile(cni, version=version, cluster_network_policy=flag)
    assert enforced_kinds(profile) == expected


def test_kinds_that_are_not_enforced_do_not_even_have_to_be_readable() -> None:
    broken = policy("cnp", "[]")
    assert verdict(cluster(broken, cni=Cni.ANTREA), "lab/tester", "shop/db") == "allow"
    assert verdict(cluster(broken, cni=Cni.CILIUM, flag=False), "lab/tester", "shop/db") == "allow"


def test_nothing_enforces() -> None:
    broken = policy("np", "[]")
    spots = (BlindSpot("lost", Location("x.yaml", 3)),)
    found = ask(cluster(broken, cni=Cni.NONE, blind_spots=spots), "shop/web", "shop/db")
    assert found.verdict == "allow"
    assert found.notes == ("nothing enforces policies on this cluster",)


def test_whether_cilium_heeds_a_policy_is_not_known() -> None:
    snapshot = cluster(CLUSTER_WIDE, cni=Cni.CILIUM, flag=None)
    found = ask(snapshot, "shop/db", "8.8.8.8")
    assert found.egress == "unknown"
    assert FLAG in found.unknown_because[0]
    assert verdict(snapshot, "lab/tester", "shop/db") == "unknown"
    assert verdict(snapshot, "lab/tester", "lab/many") == "allow"
    broken = policy("cnp", "[]")
    assert verdict(cluster(broken, cni=Cni.CILIUM, flag=None), "8.8.8.8", "lab/many") == "unknown"


def test_rule_that_perhaps_matches_lets_the_rest_of_its_tier_decide_too() -> None:
    rules = """[
        {action: Pass, to: [{networks: [10.1.0.0/17]}]},
        {action: Accept, to: [{networks: [0.0.0.0/0]}]},
    ]"""
    first = policy("cnp", f"{{tier: Admin, priority: 1, {SHOP}, egress: {rules}}}")
    closed = policy("np", "{policyTypes: [Egress]}")
    open_ = policy("np", "{policyTypes: [Egress], egress: [{}]}")
    assert verdict(cluster(first, closed), "shop/db", "lab/planned") == "unknown"
    assert verdict(cluster(first, open_), "shop/db", "lab/planned") == "allow"
    assert verdict(cluster(first, closed), "shop/db", "lab/many") == "deny"  # surely passed


def test_reasons_are_told_once() -> None:
    rules = "[{action: Deny, to: [{networks: [10.1.0.0/17]}, {networks: [10.1.0.0/18]}]}]"
    first = policy("cnp", f"{{tier: Admin, priority: 1, {SHOP}, egress: {rules}}}")
    found = ask(cluster(first), "shop/db", "lab/planned")
    assert found.unknown_because == ("the address of `lab/planned` is not known",)


def test_names_of_a_tie_are_told() -> None:
    accept = f"{{tier: Admin, priority: 1, {SHOP}, {DENY.replace('Deny', 'Accept')}}}"
    snapshot = cluster(CLUSTER_WIDE, policy("cnp", accept, "other"))
    found = ask(snapshot, "lab/tester", "shop/db")
    assert found.unknown_because == (
        "`ClusterNetworkPolicy/cnp` and `ClusterNetworkPolicy/other` have the same priority",
    )
