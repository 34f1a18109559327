"""Requests as the routes of Linkerd's proxies see them: a path without its query, and that apart.

A query parameter is a header of a name that no header can have: so a route that asks for one is a
box like any other.

Source: linkerd2-proxy `linkerd/http/route/src/http/match/{path,query_param}.rs`.
"""

from urllib.parse import parse_qsl

import msgspec

from ringfence.model.layer7 import Request

MARK = "?"
"""Before the name of a query parameter."""
CAPITAL = "^"
"""Before a letter of it that is a capital: names of headers are in lower case, these are not."""


def query_header(name: str) -> str:
    """Return the name of the header that a query parameter is."""
    return MARK + "".join(CAPITAL + c.lower() if c != c.lower() else c for c in name)


def as_matched(request: Request) -> Request:
    """Return a request as routes compare it.

    Where the headers were not said, or a parameter stands there twice, of which either may be
    meant, nothing is known of parameters.
    """
    if request.path is None:
        return request
    path, _, query = request.path.partition("#")[0].partition("?")
    given = [
        (query_header(name), value) for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    headers = None
    if request.headers is not None and len({name for name, _ in given}) == len(given):
        headers = tuple(sorted((*request.headers, *given)))
    return msgspec.structs.replace(request, path=path, headers=headers)
