"""Label selectors as values. Matching them is the business of each judge."""

from enum import StrEnum

import msgspec


class Operator(StrEnum):
    """The operators of a Kubernetes label selector requirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(msgspec.Struct, frozen=True, order=True):
    """One condition on one label key.

    `NotIn` and `DoesNotExist` hold where the key is absent.
    Source: apimachinery `pkg/labels/selector.go` Requirement.Matches.
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
