"""What is limited above the port, in every format."""

import json

import msgspec
import pytest
import yaml

from outputs.answers import answer
from ringfence.model.connectivity import Allowance, Connectivity, Pair
from ringfence.model.diff import Change, Diff
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, exact
from ringfence.model.profile import Profile
from ringfence.outputs import write
from ringfence.outputs._limits import limit_words
from ringfence.outputs._words import allowance_text

POST = Layer7(http=HttpMatch(methods=(exact("POST"),), paths=(exact("/v1/payment"),)))
BELOW = Layer7(http=HttpMatch(methods=(exact("GET"),), paths=(Text(Form.PREFIX, "/v1/"),)))
LIMITED = Allowance("TCP", "8080", None, (BELOW,), (POST,))
IN_JSON = {
    "protocol": "TCP",
    "ports": "8080",
    "l7": [{"http": {"method": "GET", "path_prefix": "/v1/"}}],
    "l7_except": [{"http": {"method": "POST", "path": "/v1/payment"}}],
}


@pytest.fixture
def limited() -> Connectivity:
    plain = answer("shop/web -> shop/db: TCP 5432", peers=("shop/pay",))
    pair = Pair("shop/web", "shop/pay", (LIMITED,), (Allowance("UDP", "53"),))
    return msgspec.structs.replace(plain, connections=(*plain.connections, pair))


def written(value: object, output: str) -> str:
    return b"".join(write(value, output)).decode()


def test_in_words() -> None:
    assert allowance_text(LIMITED) == "TCP 8080 (GET /v1/*; but not POST /v1/payment)"
    dns = Layer7(dns=(DomainPattern("*.x.io"),))
    assert allowance_text(Allowance("UDP", "53", 6, (dns,))) == "UDP 53 (IPv6) (DNS *.x.io)"
    assert allowance_text(Allowance("ICMP", "8,3/4")) == "ICMP 8,3/4"
    hostile = Layer7(http=HttpMatch(paths=(exact("/\x1b[31m"),)))
    assert "\x1b" not in allowance_text(Allowance("TCP", "80", None, (hostile,)))


def test_in_json_and_yaml_it_has_the_shape_of_the_contract(limited: Connectivity) -> None:
    for found in (json.loads(written(limited, "json")), yaml.safe_load(written(limited, "yaml"))):
        plain, pair = found["connections"]
        assert plain["allow"] == [{"protocol": "TCP", "ports": "5432"}]
        assert pair == {
            "from": "shop/web",
            "to": "shop/pay",
            "allow": [IN_JSON],
            "unknown": [{"protocol": "UDP", "ports": "53"}],
        }


def test_a_change_has_it_too() -> None:
    change = Change("shop/web", "shop/pay", gained=(LIMITED,), now=(LIMITED,))
    found = Diff(old_profile=Profile(), profile=Profile(), endpoints=(), changes=(change,))
    (row,) = json.loads(written(found, "json"))["changes"]
    assert (row["gained"], row["now"], row["lost"]) == ([IN_JSON], [IN_JSON], [])


@pytest.mark.parametrize("output", ["text", "wide", "dot"])
def test_people_read_it_on_the_edge(limited: Connectivity, output: str) -> None:
    assert "TCP 8080 (GET /v1/*; but not POST /v1/payment)" in " ".join(
        written(limited, output).split()
    )


def test_in_markdown_its_signs_mean_nothing(limited: Connectivity) -> None:
    either = Layer7(http=HttpMatch(methods=(exact("GET"), exact("PUT"))))
    pair = Pair("shop/db", "shop/pay", (Allowance("TCP", "80", None, (either,)),))
    both = msgspec.structs.replace(limited, connections=(pair, *limited.connections))
    shown = written(both, "markdown")
    assert "TCP 8080 (GET /v1/\\*; but not POST /v1/payment)" in shown
    assert "TCP 80 (GET\\|PUT \\*)" in shown


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"http": {"method": "POST", "path": "/v1"}}, "POST /v1"),
        ({"http": {"method": ["GET", "PUT"], "path_segments": "/v1"}}, "GET|PUT /v1[/*]"),
        ({"http": {"host_suffix": ".x.io"}}, "HTTP on host *.x.io"),
        ({"http": {"headers": {"x-id": True, "y": "1"}}}, "HTTP with header x-id and y: 1"),
        ({"http": {"path_regex": "/a+", "method": []}}, "none ~/a+"),
        ({"dns": {"query": ["a.io", "b.io"]}}, "DNS a.io|b.io"),
        (
            {"tls": {"server_name": "a.io"}, "authenticated": True},
            "SNI a.io, authenticated peers only",
        ),
        ({"except": {"http": {"method": "GET"}}}, "not GET *"),
        (
            {"protocol": "TCP", "ports": "80", "http": {"path": "/"}},
            "protocol TCP, ports 80, HTTP /",
        ),
        ({"to": "shop/\x1bdb"}, "to shop/\\x1bdb"),
        ({"icmp": "3/4"}, "icmp 3/4"),
    ],
)
def test_what_an_allow_is_limited_to_in_words(limit: dict[str, object], words: str) -> None:
    assert limit_words(limit) == words
