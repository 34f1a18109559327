"""Traffic as a rule asks for it: numbers of ports, names of ports, ICMP."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ringfence.model.cluster import Protocol
from ringfence.model.rule import NamedPort, PortRange, Traffic
from ringfence.model.snapshot import Snapshot
from ringfence.prove import port_sets

Resolved = dict[tuple[str, Protocol], int]
"""The ports that pods give a name to, by name and protocol, as in `port_sets`."""


class Amount(msgspec.Struct, frozen=True):
    """Some traffic. All of it has every port, every type of ICMP, and whatever else there is."""

    ports: int
    """As in `port_sets`."""
    names: frozenset[NamedPort] = frozenset()
    icmp: tuple[PortRange, ...] | None = ()
    """None: all of it."""

    def __bool__(self) -> bool:
        """Return whether there is any at all."""
        return bool(self.ports or self.names or self.icmp is None or self.icmp)

    @property
    def is_all(self) -> bool:
        """Return whether it is all traffic of every protocol."""
        return self.ports == port_sets.EVERYTHING and self.icmp is None

    def minus(self, other: "Amount", resolved: Resolved) -> "Amount":
        """Return what of this one the other does not ask for, or less.

        A port's name stands for the numbers that pods give it now: what they may be is taken
        away, and a name is kept only where it cannot mean what is taken away.
        """
        taken = other.ports | numbers(other.names, resolved)
        names = frozenset(
            port
            for port in self.names
            if port not in other.names and not numbers((port,), resolved) & taken
        )
        if other.icmp is None:
            icmp: tuple[PortRange, ...] | None = ()
        elif self.icmp is None:
            icmp = None if not other.icmp else _outside(other.icmp)
        else:
            icmp = tuple(part for part in self.icmp if not any(_meet(part, o) for o in other.icmp))
        return Amount(self.ports & ~taken, names, icmp)

    def touches(self, other: "Amount", resolved: Resolved) -> bool:
        """Return whether the two may have something in common."""
        mine = self.ports | numbers(self.names, resolved)
        others = other.ports | numbers(other.names, resolved)
        if mine & others or self.names & other.names:
            return True
        if self.icmp is None or other.icmp is None:
            return (self.icmp is None or bool(self.icmp)) and (
                other.icmp is None or bool(other.icmp)
            )
        return any(_meet(one, two) for one in self.icmp for two in other.icmp)

    def traffic(self, *, icmp: bool) -> tuple[Traffic, ...] | None:
        """Return it as rules have it; None for all traffic.

        Args:
            icmp: whether the language has words for ICMP.
        """
        if self.is_all:
            return None
        named = sorted(self.names, key=_by_name)
        found: list[Traffic] = [*_ranges(self.ports), *named]
        if icmp and self.icmp is None:
            found.append(PortRange(Protocol.ICMP))
        elif icmp:
            found += self.icmp or ()
        return tuple(found)


ALL: Final = Amount(port_sets.EVERYTHING, frozenset(), None)


def read(
    traffic: Sequence[Traffic] | None, not_traffic: Iterable[Traffic], resolved: Resolved
) -> Amount:
    """Return what a rule asks for, without what it excludes."""
    wanted = ALL if traffic is None else _gather(traffic)
    excluded = _gather(not_traffic)
    return wanted.minus(excluded, resolved) if excluded else wanted


def _by_name(port: NamedPort) -> tuple[str, str]:
    return port.name, port.protocol or ""


def _gather(traffic: Iterable[Traffic]) -> Amount:
    ports = 0
    names: set[NamedPort] = set()
    icmp: list[PortRange] = []
    whole = False
    for part in traffic:
        match part:
            case NamedPort():
                names.add(part)
            case PortRange(Protocol.ICMP, 0, 65535, None):
                whole = True
            case PortRange() if part.protocol is Protocol.ICMP:
                icmp.append(part)
            case PortRange():
                ports |= port_sets.ports(part.protocol, part.first, part.last)
    return Amount(ports, frozenset(names), None if whole else tuple(dict.fromkeys(icmp)))


def resolve(snapshot: Snapshot) -> Resolved:
    """Return the ports that pods give names to."""
    found: Resolved = {}
    for workload in snapshot.workloads:
        for identity in workload.identities:
            for port in identity.ports:
                if port.name and port.protocol in port_sets.PORTED:
                    key = (port.name, port.protocol)
                    number = port_sets.ports(port.protocol, port.port, port.port)
                    found[key] = found.get(key, 0) | number
    return found


def numbers(names: Iterable[NamedPort], resolved: Resolved) -> int:
    """Return every port that any of the names may stand for."""
    found = 0
    for port in names:
        for protocol in (port.protocol,) if port.protocol else port_sets.PORTED:
            found |= resolved.get((port.name, protocol), 0)
    return found


def _ranges(ports: int) -> Iterable[PortRange]:
    for protocol in port_sets.PORTED:
        own = ports & port_sets.ports(protocol)
        if own == port_sets.ports(protocol):
            yield PortRange(protocol)
            continue
        edges = [edge for of, edge in port_sets.edges(own) if of is protocol and edge]
        if len(edges) % 2:
            edges.append(65536)
        for first, past in zip(edges[::2], edges[1::2], strict=True):
            yield PortRange(protocol, first, past - 1)


def _meet(one: PortRange, other: PortRange) -> bool:
    apart = {one.family, other.family} == {4, 6}
    return not apart and one.first <= other.last and other.first <= one.last


def _outside(taken: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """Return the types of ICMP that none of the ranges meets."""
    found = []
    start = 0
    for part in sorted(taken, key=lambda part: part.first):
        if part.first > start:
            found.append(PortRange(Protocol.ICMP, start, part.first - 1))
        start = max(start, part.last + 1)
    if start <= 65535:
        found.append(PortRange(Protocol.ICMP, start, 65535))
    return tuple(found)
