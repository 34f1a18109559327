from typing import Any

import pytest
import re2

from emitted import (
    BLOCK,
    BOTH,
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
from ringfence.errors import UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.label_space import CILIUM_NAMESPACE, CILIUM_SERVICE_ACCOUNT
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, Wildcard
from ringfence.model.proposal import GENERATED, Emission, ProposedRule, Surroundings
from ringfence.model.rule import (
    Action,
    AllPeers,
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
)
from ringfence.model.selector import (
    EVERYTHING,
    LabelAnd,
    LabelIs,
    LabelNot,
    LabelSelector,
    Operator,
    Requirement,
    from_labels,
)
from ringfence.model.tiers import CILIUM_NORMAL

DNS_PORTS = (PortRange(Protocol.UDP, 53, 53), PortRange(Protocol.TCP, 53, 53))
KUBE_DNS = PodPeer(
    from_labels({"kubernetes.io/metadata.name": "kube-system"}),
    from_labels({"k8s-app": "kube-dns"}),
)


def lookups(*names: str) -> ProposedRule:
    patterns = tuple(map(DomainPattern, names))
    return rule(KUBE_DNS, traffic=DNS_PORTS, layer7=(Layer7(dns=patterns),))


def egress(emission: Emission) -> Any:
    return spec(emission)["egress"]


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


def test_pods_of_the_own_namespace_need_no_namespace() -> None:
    [written] = egress(emit("cilium", rule(PodPeer(SHOP, EVERYTHING))))
    assert written["toEndpoints"] == [{}]


def test_pods_of_every_namespace_and_of_labelled_ones() -> None:
    labelled = PodPeer(from_labels({"team": "one"}), from_labels({"app": "x"}))
    [written] = egress(emit("cilium", rule(PodPeer(EVERYTHING, EVERYTHING), labelled)))
    assert written["toEndpoints"] == [
        {"matchExpressions": [{"key": "k8s:io.kubernetes.pod.namespace", "operator": "Exists"}]},
        {"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.team": "one", "app": "x"}},
    ]


def test_selectors_that_labels_cannot_say() -> None:
    chosen = LabelSelector(
        (
            Requirement("app", Operator.IN, ("a", "b")),
            Requirement("role", Operator.DOES_NOT_EXIST),
            Requirement("x:y", Operator.EXISTS),
        )
    )
    [written] = egress(emit("cilium", rule(PodPeer(SHOP, chosen))))
    assert written["toEndpoints"][0]["matchExpressions"] == [
        {"key": "app", "operator": "In", "values": ["a", "b"]},
        {"key": "role", "operator": "DoesNotExist"},
        {"key": "k8s:x:y", "operator": "Exists"},
    ]


def test_every_sort_of_peer_is_a_rule_of_its_own() -> None:
    emission = emit("cilium", rule(BLOCK, DB, EntityPeer(Entity.WORLD), NodePeer(EVERYTHING)))
    assert [next(iter(written)) for written in egress(emission)] == [
        "toEndpoints",
        "toEntities",
        "toCIDRSet",
    ]
    assert egress(emission)[1]["toEntities"] == ["world", "host", "remote-node"]
    assert emission.unsupported == ()
    read_back(emission, "cilium")


def test_blocks_with_exceptions() -> None:
    [written] = egress(emit("cilium", rule(IpPeer("10.0.0.0/8", ("10.1.0.0/16",)))))
    assert written["toCIDRSet"] == [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]


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


def test_service_accounts_are_labels() -> None:
    found = LabelPeer(
        LabelAnd(
            (
                LabelIs(Requirement(CILIUM_NAMESPACE, Operator.IN, ("data",))),
                LabelIs(Requirement(CILIUM_SERVICE_ACCOUNT, Operator.IN, ("db",))),
            )
        )
    )
    emission = emit("cilium", rule(found))
    assert egress(emission)[0]["toEndpoints"] == [
        {
            "matchLabels": {
                "k8s:io.kubernetes.pod.namespace": "data",
                "k8s:io.cilium.k8s.policy.serviceaccount": "db",
            }
        }
    ]
    read_back(emission, "cilium")


@pytest.mark.parametrize(
    "peer",
    [
        NotPeer(BLOCK),
        AllPeers((BLOCK, DB)),
        NodePeer(from_labels({"a": "b"})),
        LabelPeer(LabelIs(Requirement("a", Operator.EXISTS))),
        LabelPeer(LabelNot(LabelIs(Requirement(CILIUM_NAMESPACE, Operator.EXISTS)))),
    ],
)
def test_peers_without_words_stay_closed_and_are_told(peer: Peer) -> None:
    emission = emit("cilium", rule(peer))
    assert egress(emission) == [{}]
    [told] = emission.unsupported
    assert (told.sort, told.instead, told.wider) == ("peer", "nothing: it stays closed", False)


# -- nodes and the API server ----------------------------------------------------------------

SERVER = IpPeer("192.168.0.1/32")


