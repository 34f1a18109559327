import pytest
import yaml

from reference.small_cluster import ask, cluster, document, policy, verdict
from ringfence.model.document import count_positions
from ringfence.model.location import Location
from ringfence.model.snapshot import BlindSpot
from ringfence.model.verdict import Evidence
from ringfence.reference.ends import ASSUMED

SHOP = "subject: {namespaces: {matchLabels: {team: shop}}}"


@pytest.mark.parametrize(("namespace", "lab", "shop"), [(None, 1, 1), ("shop", 0, 1)])
def test_blind_spot(namespace: str | None, lab: int, shop: int) -> None:
    spots = (BlindSpot("could not be listed", Location("live"), namespace),)
    snapshot = cluster(blind_spots=spots)
    words = ("allow", "unknown")
    assert verdict(snapshot, "8.8.8.8", "lab/many") == words[lab]
    assert verdict(snapshot, "lab/many", "8.8.8.8") == words[lab]
    assert verdict(snapshot, "8.8.8.8", "shop/db") == words[shop]
    assert verdict(snapshot, "system/agent", "8.8.8.8") == "allow"
    found = ask(snapshot, "shop/db", "8.8.8.8")
    assert found.unknown_because == ("live: could not be listed",)


def test_evidence_names_the_deciding_rule_of_each_direction() -> None:
    out = policy("np", "{policyTypes: [Egress], egress: [{ports: [{port: 1}]}, {}]}", "out")
    into = policy("np", "{podSelector: {matchLabels: {app: db}}}", "into")
    found = ask(cluster(out, into), "shop/web", "shop/db")
    assert found.evidence == (
        Evidence(
            "network", "egress", "allow", "NetworkPolicy/shop/out", "egress[1]", "policies.yaml"
        ),
        Evidence(
            "network", "ingress", "deny", "NetworkPolicy/shop/into", "isolation", "policies.yaml"
        ),
    )
    assert (found.egress, found.ingress, found.verdict) == ("allow", "deny", "deny")


def test_evidence_of_nothing_at_all() -> None:
    found = ask(cluster(), "shop/web", "8.8.8.8")
    assert found.evidence == (
        Evidence("network", "egress", "allow", None, "default"),
        Evidence("network", "ingress", "allow", None, "default"),
    )


def test_evidence_of_a_pass_stands_before_what_it_led_to() -> None:
    rules = "ingress: [{action: Pass, from: [{namespaces: {}}]}]"
    passing = policy("cnp", f"{{tier: Admin, priority: 1, {SHOP}, {rules}}}")
    found = ask(cluster(passing, policy("np", "{}")), "lab/tester", "shop/db")
    pieces = [(piece.object, piece.rule, piece.action) for piece in found.evidence[1:]]
    assert pieces == [
        ("ClusterNetworkPolicy/cnp", "ingress[0]", "pass"),
        ("NetworkPolicy/shop/np", "isolation", "deny"),
    ]


def test_lines_of_rules_and_of_what_is_not_understood() -> None:
    text = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: np}
spec:
  podSelector: {}
  policyTypes:
  - Ingress
  ingress:
  - ports:
    - port: 1
  - from:
    - podSelectr: {}
"""
    body = yaml.safe_load(text)
    lines = (1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9, 9, 10, 10, 11, 11, 12, 12)
    assert len(lines) == count_positions(body)
    snapshot = cluster(document(body, lines))
    found = ask(snapshot, "lab/tester", "shop/db", "tcp/2")
    pieces = [(piece.rule, piece.action, piece.line) for piece in found.evidence[1:]]
    assert pieces == [("ingress[1]", "unknown", 11), ("isolation", "deny", 6)]
    assert found.unknown_because == (
        (
            "policies.yaml:12: `NetworkPolicy/shop/np`: spec.ingress[1].from[0].podSelectr: "
            "there is no field `podSelectr` here"
        ),
    )
    found = ask(snapshot, "lab/tester", "shop/db", "tcp/1")
    assert [(piece.rule, piece.line) for piece in found.evidence[1:]] == [("ingress[0]", 9)]
    assert found.unknown_because == ()


def test_policy_that_is_not_understood_is_the_evidence() -> None:
    found = ask(cluster(policy("np", "{policyTypes: [in]}")), "lab/tester", "shop/db")
    piece = found.evidence[-1]
    assert (piece.object, piece.rule, piece.action) == (
        "NetworkPolicy/shop/np",
        "spec.policyTypes[0]",
        "unknown",
    )


def test_assumed_place_of_pods_is_told_where_it_mattered() -> None:
    block = policy("np", "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]")
    snapshot = cluster(block, pod_cidrs_assumed=True)
    assert ask(snapshot, "lab/planned", "shop/db").notes == (ASSUMED,)
    assert ask(snapshot, "lab/tester", "shop/db").notes == ()
    assert ask(cluster(block), "lab/planned", "shop/db").notes == ()


def test_deny_of_one_side_outweighs_what_is_not_known_of_the_other() -> None:
    spots = (BlindSpot("lost", Location("x.yaml"), "shop"),)
    closed = policy("np", "{}", metadata={"namespace": "lab", "name": "np"})
    found = ask(cluster(closed, blind_spots=spots), "shop/db", "lab/tester")
    assert (found.egress, found.ingress, found.verdict) == ("unknown", "deny", "deny")
    assert found.unknown_because == ("x.yaml: lost",)
