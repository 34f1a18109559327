"""Traffic cut into the coarsest classes that the rules of a snapshot tell apart.

A class is a run of ports of one protocol (of types and codes for ICMP), and where rules look
above the port, one of the parts into which `layer7.Space` cuts what is said there. A set of
classes is a bit mask.

Where that has to be done zone by zone (`spaces`), a class also says to which destinations: then a
pair has the classes of the zone of its destination only, and a mask that is not yet about one
destination may hold classes of several zones.
"""

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from ringfence.engine.spaces import EVERYWHERE, MOST_TOGETHER, Spaces, zones
from ringfence.model import icmp
from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import ANY, Allowance
from ringfence.model.layer7 import ANYTHING, Layer7, Request

if TYPE_CHECKING:
    from ringfence.layer7.space import Space

PORTED: Final = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
EVERY: Final = (*PORTED, Protocol.ICMP)
KEPT: Final = 4096
"""Of how many packets it is remembered which classes they may be of."""
Boxes = tuple[Layer7, ...]
Limits = tuple[Boxes | None, Boxes]
"""What is admitted above the port (None: all), and what is taken out of that."""


_Told = tuple[list[Callable[[], int]], Boxes]
"""What finds the destinations of rules, and what all of these limit them to."""


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
    zone: int = EVERYWHERE
    """The destinations of which it is, as a bit set over elements."""

    @property
    def mask(self) -> int:
        """Return all its classes."""
        return ((1 << self.count) - 1) << self.offset


