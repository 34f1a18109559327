"""Sets of classes as people read them: boxes, less other boxes.

What can be said so by the boxes of a space is what is *convex*: where two classes belong to the set
and the boxes of a third lie between theirs, the third belongs to it as well. Then the set is all
that lies at or above it, less what of that does not belong to it and all above. Anything else needs
boxes of its own (`cells`).
"""

from typing import TYPE_CHECKING

from ringfence.layer7.bits import lowest, members
from ringfence.layer7.cells import exactly
from ringfence.layer7.cover import cover
from ringfence.layer7.meet import meet
from ringfence.model.layer7 import Layer7

if TYPE_CHECKING:
    from ringfence.layer7.space import Space

Written = tuple[tuple[Layer7, ...] | None, tuple[Layer7, ...]]


def write(space: "Space", mask: int) -> Written:
    """Return a set of classes as boxes (None: everything), and boxes taken out of them.

    Raises:
        Undecidable: it cannot be said in this way.
    """
    above = _above(space, mask)
    allowed: tuple[Layer7, ...] | None = None
    union = above
    if above != space.everything:
        allowed, union = _boxes(space, mask, above)
    excess = union & ~mask
    if _above(space, excess) & mask:
        return allowed, exactly(space, excess)
    return allowed, _boxes(space, excess, space.everything & ~mask)[0]


def _upward(space: "Space", number: int) -> int:
    """Return the classes for which all boxes of a class hold, itself included."""
    mask = space.everything
    for box in members(space.signatures[number]):
        mask &= space.masks[box]
    return mask


def _above(space: "Space", mask: int) -> int:
    """Return the classes at or above a set."""
    above = 0
    while rest := mask & ~above:
        # Numbers grow with signatures, so the lowest is a smallest.
        above |= _upward(space, lowest(rest))
    return above


def _boxes(space: "Space", wanted: int, within: int) -> tuple[tuple[Layer7, ...], int]:
    """Return boxes that cover a set, and what they hold for: given ones, else intersections.

    Args:
        space: where the set belongs to.
        wanted: the set.
        within: what the boxes may hold for: everything at or above the set, and maybe more.
    """
    chosen, rest = cover(wanted, within, space.masks)
    boxes = [space.boxes[number] for number in chosen]
    union = 0
    for number in chosen:
        union |= space.masks[number]
    while rest:
        number = lowest(rest)
        upward = _upward(space, number)
        boxes.append(meet(_generating(space, number, upward)))
        union |= upward
        rest &= ~upward
    return tuple(sorted(boxes, key=space.order)), union


def _generating(space: "Space", number: int, upward: int) -> list[Layer7]:
    """Return a few of the boxes of a class whose intersection is that of all of them."""
    listed = sorted(
        members(space.signatures[number]), key=lambda box: (space.masks[box].bit_count(), box)
    )
    chosen: list[int] = []
    left = space.everything
    for box in listed:
        if left & ~space.masks[box]:
            chosen.append(box)
            left &= space.masks[box]
        if left == upward:
            break
    for box in chosen[:-1]:
        without = space.everything
        for other in chosen:
            if other != box:
                without &= space.masks[other]
        if without == upward:
            chosen.remove(box)
    return [space.boxes[box] for box in chosen]
