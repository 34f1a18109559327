"""What Istio's policies write as values: strings with a `*`, paths, names of peers, ports, blocks.

Authority: Istio `pilot/pkg/security/authz/matcher/{string,header,template}.go`,
`pkg/config/security/security.go`; Envoy `source/extensions/path/uri_template_lib`.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Final

from ringfence.dialects._shared import Malformed, filled, items, text
from ringfence.layer7 import invalid_pattern
from ringfence.model.document import Path
from ringfence.model.layer7 import Form, HeaderMatch, Text, exact

ANY_TEXT: Final = Text(Form.PREFIX, "")
"""Whatever is there at all: no method, path or host is empty."""
PATH_CHARACTER: Final = r"[a-zA-Z0-9\-._~%!$&'()*+,;:@=]"
ONE_SEGMENT: Final = f"{PATH_CHARACTER}+"
ANY_SEGMENTS: Final = f"(?:{PATH_CHARACTER}|/)*"
ONE, ANY = "{*}", "{**}"
LITERAL: Final = re.compile(ONE_SEGMENT.replace("*", ""))
"""What stands for itself in a template, where a star never does."""
MOST_ACCOUNTS: Final = 16
LONGEST_ACCOUNT: Final = 320
HIGHEST_PORT: Final = 65535


def strings(given: dict[str, Any], key: str, path: Path) -> list[tuple[Path, str]]:
    """Return a field's strings with their paths; none where it is absent or empty.

    Raises:
        Malformed: no list of strings, or one of them is empty.
    """
    return [(at, filled(value, at)) for at, value in items(given.get(key), (*path, key))]


def pattern(written: str) -> Text:
    """Return what a string stands for: `*` for anything, `a*`, `*a`, or itself."""
    if written == "*":
        return ANY_TEXT
    if written.startswith("*"):
        return Text(Form.SUFFIX, written[1:])
    if written.endswith("*"):
        return Text(Form.PREFIX, written[:-1])
    return exact(written)


def host(written: str) -> Text:
    """Return what a host stands for, whatever the case of its letters.

    Source: matcher/header.go HostMatcher.
    """
    found = pattern(written)
    if found.value.lower() == found.value.upper():
        return found
    literal = f"(?i:{quoted(found.value)})"
    before = ".*" if found.form is Form.SUFFIX else ""
    behind = ".*" if found.form is Form.PREFIX else ""
    return Text(Form.REGEX, before + literal + behind)


def header(name: str, written: str) -> HeaderMatch:
    """Return what a header's value stands for: `*` that it is there, be it empty.

    Source: matcher/header.go HeaderMatcher.
    """
    return HeaderMatch(name, None if written == "*" else pattern(written))


def path_pattern(written: str, at: Path) -> Text:
    """Return what a path stands for: a string with a `*`, or a template.

    Raises:
        Malformed: braces that no template has, or what Envoy refuses.
    Source: security.go CheckValidPathTemplate.
    """
    is_template = ONE in written or ANY in written
    segments = written.strip("/").split("/")
    over = False
    for segment in segments:
        if segment in (ONE, ANY):
            if over:
                raise Malformed(f"`{written}`: {ANY} is the last operator of a path", at)
            over = segment == ANY
        elif "{" in segment or "}" in segment:
            raise Malformed(f"`{written}`: braces only as in /{ONE}/ or /{ANY}/", at)
        elif is_template and not LITERAL.fullmatch(segment):
            raise Malformed(f"`{written}`: `{segment}` cannot stand in a path template", at)
    if not is_template:
        return pattern(written)
    if not written.startswith("/") or written.endswith("/"):
        raise Malformed(f"`{written}`: a path template begins with `/` and does not end so", at)
    known = {ONE: ONE_SEGMENT, ANY: ANY_SEGMENTS}
    pieces = [known.get(segment) or quoted(segment) for segment in segments]
    return Text(Form.REGEX, "/" + "/".join(pieces))


def quoted(literal: str) -> str:
    """Return a regular expression for one string, as RE2 reads it."""
    return "".join(f"\\{sign}" if sign in r"\.+*?()|[]{}^$" else sign for sign in literal)


def regular_expression(written: str, at: Path) -> Text:
    """Return a pattern that Istio makes of a value without quoting it.

    Raises:
        Malformed: RE2 does not take it, so that Envoy refuses what Istio sends.
    """
    if reason := invalid_pattern(written):
        raise Malformed(f"Envoy refuses what Istio makes of it, `{written}`: {reason}", at)
    return Text(Form.REGEX, written)


def header_name(key: str, prefix: str, path: Path) -> str:
    """Return the name in the brackets of a key such as `request.headers[x-a]`, in lower case.

    Raises:
        Malformed: no name in brackets.
    """
    name = key.removeprefix(prefix)
    if len(name) <= 2 or not (name.startswith("[") and name.endswith("]")):
        raise Malformed(f"`{key}` should have the form {prefix}[name]", path)
    return name[1:-1].lower()


def ports(listed: Iterable[tuple[Path, str]]) -> frozenset[int]:
    """Return ports.

    Raises:
        Malformed: no number of a port.
    Source: security.go ValidatePorts.
    """
    found = set()
    for at, written in listed:
        number = int(written) if re.fullmatch(r"[0-9]{1,20}", written) else -1
        if not 0 <= number <= HIGHEST_PORT:
            raise Malformed(f"`{written}` is no port", at)
        found.add(number)
    return frozenset(found)


def block(written: str, at: Path) -> str:
    """Return an address or a block in canonical form.

    Raises:
        Malformed: neither.
    Source: security.go ValidateIPs.
    """
    try:
        length = written.rpartition("/")[2] if "/" in written else "0"
        if not re.fullmatch(r"0|[1-9][0-9]{0,2}", length):
            raise ValueError
        return str(ipaddress.ip_network(written, strict=False))
    except ValueError:
        raise Malformed(f"`{written}` is neither an address nor a CIDR", at) from None


def account(written: str, namespace: str, at: Path) -> tuple[str, str]:
    """Return namespace and name of a service account.

    Raises:
        Malformed: not of the form `name` or `namespace/name`.
    Source: security.go CheckServiceAccount.
    """
    if "*" in written or written.count("/") > 1 or len(written) > LONGEST_ACCOUNT:
        raise Malformed(f"`{written}` is not of the form `name` or `namespace/name`", at)
    before, slash, name = written.rpartition("/")
    if (slash and not before) or not name:
        raise Malformed(f"`{written}` is not of the form `name` or `namespace/name`", at)
    return (before or namespace), name


def accounts(listed: list[tuple[Path, str]], namespace: str) -> list[tuple[str, str]]:
    """Return service accounts.

    Raises:
        Malformed: one is none, or there are more than Istio takes.
    """
    if len(listed) > MOST_ACCOUNTS:
        raise Malformed(f"more than {MOST_ACCOUNTS} service accounts", listed[0][0][:-1])
    return [account(written, namespace, at) for at, written in listed]


def labels(value: Any, path: Path, key: str = "matchLabels") -> dict[str, str]:  # noqa: ANN401
    """Return the labels of a workload selector.

    Raises:
        Malformed: no map of strings, an empty key, or a wildcard.
    Source: pkg/config/validation/validation.go validateWorkloadSelector.
    """
    if not isinstance(value, dict):
        raise Malformed("expected a map", path)
    for name in value:
        if name != key:
            raise Malformed(f"unknown field `{name}`", (*path, name))
    given = value.get(key)
    if given is None:
        return {}
    at = (*path, key)
    if not isinstance(given, dict):
        raise Malformed("expected a map", at)
    for name, wanted in given.items():
        if not name or "*" in name or "*" in text(wanted, (*at, name)):
            raise Malformed("a selector has neither empty keys nor wildcards", (*at, name))
    return dict(given)
