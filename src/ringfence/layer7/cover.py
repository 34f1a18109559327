"""A set as a union of others."""

from collections.abc import Sequence


def cover(wanted: int, within: int, offered: Sequence[int]) -> tuple[list[int], int]:
    """Cover a set by some of those offered, largest first, none of them superfluous.

    Args:
        wanted: what should be covered.
        within: what may be covered.
        offered: the sets to choose from; of equal ones the first is taken.

    Returns:
        The positions of those chosen, ascending, and what of the wanted no choice could cover.
    """
    usable = [
        position for position, each in enumerate(offered) if each & wanted and not each & ~within
    ]
    usable.sort(key=lambda position: -offered[position].bit_count())
    chosen: list[int] = []
    covered = 0
    for position in usable:
        if offered[position] & wanted & ~covered:
            chosen.append(position)
            covered |= offered[position]
    # Each was needed when it was taken; later ones may have made it superfluous.
    behind = [0]
    for position in reversed(chosen):
        behind.append(behind[-1] | offered[position])
    kept: list[int] = []
    before = 0
    for number, position in enumerate(chosen, 1):
        if offered[position] & wanted & ~(before | behind[len(chosen) - number]):
            kept.append(position)
            before |= offered[position]
    return sorted(kept), wanted & ~covered
