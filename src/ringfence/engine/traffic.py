"""Traffic cut into the coarsest classes that the rules of a snapshot tell apart.

A class is a run of ports of one protocol (of types and codes for ICMP), and where rules look
above the port, one of the parts into which `layer7.Space` cuts what is said there. A set of
classes is a bit mask.
"""

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from ringfence.model import icmp
from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import ANY, Allowance
from ringfence.model.layer7 import ANYTHING, Layer7, Request

if TYPE_CHECKING:
    from ringfence.layer7.space import Space

PORTED: Final = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
EVERY: Final = (*PORTED, Protocol.ICMP)
Boxes = tuple[Layer7, ...]
Limits = tuple[Boxes | None, Boxes]
"""What is admitted above the port (None: all), and what is taken out of that."""


@dataclass(frozen=True)
class Run:
    """Ports that no rule tells apart, and how what is said on them is told apart."""

    protocol: Protocol
    first: int
    last: int
    offset: int
    """The number of its first class."""
    count: int
    space: "Space | None" = None
    """None where no rule looks above these ports, or where what is said could not be cut."""
    boxes: frozenset[Layer7] = frozenset()
    """What the rules look for."""
    undecided: str = ""
    """Why some of that could not be told apart."""

    @property
    def mask(self) -> int:
        """Return all its classes."""
        return ((1 << self.count) - 1) << self.offset


