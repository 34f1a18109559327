"""Traffic cut into the coarsest classes that the rules of a snapshot tell apart.

A class is a run of ports of one protocol (or ICMP as a whole); a set of classes is a bit mask.
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from typing import Final

from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import ANY, Allowance

PORTED: Final = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


class TrafficSpace:
    """The classes of a snapshot's traffic, numbered from 0; ICMP is the last."""

    def __init__(self, ranges: Iterable[tuple[Protocol, int, int]]) -> None:
        """Cut each protocol's ports at the ends of the ranges (protocol, first, last)."""
        cuts: dict[Protocol, set[int]] = {protocol: {0} for protocol in PORTED}
        for protocol, first, last in ranges:
            if protocol in cuts:
                cuts[protocol] |= {first, last + 1} - {65536}
        self._starts = {protocol: sorted(cuts[protocol]) for protocol in PORTED}
        self._offsets: dict[Protocol, int] = {}
        offset = 0
        for protocol in PORTED:
            self._offsets[protocol] = offset
            offset += len(self._starts[protocol])
        self.icmp = 1 << offset
        self.everything = (1 << (offset + 1)) - 1
        self.count = offset + 1
        self.allowances = cache(self._allowances)

    def mask(self, protocol: Protocol, first: int = 0, last: int = 65535) -> int:
        """Return the classes that a range of ports covers; the range must end at cuts."""
        if protocol is Protocol.ICMP:
            return self.icmp
        starts = self._starts[protocol]
        low, high = bisect_right(starts, first) - 1, bisect_right(starts, last)
        return ((1 << (high - low)) - 1) << (low + self._offsets[protocol])

    def class_of(self, protocol: Protocol, port: int | None) -> int:
        """Return the number of the class of a concrete packet."""
        if protocol is Protocol.ICMP:
            return self.count - 1
        return self._offsets[protocol] + bisect_right(self._starts[protocol], port or 0) - 1

    def runs(self, protocol: Protocol) -> list[tuple[int, int]]:
        """Return the classes of a protocol as (first port, last port), port 0 left out."""
        starts = [*self._starts[protocol], 65536]
        found = ((max(a, 1), b - 1) for a, b in itertools.pairwise(starts))
        return [(first, last) for first, last in found if first <= last]

    def _allowances(self, certain: int, possible: int) -> tuple[Allowance, ...]:
        """Return traffic as people write it.

        ICMP alone does not keep an allowance from being ANY where it is only not known to be
        allowed: NetworkPolicy leaves ICMP to the implementation.

        Args:
            certain: the classes to write down.
            possible: the classes that at least may belong to them.
        """
        if not certain:
            return ()
        ported = self.everything & ~self.icmp
        if certain & ported == ported and possible & self.icmp:
            return (Allowance(ANY),)
        found = [
            Allowance(protocol.value, ports)
            for protocol in PORTED
            if (ports := self._ports(protocol, certain))
        ]
        if certain & self.icmp:
            found.append(Allowance(Protocol.ICMP.value))
        return tuple(found)

    def _ports(self, protocol: Protocol, mask: int) -> str:
        starts = [*self._starts[protocol], 65536]
        runs: list[list[int]] = []
        for index in range(len(starts) - 1):
            if mask >> (self._offsets[protocol] + index) & 1:
                first, last = max(starts[index], 1), starts[index + 1] - 1
                if last < first:
                    continue
                if runs and runs[-1][1] + 1 == first:
                    runs[-1][1] = last
                else:
                    runs.append([first, last])
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
