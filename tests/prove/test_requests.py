import pytest

from ringfence.learn.dependency_map import HttpRequest
from ringfence.learn.limits import requests
from ringfence.model.layer7 import Form, Text, exact
from ringfence.model.rule import Direction
from ringfence.prove.requests import limits, stated

IN, OUT = Direction.INGRESS, Direction.EGRESS
POST = (HttpRequest(("POST",), "/v1"),)


@pytest.mark.parametrize(
    ("dialect", "direction", "limited"),
    [
        ("kubernetes", IN, False),
        ("kubernetes", OUT, False),
        ("calico", IN, True),
        ("calico", OUT, False),
        ("cilium", IN, True),
        ("cilium", OUT, True),
    ],
)
def test_which_language_limits_which_direction(
    dialect: str, direction: Direction, limited: bool
) -> None:
    assert (limits(POST, direction, dialect) is not None) == limited
    assert limits((), direction, dialect) is None


def paths(path: str, dialect: str) -> list[tuple[Text, ...] | None]:
    found = limits((HttpRequest((), path),), IN, dialect)
    assert found is not None
    return [box.http.paths for box in found if box.http]


def test_a_path_as_it_is_sent_may_have_a_query() -> None:
    assert paths("/v1", "cilium") == [(exact("/v1"), Text(Form.PREFIX, "/v1?"))]
    assert paths("/v1*", "cilium") == [(Text(Form.PREFIX, "/v1"),)]


def test_a_path_as_calico_has_cleaned_it() -> None:
    assert paths("/v1/", "calico") == [(exact("/v1"),)]
    assert paths("/", "calico") == [(exact("/"),)]
    assert paths("/v1/*", "calico") == [(Text(Form.SEGMENTS, "/v1"),)]
    assert paths("/v1*", "calico") == [(Text(Form.SEGMENTS, "/v1"),)]
    assert paths("/a/../b", "calico") == []
    assert paths("/a%20b", "calico") == []


def test_limits_in_common_form_mean_what_the_map_meant() -> None:
    written = (*POST, HttpRequest((), "/h/*"), HttpRequest(("GET",), ""))
    for dialect in ("calico", "cilium"):
        [*two, every] = stated(requests(written), IN, dialect) or ()
        [*same, _] = limits(written, IN, dialect) or ()
        assert two == same
        assert every.http is not None
        # Calico says every path by the method alone.
        every_path = None if dialect == "calico" else (Text(Form.PREFIX, "/"),)
        assert every.http.paths == every_path
