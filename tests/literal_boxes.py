"""Whether a request of which everything is said is within limits, without any of the set algebra.

Strings are matched by what the forms of patterns say, expressions by RE2, and what Calico and
Cilium make of paths and names by what the literal judge knows of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ringfence.model.connectivity import Allowance
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HeaderMatch,
    HttpMatch,
    Layer7,
    Request,
    Text,
    Wildcard,
)
from ringfence.model.profile import Cni, Profile, older_than
from ringfence.reference import calico_http, cilium_http, cilium_names

VERSIONS = {Wildcard.CILIUM: "", Wildcard.CILIUM_BEFORE_1_19: "1.18.0"}


def admits(allowance: Allowance, request: Request, cni: Cni) -> bool:
    """Return whether a request is within what an allowance is limited to."""
    allowed = allowance.l7 is None or any(holds(box, request, cni) for box in allowance.l7)
    return allowed and not any(holds(box, request, cni) for box in allowance.l7_except)


def holds(box: Layer7, request: Request, cni: Cni) -> bool:
    """Return whether a request is within a box."""
    if box.http is not None and not (request.http and _http(box.http, request, cni)):
        return False
    if box.dns is not None and not _named(box.dns, request.dns):
        return False
    if box.server_names is not None and not _named(box.server_names, request.sni):
        return False
    return bool(request.authenticated) or not box.authenticated


def _http(match: HttpMatch, request: Request, cni: Cni) -> bool:
    for patterns, said in ((match.methods, request.method), (match.hosts, request.host)):
        if patterns is not None and not any(_text(one, said or "") for one in patterns):
            return False
    on_path = _calico_path if cni is Cni.CALICO else _text
    if match.paths is not None and not any(on_path(p, request.path or "") for p in match.paths):
        return False
    for header in match.headers:
        values = [value for name, value in request.headers or () if name == header.name]
        if not values:
            return False
        if header.value is not None and not _text(header.value, ",".join(values)):
            return False
    return True


def _named(patterns: tuple[DomainPattern, ...], name: str | None) -> bool:
    return bool(name) and any(_is_named(one, name or "") for one in patterns)


def _is_named(one: DomainPattern, name: str) -> bool:
    if one.wildcard is not Wildcard.LABELS:
        return cilium_names.matches(name, one.pattern, VERSIONS[one.wildcard])
    if one.pattern == "*" or not one.pattern.startswith("*."):
        return one.pattern in ("*", name)
    return name.endswith(one.pattern[1:]) and name != one.pattern[1:]


def _text(pattern: Text, text: str) -> bool:
    match pattern.form:
        case Form.EXACT:
            return text == pattern.value
        case Form.PREFIX:
            return text.startswith(pattern.value)
        case Form.SUFFIX:
            return text.endswith(pattern.value)
        case Form.SEGMENTS:
            stem = pattern.value.removesuffix("/")
            return text == stem or text.startswith(f"{stem}/")
        case Form.REGEX:
            return cilium_http.is_match(pattern.value, text)


def _calico_path(pattern: Text, sent: str) -> bool:
    if pattern.form not in (Form.EXACT, Form.SEGMENTS):
        return _text(pattern, sent)  # of a mesh that stands beside Calico
    wanted, found = calico_http.normalised(pattern.value), calico_http.normalised(sent)
    assert wanted is not None
    if found is None or pattern.form is Form.EXACT:
        return found == wanted
    assert pattern.form is Form.SEGMENTS
    return found == wanted or found.startswith(wanted.rstrip(b"/") + b"/")


# -- what answers say ------------------------------------------------------------------------------


def within(limits: Iterable[Mapping[str, Any]], request: Request, profile: Profile) -> bool:
    """Return whether a request is within `limited_to` of an answer.

    That is the union of what it lists, without what stands below `except`.
    """
    allowed, taken = [], []
    for limit in limits:
        if "except" in limit:
            taken.append(read(limit["except"], profile))
        else:
            allowed.append(read(limit, profile))
    any_allowed = not allowed or any(holds(box, request, profile.cni) for box in allowed)
    return any_allowed and not any(holds(box, request, profile.cni) for box in taken)


def read(limit: Mapping[str, Any], profile: Profile) -> Layer7:
    """Return the box that an answer writes in the contract's shape."""
    assert limit.keys() <= {"http", "dns", "tls", "authenticated"}, limit
    http = limit.get("http")
    return Layer7(
        http=None if http is None else _read_http(http),
        dns=_read_names(limit.get("dns", {}).get("query"), profile),
        server_names=_read_names(limit.get("tls", {}).get("server_name"), profile),
        authenticated=limit.get("authenticated", False),
    )


def _read_http(http: Mapping[str, Any]) -> HttpMatch:
    headers = [
        HeaderMatch(name, _read_header(value))
        for name, values in http.get("headers", {}).items()
        for value in (values if isinstance(values, list) else [values])
    ]
    methods, paths, hosts = (_read_texts(http, name) for name in ("method", "path", "host"))
    return HttpMatch(methods, paths, hosts, tuple(headers))


def _read_texts(http: Mapping[str, Any], name: str) -> tuple[Text, ...] | None:
    keys = {name: Form.EXACT} | {f"{name}_{form.value}": form for form in Form}
    found = {key: http[key] for key in keys if key in http}
    if not found:
        return None
    return tuple(
        Text(keys[key], value)
        for key, values in found.items()
        for value in (values if isinstance(values, list) else [values])
    )


def _read_header(value: object) -> Text | None:
    if value is True:
        return None
    if isinstance(value, Mapping):
        ((form, text),) = value.items()
        return Text(Form(form), text)
    assert isinstance(value, str)
    return Text(Form.EXACT, value)


def _read_names(
    names: str | Sequence[str] | None, profile: Profile
) -> tuple[DomainPattern, ...] | None:
    if names is None:
        return None
    old = older_than(profile.version, 1, 19)
    wildcard = Wildcard.CILIUM_BEFORE_1_19 if old else Wildcard.CILIUM
    listed = [names] if isinstance(names, str) else names
    return tuple(DomainPattern(name, wildcard) for name in listed)
