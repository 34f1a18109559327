"""What a judge of one direction hands back, and what no judge can see past: unread policies."""

from dataclasses import dataclass
from typing import Any

from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference.ends import Approach, OwnPod


@dataclass(frozen=True)
class Side:
    """What was found for one direction."""

    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()
    because: tuple[str, ...] = ()
    """Why it is unknown."""
    limits: tuple[dict[str, Any], ...] = ()
    """For an allow: what it is limited to above the port, where the question left that open."""


def plain(direction: Direction, rule: str) -> Side:
    """Return an allow that no object brings about: `default`, `self`, `own node`."""
    found = Evidence("network", direction.value, "allow", None, rule)
    return Side(Verdict.ALLOW, (found,))


def unsettled(blind: list[tuple[Evidence, str]]) -> Side:
    """Return an unknown side, from what could not be read and why each matters."""
    pieces = tuple(dict.fromkeys(piece for piece, _ in blind))
    return Side(Verdict.UNKNOWN, pieces, tuple(dict.fromkeys(why for _, why in blind)))


def blind_spots(snapshot: Snapshot, here: Approach) -> list[tuple[Evidence, str]]:
    """Return what hides policies that may select the subject."""
    namespace = here.subject.namespace if isinstance(here.subject, OwnPod) else None
    return [
        (
            Evidence(
                "network",
                here.direction.value,
                "unknown",
                None,
                "unread",
                spot.location.file,
                spot.location.line,
            ),
            f"{spot.location}: {spot.because}",
        )
        for spot in snapshot.blind_spots
        if spot.namespace in (None, namespace) and (spot.spared is None or spot.spared != namespace)
    ]
