"""Label selectors as values. Matching them is the business of each judge."""

from enum import StrEnum

import msgspec


class Operator(StrEnum):
    """The operators of a requirement: Kubernetes' four, and Calico's three on parts of a value."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    CONTAINS = "Contains"
    STARTS_WITH = "StartsWith"
    ENDS_WITH = "EndsWith"


KUBERNETES_OPERATORS = (Operator.IN, Operator.NOT_IN, Operator.EXISTS, Operator.DOES_NOT_EXIST)
"""Those that a Kubernetes label selector may write."""


class Requirement(msgspec.Struct, frozen=True, order=True):
    """One condition on one label key.

    `NotIn` and `DoesNotExist` hold where the key is absent; the others do not. `Contains`,
    `StartsWith` and `EndsWith` have one value, which may be empty.
    Source: apimachinery `pkg/labels/selector.go` Requirement.Matches; Calico
    `libcalico-go/lib/selector/parser/ast.go`.
    """

    key: str
    operator: Operator
    values: tuple[str, ...] = ()


class LabelSelector(msgspec.Struct, frozen=True, order=True):
    """All requirements must hold; none at all selects everything.

    An absent selector ("dimension not given") is None in the models that hold selectors.
    """

    requirements: tuple[Requirement, ...] = ()


EVERYTHING = LabelSelector()


def equals(**labels: str) -> LabelSelector:
    """Return the selector that `matchLabels` with these labels means."""
    return from_labels(labels)


def from_labels(labels: dict[str, str]) -> LabelSelector:
    """Return the selector that `matchLabels` means: each label must be present with its value."""
    return LabelSelector(
        tuple(Requirement(key, Operator.IN, (value,)) for key, value in sorted(labels.items()))
    )


class LabelAnd(msgspec.Struct, frozen=True, tag="and"):
    """All parts hold; none at all holds always."""

    parts: tuple["LabelExpression", ...] = ()


class LabelOr(msgspec.Struct, frozen=True, tag="or"):
    """At least one part holds; none at all never holds."""

    parts: tuple["LabelExpression", ...] = ()


class LabelNot(msgspec.Struct, frozen=True, tag="not"):
    """The part does not hold."""

    part: "LabelExpression"


class LabelIs(msgspec.Struct, frozen=True, tag="is"):
    """One requirement, as a leaf of an expression."""

    requirement: Requirement


LabelExpression = LabelAnd | LabelOr | LabelNot | LabelIs
"""A selector as Calico writes it: any combination of requirements."""


def expression(selector: LabelSelector) -> LabelAnd:
    """Return a label selector as an expression."""
    return LabelAnd(tuple(LabelIs(requirement) for requirement in selector.requirements))


def expression_keys(found: LabelExpression) -> set[str]:
    """Return the label keys that an expression looks at."""
    match found:
        case LabelIs():
            return {found.requirement.key}
        case LabelNot():
            return expression_keys(found.part)
        case _:
            return {key for part in found.parts for key in expression_keys(part)}
