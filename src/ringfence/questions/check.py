"""May this connect to that? One connection, or as many as one likes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Literal

import msgspec

from ringfence import reference
from ringfence.engine import Engine
from ringfence.layer7.undecidable import Undecidable
from ringfence.model import icmp
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.query import Http, Query
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions import requests
from ringfence.questions.combining import Part, combine
from ringfence.questions.destinations import OWN_ADDRESS, Destinations, Target
from ringfence.questions.lookups import Lookups
from ringfence.questions.naming import Named, Names
from ringfence.questions.provisos import Provisos
from ringfence.questions.requests import Asked

Judge = Literal["engine", "reference"]
A_SERVICE_HAS_IT = "{0} declares no port {1}, a port of {2}: to go by way of it, ask {2}:{1}"
NO_PORT_OF_ICMP = "ICMP has no ports: `{}` was not looked at; `icmp` asks for a type"


class Checker:
    """Answers queries about one snapshot; what they have in common is worked out once."""

    def __init__(
        self, snapshot: Snapshot, *, judge: Judge = "engine", namespace: str | None = None
    ) -> None:
        """Keep the snapshot and choose the judge.

        Args:
            snapshot: the cluster.
            judge: `engine`, or `reference` for the slow, literal second opinion.
            namespace: where a bare name is looked for first.
        """
        self.snapshot = snapshot
        self.names = Names(snapshot, namespace)
        self.destinations = Destinations(self.names)
        self.engine = Engine(snapshot)
        self._by: Callable[[Connection], Judgement] = self.engine.judge
        if judge == "reference":
            self._by = lambda connection: reference.judge(snapshot, connection)

    def ask(self, query: Query) -> Judgement:
        """Return the verdict on a query.

        Where the names stand for several things that differ, no port is given, or what is said
        above it is left open, an allow says what it is limited to.

        Raises:
            UsageError: a name, port or protocol that cannot be understood, or fields that
                contradict each other.
        """
        asked = requests.asked(query)
        sources = self.names.ends(query.source)
        parts: list[Part] = []
        notes: list[str] = []
        for protocol in asked.protocols:
            if protocol is Protocol.ICMP:
                parts += self._of_icmp(query, asked, sources)
            elif asked.port is None:
                parts += self._of_every_port(query, asked, sources, protocol)
            else:
                targets = self._targets(query, asked.port, protocol)
                parts += self._pairs(sources, targets, {}, asked.request)
                notes += self.mistaken(query, targets)
        found = combine(parts)
        if notes:
            found = msgspec.structs.replace(found, notes=(*found.notes, *dict.fromkeys(notes)))
        if query.port is not None and asked.protocols == (Protocol.ICMP,):
            note = NO_PORT_OF_ICMP.format(query.port)
            found = msgspec.structs.replace(found, notes=(*found.notes, note))
        return found

    def judge(self, connection: Connection) -> Judgement:
        """Return the verdict on one connection, the lookup of a name included."""
        return self._provisos.told(
            connection, self.lookups.compose(connection, self._alone(connection))
        )

    def _alone(self, connection: Connection) -> Judgement:
        try:
            return self._by(connection)
        except Undecidable as undecidable:
            # What no request carries, or a limit that cannot be written.
            open_ = Verdict.UNKNOWN
            return Judgement(
                verdict=open_, egress=open_, ingress=open_, unknown_because=(undecidable.reason,)
            )

    @cached_property
    def lookups(self) -> Lookups:
        """The DNS queries that connections to names need."""
        return Lookups(self.snapshot, self._alone)

    @cached_property
    def _provisos(self) -> Provisos:
        return Provisos(self.snapshot, self.engine)

    # -- what a query stands for -------------------------------------------------------------

    def _of_every_port(
        self, query: Query, asked: Asked, sources: Iterable[Named], protocol: Protocol
    ) -> list[Part]:
        parts: list[Part] = []
        targets = self._targets(query, None, protocol)
        # Where a mesh is, a Service's own ports are another way than its pods' address.
        ways = [t for t in targets if t.service is not None and self.destinations.meshed]
        others = [t for t in targets if t not in ways]
        runs = list(self.engine.compiled(4).classes.traffic.runs(protocol))
        for first, last in _cut(runs, ways) if others else []:
            limit = {"protocol": protocol.value, "ports": _span(first, last)}
            for target in others:
                here = [msgspec.structs.replace(target, port=first)]
                here += [way for way in ways if (way.end, way.port) == (target.end, first)]
                parts += self._pairs(sources, here, limit, asked.request)
        for way in ways if not others else []:
            limit = {"protocol": protocol.value, "ports": str(way.port)}
            parts += self._pairs(sources, [way], limit, asked.request)
        return parts

    def _of_icmp(self, query: Query, asked: Asked, sources: Iterable[Named]) -> list[Part]:
        targets = self._targets(query, None, Protocol.ICMP)
        if asked.icmp is None:
            return self._pairs(sources, targets, {}, asked.request)
        first, last = asked.icmp
        parts: list[Part] = []
        for low, high in self.engine.compiled(4).classes.traffic.icmp_runs():
            if low <= last and first <= high:
                span = max(low, first), min(high, last)
                limit = {} if span == asked.icmp else {"icmp": icmp.write([span])}
                concrete = [msgspec.structs.replace(target, port=span[0]) for target in targets]
                parts += self._pairs(sources, concrete, limit, asked.request)
        return parts

    def _targets(self, query: Query, port: int | str | None, protocol: Protocol) -> list[Target]:
        return self.destinations.targets(query.destination, port, protocol, near(query))

    def mistaken(self, query: Query, targets: list[Target]) -> list[str]:
        """Return what to ask instead, where a Service's port was asked of its pods."""
        if isinstance(query.port, str) or self.destinations.service(query.destination, near(query)):
            return []
        return [
            A_SERVICE_HAS_IT.format(target.label, target.port, service.ref)
            for target in targets
            if (service := self.destinations.mistaken(target))
        ]

    def _pairs(
        self,
        sources: Iterable[Named],
        targets: list[Target],
        limit: dict[str, Any],
        request: Request,
    ) -> list[Part]:
        listed = list(sources)
        places: defaultdict[tuple[End, str, int | None], list[Target]] = defaultdict(list)
        for target in targets:
            places[target.end, target.label, target.port].append(target)
        parts = []
        for source in listed:
            for (end, label, _), ways in places.items():
                here = dict(limit)
                if len(listed) > 1:
                    here["from"] = source.label
                if len(places) > 1:
                    here["to"] = label
                families = self._families(source.end, end)
                for family in families:
                    if len(families) > 1:
                        here = {**here, "ip_family": family}
                    parts += self._by_each_way(here, source, ways, family, request)
        return parts

    def _by_each_way(
        self,
        limit: dict[str, Any],
        source: Named,
        ways: list[Target],
        family: int | None,
        request: Request,
    ) -> list[Part]:
        """Return the verdict on a place; on each of the ways to it where they differ."""
        meshed = any(map(self._in_mesh, (source.end, ways[0].end)))
        parts = []
        for way in ways:
            if way.through in {"", OWN_ADDRESS} or meshed:
                here = {**limit, "through": way.through} if way.through else limit
                connection = Connection(
                    source.end, way.end, way.protocol, way.port, family, request, way.service
                )
                parts.append((here, self.judge(connection)))
        found = {(judgement.verdict, repr(judgement.limited_to)) for _, judgement in parts}
        return parts if len(found) > 1 else [(limit, combine(parts))]

    def _in_mesh(self, end: End) -> bool:
        if not isinstance(end, PodEnd):
            return False
        return self.snapshot.workloads[end.workload].identities[end.identity].mesh is not None

    def _families(self, source: End, target: End) -> list[int | None]:
        """Return the families to judge by; one of None where only one is possible."""
        if isinstance(source, AddressEnd | NodeEnd | DomainEnd) or isinstance(
            target, AddressEnd | NodeEnd | DomainEnd
        ):
            return [None]
        common = self.engine.families(source) & self.engine.families(target)
        return [None] if len(common) < 2 else [4, 6]


