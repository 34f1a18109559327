import math

import pytest

from emitted import (
    BLOCK,
    BOTH,
    DB,
    EGRESS,
    HTTPS,
    INGRESS,
    TRAFFIC,
    emit,
    policy,
    read_back,
    rule,
    spec,
)
from ringfence import dialects
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import DomainPattern, Wildcard
from ringfence.model.proposal import GENERATED, Edition, Surroundings
from ringfence.model.rule import (
    Action,
    DomainPeer,
    IpPeer,
    NodePeer,
    NotPeer,
    PortRange,
    Traffic,
    leaves,
)
from ringfence.model.selector import (
    EVERYTHING,
    LabelSelector,
    Operator,
    Requirement,
)
from ringfence.model.tiers import CALICO_DEFAULT


def test_a_file_reads_well() -> None:
    [file] = emit("calico", rule(DB, why=("to data/db, 443: the ledger",))).files
    assert file.text == (
        f"# {GENERATED}\n"
        "apiVersion: projectcalico.org/v3\n"
        "kind: NetworkPolicy\n"
        "metadata:\n"
        "  name: web\n"
        "  namespace: shop\n"
        "  labels:\n"
        "    app.kubernetes.io/managed-by: ringfence\n"
        "spec:\n"
        "  tier: default\n"
        "  order: 1001\n"
        "  selector: \"app == 'web'\"\n"
        "  types:\n"
        "    - Ingress\n"
        "    - Egress\n"
        "  ingress: []\n"
        "  egress:\n"
        "    # to data/db, 443: the ledger\n"
        "    - action: Allow\n"
        "      protocol: TCP\n"
        "      destination:\n"
        "        selector: \"projectcalico.org/orchestrator == 'k8s' && app == 'db'\"\n"
        "        namespaceSelector: \"kubernetes.io/metadata.name == 'data'\"\n"
        "        ports: [443]\n"
    )


def test_what_was_written_is_read_back() -> None:
    emission = emit("calico", rule(DB), rule(BLOCK, direction=INGRESS))
    [found] = read_back(emission, "calico").policies
    assert (found.tier, found.order, found.isolates) == (CALICO_DEFAULT, 1001, BOTH)
    assert [(r.direction, r.action, r.traffic) for r in found.rules] == [
        (INGRESS, Action.ALLOW, (HTTPS,)),
        (EGRESS, Action.ALLOW, (HTTPS,)),
    ]
    [peer] = found.rules[0].peers or ()
    assert BLOCK in leaves(peer)


def test_policies_stand_right_behind_those_of_kubernetes_and_the_default_deny_last() -> None:
    assert spec(emit("calico"))["order"] == 1001
    emission = dialects.emit("calico", [policy(order=math.inf)], Surroundings())
    assert "order" not in spec(emission)


def test_ports_stand_at_the_destination_in_both_directions() -> None:
    found = spec(emit("calico", rule(DB), rule(DB, direction=INGRESS)))
    assert found["ingress"][0]["destination"] == {"ports": [443]}
    assert "ports" not in found["ingress"][0]["source"]
    assert found["egress"][0]["destination"]["ports"] == [443]
    assert "source" not in found["egress"][0]


def test_every_form_of_traffic() -> None:
    found = spec(emit("calico", rule(BLOCK, traffic=TRAFFIC)))["egress"]
    assert [(r.get("protocol"), r["destination"].get("ports")) for r in found] == [
        ("UDP", None),
        ("TCP", ["1:80", "http"]),
        ("SCTP", ["8000:8100"]),
        (None, ["dns"]),
    ]
    read_back(emit("calico", rule(BLOCK, traffic=TRAFFIC)), "calico")


def test_icmp_is_said_by_family_type_and_code() -> None:
    traffic: tuple[Traffic, ...] = (
        PortRange(Protocol.ICMP, 2048, 2303, family=4),
        PortRange(Protocol.ICMP, 769, 769, family=4),
        PortRange(Protocol.ICMP, family=6),
    )
    emission = emit("calico", rule(anyone=True, traffic=traffic))
    assert spec(emission)["egress"] == [
        {"action": "Allow", "ipVersion": 4, "protocol": "ICMP", "icmp": {"type": 8}},
        {"action": "Allow", "ipVersion": 4, "protocol": "ICMP", "icmp": {"type": 3, "code": 1}},
        {"action": "Allow", "ipVersion": 6, "protocol": "ICMPv6"},
    ]
    read_back(emission, "calico")
    [told] = emit("calico", rule(traffic=(PortRange(Protocol.ICMP, 0, 300),))).unsupported
    assert (told.sort, told.wider) == ("ICMP", False)


def test_no_family_of_addresses_goes_with_the_icmp_of_the_other() -> None:
    emission = emit("calico", rule(BLOCK, IpPeer("fd00::/8"), traffic=(PortRange(Protocol.ICMP),)))
    found = [(r["protocol"], r["destination"]["nets"]) for r in spec(emission)["egress"]]
    assert found == [("ICMP", ["192.0.2.0/24"]), ("ICMPv6", ["fd00::/8"])]


def test_all_traffic_and_no_traffic() -> None:
    assert spec(emit("calico", rule(anyone=True, traffic=None)))["egress"] == [{"action": "Allow"}]
    assert spec(emit("calico", rule(BLOCK, traffic=())))["egress"] == []
    assert spec(emit("calico", rule()))["egress"] == []


