"""The ports and ICMP types of Cilium's rules."""

from typing import Any

import pytest

from dialects.cilium_documents import refused_rule, rule, rules
from ringfence.model.cluster import Protocol
from ringfence.model.rule import NamedPort, PortRange

TCP, UDP, SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP


def traffic(*ports: Any, section: str = "egress") -> Any:
    return rule(section, {"toPorts": [{"ports": list(ports)}]}).traffic


@pytest.mark.parametrize("section", ["ingress", "egress", "ingressDeny", "egressDeny"])
def test_a_number(section: str) -> None:
    port = {"port": "80", "protocol": "TCP"}
    assert traffic(port, section=section) == (PortRange(TCP, 80, 80),)


@pytest.mark.parametrize("protocol", [{}, {"protocol": "ANY"}])
def test_any_protocol_is_tcp_udp_and_sctp_and_never_icmp(protocol: Any) -> None:
    assert traffic({"port": "53", **protocol}) == tuple(
        PortRange(each, 53, 53) for each in (TCP, UDP, SCTP)
    )


def test_port_0_is_every_port_of_the_protocol() -> None:
    assert traffic({"port": "0", "protocol": "UDP"}) == (PortRange(UDP),)
    assert traffic({"port": "0"}) == (PortRange(TCP), PortRange(UDP), PortRange(SCTP))


def test_a_range() -> None:
    port = {"port": "80", "endPort": 90, "protocol": "TCP"}
    assert traffic(port) == (PortRange(TCP, 80, 90),)


@pytest.mark.parametrize("end", [0, 79, 80])
def test_an_end_that_is_not_behind_the_beginning_is_passed_over(end: int) -> None:
    port = {"port": "80", "endPort": end, "protocol": "TCP"}
    assert traffic(port) == (PortRange(TCP, 80, 80),)


def test_a_name_is_in_lower_case_and_has_no_end() -> None:
    port = {"port": "HTTP-Alt", "endPort": 90, "protocol": "TCP"}
    assert traffic(port) == (NamedPort("http-alt", TCP),)
    assert traffic({"port": "dns"}) == tuple(NamedPort("dns", p) for p in (TCP, UDP, SCTP))


def test_what_could_be_a_name_is_one() -> None:
    assert traffic({"port": "0x50", "protocol": "TCP"}) == (NamedPort("0x50", TCP),)


@pytest.mark.parametrize(
    ("port", "reason"),
    [
        ({"port": 80}, "expected a string"),
        ({}, "expected a string"),
        ({"port": "65536"}, "not between"),
        ({"port": "080"}, "neither a port nor"),
        ({"port": "a--b"}, "neither a port nor"),
        ({"port": "a-name-of-sixteen"}, "neither a port nor"),
        ({"port": "80", "protocol": "tcp"}, "`tcp` is none of"),
        ({"port": "80", "protocol": ""}, "`` is none of"),
        ({"port": "80", "protocol": "ICMP"}, "`ICMP` is none of"),
        ({"port": "0", "protocol": "VRRP"}, "`VRRP` is none of"),
        ({"port": "80", "endPort": 65536}, "not between"),
    ],
)
def test_what_is_no_port_is_refused(port: Any, reason: str) -> None:
    assert reason in refused_rule("egress", {"toPorts": [{"ports": [port]}]})


def test_at_most_forty_ports() -> None:
    many = [{"port": str(number)} for number in range(1, 42)]
    assert "at most 40" in refused_rule("egress", {"toPorts": [{"ports": many}]})


@pytest.mark.parametrize("item", [{}, {"ports": []}])
def test_an_empty_list_of_ports_allows_nothing(item: Any) -> None:
    assert rule("ingress", {"toPorts": [item]}).traffic == ()


def test_each_item_of_ports_is_an_alternative() -> None:
    found = rules(
        "ingress",
        {"toPorts": [{"ports": [{"port": "1", "protocol": "TCP"}]}, {"ports": []}]},
    )
    assert [each.traffic for each in found] == [(PortRange(TCP, 1, 1),), ()]
    assert {each.path for each in found} == {("spec", "ingress", 0)}


def icmp(*fields: Any) -> Any:
    return rule("ingress", {"icmps": [{"fields": list(fields)}]}).traffic


@pytest.mark.parametrize(
    ("field", "number", "family"),
    [
        ({"type": 8}, 8, 4),
        ({"type": "8"}, 8, 4),
        ({"type": "EchoRequest", "family": "IPv4"}, 8, 4),
        ({"type": "EchoRequest", "family": "IPv6"}, 128, 6),
        ({"type": 0}, 0, 4),
        ({"type": 255, "family": "IPv6"}, 255, 6),
    ],
)
def test_icmp_types_have_any_code(field: Any, number: int, family: int) -> None:
    expected = PortRange(Protocol.ICMP, 256 * number, 256 * number + 255, family)
    assert icmp(field) == (expected,)


def test_icmp_without_fields_allows_nothing() -> None:
    assert icmp() == ()


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"type": 256}, "not between"),
        ({}, "expected a whole number"),
        ({"type": "PacketTooBig"}, "no type of ICMP over IPv4"),
        ({"type": 8, "family": "IPv5"}, "`IPv5` is none of"),
    ],
)
def test_what_is_no_icmp_type_is_refused(field: Any, reason: str) -> None:
    assert reason in refused_rule("ingress", {"icmps": [{"fields": [field]}]})


def test_icmp_and_ports_exclude_each_other() -> None:
    both = {"icmps": [{"fields": [{"type": 8}]}], "toPorts": [{"ports": [{"port": "80"}]}]}
    assert "exclude each other" in refused_rule("ingress", both)
