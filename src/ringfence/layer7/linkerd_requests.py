"""Requests as the routes of Linkerd's proxies see them: a path without its query, and that apart.

A host is in lower case, without its port and a dot at its end.

A query parameter is a header of a name that no header can have: so a route that asks for one is a
box like any other.

Source: linkerd2-proxy `linkerd/http/route/src/http/match/{host,path,query_param}.rs`.
"""

import re
from urllib.parse import parse_qsl

import msgspec

from ringfence.model.layer7 import Request

MARK = "?"
"""Before the name of a query parameter."""
NOTHING_ELSE = (MARK, "")
"""Stands for headers of which nothing was said beside the query."""
TWICE = 2
PORT = re.compile(r":[0-9]*\Z")
CAPITAL = "^"
"""Before a letter of it that is a capital: names of headers are in lower case, these are not."""


def query_header(name: str) -> str:
    """Return the name of the header that a query parameter is."""
    return MARK + "".join(CAPITAL + c.lower() if c != c.lower() else c for c in name)


def as_matched(request: Request) -> Request:
    """Return a request as routes compare it."""
    if request.host is not None:
        request = msgspec.structs.replace(request, host=_host(request.host))
    if request.path is None:
        return request
    path, _, query = request.path.partition("#")[0].partition("?")
    said = parse_qsl(query, keep_blank_values=True)
    given = [(query_header(name), value) for name, value in said]
    headers = (NOTHING_ELSE,) if request.headers is None else request.headers
    return msgspec.structs.replace(request, path=path, headers=tuple(sorted((*headers, *given))))


def _host(written: str) -> str:
    return PORT.sub("", written).removesuffix(".").lower()


def values_of(request: Request, name: str) -> list[str] | None:
    """Return what a request says of a header, or of a query parameter as one; None: nothing.

    Of a parameter that stands there twice either may be meant.
    """
    if request.headers is None or (name.startswith(MARK) and request.path is None):
        return None
    found = [value for header, value in request.headers if header.lower() == name]
    if name.startswith(MARK):
        return found if len(found) < TWICE else None
    return None if NOTHING_ELSE in request.headers else found
