"""The traffic that a rule means, and of which peers, its port names resolved at the destination.

A name stands for other ports at other destinations. For ingress the destination is the subject;
for egress a rule falls into parts, one for all destinations at which its names are the same ports.
"""

from collections.abc import Iterator, Mapping

from ringfence.engine.matches import Matches
from ringfence.engine.ports import Meaning, Named, Ports
from ringfence.engine.rules import CompiledRule, Part, Share
from ringfence.model.layer7 import Layer7
from ringfence.model.rule import NETWORK_POLICY, PortRange

NOWHERE: Meaning = (0, 0)
"""What stands for no traffic."""


class Shares:
    """The traffic of compiled rules, of one set of classes."""

    def __init__(
        self,
        ports: Ports,
        everything: int,
        in_family: Mapping[int, int],
        names_at: Mapping[Named, Mapping[Meaning, int]],
        *,
        icmp_is_open: bool,
    ) -> None:
        """Keep what ports and their names stand for.

        Args:
            ports: the traffic of the snapshot's rules.
            everything: all classes, as a bit set.
            in_family: per family, the classes that are reached over it.
            names_at: per port name, or what else stands for ports: classes of traffic → the
                classes at which it stands for them.
            icmp_is_open: whether NetworkPolicy's effect on ICMP is left open.
        """
        self._ports, self._traffic = ports, ports.space
        self._everything, self._in_family, self._names = everything, in_family, names_at
        self._icmp_is_open = icmp_is_open

    def of(self, compiled: CompiledRule, named: Meaning, not_named: Meaning) -> tuple[Share, ...]:
        """Return the traffic of a rule whose names stand for some.

        Args:
            compiled: the rule.
            named: the traffic that its names stand for.
            not_named: the traffic that the names which it excludes stand for.
        """
        rule = compiled.rule
        whole = rule.traffic is None or rule.unreadable is not None
        ranges = [] if whole else [p for p in rule.traffic or () if isinstance(p, PortRange)]
        excluded = [] if rule.unreadable else list(rule.not_traffic)
        of_family = any(isinstance(p, PortRange) and p.family for p in (*ranges, *excluded))
        shares = []
        for family in (4, 6) if of_family else (None,):
            mask = self._traffic.everything if whole else self._ports.mask(ranges, family)
            if whole and compiled.policy.tier == NETWORK_POLICY and self._icmp_is_open:
                mask &= ~self._traffic.icmp
            left = ~self._ports.mask(excluded, family) & compiled.only
            possible = (mask | named[0] | named[1]) & left & ~not_named[0]
            certain = (mask | named[0]) & left & ~(not_named[0] | not_named[1])
            if rule.layer7 is not None and not rule.unreadable and Layer7() not in rule.layer7:
                held, maybe = self._traffic.limit(rule.layer7)
                certain, possible = certain & held, possible & (held | maybe)
            if rule.not_layer7 and not rule.unreadable:
                held, maybe = self._traffic.limit(rule.not_layer7)
                certain, possible = certain & ~(held | maybe), possible & ~held
            perhaps = possible & ~certain
            peers = self._everything if family is None else self._in_family[family]
            if certain | perhaps:
                shares.append(Share(certain, perhaps, peers))
        return tuple(shares)

    def split(self, compiled: CompiledRule, matched: Matches) -> Iterator[Part]:
        """Yield the parts of an egress rule, its names resolved at each destination."""
        groups = {(NOWHERE, NOWHERE): self._everything}
        for index, names in enumerate((compiled.names, compiled.not_names)):
            for port in names:
                refined: dict[tuple[Meaning, Meaning], int] = {}
                for (named, not_named), where in groups.items():
                    left = where
                    for mask, at in self._names[port].items():
                        if here := where & at:
                            key = (named, _both(not_named, mask))
                            if not index:
                                key = (_both(named, mask), not_named)
                            refined[key] = refined.get(key, 0) | here
                            left &= ~at
                    if left:
                        key = (named, not_named)
                        refined[key] = refined.get(key, 0) | left
                groups = refined
        for (named, not_named), where in groups.items():
            resolved = (named, not_named) != (NOWHERE, NOWHERE)
            shares = self.of(compiled, named, not_named) if resolved else compiled.shares
            yield from parts(shares, matched.within(where))

    def named_at(self, port: Named, destination: int) -> Meaning:
        """Return the traffic that a port's name stands for at a class of pods."""
        found = NOWHERE
        for mask, at in self._names[port].items():
            if at >> destination & 1:
                found = _both(found, mask)
        return found

    def at(self, compiled: CompiledRule, destination: int) -> tuple[Share, ...]:
        """Return the traffic of a rule, its names resolved at a destination."""
        if not (compiled.names or compiled.not_names):
            return compiled.shares
        named = not_named = NOWHERE
        for port in compiled.names:
            named = _both(named, self.named_at(port, destination))
        for port in compiled.not_names:
            not_named = _both(not_named, self.named_at(port, destination))
        return self.of(compiled, named, not_named)


def _both(one: Meaning, other: Meaning) -> Meaning:
    certain = one[0] | other[0]
    return certain, (one[1] | other[1]) & ~certain


def parts(shares: tuple[Share, ...], matched: Matches) -> Iterator[Part]:
    """Yield the parts of a rule for peers that match it."""
    for share in shares:
        found = matched.within(share.peers)
        if share.certain and (found.certain | found.perhaps):
            yield share.certain, found.certain, found.perhaps
        if share.perhaps and found.possible:
            yield share.perhaps, 0, found.possible


def names(traffic: tuple[object, ...] | None) -> tuple[Named, ...]:
    """Return what, of what a rule says of ports, stands for others at other destinations."""
    return tuple(port for port in traffic or () if isinstance(port, Named))
