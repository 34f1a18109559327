"""The rules of an AuthorizationPolicy as they were written, read into lists of fields.

Source: istio/api `security/v1beta1/authorization_policy.proto`; Istio
`pkg/config/validation/validation.go` (ValidateAuthorizationPolicy), `pkg/config/security`.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any

from ringfence.model.document import Path
from ringfence.reference import schema
from ringfence.reference.ends import Network
from ringfence.reference.schema import NotUnderstoodError

SOURCE_FIELDS = (
    "principals",
    "namespaces",
    "serviceAccounts",
    "trustDomains",
    "ipBlocks",
    "remoteIpBlocks",
    "requestPrincipals",
)
OPERATION_FIELDS = ("hosts", "ports", "methods", "paths")
CONDITIONS = {
    "source.ip": "ipBlocks",
    "remote.ip": "remoteIpBlocks",
    "source.namespace": "namespaces",
    "source.principal": "principals",
    "source.serviceAccount": "serviceAccounts",
    "source.trustDomain": "trustDomains",
    "request.auth.principal": "requestPrincipals",
    "request.auth.audiences": "request.auth",
    "request.auth.presenter": "request.auth",
    "destination.ip": "destination.ip",
    "destination.port": "ports",
    "connection.sni": "connection.sni",
}
"""What the keys of conditions mean, in terms of the fields that mean the same."""
_BRACKETS = re.compile(r"(request\.headers|request\.auth\.claims|experimental\.envoy\..+?)(\[.+\])")
_MOST_ACCOUNTS = 16


@dataclass(frozen=True)
class Field:
    """One field: it holds if it is one of the values, if any, and none of the others."""

    kind: str
    """The name of the field, or what a condition means (`CONDITIONS`, `headers`)."""
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()
    key: str = ""
    """The key of the condition that it is; empty for a field of a source or an operation."""
    header: str = ""
    """The header's name, in lower case."""


@dataclass(frozen=True)
class Rule:
    """Any of the sources, any of the operations, all of the conditions; without any: anything."""

    sources: tuple[tuple[Field, ...], ...] = ()
    operations: tuple[tuple[Field, ...], ...] = ()
    conditions: tuple[Field, ...] = ()
    path: Path = field(default=(), compare=False)

    @property
    def fields(self) -> list[Field]:
        """Return every field of it."""
        parts = (*self.sources, *self.operations, self.conditions)
        return [one for part in parts for one in part]


def read_rule(value: Any, path: Path) -> Rule:  # noqa: ANN401
    """Return a rule.

    Raises:
        NotUnderstoodError: Istio would reject it.
    """
    given = schema.fields(value, path, ("from", "to", "when"))
    sources = _parts(given, "from", "source", SOURCE_FIELDS, path)
    for index, source in enumerate(sources):
        kinds = {one.kind for one in source}
        if "serviceAccounts" in kinds and kinds & {"principals", "namespaces"}:
            at = (*path, "from", index)
            raise NotUnderstoodError(
                "`serviceAccounts` stands beside neither `principals` nor `namespaces`", at
            )
    at = (*path, "when")
    conditions = [
        _condition(entry, (*at, index))
        for index, entry in enumerate(schema.items(given.get("when"), at))
    ]
    operations = _parts(given, "to", "operation", OPERATION_FIELDS, path)
    return Rule(sources, operations, tuple(conditions), path)


def _parts(
    given: dict[str, Any], key: str, inner: str, names: tuple[str, ...], path: Path
) -> tuple[tuple[Field, ...], ...]:
    """Return the sources or the operations: a list that is there has at least one item."""
    if key not in given:
        return ()
    found = []
    at = (*path, key)
    for index, entry in enumerate(schema.some(given[key], at, 2**31)):
        here = (*at, index)
        part = schema.required(schema.fields(entry, here, (inner,)), inner, here)
        found.append(_fields(part, (*here, inner), names))
    return tuple(found)


