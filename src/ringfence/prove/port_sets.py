"""Sets of ports of all protocols as integers: bit 65536·p + n is port n of the p-th protocol.

ICMP is not among them: NetworkPolicy leaves it to the implementation, so that no policy can be
held to it. Nor is port 0, which no connection goes to.
"""

from collections.abc import Iterable
from functools import cache
from typing import Final

from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import ANY, Allowance

PORTED: Final = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
NOTHING: Final = 0


@cache
def ports(protocol: Protocol, first: int = 1, last: int = 65535) -> int:
    """Return a range of ports, both ends included; empty for a protocol without ports."""
    first = max(first, 1)
    if protocol not in PORTED or last < first:
        return NOTHING
    return ((1 << (last - first + 1)) - 1) << (first + 65536 * PORTED.index(protocol))


EVERYTHING: Final = ports(Protocol.TCP) | ports(Protocol.UDP) | ports(Protocol.SCTP)


@cache
def of_allowance(allowance: Allowance) -> int:
    """Return the ports of an allowance, as answers write it."""
    if allowance.protocol == ANY:
        return EVERYTHING
    found = NOTHING
    for part in allowance.ports.split(",") if allowance.ports else ():
        first, _, last = part.partition("-")
        found |= ports(Protocol(allowance.protocol), int(first), int(last or first))
    return found


def of_allowances(allowances: Iterable[Allowance], family: int) -> int:
    """Return the ports of the allowances that hold for an IP family."""
    found = NOTHING
    for allowance in allowances:
        if allowance.ip_family in (None, family):
            found |= of_allowance(allowance)
    return found


def edges(found: int) -> list[tuple[Protocol, int]]:
    """Return the ports at which membership changes, as (protocol, port)."""
    return [
        (PORTED[bit // 65536], bit % 65536)
        for first, last in _runs(found)
        for bit in (first, last + 1)
        if bit < 65536 * len(PORTED)
    ]


def text(found: int) -> str:
    """Return a set of ports as people write it: `TCP 80,443; UDP 53`; `any` for everything."""
    if found == EVERYTHING:
        return "any"
    by_protocol: dict[Protocol, list[str]] = {}
    for first, last in _runs(found):
        low, high = first % 65536, last % 65536
        written = str(low) if low == high else f"{low}-{high}"
        by_protocol.setdefault(PORTED[first // 65536], []).append(written)
    return "; ".join(
        f"{protocol.value} {'all ports' if parts == ['1-65535'] else ','.join(parts)}"
        for protocol, parts in by_protocol.items()
    )


def _runs(found: int) -> list[tuple[int, int]]:
    """Return the runs of set bits, as first and last; port 0 parts the protocols."""
    runs = []
    position = 0
    while found:
        gap = (found & -found).bit_length() - 1
        found >>= gap
        length = (~found & (found + 1)).bit_length() - 1
        runs.append((position + gap, position + gap + length - 1))
        found >>= length
        position += gap + length
    return runs
