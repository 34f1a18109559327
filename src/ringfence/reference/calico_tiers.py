"""Calico's tiers: those that every cluster has, and those that have objects.

Source: Calico `api/pkg/apis/projectcalico/v3/tier.go` (V3), `libcalico-go/lib/validator/v3/
validator.go` (VAL), `libcalico-go/lib/backend/k8s/conversion` (CONV).
"""

import math
from dataclasses import dataclass
from typing import Any

from ringfence.model import tiers
from ringfence.model.document import Document, Path
from ringfence.model.profile import Profile, older_than
from ringfence.model.rule import Action, Tier, Ties
from ringfence.model.snapshot import Snapshot
from ringfence.reference import calico_objects, schema
from ringfence.reference.outcome import not_understood
from ringfence.reference.schema import NotUnderstoodError


def fixed_tiers(profile: Profile) -> dict[str, Tier]:
    """Return the tiers that every cluster has. Their names changed in 3.32.

    Source: V3 tier.go; CONV clusternetworkpolicy.go.
    """
    first, last = tiers.CALICO_ADMIN, tiers.CALICO_BASELINE
    if older_than(profile.version, 3, 32):
        first = Tier(first.order, "adminnetworkpolicy", ties=Ties.NAME)
        last = Tier(last.order, "baselineadminnetworkpolicy", ties=Ties.NAME)
    return {tier.name: tier for tier in (first, tiers.CALICO_DEFAULT, last)}


def tier_of(
    value: Any,  # noqa: ANN401
    path: Path,
    policy: Document,
    snapshot: Snapshot,
) -> Tier:
    """Return the tier that a policy names: `default` if none.

    A tier's end drops what none of its policies decided, unless its `defaultAction` is Pass.
    Before 3.32 a policy of another tier than `default` had to have the tier's name before its own.

    Source: V3 tier.go TierSpec; VAL validateTier.

    Raises:
        NotUnderstoodError: there is no such tier in the input, or it cannot be read.
    """
    name = schema.text("" if value is None else value, path) or "default"
    bare = name != "default" and not policy.name.startswith(f"{name}.")
    if bare and older_than(snapshot.profile.version, 3, 32):
        raise NotUnderstoodError(f"must begin with `{name}.`", ("metadata", "name"))
    fixed = fixed_tiers(snapshot.profile).get(name)
    for document in calico_objects.of_title(snapshot, "Tier.projectcalico.org"):
        if document.name != name:
            continue
        try:
            found = _read_tier(document)
            if fixed:
                _hold_fixed(found, fixed)
        except NotUnderstoodError as error:
            why = f"its tier could not be read: {not_understood(document, error)}"
            raise NotUnderstoodError(why, path) from error
        return fixed or found.tier
    if fixed:
        return fixed
    raise NotUnderstoodError(f"the tier `{name}` is not in the input", path)


@dataclass(frozen=True)
class _ReadTier:
    """A tier as its object has it, and which of its two fields that says at all."""

    tier: Tier
    given: frozenset[str]


def _read_tier(document: Document) -> _ReadTier:
    spec, at = calico_objects.spec_of(document, needed=False), ("spec",)
    given = schema.fields(spec, at, ("order", "defaultAction"))
    named = given.get("defaultAction", "Deny")
    action = schema.choice(named, (*at, "defaultAction"), ("Deny", "Pass"))
    order = read_order(given.get("order"), (*at, "order"))
    tier = Tier(order, document.name, ties=Ties.NAME, unmatched=Action(action.lower()))
    return _ReadTier(tier, frozenset(given))


def _hold_fixed(read: _ReadTier, fixed: Tier) -> None:
    """Hold that the object of a tier which every cluster has says nothing else of it.

    Source: VAL validateTier.

    Raises:
        NotUnderstoodError: it does, and Calico refuses it.
    """
    if "order" in read.given and read.tier.order != fixed.order:
        raise NotUnderstoodError(f"must be {fixed.order:g}", ("spec", "order"))
    if "defaultAction" in read.given and read.tier.unmatched != fixed.unmatched:
        raise NotUnderstoodError(f"must be {fixed.unmatched}", ("spec", "defaultAction"))


def read_order(value: Any, path: Path) -> float:  # noqa: ANN401
    """Return a policy's or tier's order: any number; without one, after all that have one.

    Raises:
        NotUnderstoodError: it is no number.
    """
    if value is None:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotUnderstoodError("must be a number", path)
    return float(value)
