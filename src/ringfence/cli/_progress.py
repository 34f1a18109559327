"""Shows on a terminal how far the reading of a live cluster has come."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def reading_progress() -> Iterator[Callable[[str, int], None] | None]:
    """Give what `assemble.load_live` reports its progress to; None where nobody watches.

    The line appears with the first page, so that a credential plugin before it can ask its
    user something, and is gone at the end.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    counts: dict[str, int] = {}
    status = Console(stderr=True).status("reading the cluster")

    def report(plural: str, count: int) -> None:
        if not counts:
            status.start()
        counts[plural] = count
        status.update(f"reading the cluster: {sum(counts.values()):,} objects ({plural} {count:,})")

    try:
        yield report
    finally:
        status.stop()
