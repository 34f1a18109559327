"""Every connection that a snapshot's policies may tell apart: pairs of ends, ports, families."""

import ipaddress
import random
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

from every_request import requests
from ringfence.model.cluster import Protocol
from ringfence.model.connection import (
    AddressEnd,
    Connection,
    DomainEnd,
    End,
    NodeEnd,
    PodEnd,
)
from ringfence.model.document import Document
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.snapshot import Snapshot

FEW_OUTSIDE = 14
NAME = re.compile(r"[-a-z0-9_.*]+\.test")
FEW_PORTS = 12


def pod_ends(snapshot: Snapshot, *, single: bool = True) -> list[PodEnd]:
    """Return every identity and, where asked, each of its first two pods by itself."""
    found = []
    for w, workload in enumerate(snapshot.workloads):
        for i, identity in enumerate(workload.identities):
            found.append(PodEnd(w, i))
            if single:
                found += [PodEnd(w, i, pod) for pod in range(min(2, len(identity.pods)))]
    return found


def outside_ends(snapshot: Snapshot) -> list[AddressEnd | DomainEnd]:
    """Return the addresses at both ends of every block and beside it, and the domain names."""
    taken = {
        a for w in snapshot.workloads for i in w.identities for p in i.pods for a in p.addresses
    }
    taken |= {address for node in snapshot.nodes for address in node.addresses}
    numbers = {(4, 0), (4, 2**32 - 1), (6, 0), (6, 2**128 - 1)}
    names = {"never.named"}
    for text in strings([said_by(document) for document in snapshot.documents]):
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            name = text.lower().removesuffix(".")
            if NAME.fullmatch(name):
                base = name.replace("*.", "")
                names |= {base, f"a.{base}", f"a.b.{base}", f"a{base}", name.replace("*", "a.b")}
            continue
        first, last = int(network.network_address), int(network.broadcast_address)
        numbers |= {(network.version, n) for n in (first - 1, first, last, last + 1)}
    addresses = sorted(
        str(ipaddress.IPv4Address(n) if version == 4 else ipaddress.IPv6Address(n))
        for version, n in numbers
        if 0 <= n < 2 ** (32 if version == 4 else 128)
    )
    found = [AddressEnd(a) for a in addresses if a not in taken]
    return [*found, *map(DomainEnd, sorted(names))]


def ends(snapshot: Snapshot) -> list[End]:
    """Return every end worth asking for."""
    found: list[End] = [*pod_ends(snapshot)]
    found += [NodeEnd(number) for number in range(len(snapshot.nodes))]
    outside = outside_ends(snapshot)
    if len(outside) > FEW_OUTSIDE:
        outside = random.Random(1).sample(outside, FEW_OUTSIDE)
    return found + outside


def named(snapshot: Snapshot) -> dict[str, End]:
    """Return the ends that mean the same in a snapshot of a little more or less, by name.

    Single pods, templates, nodes, and what is outside; identities may be cut otherwise there.
    """
    found: dict[str, End] = {}
    for w, workload in enumerate(snapshot.workloads):
        name = f"{workload.kind} {workload.ref}"
        for i, identity in enumerate(workload.identities):
            for number, pod in enumerate(identity.pods):
                found[f"{name} {pod.name}"] = PodEnd(w, i, number)
            if not identity.pods and len(workload.identities) == 1:
                found[name] = PodEnd(w, i)
    found |= {f"Node {node.name}": NodeEnd(n) for n, node in enumerate(snapshot.nodes)}
    for other in outside_ends(snapshot):
        found[other.address if isinstance(other, AddressEnd) else other.name] = other
    return found


def traffic(snapshot: Snapshot) -> list[tuple[Protocol, int | None]]:
    """Return each protocol at the boundary of every range of ports, and at every container port.

    ICMP is there without a type, and with those that policies name.
    """
    numbers = {0, 1, 80, 65535}
    for document in snapshot.documents:
        written = [*integers(said_by(document)), *quoted_ports(said_by(document))]
        numbers |= {n + d for n in written for d in (-1, 0, 1)}
    for workload in snapshot.workloads:
        for identity in workload.identities:
            numbers |= {port.port for port in identity.ports}
    ports = sorted(number for number in numbers if 0 <= number <= 65535)
    if len(ports) > FEW_PORTS:
        ports = random.Random(2).sample(ports, FEW_PORTS)
    found: list[tuple[Protocol, int | None]] = [
        (protocol, port)
        for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
        for port in ports
    ]
    kinds: set[int] = set()
    for document in snapshot.documents:
        kinds |= set(icmp_types(said_by(document)))
    # Where types are told apart, one that is not said leaves the question open.
    numbers_of_icmp = sorted(kinds | {2048}) if kinds else (None,)
    return [*found, *((Protocol.ICMP, number) for number in numbers_of_icmp)]


