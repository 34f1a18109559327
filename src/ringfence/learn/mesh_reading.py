"""Where the proxies of a mesh read HTTP, and the small parts of what they are told."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ringfence.learn.mesh_ways import EVERY_PORT, MeshWays, Runs
from ringfence.learn.wishes import ISTIO
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import Layer7
from ringfence.model.mesh import DataPlane
from ringfence.model.rule import Chain, PortRange, Traffic
from ringfence.model.selector import LabelSelector, Operator

MTLS: Final = Layer7(mtls=True)
ZTUNNEL: Final = "ztunnel reads no HTTP, and for waypoints nothing is written"
NAMED_TCP: Final = "the Services that lead to the port name it as TCP"
MOST_PORTS: Final = 100
"""Longer ranges are not written out by meshes, and not taken apart here."""


def by_reading(ways: MeshWays, mesh: str, number: int, runs: Runs) -> Iterator[tuple[Runs, str]]:
    """Yield ports by whether the proxy that judges reads HTTP there, and why it does not."""
    if mesh != ISTIO:
        yield runs, ""
        return
    planes = {i.mesh.data_plane for i in ways.members(number, ISTIO) if i.mesh}
    if DataPlane.AMBIENT in planes:
        yield runs, ZTUNNEL
        return
    large = tuple(run for run in runs if run[1] - run[0] >= MOST_PORTS and (run,) != EVERY_PORT)
    runs = tuple(run for run in runs if run not in large)
    if large:
        yield large, ""
    unread = {
        port
        for port in ways.known_ports(number)
        if any(first <= port <= last for first, last in runs)
        and not ways.chains(number, ((port, port),)) <= {Chain.HTTP, Chain.DETECTED}
    }
    whole = runs == EVERY_PORT
    if read := runs if whole else tuple(without(runs, unread)):
        yield read, ""
    if unread:
        yield tuple((port, port) for port in sorted(unread)), NAMED_TCP


def over_mtls(boxes: tuple[Layer7, ...] | None) -> tuple[Layer7, ...]:
    """Return limits that hold over mTLS alone."""
    if boxes is None:
        return (MTLS,)
    return tuple(msgspec.structs.replace(box, mtls=True) for box in boxes)


def tcp_ports(runs: Runs) -> tuple[Traffic, ...]:
    """Return TCP ports as traffic."""
    return tuple(PortRange(Protocol.TCP, first, last) for first, last in runs)


def runs_of(traffic: Iterable[Traffic] | None) -> Iterator[tuple[int, int]]:
    """Yield the ranges that traffic is made of."""
    for part in traffic or ():
        if isinstance(part, PortRange):
            yield part.first, part.last


def without(runs: Runs, ports: set[int]) -> Iterator[tuple[int, int]]:
    """Yield ranges without some ports."""
    for first, last in runs:
        start = first
        for port in sorted(p for p in ports if first <= p <= last):
            if start < port:
                yield start, port - 1
            start = port + 1
        if start <= last:
            yield start, last


def is_plain(selector: LabelSelector) -> bool:
    """Return whether a selector asks for single values of labels and nothing else."""
    keys = [each.key for each in selector.requirements]
    return len(set(keys)) == len(keys) and all(
        each.operator is Operator.IN and len(each.values) == 1 for each in selector.requirements
    )
