"""HTTP rules of Cilium's policies, as Envoy enforces them.

Source: Cilium `pkg/policy/api/http.go`, `pkg/envoy/policy/envoy_l7_rules_translator.go`
(getHTTPRule); cilium/proxy `cilium/network_policy.cc` (HttpNetworkPolicyRule, HeaderMatch).
"""

from dataclasses import dataclass
from typing import Any

from ringfence.model.document import Path
from ringfence.model.layer7 import Request
from ringfence.reference import schema
from ringfence.reference.cilium_answers import Answer, Said, all_of, no, open_, unsure, yes
from ringfence.reference.schema import NotUnderstoodError

MISMATCHES = ("LOG", "ADD", "DELETE", "REPLACE")
SECRET = "what a Secret holds is not read"


@dataclass(frozen=True)
class Header:
    """One header that must be there."""

    name: str
    """Lower case."""
    value: str | None = None
    """None: with any value."""
    secret: bool = False
    """With the value that a Secret holds."""


@dataclass(frozen=True)
class HttpRule:
    """One entry of `http`: all that is given must hold, and nothing given is any request."""

    path: str = ""
    method: str = ""
    host: str = ""
    headers: tuple[Header, ...] = ()

    def meets(self, request: Request) -> Answer:
        """Return whether a request is HTTP, and of this shape.

        Each of the three regular expressions is matched against the whole: of the path with its
        query, of the method, of the host with the port if one was sent.
        """
        is_http = False if request.http is None and request.dns else request.http
        if is_http is False:
            return no()
        parts = [yes() if is_http else open_({"http": self.said()})]
        given = (
            (self.method, request.method),
            (self.path, request.path),
            (self.host, request.host),
        )
        for pattern, value in given:
            if pattern and value is None:
                parts.append(open_({"http": self.said()}))
            elif pattern and value is not None:
                parts.append(yes() if is_match(pattern, value) else no())
        for header in self.headers:
            if request.headers is None:
                told = open_({"http": self.said()})
                parts.append(unsure(SECRET) if header.secret else told)
            else:
                parts.append(_header_meets(header, request.headers))
        return all_of(parts)

    def said(self) -> Said:
        """Return the rule as an answer tells it."""
        found: Said = {}
        if self.method:
            found["method"] = self.method
        if self.path:
            found["path"] = self.path
        if self.host:
            found["host"] = self.host
        if self.headers:
            found["headers"] = {h.name: "" if h.value is None else h.value for h in self.headers}
        return found


def _header_meets(header: Header, sent: tuple[tuple[str, str], ...]) -> Answer:
    """Return whether a header was sent; several of one name are joined by commas, as Envoy does.

    Source: Envoy `source/common/http/header_utility.cc` getAllOfHeaderAsString.
    """
    values = [value for name, value in sent if name.lower() == header.name]
    if not values:
        return no()
    if header.secret:
        return unsure(SECRET)
    return yes() if header.value in (None, ",".join(values)) else no()


def is_match(pattern: str, text: str) -> bool:
    """Return whether a regular expression matches the whole of a text, in time linear in it."""
    import re2  # noqa: PLC0415 - only those who ask about layer 7 wait for it

    return re2.fullmatch(pattern, text) is not None


def read(value: Any, path: Path) -> HttpRule:  # noqa: ANN401
    """Return an entry of `http`.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    known = ("path", "method", "host", "headers", "headerMatches")
    given = schema.fields(value, path, known)
    at = (*path, "headers")
    headers = [
        _header(entry, (*at, index))
        for index, entry in enumerate(schema.items(given.get("headers"), at))
    ]
    at = (*path, "headerMatches")
    for index, entry in enumerate(schema.items(given.get("headerMatches"), at)):
        found = _header_match(entry, (*at, index))
        if found is not None:
            headers.append(found)
    return HttpRule(
        path=_pattern(given.get("path"), (*path, "path")),
        method=_pattern(given.get("method"), (*path, "method")),
        host=_pattern(given.get("host"), (*path, "host")),
        headers=tuple(headers),
    )


def _pattern(value: Any, path: Path) -> str:  # noqa: ANN401
    import re2  # noqa: PLC0415 - only those whose policies have HTTP rules wait for it

    written = schema.text("" if value is None else value, path)
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(written, options)
    except re2.error as error:
        raise NotUnderstoodError(f"`{written}` is no regular expression: {error}", path) from None
    return written


def _header(value: Any, path: Path) -> Header:  # noqa: ANN401
    """Return a header written as `Name: value`, or as `Name` where it only must be there."""
    name, space, wanted = schema.text(value, path).partition(" ")
    if not name:
        raise NotUnderstoodError("must name a header", path)
    return Header(name.rstrip(":").lower(), wanted) if space else Header(name.lower())


def _header_match(value: Any, path: Path) -> Header | None:  # noqa: ANN401
    """Return what an entry of `headerMatches` asks for; None where a mismatch has no say.

    A `mismatch` (LOG, ADD, DELETE, REPLACE) lets the request pass all the same. Without one, the
    header must have the value given, or that of the Secret; without either it must be there.
    """
    given = schema.fields(value, path, ("name", "value", "secret", "mismatch"))
    name = schema.text(schema.required(given, "name", path), (*path, "name"))
    if not name:
        raise NotUnderstoodError("must name a header", (*path, "name"))
    wanted = schema.text(given.get("value", ""), (*path, "value"))
    if "secret" in given:
        at = (*path, "secret")
        secret = schema.fields(given["secret"], at, ("namespace", "name"))
        schema.text(schema.required(secret, "name", at), (*at, "name"))
        schema.text(secret.get("namespace", ""), (*at, "namespace"))
    mismatch = given.get("mismatch", "")
    if mismatch:
        schema.choice(mismatch, (*path, "mismatch"), MISMATCHES)
        return None
    return Header(name.lower(), wanted or None, secret="secret" in given)