def said_by(document: Document) -> list[Any]:
    """Return what a document says."""
    return [document.body.get("spec"), document.body.get("specs")]


def quoted_ports(value: Any) -> Iterator[int]:
    """Yield the ports that are written as strings, as Cilium's are."""
    if isinstance(value, list):
        for child in value:
            yield from quoted_ports(child)
    if not isinstance(value, dict):
        return
    port = value.get("port")
    if isinstance(port, str) and port.isdecimal():
        yield int(port)
    for child in value.values():
        yield from quoted_ports(child)


def icmp_types(value: Any) -> Iterator[int]:
    """Yield the types, with codes, that policies name, and some beside them."""
    if isinstance(value, list):
        for child in value:
            yield from icmp_types(child)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("type"), str):
        yield from (2048, 0)
    for kind, code in ((value.get("type"), value.get("code")), (value.get("icmpType"), 0)):
        for found in (kind, code):
            if isinstance(found, int) and isinstance(kind, int) and 0 <= kind < 255:
                yield from (256 * kind, 256 * kind + found % 256, 256 * kind + 256)
    for child in value.values():
        yield from icmp_types(child)


def connections(snapshot: Snapshot, limit: int) -> list[Connection]:
    """Return every pair with all traffic, over the family that fits and over both.

    Where these are more than `limit`, so many of them are chosen, always the same ones. As an
    example shrinks, all are asked. Where policies look above the port, each connection carries
    one or another request, of which all is said.
    """
    everyone = ends(snapshot)
    settings = snapshot.profile.cilium
    has_hosts = bool(snapshot.host_endpoints) or bool(settings and settings.host_firewall)
    pairs = [
        pair
        for pair in product(everyone, repeat=2)
        if any(isinstance(e, PodEnd) for e in pair)
        or (has_hosts and any(isinstance(e, NodeEnd) for e in pair))
        if is_of_one_family(snapshot, pair)
    ]
    said = requests(snapshot)
    kinds: list[tuple[Protocol, int | None, Request]] = [
        (protocol, port, request)
        for protocol, port in traffic(snapshot)
        for request in requests_over(protocol, said)
    ]
    total = len(pairs) * len(kinds)
    chosen = (
        range(total) if total <= limit else sorted(random.Random(3).sample(range(total), limit))
    )
    found = []
    for number in chosen:
        (source, destination), (protocol, port, request) = (
            pairs[number // len(kinds)],
            kinds[number % len(kinds)],
        )
        found += [
            Connection(source, destination, protocol, port, family, request)
            for family in families(source, destination, number)
        ]
    return found


def requests_over(protocol: Protocol, said: list[Request]) -> list[Request]:
    """Return what may be said over a protocol: over ICMP only that peers authenticated."""
    if protocol is not Protocol.ICMP:
        return said or [ANYTHING]
    proven = [Request(http=False, dns="", sni="", authenticated=one) for one in (True, False)]
    return proven if any(request.authenticated for request in said) else [ANYTHING]


def is_of_one_family(snapshot: Snapshot, pair: tuple[End, ...]) -> bool:
    """Return whether no node that has addresses is asked for one of a family that it lacks."""
    asked = {ipaddress.ip_address(e.address).version for e in pair if isinstance(e, AddressEnd)}
    known = [snapshot.nodes[e.node].addresses for e in pair if isinstance(e, NodeEnd)]
    return all(
        asked <= {ipaddress.ip_address(address).version for address in listed}
        for listed in known
        if listed
    )


def families(source: End, destination: End, number: int) -> tuple[int | None, ...]:
    """Return the families to ask for: none in particular and, between pods, one in turn."""
    if all(isinstance(end, PodEnd | NodeEnd | DomainEnd) for end in (source, destination)):
        return (None, 4 if number % 2 else 6)
    return (None,)


def strings(value: Any) -> Iterator[str]:
    """Yield every string below a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for child in value.values() for text in strings(child))
    elif isinstance(value, list):
        yield from (text for child in value for text in strings(child))


def integers(value: Any) -> Iterator[int]:
    """Yield every whole number below a value."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield value
    elif isinstance(value, dict):
        yield from (number for child in value.values() for number in integers(child))
    elif isinstance(value, list):
        yield from (number for child in value for number in integers(child))