def _fields(value: Any, path: Path, names: tuple[str, ...]) -> tuple[Field, ...]:  # noqa: ANN401
    """Return the fields of a source or an operation, of which there must be at least one."""
    negative = {f"not{name[0].upper()}{name[1:]}": name for name in names}
    given = schema.fields(value, path, (*names, *negative))
    said = {
        key: _values(content, (*path, key), negative.get(key, key))
        for key, content in given.items()
    }
    if not any(said.values()):
        raise NotUnderstoodError("must have at least one field", path)
    opposite = {name: key for key, name in negative.items()}
    return tuple(
        Field(name, said.get(name, ()), said.get(opposite[name], ()))
        for name in names
        if said.get(name) or said.get(opposite[name])
    )


def _condition(value: Any, path: Path) -> Field:  # noqa: ANN401
    """Return a condition: a key, and values that it may have or may not have.

    Source: Istio `pkg/config/security/security.go` ValidateAttribute.
    """
    given = schema.fields(value, path, ("key", "values", "notValues"))
    key = schema.text(schema.required(given, "key", path), (*path, "key"))
    kind, header = CONDITIONS.get(key, ""), ""
    found = _BRACKETS.fullmatch(key)
    if found and not kind:
        kind = {"request.headers": "headers", "request.auth.claims": "request.auth"}.get(
            found[1], "experimental"
        )
        header = found[2][1:-1].lower() if kind == "headers" else ""
    if not kind:
        raise NotUnderstoodError(f"there is no attribute `{key}`", (*path, "key"))
    values = _values(given.get("values"), (*path, "values"), kind)
    others = _values(given.get("notValues"), (*path, "notValues"), kind)
    if not values and not others:
        raise NotUnderstoodError("needs `values` or `notValues`", path)
    return Field(kind, values, others, key, header)


def _values(value: Any, path: Path, kind: str) -> tuple[str, ...]:  # noqa: ANN401
    """Return a field's values, none of which may be empty."""
    found = []
    for index, entry in enumerate(schema.items(value, path)):
        here = (*path, index)
        text = schema.text(entry, here)
        if not text:
            raise NotUnderstoodError("an empty value", here)
        match kind:
            case "ports":
                _port(text, here)
            case "ipBlocks" | "remoteIpBlocks" | "destination.ip":
                block(text, here)
            case "serviceAccounts":
                _account(text, here)
            case "paths":
                _path(text, here)
        found.append(text)
    if kind == "serviceAccounts" and len(found) > _MOST_ACCOUNTS:
        raise NotUnderstoodError(f"has more than {_MOST_ACCOUNTS} items", path)
    return tuple(found)


def _port(text: str, path: Path) -> None:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 65535:
        raise NotUnderstoodError(f"`{text}` is no port", path)


def block(text: str, path: Path = ()) -> Network:
    """Return a block of addresses, or one address as a block.

    Raises:
        NotUnderstoodError: it is neither.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise NotUnderstoodError(f"`{text}` is neither an address nor a block", path) from None


def _account(text: str, path: Path) -> None:
    parts = text.split("/")
    if len(parts) > 2 or not all(parts) or "*" in text:
        raise NotUnderstoodError(f"`{text}` is no service account", path)


def _path(text: str, path: Path) -> None:
    """Raise where a template of a path is none.

    Source: Istio `pkg/config/security/security.go` CheckValidPathTemplate: stars stand in
    operators alone, of which each is a segment or the end of one; after `{**}` stands no other.
    """
    if "{*}" not in text and "{**}" not in text:
        return
    plain = text.replace("{**}", "\0").replace("{*}", "\1")
    if any(sign in plain for sign in "{}*"):
        raise NotUnderstoodError(f"`{text}` is no template of a path", path)
    if "\0" in plain[:-1] and any(sign in plain[plain.index("\0") + 1 :] for sign in "\0\1"):
        raise NotUnderstoodError("`{**}` must be the last operator", path)