def _cut(runs: list[tuple[int, int]], ways: list[Target]) -> Iterator[tuple[int, int]]:
    """Yield runs of ports, the port of each way as one by itself."""
    alone = sorted({way.port for way in ways if way.port is not None})
    for first, last in runs:
        start = first
        for port in alone:
            if first <= port <= last:
                if start < port:
                    yield start, port - 1
                yield port, port
                start = port + 1
        if start <= last:
            yield start, last


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def near(query: Query) -> str | None:
    """Return the namespace in which a Service without one is looked for first: the caller's."""
    namespace, slash, _ = query.source.partition("/")
    return namespace if slash else None


def check(
    snapshot: Snapshot,
    source: str,
    destination: str,
    port: int | str | None = None,
    protocol: str | None = None,
    *,
    http: Http | None = None,
    dns: str | None = None,
    sni: str | None = None,
    mtls: bool | None = None,
    judge: Judge = "engine",
) -> Judgement:
    """Return whether `source` may connect to `destination`, with the evidence.

    Args:
        snapshot: the cluster.
        source: `namespace/name`, an address, a CIDR, ….
        destination: the same, or a Service (`svc/namespace/name`), or a domain name.
        port: a number, a container port's name, or None for every port.
        protocol: TCP (the default), UDP, SCTP or ICMP.
        http: the request that is sent, as far as it matters.
        dns: the name that a DNS query asks for.
        sni: the server name of a TLS handshake.
        mtls: whether it is mTLS of the mesh; as both ends are set up where None.
        judge: `engine`, or `reference` for a second opinion.

    Raises:
        UsageError: a name, port or protocol that cannot be understood.
    """
    query = Query(
        source=source,
        destination=destination,
        port=port,
        protocol=protocol,
        http=http,
        dns=None if dns is None else {"query": dns},
        sni=sni,
        mtls=mtls,
    )
    return Checker(snapshot, judge=judge).ask(query)
