"""Rules of Cilium's policies that cannot be enforced together.

Source: Cilium `pkg/policy/l4.go` L7ParserType.Merge, `pkg/policy/rule.go` mergePortProto.
"""

from ringfence.model.profile import older_than
from ringfence.model.verdict import Evidence
from ringfence.reference.cilium_blocks import NO_BLOCKS
from ringfence.reference.cilium_layer7 import Limit
from ringfence.reference.cilium_policy import Cell, Reading
from ringfence.reference.ends import Approach

CLASH = (
    "cannot be enforced together with another rule for the same peer and port ({}): what policy "
    "the endpoint has then is not known"
)
_SERVER_NAMES = "server names beside rules of layer 7 without `terminatingTLS`"


def conflicts(readings: list[Reading], here: Approach, version: str) -> list[tuple[Evidence, str]]:
    """Return the rules that cannot be merged with others, in either direction.

    Rules for the same peer on the same port (before 1.18: on the same port) can ask for one kind
    of proxy only, but that plain TLS goes together with HTTP if TLS is terminated; and not for
    different modes of authentication. Otherwise Cilium computes no policy at all.

    Source: Cilium `pkg/policy/l4.go` L7ParserType.canPromoteTo, `pkg/policy/rule.go`
    mergePortProto.
    """
    by_key: dict[tuple[str, ...], list[Cell]] = {}
    for reading in readings:
        for cell in reading.cells:
            if not cell.denies and cell.peer.key != NO_BLOCKS:
                key = cell.key[1:] if older_than(version, 1, 18) else cell.key
                by_key.setdefault((cell.direction.value, *key), []).append(cell)
    found = []
    for same in by_key.values():
        why = _clash([cell.limit for cell in same])
        if why:
            for cell in same:
                piece = _unknown(cell.evidence, here)
                where = f"{piece.file}:{piece.line}" if piece.line else f"{piece.file}"
                reason = f"{where}: `{piece.object}`: {piece.rule}: {CLASH.format(why)}"
                found.append((piece, reason))
    return found


def _unknown(piece: Evidence, here: Approach) -> Evidence:
    """Return evidence as one of what is not known, in the direction that is judged."""
    return Evidence(
        piece.layer,
        here.direction.value,
        "unknown",
        piece.object,
        piece.rule,
        piece.file,
        piece.line,
    )


def _clash(limits: list[Limit]) -> str:
    """Return why limits do not go together; empty if they do."""
    parsers = {limit.parser for limit in limits} - {""}
    if len(parsers) > 1 and parsers != {"http", "tls"}:
        return " and ".join(sorted(parsers))
    if len({limit.listener for limit in limits} - {""}) > 1:
        return "different listeners"
    if len({limit.authentication for limit in limits} - {""}) > 1:
        return "different modes of authentication"
    names = any(limit.server_names for limit in limits)
    payload = any(limit.http or limit.dns for limit in limits)
    # Where a rule has both, it terminates TLS; contexts of TLS that are not equal do not merge.
    together = any(limit.server_names and (limit.http or limit.dns) for limit in limits)
    if names and payload and not together:
        return _SERVER_NAMES
    return ""
