"""The HTTP limit of a Calico rule against what a question says of the request.

Source: Calico `app-policy/checker/match.go` (MATCH), `libcalico-go/lib/validator/v3`
(validateHTTPMethods, validateHTTPPaths).
"""

import re
from dataclasses import dataclass
from itertools import product
from typing import Any

from ringfence.model.document import Path
from ringfence.model.layer7 import Request
from ringfence.reference import schema
from ringfence.reference.schema import NotUnderstoodError

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_STILL_ENCODED = re.compile(rb"%(2e|2f|5c)", re.IGNORECASE)
_TOLD_AS = {"exact": "path", "prefix": "path_prefix"}

Limit = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """Whether the request meets a limit, or what of the limit the question left open."""

    holds: bool
    """Whether some request that the question may mean meets it."""
    limits: tuple[Limit, ...] = ()
    """Where some may not: what it must be, one of these."""


def judge(value: Any, path: Path, request: Request) -> Answer:  # noqa: ANN401
    """Return whether a request meets `http`: any of the methods AND any of the paths.

    A list that is missing or empty restricts nothing, `*` is every method, and methods are
    compared with their case. What is no HTTP never meets it.

    Source: MATCH matchHTTP, matchHTTPMethods, matchHTTPPaths.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    given = schema.fields(value, path, ("methods", "paths"))
    methods = _methods(given.get("methods"), (*path, "methods"))
    at = (*path, "paths")
    paths = [
        _path(entry, (*at, index))
        for index, entry in enumerate(schema.items(given.get("paths"), at))
    ]
    if request.http is False:
        return Answer(holds=False)
    met_methods = [m for m in methods if request.method in (None, m)]
    met_paths = [(kind, text) for kind, text in paths if _may_be_on(request.path, kind, text)]
    if (methods and not met_methods) or (paths and not met_paths):
        return Answer(holds=False)
    left_open = (
        request.http is None
        or bool(methods and request.method is None)
        or bool(paths and request.path is None)
    )
    if not left_open:
        return Answer(holds=True)
    verbs = [{"method": method} for method in met_methods] or [{}]
    places = [{_TOLD_AS[kind]: text} for kind, text in met_paths] or [{}]
    limits = tuple({"http": {**verb, **place}} for verb, place in product(verbs, places))
    return Answer(holds=True, limits=limits)


def _methods(value: Any, path: Path) -> list[str]:  # noqa: ANN401
    """Return the methods, none where every one will do; no two may be the same."""
    found: list[str] = []
    for index, entry in enumerate(schema.items(value, path)):
        method = schema.text(entry, (*path, index))
        if method in found:
            raise NotUnderstoodError(f"`{method}` is listed twice", (*path, index))
        found.append(method)
    return [] if "*" in found else found


def _path(value: Any, path: Path) -> tuple[str, str]:  # noqa: ANN401
    """Return one entry of `paths`: `exact` or `prefix`, and its text, which begins with `/`."""
    kind, content = schema.only(value, path, ("exact", "prefix"))
    text = schema.text(content, (*path, kind))
    if not text.startswith("/") or any(sign in text for sign in "? #"):
        raise NotUnderstoodError(f"`{text}` is no path", (*path, kind))
    return kind, text


def _may_be_on(sent: str | None, kind: str, wanted: str) -> bool:
    """Return whether a path as sent, or some path, is the one wanted, or below it for a prefix.

    Both are normalised first; where either cannot be, nothing matches. A prefix ends where a
    segment ends: `/pub` is no prefix of `/public`.

    Source: MATCH matchHTTPPaths, segmentPrefixMatch.
    """
    pattern = normalised(wanted)
    found = pattern if sent is None else normalised(sent)
    if found is None or pattern is None:
        return False
    if kind == "exact" or found == pattern:
        return found == pattern
    return found.startswith(pattern.rstrip(b"/") + b"/")


def normalised(path: str) -> bytes | None:
    """Return a path as the checker compares it; None where it must not match anything.

    In this order: the query and the fragment go; percent signs are decoded once; what is still an
    encoded `.`, `/` or backslash, or a NUL, must not match; backslashes are slashes; a path must
    begin with `/`; `;…` goes from each segment; repeated slashes, `.` and `..` are resolved, and
    a slash at the end goes.

    Source: MATCH normalizeHTTPPath, stripMatrixParams.
    """
    text = re.split(r"[?#]", path, maxsplit=1)[0].encode("utf-8", "surrogatepass")
    if any(escape[1] is None for escape in _ESCAPE.finditer(text)):
        return None
    decoded = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), text)
    if _STILL_ENCODED.search(decoded) or b"\0" in decoded:
        return None
    decoded = decoded.replace(b"\\", b"/")
    if not decoded.startswith(b"/"):
        return None
    segments: list[bytes] = []
    for whole in decoded.split(b"/"):
        segment = whole.partition(b";")[0]
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    return b"/" + b"/".join(segments)
