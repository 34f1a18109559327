"""The traffic of a snapshot's rules: where it is cut, and what port names stand for."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Final

import msgspec

from ringfence.engine import bits
from ringfence.engine.chains import Chains
from ringfence.engine.protocols import WHOLE as OF_PROTOCOL
from ringfence.engine.spaces import EVERYWHERE
from ringfence.engine.traffic import EVERY, Boxes, TrafficSpace
from ringfence.engine.universe import Universe
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import Layer7
from ringfence.model.rule import (
    Chain,
    ChainPort,
    NamedPort,
    PortRange,
    PortUse,
    ProxyPort,
    Rule,
    Traffic,
)

WHOLE = tuple(PortRange(protocol) for protocol in EVERY)
MTLS: Final = Layer7(mtls=True)
AUTHENTICATED: Final = Layer7(authenticated=True)

Named = NamedPort | ChainPort | ProxyPort
"""What stands for other ports at other destinations."""

Meaning = tuple[int, int]
"""The classes of traffic that it certainly stands for, and those that it perhaps stands for."""

_Places = dict[Named, dict[int, set[tuple[Protocol, int]]]]
"""Per name as the rules write it: what it stands for at which element."""


class Ports:
    """The classes of traffic that rules tell apart, and the elements where names stand for some."""

    def __init__(
        self,
        rules: Sequence[Rule],
        universe: Universe,
        destinations: Callable[[int], int] = lambda _: EVERYWHERE,
    ) -> None:
        """Cut the traffic at the ends of all ranges and at every port that a name stands for.

        Args:
            rules: of all policies.
            universe: where names stand for ports.
            destinations: per rule, by its number, the elements to which what it is about may go.
        """
        self._universe = universe
        self.chains = Chains(universe)
        written = dict.fromkeys(
            port for rule in rules for port in (*(rule.traffic or ()), *rule.not_traffic)
        )
        found = self._find_names([port for port in written if isinstance(port, NamedPort)])
        used = {
            port: {e: self._used(e, port) for e in bits.members(universe.meshed)}
            for port in written
            if isinstance(port, ProxyPort)
        }
        self._read = self._find_chains() if any(isinstance(p, ChainPort) for p in written) else {}
        numbers = self._numbers(found) | {
            port: frozenset(r for ranges in at.values() for r in ranges)
            for port, at in used.items()
        }
        self.space = TrafficSpace(
            {r for rule in rules for r in self._ranges(rule, numbers)} | self._of_proxies(),
            [
                (*r, boxes, meant)
                for number, rule in enumerate(rules)
                if (boxes := _told_apart(rule))
                for meant in (cache(partial(destinations, number)),)
                for r in self._ranges(rule, numbers, limited=True)
            ]
            + self._of_tunnels(rules),
        )
        self.resolved: dict[Named, dict[Meaning, int]] = {}
        """Per name: classes of traffic → the elements at which it stands for them."""
        for port, elements in found.items():
            self.resolved[port] = _gathered(
                (self._mask((p, n, n) for p, n in pairs), 0, element)
                for element, pairs in elements.items()
            )
        for chained in written:
            if isinstance(chained, ChainPort):
                self.resolved[chained] = _gathered(self._chain(chained))
        for use, places in used.items():
            self.resolved[use] = _gathered(
                (self._mask(ranges), 0, element) for element, ranges in places.items() if ranges
            )

    def _of_proxies(self) -> set[tuple[Protocol, int, int]]:
        """Return the ports at which it makes a difference how a proxy carries a connection."""
        found = set()
        for element in bits.members(self._universe.meshed):
            mesh = self._universe.identity(element).mesh
            assert mesh is not None  # noqa: S101 - only such are among them
            listed = (*mesh.inbound.listed, *mesh.outbound.listed)
            found |= {(Protocol.TCP, first, last) for first, last in listed}
        for led in self.chains.leading.values():
            found |= {(Protocol.TCP, target, target) for _, _, target in led}
        return found

    def _of_tunnels(
        self, rules: Sequence[Rule]
    ) -> list[tuple[Protocol, int, int, Boxes, Callable[[], int]]]:
        """Return what is told apart on every port because it is on those of tunnels."""
        asking = any(box.authenticated for rule in rules for box in rule.layer7 or ())
        if not asking or not self._universe.meshed:
            return []
        return [(Protocol.TCP, 0, 65535, (AUTHENTICATED,), lambda: EVERYWHERE)]

    def _find_names(self, written: list[NamedPort]) -> _Places:
        names: dict[str, set[NamedPort]] = defaultdict(set)
        for port in written:
            names[port.name].add(port)
        universe = self._universe
        found: _Places = {port: defaultdict(set) for same in names.values() for port in same}
        hosts = range(universe.first_node, universe.first_cell)
        behind = range(universe.first_twin, universe.first_service)
        for element in (*range(universe.first_node), *hosts, *behind) if names else ():
            for declared in universe.named_ports(element):
                for port in names.get(declared.name, ()):
                    if port.protocol in (None, declared.protocol):
                        found[port][element].add((declared.protocol, declared.port))
        return found

    def _find_chains(self) -> dict[int, dict[int, frozenset[Chain]]]:
        """Return as what each member of a mesh, and each Service, is read at its ports."""
        universe = self._universe
        members = bits.members(universe.meshed | universe.services)
        return {element: self.chains.of(element) for element in members}

    def _chain(self, chained: ChainPort) -> Iterator[tuple[int, int, int]]:
        """Yield the traffic that is read in one way at each element, certainly and perhaps."""
        known: dict[tuple[tuple[int, frozenset[Chain]], ...], Meaning] = {}
        chain = chained.chain
        for element, read in self._read.items():
            key = tuple(read.items())
            if key not in known:
                certain = self._mask((Protocol.TCP, p, p) for p, said in key if said == {chain})
                perhaps = self._mask((Protocol.TCP, p, p) for p, said in key if chain in said)
                if chain is Chain.DETECTED:
                    told = self._mask((Protocol.TCP, p, p) for p, _ in key)
                    certain |= self.space.mask(Protocol.TCP) & ~told
                perhaps &= ~certain
                if chained.others:
                    certain = self.space.mask(Protocol.TCP) & ~(certain | perhaps)
                known[key] = certain, perhaps
            yield *known[key], element

    def _used(self, element: int, port: ProxyPort) -> list[tuple[Protocol, int, int]]:
        """Return the ports of a member of a mesh that its proxy takes for something."""
        identity = self._universe.identity(element)
        mesh = identity.mesh
        assert mesh is not None  # noqa: S101 - only such are asked for
        match port.use:
            case PortUse.IDENTITY:
                found = mesh.identity_ports
            case PortUse.OPAQUE:
                found = mesh.opaque
            case PortUse.PROBE:
                found = tuple((n, n) for n, path in mesh.probes if path == port.path)
        within: list[tuple[int, int]] = [(0, 65535)]
        if isinstance(port.port, PortRange):
            within = [(port.port.first, port.port.last)]
        elif port.port is not None:
            name = port.port.name
            named = [d for d in identity.ports if d.name == name and not d.init]
            within = [(d.port, d.port) for d in named if d.protocol is Protocol.TCP]
        return [
            (Protocol.TCP, max(first, low), min(last, high))
            for first, last in found
            for low, high in within
            if max(first, low) <= min(last, high)
        ]

    def _mask(self, ranges: Iterable[tuple[Protocol, int, int]]) -> int:
        mask = 0
        for one in ranges:
            mask |= self.space.mask(*one)
        return mask

    def _numbers(self, found: _Places) -> dict[Named, frozenset[tuple[Protocol, int, int]]]:
        """Return the ranges of ports that names stand for anywhere.

        Which host has which names depends on the family judged; the cuts must not.
        """
        of_hosts = [d for one in self._universe.host_endpoints.all for d in one.ports]
        numbers: dict[Named, frozenset[tuple[Protocol, int, int]]] = {
            port: frozenset(
                (
                    *((p, n, n) for pairs in at.values() for p, n in pairs),
                    *(
                        (declared.protocol, declared.port, declared.port)
                        for declared in of_hosts
                        if isinstance(port, NamedPort)
                        and declared.name == port.name
                        and port.protocol in (None, declared.protocol)
                    ),
                )
            )
            for port, at in found.items()
        }
        told: dict[Chain, set[tuple[Protocol, int, int]]] = {chain: set() for chain in Chain}
        for read in self._read.values():
            for port, said in read.items():
                for chain in said | {Chain.DETECTED}:
                    told[chain].add((Protocol.TCP, port, port))
        told[Chain.DETECTED].add((Protocol.TCP, 0, 65535))
        everywhere = frozenset({r for ranges in told.values() for r in ranges})
        numbers |= {ChainPort(chain): frozenset(ranges) for chain, ranges in told.items()}
        return numbers | {ChainPort(chain, others=True): everywhere for chain in Chain}

    @staticmethod
    def _ranges(
        rule: Rule,
        numbers: Mapping[Named, frozenset[tuple[Protocol, int, int]]],
        *,
        limited: bool = False,
    ) -> Iterable[tuple[Protocol, int, int]]:
        """Yield the ranges that a rule names; those that it limits where that is asked."""
        traffic: Sequence[Traffic] = (
            WHOLE if rule.traffic is None and limited else rule.traffic
        ) or ()
        for port in traffic if limited else (*traffic, *rule.not_traffic):
            if isinstance(port, PortRange):
                yield port.protocol, port.first, port.last
            else:
                yield from numbers[port]

    def mask(self, traffic: Iterable[Traffic], family: int | None) -> int:
        """Return the classes of the ranges that are of a family or of both."""
        found = 0
        for port in traffic:
            if isinstance(port, PortRange) and family in (None, port.family or family):
                found |= self.space.mask(port.protocol, port.first, port.last)
        return found


def _gathered(found: Iterable[tuple[int, int, int]]) -> dict[Meaning, int]:
    """Return traffic → the elements of which it is told.

    Args:
        found: triples of the certain traffic, of the possible, and the element.
    """
    at: dict[Meaning, list[int]] = defaultdict(list)
    for certain, perhaps, element in found:
        at[certain, perhaps].append(element)
    return {meaning: bits.from_members(elements) for meaning, elements in at.items()}


def _told_apart(rule: Rule) -> Boxes:
    """Return the limits that tell requests apart: one without any content does not.

    Of a limit with server names also the names and the rest apart: Cilium merges them so. And what
    a proxy of Cilium's can read from what it cannot. Of a limit to mTLS that and the rest apart, so
    that plaintext is cut as what is over mTLS.
    """
    parts = [*(rule.layer7 or ()), *rule.not_layer7]
    if rule.parser in OF_PROTOCOL:
        parts.append(OF_PROTOCOL[rule.parser])
    for box in rule.layer7 or ():
        if box.server_names is not None:
            parts += [
                Layer7(server_names=box.server_names),
                Layer7(http=box.http, dns=box.dns),
            ]
        if box.authenticated:
            parts.append(AUTHENTICATED)
    for box in tuple(parts):
        if box.mtls:
            parts += [MTLS, msgspec.structs.replace(box, mtls=False)]
    return tuple(box for box in dict.fromkeys(parts) if box != Layer7())
