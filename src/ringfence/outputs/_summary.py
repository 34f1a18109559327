"""The figures that a person wants first: how open each namespace is, and who is isolated."""

from collections import Counter
from enum import StrEnum

import msgspec
from msgspec import UNSET

from ringfence.model.connectivity import Connectivity, OverMtls
from ringfence.outputs._peers import Peers, namespace_of, workload_of
from ringfence.outputs._words import count, is_any


class Openness(StrEnum):
    """How far a workload is open in one direction, as the pairs show it."""

    OPEN = "open"
    """To everything that is not itself closed to all others."""
    LIMITED = "limited"
    CLOSED = "closed"
    """To nobody at all."""


class NamespaceFigures(msgspec.Struct):
    """What is open into a namespace, counted in pairs of workloads."""

    name: str
    workloads: int
    pairs: int = 0
    """Pairs from any other workload to one of the namespace."""
    open: int = 0
    """Those of them with something allowed."""
    unlimited: int = 0
    """Those of the open ones with everything allowed."""
    unknown: int = 0
    """Pairs with something unknown."""
    from_outside: int = 0
    """Workloads that some outside address may send something."""
    to_outside: int = 0
    """Workloads that may send some outside address something."""


class Summary(msgspec.Struct):
    """The figures of a whole answer."""

    workloads: int
    pairs: int
    open: int
    unlimited: int
    unknown: int
    over_mtls: int | None
    """Those of the open ones that are over mTLS at all ports that are served; None where nobody
    is in a mesh."""
    partly: int
    """Those that are at some, and not at others."""
    plaintext: int
    """Those that are at none."""
    namespaces: list[NamespaceFigures]
    ingress: dict[Openness, list[int]]
    """Indices of the workloads, by how far they are open to others."""
    egress: dict[Openness, list[int]]


def summarize(connectivity: Connectivity, peers: Peers) -> Summary:
    """Return the figures of an answer."""
    total = len(peers.all)
    figures = {
        name: NamespaceFigures(
            name,
            len({workload_of(peers.all[number]) for number in inside}),
            pairs=_pairs_into(name, peers, connectivity.namespace),
        )
        for name, inside in peers.namespaces.items()
    }
    by_peer = [figures.get(namespace_of(peer) or "") for peer in peers.all]
    outside = {*peers.ranges, *peers.domains}
    unlimited: dict[int, bool] = {}
    into, out_of = [0] * total, [0] * total
    any_into, any_out_of = [0] * total, [0] * total
    from_outside, to_outside = set[int](), set[int]()
    index = peers.index
    carried: Counter[OverMtls] = Counter()
    meshed = False
    for pair in connectivity.connections:
        source, destination = index[pair.source], index[pair.destination]
        home = by_peer[destination]
        if pair.allow:
            key = id(pair.allow)
            unlimited_pair = unlimited.get(key)
            if unlimited_pair is None:
                unlimited_pair = unlimited[key] = is_any(pair.allow)
            into[destination] += 1
            out_of[source] += 1
            if unlimited_pair:
                any_into[destination] += 1
                any_out_of[source] += 1
            if source in outside:
                from_outside.add(destination)
            elif destination in outside:
                to_outside.add(source)
            elif home and by_peer[source]:
                home.open += 1
                if pair.mtls is not UNSET:
                    meshed = True
                    carried[pair.mtls] += 1
                home.unlimited += unlimited_pair
        if pair.unknown and home and by_peer[source]:
            home.unknown += 1
    for number in peers.workloads:
        if home := by_peer[number]:
            home.from_outside += number in from_outside
            home.to_outside += number in to_outside
    asked = connectivity.namespace
    about = peers.workloads if asked is None else peers.namespaces.get(asked, [])
    return Summary(
        workloads=sum(home.workloads for home in figures.values()),
        pairs=sum(home.pairs for home in figures.values()),
        open=sum(home.open for home in figures.values()),
        unlimited=sum(home.unlimited for home in figures.values()),
        unknown=sum(home.unknown for home in figures.values()),
        over_mtls=carried[True] if meshed else None,
        partly=carried["both"],
        plaintext=carried[False],
        namespaces=list(figures.values()),
        ingress=_openness(peers, about, into, any_into, any_out_of),
        egress=_openness(peers, about, out_of, any_out_of, any_into),
    )


def mtls_text(summary: Summary) -> str:
    """Return how many of the open pairs are over mTLS; empty where nobody is in a mesh."""
    if summary.over_mtls is None:
        return ""
    total = summary.over_mtls + summary.partly + summary.plaintext
    return mtls_figures(summary.over_mtls, summary.partly, summary.plaintext, count(total, "pair"))


def mtls_figures(over: int, partly: int, plaintext: int, of: str) -> str:
    """Return how many pairs are over mTLS, of those at which a port is open that is served."""
    some = f"{partly:,} at some ports only, " if partly else ""
    are = "is" if of.startswith("1 ") else "are"
    where = "of workloads with a served port open"
    return f"mTLS: {over:,} of {of} {where} {are} over mTLS, {some}{plaintext:,} plaintext"


def _pairs_into(namespace: str, peers: Peers, asked: str | None) -> int:
    """Return how many pairs of different workloads end in a namespace, of those asked about."""
    sources = peers.workloads if asked in {None, namespace} else peers.namespaces.get(asked, [])
    alike = Counter(workload_of(peers.all[number]) for number in sources)
    return sum(
        len(sources) - alike[workload_of(peers.all[number])]
        for number in peers.namespaces[namespace]
    )


def _openness(
    peers: Peers, about: list[int], some: list[int], unlimited: list[int], others: list[int]
) -> dict[Openness, list[int]]:
    """Return the workloads by how far they are open in a direction.

    Args:
        peers: all peers.
        about: the workloads that are asked about.
        some: per peer, with how many others it shares any traffic in this direction.
        unlimited: per peer, with how many all traffic.
        others: per peer, with how many all traffic in the other direction: one that has none
            is closed on its own account, and says nothing of the workload asked about.
    """
    found: dict[Openness, list[int]] = {openness: [] for openness in Openness}
    free = sum(1 for number in range(len(peers.all)) if others[number])
    for number in about:
        own = sum(1 for other in peers.left_out(number) if others[other])
        if not some[number]:
            found[Openness.CLOSED].append(number)
        elif unlimited[number] and unlimited[number] >= free - own:
            found[Openness.OPEN].append(number)
        else:
            found[Openness.LIMITED].append(number)
    return found
