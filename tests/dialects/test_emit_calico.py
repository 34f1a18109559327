import math

import pytest

from emitted import (
    BLOCK,
    BOTH,
    DATA,
    DB,
    EGRESS,
    HTTPS,
    INGRESS,
    POST,
    SHOP,
    TRAFFIC,
    emit,
    http,
    policy,
    read_back,
    rule,
    spec,
)
from ringfence import dialects
from ringfence.model.cluster import Protocol
from ringfence.model.label_space import CALICO_NAMESPACE, CALICO_SERVICE_ACCOUNT
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, Wildcard
from ringfence.model.proposal import GENERATED, Edition, Surroundings
from ringfence.model.rule import (
    Action,
    AllPeers,
    AnyPeer,
    DomainPeer,
    Entity,
    EntityPeer,
    IpPeer,
    LabelPeer,
    NodePeer,
    NotPeer,
    Peer,
    PodPeer,
    PortRange,
    Traffic,
    leaves,
)
from ringfence.model.selector import (
    EVERYTHING,
    LabelAnd,
    LabelIs,
    LabelNot,
    LabelOr,
    LabelSelector,
    Operator,
    Requirement,
    expression_keys,
    from_labels,
)
from ringfence.model.tiers import CALICO_DEFAULT


def account(namespace: str, name: str) -> LabelPeer:
    return LabelPeer(
        LabelAnd(
            (
                LabelIs(Requirement(CALICO_NAMESPACE, Operator.IN, (namespace,))),
                LabelIs(Requirement(CALICO_SERVICE_ACCOUNT, Operator.IN, (name,))),
            )
        )
    )


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


def test_pods_of_the_own_namespace_need_no_namespace() -> None:
    [written] = spec(emit("calico", rule(PodPeer(SHOP, EVERYTHING))))["egress"]
    assert written["destination"] == {
        "selector": "projectcalico.org/orchestrator == 'k8s'",
        "ports": [443],
    }


def test_every_pod_leaves_network_sets_out() -> None:
    [written] = spec(emit("calico", rule(PodPeer(EVERYTHING, EVERYTHING), traffic=None)))["egress"]
    assert written == {
        "action": "Allow",
        "destination": {
            "selector": "projectcalico.org/orchestrator == 'k8s'",
            "namespaceSelector": "all()",
        },
    }


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


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        (Requirement("a", Operator.IN, ("x",)), "a == 'x'"),
        (Requirement("a", Operator.IN, ("x", "y")), "a in {'x', 'y'}"),
        (Requirement("a", Operator.NOT_IN, ("x",)), "a != 'x'"),
        (Requirement("a", Operator.NOT_IN, ("x", "y")), "a not in {'x', 'y'}"),
        (Requirement("a", Operator.EXISTS), "has(a)"),
        (Requirement("a", Operator.DOES_NOT_EXIST), "!has(a)"),
        (Requirement("a", Operator.CONTAINS, ("x",)), "a contains 'x'"),
        (Requirement("a", Operator.STARTS_WITH, ("x",)), "a starts with 'x'"),
        (Requirement("a", Operator.ENDS_WITH, ("x",)), "a ends with 'x'"),
        (Requirement("a.b/c-d", Operator.IN, ("it's",)), 'a.b/c-d == "it\'s"'),
    ],
)
def test_requirements_in_calicos_grammar(requirement: Requirement, text: str) -> None:
    chosen = LabelSelector((requirement,))
    written = dialects.emit("calico", [policy(pods=chosen)], Surroundings())
    assert spec(written)["selector"] == text
    [found] = read_back(written, "calico").policies
    assert isinstance(found.subject, LabelPeer)
    assert "a" in {key.partition(".")[0] for key in expression_keys(found.subject.expression)}


def test_labels_in_any_combination() -> None:
    a, b = (LabelIs(Requirement(key, Operator.EXISTS)) for key in "ab")
    own = LabelIs(Requirement(CALICO_NAMESPACE, Operator.IN, ("shop",)))
    peer = LabelPeer(LabelAnd((own, LabelOr((a, LabelNot(LabelAnd((a, b))))))))
    [written] = spec(emit("calico", rule(peer)))["egress"]
    assert written["destination"]["selector"] == "(has(a) || !(has(a) && has(b)))"


def test_service_accounts_have_a_field_of_their_own() -> None:
    emission = emit("calico", rule(account("data", "db")), rule(account("shop", "api")))
    one, other = (r["destination"] for r in spec(emission)["egress"])
    assert one == {
        "namespaceSelector": "projectcalico.org/name == 'data'",
        "serviceAccounts": {"names": ["db"]},
        "ports": [443],
    }
    assert other == {"serviceAccounts": {"names": ["api"]}, "ports": [443]}
    read_back(emission, "calico")