class TrafficSpace:
    """The classes of a snapshot's traffic, numbered from 0; those of ICMP are the last."""

    def __init__(
        self,
        ranges: Iterable[tuple[Protocol, int, int]],
        limited: Iterable[tuple[Protocol, int, int, Boxes]] = (),
    ) -> None:
        """Cut each protocol's ports at the ends of the ranges (protocol, first, last).

        Args:
            ranges: those that rules tell apart.
            limited: those on which a rule is limited above the port, and to what.
        """
        limits = list(limited)
        cuts: dict[Protocol, set[int]] = {protocol: {0} for protocol in EVERY}
        for protocol, first, last in (*ranges, *(limit[:3] for limit in limits)):
            cuts[protocol] |= {first, last + 1} - {65536}
        self._starts = {protocol: sorted(cuts[protocol]) for protocol in EVERY}
        boxes: dict[tuple[Protocol, int], set[Layer7]] = defaultdict(set)
        for protocol, first, last, found in limits:
            for index in range(*self._indices(protocol, first, last)):
                boxes[protocol, index].update(found)
        self._spaces: dict[frozenset[Layer7], tuple[Space | None, str]] = {}
        self._runs: dict[Protocol, list[Run]] = {}
        offset = 0
        for protocol in EVERY:
            self._runs[protocol] = []
            starts = [*self._starts[protocol], 65536]
            for index, (first, past) in enumerate(itertools.pairwise(starts)):
                told = frozenset(boxes.get((protocol, index), ()))
                space, undecided = self._space(told)
                run = Run(
                    protocol,
                    first,
                    past - 1,
                    offset,
                    space.count if space else 1,
                    space,
                    told,
                    undecided,
                )
                self._runs[protocol].append(run)
                offset += run.count
        self.count = offset
        self.everything = (1 << offset) - 1
        self.icmp = self.mask(Protocol.ICMP)
        self.limited = any(run.boxes for runs in self._runs.values() for run in runs)
        """Whether any rule looks above the port."""
        self.allowances = cache(self._allowances)
        self.limit = cache(self._limit)
        self.on_port = cache(self._on_port)

    def _space(self, boxes: frozenset[Layer7]) -> tuple["Space | None", str]:
        if not boxes:
            return None, ""
        if boxes not in self._spaces:
            from ringfence.layer7.space import (  # noqa: PLC0415 - only where a rule needs it
                Space,
                why_undecidable,
            )
            from ringfence.layer7.undecidable import Undecidable  # noqa: PLC0415

            # A pattern that cannot be followed at all is left out: its rules match perhaps.
            reasons = {box: why_undecidable(box) for box in boxes}
            told = "; ".join(sorted({reason for reason in reasons.values() if reason}))
            try:
                space = Space(box for box, reason in reasons.items() if not reason)
                self._spaces[boxes] = space, told
            except Undecidable as error:
                self._spaces[boxes] = None, str(error)
        return self._spaces[boxes]

    def _indices(self, protocol: Protocol, first: int, last: int) -> tuple[int, int]:
        starts = self._starts[protocol]
        return bisect_right(starts, first) - 1, bisect_right(starts, last)

    def mask(self, protocol: Protocol, first: int = 0, last: int = 65535) -> int:
        """Return the classes that a range of ports covers; the range must end at cuts."""
        low, past = self._indices(protocol, first, last)
        if low >= past:
            return 0
        runs = self._runs[protocol]
        begin, end = runs[low].offset, runs[past - 1].offset + runs[past - 1].count
        return ((1 << (end - begin)) - 1) << begin

    def _limit(self, boxes: Boxes) -> tuple[int, int]:
        """Return the classes of which all, and those of which perhaps some, meet any of the boxes.

        HTTP and TLS are only said over TCP, DNS over UDP and TCP.
        """
        certain = perhaps = 0
        for protocol, runs in self._runs.items():
            here = tuple(box for box in boxes if _is_said(box, protocol))
            for run in runs if here else ():
                for box in run.boxes.intersection(here):
                    if run.space is None or box not in run.space.boxes:
                        perhaps |= run.mask
                    else:
                        certain |= run.space.mask(box) << run.offset
        return certain, perhaps

    def why_undecided(self, mask: int) -> tuple[str, ...]:
        """Return why what is said on some of the classes could not be told apart."""
        runs = (run for listed in self._runs.values() for run in listed)
        return tuple({r.undecided: None for r in runs if r.undecided and r.mask & mask})

    def of(self, protocol: Protocol, port: int | None, request: Request = ANYTHING) -> int:
        """Return the classes that a packet may be of: one where all that matters is known."""
        if protocol is Protocol.ICMP and port is None:
            return self.icmp
        run = self._runs[protocol][bisect_right(self._starts[protocol], port or 0) - 1]
        if run.space is None:
            return run.mask
        return run.space.mask_of(_one_thing(request)) << run.offset

    def _on_port(self, number: int) -> int:
        """Return every class of the ports that a class is of."""
        runs = (run for listed in self._runs.values() for run in listed)
        return next(run.mask for run in runs if run.mask >> number & 1)

    def runs(self, protocol: Protocol) -> list[tuple[int, int]]:
        """Return the runs of a protocol as (first port, last port), port 0 left out."""
        found = ((max(run.first, 1), run.last) for run in self._runs[protocol])
        return [(first, last) for first, last in found if first <= last]

    def icmp_runs(self) -> list[tuple[int, int]]:
        """Return the runs of ICMP as (first, last) of types with their codes."""
        return [(run.first, run.last) for run in self._runs[Protocol.ICMP]]

    def samples(self, mask: int) -> list[tuple[Protocol, int, Request]]:
        """Return for each of some classes a packet of it: protocol, port, and what is said."""
        found = []
        for runs in self._runs.values():
            for run in runs:
                for index in range(run.count):
                    if mask >> (run.offset + index) & 1:
                        said = run.space.witness(index) if run.space else ANYTHING
                        found.append((run.protocol, max(run.first, run.last and 1), said))
        return found

    # -- in writing --------------------------------------------------------------------------

    def limits(self, protocol: Protocol, port: int, mask: int) -> Limits:
        """Return what a mask admits on a port, of what is said there."""
        run = self._runs[protocol][bisect_right(self._starts[protocol], port) - 1]
        return self._limits(run, mask)

    @staticmethod
    def _limits(run: Run, mask: int) -> Limits:
        held = mask & run.mask
        if run.space is None or held == run.mask:
            return None, ()
        return run.space.write(held >> run.offset)

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
        if certain & ported == ported and possible & self.icmp == self.icmp:
            return (Allowance(ANY),)
        return tuple(a for protocol in EVERY for a in self._of_protocol(protocol, certain))

    def _of_protocol(self, protocol: Protocol, mask: int) -> list[Allowance]:
        by_limits: dict[Limits, list[list[int]]] = {}
        written: dict[tuple[int, int], Limits] = {}
        for run in self._runs[protocol]:
            held = (mask & run.mask) >> run.offset
            first = run.first if protocol is Protocol.ICMP else max(run.first, 1)
            if not held or run.last < first:
                continue
            key = (id(run.space), held)
            if key not in written:
                written[key] = self._limits(run, mask)
            ports = by_limits.setdefault(written[key], [])
            if ports and ports[-1][1] + 1 == first:
                ports[-1][1] = run.last
            else:
                ports.append([first, run.last])
        return [
            Allowance(protocol.value, _text(protocol, ports), None, l7, excepts)
            for (l7, excepts), ports in sorted(by_limits.items(), key=lambda item: item[1])
        ]


def _one_thing(request: Request) -> Request:
    """Return a request with what follows from what it is: HTTP is no DNS query, nor the reverse."""
    if request.http or request.sni:
        return msgspec.structs.replace(request, dns="" if request.dns is None else request.dns)
    if request.dns:
        return msgspec.structs.replace(request, http=False, sni="")
    return request


def _is_said(box: Layer7, protocol: Protocol) -> bool:
    """Return whether what a box speaks of can be said over a protocol."""
    if box.http is not None or box.server_names is not None:
        return protocol is Protocol.TCP
    return box.dns is None or protocol in {Protocol.TCP, Protocol.UDP}


def _text(protocol: Protocol, runs: list[list[int]]) -> str:
    if protocol is Protocol.ICMP:
        return icmp.write((first, last) for first, last in runs)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
