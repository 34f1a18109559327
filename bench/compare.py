"""Compares an answer of ringfence with one of network-config-analyzer, pair by pair.

Run as a process of its own, `python -m bench.compare OURS THEIRS HOST-NETWORK`: prints as JSON how
many pairs agree and what the others are.

Not compared: workloads on the host network, which network-config-analyzer takes for pods with a
network of their own, and pairs of outside addresses.
"""

import json
import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import product
from pathlib import Path
from typing import Any

LINE = re.compile(r"(?P<source>\S+) => (?P<target>\S+) : (?P<allowed>.*)")
CUBE = re.compile(r"\{protocols:([A-Z, ]+?)(?:,dst_ports:([0-9,-]+))?\}")
KIND = re.compile(r"\[\w+\]$")
PROTOCOLS = ("TCP", "UDP", "SCTP")
EVERYTHING = "everything"
Allowed = str | frozenset[tuple[str, str]]
"""Everything, or ports per protocol."""
Pairs = dict[tuple[str, str], Allowed]
Span = tuple[int, int, int]
"""Family, first and last address."""


def ours(path: Path) -> Pairs:
    """Return what `connectivity -o json` says is allowed."""
    found: Pairs = {}
    for pair in json.loads(path.read_text())["connections"]:
        listed = pair["allow"]
        if listed:
            found[pair["from"], pair["to"]] = (
                EVERYTHING
                if any(one["protocol"] == "ANY" for one in listed)
                else frozenset((one["protocol"], one["ports"]) for one in listed)
            )
    return found


def theirs(path: Path) -> Pairs:
    """Return what network-config-analyzer says is allowed.

    Raises:
        ValueError: a line of another form than those known.
    """
    found: Pairs = {}
    for line in path.read_text().splitlines():
        match = LINE.fullmatch(line)
        if not match:
            continue
        key = KIND.sub("", match["source"]), KIND.sub("", match["target"])
        if match["allowed"] == "All connections":
            found[key] = EVERYTHING
            continue
        cubes = CUBE.findall(match["allowed"])
        if not cubes or CUBE.sub("", match["allowed"]).strip(" ,"):
            raise ValueError(f"not understood: {line}")
        found[key] = frozenset(
            (protocol, ports or "1-65535")
            for protocols, ports in cubes
            for protocol in protocols.split(", ")
        )
    return found


def span(name: str) -> Span | None:
    """Return the range of addresses that a peer's name says; None for a workload."""
    if "/" in name:
        return None
    first, _, last = name.partition("-")
    low, high = ip_address(first), ip_address(last or first)
    return low.version, int(low), int(high)


class Outside:
    """What an answer allows between workloads and single addresses of the outside.

    The ranges that one workload is told of may overlap those of another, but not each other.
    """

    def __init__(self, pairs: Pairs) -> None:
        """Gather the ranges by workload and direction."""
        self._spans: dict[tuple[str, str], list[tuple[Span, Allowed]]] = {}
        self.edges: set[tuple[int, int]] = set()
        """Family and address where some range begins, or has just ended."""
        for (source, target), allowed in pairs.items():
            into, out = span(source), span(target)
            if (found := into or out) and not (into and out):
                key = ("into", target) if into else ("out", source)
                self._spans.setdefault(key, []).append((found, allowed))
                self.edges |= {(found[0], found[1]), (found[0], found[2] + 1)}
        for listed in self._spans.values():
            listed.sort(key=lambda one: one[0])

    def allowed(self, direction: str, workload: str, family: int, address: int) -> Allowed:
        """Return what is allowed; nothing where no range says so."""
        listed = self._spans.get((direction, workload), [])
        index = bisect_right(listed, (family, address), key=lambda one: one[0][:2]) - 1
        if index < 0:
            return ""
        (found, _, last), allowed = listed[index]
        return allowed if found == family and address <= last else ""


def differences(one: Pairs, other: Pairs, skipped: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Yield every pair of which the answers differ; the outside by one address of each range."""
    workloads = {n for pairs in (one, other) for p in pairs for n in p if not span(n)} - skipped
    for source, target in sorted(one.keys() | other.keys()):
        if {source, target} <= workloads and source != target:
            allowed = one.get((source, target), ""), other.get((source, target), "")
            if allowed[0] != allowed[1]:
                yield told(source, target, *allowed)
    sides = Outside(one), Outside(other)
    for family, address in sorted(sides[0].edges | sides[1].edges):
        if address >= 2 ** (32 if family == 4 else 128):
            continue
        name = str(IPv4Address(address) if family == 4 else IPv6Address(address))
        for direction, workload in product(("into", "out"), sorted(workloads)):
            mine, others = (side.allowed(direction, workload, family, address) for side in sides)
            if mine != others:
                ends = (name, workload) if direction == "into" else (workload, name)
                yield told(*ends, mine, others)


def told(source: str, target: str, mine: Allowed, other: Allowed) -> dict[str, Any]:
    """Return a difference as JSON can hold it."""
    return {
        "from": source,
        "to": target,
        "ringfence": mine if isinstance(mine, str) else sorted(mine),
        "other": other if isinstance(other, str) else sorted(other),
    }


def main(mine: str, other: str, skipped: str) -> None:
    """Print how many pairs there are on both sides, and what differs."""
    one, two = ours(Path(mine)), theirs(Path(other))
    found = list(differences(one, two, frozenset(skipped.split(","))))
    print(
        json.dumps({"ours": len(one), "theirs": len(two), "differ": len(found), "is": found[:50]})
    )


if __name__ == "__main__":
    main(*sys.argv[1:4])