@pytest.mark.parametrize(
    "peer",
    [
        NotPeer(BLOCK),
        AllPeers((BLOCK, DB)),
        EntityPeer(Entity.WORLD),
        LabelPeer(LabelIs(Requirement("a", Operator.EXISTS))),
        PodPeer(DATA, from_labels({"a": "both ' and \""})),
        PodPeer(DATA, from_labels({"no label\n": "x"})),
    ],
)
def test_peers_without_words_stay_closed_and_are_told(peer: Peer) -> None:
    emission = emit("calico", rule(peer))
    assert spec(emission)["egress"] == []
    [told] = emission.unsupported
    assert (told.sort, told.instead, told.wider) == ("peer", "nothing: it stays closed", False)


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


def test_alternatives_are_peers_of_their_own() -> None:
    found = spec(emit("calico", rule(AnyPeer((BLOCK, AllPeers((DB,)))))))["egress"]
    assert len(found) == 2
    assert spec(emit("calico", rule(AnyPeer((BLOCK, AllPeers())))))["egress"] == [
        {"action": "Allow", "protocol": "TCP", "destination": {"ports": [443]}}
    ]


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


# -- HTTP ------------------------------------------------------------------------------------


def test_http_is_limited_where_it_comes_in() -> None:
    emission = emit("calico", rule(DB, direction=INGRESS, layer7=(POST, http(paths=("/h/*",)))))
    assert [r["http"] for r in spec(emission)["ingress"]] == [
        {"methods": ["POST"], "paths": [{"exact": "/v1/payments"}]},
        {"paths": [{"prefix": "/h/"}]},
    ]
    assert emission.unsupported == ()
    assert "application layer policy" in emission.notes[0]
    [found] = read_back(emission, "calico").policies
    assert [r.layer7 for r in found.rules] == [
        (POST,),
        (Layer7(http=HttpMatch(paths=(Text(Form.SEGMENTS, "/h"),))),),
    ]


def test_http_on_the_way_out_opens_the_port_and_is_told() -> None:
    emission = emit("calico", rule(DB, layer7=(POST,)))
    assert "http" not in spec(emission)["egress"][0]
    [told] = emission.unsupported
    assert (told.sort, told.what, told.wider) == ("HTTP", "only HTTP POST /v1/payments", True)


def test_http_on_the_way_out_is_no_gap_where_the_other_end_limits_it() -> None:
    emission = emit("calico", rule(DB, layer7=(POST,), echoed=True))
    assert "http" not in spec(emission)["egress"][0]
    assert emission.unsupported == ()
    assert "# Limited to HTTP POST /v1/payments where it comes in" in emission.files[0].text


@pytest.mark.parametrize(
    ("path", "written", "told"),
    [
        ("/v1", [{"exact": "/v1"}], 0),
        ("/", [{"exact": "/"}], 0),
        ("/v1/", [{"exact": "/v1"}], 0),
        ("/v1/*", [{"prefix": "/v1/"}], 0),
        ("/v1*", [{"exact": "/v1"}, {"prefix": "/v1/"}], 1),
    ],
)
def test_paths_as_calico_cleans_them(path: str, written: object, told: int) -> None:
    emission = emit("calico", rule(DB, direction=INGRESS, layer7=(http("GET", paths=(path,)),)))
    assert spec(emission)["ingress"][0]["http"] == {"methods": ["GET"], "paths": written}
    assert len(emission.unsupported) == told
    assert not any(each.wider for each in emission.unsupported)
    read_back(emission, "calico")


def test_every_path_needs_no_path() -> None:
    emission = emit("calico", rule(DB, direction=INGRESS, layer7=(http("GET", paths=("/*",)),)))
    assert spec(emission)["ingress"][0]["http"] == {"methods": ["GET"]}
    emission = emit("calico", rule(DB, direction=INGRESS, layer7=(http(paths=("/*",)),)))
    assert spec(emission)["ingress"][0]["http"] == {"paths": [{"prefix": "/"}]}


@pytest.mark.parametrize(
    "path", ["/a%2f", "/a//b", "/a/../b", "/a;x", "/a?x", "/a#x", "/a\\b", "a"]
)
def test_a_path_that_calico_never_meets_stays_closed(path: str) -> None:
    emission = emit("calico", rule(DB, direction=INGRESS, layer7=(http("GET", paths=(path,)),)))
    assert spec(emission)["ingress"] == []
    [told] = emission.unsupported
    assert (told.sort, told.wider) == ("HTTP", False)


def test_nothing_but_tcp_carries_http() -> None:
    traffic: tuple[Traffic, ...] = (PortRange(Protocol.UDP, 443, 443), HTTPS)
    emission = emit("calico", rule(DB, direction=INGRESS, traffic=traffic, layer7=(POST,)))
    assert [r["protocol"] for r in spec(emission)["ingress"]] == ["TCP"]


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
