import pytest

from ringfence.model.cluster import ServicePort
from ringfence.model.rule import Chain
from ringfence.reference.istio_chains import chain_of


@pytest.mark.parametrize(
    ("name", "app_protocol", "chain"),
    [
        ("http", "", Chain.HTTP),
        ("HTTP-web", "", Chain.HTTP),
        ("http2-a", "", Chain.HTTP),
        ("grpc-web-a", "", Chain.HTTP),
        ("grpcweb", "", Chain.DETECTED),
        ("https", "", Chain.TCP),
        ("tls-a", "", Chain.TCP),
        ("redis", "", Chain.TCP),
        ("httpx", "", Chain.DETECTED),
        ("", "", Chain.DETECTED),
        ("http", "tcp", Chain.TCP),
        ("tcp", "http", Chain.HTTP),
        ("a", "kubernetes.io/h2c", Chain.HTTP),
        ("a", "kubernetes.io/wss", Chain.TCP),
        ("a", "example.com/own", Chain.DETECTED),
    ],
)
def test_a_port_is_read_by_what_its_service_calls_it(
    name: str, app_protocol: str, chain: Chain
) -> None:
    assert chain_of(ServicePort(8080, 8080, name=name, app_protocol=app_protocol)) is chain


@pytest.mark.parametrize("port", [25, 53, 3306, 27017])
def test_ports_that_are_known_are_no_http_unless_they_say_so(port: int) -> None:
    assert chain_of(ServicePort(port, port)) is Chain.TCP
    assert chain_of(ServicePort(port, port, name="http")) is Chain.HTTP
