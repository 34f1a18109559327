"""What one side of a comparison allows between two classes of ends: on ports, and of ICMP."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from ringfence import layer7
from ringfence.convert import calico_paths, icmp_sets
from ringfence.engine import Engine
from ringfence.engine.matrix import Reach
from ringfence.model import icmp
from ringfence.model.cluster import Protocol
from ringfence.model.profile import Cni
from ringfence.model.snapshot import Snapshot
from ringfence.prove import amounts, port_sets
from ringfence.prove.amounts import Amount
from ringfence.questions.connectivity import spread

EVERY_TYPE: Final = Amount(icmp_sets.OF_A_FAMILY)


class Known(msgspec.Struct, frozen=True):
    """What is certainly allowed, and what perhaps is."""

    surely: Amount
    perhaps: Amount


class Traffic(msgspec.Struct, frozen=True):
    """Ports, and beside them the types and codes of ICMP of one family."""

    ports: Amount
    icmp: Amount

    def __bool__(self) -> bool:
        """Return whether there is any at all."""
        return bool(self.ports or self.icmp)

    def text(self, family: int) -> str:
        """Return it as people write it."""
        found = [self.ports.text()] if self.ports else []
        name = "ICMP" if family == 4 else "ICMPv6"
        for limits, numbers in ((None, self.icmp.free), *self.icmp.limited):
            if numbers:
                kinds = icmp.write(icmp_sets.runs(numbers))
                said = f" ({layer7.limit_text(limits.l7, limits.l7_except)})" if limits else ""
                found.append(f"{name} {kinds}".strip() + said)
        return "; ".join(found)

    def sample(self) -> tuple[Protocol, int]:
        """Return some of it: a protocol and a port, or a type with its code."""
        if self.ports:
            return port_sets.edges(self.ports.ports)[0]
        return Protocol.ICMP, next(icmp_sets.runs(self.icmp.ports))[0]


class Allowed(msgspec.Struct, frozen=True):
    """What one class may send another."""

    ports: Known
    """No more than is allowed, where the two sides compare paths otherwise."""
    at_most: Known
    """No less than is allowed."""
    icmp: Known
    left_to_cni: Amount
    """ICMP of which no policy says what becomes of it."""

    @property
    def is_unknown(self) -> bool:
        """Return whether anything is unknown that is not left to the CNI."""
        return self.ports.surely != self.ports.perhaps or (
            self.icmp.surely != self.icmp.perhaps and not self.left_to_cni
        )


class Side:
    """The verdicts of one snapshot."""

    def __init__(self, snapshot: Snapshot, *, other: Snapshot) -> None:
        """Take a snapshot that is cut as the other side's is."""
        self.snapshot = snapshot
        calico = snapshot.profile.cni is Cni.CALICO
        self._normalises = calico and other.profile.cni is not Cni.CALICO
        """Whether this side alone normalises the paths of HTTP before it compares them."""
        self.engine = Engine(snapshot)
        self._rows: dict[int, dict[int, _Row]] = {}
        self._known: dict[tuple[int, int, int], Allowed] = {}

    def class_of(self, family: int, element: int) -> int:
        """Return the class of an element."""
        return self.engine.compiled(family).classes.class_of[element]

    def between(self, family: int, source: int, destination: int) -> Allowed:
        """Return what one class may send another."""
        if family not in self._rows:
            traffic = self.engine.compiled(family).classes.traffic
            self._rows[family] = {
                number: _Row(reaches, traffic.icmp)
                for number, reaches in self.engine.matrix(family).rows()
            }
        key = (family, *self._rows[family][source].to(destination))
        if key not in self._known:
            self._known[key] = self._allowed(*key)
        return self._known[key]

    def _allowed(self, family: int, surely: int, perhaps: int) -> Allowed:
        of_icmp = Known(self._icmp(family, surely), self._icmp(family, perhaps))
        is_open = self.snapshot.profile.cni is Cni.GENERIC and of_icmp.surely != of_icmp.perhaps
        (low, high), (low_maybe, high_maybe) = (
            self._ports(family, mask) for mask in (surely, perhaps)
        )
        return Allowed(
            Known(low, low_maybe),
            Known(high, high_maybe),
            of_icmp,
            of_icmp.perhaps - of_icmp.surely if is_open else amounts.NOTHING,
        )

    def _ports(self, family: int, mask: int) -> tuple[Amount, Amount]:
        """Return what a mask holds at least, and at most, as it is sent."""
        traffic = self.engine.compiled(family).classes.traffic
        ported = mask & ~traffic.icmp
        if ported == traffic.everything & ~traffic.icmp:
            return amounts.EVERYTHING, amounts.EVERYTHING
        found = amounts.of_allowances(traffic.allowances(ported, ported), family)
        if not self._normalises or not found.limited:
            return found, found
        low = high = Amount(found.free)
        for limits, ports in found.limited:
            at_least, at_most = calico_paths.bounds(limits)
            low |= amounts.of_limits(ports, at_least)
            high |= amounts.of_limits(ports, at_most)
        return low, high

    def _icmp(self, family: int, mask: int) -> Amount:
        traffic = self.engine.compiled(family).classes.traffic
        held = mask & traffic.icmp
        if held == traffic.icmp:
            return EVERY_TYPE
        found = amounts.NOTHING
        for allowance in traffic.allowances(held, held):
            numbers = sum(((1 << z - a + 1) - 1) << a for a, z in icmp.read(allowance.ports))
            found |= amounts.of_limits(numbers, layer7.Limits(allowance.l7, allowance.l7_except))
        return found


class _Row:
    """What one class of sources may send: of most destinations, ICMP alone is unknown."""

    def __init__(self, reaches: list[Reach], icmp_classes: int) -> None:
        self._traffic = spread(reaches, icmp_classes)
        left: defaultdict[int, int] = defaultdict(int)
        for reach in _of_icmp_alone(reaches, icmp_classes):
            left[reach.traffic] |= reach.unknown
        self._left = tuple(left.items())

    def to(self, destination: int) -> tuple[int, int]:
        """Return the masks of what is certain, and of what is possible."""
        surely, perhaps = self._traffic.get(destination, (0, 0))
        for traffic, unknown in self._left:
            if unknown >> destination & 1:
                perhaps |= traffic
        return surely, perhaps


def _of_icmp_alone(reaches: Iterable[Reach], icmp_classes: int) -> Iterable[Reach]:
    return (reach for reach in reaches if reach.unknown and not reach.traffic & ~icmp_classes)
