"""What stood in a text that cannot be read, as far as its lines tell.

So that a broken ConfigMap does not make every verdict unknown, and a broken NetworkPolicy only
those of its namespace. A guess must never be less than what stood there: where a line may say
more than is understood here, the answer is that nothing is known.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ringfence.model.kinds import KINDS

_FLOW_KIND: Final = re.compile(r"""\bkind\b["']?(?:\s*:\s*["']?([A-Za-z][A-Za-z0-9]*)\b)?""")
_OUTERMOST: Final = re.compile(r"^(?![\s#%])(.*\bkind\b.*)", re.MULTILINE)
_ANYWHERE: Final = re.compile(r"^[ \t]*(?![\s#%])(.*\bkind\b.*)", re.MULTILINE)
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_KIND: Final = re.compile(r"""(?:-\s+)*["']?kind["']?\s*:\s*["']?([A-Za-z][A-Za-z0-9]*)["']?""")
_METADATA: Final = re.compile(
    r"^metadata:[^\S\n]*(?:#.*)?\n((?:(?:[ \t].*|#.*|\r?)\n)*)", re.MULTILINE
)
_NAME: Final = re.compile(
    r"""["']?(name|namespace)["']?\s*:\s*["']?([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)["']?"""
)
_CLUSTER_SCOPED: Final = frozenset(kind.kind for kind in KINDS if not kind.namespaced)


class Guess(NamedTuple):
    """What probably stood there."""

    kinds: tuple[str, ...] = ()
    """Sorted; empty where they cannot be told."""
    object: str | None = None
    """As `Kind/namespace/name`, where the text tells as much."""


def guess(text: str) -> Guess:
    """Return which objects a text that could not be read most likely described."""
    if text.lstrip()[:1] in ("{", "["):
        return Guess(_without_lists(match[1] for match in _FLOW_KIND.finditer(text)))
    kinds = _kinds(_OUTERMOST, text)
    if any(kind and kind.endswith("List") for kind in kinds):
        return Guess(_without_lists(_kinds(_ANYWHERE, text)))
    told = _without_lists(kinds)
    return Guess(told, _object(told[0], text) if len(told) == 1 else None)


def _kinds(lines: re.Pattern[str], text: str) -> list[str | None]:
    """Return the kind in each line that mentions one; None where the line says more than that."""
    contents = [_COMMENT.sub("", match[1]).strip() for match in lines.finditer(text)]
    return [
        match[1] if (match := _KIND.fullmatch(content)) else None
        for content in contents
        if "kind" in content
    ]


def _without_lists(kinds: Iterable[str | None]) -> tuple[str, ...]:
    """Return the kinds of the objects themselves; none if any of them cannot be told."""
    told: set[str] = set()
    lists: set[str] = set()
    for kind in kinds:
        if kind is None:
            return ()
        (lists if kind.endswith("List") else told).add(kind)
    return tuple(sorted(told or {kind.removesuffix("List") for kind in lists} - {""}))


def _object(kind: str, text: str) -> str | None:
    """Return `Kind/namespace/name` if the lines under `metadata` give both, each once."""
    blocks = _METADATA.findall(text + "\n")
    if len(blocks) != 1:
        return None
    lines = [line for line in blocks[0].split("\n") if line.strip() and line.lstrip()[0] != "#"]
    indent = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    matches = [
        _NAME.fullmatch(_COMMENT.sub("", line).strip())
        for line in lines
        if len(line) - len(line.lstrip()) == indent
    ]
    found = [(match[1], match[2]) for match in matches if match]
    names = dict(found)
    wanted = ("name",) if kind in _CLUSTER_SCOPED else ("namespace", "name")
    if len(found) != len(names) or not names.keys() >= set(wanted):
        return None
    return "/".join((kind, *(names[field] for field in wanted)))
