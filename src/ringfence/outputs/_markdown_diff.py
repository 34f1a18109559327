"""A diff as a comment on a pull request: a headline, small tables, long ones folded away."""

from collections.abc import Iterator, Sequence

from ringfence.model.connectivity import Peer
from ringfence.model.diff import Diff
from ringfence.outputs import Style
from ringfence.outputs._changes import TITLES, Part, headline, newly_exposed, parts
from ringfence.outputs._condense import say
from ringfence.outputs._markdown_connectivity import names
from ringfence.outputs._marks import FOLD_ROWS, bullets, code, fold_if_long, prose, table
from ringfence.outputs._text_connectivity import profile_text
from ringfence.outputs._words import count, encoded

MOST_ROWS = 100
"""Rows of one table: a comment on GitHub holds 65,536 characters."""


def diff_markdown(diff: Diff, style: Style) -> Iterator[bytes]:  # noqa: ARG001
    """Yield the comment, blocks with an empty line between them."""
    return encoded(f"{block}\n" for block in _blocks(diff))


def _blocks(diff: Diff) -> Iterator[str]:
    told = parts(diff)
    words = headline(diff, told)
    yield f"### {words[0].upper()}{words[1:]}"
    if exposed := newly_exposed(diff):
        shown = ", ".join(code(name) for name in exposed[:FOLD_ROWS])
        more = f" and {len(exposed) - FOLD_ROWS:,} more" if len(exposed) > FOLD_ROWS else ""
        yield f"> **Outside addresses may now send more to** {shown}{more}"
    profile = prose(profile_text(diff.profile))
    if diff.old_profile.cni != diff.profile.cni:
        profile += f"; before: {prose(profile_text(diff.old_profile))}"
    if not diff.empty:
        yield f"Judged by {profile}."
    for title, peers in (("Appeared", diff.appeared), ("Disappeared", diff.disappeared)):
        if peers:
            yield f"**{title}:** {_list(peers)}"
    for part in told:
        yield from _part(part)
    yield from bullets("Unknown because", diff.unknown_because)
    yield from bullets("Notes", diff.notes)
    yield from bullets("Could not be read", [str(problem) for problem in diff.problems])


def _list(peers: Sequence[Peer]) -> str:
    shown = ", ".join(f"{code(peer.name)} ({peer.kind})" for peer in peers[:FOLD_ROWS])
    return f"{shown} and {len(peers) - FOLD_ROWS:,} more" if len(peers) > FOLD_ROWS else shown


def _part(part: Part) -> Iterator[str]:
    for section in part.sections:
        title = TITLES[section.kind]
        summary = f"{title[0].upper()}{title[1:]} on {count(section.pairs, 'pair')}"
        widest = sorted(section.blocks, key=lambda b: len(b[0]) * len(b[1]), reverse=True)
        kept = set(widest[:MOST_ROWS])
        rows = []
        for block in section.blocks:
            if block in kept:
                sources, destinations = say(block[0], block[1], part.peers)
                rows.append([names(sources), names(destinations), prose(section.words[block[2]])])
        body = table(["From", "To", "Traffic"], rows)
        if len(section.blocks) > len(kept):
            rest = count(len(section.blocks) - len(kept), "narrower line")
            body += f"\n\nand {rest}: see `-o json`."
        yield fold_if_long(f"{summary}{', ' + part.title if part.title else ''}", body, len(rows))
