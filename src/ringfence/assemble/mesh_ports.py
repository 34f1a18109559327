"""Reads the lists of ports that annotations of pods and settings of meshes give.

Authority: Istio `pkg/kube/inject/validate.go`; linkerd2 `pkg/util/parsing.go`, proxy-init
`ports.go`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

Ranges = tuple[tuple[int, int], ...]
"""Both ends included; sorted, and neither overlapping nor adjacent."""

LAST: Final = 65535


def parse(written: str, named: Mapping[str, Iterable[int]] | None = None) -> Ranges | None:
    """Return the ports of a list as `80,8080-8090`; None where it is none.

    Args:
        written: separated by commas; empty: no port.
        named: the numbers that names stand for, where names may stand in it; a name that stands
            for none says nothing.
    """
    found: list[tuple[int, int]] = []
    for part in written.split(","):
        item = part.strip()
        if not item:
            continue
        first, dash, last = item.partition("-")
        if first.isdecimal() and (last.isdecimal() or not dash):
            span = int(first), int(last) if dash else int(first)
            if not 0 <= span[0] <= span[1] <= LAST:
                return None
            found.append(span)
        elif named is None:
            return None
        else:
            found += [(number, number) for number in named.get(item, ())]
    return joined(found)


def joined(spans: Iterable[tuple[int, int]]) -> Ranges:
    """Return ranges sorted, those that overlap or touch as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return tuple(found)
