"""Calico's host endpoints: which of them a host's own traffic may go through, and whom they are.

A host endpoint is a subject of policies by its labels. As a peer it is no more than the addresses
that are expected of it, whoever has them.

Authority: Calico `felix/dataplane/linux/endpoint_mgr.go` resolveHostEndpoints; `felix/labelindex/
named_port_index.go` extractCIDRsFromHostEndpoint.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from ringfence.engine import bits
from ringfence.engine.labels import LabelIndex
from ringfence.model.cluster import ContainerPort, HostEndpoint

MOST_PAIRS: Final = 20_000
"""Of a host and a host endpoint that may be its; of more, nothing is known but that."""


@dataclass(frozen=True)
class Way:
    """A host endpoint that a host's traffic may go through."""

    number: int | None
    """Of the host endpoint; None: none at all."""
    why: str = ""
    """Why it may be another; empty where that is known."""


class HostEndpoints:
    """The host endpoints of a snapshot, numbered by name."""

    def __init__(self, found: Sequence[HostEndpoint]) -> None:
        """Index them by node, by labels and by address."""
        self.all = tuple(sorted(found, key=lambda one: one.name))
        self._by_node: defaultdict[str, list[int]] = defaultdict(list)
        self._ports: defaultdict[str, list[ContainerPort]] = defaultdict(list)
        for number, one in enumerate(self.all):
            self._by_node[one.node].append(number)
            for address in one.addresses:
                self._ports[_plain(address)] += one.ports
        self._labels = LabelIndex([one.labels for one in self.all])
        self.unlabelled = bits.from_members(
            number for number, one in enumerate(self.all) if not one.labels_known
        )
        """Those of which the labels could not be read."""
        self.where = cache(self._labels.where)
        """Which of them have labels for which an expression holds, as a bit set."""

    def on(self, node: str) -> list[int]:
        """Return those of a node, by name, and those of which the node could not be read."""
        if not node:
            return list(range(len(self.all)))
        return sorted({*self._by_node.get(node, ()), *self._by_node.get("", ())})

    def ways(self, node: str, addresses: Sequence[str]) -> tuple[Way, ...]:
        """Return through which a host's traffic may go; nothing where it has none.

        Through the one of whose addresses all those asked for are; else one of a named interface,
        or else the one for every interface.

        Args:
            node: the host's; empty where it is not known.
            addresses: the host's, of the family asked for; none where they are not known.
        """
        mine = self.on(node)
        if not mine:
            return ()
        if not node:
            why = "on which node it is is not known"
            return (Way(None, why), *(Way(number, why) for number in mine))
        every = [number for number in mine if self.all[number].every_interface]
        named = [number for number in mine if not self.all[number].every_interface]
        wanted = set(map(_plain, addresses))
        for number in named:
            one = self.all[number]
            if wanted and wanted <= set(map(_plain, one.addresses)) and not one.unreadable:
                return (Way(number),)
        why = ""
        if named:
            ref = f"HostEndpoint/{self.all[named[0]].name}"
            why = f"{ref} is of one interface, and by which the traffic passes is not known"
        fallback = Way(every[0] if every else None, why)
        return (*(Way(number, why) for number in named), fallback)

    def ports_at(self, addresses: Sequence[str]) -> list[ContainerPort]:
        """Return the ports that a host of some addresses has names for."""
        return [port for address in addresses for port in self._ports.get(_plain(address), ())]


def _plain(address: str) -> str:
    return str(ipaddress.ip_address(address))