def test_an_address_of_the_api_server_is_its_entity() -> None:
    around = {"nodes": ("192.168.0.1", "192.168.0.2"), "api_servers": ("192.168.0.1",)}
    emission = emit("cilium", rule(SERVER), **around)
    assert egress(emission)[0]["toEntities"] == ["kube-apiserver"]
    assert emission.unsupported == ()
    assert emission.substitutes[0].entities == (Entity.KUBE_APISERVER,)
    assert "is written as the entity kube-apiserver" in emission.files[0].text


def test_one_of_several_api_servers_stays_closed_unless_wider_is_wanted() -> None:
    both = ("192.168.0.1", "192.168.0.3")
    emission = emit("cilium", rule(SERVER), api_servers=both, nodes=both)
    assert egress(emission) == [{}]
    assert [told.sort for told in emission.unsupported] == ["address of a node"]
    emission = emit("cilium", rule(SERVER), allow_wider=True, api_servers=both, nodes=both)
    assert egress(emission)[0]["toEntities"] == ["kube-apiserver"]
    assert [told.wider for told in emission.unsupported] == [True]
    outside = emit("cilium", rule(SERVER), api_servers=both)
    assert egress(outside)[0]["toCIDRSet"] == [{"cidr": "192.168.0.1/32"}]
    assert outside.unsupported == ()


def test_an_address_of_a_node_is_no_block() -> None:
    emission = emit("cilium", rule(SERVER), nodes=("192.168.0.1", "192.168.0.2"))
    assert egress(emission) == [{}]
    assert [told.wider for told in emission.unsupported] == [False]
    emission = emit("cilium", rule(SERVER), nodes=("192.168.0.1", "192.168.0.2"), allow_wider=True)
    assert egress(emission)[0]["toEntities"] == ["host", "remote-node"]
    emission = emit("cilium", rule(SERVER), nodes=("192.168.0.1",))
    assert egress(emission)[0]["toEntities"] == ["host", "remote-node"]
    assert emission.unsupported == ()


def test_a_block_tells_the_nodes_within_it() -> None:
    emission = emit("cilium", rule(IpPeer("192.168.0.0/16")), nodes=("192.168.0.1",))
    assert egress(emission)[0]["toCIDRSet"] == [{"cidr": "192.168.0.0/16"}]
    [told] = emission.unsupported
    assert told.what == "to the nodes within 192.168.0.0/16, TCP 443"
    mode = emit("cilium", rule(SERVER), nodes=("192.168.0.1",), blocks_match_nodes=True)
    assert egress(mode)[0]["toCIDRSet"] == [{"cidr": "192.168.0.1/32"}]
    assert mode.unsupported == ()


# -- domain names ----------------------------------------------------------------------------

NAME = DomainPeer(DomainPattern("api.example.com"))
BELOW = DomainPeer(DomainPattern("*.example.com"))


def test_a_domain_name_stands_beside_the_lookups_that_it_needs() -> None:
    emission = emit("cilium", lookups("api.example.com"), rule(NAME))
    dns, name = egress(emission)
    assert dns["toPorts"] == [
        {
            "ports": [{"port": "53", "protocol": "UDP"}, {"port": "53", "protocol": "TCP"}],
            "rules": {"dns": [{"matchName": "api.example.com"}]},
        }
    ]
    assert name["toFQDNs"] == [{"matchName": "api.example.com"}]
    assert "tofqdns-dns-reject-response-code" in emission.notes[0]
    [found] = read_back(emission, "cilium").policies
    pattern = DomainPattern("api.example.com", Wildcard.CILIUM)
    dns_rule, name_rule = (r for r in found.rules if r.direction is EGRESS)
    assert dns_rule.layer7 == (Layer7(dns=(pattern,)),)
    assert name_rule.peers == (DomainPeer(pattern, seen_by_proxy=True),)


def test_a_domain_name_without_lookups_stays_closed() -> None:
    """Gotcha 42."""
    emission = emit("cilium", rule(NAME))
    assert egress(emission) == [{}]
    [told] = emission.unsupported
    assert (told.sort, told.wider) == ("domain name", False)
    wider = emit("cilium", rule(NAME), inside=("10.0.0.0/8",), allow_wider=True)
    assert egress(wider)[0]["toCIDRSet"] == [{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}]


def test_all_names_below_one_are_said_by_the_version() -> None:
    new = emit("cilium", lookups("*.example.com"), rule(BELOW), cilium_version="1.19.0")
    assert egress(new)[1]["toFQDNs"] == [{"matchPattern": "**.example.com"}]
    for version in ("", "1.18.2"):
        old = emit("cilium", lookups("*.example.com"), rule(BELOW), cilium_version=version)
        patterns = [each["matchPattern"] for each in egress(old)[1]["toFQDNs"]]
        assert patterns[:3] == ["**.example.com", "*.*.example.com", "*.*.*.example.com"]
        assert len(patterns) == 7


