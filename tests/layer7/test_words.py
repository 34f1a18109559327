import pytest
from hypothesis import given

from layer7.layer7_strategies import BOXES, PATHS, REGEXES, STRINGS, TEXTS, compiled, holds
from ringfence.layer7.forms import canonical
from ringfence.layer7.words import limit_text, text, to_json
from ringfence.model.layer7 import DomainPattern, Form, HeaderMatch, HttpMatch, Layer7, Text, exact


def regex(value: str) -> Text:
    return Text(Form.REGEX, value)


POST = Layer7(http=HttpMatch(methods=(exact("POST"),), paths=(exact("/v1/payment"),)))
PUBLIC = Layer7(http=HttpMatch(methods=(regex("GET"),), paths=(regex("/public/.*"),)))
ROOT = Layer7(http=HttpMatch(methods=(exact("GET"), exact("HEAD")), paths=(exact("/"),)))
DNS = Layer7(dns=(DomainPattern("*.example.com"),))
SNI = Layer7(server_names=(DomainPattern("api.stripe.com"),))
HEADERS = Layer7(
    http=HttpMatch(
        hosts=(regex(r".*\.x"),),
        headers=(
            HeaderMatch("x-a"),
            HeaderMatch("x-b", exact("1")),
            HeaderMatch("x-c", regex("[0-9]+")),
            HeaderMatch("x-c", regex("1.*")),
        ),
    )
)
SEGMENTS = Layer7(http=HttpMatch(paths=(Text(Form.SEGMENTS, "/pub"), regex("/a[0-9]"))))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (POST, {"http": {"method": "POST", "path": "/v1/payment"}}),
        (PUBLIC, {"http": {"method": "GET", "path_prefix": "/public/"}}),
        (ROOT, {"http": {"method": ["GET", "HEAD"], "path": "/"}}),
        (DNS, {"dns": {"query": "*.example.com"}}),
        (SNI, {"tls": {"server_name": "api.stripe.com"}}),
        (
            HEADERS,
            {
                "http": {
                    "host_suffix": ".x",
                    "headers": {
                        "x-a": True,
                        "x-b": "1",
                        "x-c": [{"regex": "[0-9]+"}, {"prefix": "1"}],
                    },
                }
            },
        ),
        (SEGMENTS, {"http": {"path_segments": "/pub", "path_regex": "/a[0-9]"}}),
        (Layer7(http=HttpMatch()), {"http": {}}),
        (Layer7(http=HttpMatch(methods=())), {"http": {"method": []}}),
        (Layer7(authenticated=True), {"authenticated": True}),
        (Layer7(mtls=True), {"mtls": True}),
        (Layer7(), {}),
    ],
)
def test_a_box_in_the_shape_of_the_contract(box: Layer7, expected: dict[str, object]) -> None:
    assert to_json(box) == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (POST, "POST /v1/payment"),
        (PUBLIC, "GET /public/*"),
        (ROOT, "GET|HEAD /"),
        (DNS, "DNS *.example.com"),
        (SNI, "SNI api.stripe.com"),
        (HEADERS, "HTTP on host *.x with header x-a and x-b: 1 and x-c: ~[0-9]+ and x-c: 1*"),
        (SEGMENTS, "HTTP /pub[/*]|~/a[0-9]"),
        (Layer7(http=HttpMatch()), "HTTP"),
        (Layer7(http=HttpMatch(methods=(exact("PUT"),))), "PUT *"),
        (Layer7(http=HttpMatch(methods=())), "none *"),
        (Layer7(authenticated=True), "authenticated peers only"),
        (Layer7(mtls=True), "over mTLS only"),
        (Layer7(dns=DNS.dns, authenticated=True), "DNS *.example.com, authenticated peers only"),
        (Layer7(), "anything"),
    ],
)
def test_a_box_as_people_read_it(box: Layer7, expected: str) -> None:
    assert text(box) == expected


def test_a_limit_as_people_read_it() -> None:
    assert limit_text(None) == ""
    assert limit_text(()) == "nothing"
    assert limit_text((POST, DNS)) == "POST /v1/payment; DNS *.example.com"
    assert limit_text(None, (POST,)) == "anything but POST /v1/payment"
    assert limit_text((PUBLIC,), (POST,)) == "GET /public/*; but not POST /v1/payment"


@given(BOXES)
def test_every_box_can_be_written(box: Layer7) -> None:
    assert text(box)
    assert bool(to_json(box)) == (box != Layer7())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/v1/payment", exact("/v1/payment")),
        ("^/v1/payment$", exact("/v1/payment")),
        (r"/v1\.0", exact("/v1.0")),
        ("", exact("")),
        ("()", exact("")),
        ("/v1/.*", Text(Form.PREFIX, "/v1/")),
        ("/v1/(?s:.*)", Text(Form.PREFIX, "/v1/")),
        (".*", Text(Form.PREFIX, "")),
        (r".*\.js", Text(Form.SUFFIX, ".js")),
        ("/v1(/.*)?", Text(Form.SEGMENTS, "/v1")),
        ("/v1(|/.*)", Text(Form.SEGMENTS, "/v1")),
        ("/v1($|/.*)", regex("/v1($|/.*)")),
        ("/v1/.+", regex("/v1/.+")),
        ("GET|POST", regex("GET|POST")),
        ("(?i)get", regex("(?i)get")),
        (r"\bx", regex(r"\bx")),
        ("(", regex("(")),
    ],
)
def test_an_expression_in_its_simplest_form(value: str, expected: Text) -> None:
    assert canonical(regex(value)) == expected
    assert canonical(expected) == expected


@given(TEXTS | REGEXES.map(regex), STRINGS | PATHS)
def test_the_simplest_form_holds_for_the_same_strings(pattern: Text, string: str) -> None:
    """Of those that can be sent: neither holds NUL nor line breaks."""
    if pattern.form is Form.REGEX and compiled(pattern.value) is None:
        return
    sendable = string.translate({0: None, 10: None, 13: None})
    assert holds(canonical(pattern), sendable) == holds(pattern, sendable)
