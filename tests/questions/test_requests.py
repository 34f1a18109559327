"""What a query says above the port, and what contradicts itself."""

import pytest

from ringfence.errors import UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import Request
from ringfence.model.query import Http, Query
from ringfence.questions.requests import Asked, asked


def ask(port: int | str | None = 80, **said: object) -> Asked:
    return asked(Query(source="a/b", destination="c/d", port=port, **said))  # type: ignore[arg-type]


def test_http_is_said_over_tcp_with_headers_in_lower_case() -> None:
    found = ask(http=Http(method="POST", path="/v1", host="pay.io", headers={"X-Id": "7"}))
    assert found.protocols == (Protocol.TCP,)
    assert found.request == Request(
        http=True, method="POST", path="/v1", host="pay.io", headers=(("x-id", "7"),)
    )


def test_grpc_is_a_post_to_service_and_method() -> None:
    found = ask(grpc={"service": "shop.Payments", "method": "Charge"}).request
    assert (found.http, found.method, found.path) == (True, "POST", "/shop.Payments/Charge")


def test_dns_without_a_protocol_is_asked_over_udp_and_without_a_port_over_both() -> None:
    assert ask(53, dns={"query": "API.x.io."}).protocols == (Protocol.UDP,)
    assert ask(53, dns={"query": "API.x.io."}).request.dns == "api.x.io"
    assert ask(None, dns={"query": "x.io"}).protocols == (Protocol.UDP, Protocol.TCP)
    assert ask(53, dns={"query": "x.io"}, protocol="TCP").protocols == (Protocol.TCP,)


def test_mtls_says_whether_the_peers_authenticated_each_other_in_cilium_and_in_a_mesh() -> None:
    assert ask(mtls=True).request == Request(authenticated=True, mtls=True)
    asked = ask(mtls=False, sni="x.io").request
    assert asked == Request(sni="x.io", authenticated=False, mtls=False)
    assert ask().request == Request()


def test_a_type_of_icmp_stands_for_all_its_codes() -> None:
    assert ask(None, icmp={"type": 8}).icmp == (2048, 2303)
    assert ask(None, icmp={"type": 3, "code": 4}).icmp == (772, 772)
    assert ask(None, icmp={"type": 8}).protocols == (Protocol.ICMP,)


def test_without_port_and_protocol_everything_with_ports_is_asked() -> None:
    assert ask(None).protocols == (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
    assert ask(None, sni="x.io").protocols == (Protocol.TCP,)


@pytest.mark.parametrize(
    "said",
    [
        {"http": Http(method="GET"), "grpc": {"service": "a", "method": "b"}},
        {"http": Http(method="GET"), "dns": {"query": "x.io"}},
        {"sni": "x.io", "dns": {"query": "x.io"}},
        {"http": Http(method="GET"), "protocol": "UDP"},
        {"grpc": {"service": "a", "method": "b"}, "protocol": "SCTP"},
        {"dns": {"query": "x.io"}, "protocol": "SCTP"},
        {"sni": "x.io", "protocol": "ICMP"},
        {"icmp": {"type": 8}},
        {"icmp": {"type": 8}, "port": None, "protocol": "TCP"},
        {"icmp": {"type": 8}, "port": None, "http": Http(method="GET")},
        {"icmp": {"code": 8}, "port": None},
        {"icmp": {"type": 256}, "port": None},
        {"grpc": {"service": "a"}},
        {"dns": {"name": "x.io"}},
        {"dns": {"query": "."}},
        {"http": Http(path="v1")},
        {"protocol": "QUIC"},
    ],
)
def test_what_contradicts_itself_or_means_nothing_is_refused(said: dict[str, object]) -> None:
    port = said.pop("port", 80)
    with pytest.raises(UsageError):
        ask(port, **said)  # type: ignore[arg-type]
