import pytest

from emitted import (
    DB,
    HTTPS,
    INGRESS,
    POST,
    emit,
    http,
    read_back,
    rule,
    spec,
)
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text
from ringfence.model.rule import (
    PortRange,
    Traffic,
)


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
