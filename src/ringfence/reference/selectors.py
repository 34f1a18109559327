"""Label selectors: `matchLabels` and `matchExpressions`, read and matched.

Source: apimachinery `pkg/apis/meta/v1/types.go` LabelSelector, `pkg/labels/selector.go`.
"""

import re
from typing import Any

from ringfence.model.document import Path
from ringfence.reference import schema
from ringfence.reference.schema import NotUnderstoodError

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def matches(value: Any, path: Path, labels: dict[str, str]) -> bool:  # noqa: ANN401
    """Return whether a selector selects something that has these labels.

    `matchLabels` and `matchExpressions` are ANDed; an empty selector selects everything.
    Every part is read even where an earlier one does not hold, for the selector as a whole must
    be understood.

    Source: apimachinery LabelSelector: "the result of matchLabels and matchExpressions are ANDed".

    Raises:
        NotUnderstoodError: the API server, or the conversion to a selector, would reject it.
    """
    given = schema.fields(value, path, ("matchLabels", "matchExpressions"))
    held = []
    at = (*path, "matchLabels")
    wanted = given.get("matchLabels", {})
    if not isinstance(wanted, dict):
        raise NotUnderstoodError("must be a mapping", at)
    for key, label in wanted.items():
        # `{key: value}` means the requirement `key In (value)`.
        held.append(labels.get(_key(key, (*at, key))) == _value(label, (*at, key)))
    at = (*path, "matchExpressions")
    for index, requirement in enumerate(schema.items(given.get("matchExpressions"), at)):
        held.append(_requirement_holds(requirement, (*at, index), labels))
    return all(held)


def _requirement_holds(value: Any, path: Path, labels: dict[str, str]) -> bool:  # noqa: ANN401
    """Return whether one requirement holds.

    In: the key is there with one of the values. NotIn: it is not there, or with another value.
    Exists: it is there. DoesNotExist: it is not. In and NotIn need values, the others must have
    none.

    Source: apimachinery `pkg/labels/selector.go` Requirement.Matches, NewRequirement.
    """
    given = schema.fields(value, path, ("key", "operator", "values"))
    key = _key(schema.required(given, "key", path), (*path, "key"))
    at = (*path, "operator")
    operator = schema.choice(schema.required(given, "operator", path), at, OPERATORS)
    at = (*path, "values")
    listed = enumerate(schema.items(given.get("values"), at))
    values = [_value(entry, (*at, index)) for index, entry in listed]
    if operator in ("In", "NotIn"):
        if not values:
            raise NotUnderstoodError(f"`{operator}` needs values", path)
        found = key in labels and labels[key] in values
        return found if operator == "In" else not found
    if values:
        raise NotUnderstoodError(f"`{operator}` takes no values", at)
    return (key in labels) == (operator == "Exists")


def _key(key: Any, path: Path) -> str:  # noqa: ANN401
    """Return a label key: a name of up to 63 characters, perhaps behind a DNS subdomain and `/`.

    Source: apimachinery `pkg/util/validation` IsQualifiedName.
    """
    prefix, slash, name = schema.text(key, path).rpartition("/")
    if len(name) > 63 or not _NAME.fullmatch(name):
        raise NotUnderstoodError(f"`{key}` is no label key", path)
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        raise NotUnderstoodError(f"`{key}` is no label key", path)
    return str(key)


def _value(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a label value: empty, or up to 63 characters that a name may have.

    Source: apimachinery `pkg/util/validation` IsValidLabelValue.
    """
    found = schema.text(value, path)
    if found and (len(found) > 63 or not _NAME.fullmatch(found)):
        raise NotUnderstoodError(f"`{found}` is no label value", path)
    return found
