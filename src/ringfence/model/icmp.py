"""ICMP types and codes as numbers, and as answers write them.

A type with a code is 256 times the type plus the code, so that types are ranges like ports are.
"""

from collections.abc import Iterable

LAST = 65535


def number(kind: int, code: int) -> int:
    """Return the number of a type with a code."""
    return kind * 256 + code


def span(kind: int, code: int | None = None) -> tuple[int, int]:
    """Return the first and last number of a type, or of a type with one code."""
    return (kind * 256, kind * 256 + 255) if code is None else (number(kind, code),) * 2


def write(runs: Iterable[tuple[int, int]]) -> str:
    """Return runs of numbers as types and codes: `8`, `0-7`, `3/4`, `3/1-4`; empty for all."""
    parts: list[str] = []
    for first, last in runs:
        if (first, last) == (0, LAST):
            return ""
        low, high = first, last
        if low % 256:
            # The rest of a type that begins at another code than 0.
            end = min(high, low | 255)
            parts.append(_codes(low, end))
            low = end + 1
        if high % 256 == 255:
            if low <= high:
                parts.append(_span(low // 256, high // 256))
            continue
        whole = high - high % 256
        if low < whole:
            parts.append(_span(low // 256, whole // 256 - 1))
            low = whole
        if low <= high:
            parts.append(_codes(low, high))
    return ",".join(parts)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _codes(first: int, last: int) -> str:
    return f"{first // 256}/{_span(first % 256, last % 256)}"


def read(text: str) -> list[tuple[int, int]]:
    """Return the runs of numbers that `write` wrote; all of them for an empty text."""
    if not text:
        return [(0, LAST)]
    found = []
    for part in text.split(","):
        kinds, slash, codes = part.partition("/")
        first, _, last = (codes if slash else kinds).partition("-")
        low, high = int(first), int(last or first)
        if slash:
            found.append((number(int(kinds), low), number(int(kinds), high)))
        else:
            found.append((low * 256, high * 256 + 255))
    return found


def joined(runs: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """Yield ascending runs, those that touch joined."""
    before: tuple[int, int] | None = None
    for first, last in runs:
        if before and before[1] + 1 == first:
            before = (before[0], last)
            continue
        if before:
            yield before
        before = (first, last)
    if before:
        yield before