def test_blocks_stand_together_but_for_those_with_exceptions() -> None:
    blocks = (
        BLOCK,
        IpPeer("10.0.0.0/8", ("10.1.0.0/16",)),
        IpPeer("fd00::/8"),
        IpPeer("1.1.1.1/32"),
    )
    found = spec(emit("calico", rule(*blocks)))["egress"]
    ends = [{k: v for k, v in r["destination"].items() if k != "ports"} for r in found]
    assert ends == [
        {"nets": ["10.0.0.0/8"], "notNets": ["10.1.0.0/16"]},
        {"nets": ["192.0.2.0/24", "1.1.1.1/32"]},
        {"nets": ["fd00::/8"]},
    ]


def test_a_denial_without_words_is_told_as_wider() -> None:
    written = policy(rule(NotPeer(BLOCK), action=Action.DENY))
    written = type(written)(
        policy=type(written.policy)(
            **{f: getattr(written.policy, f) for f in written.policy.__struct_fields__}
            | {"tier": CALICO_DEFAULT, "order": 5.5}
        ),
        rules=written.rules,
        subject=written.subject,
        folder="shop",
        file="web",
    )
    emission = dialects.emit("calico", [written], Surroundings())
    assert spec(emission)["order"] == 5.5
    [told] = emission.unsupported
    assert (told.instead, told.wider) == ("nothing: it is not denied", True)


def test_nodes_are_written_as_their_addresses() -> None:
    emission = emit("calico", rule(NodePeer(EVERYTHING)), nodes=("192.168.0.1", "fd00::1"))
    nets = [r["destination"]["nets"] for r in spec(emission)["egress"]]
    assert nets == [["192.168.0.1/32"], ["fd00::1/128"]]
    assert [told.sort for told in emission.unsupported] == ["nodes"]
    assert emission.substitutes[0].blocks == (IpPeer("192.168.0.1/32"), IpPeer("fd00::1/128"))


# -- domain names ----------------------------------------------------------------------------

NAME = DomainPeer(DomainPattern("api.example.com"))


def test_the_open_source_edition_leaves_domain_names_closed() -> None:
    emission = emit("calico", rule(NAME))
    assert spec(emission)["egress"] == []
    [told] = emission.unsupported
    assert told.because == "a policy of Calico (open source) knows no domain names"
    assert (told.sort, told.wider) == ("domain name", False)


def test_a_domain_name_may_be_widened_to_the_public_internet() -> None:
    emission = emit("calico", rule(NAME), inside=("10.0.0.0/8",), allow_wider=True)
    [written] = spec(emission)["egress"]
    assert written["destination"]["notNets"] == ["10.0.0.0/8"]
    assert emission.unsupported[0].wider
    assert emission.substitutes[0].blocks == (IpPeer("0.0.0.0/0", ("10.0.0.0/8",)),)


@pytest.mark.parametrize("edition", [Edition.ENTERPRISE, Edition.CLOUD])
def test_the_commercial_editions_write_domain_names(edition: Edition) -> None:
    below = DomainPeer(DomainPattern("*.example.com"))
    emission = emit("calico", rule(NAME, below), calico_edition=edition)
    [written] = spec(emission)["egress"]
    assert written["destination"] == {
        "domains": ["api.example.com", "*.example.com"],
        "ports": [443],
    }
    assert emission.unsupported == ()
    [found] = read_back(emission, "calico").policies
    assert found.rules[0].peers == (
        DomainPeer(DomainPattern("api.example.com", Wildcard.COMPONENT)),
        DomainPeer(DomainPattern("*.example.com", Wildcard.COMPONENT)),
    )


def test_a_wildcard_that_calico_does_not_have_stays_closed() -> None:
    one_label = DomainPeer(DomainPattern("*.example.com", Wildcard.CILIUM))
    emission = emit("calico", rule(one_label), calico_edition=Edition.CLOUD)
    assert spec(emission)["egress"] == []
    assert [told.sort for told in emission.unsupported] == ["domain name"]


# -- logging and staging ---------------------------------------------------------------------


def test_what_is_denied_is_logged_by_the_last_rule_of_each_direction() -> None:
    logs = [rule(anyone=True, traffic=None, action=Action.LOG, direction=d) for d in BOTH]
    emission = dialects.emit("calico", [policy(*logs, order=math.inf)], Surroundings())
    found = spec(emission)
    assert (found["ingress"], found["egress"]) == ([{"action": "Log"}], [{"action": "Log"}])
    assert "calico-packet" in emission.notes[0]
    [parsed] = read_back(emission, "calico").policies
    assert [r.action for r in parsed.rules] == [Action.LOG, Action.LOG]


def test_staged_policies_are_only_planned() -> None:
    emission = emit("calico", rule(DB), staged=True)
    assert "kind: StagedNetworkPolicy\n" in emission.files[0].text
    assert spec(emission)["stagedAction"] == "Set"
    assert read_back(emission, "calico").policies == ()
    assert len(read_back(emission, "calico", staged=True).policies) == 1
    assert "staged policies enforce nothing" in emission.notes[0]


def test_a_subject_without_words_is_told() -> None:
    odd = LabelSelector((Requirement("a b", Operator.EXISTS),))
    emission = dialects.emit("calico", [policy(rule(DB), pods=odd)], Surroundings())
    assert "apiVersion" not in emission.files[0].text
    assert [told.sort for told in emission.unsupported] == ["peer"]
