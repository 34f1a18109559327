"""Whether a request of which everything is said is within limits, without any of the set algebra.

Strings are matched by what the forms of patterns say, expressions by RE2, and what Calico and
Cilium make of paths and names by what the literal judge knows of it.
"""

from ringfence.model.connectivity import Allowance
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HttpMatch,
    Layer7,
    Request,
    Text,
    Wildcard,
)
from ringfence.model.profile import Cni
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
    return bool(name) and any(
        cilium_names.matches(name or "", one.pattern, VERSIONS[one.wildcard]) for one in patterns
    )


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
    wanted, found = calico_http.normalised(pattern.value), calico_http.normalised(sent)
    assert wanted is not None
    if found is None or pattern.form is Form.EXACT:
        return found == wanted
    assert pattern.form is Form.SEGMENTS
    return found == wanted or found.startswith(wanted.rstrip(b"/") + b"/")
