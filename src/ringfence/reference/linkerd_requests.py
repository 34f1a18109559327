"""Which route a request takes; and for a question that leaves things open, what to try.

A question is judged by requests of which everything is said: its own where it says everything,
else one for each thing that some route matches, and one that nothing matches.

Source: linkerd2-proxy `linkerd/http/route/src/{lib,http/match,http/match/path,http/match/host,
http/match/header,http/match/query_param,grpc/match}.rs`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from ringfence.model.layer7 import Request
from ringfence.reference.linkerd_routes import (
    GrpcMatch,
    HttpMatch,
    Pattern,
    Route,
    RouteMatch,
    RouteRule,
)

OTHER_METHOD = "OTHER"
OTHER_SEGMENT = "~"
OTHER_HOST = "~.invalid"
"""What no route is expected to name."""


@dataclass(frozen=True)
class Some:
    """A text that one expression matches and nothing else names: which, is of no interest."""

    expression: str


Said = str | Some


@dataclass(frozen=True)
class Sent:
    """A request of which everything is said."""

    method: str
    path: Said
    """Without its query."""
    parameters: tuple[tuple[str, Said], ...] = ()
    host: str = ""
    headers: tuple[tuple[str, Said], ...] = ()
    """Names in lower case."""


Rank = tuple[tuple[int, ...], tuple[int, ...]]
"""How closely a route matches; the greater the closer."""


def choose(routes: Sequence[Route], sent: Sent) -> tuple[Route, RouteRule] | None:
    """Return the rule that a request takes, of the routes in their order; None for a 404.

    The closest match: by host first, and a route with hosts that match before all without; then
    by the match within. Of equals the earlier route, and in it the earlier rule.

    Source: linkerd/http/route/src/lib.rs find, best, first_max.
    """
    best: tuple[Rank, Route, RouteRule] | None = None
    for route in routes:
        by_host = max((host_rank(host, sent.host) for host in route.hosts), default=())
        if route.hosts and not by_host:
            continue
        for rule in route.rules:
            ranks = [found for one in rule.matches if (found := rank(one, sent)) is not None]
            if not rule.matches:
                # Anything at all, even what is no call; no closer than a prefix of `/`.
                ranks = [(0, 0, 0) if route.grpc else (1, 0, 0, 0)]
            if ranks and (best is None or (by_host, max(ranks)) > best[0]):
                best = (by_host, max(ranks)), route, rule
    return best[1:] if best else None


def host_rank(pattern: str, host: str) -> tuple[int, ...]:
    """Return how closely a host is matched; nothing where it is not.

    The port that was sent counts for nothing, nor does case. `*.` stands for one label or more;
    a name that is written out is closer than any suffix, and the longer one is closer.

    Source: linkerd/http/route/src/http/match/host.rs.
    """
    name = re.sub(r":\d*$", "", host.rpartition("@")[2]).lower()
    if not pattern.endswith("."):
        name = name.removesuffix(".")
    if not pattern.startswith("*."):
        return (1, len(pattern)) if name == pattern else ()
    suffix = pattern[1:]
    return (0, len(suffix)) if name.endswith(suffix) else ()


def rank(match: RouteMatch, sent: Sent) -> tuple[int, ...] | None:
    """Return how closely a request is matched; None where it is not.

    HTTP: by the length of the path that matched (whichever form it has), whether the method is
    named, how many headers are, how many parameters. gRPC, which is always POST: by the lengths
    of the service and of the method, and how many headers are named.

    Source: linkerd/http/route/src/http/match.rs (Ord of RequestMatch), grpc/match.rs.
    """
    if not all(_is_among(one, sent.headers) for one in match.headers):
        return None
    if isinstance(match, HttpMatch):
        length = 1 if match.path is None else path_length(match.path, sent.path)
        if length is None or match.method not in ("", sent.method):
            return None
        if not all(_is_among(one, sent.parameters) for one in match.parameters):
            return None
        return length, int(bool(match.method)), len(match.headers), len(match.parameters)
    parts = sent.path.split("/") if isinstance(sent.path, str) else []
    if sent.method != "POST" or len(parts) < 3 or parts[0]:
        return None
    if match.service not in ("", parts[1]) or match.method not in ("", parts[2]):
        return None
    return len(match.service), len(match.method), len(match.headers)


def path_length(pattern: Pattern, path: Said) -> int | None:
    """Return how much of a path a pattern matches; None where it does not.

    A prefix ends where a segment does; slashes at the end of either count for nothing. An
    expression must match the whole, and counts as long as the path is. Nothing is normalised.

    Source: linkerd/http/route/src/http/match/path.rs.
    """
    if isinstance(path, Some):
        if pattern.form == "RegularExpression" and pattern.value == path.expression:
            return 2
        return 1 if (pattern.form, pattern.value) == ("PathPrefix", "/") else None
    match pattern.form:
        case "Exact":
            return len(path) if path == pattern.value else None
        case "RegularExpression":
            return len(path) if is_whole(pattern.value, path) else None
        case _:
            prefix = pattern.value.rstrip("/")
            if pattern.value == "/":
                return 1
            whole = path.rstrip("/")
            inside = whole == prefix or whole.startswith(f"{prefix}/")
            return len(prefix) if inside else None


def is_whole(expression: str, text: str) -> bool:
    """Return whether the first match of an expression in a text is all of it.

    Source: linkerd/http/route/src/http/match/path.rs, header.rs (`find`, then both ends).
    """
    import re2  # noqa: PLC0415 - only those who ask about layer 7 wait for it

    found = re2.search(expression, text)
    return found is not None and found.span() == (0, len(text))


def _is_among(pattern: Pattern, sent: tuple[tuple[str, Said], ...]) -> bool:
    """Return whether any of the headers, or parameters, of a name has a value."""
    for name, value in sent:
        if name != pattern.name:
            continue
        if isinstance(value, Some):
            if pattern.form == "RegularExpression" and pattern.value == value.expression:
                return True
        elif pattern.form == "Exact":
            if value == pattern.value:
                return True
        elif is_whole(pattern.value, value):
            return True
    return False


# -- open questions ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """One request to be judged, and what an answer says of all that are like it."""

    sent: Sent | None
    """None for what is no HTTP."""
    like: dict[str, Any]
    server_name: str = ""
    """Of TLS, where it is that; empty: it is not, or there is none."""


NOT_HTTP = Trial(None, {"except": {"http": {}}})


def trials(routes: Sequence[Route], request: Request) -> list[Trial]:
    """Return the requests that a question may mean, as far as routes tell them apart.

    For each match one that meets it and, where possible, nothing else; one that meets none; and
    one that is no HTTP. What is HTTP is so to the proxies: a server name makes no difference.
    """
    if request.http is False or (request.http is None and request.dns):
        return [NOT_HTTP]
    found = [] if request.http else [NOT_HTTP]
    wanted: list[tuple[str, RouteMatch]] = [("", HttpMatch())]
    for route in routes:
        anything: RouteMatch = GrpcMatch() if route.grpc else HttpMatch()
        for rule in route.rules:
            for match in rule.matches or (anything,):
                wanted += [(host, match) for host in route.hosts or ("",)]
    for host, match in wanted:
        for sent in _meeting(host, match, request):
            if all(sent != one.sent for one in found):
                found.append(Trial(sent, {"http": _told(host, match)}))
    return found


def _meeting(host: str, match: RouteMatch, request: Request) -> Iterator[Sent]:
    """Yield requests that meet a match, in what the question leaves open."""
    name = host.replace("*.", f"{OTHER_SEGMENT}.", 1) or OTHER_HOST
    headers: tuple[tuple[str, Said], ...] = tuple(map(_met, match.headers))
    if isinstance(match, GrpcMatch):
        method = "POST"
        service, call = (part or OTHER_SEGMENT for part in (match.service, match.method))
        paths: list[Said] = [f"/{service}/{call}"]
        parameters: tuple[tuple[str, Said], ...] = ()
    else:
        method = match.method or OTHER_METHOD
        paths = _paths(match.path)
        parameters = tuple(map(_met, match.parameters))
    if request.path is not None:
        path, _, query = request.path.partition("#")[0].partition("?")
        paths, parameters = [path], tuple(parse_qsl(query, keep_blank_values=True))
    for tried in paths:
        yield Sent(
            method=method if request.method is None else request.method,
            path=tried,
            parameters=parameters,
            host=name if request.host is None else request.host,
            headers=headers if request.headers is None else request.headers,
        )


def _paths(pattern: Pattern | None) -> list[Said]:
    if pattern is None:
        return [f"/{OTHER_SEGMENT}"]
    match pattern.form:
        case "Exact":
            return [pattern.value]
        case "RegularExpression":
            return [Some(pattern.value)]
        case _:
            return [pattern.value, f"{pattern.value.rstrip('/')}/{OTHER_SEGMENT}"]


def _met(pattern: Pattern) -> tuple[str, Said]:
    if pattern.form == "Exact":
        return pattern.name, pattern.value
    return pattern.name, Some(pattern.value)


def _told(host: str, match: RouteMatch) -> dict[str, Any]:
    """Return a match as an answer tells it."""
    said: dict[str, Any] = {}
    if isinstance(match, GrpcMatch):
        said["method"] = "POST"
        if match.service and match.method:
            said["path"] = f"/{match.service}/{match.method}"
        elif match.service:
            said["path_segments"] = f"/{match.service}"
    else:
        if match.method:
            said["method"] = match.method
        if match.path and match.path != Pattern("/", "PathPrefix"):
            forms = {"Exact": "path", "PathPrefix": "path_segments"}
            said[forms.get(match.path.form, "path_regex")] = match.path.value
    if host:
        said["host_suffix" if host.startswith("*.") else "host"] = host.removeprefix("*")
    if match.headers:
        said["headers"] = {
            one.name: one.value if one.form == "Exact" else {"regex": one.value}
            for one in match.headers
        }
    return said
