"""Domain names as Cilium matches them: for `toFQDNs`, DNS rules and TLS server names.

Source: Cilium `pkg/fqdn/matchpattern/matchpattern.go`, `pkg/policy/api/fqdn.go`; for server names
`pkg/envoy` (patterns of server names mean what those of names do).
"""

import re
from typing import Any

from ringfence.model.document import Path
from ringfence.model.profile import older_than
from ringfence.reference import schema
from ringfence.reference.schema import NotUnderstoodError

MOST = 255
"""The longest name or pattern."""

_NAME = re.compile(r"([-a-zA-Z0-9_]+[.]?)+")
_PATTERN = re.compile(r"[-a-zA-Z0-9_.*]+")
_CHARACTER = "[-a-zA-Z0-9_]"
_LABELS = f"{_CHARACTER}+([.]{_CHARACTER}+)*[.]"


def read_name(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a `matchName`, in lower case.

    Raises:
        NotUnderstoodError: it is none.
    """
    found = schema.text(value, path, MOST)
    if not _NAME.fullmatch(found):
        raise NotUnderstoodError(f"`{found}` is no domain name", path)
    return found.lower()


def read_pattern(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a `matchPattern`, in lower case.

    Raises:
        NotUnderstoodError: it is none.
    """
    found = schema.text(value, path, MOST)
    if not _PATTERN.fullmatch(found):
        raise NotUnderstoodError(f"`{found}` is no pattern of domain names", path)
    return found.lower()


def is_name(name: str, wanted: str) -> bool:
    """Return whether two names are the same, whatever their case and their final dots."""
    return name.lower().removesuffix(".") == wanted.removesuffix(".")


def matches(name: str, pattern: str, version: str) -> bool:
    """Return whether a name meets a pattern, which is matched against the whole of it.

    `*` stands for any number of the characters of a label; stars beside each other count as one,
    and nothing but stars means every name. Two or more stars and a dot at the beginning mean one
    or more whole labels; before 1.19 that was one, as with one star.
    """
    import re2  # noqa: PLC0415 - only those who ask about names wait for it

    bare = pattern.removesuffix(".")
    if bare and not bare.strip("*"):
        return True
    written = f"{bare}."
    leading = re.match(r"\*{2,}\.", written)
    expression = ""
    if leading and not older_than(version, 1, 19):
        expression, written = _LABELS, written[leading.end() :]
    for part in re.findall(r"\*+|[^*]", written):
        expression += f"{_CHARACTER}*" if part[0] == "*" else re2.escape(part)
    whole = f"{name.lower().removesuffix('.')}."
    return re2.fullmatch(expression, whole) is not None
