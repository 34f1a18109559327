"""One verdict from those on several requests and addresses, where a question leaves both open."""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference.ends import Address, Ranges
from ringfence.reference.findings import Side
from ringfence.reference.linkerd_clients import Block
from ringfence.reference.linkerd_objects import Scene
from ringfence.reference.linkerd_requests import Trial
from ringfence.reference.linkerd_servers import Unread


@dataclass(frozen=True)
class Decision:
    """What becomes of one request from one address."""

    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()
    because: tuple[str, ...] = ()


def pieces_of(place: Ranges, family: int, blocks: Iterable[Block]) -> list[Address | None]:
    """Return one address of each part of a place that some blocks tell from the rest of it.

    None stands for a peer that has no address of the family.
    """
    edges: set[int] = set()
    for block in blocks:
        for network in (block.network, *block.excepts):
            if network.version == family:
                edges |= {int(network.network_address), int(network.broadcast_address) + 1}
    whole = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    found: list[Address | None] = []
    for low, high in place:
        cuts = sorted({low, high + 1} | {edge for edge in edges if low < edge <= high})
        found += [whole(first) for first, _ in pairwise(cuts)]
    return found or [None]


def either(ways: Sequence[Decision], unread: Sequence[Unread]) -> Decision:
    """Return what is the same in all ways that are possible; unknown where they differ."""
    if len({way.verdict for way in ways}) == 1:
        return ways[0]
    pieces = [piece for way in ways for piece in way.evidence]
    reasons = [reason for way in ways for reason in way.because]
    return Decision(
        Verdict.UNKNOWN,
        tuple(dict.fromkeys([*pieces, *(one.evidence for one in unread)])),
        tuple(dict.fromkeys([*reasons, *(one.because for one in unread)])),
    )


def together(
    trials: Sequence[Trial], decide: Callable[[Trial], list[Decision]], why_unsure: str
) -> Side:
    """Return one side from what becomes of each request, from each address.

    If it differs by address, which is not known, nothing can be said; if by what the question
    leaves open of the request, what is allowed is limited to that.
    """
    found: list[tuple[Trial, Decision]] = []
    for trial in trials:
        ways = decide(trial)
        one = either(ways, ())
        if one.verdict is Verdict.UNKNOWN and not one.because:
            one = Decision(Verdict.UNKNOWN, one.evidence, (why_unsure,))
        found.append((trial, one))
    verdicts = {one.verdict for _, one in found}
    if Verdict.UNKNOWN in verdicts:
        shown = [one for _, one in found if one.verdict is Verdict.UNKNOWN]
        pieces = [piece for one in shown for piece in one.evidence]
        because = [reason for one in shown for reason in one.because]
        return Side(Verdict.UNKNOWN, tuple(dict.fromkeys(pieces)), tuple(dict.fromkeys(because)))
    evidence = tuple(dict.fromkeys(piece for _, one in found for piece in one.evidence))
    if len(verdicts) == 1:
        return Side(verdicts.pop(), evidence)
    allowed = [trial.like for trial, one in found if one.verdict is Verdict.ALLOW]
    limits = tuple(like for index, like in enumerate(allowed) if like not in allowed[:index])
    return Side(Verdict.ALLOW, evidence, (), limits)


def unsettled_by_blind_spots(scene: Scene, namespace: str) -> Side | None:
    """Return unknown where policies of a namespace may exist that could not be read."""
    spots = [
        spot
        for spot in scene.snapshot.blind_spots
        if spot.namespace in (None, namespace) and (spot.spared is None or spot.spared != namespace)
    ]
    if not spots:
        return None
    pieces = tuple(
        Evidence(
            "mesh",
            scene.direction,
            "unknown",
            None,
            "unread",
            spot.location.file,
            spot.location.line,
        )
        for spot in spots
    )
    reasons = tuple(dict.fromkeys(f"{spot.location}: {spot.because}" for spot in spots))
    return Side(Verdict.UNKNOWN, pieces, reasons)
