"""Paths as the rules of Istio's proxies see them: cut at the query, and normalised as is set up.

Source: istio.io "Authorization policy normalization"; Envoy `source/common/http/path_utility.cc`
(canonicalPath, mergeSlashes, unescapeSlashes), which canonicalises as Chromium does
(`googleurl url_canon_path.cc`).
"""

import re
from typing import Final

UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
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
    found = _resolved(_ESCAPED.sub(_decoded, found).replace("\\", "/"))
    return found if setting == "BASE" else re.sub("/{2,}", "/", found)


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
