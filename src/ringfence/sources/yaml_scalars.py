"""What an unquoted word of YAML means to Kubernetes: a string, a number, a truth value, nothing.

Kubernetes reads YAML through sigs.k8s.io/yaml: first by the rules of YAML 1.1 as go-yaml v2 has
them, then by way of JSON. Both steps leave their mark: `no` is false, `012` is ten, `1e3` is the
integer 1000, and a key is a string whatever it looked like.

Source: go.yaml.in/yaml/v2 2.4.4 `resolve.go`; sigs.k8s.io/yaml 1.6.0 `yaml.go`
convertToJSONableObject; apimachinery 0.37 `pkg/util/json` ConvertInterfaceNumbers.
"""

import base64
import binascii
import math
import re
import struct
from datetime import date
from decimal import Decimal
from typing import Final

Scalar = str | int | float | bool | None

_TAG = "tag:yaml.org,2002:"
STR_TAG: Final = _TAG + "str"
MERGE_TAG: Final = _TAG + "merge"
_BINARY_TAG = _TAG + "binary"
_TIMESTAMP_TAG = _TAG + "timestamp"
_TYPES: Final[dict[str, type]] = {
    _TAG + "bool": bool,
    _TAG + "int": int,
    _TAG + "float": float,
    _TAG + "null": type(None),
}
"""The tags that ask for what the word itself must then be."""

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE"), True),
    **dict.fromkeys(("on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE"), False),
    **dict.fromkeys(("off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_TELLING: Final = frozenset("yYnNtTfFoO~.+-0123456789")
"""First characters of what may be other than a string."""

_INTEGER: Final = re.compile(
    r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|(0|[1-9][0-9]*))"
)
_BASES: Final = (16, 8, 2, 10)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_POINT_FIRST: Final = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_TIMESTAMP: Final = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:[Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})"
    r"| +[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]+)?)?"
)
_MOST_DIGITS: Final = 64
"""What a 64-bit integer needs at most, in any base, not counting leading zeros."""


def plain(text: str) -> Scalar:
    """Return what an unquoted word without a tag means; a float that is whole stays a float."""
    if text and text[0] not in _TELLING:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in ".+-0123456789":
        number = _number(text)
        return text if number is None else number
    return text


def tagged(tag: str, text: str) -> Scalar:
    """Return what a word with an explicit tag means.

    Raises:
        ValueError: the word is not what its tag says it is.
    """
    if tag == _BINARY_TAG:
        return _binary(text)
    if tag == _TIMESTAMP_TAG:
        if not _is_timestamp(text):
            raise ValueError(f"`{excerpt(text)}` is no timestamp")
        return text
    wanted = _TYPES.get(tag)
    if wanted is None:
        # `!!str`, and every tag that go-yaml does not know, leave the text as it stands.
        return text
    value = plain(text)
    if wanted is float and type(value) is int and value < 1 << 63:
        return float(value)
    if type(value) is not wanted:
        raise ValueError(f"`{excerpt(text)}` is no {tag.removeprefix(_TAG)}")
    return value


def json_number(value: float) -> int | float:
    """Return a number as it comes out of the JSON that Kubernetes makes of the YAML.

    A whole number is an integer there however it was written, and one beyond 64 bits a float.

    Raises:
        ValueError: it is infinite or not a number, which JSON cannot say.
    """
    if isinstance(value, int):
        whole = value
    elif not math.isfinite(value):
        raise ValueError("Kubernetes has no infinite numbers and no `.nan`")
    elif value.is_integer():
        # The shortest digits that tell the float, which from 2^53 on may not be its own.
        whole = int(Decimal(repr(value)))
    else:
        return value
    return whole if -(1 << 63) <= whole < 1 << 63 else float(value)


def key_text(value: Scalar) -> str:
    """Return the string that stands for a key in the JSON that Kubernetes makes of the YAML.

    Raises:
        ValueError: nothing stands for such a key.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise ValueError("a key must not be empty or null")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _short_float(value)
    if value >= 1 << 63:
        raise ValueError(f"`{value}` is too large for a key")
    return str(value)


def _number(text: str) -> int | float | None:
    """Return the number that the text is, or None: go-yaml then takes it for a string."""
    if text[0] == ".":
        # go-yaml hands this to strconv.ParseFloat with its underscores, which are checked there.
        return _finite(text) if _POINT_FIRST.fullmatch(text) else None
    digits = text.replace("_", "")
    if match := _INTEGER.fullmatch(digits):
        for base, figures in zip(_BASES, match.groups()[1:], strict=True):
            if figures is not None and len(figures.lstrip("0")) <= _MOST_DIGITS:
                value = int(figures, base)
                if match[1] == "-":
                    value = -value
                # Beyond 64 bits, only text without a sign is tried as an unsigned integer.
                if -(1 << 63) <= value < (1 << 63 if match[1] else 1 << 64):
                    return value
    return _finite(digits) if _FLOAT.fullmatch(digits) else None


def _finite(text: str) -> float | None:
    """Return the decimal number, or None where it is beyond the range of a float."""
    value = float(text)
    return value if math.isfinite(value) else None


def _binary(text: str) -> str:
    """Return base64-encoded text; each byte that is no UTF-8 becomes U+FFFD, as JSON has it."""
    try:
        data = base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("`!!binary` value contains invalid base64") from error
    escaped = data.decode("utf-8", errors="surrogateescape")
    return re.sub("[\udc80-\udcff]", "\ufffd", escaped)


def _is_timestamp(text: str) -> bool:
    match = _TIMESTAMP.fullmatch(text)
    try:
        return match is not None and bool(date(*map(int, match.groups())))
    except ValueError:
        return False


def _short_float(value: float) -> str:
    """Return the shortest text that gives the same 32-bit float, as Go's `%g` writes it."""
    single = _single(value)
    if not math.isfinite(single):
        return ".nan" if math.isnan(single) else ".inf" if single > 0 else "-.inf"
    # Nine digits tell all 32-bit floats apart.
    candidates = (f"{single:.{digits}e}" for digits in range(9))
    text = next(text for text in candidates if _single(float(text)) == single)
    mantissa, _, exponent = text.partition("e")
    if -4 <= int(exponent) < 6:
        return f"{Decimal(text):f}"
    return f"{mantissa}e{int(exponent):+03d}"


def _single(value: float) -> float:
    """Return the nearest 32-bit float."""
    try:
        nearest: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return nearest


def excerpt(text: str) -> str:
    """Return the text short enough for a message."""
    return text if len(text) <= 40 else text[:40] + "…"
