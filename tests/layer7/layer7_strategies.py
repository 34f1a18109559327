"""Random patterns, strings and boxes, and what RE2 says of them."""

import functools

import re2
from hypothesis import strategies as st

from ringfence.layer7.names import matches
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HeaderMatch,
    HttpMatch,
    Layer7,
    Request,
    Text,
    Wildcard,
    exact,
)

LETTERS = "aAbkK\u212as\u017f09_-./ \n\r\t\v\0\x7f\u00e9\U0001f600"
STRINGS = st.text(LETTERS, max_size=8)

# -- regular expressions ---------------------------------------------------------------------------

_ATOMS = st.sampled_from(
    [
        *("a", "b", "K", "s", "0", "_", "/", " ", "\u00e9", ".", r"\.", r"\d", r"\D", r"\s", r"\S"),
        *(
            r"\w",
            r"\W",
            r"\n",
            r"\t",
            r"\v",
            r"\x41",
            r"\x{61}",
            r"\060",
            r"\-",
            r"\Qa.b*\E",
            r"\z",
        ),
        *("[ab]", "[^ab]", "[a-k]", "[^a-k0]", r"[\d_]", r"[^\W]", r"[\D]", "[[:alpha:]]"),
        *("[[:^digit:]x]", "[]a]", "[^]a]", "[a-]", "[-a]", "[a-c-e]", r"[\n\x{e9}]", "^", "$"),
        *(r"\A", "[[:space:]]", r"[\-_]", "[+--]", "{", "a{,2}", "]", "}", "()", "[[:word:]]"),
    ]
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    grouped = st.one_of(
        inner.map(lambda p: f"({p})"),
        inner.map(lambda p: f"(?:{p})"),
        inner.map(lambda p: f"(?P<name>{p})"),
        inner.map(lambda p: f"(?i:{p})"),
        inner.map(lambda p: f"(?i){p}"),
        inner.map(lambda p: f"(?s-i:{p})"),
        inner.map(lambda p: f"(?sU){p}"),
    )
    repeated = st.builds(
        str.__add__,
        st.one_of(grouped, _ATOMS),
        st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{0}", "{1,3}?"]),
    )
    return st.one_of(
        grouped,
        repeated,
        st.lists(inner, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
    )


REGEXES = st.recursive(_ATOMS, _grown, max_leaves=8)
"""Mostly valid: some pieces do not fit together."""

NOISE = st.lists(
    st.one_of(_ATOMS, st.sampled_from([*r"(){}[]|*+?^$\-,:<>=!abPQEdpxisUzbB019"])), max_size=9
).map("".join)
"""Mostly invalid."""


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> "re2._Regexp | None":
    """Return a pattern as RE2 has it; None where it is invalid."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def holds(pattern: Text, string: str) -> bool:
    """Return whether a pattern holds for a string, by what its form says and RE2."""
    match pattern.form:
        case Form.EXACT:
            return string == pattern.value
        case Form.PREFIX:
            return string.startswith(pattern.value)
        case Form.SUFFIX:
            return string.endswith(pattern.value)
        case Form.SEGMENTS:
            stem = pattern.value.rstrip("/")
            return string == stem or string.startswith(f"{stem}/")
        case Form.REGEX:
            regex = compiled(pattern.value)
            assert regex is not None
            return regex.fullmatch(string) is not None


# -- texts and domain patterns ---------------------------------------------------------------------

PATHS = st.lists(st.sampled_from(["/", "a", "b", "/a", ".js"]), min_size=1, max_size=4).map("".join)

_PATH_REGEXES = st.sampled_from(
    [
        "/a.*",
        "/[ab]+",
        ".*b",
        "/a(/.*)?",
        "/(a|b)/.*",
        "[^/]*",
        "/a{1,2}",
        "/.+",
        ".*/b/.*",
        "/a",
        r"/[-\]^a\\.]+",
    ]
)
TEXTS = st.one_of(
    st.builds(Text, st.sampled_from([Form.EXACT, Form.PREFIX, Form.SUFFIX, Form.SEGMENTS]), PATHS),
    _PATH_REGEXES.map(lambda value: Text(Form.REGEX, value)),
)

NAMES = st.lists(
    st.sampled_from(["a", "b", "ab", "aa", "io", "x-1", "_x"]), min_size=1, max_size=4
).map(".".join)

_COMPONENTS = st.sampled_from(["*", "**", "a", "b", "ab", "io", "a*", "*b", "*a*b", "***", "a*a"])
DOMAINS = st.builds(
    DomainPattern,
    st.lists(_COMPONENTS, min_size=1, max_size=4).map(".".join),
    st.sampled_from(Wildcard),
)

# -- boxes -----------------------------------------------------------------------------------------

_METHODS = st.sampled_from(
    [
        exact("GET"),
        exact("POST"),
        Text(Form.REGEX, "P.*"),
        Text(Form.REGEX, "GET|HEAD"),
        Text(Form.REGEX, ".*[^-A]T"),
    ]
)
_HOSTS = st.sampled_from([exact("x"), Text(Form.SUFFIX, ".x"), Text(Form.REGEX, r"[a-z.]+(:\d+)?")])
_HEADERS = st.builds(
    HeaderMatch,
    st.sampled_from(["x-a", "x-b"]),
    st.sampled_from([None, exact("1"), Text(Form.PREFIX, "1"), exact("")]),
)


def _tuples(elements: st.SearchStrategy[Text]) -> st.SearchStrategy[tuple[Text, ...] | None]:
    return st.none() | st.lists(elements, min_size=1, max_size=2).map(tuple)


_HTTP = st.builds(
    HttpMatch,
    methods=_tuples(_METHODS),
    paths=_tuples(TEXTS),
    hosts=st.none() | _tuples(_HOSTS),
    headers=st.just(()) | st.lists(_HEADERS, max_size=2).map(tuple),
)
_CILIUM = DOMAINS.map(lambda domain: DomainPattern(domain.pattern, Wildcard.CILIUM))
_NAMED = st.none() | st.none() | st.lists(_CILIUM, min_size=1, max_size=2).map(tuple)

BOXES = st.builds(
    Layer7,
    http=st.none() | _HTTP | _HTTP,
    dns=_NAMED,
    server_names=_NAMED,
    authenticated=st.sampled_from([False, False, True]),
    mtls=st.sampled_from([False, False, True]),
)

HTTP_BOXES = st.builds(Layer7, http=_HTTP)

REQUESTS = st.one_of(
    st.builds(
        Request,
        http=st.just(True),
        method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "P"]),
        path=PATHS,
        host=st.sampled_from(["x", "a.x", "a.x:80", "A"]),
        headers=st.sampled_from(
            [(), (("x-a", "1"),), (("x-a", ""), ("x-b", "12")), (("x-b", "2"), ("x-c", "1"))]
        ),
        dns=st.just("") | NAMES,
        sni=st.just("") | NAMES,
        authenticated=st.booleans(),
        mtls=st.booleans(),
    ),
    st.builds(
        Request,
        http=st.just(False),
        dns=st.just("") | NAMES,
        sni=st.just("") | NAMES,
        authenticated=st.booleans(),
        mtls=st.booleans(),
    ),
)
"""Requests of which everything is said."""


def box_holds(box: Layer7, request: Request) -> bool:
    """Return whether a box holds for a request of which everything is said."""
    if box.http is not None and not (request.http and _http_holds(box.http, request)):
        return False
    for patterns, name in ((box.dns, request.dns), (box.server_names, request.sni)):
        if patterns is not None and not any(matches(one, name or "") for one in patterns):
            return False
    if box.mtls and not request.mtls:
        return False
    return bool(request.authenticated) or not box.authenticated


def _http_holds(match: HttpMatch, request: Request) -> bool:
    listed = (
        (match.methods, request.method),
        (match.paths, request.path),
        (match.hosts, request.host),
    )
    for patterns, said in listed:
        if patterns is not None and not any(holds(one, said or "") for one in patterns):
            return False
    sent = dict(request.headers or ())
    return all(
        header.name in sent and (header.value is None or holds(header.value, sent[header.name]))
        for header in match.headers
    )
