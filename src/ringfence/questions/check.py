"""May this connect to that? One connection, or as many as one likes."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from ringfence import reference
from ringfence.engine import Engine
from ringfence.errors import UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd
from ringfence.model.query import Query
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions.naming import Named, Names, Target

Judge = Literal["engine", "reference"]


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
        self.engine = Engine(snapshot)
        self._judge: Callable[[Connection], Judgement] = self.engine.judge
        if judge == "reference":
            self._judge = lambda connection: reference.judge(snapshot, connection)

    def ask(self, query: Query) -> Judgement:
        """Return the verdict on a query.

        Where the names stand for several things that differ, or no port is given, an allow says
        what it is limited to.

        Raises:
            UsageError: a name, port or protocol that cannot be understood.
        """
        sources = self.names.ends(query.source)
        protocol = parse_protocol(query.protocol)
        parts: list[tuple[dict[str, Any], Judgement]] = []
        if query.port is None and protocol is not Protocol.ICMP:
            wanted = [protocol] if query.protocol else [Protocol.TCP, Protocol.UDP, Protocol.SCTP]
            for one in wanted:
                for first, last in self._port_classes(one):
                    ports = str(first) if first == last else f"{first}-{last}"
                    limit = {"protocol": one.value, "ports": ports}
                    for target in self._targets(query, None, one):
                        concrete = msgspec.structs.replace(target, port=first)
                        parts += self._pairs(sources, [concrete], limit)
            return combine(parts)
        port = None if protocol is Protocol.ICMP else query.port
        if isinstance(port, int) and not 0 <= port <= 65535:
            raise UsageError(f"`{port}` is not a port: 0 to 65535")
        return combine(self._pairs(sources, self._targets(query, port, protocol), {}))

    def _targets(self, query: Query, port: int | str | None, protocol: Protocol) -> list[Target]:
        source = query.source.split("/")
        near = source[0] if len(source) > 1 else None
        return self.names.targets(query.destination, port, protocol, near)

    def _pairs(
        self, sources: Iterable[Named], targets: list[Target], limit: dict[str, Any]
    ) -> list[tuple[dict[str, Any], Judgement]]:
        listed = list(sources)
        parts = []
        for source in listed:
            for target in targets:
                here = dict(limit)
                if len(listed) > 1:
                    here["from"] = source.label
                if len(targets) > 1:
                    here["to"] = target.label
                families = self._families(source.end, target.end)
                for family in families:
                    if len(families) > 1:
                        here = {**here, "ip_family": family}
                    connection = Connection(
                        source.end, target.end, target.protocol, target.port, family
                    )
                    parts.append((here, self._judge(connection)))
        return parts

    def _families(self, source: End, target: End) -> list[int | None]:
        """Return the families to judge by; one of None where only one is possible."""
        if isinstance(source, AddressEnd | NodeEnd | DomainEnd) or isinstance(
            target, AddressEnd | NodeEnd | DomainEnd
        ):
            return [None]
        common = self.engine.families(source) & self.engine.families(target)
        return [None] if len(common) < 2 else [4, 6]

    def _port_classes(self, protocol: Protocol) -> list[tuple[int, int]]:
        return self.engine.compiled(4).classes.traffic.runs(protocol)


def check(
    snapshot: Snapshot,
    source: str,
    destination: str,
    port: int | str | None = None,
    protocol: str | None = None,
    *,
    judge: Judge = "engine",
) -> Judgement:
    """Return whether `source` may connect to `destination`, with the evidence.

    Args:
        snapshot: the cluster.
        source: `namespace/name`, an address, a CIDR, ….
        destination: the same, or a Service (`svc/namespace/name`), or a domain name.
        port: a number, a container port's name, or None for every port.
        protocol: TCP (the default), UDP, SCTP or ICMP.
        judge: `engine`, or `reference` for a second opinion.

    Raises:
        UsageError: a name, port or protocol that cannot be understood.
    """
    query = Query(source=source, destination=destination, port=port, protocol=protocol)
    return Checker(snapshot, judge=judge).ask(query)


def parse_protocol(name: str | None) -> Protocol:
    """Return the protocol of a name, TCP where none is given.

    Raises:
        UsageError: none of the four.
    """
    try:
        return Protocol((name or "TCP").upper())
    except ValueError:
        raise UsageError(f"`{name}` is none of TCP, UDP, SCTP, ICMP") from None


def combine(parts: list[tuple[dict[str, Any], Judgement]]) -> Judgement:
    """Return one verdict for a question that stands for several connections.

    If all agree, that is it. If some are unknown, so is the whole. If some are allowed and some
    denied, the whole is allowed, limited to those that are.
    """
    verdicts = {judgement.verdict for _, judgement in parts}
    first = parts[0][1]
    if len(parts) == 1:
        return first
    notes = tuple(dict.fromkeys(note for _, j in parts for note in j.notes))
    if Verdict.UNKNOWN in verdicts:
        undecided = [j for _, j in parts if j.verdict is Verdict.UNKNOWN]
        because = tuple(dict.fromkeys(reason for j in undecided for reason in j.unknown_because))
        return msgspec.structs.replace(undecided[0], unknown_because=because, notes=notes)
    if len(verdicts) == 1:
        evidence = tuple(dict.fromkeys(e for _, j in parts for e in j.evidence))
        return msgspec.structs.replace(first, evidence=evidence, notes=notes)
    allowed = [(limit, j) for limit, j in parts if j.verdict is Verdict.ALLOW]
    evidence = tuple(dict.fromkeys(e for _, j in allowed for e in j.evidence))
    return msgspec.structs.replace(
        allowed[0][1],
        evidence=evidence,
        notes=notes,
        limited_to=tuple(_merge([limit for limit, _ in allowed])),
    )


def _merge(limits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the limits with the ports of one protocol gathered, neighbours joined."""
    merged: dict[tuple[tuple[str, Any], ...], list[list[int]]] = {}
    rest = []
    for limit in limits:
        if "ports" not in limit:
            if limit not in rest:
                rest.append(limit)
            continue
        key = tuple((k, v) for k, v in limit.items() if k != "ports")
        first, _, last = limit["ports"].partition("-")
        runs = merged.setdefault(key, [])
        if runs and runs[-1][1] + 1 == int(first):
            runs[-1][1] = int(last or first)
        else:
            runs.append([int(first), int(last or first)])
    gathered = [
        {**dict(key), "ports": ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)}
        for key, runs in merged.items()
    ]
    return gathered + rest
