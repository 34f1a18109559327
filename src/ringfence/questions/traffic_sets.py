"""Sets of traffic as answers write them, and what two of them have in common or not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import ANY, Allowance

PORTED = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
FAMILIES = (4, 6)
Ports = tuple[tuple[int, int], ...]
"""Ports in ascending runs that neither touch nor overlap; `((0, 0),)` is all of ICMP."""
ALL_PORTS: Ports = ((1, 65535),)
ALL_ICMP: Ports = ((0, 0),)
_CACHED = 1 << 14


@dataclass(frozen=True)
class TrafficSet:
    """Traffic of every protocol and both families.

    ANY stands for the protocols that a question can name: of others nothing can be asked.
    """

    parts: dict[tuple[Protocol, int], Ports]
    """Ports by protocol and family; a key whose ports are empty is absent."""

    @staticmethod
    def of(allowances: tuple[Allowance, ...]) -> "TrafficSet":
        """Return the traffic that allowances stand for together."""
        return _read(allowances)

    def __bool__(self) -> bool:
        """Return whether there is any traffic at all."""
        return bool(self.parts)

    def __or__(self, other: "TrafficSet") -> "TrafficSet":
        """Return what either holds."""
        return self._with(other, lambda a, b: _tidy([*a, *b]))

    def __and__(self, other: "TrafficSet") -> "TrafficSet":
        """Return what both hold."""
        return self - (self - other)

    def __sub__(self, other: "TrafficSet") -> "TrafficSet":
        """Return what this holds and the other does not."""
        return self._with(other, _without)

    def _with(self, other: "TrafficSet", combine: Callable[[Ports, Ports], Ports]) -> "TrafficSet":
        keys = self.parts.keys() | other.parts.keys()
        combined = {key: combine(self.parts.get(key, ()), other.parts.get(key, ())) for key in keys}
        return TrafficSet({key: ports for key, ports in combined.items() if ports})

    def allowances(self) -> tuple[Allowance, ...]:
        """Return the traffic as answers write it: both families together where they agree."""
        found: list[Allowance] = []
        by_family = {f: {p: self.parts.get((p, f), ()) for p in Protocol} for f in FAMILIES}
        if by_family[4] == by_family[6]:
            return _written(by_family[4], None)
        shared = {p: v if v == by_family[6][p] else () for p, v in by_family[4].items()}
        found += _written(shared, None)
        for family in FAMILIES:
            own = {p: () if shared[p] else v for p, v in by_family[family].items()}
            found += _written(own, family)
        return tuple(sorted(found, key=lambda a: (_rank(a.protocol), a.ip_family or 0)))


NOTHING = TrafficSet({})


@lru_cache(_CACHED)
def _read(allowances: tuple[Allowance, ...]) -> TrafficSet:
    parts: dict[tuple[Protocol, int], list[tuple[int, int]]] = {}
    for allowance in allowances:
        named = Protocol if allowance.protocol == ANY else (Protocol(allowance.protocol),)
        for protocol in named:
            ports = _ports(allowance.ports, protocol)
            for family in (allowance.ip_family,) if allowance.ip_family else FAMILIES:
                parts.setdefault((protocol, family), []).extend(ports)
    return TrafficSet({key: _tidy(ports) for key, ports in parts.items()})


def _ports(text: str, protocol: Protocol) -> Ports:
    if protocol is Protocol.ICMP:
        return ALL_ICMP
    if not text:
        return ALL_PORTS
    runs = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        runs.append((int(first), int(last or first)))
    return tuple(runs)


def _tidy(runs: list[tuple[int, int]]) -> Ports:
    """Return runs in ascending order, those that touch joined."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def _without(ports: Ports, removed: Ports) -> Ports:
    kept: list[tuple[int, int]] = []
    for first, last in ports:
        start = first
        for low, high in removed:
            if high < start or low > last:
                continue
            if low > start:
                kept.append((start, low - 1))
            start = high + 1
        if start <= last:
            kept.append((start, last))
    return tuple(kept)


def _written(parts: dict[Protocol, Ports], family: int | None) -> tuple[Allowance, ...]:
    whole = all(parts[p] == ALL_PORTS for p in PORTED) and bool(parts[Protocol.ICMP])
    if whole:
        return (Allowance(ANY, "", family),)
    found = []
    for protocol in PORTED:
        if ports := parts[protocol]:
            text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ports)
            found.append(Allowance(protocol.value, text, family))
    if parts[Protocol.ICMP]:
        found.append(Allowance(Protocol.ICMP.value, "", family))
    return tuple(found)


def _rank(protocol: str) -> int:
    """Return where a protocol stands among an answer's allowances."""
    return (*(p.value for p in PORTED), Protocol.ICMP.value, ANY).index(protocol)
