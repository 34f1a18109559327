import pytest
import re2

from emitted import (
    BOTH,
    DB,
    EGRESS,
    HTTPS,
    INGRESS,
    POST,
    egress,
    emit,
    http,
    read_back,
    rule,
    spec,
)
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, Wildcard
from ringfence.model.proposal import ProposedRule
from ringfence.model.rule import (
    DomainPeer,
    PodPeer,
    PortRange,
)
from ringfence.model.selector import (
    from_labels,
)

DNS_PORTS = (PortRange(Protocol.UDP, 53, 53), PortRange(Protocol.TCP, 53, 53))
KUBE_DNS = PodPeer(
    from_labels({"kubernetes.io/metadata.name": "kube-system"}),
    from_labels({"k8s-app": "kube-dns"}),
)


def lookups(*names: str) -> ProposedRule:
    patterns = tuple(map(DomainPattern, names))
    return rule(KUBE_DNS, traffic=DNS_PORTS, layer7=(Layer7(dns=patterns),))


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
