"""All requests on one port, cut into the coarsest classes that boxes tell apart.

A class is told by its signature: which boxes hold for it. A box is a product over dimensions that
do not depend on each other (method, path, a header, a DNS query, …), so the signatures are found
dimension by dimension: of each set of boxes that are still alive, the sets that the values of the
next dimension leave. The grid of all values is never walked.
"""

import functools
from collections.abc import Iterable, Mapping

import msgspec

from ringfence.layer7 import dimension, linkerd_requests
from ringfence.layer7.bits import from_members, members
from ringfence.layer7.dimension import FLAGS, Dimension
from ringfence.layer7.undecidable import Undecidable
from ringfence.layer7.writing import Written, write
from ringfence.model.layer7 import Layer7, Request

BASE_WORK = 200_000
WORK_PER_BOX = 200
"""Sets of boxes looked at: what grows with the boxes may, what multiplies may not."""

ANY_BOX = Layer7()

_OF_HTTP = ("method", "path", "host", "headers")

_Way = tuple["_Way", str, int] | None
"""How a set of boxes was come to: from which, and by which value of which dimension."""

_Known = Mapping[str, int]
"""Of each dimension that is settled, its value."""


class Space:
    """The classes of requests, numbered from 0.

    INVARIANT: if the boxes of a class are a proper subset of those of another, its number is less.
    """

    def __init__(self, boxes: Iterable[Layer7] = ()) -> None:
        """Cut the requests.

        Args:
            boxes: equal ones may be repeated, the order does not matter.

        Raises:
            Undecidable: a pattern cannot be followed, or there are too many classes.
        """
        distinct = set(boxes)
        self.boxes: tuple[Layer7, ...] = tuple(sorted(distinct - {ANY_BOX}, key=self.order))
        """Without the box that holds for everything."""
        self._http, self._others = dimension.of_boxes(self.boxes)
        self.dimensions = {each.name: each for each in (*self._http, *self._others)}
        self._http_boxes = from_members(
            number for number, box in enumerate(self.boxes) if box.http is not None
        )
        self._work = self._budget = BASE_WORK + WORK_PER_BOX * len(self.boxes)
        found = self._reach((True, False) if self._http_boxes else (False,), {})
        self.signatures = sorted(found, key=lambda one: (one.bit_count(), one))
        """Of each class: the boxes that hold, bit i set for `boxes[i]`."""
        self.numbers = {signature: n for n, signature in enumerate(self.signatures)}
        """Of each signature: its class."""
        self._ways = found
        listed: list[list[int]] = [[] for _ in self.boxes]
        for number, signature in enumerate(self.signatures):
            for box in members(signature):
                listed[box].append(number)
        self.masks = [from_members(classes) for classes in listed]
        """Of each of `boxes`: the classes it holds for."""
        self._box_numbers = {box: number for number, box in enumerate(self.boxes)}

    def _reach(self, http: tuple[bool, ...], known: _Known) -> dict[int, _Way]:
        """Return the signatures of all requests that agree with what is known, and ways to them."""
        everyone = (1 << len(self.boxes)) - 1
        merged: dict[int, _Way] = {}
        for is_http in http:
            start = everyone if is_http else everyone & ~self._http_boxes
            groups: dict[int, _Way] = {start: (None, "http", int(is_http))}
            for each in self._http if is_http else ():
                groups = self._cut(groups, each, known)
            for signature, way in groups.items():
                merged.setdefault(signature, way)
        for each in self._others:
            merged = self._cut(merged, each, known)
        return merged

    def _cut(self, groups: dict[int, _Way], each: Dimension, known: _Known) -> dict[int, _Way]:
        found: dict[int, _Way] = {}
        settled = (known[each.name],) if each.name in known else None
        for group, way in groups.items():
            values = settled or each.values_for(group)
            for value in values:
                self._work -= 1
                alive = group & each.alive[value]
                if alive not in found:
                    found[alive] = (way, each.name, value)
            if self._work < 0:
                raise Undecidable("the limits on what is said on this port have too many classes")
        return found

    @staticmethod
    def order(box: Layer7) -> bytes:
        """Return what boxes are sorted by."""
        return msgspec.json.encode(box)

    @functools.cached_property
    def without_http(self) -> frozenset[int]:
        """Return the classes of what is not HTTP."""
        self._work = self._budget
        return frozenset(self.numbers[found] for found in self._reach((False,), {}))

    # -- asking ------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Return how many classes there are."""
        return len(self.signatures)

    @property
    def everything(self) -> int:
        """Return all classes."""
        return (1 << self.count) - 1

    def mask(self, box: Layer7) -> int:
        """Return the classes that a box holds for, bit i set for class i.

        Raises:
            KeyError: it is none of the boxes that the space was made of.
        """
        return self.everything if box == ANY_BOX else self.masks[self._box_numbers[box]]

    def mask_of_any(self, boxes: Iterable[Layer7] | None) -> int:
        """Return the classes that at least one of some boxes holds for; of None: everything."""
        if boxes is None:
            return self.everything
        mask = 0
        for box in boxes:
            mask |= self.mask(box)
        return mask

    def mask_of(self, request: Request) -> int:
        """Return the classes that a request may fall in: one, where everything is said.

        Raises:
            Undecidable: it says something that no request can carry.
        """
        known = self._known(request)
        http: tuple[bool, ...] = (True, False)
        if request.http is not None:
            http = (request.http,)
        elif any(getattr(request, name) is not None for name in _OF_HTTP):
            http = (True,)
        if not known and len(http) == 2:
            return self.everything
        self._work = self._budget
        return from_members(self.numbers[found] for found in self._reach(http, known))

    def write(self, mask: int) -> Written:
        """Return a set of classes as `Allowance.l7` and `l7_except` have it.

        The union of the first boxes (None: everything) without that of the others is the set.

        Raises:
            Undecidable: it cannot be said in this way.
        """
        return write(self, mask)

    def _known(self, request: Request) -> dict[str, int]:
        known = {}
        for each in self._http:
            name = each.name.removeprefix("header ")
            if name == each.name:
                said = getattr(request, name)
            else:
                values = linkerd_requests.values_of(request, name)
                if values is not None:
                    # Source: RFC 9110 section 5.3: a header sent twice is one list.
                    known[each.name] = each.value_of(",".join(values) if values else None)
                continue
            if said is not None:
                known[each.name] = each.value_of(said)
        for each in self._others:
            said = getattr(request, each.name)
            if each.name in FLAGS:
                if said is not None:
                    known[each.name] = int(said)
            elif said is not None:
                known[each.name] = each.value_of(said.lower().removesuffix(".") or None)
        return known

    def witness(self, number: int) -> Request:
        """Return a request of a class, with everything said."""
        said: dict[str, str | None] = {}
        is_http = False
        way = self._ways[self.signatures[number]]
        while way is not None:
            way, name, value = way
            if name == "http":
                is_http = bool(value)
            else:
                said[name] = self.dimensions[name].example(value)
        headers = tuple(
            (name.removeprefix("header "), value)
            for name, value in sorted(said.items())
            if name.startswith("header ") and value is not None
        )
        return Request(
            http=is_http,
            method=said.get("method", "GET") if is_http else None,
            path=said.get("path", "/") if is_http else None,
            host=said.get("host", "example.com") if is_http else None,
            headers=headers if is_http else None,
            dns=said.get("dns") or "",
            sni=said.get("sni") or "",
            authenticated=said.get("authenticated") is not None,
            mtls=said.get("mtls") is not None,
        )


def why_undecidable(box: Layer7) -> str | None:
    """Return why a box alone cannot be followed, or None where it can."""
    try:
        Space((box,))
    except Undecidable as undecidable:
        return undecidable.reason
    return None
