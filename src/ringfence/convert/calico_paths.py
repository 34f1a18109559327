"""Paths of HTTP as Calico compares them, in the words of those who compare what is sent.

Calico normalises a path before it compares it: many that are sent are taken for the same one.
There is no expression for all of them, so that only what surely is among them can be said.

Authority: Calico `app-policy/checker/match.go` normalizeHTTPPath.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from ringfence.dialects._emit_cilium_layer7 import quoted
from ringfence.layer7 import Limits
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text

SEGMENTS: Final = r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
"""Segments that mean what they say: no escapes, no parameters, none of dots alone."""
END: Final = r"/?(\?[^#]*)?"
"""A slash at the end, and a query: both count for nothing."""


def surely(path: Text) -> Text | None:
    """Return paths that, as they are sent, Calico takes for one of its patterns; None for none."""
    match path.form:
        case Form.EXACT:
            return Text(Form.REGEX, f"{quoted(path.value.rstrip('/'))}{END}")
        case Form.SEGMENTS:
            return Text(Form.REGEX, f"{quoted(path.value.rstrip('/'))}{SEGMENTS}{END}")
        case _:
            return None


def narrowed(box: Layer7) -> Layer7 | None:
    """Return what as it is sent surely meets a limit of Calico's; None where that is nothing."""
    if box.http is None or box.http.paths is None:
        return box
    paths = tuple(found for path in box.http.paths if (found := surely(path)))
    return _with_paths(box, box.http, paths) if paths else None


def widened(box: Layer7) -> Layer7:
    """Return a limit of Calico's that holds for whatever may meet it as it is sent."""
    if box.http is None or box.http.paths is None:
        return box
    return _with_paths(box, box.http, None)


def bounds(limits: Limits) -> tuple[Limits, Limits]:
    """Return what as it is sent surely meets limits of Calico's, and what may."""
    boxes = limits.l7
    low = None if boxes is None else tuple(_narrowed(boxes))
    high = None if boxes is None else tuple(map(widened, boxes))
    return (
        Limits(low, tuple(map(widened, limits.l7_except))),
        Limits(high, tuple(_narrowed(limits.l7_except))),
    )


def _narrowed(boxes: Iterable[Layer7]) -> Iterable[Layer7]:
    return (found for box in boxes if (found := narrowed(box)))


def _with_paths(box: Layer7, http: HttpMatch, paths: tuple[Text, ...] | None) -> Layer7:
    return msgspec.structs.replace(box, http=msgspec.structs.replace(http, paths=paths))
