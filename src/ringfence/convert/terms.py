"""What rules say in terms that belong to no dialect: pods by what they carry, blocks, names.

A conjunction of literals selects pods. The complement of a literal is a literal, so that what one
rule leaves of another can be said by selectors again. Whatever a difference loses, because it
cannot be said, is lost from the side that allows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from ringfence.engine.labels import meets
from ringfence.model.layer7 import DomainPattern
from ringfence.model.rule import Entity, IpPeer
from ringfence.model.selector import (
    EVERYTHING,
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    LabelSelector,
    Operator,
    Requirement,
)

NAME_LABEL: Final = "kubernetes.io/metadata.name"
MOST: Final = 64
"""So many alternatives of one selector, or pieces of one rule, are written out; no more."""


class TooMany(Exception):  # noqa: N818 - it is told, not raised to anybody
    """A selector has more alternatives than anybody would want to read."""


class Of(StrEnum):
    """What a literal looks at."""

    POD = "labels of the pod"
    NAMESPACE = "labels of the namespace"
    ACCOUNT = "name of the service account"
    ACCOUNT_LABELS = "labels of the service account"


class Literal(msgspec.Struct, frozen=True, order=True):
    """One condition on a pod."""

    of: Of
    requirement: Requirement
    negated: bool = False
    """Only for the operators that have no opposite."""

    def opposite(self) -> "Literal":
        """Return the literal that holds exactly where this one does not."""
        required = self.requirement
        other = _OPPOSITES.get(required.operator)
        if other is None:
            return Literal(self.of, required, not self.negated)
        return Literal(self.of, Requirement(required.key, other, required.values))

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether it holds for the labels that it looks at."""
        return meets(self.requirement, labels) is not self.negated


class LabelKeys(msgspec.Struct, frozen=True):
    """Under which keys a CNI gives pods labels for their namespace and their service account."""

    namespace: str
    """Its name."""
    of_namespace: str
    """Before the keys of its labels."""
    account: str
    of_account: str = ""
    """Empty where the account's labels are not known."""

    def requirement(self, literal: Literal) -> Requirement:
        """Return what a literal asks of the labels, before it is negated."""
        required = literal.requirement
        match literal.of:
            case Of.POD:
                return required
            case Of.NAMESPACE if required.key == NAME_LABEL:
                key = self.namespace
            case Of.NAMESPACE:
                key = self.of_namespace + required.key
            case Of.ACCOUNT:
                key = self.account
            case Of.ACCOUNT_LABELS:
                key = self.of_account + required.key
        return Requirement(key, required.operator, required.values)


_OPPOSITES: Final = {
    Operator.IN: Operator.NOT_IN,
    Operator.NOT_IN: Operator.IN,
    Operator.EXISTS: Operator.DOES_NOT_EXIST,
    Operator.DOES_NOT_EXIST: Operator.EXISTS,
}

Pods = frozenset[Literal]
"""Pods with a network of their own for which all the literals hold."""

ALL_PODS: Final[Pods] = frozenset()


def in_namespace(*names: str) -> Literal:
    """Return the literal of the pods of these namespaces."""
    return Literal(Of.NAMESPACE, Requirement(NAME_LABEL, Operator.IN, tuple(sorted(set(names)))))


def literals(of: Of, selector: LabelSelector) -> Pods:
    """Return what a label selector says."""
    return frozenset(Literal(of, requirement) for requirement in selector.requirements)


def possible(pods: Pods) -> bool:
    """Return whether any labels could meet all the literals."""
    by_key: dict[tuple[Of, str], list[Literal]] = defaultdict(list)
    for literal in pods:
        by_key[literal.of, literal.requirement.key].append(literal)
    return all(_together(found) for found in by_key.values())


def _together(found: list[Literal]) -> bool:
    """Return whether literals on one key can hold at once."""
    key = found[0].requirement.key
    listed = [
        set(literal.requirement.values)
        for literal in found
        if literal.requirement.operator is Operator.IN
    ]
    if listed:
        values = set.intersection(*listed)
        return any(all(literal.holds({key: value}) for literal in found) for value in values)
    if all(literal.holds({}) for literal in found):
        return True
    # Some value that nobody names meets whatever only excludes; the rest is left as possible.
    return all(each.requirement.operator is not Operator.DOES_NOT_EXIST for each in found)


