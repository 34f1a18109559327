"""Words as go-yaml v2 and sigs.k8s.io/yaml read them; the expectations were checked with Go."""

import math

import pytest

from ringfence.sources.yaml_scalars import json_number, key_text, plain, tagged

TAG = "tag:yaml.org,2002:"

WORDS = {
    "y": True,
    "Y": True,
    "yes": True,
    "on": True,
    "ON": True,
    "TRUE": True,
    "n": False,
    "no": False,
    "Off": False,
    "false": False,
    "yEs": "yEs",
    "nope": "nope",
    "": None,
    "~": None,
    "null": None,
    "nUll": "nUll",
    "0": 0,
    "00": 0,
    "-0": 0,
    "+7": 7,
    "-5": -5,
    "012": 10,
    "-012": -10,
    "0o10": 8,
    "0O7": 7,
    "08": 8,
    "018": 18,
    "0_8": 8,
    "0b11": 3,
    "-0b101": -5,
    "0B1": 1,
    "0b2": "0b2",
    "0x1F": 31,
    "0X1f": 31,
    "+0x1f": 31,
    "0x_f": 15,
    "0xg": "0xg",
    "0x": "0x",
    "1_000": 1000,
    "1__2": 12,
    "_1": "_1",
    "1e3": 1000,
    "1E5": 100000,
    "1.5e-7": 1.5e-7,
    "1.": 1,
    ".5": 0.5,
    "-.5": -0.5,
    ".1_0": 0.1,
    ".1_": ".1_",
    "._1": "._1",
    ".": ".",
    ".e5": ".e5",
    "1e999": "1e999",
    ".5e999": ".5e999",
    "1.0.0": "1.0.0",
    "22:22": "22:22",
    "1:2:3": "1:2:3",
    "2001-01-01": "2001-01-01",
    "2001-01-01T00:00:00Z": "2001-01-01T00:00:00Z",
    "10.0.0.0/8": "10.0.0.0/8",
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "9223372036854775808": float(2**63),
    "-9223372036854775809": -float(2**63),
    "9.223372036854774e18": 9223372036854774000,
    "99999999999999999999": 1e20,
    "01777777777777777777777777": 1.7777777777777777e24,
    "0xFFFFFFFFFFFFFFFFFF": "0xFFFFFFFFFFFFFFFFFF",
    "0x8000000000000000": float(2**63),
    "+0x8000000000000000": "+0x8000000000000000",
    "0x" + "0" * 70 + "f": 15,
    "9" * 5000: "9" * 5000,
    "<<": "<<",
    "=": "=",
    "tcp": "tcp",
    "+": "+",
    "-": "-",
    "TCP": "TCP",
}


@pytest.mark.parametrize(("text", "value"), WORDS.items())
def test_a_word_means_what_kubernetes_takes_it_for(text: str, value: object) -> None:
    found = plain(text)
    if isinstance(found, int | float) and not isinstance(found, bool):
        found = json_number(found)
    assert (type(found), found) == (type(value), value)


def test_a_whole_float_is_an_integer_only_after_json() -> None:
    assert type(plain("1e3")) is float
    assert type(json_number(1000.0)) is int
    assert type(json_number(1e19)) is float
    assert (type(json_number(-0.0)), json_number(-0.0)) == (int, 0)


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan", ".NaN"])
def test_json_has_no_infinity(text: str) -> None:
    value = plain(text)
    assert isinstance(value, float)
    with pytest.raises(ValueError, match="infinite"):
        json_number(value)


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        ("str", "12", "12"),
        ("str", "no", "no"),
        ("str", "", ""),
        ("int", "0x10", 16),
        ("float", "3", 3.0),
        ("float", "1.5", 1.5),
        ("bool", "yes", True),
        ("null", "~", None),
        ("null", "", None),
        ("timestamp", "2001-1-1", "2001-1-1"),
        ("timestamp", "2001-01-01T01:02:03.5Z", "2001-01-01T01:02:03.5Z"),
        ("binary", "YQ==", "a"),
        ("binary", "YWJj\nZGVm\n", "abcdef"),
        ("binary", "gIGC", "\ufffd\ufffd\ufffd"),
        ("foo", "12", "12"),
    ],
)
def test_a_tag_says_what_a_word_is(tag: str, text: str, value: object) -> None:
    found = tagged(TAG + tag, text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("int", "foo"),
        ("int", ""),
        ("int", "1.5"),
        ("int", "yes"),
        ("bool", "1"),
        ("float", "x"),
        ("float", "18446744073709551615"),
        ("null", "x"),
        ("timestamp", "foo"),
        ("timestamp", "2001-13-01"),
        ("binary", "a=b"),
        ("binary", "é"),
    ],
)
def test_a_word_that_is_not_what_its_tag_says_is_an_error(tag: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"is no {tag}|invalid base64"):
        tagged(TAG + tag, text)


def test_an_unknown_tag_leaves_the_text() -> None:
    assert tagged("!", "12") == "12"
    assert tagged("!foo", "no") == "no"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a", "a"),
        ("80", "80"),
        ("0x10", "16"),
        ("012", "10"),
        ("on", "true"),
        ("n", "false"),
        ("1.5", "1.5"),
        ("1e3", "1000"),
        ("1e6", "1e+06"),
        ("1e5", "100000"),
        ("1e21", "1e+21"),
        ("0.1", "0.1"),
        ("1.5e-7", "1.5e-07"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("123456.7", "123456.7"),
        ("12345678.9", "1.2345679e+07"),
        ("16777217.0", "1.6777216e+07"),
        ("3.4028235e38", "3.4028235e+38"),
        ("1e39", ".inf"),
        ("-1e39", "-.inf"),
        ("-0.0", "-0"),
        (".nan", ".nan"),
        ("2001-01-01", "2001-01-01"),
    ],
)
def test_a_key_becomes_a_string(text: str, key: str) -> None:
    assert key_text(plain(text)) == key


@pytest.mark.parametrize("value", [None, 2**63, 2**64 - 1])
def test_some_keys_cannot_be_strings(value: int | None) -> None:
    with pytest.raises(ValueError, match="key"):
        key_text(value)


def test_the_smallest_and_largest_32_bit_floats_are_keys() -> None:
    assert key_text(1.401298464324817e-45) == "1e-45"
    assert key_text(math.ldexp(1 - 2**-24, 128)) == "3.4028235e+38"


def test_a_large_whole_float_has_the_digits_that_json_writes() -> None:
    assert json_number(4.995665870035354e16) == 49956658700353540
