"""The `http` of a Calico rule.

Authority: Calico `api/pkg/apis/projectcalico/v3/policy_common.go` HTTPMatch; `libcalico-go/lib/
validator/v3/validator.go` validateHTTPMethods, validateHTTPPaths; `app-policy/checker/match.go`.
"""

from typing import Any, Final

from ringfence.dialects._shared import Malformed, fields, filled, items
from ringfence.layer7.calico_paths import normalised
from ringfence.model.document import Path
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text, exact

NOT_IN_A_PATH: Final = "? #"


def layer7(value: Any, path: Path) -> Layer7:  # noqa: ANN401
    """Return the limit that a rule's `http` is.

    Raises:
        Malformed: a method that stands there twice, a path that does not begin with `/`, holds
            `?`, `#` or a blank, or is not either exact or a prefix.
    """
    given = fields(value, path, ("methods", "paths"))
    at = (*path, "methods")
    methods = [filled(method, where) for where, method in items(given.get("methods"), at)]
    if len(set(methods)) < len(methods):
        raise Malformed("a method stands here twice", at)
    at = (*path, "paths")
    paths = [_path(written, where) for where, written in items(given.get("paths"), at)]
    return Layer7(
        http=HttpMatch(
            methods=None if "*" in methods or not methods else tuple(map(exact, methods)),
            paths=tuple(path for path in paths if path is not None) if paths else None,
        )
    )


def _path(value: Any, path: Path) -> Text | None:  # noqa: ANN401
    """Return one pattern, in the form in which it is compared; None for one that none meets."""
    given = {k: v for k, v in fields(value, path, ("exact", "prefix")).items() if v != ""}
    if len(given) != 1:
        raise Malformed("exactly one of exact and prefix", path)
    ((form, content),) = given.items()
    at = (*path, form)
    written = filled(content, at)
    if not written.startswith("/") or any(sign in written for sign in NOT_IN_A_PATH):
        raise Malformed(f"`{written[:60]}` must begin with `/` and hold no `?`, `#` or blank", at)
    compared = normalised(written)
    if compared is None:
        return None
    return exact(compared) if form == "exact" else Text(Form.SEGMENTS, compared)
