"""What one end of a connection is meant to let pass, and what two ends come to together."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import DomainPattern, HttpMatch, Layer7, Wildcard
from ringfence.prove import amounts, port_sets
from ringfence.prove.amounts import Amount
from ringfence.prove.elements import Element, PodElement
from ringfence.prove.meanings import PortsAt
from ringfence.prove.peer_sets import PeerSet

EVERY_NAME: Final = DomainPattern("*", Wildcard.CILIUM)
ANY_HTTP: Final = Layer7(http=HttpMatch())
ANY_QUERY: Final = Layer7(dns=(EVERY_NAME,))
TCP: Final = port_sets.ports(Protocol.TCP)
DNS: Final = TCP | port_sets.ports(Protocol.UDP)


class Grant(NamedTuple):
    """What one end lets pass in one direction."""

    peers: PeerSet
    ports_at: PortsAt
    own: bool
    """True for what the map itself lists; False for DNS and substitutes."""
    limits: tuple[Layer7, ...] | None = None
    """None: anything may be said."""
    sealed: frozenset[int] = frozenset()
    """The destinations, as workloads, at which a mesh's proxies look into it instead."""

    def reads(self, destination: Element) -> bool:
        """Return whether the network looks into what goes to a destination."""
        inside = isinstance(destination, PodElement) and destination.workload in self.sealed
        return self.limits is not None and not inside

    def amount_at(self, destination: Element) -> Amount:
        """Return what passes to a destination; HTTP is spoken over TCP, DNS over UDP too."""
        ports = self.ports_at(destination)
        if self.limits is None or not self.reads(destination):
            return Amount(ports)
        spoken = DNS if any(box.dns is not None for box in self.limits) else TCP
        return amounts.limited(ports & spoken, self.limits)


class Expected(NamedTuple):
    """What may pass between two elements."""

    certain: Amount
    possible: Amount
    own: bool
    """Whether the map itself lists any of it."""
    refused: Amount = amounts.NOTHING
    """What the map lists, but a proxy that reads the port for the sake of another dependency cannot
    read: of `possible`, and not of `certain`."""


def read_as(box: Layer7) -> Layer7:
    """Return all of the protocol as which a limit's port is read."""
    return ANY_HTTP if box.http is not None else ANY_QUERY


def unread(listed: Amount, read: Mapping[Layer7, int]) -> Amount:
    """Return what is listed without a limit on ports that Cilium's proxy reads, and cannot read.

    Beside a rule with a limit, one without any for the same peer and port lets through what the
    proxy understands. Of two protocols HTTP is the one as which the port is read.

    Source: Cilium `pkg/policy/mapstate.go`, `pkg/policy/types/entry.go`.
    """
    found = amounts.NOTHING
    left = listed.free
    for protocol in (ANY_HTTP, ANY_QUERY):
        ports = left & read.get(protocol, 0)
        left &= ~ports
        found |= Amount(ports) - amounts.limited(ports, (protocol,))
    return found
