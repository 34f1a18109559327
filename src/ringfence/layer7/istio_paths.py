"""Paths as the rules of Istio's proxies see them: cut at the query, and normalised as is set up.

Source: istio.io "Authorization policy normalization"; Envoy `source/common/http/path_utility.cc`
(canonicalPath, mergeSlashes, unescapeSlashes), which canonicalises as Chromium does
(`googleurl url_canon_path.cc`). Parameters of `.` and `..` since 1.36.10, 1.37.6, 1.38.4, 1.39.1.
"""

import re
from typing import Final

UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_ESCAPED_ALWAYS: Final = {ord(sign): f"%{ord(sign):02X}" for sign in '"<>^`{|}'}
_SLASHES: Final = re.compile(r"%(?:2[Ff]|5[Cc])")


def normalised(path: str, setting: str) -> str:
    """Return a path as rules see it.

    Args:
        path: as sent.
        setting: NONE, BASE, MERGE_SLASHES or DECODE_AND_MERGE_SLASHES.
    """
    found = re.split("[?#]", path, maxsplit=1)[0]
    if setting == "NONE":
        return found
    if setting == "DECODE_AND_MERGE_SLASHES":
        found = _SLASHES.sub(lambda one: "/" if one[0].lower() == "%2f" else "\\", found)
    found = "/".join(map(_without_parameters, found.split("/")))
    found = _ESCAPED.sub(_decoded, found).replace("\\", "/").translate(_ESCAPED_ALWAYS)
    found = _resolved(found)
    if setting == "BASE":
        return found
    if not found.strip("/"):
        return found[:2]  # of slashes alone Envoy leaves the first and the last
    return re.sub("/{2,}", "/", found)


def _without_parameters(segment: str) -> str:
    """Return a segment; what leads to itself or out of it, without its parameters (`..;a=b`)."""
    before, semicolon, _ = segment.partition(";")
    return before if semicolon and before in (".", "..") else segment


def _decoded(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[1], 16))
    return character if character in UNRESERVED else escaped[0]


def _resolved(path: str) -> str:
    """Return a path without the segments `.` and `..`, with what they lead out of."""
    kept: list[str] = []
    segments = path.split("/")
    for number, segment in enumerate(segments[1:], 1):
        last = number == len(segments) - 1
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")
    return "/".join([segments[0], *kept])
