import pytest

from emitted import (
    BLOCK,
    BOTH,
    DB,
    EGRESS,
    HTTPS,
    INGRESS,
    TRAFFIC,
    egress,
    emit,
    policy,
    read_back,
    rule,
    spec,
)
from ringfence import dialects
from ringfence.errors import UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.proposal import GENERATED, Surroundings
from ringfence.model.rule import (
    Action,
    PortRange,
)
from ringfence.model.tiers import CILIUM_NORMAL


def test_a_file_reads_well() -> None:
    [file] = emit("cilium", rule(DB, why=("to data/db, 443: the ledger",))).files
    assert file.text == (
        f"# {GENERATED}\n"
        "apiVersion: cilium.io/v2\n"
        "kind: CiliumNetworkPolicy\n"
        "metadata:\n"
        "  name: web\n"
        "  namespace: shop\n"
        "  labels:\n"
        "    app.kubernetes.io/managed-by: ringfence\n"
        "spec:\n"
        "  endpointSelector:\n"
        "    matchLabels:\n"
        "      app: web\n"
        "  ingress:\n"
        "    - {}\n"
        "  egress:\n"
        "    # to data/db, 443: the ledger\n"
        "    - toEndpoints:\n"
        "        - matchLabels:\n"
        "            k8s:io.kubernetes.pod.namespace: data\n"
        "            app: db\n"
        "      toPorts:\n"
        "        - ports:\n"
        '            - port: "443"\n'
        "              protocol: TCP\n"
    )


def test_what_was_written_is_read_back() -> None:
    emission = emit("cilium", rule(DB), rule(BLOCK, direction=INGRESS))
    [found] = read_back(emission, "cilium").policies
    assert (found.tier, found.isolates) == (CILIUM_NORMAL, BOTH)
    assert [(r.direction, r.action, r.traffic) for r in found.rules] == [
        (INGRESS, Action.ALLOW, (HTTPS,)),
        (EGRESS, Action.ALLOW, (HTTPS,)),
    ]
    assert found.rules[0].peers == (BLOCK,)


def test_an_empty_item_isolates_and_allows_nothing() -> None:
    """Gotcha 2: unlike in Kubernetes, where it allows everything."""
    emission = emit("cilium")
    assert (spec(emission)["ingress"], spec(emission)["egress"]) == ([{}], [{}])
    [found] = read_back(emission, "cilium").policies
    assert found.isolates == BOTH
    assert all(r.peers == () or r.traffic == () for r in found.rules)


def test_a_direction_that_is_not_isolated_is_left_out() -> None:
    written = policy(rule(DB), isolates=(EGRESS,))
    found = spec(dialects.emit("cilium", [written], Surroundings()))
    assert "ingress" not in found
    assert "enableDefaultDeny" not in found
    open_both_ways = policy(rule(DB), isolates=())
    emission = dialects.emit("cilium", [open_both_ways], Surroundings())
    assert spec(emission)["enableDefaultDeny"] == {"egress": False}
    assert read_back(emission, "cilium").policies[0].isolates == ()


def test_every_form_of_traffic() -> None:
    traffic = (*TRAFFIC, PortRange(Protocol.ICMP, 2048, 2303, family=4))
    emission = emit("cilium", rule(BLOCK, traffic=traffic))
    ports, icmps = egress(emission)
    assert ports["toPorts"][0]["ports"] == [
        {"port": "0", "protocol": "UDP"},
        {"port": "1", "endPort": 80, "protocol": "TCP"},
        {"port": "8000", "endPort": 8100, "protocol": "SCTP"},
        {"port": "http", "protocol": "TCP"},
        {"port": "dns", "protocol": "ANY"},
    ]
    assert icmps["icmps"] == [{"fields": [{"family": "IPv4", "type": 8}]}]
    read_back(emission, "cilium")


def test_no_item_has_more_ports_than_cilium_takes() -> None:
    traffic = tuple(PortRange(Protocol.TCP, n, n) for n in range(1, 86))
    [written] = egress(emit("cilium", rule(BLOCK, traffic=traffic)))
    assert [len(item["ports"]) for item in written["toPorts"]] == [40, 40, 5]


def test_all_traffic_and_no_traffic() -> None:
    assert egress(emit("cilium", rule(BLOCK, traffic=None))) == [
        {"toCIDRSet": [{"cidr": "192.0.2.0/24"}]}
    ]
    assert egress(emit("cilium", rule(BLOCK, traffic=()))) == [{}]
    assert egress(emit("cilium", rule(anyone=True))) == [
        {"toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}]}
    ]


def test_everything_from_anyone_must_be_said() -> None:
    """Gotcha 2 again: an item that leaves out peers and ports allows nothing."""
    everything = rule(anyone=True, traffic=None, direction=INGRESS)
    found = spec(emit("cilium", everything, rule(anyone=True, traffic=None)))
    assert found["ingress"] == [{"fromEntities": ["all"]}]
    assert found["egress"] == [{"toEntities": ["all"]}]


@pytest.mark.parametrize("first", [0, 769])
def test_icmp_without_a_single_type_stays_closed(first: int) -> None:
    last = 65535 if first == 0 else first
    [told] = emit(
        "cilium", rule(BLOCK, traffic=(PortRange(Protocol.ICMP, first, last),))
    ).unsupported
    assert (told.sort, told.wider) == ("ICMP", False)


def test_denials_have_sections_of_their_own() -> None:
    emission = emit("cilium", rule(BLOCK, action=Action.DENY), rule(DB))
    found = spec(emission)
    assert len(found["egressDeny"]) == len(found["egress"]) == 1
    actions = [r.action for r in read_back(emission, "cilium").policies[0].rules]
    assert actions.count(Action.DENY) == 1


def test_what_has_an_order_cannot_be_said() -> None:
    [told] = emit("cilium", rule(BLOCK, action=Action.PASS)).unsupported
    assert (told.sort, told.because) == (
        "action",
        "a CiliumNetworkPolicy has neither order nor tiers",
    )


# -- logging and staging ---------------------------------------------------------------------


def test_logging_needs_no_rule_but_hubble() -> None:
    emission = emit("cilium", rule(anyone=True, traffic=None, action=Action.LOG))
    assert egress(emission) == [{}]
    assert emission.unsupported == ()
    assert "Hubble" in emission.notes[0]


def test_nothing_can_be_staged() -> None:
    with pytest.raises(UsageError, match="policy-audit-mode"):
        emit("cilium", rule(DB), staged=True)
