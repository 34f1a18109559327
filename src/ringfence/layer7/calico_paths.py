"""HTTP paths as Calico compares them: what is sent, and what its rules write, in one form.

Authority: Calico `app-policy/checker/match.go` normalizeHTTPPath, stripMatrixParams.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

UNMATCHED: Final = "*"
"""Stands for every path that no pattern matches: a pattern begins with `/`."""

_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_STILL_ENCODED: Final = re.compile(rb"%(2[eE]|2[fF]|5[cC])|\0")
_PARAMETERS: Final = re.compile(rb";[^/]*")
_ENCODED_AGAIN: Final = {ord(sign): f"%{ord(sign):02X}" for sign in "%?#\r\n"}
"""Written so that a path in this form is read as itself; line breaks cannot be sent otherwise."""


def normalised(path: str) -> str | None:
    """Return a path in the form in which Calico compares it; None if it matches no pattern.

    The query and the fragment count for nothing. Percent signs are decoded once; where that leaves
    an encoded dot, slash or backslash, or a NUL, nothing matches. Backslashes are slashes;
    parameters behind `;` and empty segments go; `.` and `..` are resolved.
    """
    asked = re.split("[?#]", path, maxsplit=1)[0]
    if _NO_ESCAPE.search(asked):
        return None
    decoded = unquote_to_bytes(asked)
    if _STILL_ENCODED.search(decoded):
        return None
    decoded = _PARAMETERS.sub(b"", decoded.replace(b"\\", b"/"))
    if not decoded.startswith(b"/"):
        return None
    kept: list[bytes] = []
    for segment in decoded.split(b"/"):
        if segment == b"..":
            kept = kept[:-1]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return "/" + "/".join(map(_text, kept))


def _text(segment: bytes) -> str:
    """Return the bytes of a segment as text, so that different ones stay different."""
    pieces = segment.decode("utf-8", "surrogateescape").translate(_ENCODED_AGAIN)
    return "".join(
        f"%{ord(sign) - 0xDC00:02X}" if 0xDC80 <= ord(sign) <= 0xDCFF else sign for sign in pieces
    )
