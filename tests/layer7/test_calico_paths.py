"""HTTP paths as Calico compares them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringfence.layer7.calico_paths import normalised
from ringfence.reference import calico_http

PATHS = st.text("/.%;\\?#ab25eEfF0é\n", max_size=12).map(lambda text: f"/{text}")


@pytest.mark.parametrize(
    ("sent", "compared"),
    [
        ("/", "/"),
        ("/pub/", "/pub"),
        ("//pub", "/pub"),
        ("/pub/../adm", "/adm"),
        ("/../pub", "/pub"),
        ("/pub?to=/adm", "/pub"),
        ("/pub#adm", "/pub"),
        ("/%70ub", "/pub"),
        ("/pub%2fa", "/pub/a"),
        ("/pub%2Fa", "/pub/a"),
        ("\\pub", "/pub"),
        ("/a\\pub", "/a/pub"),
        ("/pub;v=1/a;b", "/pub/a"),
        ("/pub/%2e%2e/adm", "/adm"),
        ("/caf%C3%A9", "/café"),
        ("/a%3Fb", "/a%3Fb"),
        ("/100%25", "/100%25"),
        ("/%ff", "/%FF"),
        ("/pub%252fa", None),
        ("/pub%252E", None),
        ("/pub%00", None),
        ("/pub%0", None),
        ("/pub%", None),
        ("pub", None),
        ("*", None),
        ("", None),
    ],
)
def test_a_path_is_normalised(sent: str, compared: str | None) -> None:
    assert normalised(sent) == compared


@given(PATHS)
@example("/%25ff")
@example("/%5C..")
def test_a_normalised_path_stays_as_it_is(path: str) -> None:
    once = normalised(path)
    if once is not None:
        assert normalised(once) in (once, None)


@given(PATHS, PATHS)
@example("/%25ff", "/%ff")
@example("/%253b", "/%3b")
@example("/%3f", "/?")
def test_two_paths_are_one_where_the_literal_judge_says_so(path: str, other: str) -> None:
    mine, theirs = normalised(path), calico_http.normalised(path)
    assert (mine is None) == (theirs is None)
    assert (mine == normalised(other)) == (theirs == calico_http.normalised(other))
