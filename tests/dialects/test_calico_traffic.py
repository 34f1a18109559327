"""Protocols, ports and ICMP of Calico's rules."""

from typing import Any

import pytest

from dialects.calico_documents import ICMP, SCTP, TCP, UDP, rule
from ringfence.model.rule import (
    NamedPort,
    PortRange,
    Traffic,
)

# -- protocols and ports -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "traffic"),
    [
        ("TCP", (PortRange(TCP),)),
        ("UDP", (PortRange(UDP),)),
        ("SCTP", (PortRange(SCTP),)),
        ("ICMP", (PortRange(ICMP, family=4),)),
        ("ICMPv6", (PortRange(ICMP, family=6),)),
        (6, (PortRange(TCP),)),
        ("17", (PortRange(UDP),)),
        (132, (PortRange(SCTP),)),
        (1, (PortRange(ICMP, family=4),)),
        (58, (PortRange(ICMP, family=6),)),
    ],
)
def test_protocols(protocol: Any, traffic: tuple[Traffic, ...]) -> None:
    assert rule({"protocol": protocol}).traffic == traffic
    assert rule({"notProtocol": protocol}).not_traffic == traffic


@pytest.mark.parametrize("protocol", ["UDPLite", 136, 47, 255])
def test_a_protocol_that_nobody_can_ask_for(protocol: Any) -> None:
    assert rule({"protocol": protocol}).traffic == ()
    excluded = rule({"notProtocol": protocol})
    assert (excluded.traffic, excluded.not_traffic) == (None, ())


def test_destination_ports_are_numbers_ranges_and_names() -> None:
    ports = [80, "81", "8000:8100", "http"]
    found = rule({"protocol": "UDP", "destination": {"ports": ports}})
    assert found.traffic == (
        PortRange(UDP, 80, 80),
        PortRange(UDP, 81, 81),
        PortRange(UDP, 8000, 8100),
        NamedPort("http", UDP),
    )


def test_not_ports_are_taken_away() -> None:
    found = rule({"protocol": "TCP", "destination": {"notPorts": [80, "http"]}})
    assert found.traffic == (PortRange(TCP),)
    assert found.not_traffic == (PortRange(TCP, 80, 80), NamedPort("http", TCP))


def test_names_alone_need_no_protocol_and_are_of_tcp() -> None:
    found = rule({"destination": {"ports": ["http"], "notPorts": ["dns"]}})
    assert found.traffic == (NamedPort("http", TCP),)
    assert found.not_traffic == (NamedPort("dns", TCP),)


@pytest.mark.parametrize("ports", [[1024], ["1:65534"], ["http"]])
def test_source_ports_cannot_be_asked_for(ports: Any) -> None:
    found = rule({"protocol": "TCP", "source": {"ports": ports}})
    assert "source port" in found.uncertain
    assert rule({"protocol": "TCP", "source": {"notPorts": ports}}).uncertain


def test_source_ports_that_cover_everything_say_nothing() -> None:
    ports = ["1:1023", 1024, "1000:65535"]
    assert rule({"protocol": "TCP", "source": {"ports": ports}}).uncertain == ""
    assert rule({"protocol": "TCP", "source": {"notPorts": ports}}).traffic == ()


# -- ICMP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("icmp", "first", "last"),
    [({}, 0, 65535), ({"type": 8}, 2048, 2303), ({"type": 3, "code": 4}, 772, 772)],
)
def test_icmp(icmp: Any, first: int, last: int) -> None:
    found = rule({"protocol": "ICMP", "icmp": icmp})
    assert found.traffic == (PortRange(ICMP, first, last, 4),)
    six = rule({"protocol": "ICMPv6", "icmp": icmp})
    assert six.traffic == (PortRange(ICMP, first, last, 6),)


def test_not_icmp_is_taken_away() -> None:
    found = rule({"protocol": "ICMP", "notICMP": {"type": 8}})
    assert found.not_traffic == (PortRange(ICMP, 2048, 2303, 4),)
    assert rule({"protocol": "ICMP", "notICMP": {}}).not_traffic == ()


def test_not_icmp_without_its_protocol_is_uncertain() -> None:
    assert "notICMP" in rule({"notICMP": {"type": 8}}).uncertain
