"""The traffic of a snapshot's rules: where it is cut, and what port names stand for."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from ringfence.engine import bits
from ringfence.engine.protocols import WHOLE as OF_PROTOCOL
from ringfence.engine.spaces import EVERYWHERE
from ringfence.engine.traffic import EVERY, Boxes, TrafficSpace
from ringfence.engine.universe import Universe
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import Layer7
from ringfence.model.rule import NamedPort, PortRange, Rule, Traffic

WHOLE = tuple(PortRange(protocol) for protocol in EVERY)


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
        names: dict[str, set[NamedPort]] = defaultdict(set)
        for rule in rules:
            for port in (*(rule.traffic or ()), *rule.not_traffic):
                if isinstance(port, NamedPort):
                    names[port.name].add(port)
        # Per name as the rules write it: what it stands for at which element.
        found: dict[NamedPort, dict[int, set[tuple[Protocol, int]]]] = {
            port: defaultdict(set) for same in names.values() for port in same
        }
        hosts = range(universe.first_node, universe.first_cell)
        behind = range(universe.first_twin, universe.count)
        for element in (*range(universe.first_node), *hosts, *behind) if names else ():
            for declared in universe.named_ports(element):
                for port in names.get(declared.name, ()):
                    if port.protocol in (None, declared.protocol):
                        found[port][element].add((declared.protocol, declared.port))
        # Which host has which names depends on the family judged; the cuts must not.
        of_hosts = [declared for one in universe.host_endpoints.all for declared in one.ports]
        numbers = {
            port: frozenset(
                (
                    *(pair for pairs in at.values() for pair in pairs),
                    *(
                        (declared.protocol, declared.port)
                        for declared in of_hosts
                        if declared.name == port.name and port.protocol in (None, declared.protocol)
                    ),
                )
            )
            for port, at in found.items()
        }
        self.space = TrafficSpace(
            {r for rule in rules for r in self._ranges(rule, numbers)},
            [
                (*r, boxes, destinations(number))
                for number, rule in enumerate(rules)
                if (boxes := _told_apart(rule))
                for r in self._ranges(rule, numbers, limited=True)
            ],
        )
        self.resolved: dict[NamedPort, dict[int, int]] = {}
        """Per name: classes of traffic → the elements at which it stands for them."""
        for port, elements in found.items():
            at: dict[int, list[int]] = defaultdict(list)
            for element, pairs in elements.items():
                mask = 0
                for protocol, number in pairs:
                    mask |= self.space.mask(protocol, number, number)
                at[mask].append(element)
            self.resolved[port] = {mask: bits.from_members(e) for mask, e in at.items()}

    @staticmethod
    def _ranges(
        rule: Rule,
        numbers: dict[NamedPort, frozenset[tuple[Protocol, int]]],
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
                for protocol, number in numbers[port]:
                    yield protocol, number, number

    def mask(self, traffic: Iterable[Traffic], family: int | None) -> int:
        """Return the classes of the ranges that are of a family or of both."""
        found = 0
        for port in traffic:
            if isinstance(port, PortRange) and family in (None, port.family or family):
                found |= self.space.mask(port.protocol, port.first, port.last)
        return found


def _told_apart(rule: Rule) -> Boxes:
    """Return the limits that tell requests apart: one without any content does not.

    Of a limit with server names also the names and the rest apart: Cilium merges them so. And what
    a proxy of Cilium's can read from what it cannot.
    """
    parts = list(rule.layer7 or ())
    if rule.parser in OF_PROTOCOL:
        parts.append(OF_PROTOCOL[rule.parser])
    for box in rule.layer7 or ():
        if box.server_names is not None:
            parts += [
                Layer7(server_names=box.server_names),
                Layer7(http=box.http, dns=box.dns),
            ]
        if box.authenticated:
            parts.append(Layer7(authenticated=True))
    return tuple(box for box in dict.fromkeys(parts) if box != Layer7())
