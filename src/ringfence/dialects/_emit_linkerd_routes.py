"""Requests of several clients as routes, of which every request goes by one alone.

Of the routes that match a request Linkerd chooses the one with the longest path, then one that asks
for a method; only whom that one authorizes is let in. So whoever may send what a route is for is
authorized on it, also where it was another's request that made it necessary.

Authority: linkerd2-proxy `linkerd/http/route/src/http/match.rs`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ringfence.model.layer7 import Form, HttpMatch, Text, exact

Client = TypeVar("Client")
Asked = HttpMatch

ROOT: Final = Text(Form.PREFIX, "/")
METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
NO_PATH: Final = frozenset("?#*")


@dataclass(frozen=True)
class Routed(Generic[Client]):
    """A route, and whom it lets in."""

    matches: list[dict[str, Any]]
    who: frozenset[Client]


def is_sayable(http: HttpMatch) -> bool:
    """Return whether routes can stand for some requests."""
    methods = {method.value for method in http.methods or ()}
    plain = all(
        path.form in (Form.EXACT, Form.PREFIX)
        and NO_PATH.isdisjoint(path.value)
        and (path.form is Form.EXACT or (path.value.endswith("/") and path.value[-2:] != "//"))
        for path in http.paths or ()
    )
    return plain and methods <= METHODS and http.hosts is None and not http.headers


def routed(
    asked: Iterable[tuple[Client, HttpMatch]], *, others_may: bool
) -> Iterator[Routed[Client]]:
    """Yield the routes by which clients may send what they ask for, and nothing else.

    A prefix of Linkerd's ends at a slash and holds what has no slash behind it, too: `/v1` is in
    `/v1/*`. So that alone has routes of its own, for each method; of two routes that are as good
    the one that comes first is chosen.

    Args:
        asked: clients, each with some requests.
        others_may: whether anybody else may send whatever there is: without a route for it nobody
            can.
    """
    listed = [(who, path, _methods(http)) for who, http in asked for path in http.paths or (ROOT,)]
    paths = {path for _, path, _ in listed}
    bare = {exact(p.value[:-1]) for p in paths if p.form is Form.PREFIX and p != ROOT}
    every = {method for _, _, methods in listed for method in methods or ()}
    for path in sorted({*paths, *bare, *((ROOT,) if others_may else ())}):
        here = [(who, methods) for who, own, methods in listed if _holds(own, path)]
        named = sorted({method for _, methods in here for method in methods or ()})
        if path in bare:
            named = sorted(every)
        for method in named:
            who = frozenset(w for w, methods in here if methods is None or method in methods)
            yield Routed([_match(path, method)], who)
        others = frozenset(w for w, methods in here if methods is None)
        if others or path != ROOT or others_may:
            yield Routed([_match(path, None)], others)


def _methods(http: HttpMatch) -> frozenset[str] | None:
    return None if http.methods is None else frozenset(m.value for m in http.methods)


def _holds(whole: Text, part: Text) -> bool:
    """Return whether one pattern of paths holds all that another does."""
    if whole.form is Form.PREFIX:
        return part.value.startswith(whole.value)
    return whole == part


def _match(path: Text, method: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"path": _path(path)}
    if method is not None:
        found["method"] = method
    return found


def _path(path: Text) -> dict[str, str]:
    if path.form is Form.EXACT:
        return {"type": "Exact", "value": path.value}
    return {"type": "PathPrefix", "value": path.value.rstrip("/") or "/"}