def test_names_of_cilium_itself_are_kept() -> None:
    every = Layer7(dns=(DomainPattern("*", Wildcard.CILIUM),))
    emission = emit("cilium", rule(KUBE_DNS, traffic=DNS_PORTS, layer7=(every,)))
    assert egress(emission)[0]["toPorts"][0]["rules"] == {"dns": [{"matchPattern": "*"}]}
    assert emission.notes == ()
    odd = DomainPeer(DomainPattern("a.*.example.com", Wildcard.COMPONENT))
    emission = emit("cilium", lookups("x.io"), rule(odd))
    assert [told.sort for told in emission.unsupported] == ["peer"]


def test_domain_names_stand_in_no_ingress() -> None:
    emission = emit("cilium", lookups("x.io"), rule(NAME, direction=INGRESS))
    assert [told.sort for told in emission.unsupported] == ["peer"]


# -- HTTP ------------------------------------------------------------------------------------


def test_http_is_limited_in_both_directions() -> None:
    emission = emit("cilium", rule(DB, layer7=(POST,)), rule(DB, direction=INGRESS, layer7=(POST,)))
    for section in BOTH:
        [written] = spec(emission)[section.value]
        assert written["toPorts"][0]["rules"]["http"] == [
            {"method": "POST", "path": "/v1/payments(\\?.*)?"}
        ]
    assert emission.unsupported == ()
    assert "TLS" in emission.notes[0]
    read_back(emission, "cilium")


def paths(*written: str) -> list[str]:
    found = egress(emit("cilium", rule(DB, layer7=(http(paths=written),))))
    return [item["path"] for item in found[0]["toPorts"][0]["rules"]["http"]]


def test_a_query_is_no_part_of_a_path() -> None:
    """Gotcha 41: the expression is matched against the path with its query."""
    [exact] = paths("/public")
    assert re2.fullmatch(exact, "/public")
    assert re2.fullmatch(exact, "/public?x=1")
    assert not re2.fullmatch(exact, "/public/x")
    assert not re2.fullmatch(exact, "/publicx")
    [below] = paths("/v1/*")
    assert re2.fullmatch(below, "/v1/a?x=1")
    assert not re2.fullmatch(below, "/v1")


@pytest.mark.parametrize("path", ["/a.b", "/a+b(c)", "/[x]{2}^$|", "/a\\d", "/aü"])
def test_a_path_is_taken_literally(path: str) -> None:
    [written] = paths(path)
    assert re2.fullmatch(written, path)
    assert not re2.fullmatch(written, path.replace(path[2], "z", 1))


def test_methods_are_alternatives_and_every_path_is_an_item() -> None:
    emission = emit(
        "cilium", rule(DB, layer7=(http("GET", "HEAD", paths=("/a", "/b")), http("PUT")))
    )
    assert egress(emission)[0]["toPorts"][0]["rules"]["http"] == [
        {"method": "GET|HEAD", "path": "/a(\\?.*)?"},
        {"method": "GET|HEAD", "path": "/b(\\?.*)?"},
        {"method": "PUT"},
    ]


def test_patterns_of_other_languages() -> None:
    written = (Text(Form.SEGMENTS, "/a/"), Text(Form.REGEX, "/b|/c"))
    box = Layer7(http=HttpMatch(paths=written))
    emission = emit("cilium", rule(DB, layer7=(box,)))
    assert [i["path"] for i in egress(emission)[0]["toPorts"][0]["rules"]["http"]] == [
        "/a([/?].*)?",
        "/b|/c",
    ]


def test_http_needs_ports_of_tcp() -> None:
    udp = PortRange(Protocol.UDP, 443, 443)
    emission = emit("cilium", rule(DB, traffic=(udp, HTTPS), layer7=(POST,)))
    assert egress(emission)[0]["toPorts"][0]["ports"] == [{"port": "443", "protocol": "TCP"}]
    assert [told.what for told in emission.unsupported] == ["HTTP at UDP 443"]
    every = emit("cilium", rule(DB, traffic=(PortRange(Protocol.TCP),), layer7=(POST,)))
    assert egress(every)[0]["toPorts"][0]["ports"] == [
        {"port": "1", "endPort": 65535, "protocol": "TCP"}
    ]
    none = emit("cilium", rule(DB, traffic=None, layer7=(POST,)))
    assert egress(none) == [{}]
    assert [told.sort for told in none.unsupported] == ["HTTP"]


# -- logging and staging ---------------------------------------------------------------------


def test_logging_needs_no_rule_but_hubble() -> None:
    emission = emit("cilium", rule(anyone=True, traffic=None, action=Action.LOG))
    assert egress(emission) == [{}]
    assert emission.unsupported == ()
    assert "Hubble" in emission.notes[0]


def test_nothing_can_be_staged() -> None:
    with pytest.raises(UsageError, match="policy-audit-mode"):
        emit("cilium", rule(DB), staged=True)
