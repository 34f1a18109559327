"""Sets of traffic as answers write them, and what two of them have in common or not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ringfence.model import icmp
from ringfence.model.cluster import Protocol
from ringfence.model.connectivity import ANY, Allowance
from ringfence.questions import limits
from ringfence.questions.limits import ALL, Limit

PORTED = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
FAMILIES = (4, 6)
Run = tuple[int, int, Limit]
"""First and last port, and what is admitted there. Of ICMP, numbers as `model.icmp` has them."""
Runs = tuple[Run, ...]
"""In ascending order, without overlap; those that touch differ in their limits."""
ALL_PORTS: Runs = ((1, 65535, ALL),)
ALL_ICMP: Runs = ((0, icmp.LAST, ALL),)
_CACHED = 1 << 14

Key = tuple[Protocol, int]
"""A protocol and an IP family."""
Choice = Sequence[Limit | None]


@dataclass(frozen=True)
class TrafficSet:
    """Traffic of every protocol and both families.

    ANY stands for the protocols that a question can name: of others nothing can be asked. Equal
    sets may be written in different ways where they are limited above the port: `same` tells.
    """

    parts: dict[Key, Runs]
    """Ports by protocol and family; a key whose ports are empty is absent."""

    @staticmethod
    def of(allowances: tuple[Allowance, ...]) -> "TrafficSet":
        """Return the traffic that allowances stand for together.

        Raises:
            Undecidable: they speak of the same port, and what they say there cannot be joined.
        """
        return _read(allowances)

    def __bool__(self) -> bool:
        """Return whether there is any traffic at all."""
        return bool(self.parts)

    def __or__(self, other: "TrafficSet") -> "TrafficSet":
        """Return what either holds.

        Raises:
            Undecidable: what is said above a port cannot be told apart; as of `&` and `-`.
        """
        return overlay((self, other), 1, lambda pair: (limits.union(*pair),))[0]

    def __and__(self, other: "TrafficSet") -> "TrafficSet":
        """Return what both hold."""
        return overlay((self, other), 1, lambda pair: (limits.intersection(*pair),))[0]

    def __sub__(self, other: "TrafficSet") -> "TrafficSet":
        """Return what this holds and the other does not."""
        return overlay((self, other), 1, lambda pair: (limits.difference(*pair),))[0]

    def same(self, other: "TrafficSet") -> bool:
        """Return whether both hold the same, however it is written.

        Raises:
            Undecidable: that cannot be told.
        """
        return self == other or not (self - other or other - self)

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


def overlay(
    sets: Sequence[TrafficSet], count: int, rule: Callable[[Choice], Choice]
) -> tuple[TrafficSet, ...]:
    """Return what a rule makes of several sets, port by port.

    Args:
        sets: the sets.
        count: how many the rule makes.
        rule: takes what each set admits on a port (None: nothing), and returns what each set of
            the result does.
    """
    made: list[dict[Key, Runs]] = [{} for _ in range(count)]
    for key in dict.fromkeys(key for each in sets for key in each.parts):
        listed = [each.parts.get(key, ()) for each in sets]
        for parts, runs in zip(made, _overlaid(listed, count, rule), strict=True):
            if runs:
                parts[key] = tuple(runs)
    return tuple(map(TrafficSet, made))


def _overlaid(
    listed: Sequence[Runs], count: int, rule: Callable[[Choice], Choice]
) -> list[list[Run]]:
    made: list[list[Run]] = [[] for _ in range(count)]
    cuts = sorted({cut for runs in listed for first, last, _ in runs for cut in (first, last + 1)})
    positions = [0] * len(listed)
    for low, past in pairwise(cuts):
        here: list[Limit | None] = []
        for number, runs in enumerate(listed):
            while positions[number] < len(runs) and runs[positions[number]][1] < low:
                positions[number] += 1
            at = positions[number]
            inside = at < len(runs) and runs[at][0] <= low
            here.append(runs[at][2] if inside else None)
        for result, limit in zip(made, rule(here), strict=True):
            if limit is None:
                continue
            if result and result[-1][1] == low - 1 and result[-1][2] == limit:
                result[-1] = (result[-1][0], past - 1, limit)
            else:
                result.append((low, past - 1, limit))
    return made


@lru_cache(_CACHED)
def _read(allowances: tuple[Allowance, ...]) -> TrafficSet:
    found = NOTHING
    parts: dict[Key, Runs] = {}
    for allowance in allowances:
        named = Protocol if allowance.protocol == ANY else (Protocol(allowance.protocol),)
        limit = (allowance.l7, allowance.l7_except)
        for protocol in named:
            runs = tuple((first, last, limit) for first, last in _ports(allowance.ports, protocol))
            for family in (allowance.ip_family,) if allowance.ip_family else FAMILIES:
                if (protocol, family) in parts:
                    found |= TrafficSet({(protocol, family): runs})
                else:
                    parts[protocol, family] = runs
    return found | TrafficSet(parts) if found else TrafficSet(parts)


def _ports(text: str, protocol: Protocol) -> list[tuple[int, int]]:
    if protocol is Protocol.ICMP:
        return icmp.read(text)
    if not text:
        return [(1, 65535)]
    runs = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        runs.append((int(first), int(last or first)))
    return runs


def _written(parts: dict[Protocol, Runs], family: int | None) -> tuple[Allowance, ...]:
    if all(parts[p] == ALL_PORTS for p in PORTED) and parts[Protocol.ICMP] == ALL_ICMP:
        return (Allowance(ANY, "", family),)
    return tuple(
        Allowance(protocol.value, _text(protocol, runs), family, *limit)
        for protocol in (*PORTED, Protocol.ICMP)
        for limit, runs in _by_limit(parts[protocol]).items()
    )


def _by_limit(runs: Runs) -> dict[Limit, list[tuple[int, int]]]:
    found: dict[Limit, list[tuple[int, int]]] = {}
    for first, last, limit in runs:
        found.setdefault(limit, []).append((first, last))
    return found


def _text(protocol: Protocol, runs: Sequence[tuple[int, int]]) -> str:
    if protocol is Protocol.ICMP:
        return icmp.write(runs)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _rank(protocol: str) -> int:
    """Return where a protocol stands among an answer's allowances."""
    return (*(p.value for p in PORTED), Protocol.ICMP.value, ANY).index(protocol)
