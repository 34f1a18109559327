"""Traffic as a rule asks for it: numbers of ports, names of ports, ICMP."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ringfence.convert import icmp_sets
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
    icmp: int = icmp_sets.NOTHING
    """As in `icmp_sets`."""

    def __bool__(self) -> bool:
        """Return whether there is any at all."""
        return bool(self.ports or self.names or self.icmp)

    @property
    def is_all(self) -> bool:
        """Return whether it is all traffic of every protocol."""
        return self.ports == port_sets.EVERYTHING and self.icmp == icmp_sets.EVERYTHING

    def minus(self, other: "Amount", resolved: Resolved, *, allow: bool = True) -> "Amount":
        """Return what of this one the other does not ask for.

        A port's name stands for the numbers that pods give it now. One that may mean what is
        taken away is dropped where less may be left rather than more; else the numbers that it
        may also mean stand in its place, for all pods.

        Args:
            other: what is taken away.
            resolved: the ports' names.
            allow: whether less may be left rather than more.
        """
        taken = other.ports | numbers(other.names, resolved)
        kept = self.names - other.names
        names = frozenset(port for port in kept if not numbers((port,), resolved) & taken)
        ports = self.ports & ~taken
        if not allow:
            # Not every pod gives the other's names to these numbers.
            ports |= self.ports & numbers(other.names, resolved) & ~other.ports
            ports |= numbers(kept - names, resolved) & ~other.ports
        return Amount(ports, names, self.icmp & ~other.icmp)

    def touches(self, other: "Amount", resolved: Resolved) -> bool:
        """Return whether the two may have something in common."""
        mine = self.ports | numbers(self.names, resolved)
        others = other.ports | numbers(other.names, resolved)
        return bool(mine & others or self.names & other.names or self.icmp & other.icmp)

    def ported(self) -> "Amount":
        """Return it without ICMP."""
        return Amount(self.ports, self.names)

    def traffic(self, icmp: Iterable[PortRange] = ()) -> tuple[Traffic, ...] | None:
        """Return it as rules have it; None for all traffic.

        Args:
            icmp: what the language says of its ICMP.
        """
        if self.is_all:
            return None
        named = sorted(self.names, key=_by_name)
        return (*_ranges(self.ports), *named, *icmp)


ALL: Final = Amount(port_sets.EVERYTHING, frozenset(), icmp_sets.EVERYTHING)


def read(
    traffic: Sequence[Traffic] | None,
    not_traffic: Iterable[Traffic],
    resolved: Resolved,
    *,
    cover: bool = False,
) -> Amount:
    """Return what a rule asks for, without what it excludes.

    Args:
        traffic: what it asks for; None for all.
        not_traffic: what it excludes.
        resolved: the ports' names.
        cover: whether more may be meant rather than less, where it cannot be said exactly.
    """
    wanted = ALL if traffic is None else _gather(traffic)
    excluded = _gather(not_traffic)
    return wanted.minus(excluded, resolved, allow=not cover) if excluded else wanted


def _by_name(port: NamedPort) -> tuple[str, str]:
    return port.name, port.protocol or ""


def _gather(traffic: Iterable[Traffic]) -> Amount:
    ports = 0
    names: set[NamedPort] = set()
    icmp = icmp_sets.NOTHING
    for part in traffic:
        match part:
            case NamedPort():
                names.add(part)
            case PortRange() if part.protocol is Protocol.ICMP:
                icmp |= icmp_sets.of(part)
            case PortRange():
                ports |= port_sets.ports(part.protocol, part.first, part.last)
    return Amount(ports, frozenset(names), icmp)


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
