"""How Istio's Envoy normalises a path before it is compared.

Source: istio/api `mesh/v1alpha1/config.proto` ProxyPathNormalization; Istio
`pilot/pkg/networking/core/listener_builder.go`; Envoy `source/common/http/path_utility.cc`
(canonicalPath, mergeSlashes, unescapeSlashes) since 1.36.10, 1.37.6, 1.38.4, 1.39.1.
"""

import re
import string

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(r'["<>^`{|}]')
_PARAMETERS = re.compile(r"(?<=/)(\.\.?);[^/]*")
_SLASHES = re.compile(r"%2[fF]|%5[cC]")


def normalised(path: str, normalization: str) -> str:
    r"""Return a path as policies are compared with it: without its query, normalised as set up.

    - NONE: as it was sent.
    - BASE: `\` becomes `/`, escapes of unreserved characters are decoded once, a few characters
      that no path may have are escaped, `.` and `..` are resolved, also with parameters
      (`..;a=b`). Slashes that repeat stay, and so do `%2F` and `%5C`.
    - MERGE_SLASHES: then slashes that repeat become one; a path of nothing else becomes two.
    - DECODE_AND_MERGE_SLASHES: before all that `%2F` and `%5C` become slashes.
    """
    plain = re.split(r"[?#]", path, maxsplit=1)[0]
    if normalization == "NONE":
        return plain
    if normalization == "DECODE_AND_MERGE_SLASHES":
        plain = _SLASHES.sub("/", plain)
    plain = _PARAMETERS.sub(r"\1", plain)
    plain = _ESCAPE.sub(_decoded, plain).replace("\\", "/")
    plain = _UNSAFE.sub(lambda sign: f"%{ord(sign[0]):02X}", plain)
    plain = _resolved(plain)
    if normalization in ("MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"):
        plain = re.sub("/+", "/", plain) if plain.strip("/") else plain[:2]
    return plain


def _decoded(escape: re.Match[str]) -> str:
    sign = chr(int(escape[1], 16))
    return sign if sign in _UNRESERVED else escape[0]


def _resolved(path: str) -> str:
    """Return a path without `.` and `..`; where one of them came last, a slash ends it."""
    if not path.startswith("/"):
        return path
    segments: list[str] = []
    parts = path.split("/")[1:]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "..":
            del segments[-1:]
        if part not in (".", ".."):
            segments.append(part)
        elif last:
            segments.append("")
    return "/" + "/".join(segments)
