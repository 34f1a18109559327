"""Boxes as answers have them: the contract's JSON, and text for people."""

from collections.abc import Iterable
from typing import Any

from ringfence.layer7.forms import canonical
from ringfence.model.layer7 import DomainPattern, Form, HeaderMatch, HttpMatch, Layer7, Text

_SUFFIXES = {
    Form.EXACT: "",
    Form.PREFIX: "_prefix",
    Form.SUFFIX: "_suffix",
    Form.SEGMENTS: "_segments",
    Form.REGEX: "_regex",
}


def to_json(box: Layer7) -> dict[str, Any]:
    """Return a box in the contract's shape: `{"http": {"method": "POST", "path": "/v1"}}`.

    Of `path`, `path_prefix`, `path_suffix`, `path_segments` and `path_regex` one must hold, as of
    a list's elements; likewise for `method` and `host`. All of `headers` must.
    """
    found: dict[str, Any] = {}
    if box.http is not None:
        found["http"] = _http(box.http)
    if box.dns is not None:
        found["dns"] = {"query": _few([one.pattern for one in box.dns])}
    if box.server_names is not None:
        found["tls"] = {"server_name": _few([one.pattern for one in box.server_names])}
    if box.authenticated:
        found["authenticated"] = True
    if box.mtls:
        found["mtls"] = True
    return found


def _http(match: HttpMatch) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, texts in (("method", match.methods), ("path", match.paths), ("host", match.hosts)):
        if texts is not None and not texts:
            found[name] = []
        for form, suffix in _SUFFIXES.items():
            simple = map(canonical, texts or ())
            values = [text.value for text in simple if text.form is form]
            if values:
                found[name + suffix] = _few(values)
    headers: dict[str, list[str | bool | dict[str, str]]] = {}
    for header in match.headers:
        headers.setdefault(header.name, []).append(_header(header))
    if headers:
        found["headers"] = {
            name: values[0] if len(values) == 1 else values for name, values in headers.items()
        }
    return found


def _header(match: HeaderMatch) -> str | bool | dict[str, str]:
    if match.value is None:
        return True
    value = canonical(match.value)
    return value.value if value.form is Form.EXACT else {value.form.value: value.value}


def _few(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


# -- for people ------------------------------------------------------------------------------------


def text(box: Layer7) -> str:
    """Return a box as people read it: `POST /v1/payment`, `DNS *.example.com`."""
    parts = []
    if box.http is not None:
        parts.append(_http_text(box.http))
    if box.dns is not None:
        parts.append(f"DNS {_domains(box.dns)}")
    if box.server_names is not None:
        parts.append(f"SNI {_domains(box.server_names)}")
    if box.authenticated:
        parts.append("authenticated peers only")
    if box.mtls:
        parts.append("over mTLS only")
    return ", ".join(parts) or "anything"


def _http_text(match: HttpMatch) -> str:
    words = ["HTTP" if match.methods is None else _texts(match.methods)]
    if match.paths is not None:
        words.append(_texts(match.paths))
    elif match.methods is not None:
        words.append("*")
    if match.hosts is not None:
        words.append(f"on host {_texts(match.hosts)}")
    for number, header in enumerate(match.headers):
        words.append("and" if number else "with header")
        value = "" if header.value is None else f": {_text(header.value)}"
        words.append(header.name + value)
    return " ".join(words)


def _texts(texts: Iterable[Text]) -> str:
    return "|".join(map(_text, texts)) or "none"


def _text(pattern: Text) -> str:
    simple = canonical(pattern)
    match simple.form:
        case Form.EXACT:
            return simple.value or '""'
        case Form.PREFIX:
            return f"{simple.value}*"
        case Form.SUFFIX:
            return f"*{simple.value}"
        case Form.SEGMENTS:
            return f"{simple.value.rstrip('/')}[/*]"
        case Form.REGEX:
            return f"~{simple.value}"


def _domains(patterns: Iterable[DomainPattern]) -> str:
    return "|".join(pattern.pattern for pattern in patterns) or "none"


def limit_text(l7: tuple[Layer7, ...] | None, l7_except: tuple[Layer7, ...] = ()) -> str:
    """Return a limit as people read it; empty where there is none."""
    taken = "; ".join(map(text, l7_except))
    if l7 is None:
        return f"anything but {taken}" if taken else ""
    allowed = "; ".join(map(text, l7)) or "nothing"
    return f"{allowed}; but not {taken}" if taken else allowed
