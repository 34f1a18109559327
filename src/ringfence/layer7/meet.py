"""The intersection of boxes as one box, and of patterns as patterns."""

from collections.abc import Sequence

from ringfence.layer7 import language
from ringfence.layer7.atoms import Atoms
from ringfence.layer7.cover import cover
from ringfence.layer7.expression import expression_of
from ringfence.layer7.language import Node, Pattern
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.layer7 import DomainPattern, HeaderMatch, HttpMatch, Layer7, Text, exact


def meet(boxes: Sequence[Layer7]) -> Layer7:
    """Return the box that holds where all of some boxes do; of none, the box without a limit.

    Raises:
        Undecidable: their patterns have no intersection that can be written.
    """
    https = [box.http for box in boxes if box.http is not None]
    return Layer7(
        http=_http(https) if https else None,
        dns=_domains([box.dns for box in boxes]),
        server_names=_domains([box.server_names for box in boxes]),
        authenticated=any(box.authenticated for box in boxes),
        mtls=any(box.mtls for box in boxes),
    )


def _http(matches: list[HttpMatch]) -> HttpMatch:
    return HttpMatch(
        methods=_texts([match.methods for match in matches], language.METHODS),
        paths=_texts([match.paths for match in matches], language.PATHS),
        hosts=_texts([match.hosts for match in matches], language.PATHS),
        headers=_headers({header for match in matches for header in match.headers}),
    )


def _headers(matches: set[HeaderMatch]) -> tuple[HeaderMatch, ...]:
    """Return header matches without those that only ask for a header another asks a value of."""
    valued = {match.name for match in matches if match.value is not None}
    kept = [match for match in matches if match.value is not None or match.name not in valued]
    return tuple(sorted(kept, key=lambda match: (match.name, match.value or exact(""))))


def _texts(lists: list[tuple[Text, ...] | None], universe: Node) -> tuple[Text, ...] | None:
    found = _common([one for one in lists if one is not None], universe)
    return None if found is None else tuple(each for each in found if isinstance(each, Text))


def _domains(lists: list[tuple[DomainPattern, ...] | None]) -> tuple[DomainPattern, ...] | None:
    found = _common([one for one in lists if one is not None], language.NAMES)
    return (
        None if found is None else tuple(each for each in found if isinstance(each, DomainPattern))
    )


def _common(lists: Sequence[tuple[Pattern, ...]], universe: Node) -> tuple[Pattern, ...] | None:
    """Return patterns for the strings that meet a pattern of every list."""
    distinct = list(dict.fromkeys(lists))
    if len(distinct) < 2:
        return distinct[0] if distinct else None
    atoms = Atoms((pattern for one in distinct for pattern in one), universe)
    masks = [atoms.mask_of_any(one) for one in distinct]
    wanted = atoms.everything
    for mask in masks:
        wanted &= mask
    for one, mask in zip(distinct, masks, strict=True):
        if mask == wanted:
            return one
    chosen, rest = cover(wanted, wanted, [atoms.mask(pattern) for pattern in atoms.patterns])
    patterns = [atoms.patterns[number] for number in chosen]
    if rest:
        if universe == language.NAMES:
            raise Undecidable("what these domain patterns have in common is no domain pattern")
        patterns += expression_of(atoms, rest, wanted)
    return tuple(sorted(patterns, key=lambda each: (type(each).__name__, each)))
