"""What an allow is limited to, from the shape of answers back into words."""

from typing import Any, Final, Literal

from ringfence.layer7.words import text
from ringfence.model.layer7 import DomainPattern, Form, HeaderMatch, HttpMatch, Layer7, Text
from ringfence.outputs._words import inert

_FORMS: Final = {
    "": Form.EXACT,
    "_prefix": Form.PREFIX,
    "_suffix": Form.SUFFIX,
    "_segments": Form.SEGMENTS,
    "_regex": Form.REGEX,
}
_ABOVE_THE_PORT: Final = ("http", "dns", "tls", "authenticated", "mtls")


def limit_words(limit: dict[str, Any]) -> str:
    """Return one entry of `limited_to` as people read it: `POST /v1/payment`, `ports 80`."""
    words = [
        f"{key} {value}" for key, value in limit.items() if key not in {*_ABOVE_THE_PORT, "except"}
    ]
    if any(key in limit for key in _ABOVE_THE_PORT):
        words.append(text(box(limit)))
    if "except" in limit:
        words.append(f"not {text(box(limit['except']))}")
    return inert(", ".join(words))


def box(limit: dict[str, Any]) -> Layer7:
    """Return the limit above the port that an entry in the shape of answers says."""
    http, dns, tls = limit.get("http"), limit.get("dns"), limit.get("tls")
    return Layer7(
        http=None if http is None else _http(http),
        dns=None if dns is None else _domains(dns["query"]),
        server_names=None if tls is None else _domains(tls["server_name"]),
        authenticated=limit.get("authenticated", False),
        mtls=limit.get("mtls", False),
    )


def _http(said: dict[str, Any]) -> HttpMatch:
    return HttpMatch(
        methods=_texts(said, "method"),
        paths=_texts(said, "path"),
        hosts=_texts(said, "host"),
        headers=tuple(
            HeaderMatch(name, _value(value))
            for name, values in said.get("headers", {}).items()
            for value in (values if isinstance(values, list) else [values])
        ),
    )


def _texts(said: dict[str, Any], name: str) -> tuple[Text, ...] | None:
    given = [
        (form, said[name + suffix]) for suffix, form in _FORMS.items() if name + suffix in said
    ]
    if not given:
        return None
    return tuple(Text(form, value) for form, values in given for value in _many(values))


def _value(value: str | Literal[True] | dict[str, str]) -> Text | None:
    """Return the pattern of a header's value; None where it need only be there."""
    if isinstance(value, dict):
        ((form, pattern),) = value.items()
        return Text(Form(form), pattern)
    return Text(Form.EXACT, value) if isinstance(value, str) else None


def _domains(names: str | list[str]) -> tuple[DomainPattern, ...]:
    return tuple(map(DomainPattern, _many(names)))


def _many(values: str | list[str]) -> list[str]:
    return values if isinstance(values, list) else [values]
