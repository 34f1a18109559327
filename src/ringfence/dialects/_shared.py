"""Reads the plain values of a manifest strictly: an unknown field or a wrong type is told.

What the API server would reject is told likewise: such an object either is not in the cluster
or means something that this program does not know.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

from ringfence.model.document import Document, Path, path_text
from ringfence.model.rule import Unreadable
from ringfence.model.selector import LabelSelector, Operator, Requirement
from ringfence.yaml_text import type_text

NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
DNS_SUBDOMAIN: Final = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)

_Read = TypeVar("_Read")
_Other = TypeVar("_Other")


class Malformed(Exception):  # noqa: N818 - not an error of the program
    """Something in a document is not as its schema says; becomes `Unreadable` at its grain."""

    def __init__(self, reason: str, path: Path) -> None:
        """Keep the reason and the place."""
        super().__init__(reason)
        self.unreadable = Unreadable(f"{reason} at `{path_text(path)}`" if path else reason, path)


class Reader:
    """Reads the parts of one object; what is wrong with one does not stop the others."""

    def __init__(self) -> None:
        """Begin with nothing that could not be understood."""
        self.unreadable: list[Unreadable] = []

    def read(self, part: Callable[[], _Read], otherwise: _Other) -> _Read | _Other:
        """Return a part, or something in its place."""
        try:
            return part()
        except Malformed as malformed:
            if malformed.unreadable not in self.unreadable:
                self.unreadable.append(malformed.unreadable)
            return otherwise


def fields(value: Any, path: Path, known: Collection[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return a mapping's fields that are not null, all of them known.

    Raises:
        Malformed: not a mapping, or a field that is not among `known`.
    """
    if not isinstance(value, dict):
        raise Malformed(f"expected a map, found {type_text(value)}", path)
    for key in value:
        if key not in known:
            raise Malformed(f"unknown field `{key}`", (*path, key))
    return {key: child for key, child in value.items() if child is not None}


def spec_given(document: Document) -> Any:  # noqa: ANN401
    """Return an object's spec as it stands; an empty one where there is none."""
    spec = document.body.get("spec")
    return {} if spec is None else spec


def items(
    value: Any,  # noqa: ANN401
    path: Path,
    most: int | None = None,
) -> list[tuple[Path, Any]]:
    """Return a list's items with their paths; an absent list (None) has none.

    Raises:
        Malformed: not a list, or one of more than `most` items.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"expected a list, found {type_text(value)}", path)
    if most is not None and len(value) > most:
        raise Malformed(f"{len(value)} items, where at most {most} are allowed", path)
    return [((*path, index), item) for index, item in enumerate(value)]


def text(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a string.

    Raises:
        Malformed: not a string.
    """
    if not isinstance(value, str):
        raise Malformed(f"expected a string, found {type_text(value)}", path)
    return value


def filled(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a string that is not empty.

    Raises:
        Malformed: empty, or not a string.
    """
    found = text(value, path)
    if not found:
        raise Malformed("may not be empty", path)
    return found


def integer(value: Any, path: Path, low: int, high: int) -> int:  # noqa: ANN401
    """Return a whole number from `low` to `high`.

    Raises:
        Malformed: not a whole number, or outside the range.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f"expected a whole number, found {type_text(value)}", path)
    if not low <= value <= high:
        raise Malformed(f"`{value}` is not between {low} and {high}", path)
    return value


def one_of(value: Any, path: Path, choices: Collection[str]) -> str:  # noqa: ANN401
    """Return a string that is one of the choices.

    Raises:
        Malformed: anything else.
    """
    chosen = text(value, path)
    if chosen not in choices:
        raise Malformed(f"`{chosen}` is none of {', '.join(sorted(choices))}", path)
    return chosen


def network(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a CIDR in canonical form, host bits cleared.

    Raises:
        Malformed: not a CIDR, or an IPv4 one that is mapped into IPv6.
    Source: kubernetes `pkg/apis/core/validation` IsValidCIDRForLegacyField.
    """
    written = text(value, path)
    try:
        if "/" not in written:
            raise ValueError
        found = ipaddress.ip_network(written, strict=False)
    except ValueError:
        raise Malformed(f"`{written}` is not a CIDR", path) from None
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped:
        raise Malformed(f"`{written}` is IPv4 mapped into IPv6", path)
    return str(found)


def label_selector(value: Any, path: Path) -> LabelSelector:  # noqa: ANN401
    """Return a `metav1.LabelSelector`.

    Raises:
        Malformed: an unknown field or operator, values missing or superfluous.
    Source: apimachinery `pkg/apis/meta/v1/validation/validation.go` ValidateLabelSelector.
    """
    given = fields(value, path, ("matchLabels", "matchExpressions"))
    requirements: list[Requirement] = []
    labels = given.get("matchLabels", {})
    labels_path = (*path, "matchLabels")
    if not isinstance(labels, dict):
        raise Malformed(f"expected a map, found {type_text(labels)}", labels_path)
    for key, wanted in labels.items():
        at = (*labels_path, key)
        requirements.append(Requirement(_key(key, at), Operator.IN, (_value(wanted, at),)))
    for at, expression in items(given.get("matchExpressions"), (*path, "matchExpressions")):
        parts = fields(expression, at, ("key", "operator", "values"))
        key = _key(text(parts.get("key"), (*at, "key")), (*at, "key"))
        operator = Operator(one_of(parts.get("operator"), (*at, "operator"), tuple(Operator)))
        values = tuple(_value(v, p) for p, v in items(parts.get("values"), (*at, "values")))
        if bool(values) != (operator in (Operator.IN, Operator.NOT_IN)):
            needs = "needs" if not values else "takes no"
            raise Malformed(f"operator `{operator}` {needs} values", at)
        requirements.append(Requirement(key, operator, tuple(sorted(values))))
    return LabelSelector(tuple(sorted(requirements)))


def _key(key: str, path: Path) -> str:
    """Return a label's key: a name, with a DNS domain and `/` before it or without.

    Source: apimachinery `pkg/util/validation` IsQualifiedName.
    """
    prefix, slash, name = key.rpartition("/")
    domain = not slash or (len(prefix) <= 253 and DNS_SUBDOMAIN.fullmatch(prefix))
    if not domain or len(name) > 63 or not NAME.fullmatch(name):
        raise Malformed(f"`{key}` is not a label's key", path)
    return key


def _value(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a label's value: empty, or a name.

    Source: apimachinery `pkg/util/validation` IsValidLabelValue.
    """
    found = text(value, path)
    if found and (len(found) > 63 or not NAME.fullmatch(found)):
        raise Malformed(f"`{found}` is not a label's value", path)
    return found
