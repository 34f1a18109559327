"""A connection to a name begins with looking the name up: may the source do that?

The judges say what policies make of a packet to a host of which the name is known. Whether the
source ever learns where to send it depends on another connection, that to the cluster's DNS.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions.cluster_dns import (
    NODE_CACHE_ADDRESS,
    PORTS,
    Listening,
    dns_workloads,
    node_cache,
)

NOT_JUDGED: Final = "whether {} can be looked up was not judged: {}"
NO_DNS: Final = "the cluster's DNS is not in the input"
MANY_NAMES: Final = "a wildcard stands for many names"
OPENEST_FIRST: Final = (Verdict.ALLOW, Verdict.UNKNOWN, Verdict.DENY)


class Server(msgspec.Struct, frozen=True):
    """Some pods that answer DNS queries, and where they listen."""

    end: End
    label: str
    ports: Listening


class Lookup(msgspec.Struct, frozen=True):
    """What becomes of the query for a name: the way that leads furthest."""

    name: str
    connection: Connection
    server: str
    judgement: Judgement

    @property
    def verdict(self) -> Verdict:
        """Return whether the name can be looked up."""
        return self.judgement.verdict


class Lookups:
    """The DNS queries that connections to names need, in one snapshot."""

    def __init__(self, snapshot: Snapshot, judge: Callable[[Connection], Judgement]) -> None:
        """Find the cluster's DNS.

        Args:
            snapshot: the cluster.
            judge: gives the verdict on one connection.
        """
        self._snapshot = snapshot
        self._judge = judge
        self.numbers = dns_workloads(snapshot)
        """The DNS workloads by index, with the ports that they listen at."""
        self.servers = self._servers()
        self.of = cache(self._of)

    def _servers(self) -> tuple[Server, ...]:
        workloads = self._snapshot.workloads
        found = dict(self.numbers)
        addresses = []
        number = node_cache(self._snapshot)
        if found and number is not None:
            if any(identity.host_network for identity in workloads[number].identities):
                label = f"{workloads[number].ref} at {NODE_CACHE_ADDRESS}"
                addresses.append(Server(AddressEnd(NODE_CACHE_ADDRESS), label, PORTS))
            else:
                found[number] = PORTS
        return (
            *(
                Server(PodEnd(number, i), workloads[number].ref, ports)
                for number, ports in sorted(found.items())
                for i in range(len(workloads[number].identities))
            ),
            *addresses,
        )

    def needs(self, connection: Connection) -> bool:
        """Return whether a connection needs a query to the cluster's DNS first.

        A host asks the resolver of its node, and the cluster's DNS itself asks nobody of the
        cluster.
        """
        source = connection.source
        if not isinstance(connection.destination, DomainEnd) or not isinstance(source, PodEnd):
            return False
        workload = self._snapshot.workloads[source.workload]
        host = workload.identities[source.identity].host_network
        return not host and source.workload not in self.numbers

    def _of(self, source: End, name: str, authenticated: bool | None) -> Lookup | None:  # noqa: FBT001 - three values
        """Return what becomes of the query for a name; None where no DNS is in the input."""
        request = Request(dns=name, authenticated=authenticated)
        best: Lookup | None = None
        for server in self.servers:
            # Clients ask over UDP first.
            for port in sorted(server.ports, key=lambda p: p.protocol is not Protocol.UDP):
                asked = Connection(source, server.end, port.protocol, port.first, request=request)
                found = Lookup(name, asked, server.label, self._judge(asked))
                if found.verdict is Verdict.ALLOW:
                    return found
                if best is None or _rank(found) < _rank(best):
                    best = found
        return best

    def compose(self, connection: Connection, judgement: Judgement) -> Judgement:
        """Return the verdict on a connection with that on the lookup it needs."""
        if judgement.verdict is Verdict.DENY or not self.needs(connection):
            return judgement
        assert isinstance(connection.destination, DomainEnd)  # noqa: S101 - else none is needed
        name = connection.destination.name
        wild = "*" in name
        found = None if wild else self.of(connection.source, name, connection.request.authenticated)
        if found is None:
            # Of a source that no policy governs, neither is its DNS.
            governed = any(e.object for e in judgement.evidence if e.direction == "egress")
            why = NOT_JUDGED.format(name, MANY_NAMES if wild else NO_DNS)
            return _told(judgement, why) if governed else judgement
        if found.verdict is Verdict.ALLOW:
            return judgement
        return _blocked(judgement, found)


def _rank(found: Lookup) -> int:
    return OPENEST_FIRST.index(found.verdict)


def _told(judgement: Judgement, note: str) -> Judgement:
    return msgspec.structs.replace(judgement, notes=(*judgement.notes, note))


def _blocked(judgement: Judgement, lookup: Lookup) -> Judgement:
    """Return a verdict that the lookup decides."""
    found = lookup.judgement
    verdict = judgement.verdict & found.verdict
    connection = lookup.connection
    where = f"{lookup.server}:{connection.port}/{connection.protocol.value}"
    doubt = "cannot" if found.verdict is Verdict.DENY else "perhaps cannot"
    note = f"the name {doubt} be looked up: {lookup.name}, at {where}"
    because = tuple(f"lookup of {lookup.name}: {reason}" for reason in found.unknown_because)
    return Judgement(
        verdict=verdict,
        egress=judgement.egress & found.egress,
        ingress=judgement.ingress & found.ingress,
        evidence=tuple(
            dict.fromkeys(
                (*judgement.evidence, *(e for e in found.evidence if e.action != "allow"))
            )
        ),
        unknown_because=(*judgement.unknown_because, *because)
        if verdict is Verdict.UNKNOWN
        else (),
        notes=tuple(dict.fromkeys((*judgement.notes, *found.notes, note))),
    )
