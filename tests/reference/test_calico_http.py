from typing import Any

import pytest

from ringfence.model.layer7 import ANYTHING, Request
from ringfence.reference import calico_http
from ringfence.reference.schema import NotUnderstoodError


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", b"/"),
        ("/a/", b"/a"),
        ("/a//b/./c/../d", b"/a/b/d"),
        ("/../../a", b"/a"),
        ("/a?b=/../c", b"/a"),
        ("/a#b?c", b"/a"),
        ("/%61%2Fb", b"/a/b"),
        ("/a/%2e%2E/b", b"/b"),
        ("/a%252e", None),
        ("/a%252Fb", None),
        ("/a%255cb", None),
        ("/a%2520b", b"/a%20b"),
        ("/a%00", None),
        ("/a%", None),
        ("/a%2", None),
        ("/a%zz", None),
        ("/a\\b", b"/a/b"),
        ("/a%5c..%5cb", b"/b"),
        ("/a;x=1/b;y", b"/a/b"),
        ("/a/..;x/b", b"/b"),
        ("/;x/b", b"/b"),
        ("a", None),
        ("*", None),
        ("", None),
        ("%2fa", b"/a"),
        ("/é", "/é".encode()),
        ("/%C3%A9", "/é".encode()),
    ],
)
def test_normalised(path: str, found: bytes | None) -> None:
    assert calico_http.normalised(path) == found


def http(value: Any, request: Request) -> Any:
    answer = calico_http.judge(value, ("http",), request)
    return [limit["http"] for limit in answer.limits] or answer.holds


def test_without_limits_of_its_own_it_is_http_all_the_same() -> None:
    assert http({}, ANYTHING) == [{}]
    assert http({"methods": ["*"]}, Request(http=True)) is True
    assert http({}, Request(http=False)) is False


def test_what_is_left_open_is_told() -> None:
    value = {"methods": ["GET", "PUT"], "paths": [{"exact": "/a"}, {"prefix": "/b"}]}
    assert http(value, ANYTHING) == [
        {"method": method, **place}
        for method in ("GET", "PUT")
        for place in ({"path": "/a"}, {"path_prefix": "/b"})
    ]
    assert http(value, Request(http=True, method="PUT")) == [
        {"method": "PUT", "path": "/a"},
        {"method": "PUT", "path_prefix": "/b"},
    ]
    assert http(value, Request(http=True, path="/b/c")) == [
        {"method": "GET", "path_prefix": "/b"},
        {"method": "PUT", "path_prefix": "/b"},
    ]
    assert http(value, Request(http=True, method="PUT", path="/b")) is True
    assert http(value, Request(http=True, method="put", path="/b")) is False
    assert http(value, Request(http=True, path="/c")) is False


def test_a_path_that_cannot_be_normalised_matches_nothing() -> None:
    assert http({"paths": [{"exact": "/%zz"}]}, ANYTHING) is False
    assert http({"paths": [{"prefix": "/"}]}, Request(http=True, path="/%zz")) is False


@pytest.mark.parametrize(
    "value",
    [
        {"methods": ["GET", "GET"]},
        {"methods": "GET"},
        {"paths": [{"exact": "/a", "prefix": "/b"}]},
        {"paths": [{}]},
        {"paths": [{"exact": ""}]},
        {"paths": [{"exact": "a"}]},
        {"paths": [{"prefix": "/a?b"}]},
        {"headers": []},
        [],
    ],
)
def test_not_understood(value: Any) -> None:
    with pytest.raises(NotUnderstoodError):
        calico_http.judge(value, (), ANYTHING)
