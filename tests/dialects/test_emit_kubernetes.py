import pytest
import yaml

from emitted import BLOCK, DB, EGRESS, HTTPS, SHOP, TRAFFIC, emit, policy, rule, spec
from ringfence import dialects
from ringfence.errors import UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, exact
from ringfence.model.proposal import (
    GENERATED,
    Substitute,
    Surroundings,
)
from ringfence.model.rule import (
    Action,
    DomainPeer,
    IpPeer,
    NodePeer,
    PodPeer,
    PortRange,
    Traffic,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, Operator, Requirement


def test_a_file_reads_well() -> None:
    [file] = emit("kubernetes", rule(DB, why=("to data/db, 443: the ledger",))).files
    assert file.path == "shop/web.yaml"
    assert file.text == (
        f"# {GENERATED}\n"
        "apiVersion: networking.k8s.io/v1\n"
        "kind: NetworkPolicy\n"
        "metadata:\n"
        "  name: web\n"
        "  namespace: shop\n"
        "  labels:\n"
        "    app.kubernetes.io/managed-by: ringfence\n"
        "spec:\n"
        "  podSelector:\n"
        "    matchLabels:\n"
        "      app: web\n"
        "  policyTypes:\n"
        "    - Ingress\n"
        "    - Egress\n"
        "  ingress: []\n"
        "  egress:\n"
        "    # to data/db, 443: the ledger\n"
        "    - to:\n"
        "        - namespaceSelector:\n"
        "            matchLabels:\n"
        "              kubernetes.io/metadata.name: data\n"
        "          podSelector:\n"
        "            matchLabels:\n"
        "              app: db\n"
        "      ports:\n"
        "        - protocol: TCP\n"
        "          port: 443\n"
    )


def test_pods_of_the_own_namespace_need_no_namespace() -> None:
    assert spec(emit("kubernetes", rule(PodPeer(SHOP, EVERYTHING))))["egress"] == [
        {"to": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]


def test_every_form_of_traffic() -> None:
    [written] = spec(emit("kubernetes", rule(BLOCK, traffic=TRAFFIC)))["egress"]
    assert written["ports"] == [
        {"protocol": "UDP"},
        {"protocol": "TCP", "port": 1, "endPort": 80},
        {"protocol": "SCTP", "port": 8000, "endPort": 8100},
        {"protocol": "TCP", "port": "http"},
        *({"protocol": protocol, "port": "dns"} for protocol in ("TCP", "UDP", "SCTP")),
    ]


def test_selectors_that_labels_cannot_say() -> None:
    chosen = LabelSelector(
        (
            Requirement("app", Operator.IN, ("a",)),
            Requirement("app", Operator.IN, ("a", "b")),
            Requirement("role", Operator.DOES_NOT_EXIST),
        )
    )
    [written] = spec(emit("kubernetes", rule(PodPeer(EVERYTHING, chosen))))["egress"]
    assert written["to"] == [
        {
            "namespaceSelector": {},
            "podSelector": {
                "matchLabels": {"app": "a"},
                "matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["a", "b"]},
                    {"key": "role", "operator": "DoesNotExist"},
                ],
            },
        }
    ]


def test_all_traffic_and_no_traffic() -> None:
    block = IpPeer("10.0.0.0/8", ("10.1.0.0/16",))
    assert spec(emit("kubernetes", rule(block, traffic=None)))["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}
    ]
    assert spec(emit("kubernetes", rule(block, traffic=())))["egress"] == []


def test_a_domain_name_stays_closed_and_is_told() -> None:
    emission = emit("kubernetes", rule(DomainPeer(DomainPattern("api.example.com"))))
    assert spec(emission)["egress"] == []
    [told] = emission.unsupported
    assert (told.sort, told.what) == ("domain name", "to api.example.com, TCP 443")
    assert (told.instead, told.wider) == ("nothing: it stays closed", False)
    assert "# Cannot be said: to api.example.com, TCP 443" in emission.files[0].text
    assert emission.substitutes == ()


def test_a_domain_name_may_be_widened_to_the_public_internet() -> None:
    inside = ("10.0.0.0/9", "10.128.0.0/9", "192.168.0.0/16", "fd00::/8")
    emission = emit(
        "kubernetes",
        rule(DomainPeer(DomainPattern("api.example.com"))),
        inside=inside,
        allow_wider=True,
    )
    blocks = (
        IpPeer("0.0.0.0/0", ("10.0.0.0/8", "192.168.0.0/16")),
        IpPeer("::/0", ("fd00::/8",)),
    )
    [substitute] = emission.substitutes
    assert substitute == Substitute(
        subject=("shop/web",), direction=EGRESS, blocks=blocks, traffic=(HTTPS,)
    )
    [told] = emission.unsupported
    assert told.wider
    [written] = spec(emission)["egress"]
    assert [peer["ipBlock"]["cidr"] for peer in written["to"]] == ["0.0.0.0/0", "::/0"]


def test_other_peers_of_the_rule_are_written_all_the_same() -> None:
    emission = emit(
        "kubernetes", rule(DomainPeer(DomainPattern("api.example.com")), IpPeer("192.0.2.7/32"))
    )
    [written] = spec(emission)["egress"]
    assert written["to"] == [{"ipBlock": {"cidr": "192.0.2.7/32"}}]


def test_nodes_are_written_as_their_addresses() -> None:
    emission = emit("kubernetes", rule(NodePeer(EVERYTHING)), nodes=("192.168.0.1", "fd00::1"))
    [written] = spec(emission)["egress"]
    blocks = [peer["ipBlock"]["cidr"] for peer in written["to"]]
    assert blocks == ["192.168.0.1/32", "fd00::1/128"]
    assert [told.sort for told in emission.unsupported] == ["nodes"]
    closed = emit("kubernetes", rule(NodePeer(EVERYTHING)))
    assert spec(closed)["egress"] == []
    assert closed.unsupported[0].because.endswith("and no node's address is known")


def test_http_is_written_as_the_port_and_told_as_wider() -> None:
    http = HttpMatch(methods=(exact("GET"),), paths=(Text(Form.PREFIX, "/v1/"),))
    emission = emit("kubernetes", rule(IpPeer("10.0.0.0/8"), layer7=(Layer7(http=http),)))
    [told] = emission.unsupported
    assert (told.sort, told.what, told.wider) == ("HTTP", "only HTTP GET /v1/*", True)
    assert len(spec(emission)["egress"]) == 1


@pytest.mark.parametrize("action", [Action.DENY, Action.PASS])
def test_only_allows_can_be_said(action: Action) -> None:
    emission = emit("kubernetes", rule(IpPeer("10.0.0.0/8"), action=action))
    assert spec(emission)["egress"] == []
    assert [told.sort for told in emission.unsupported] == ["action"]


def test_icmp_cannot_be_said() -> None:
    traffic: tuple[Traffic, ...] = (PortRange(Protocol.ICMP), HTTPS)
    emission = emit("kubernetes", rule(IpPeer("10.0.0.0/8"), traffic=traffic))
    assert [told.sort for told in emission.unsupported] == ["ICMP"]
    [written] = spec(emission)["egress"]
    assert written["ports"] == [{"protocol": "TCP", "port": 443}]


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "", "A/b", "x" * 300, "a\nb", "-\0"])
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    emission = dialects.emit("kubernetes", [policy(name=name, namespace=name)], Surroundings())
    folder, slash, file = emission.files[0].path.partition("/")
    assert slash
    assert "/" not in file
    for part in (folder, file.removesuffix(".yaml")):
        assert part.strip(".")
        assert ".." not in part
        assert len(part) < 220
        assert part.isprintable()
    assert yaml.safe_load(emission.files[0].text)["metadata"]["name"] == name


def test_different_names_never_share_a_file() -> None:
    names = ["a/b", "a.b", "a-b", "A-B", "a b"]
    emission = dialects.emit("kubernetes", [policy(name=n) for n in names], Surroundings())
    assert len({file.path for file in emission.files}) == len(names)


def test_the_order_of_the_policies_does_not_matter() -> None:
    policies = [policy(rule(IpPeer("10.0.0.0/8")), name=name) for name in ("b", "a", "c")]
    there = dialects.emit("kubernetes", policies, Surroundings())
    back = dialects.emit("kubernetes", policies[::-1], Surroundings())
    assert there == back


def test_a_dialect_that_is_only_read_writes_nothing() -> None:
    for name in ("admin_network_policy", "latin"):
        with pytest.raises(UsageError, match="choose `calico`, `cilium`, `istio`, `kube"):
            dialects.emit(name, [], Surroundings())
