"""Writes limits above the port, and domain names, as Cilium has them.

Authority: Cilium `pkg/policy/api/http.go`, `pkg/fqdn/matchpattern/matchpattern.go`; what an
expression must match, `pkg/envoy/policy/envoy_l7_rules_translator.go`: Envoy matches it against the
whole of the path (query included), method and host.
"""

from typing import Final

from ringfence.dialects._emission import Body
from ringfence.model.layer7 import (
    DomainPattern,
    Form,
    HttpMatch,
    Layer7,
    Text,
    Wildcard,
)
from ringfence.model.profile import older_than

DEEPEST: Final = 7
"""How many labels are spelt out for versions without a pattern for several: enough for
`_port._proto.pod.service.namespace.svc`, and for names that the resolver's search list lengthens.
"""

_META: Final = frozenset("\\.+*?()|[]{}^$")
"""What RE2 does not take for itself. Source: RE2 `re2/re2.cc` RE2::QuoteMeta."""


class Unsayable(Exception):  # noqa: N818 - it is told, not raised to anybody
    """Cilium has no words for it; the message says why."""


def http_rules(boxes: tuple[Layer7, ...]) -> list[Body]:
    """Return `rules.http`: one item for each path that is admitted.

    Raises:
        Unsayable: a limit that is none of HTTP, or one that Cilium does not have.
    """
    found: list[Body] = []
    for box in boxes:
        if box.http is None or box != Layer7(http=box.http):
            raise Unsayable("limits of HTTP stand alone in Cilium")
        found += _items(box.http)
    return found


def _items(http: HttpMatch) -> list[Body]:
    common: Body = {}
    if http.methods is not None:
        common["method"] = _any_of([_expression(method) for method in http.methods])
    if http.hosts is not None:
        common["host"] = _any_of([_expression(host) for host in http.hosts])
    headers = []
    for header in http.headers:
        if header.value is not None and header.value.form is not Form.EXACT:
            raise Unsayable("Cilium compares a header's value as a whole")
        headers.append(header.name + (f": {header.value.value}" if header.value else ""))
    if headers:
        common["headers"] = headers
    if http.paths is None:
        return [common]
    return [_in_order({**common, "path": _path(path)}) for path in http.paths]


def _in_order(item: Body) -> Body:
    order = ("method", "path", "host", "headers")
    return {key: item[key] for key in order if key in item}


def _path(path: Text) -> str:
    """Return an expression for `:path`, which holds the query where there is one.

    A path of a dependency map, or of Calico, says nothing of queries: any is admitted. One that
    is an expression already was written for all of it.
    """
    match path.form:
        case Form.EXACT:
            return f"{quoted(path.value)}(\\?.*)?"
        case Form.SEGMENTS:
            return f"{quoted(path.value.rstrip('/'))}([/?].*)?"
        case Form.SUFFIX:
            return f"[^?]*{quoted(path.value)}(\\?.*)?"
        case _:
            return _expression(path)


def _expression(text: Text) -> str:
    match text.form:
        case Form.EXACT:
            return quoted(text.value)
        case Form.PREFIX:
            return f"{quoted(text.value)}.*"
        case Form.SUFFIX:
            return f".*{quoted(text.value)}"
        case Form.SEGMENTS:
            return f"{quoted(text.value.rstrip('/'))}(/.*)?"
        case Form.REGEX:
            return text.value


def _any_of(expressions: list[str]) -> str:
    if not expressions:
        raise Unsayable("Cilium has no limit that nothing meets")
    return "|".join(expressions)


def quoted(literal: str) -> str:
    """Return an expression of RE2 that only one string meets."""
    return "".join(f"\\{char}" if char in _META else char for char in literal)


# -- names -----------------------------------------------------------------------------------


def names(patterns: tuple[DomainPattern, ...], version: str) -> list[Body]:
    """Return domain names as `toFQDNs` and `rules.dns` list them.

    A `*.` of a dependency map stands for one or more labels. Cilium has `**.` for that from 1.19;
    before, it means what `*.` does, a single one. Where the version is not known to be new enough,
    each number of labels is listed too.

    Raises:
        Unsayable: a wildcard that Cilium does not have.
    """
    found: dict[str, Body] = {}
    for pattern in patterns:
        for written in _spelt(pattern, version):
            key = "matchPattern" if "*" in written else "matchName"
            found[written] = {key: written}
    return list(found.values())


def _spelt(pattern: DomainPattern, version: str) -> list[str]:
    name = pattern.pattern
    if "*" not in name or pattern.wildcard is Wildcard.CILIUM_BEFORE_1_19:
        return [name]
    if pattern.wildcard is Wildcard.CILIUM:
        if not name.strip("*") or not name.startswith("**."):
            return [name]
        rest = name[2:]
    elif name.startswith("*.") and "*" not in name[1:]:
        rest = name[1:]
    else:
        raise Unsayable(f"Cilium has no pattern for the `*` of {name}")
    found = [f"**{rest}"]
    if not version or older_than(version, 1, 19):
        found += [f"{'.'.join(['*'] * labels)}{rest}" for labels in range(2, DEEPEST + 1)]
    return found