class TrafficSpace:
    """The classes of a snapshot's traffic, numbered from 0; those of ICMP are the last."""

    def __init__(
        self,
        ranges: Iterable[tuple[Protocol, int, int]],
        limited: Iterable[tuple[Protocol, int, int, Boxes, Callable[[], int]]] = (),
    ) -> None:
        """Cut each protocol's ports at the ends of the ranges (protocol, first, last).

        Args:
            ranges: those that rules tell apart.
            limited: those on which a rule is limited above the port, to what, and what finds the
                elements that may be the destination of what the rule is about.
        """
        # Many rules say the same of the same ports.
        limits: dict[tuple[Protocol, int, int, Boxes], list[Callable[[], int]]] = {}
        for *limit, destinations in limited:
            limits.setdefault(tuple(limit), []).append(destinations)  # type: ignore[arg-type]
        cuts: dict[Protocol, set[int]] = {protocol: {0} for protocol in EVERY}
        for protocol, first, last in (*ranges, *(limit[:3] for limit in limits)):
            cuts[protocol] |= {first, last + 1} - {65536}
        self._starts = {protocol: sorted(cuts[protocol]) for protocol in EVERY}
        told: dict[tuple[Protocol, int], list[_Told]] = defaultdict(list)
        for (protocol, first, last, boxes), places in limits.items():
            if said := tuple(box for box in boxes if _is_said(box, protocol)):
                for index in range(*self._indices(protocol, first, last)):
                    told[protocol, index].append((places, said))
        self._spaces = Spaces()
        self._at: dict[Protocol, list[tuple[Run, ...]]] = {protocol: [] for protocol in EVERY}
        """Per protocol and run of ports: the runs, of all zones where there are some."""
        self._runs: list[Run] = []
        """All of them, in the order of their classes."""
        for protocol in EVERY:
            starts = [*self._starts[protocol], 65536]
            for index, (first, past) in enumerate(itertools.pairwise(starts)):
                here = self._runs_of(protocol, first, past - 1, told.get((protocol, index), []))
                self._at[protocol].append(here)
        self._offsets = [run.offset for run in self._runs]
        self.count = self._runs[-1].offset + self._runs[-1].count
        self.everything = (1 << self.count) - 1
        self.icmp = self.mask(Protocol.ICMP)
        self.zoned = [runs for listed in self._at.values() for runs in listed if len(runs) > 1]
        """The runs of ports of which every zone has its own classes."""
        self.everywhere = self.everything
        """The classes that are of no zone."""
        for runs in self.zoned:
            for run in runs:
                self.everywhere &= ~run.mask
        self._of_box: dict[Layer7, list[Run]] = defaultdict(list)
        for run in self._runs:
            for box in run.boxes:
                self._of_box[box].append(run)
        self.limited = bool(self._of_box)
        """Whether any rule looks above the port."""
        self._of_packet: dict[tuple[Protocol, int | None, Request], int] = {}
        """What packets were found to be of, of late: the layers and the ways ask for the same."""
        self.allowances = cache(self._allowances)
        self.limit = cache(self._limit)

    def _runs_of(
        self, protocol: Protocol, first: int, last: int, told: list[_Told]
    ) -> tuple[Run, ...]:
        """Return the runs of some ports: one, or one for each zone."""
        boxes = frozenset(box for _, listed in told for box in listed)
        parts = [(EVERYWHERE, boxes)]
        if len(boxes) > MOST_TOGETHER or (boxes and self._spaces.together(boxes) is None):
            parts = zones([(place(), said) for places, said in told for place in places])
        found = []
        for zone, here in parts:
            space, undecided = self._spaces.as_far_as_possible(here) if here else (None, "")
            offset = self._runs[-1].offset + self._runs[-1].count if self._runs else 0
            count = space.count if space else 1
            run = Run(protocol, first, last, offset, count, space, here, undecided, zone)
            self._runs.append(run)
            found.append(run)
        return tuple(found)

    def _indices(self, protocol: Protocol, first: int, last: int) -> tuple[int, int]:
        starts = self._starts[protocol]
        return bisect_right(starts, first) - 1, bisect_right(starts, last)

    def mask(self, protocol: Protocol, first: int = 0, last: int = 65535) -> int:
        """Return the classes that a range of ports covers; the range must end at cuts."""
        low, past = self._indices(protocol, first, last)
        if low >= past:
            return 0
        begin, final = self._at[protocol][low][0].offset, self._at[protocol][past - 1][-1]
        end = final.offset + final.count
        return ((1 << (end - begin)) - 1) << begin

    def _limit(self, boxes: Boxes) -> tuple[int, int]:
        """Return the classes of which all, and those of which perhaps some, meet any of the boxes.

        HTTP and TLS are only said over TCP, as is the mTLS of a mesh, DNS over UDP and TCP.
        """
        certain = perhaps = 0
        for box in boxes:
            for run in self._of_box.get(box, ()):
                if run.space is None or box not in run.space.boxes:
                    perhaps |= run.mask
                else:
                    certain |= run.space.mask(box) << run.offset
        return certain, perhaps

    def why_undecided(self, mask: int) -> tuple[str, ...]:
        """Return why what is said on some of the classes could not be told apart."""
        return tuple({r.undecided: None for r in self._runs if r.undecided and r.mask & mask})

    def of(self, protocol: Protocol, port: int | None, request: Request = ANYTHING) -> int:
        """Return the classes that a packet may be of: one where all that matters is known.

        Of every zone, where there are some: to which destination the packet is, is not asked.
        """
        if protocol is Protocol.ICMP and port is None:
            return self.icmp
        key = (protocol, port, request)
        known = self._of_packet.get(key)
        if known is not None:
            return known
        found = 0
        for run in self.at_port(protocol, port or 0):
            if run.space is None:
                found |= run.mask
            else:
                found |= run.space.mask_of(_one_thing(request)) << run.offset
        if len(self._of_packet) == KEPT:
            self._of_packet.clear()
        self._of_packet[key] = found
        return found

    def of_protocol(self, protocol: Protocol) -> list[Run]:
        """Return the runs of a protocol's ports, of all zones where there are some, ascending."""
        return [run for runs in self._at[protocol] for run in runs]

    def at_port(self, protocol: Protocol, port: int) -> tuple[Run, ...]:
        """Return the runs that a port is in: one, or one for each zone."""
        return self._at[protocol][bisect_right(self._starts[protocol], port) - 1]

    def _meant(self, runs: tuple[Run, ...], mask: int) -> Run:
        """Return the run of some ports that a mask is about: that of the zone it has classes of."""
        if len(runs) == 1:
            return runs[0]
        begin, end = runs[0].offset, runs[-1].offset + runs[-1].count
        held = mask >> begin & ((1 << (end - begin)) - 1)
        return self._run_of(begin + (held & -held).bit_length() - 1) if held else runs[0]

    def _run_of(self, number: int) -> Run:
        """Return the run that a class is of."""
        return self._runs[bisect_right(self._offsets, number) - 1]

    def on_port(self, number: int) -> int:
        """Return every class of the ports, and of the zone, that a class is of."""
        return self._run_of(number).mask

    def runs(self, protocol: Protocol) -> list[tuple[int, int]]:
        """Return the runs of a protocol's ports that no rule cuts, port 0 left out.

        Shape: pairs of the first and the last port, ascending; together they are all ports.
        """
        found = ((max(runs[0].first, 1), runs[0].last) for runs in self._at[protocol])
        return [(first, last) for first, last in found if first <= last]

    def icmp_runs(self) -> list[tuple[int, int]]:
        """Return the runs of ICMP's types and codes that no rule cuts.

        Shape: pairs of first and last, as 256*type + code.
        """
        return [(runs[0].first, runs[0].last) for runs in self._at[Protocol.ICMP]]

    def samples(self, mask: int) -> list[tuple[Protocol, int, Request]]:
        """Return for each of some classes a packet of it.

        Shape: triples of protocol, port (256*type + code for ICMP), and what is said above it.
        """
        found = []
        for run in self._runs:
            for index in range(run.count):
                if mask >> (run.offset + index) & 1:
                    said = run.space.witness(index) if run.space else ANYTHING
                    found.append((run.protocol, max(run.first, run.last and 1), said))
        return found

    # -- in writing --------------------------------------------------------------------------

    def limits(self, protocol: Protocol, port: int, mask: int) -> Limits:
        """Return what a mask, of one destination, admits on a port, of what is said there."""
        return self._limits(self._meant(self.at_port(protocol, port), mask), mask)

    @staticmethod
    def _limits(run: Run, mask: int) -> Limits:
        held = mask & run.mask
        if run.space is None or held == run.mask:
            return None, ()
        return run.space.write(held >> run.offset)

    def _allowances(self, certain: int, possible: int) -> tuple[Allowance, ...]:
        """Return traffic as people write it: that of one destination, where there are zones.

        ICMP alone does not keep an allowance from being ANY where it is only not known to be
        allowed: NetworkPolicy leaves ICMP to the implementation.

        Args:
            certain: the classes to write down.
            possible: the classes that at least may belong to them.
        """
        if not certain:
            return ()
        if self._is_whole(certain) and possible & self.icmp == self.icmp:
            return (Allowance(ANY),)
        return tuple(a for protocol in EVERY for a in self._of_protocol(protocol, certain))

    def _is_whole(self, mask: int) -> bool:
        """Return whether a mask is all that there is on ports, to one destination at least."""
        missing = self.everything & ~self.icmp & ~mask
        if not missing or not self.zoned:
            return not missing
        for runs in self.zoned:
            if any(run.mask & mask == run.mask for run in runs):
                for run in runs:
                    missing &= ~run.mask
        return not missing

    def _of_protocol(self, protocol: Protocol, mask: int) -> list[Allowance]:
        by_limits: dict[Limits, list[list[int]]] = {}
        written: dict[tuple[int, int], Limits] = {}
        for runs in self._at[protocol]:
            run = self._meant(runs, mask)
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
    if box.http is not None or box.server_names is not None or box.mtls:
        return protocol is Protocol.TCP
    return box.dns is None or protocol in {Protocol.TCP, Protocol.UDP}


def _text(protocol: Protocol, runs: list[list[int]]) -> str:
    if protocol is Protocol.ICMP:
        return icmp.write((first, last) for first, last in runs)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
