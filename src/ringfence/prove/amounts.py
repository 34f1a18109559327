"""Amounts of traffic: sets of ports, each with what may be said above it.

Ports are integers as in `port_sets`. What is said above them is `layer7.Limits`; as most traffic
has none, amounts without any cost no more than their ports do.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

import msgspec

from ringfence import layer7
from ringfence.layer7 import Limits
from ringfence.model.connectivity import Allowance
from ringfence.model.layer7 import Layer7
from ringfence.prove import port_sets

UNLIMITED: Final = Limits()
_NONE: Final = Limits(())


class Amount(msgspec.Struct, frozen=True):
    """Some traffic. Whether it can be told apart from other traffic is not always decidable.

    The operators raise `layer7.Undecidable` where it is not.
    """

    free: int = port_sets.NOTHING
    """Ports on which anything may be said."""
    limited: tuple[tuple[Limits, int], ...] = ()
    """Other ports, by what may be said on them; no port twice, nothing empty."""

    @property
    def ports(self) -> int:
        """Return the ports on which anything at all may be said."""
        found = self.free
        for _, ports in self.limited:
            found |= ports
        return found

    def __bool__(self) -> bool:
        """Return whether there is any traffic at all."""
        return bool(self.free or self.limited)

    def __or__(self, other: "Amount") -> "Amount":
        """Return the traffic of either."""
        if not (self.limited or other.limited):
            return Amount(self.free | other.free)
        return _combined(self, other, _union)

    def __and__(self, other: "Amount") -> "Amount":
        """Return the traffic of both."""
        if not (self.limited or other.limited):
            return Amount(self.free & other.free)
        return _combined(self, other, _intersection)

    def __sub__(self, other: "Amount") -> "Amount":
        """Return the traffic of this one that is not of the other."""
        if not (self.limited or other.limited):
            return Amount(self.free & ~other.free)
        return _combined(self, other, _difference)

    def on(self, ports: int) -> "Amount":
        """Return the part of it on some ports."""
        kept = ((limits, own & ports) for limits, own in self.limited)
        return Amount(self.free & ports, tuple((one, own) for one, own in kept if own))

    def text(self) -> str:
        """Return it as people write it: `TCP 80; TCP 443 (POST /v1)`."""
        parts = [port_sets.text(self.free)] if self.free else []
        for limits, ports in self.limited:
            said = layer7.limit_text(limits.l7, limits.l7_except)
            # The limit stands behind each protocol, so that none looks unlimited.
            parts += [f"{part} ({said})" for part in port_sets.text(ports).split("; ")]
        return "; ".join(parts)


NOTHING: Final = Amount()
EVERYTHING: Final = Amount(port_sets.EVERYTHING)


def limited(ports: int, boxes: Iterable[Layer7] | None) -> Amount:
    """Return ports on which what meets any of the boxes may be said; None: anything."""
    if boxes is None:
        return Amount(ports)
    limits = Limits(tuple(boxes))
    return Amount(0, ((limits, ports),)) if ports and limits.l7 else NOTHING


def of_allowances(allowances: Iterable[Allowance], family: int) -> Amount:
    """Return the traffic of the allowances that hold for an IP family."""
    found = NOTHING
    for allowance in allowances:
        if allowance.ip_family in (None, family):
            limits = Limits(allowance.l7, allowance.l7_except)
            found |= of_limits(port_sets.of_allowance(allowance), limits)
    return found


def of_limits(ports: int, limits: Limits) -> Amount:
    """Return ports with what may be said on them."""
    if limits == UNLIMITED:
        return Amount(ports)
    return Amount(0, ((limits, ports),)) if ports and limits != _NONE else NOTHING


def _combined(one: Amount, other: Amount, combine: Callable[[Limits, Limits], Limits]) -> Amount:
    """Return what comes of two amounts, port by port."""
    whole = one.ports | other.ports
    found: dict[Limits, int] = {}
    for first, own in _parts(one, whole):
        for second, others in _parts(other, whole):
            if ports := own & others:
                limits = combine(first, second)
                found[limits] = found.get(limits, 0) | ports
    free = found.pop(UNLIMITED, 0)
    found.pop(_NONE, None)
    return Amount(free, tuple(sorted(found.items(), key=lambda item: item[1])))


def _parts(amount: Amount, whole: int) -> list[tuple[Limits, int]]:
    parts = [(UNLIMITED, amount.free), *amount.limited, (_NONE, whole & ~amount.ports)]
    return [(limits, ports) for limits, ports in parts if ports]


@cache
def _union(one: Limits, other: Limits) -> Limits:
    if UNLIMITED in (one, other):
        return UNLIMITED
    if _NONE in (one, other):
        return other if one == _NONE else one
    return one if one == other else layer7.union(one, other)


@cache
def _intersection(one: Limits, other: Limits) -> Limits:
    if _NONE in (one, other):
        return _NONE
    if UNLIMITED in (one, other):
        return other if one == UNLIMITED else one
    return one if one == other else layer7.intersection(one, other)


@cache
def _difference(one: Limits, other: Limits) -> Limits:
    if _NONE in (one, other) or other == UNLIMITED:
        return _NONE if one == _NONE or other == UNLIMITED else one
    return _NONE if one == other else layer7.difference(one, other)
