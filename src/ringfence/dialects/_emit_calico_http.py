"""Writes limits of HTTP as Calico has them.

Authority: Calico `api/pkg/apis/projectcalico/v3/policy_common.go` HTTPMatch, and how it is matched,
`app-policy/checker/match.go`.
"""

from typing import Final

from ringfence import yaml_text
from ringfence.dialects._emission import Body, Telling
from ringfence.dialects._emission_words import layer7_text
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text

LANGUAGE: Final = "a policy of Calico"

_UNCLEAN: Final = ("//", "/./", "/../", "\\", "%", ";", "?", "#", " ", "\0")
"""What Calico takes out of a path, or decodes, before it matches: no such path is ever met."""


def http_match(telling: Telling, http: HttpMatch) -> Body | None:
    """Return an HTTP match; None where it can match nothing that was meant.

    Source: Calico `app-policy/checker/match.go`: queries are cut off before a path is matched, so
    that a path says nothing of them, as in a dependency map.
    """
    what = f"only {layer7_text([Layer7(http=http)])}"
    if http.hosts is not None or http.headers:
        telling.leave_out("HTTP", what, f"{LANGUAGE} limits neither hosts nor headers")
        return None
    found: Body = {}
    if http.methods is not None:
        methods = [method.value for method in http.methods if method.form is Form.EXACT]
        if not methods or len(methods) < len(http.methods) or "*" in methods:
            telling.leave_out("HTTP", what, "methods can only be listed")
            return None
        found["methods"] = yaml_text.OneLine(dict.fromkeys(methods))
    if http.paths is not None:
        paths = [part for path in http.paths for part in _path(telling, path)]
        if not paths:
            return None
        if {"prefix": "/"} not in paths:
            found["paths"] = paths
    return found or {"paths": [{"prefix": "/"}]}


def _path(telling: Telling, path: Text) -> list[Body]:
    """Return a path as exact ones and prefixes; empty where none of it is said.

    A prefix is written with its final slash: where versions differ on whether `/v1` begins
    `/v10`, all of them take `/v1/` for what lies below `/v1`.
    """
    value, stem = path.value, path.value.rstrip("/")
    sayable = path.form in (Form.EXACT, Form.PREFIX, Form.SEGMENTS) and value.startswith("/")
    if not sayable or any(part in f"{stem}/" for part in _UNCLEAN):
        because = "Calico matches cleaned paths, exact ones and whole segments"
        telling.leave_out("HTTP", f"the path {value}", because)
        return []
    below = [{"prefix": f"{stem}/"}]
    if path.form is Form.EXACT:
        if stem and stem != value:
            telling.remark(f"Calico does not tell {value} from {stem}.")
        return [{"exact": stem or "/"}]
    if not stem or path.form is Form.SEGMENTS:
        return [{"exact": stem}, *below] if stem else below
    if value != stem:
        return below
    because = "Calico ends prefixes at a slash"
    what = f"every path that begins with {value}"
    telling.tell("HTTP", what, because, f"{value} and all below it", wider=False)
    return [{"exact": stem}, *below]
