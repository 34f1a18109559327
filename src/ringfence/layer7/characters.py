r"""Sets of characters as sorted, disjoint intervals of code points, and the classes RE2 names.

Source: RE2's syntax page (google/re2 wiki, "Syntax"), for `\d`, `\s`, `\w` and `[[:name:]]`.
"""

from collections.abc import Iterable

from ringfence.layer7.undecidable import Undecidable

Ranges = tuple[tuple[int, int], ...]
"""Both ends included, ascending, no two of them touching."""

LAST = 0x10FFFF

ANY: Ranges = ((0, LAST),)


def ranges(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Return the union of intervals that may overlap, in any order."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def complement(chars: Ranges) -> Ranges:
    """Return every code point that is not in a set."""
    found = []
    start = 0
    for first, last in chars:
        if start < first:
            found.append((start, first - 1))
        start = last + 1
    if start <= LAST:
        found.append((start, LAST))
    return tuple(found)


def only(characters: str) -> Ranges:
    """Return the set of the characters of a string."""
    return ranges((ord(character), ord(character)) for character in characters)


NOT_NEWLINE = complement(only("\n"))

_UPPER = ((0x41, 0x5A),)
_LOWER = ((0x61, 0x7A),)
_DIGIT = ((0x30, 0x39),)
_ALPHA = (*_UPPER, *_LOWER)
_WORD = (*_DIGIT, *_UPPER, (0x5F, 0x5F), *_LOWER)

PERL: dict[str, Ranges] = {"d": _DIGIT, "s": only("\t\n\f\r "), "w": _WORD}
r"""`\s` holds no vertical tab, unlike `[[:space:]]`."""

POSIX: dict[str, Ranges] = {
    "alnum": (*_DIGIT, *_ALPHA),
    "alpha": _ALPHA,
    "ascii": ((0x00, 0x7F),),
    "blank": only("\t "),
    "cntrl": ((0x00, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGIT,
    "graph": ((0x21, 0x7E),),
    "lower": _LOWER,
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": only("\t\n\v\f\r "),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGIT, (0x41, 0x46), (0x61, 0x66)),
}

# The only characters beyond ASCII whose simple case folding is an ASCII letter.
# Source: Unicode CaseFolding.txt: KELVIN SIGN, LATIN SMALL LETTER LONG S.
_FOLDED_BEYOND = {0x212A: "kK", 0x017F: "sS"}


def folded(chars: Ranges) -> Ranges:
    """Return a set with the other cases of its characters, as `(?i)` has it.

    Raises:
        Undecidable: it holds characters beyond ASCII, whose cases depend on RE2's Unicode tables.
    """
    pairs = list(chars)
    for first, last in chars:
        for code in (*range(max(first, 0x41), min(last, 0x7A) + 1), *_FOLDED_BEYOND):
            if not first <= code <= last:
                continue
            others = _FOLDED_BEYOND.get(code, chr(code).swapcase() if chr(code).isalpha() else "")
            pairs += [(ord(other), ord(other)) for other in others]
            pairs += [
                (beyond, beyond) for beyond, plain in _FOLDED_BEYOND.items() if chr(code) in plain
            ]
        if last > 0x7F and (first, last) not in {(code, code) for code in _FOLDED_BEYOND}:
            raise Undecidable("`(?i)` on characters beyond ASCII is not followed")
    return ranges(pairs)