def without(pods: Pods, other: Pods) -> list[Pods]:
    """Return the pods of the one that are not of the other."""
    if not possible(pods | other):
        return [pods]
    found: list[Pods] = []
    kept = pods
    for literal in sorted(other - pods):
        piece = kept | {literal.opposite()}
        if possible(piece):
            found.append(piece)
        kept = kept | {literal}
    return found


def simplified(pods: Pods) -> Pods:
    """Return the same conditions without those that others on the same key imply."""
    by_key: dict[tuple[Of, str], list[Literal]] = defaultdict(list)
    for literal in pods:
        by_key[literal.of, literal.requirement.key].append(literal)
    kept: set[Literal] = set()
    for (of, key), found in by_key.items():
        listed = [
            set(each.requirement.values)
            for each in found
            if each.requirement.operator is Operator.IN
        ]
        if not listed:
            kept.update(found)
            continue
        values = tuple(
            sorted(
                value
                for value in set.intersection(*listed)
                if all(each.holds({key: value}) for each in found)
            )
        )
        kept.add(Literal(of, Requirement(key, Operator.IN, values)))
    return frozenset(kept)


def alternatives(expression: LabelExpression) -> list[list[Literal]]:
    """Return an expression as alternatives of literals on the labels of pods.

    Raises:
        TooMany: there would be too many of them.
    """
    match expression:
        case LabelIs(requirement):
            return [[Literal(Of.POD, requirement)]]
        case LabelNot(part):
            found: list[list[Literal]] = [[]]
            for choice in alternatives(part):
                opposites = [literal.opposite() for literal in choice]
                found = _checked([[*one, other] for one in found for other in opposites])
            return found
        case LabelAnd(parts):
            found = [[]]
            for part in parts:
                choices = alternatives(part)
                found = _checked([[*one, *other] for one in found for other in choices])
            return found
        case _:
            return _checked([one for part in expression.parts for one in alternatives(part)])


def _checked(found: list[list[Literal]]) -> list[list[Literal]]:
    if len(found) > MOST:
        raise TooMany(f"it comes to more than {MOST} alternatives")
    return found


# -- peers ---------------------------------------------------------------------------------------


class PodsTerm(msgspec.Struct, frozen=True, tag="pods"):
    """Pods by what they carry."""

    pods: Pods


class BlockTerm(msgspec.Struct, frozen=True, tag="block"):
    """Whatever has an address in a block: pods, nodes, the outside."""

    block: IpPeer


class OutsideTerm(msgspec.Struct, frozen=True, tag="outside"):
    """The outside's addresses in a block: no pods, and no nodes."""

    block: IpPeer


class EntityTerm(msgspec.Struct, frozen=True, tag="entity"):
    """The hosts that one of Cilium's entities stands for, or the API server."""

    entity: Entity


class NodesTerm(msgspec.Struct, frozen=True, tag="nodes"):
    """Nodes by their labels."""

    nodes: LabelSelector = EVERYTHING


class NameTerm(msgspec.Struct, frozen=True, tag="name"):
    """A domain name."""

    pattern: DomainPattern


Term = PodsTerm | BlockTerm | OutsideTerm | EntityTerm | NodesTerm | NameTerm

EVERYONE: Final[tuple[Term, ...]] = (
    PodsTerm(ALL_PODS),
    OutsideTerm(IpPeer("0.0.0.0/0")),
    OutsideTerm(IpPeer("::/0")),
    EntityTerm(Entity.HOST),
    EntityTerm(Entity.REMOTE_NODE),
)
"""What anyone at all is made of; no two have anything in common."""


def names(pods: Pods) -> tuple[str, ...] | None:
    """Return the namespaces that a selector names; None where it names none."""
    for literal in pods:
        required = literal.requirement
        if (literal.of, required.key, required.operator) == (
            Of.NAMESPACE,
            NAME_LABEL,
            Operator.IN,
        ):
            return required.values
    return None


def of(pods: Iterable[Literal], *kinds: Of) -> tuple[Literal, ...]:
    """Return the literals that look at some things, sorted."""
    return tuple(sorted(literal for literal in pods if literal.of in kinds))
