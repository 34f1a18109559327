"""What a map's requests mean where a language enforces them.

Written apart from `ringfence.learn.limits` and from the emitters: what one of them misreads, the
proof shows.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from ringfence.learn.dependency_map import HttpRequest
from ringfence.learn.wishes import CALICO, CILIUM, ISTIO, LINKERD, MESHES
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text, exact
from ringfence.model.rule import Direction

Boxes = tuple[Layer7, ...]

_REWRITTEN: Final = ("//", "/./", "/../")
_PATTERNS: Final = frozenset("{}*?#")
_STANDARD: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
)
_DECODED: Final = frozenset("%\\;?# \0")


def limits(http: Iterable[HttpRequest], direction: Direction, dialect: str) -> Boxes | None:
    """Return to what a language limits a dependency in one direction; None: to nothing.

    NetworkPolicies look into no request; Calico looks into those that come in; Cilium into all,
    at the path as it was sent, with its query; meshes into those that come in, without the query.
    """
    listed = tuple(http)
    if not listed or (dialect, direction) not in _LIMITED:
        return None
    if dialect == LINKERD:
        listed = tuple(request for request in listed if _is_routed(request))
    paths = {CALICO: _cleaned, ISTIO: _cut, LINKERD: _cut}.get(dialect, _sent)
    found = []
    for request in listed:
        texts = tuple(paths(request.path)) if request.path else None
        if dialect in (CALICO, LINKERD) and request.path == "/*" and request.methods:
            # Every path is said there by the methods alone.
            texts = None
        methods = tuple(map(exact, request.methods)) or None
        if texts != ():
            found.append(Layer7(http=HttpMatch(methods=methods, paths=texts)))
    return tuple(found)


def stated(boxes: Boxes | None, direction: Direction, dialect: str) -> Boxes | None:
    """Return the same for limits that generation states in common form."""
    found = []
    for box in boxes or ():
        http = box.http or HttpMatch()
        methods = tuple(method.value for method in http.methods or ())
        if http.paths is None and dialect in MESHES:
            found.append(HttpRequest(methods))
            continue
        for path in http.paths or (Text(Form.PREFIX, "/"),):
            star = "*" if path.form is Form.PREFIX else ""
            found.append(HttpRequest(methods, path.value + star))
    return limits(found, direction, dialect)


_LIMITED: Final = frozenset(
    {
        (CALICO, Direction.INGRESS),
        (CILIUM, Direction.INGRESS),
        (CILIUM, Direction.EGRESS),
        (ISTIO, Direction.INGRESS),
        (LINKERD, Direction.INGRESS),
    }
)


def _sent(path: str) -> Iterator[Text]:
    """Yield the paths that are meant, as they are sent: any query may follow."""
    if path.endswith("*"):
        yield Text(Form.PREFIX, path[:-1])
    else:
        yield exact(path)
        yield Text(Form.PREFIX, f"{path}?")


def _is_routed(request: HttpRequest) -> bool:
    """Return whether routes of Linkerd can stand for a request.

    They know some methods alone, and of paths whole segments.

    Source: linkerd2 `charts/linkerd-crds/templates/policy/httproute.yaml`.
    """
    stem = request.path.removesuffix("*")
    whole = stem == request.path or (stem.endswith("/") and not stem.endswith("//"))
    return whole and _STANDARD.issuperset(request.methods)


def _cut(path: str) -> Iterator[Text]:
    """Yield the paths that are meant, as proxies of a mesh look at them: without the query.

    What stands for a pattern in their languages, or never reaches their rules, means nothing.
    """
    whole = path.removesuffix("*")
    if _PATTERNS.isdisjoint(whole):
        yield Text(Form.PREFIX, whole) if path.endswith("*") else exact(whole)


def _cleaned(path: str) -> Iterator[Text]:
    """Yield the paths that are meant, as Calico has cleaned them before it looks at them.

    A prefix ends at a slash there, and `/v1/` is the same as `/v1`; what cleaning would have
    changed is never met.
    Source: Calico `app-policy/checker/match.go`.
    """
    whole = path.removesuffix("*")
    stem = whole.rstrip("/")
    if any(part in f"{stem}/" for part in _REWRITTEN) or not _DECODED.isdisjoint(stem):
        return
    if not path.endswith("*"):
        yield exact(stem or "/")
    elif not stem:
        yield Text(Form.PREFIX, whole)
    else:
        yield Text(Form.SEGMENTS, stem)
