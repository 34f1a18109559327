"""The way to mTLS as text: how far each namespace is, what can go now, and who must go first."""

from collections import defaultdict
from collections.abc import Iterator

from ringfence.model.mtls import Mtls, MtlsNamespace, PlaintextCaller, Step
from ringfence.model.outside import parse_range
from ringfence.outputs import Style
from ringfence.outputs._layout import Paint, painted, paragraphs, table
from ringfence.outputs._summary import mtls_figures
from ringfence.outputs._text_connectivity import profile_text
from ringfence.outputs._words import count, encoded, inert

MOST_CALLERS = 30
"""So many lines of callers are printed for a namespace; JSON has them all."""
MOST_PLACES = 4
"""So many of the places that a caller calls are named."""


def mtls_text(mtls: Mtls, style: Style) -> Iterator[bytes]:
    """Yield the figures, then the plan."""
    return encoded(_lines(mtls, style))


def _lines(mtls: Mtls, style: Style) -> Iterator[str]:
    yield f"{painted('MTLS', Paint.BOLD, style)}  {profile_text(mtls.profile)}"
    yield f"  {_headline(mtls)}"
    yield ""
    yield from _table(mtls, style)
    ready = [namespace for namespace in mtls.namespaces if namespace.step is Step.READY]
    if ready:
        yield ""
        yield painted("CAN BE STRICT NOW", Paint.BOLD, style)
        yield "  judged anew with this: nothing is lost that is known to be called"
        for namespace in ready:
            yield f"  {inert(namespace.name)}"
            yield from _manifest(namespace)
    by_namespace: dict[str, list[PlaintextCaller]] = defaultdict(list)
    for caller in mtls.callers:
        by_namespace[caller.destination.partition("/")[0]].append(caller)
    for namespace in mtls.namespaces:
        if callers := by_namespace.get(namespace.name):
            yield ""
            title = f"FIRST, BEFORE {inert(namespace.name)} CAN BE STRICT"
            yield painted(title, Paint.BOLD, style)
            yield from _callers(callers, style)
    yield from paragraphs("UNKNOWN BECAUSE", mtls.unknown_because, style)
    yield from paragraphs("NOTES", mtls.notes, style)
    yield from paragraphs("COULD NOT BE READ", [str(p) for p in mtls.problems], style)


def _headline(mtls: Mtls) -> str:
    over = sum(namespace.over_mtls for namespace in mtls.namespaces)
    partly = sum(namespace.partly for namespace in mtls.namespaces)
    plain = sum(namespace.plaintext for namespace in mtls.namespaces)
    of = count(over + partly + plain, "pair")
    only = "; only what the map lists counts" if mtls.from_map else ""
    return mtls_figures(over, partly, plain, of).removeprefix("mTLS: ") + only


def _table(mtls: Mtls, style: Style) -> Iterator[str]:
    head = ["NAMESPACE", "IN THE MESH", "MODE", "OVER MTLS", "PLAINTEXT", "WOULD BREAK", "NEXT"]
    rows = [
        [
            inert(namespace.name),
            _members(namespace),
            namespace.mode or "-",
            f"{namespace.over_mtls:,}",
            f"{namespace.plaintext + namespace.partly:,}",
            f"{namespace.breaking:,}" if namespace.mode else "-",
            NEXT[namespace.step],
        ]
        for namespace in mtls.namespaces
    ]
    yield from table(head, rows, style, right=(3, 4, 5))


NEXT = {
    Step.STRICT: "-",
    Step.READY: "STRICT",
    Step.CALLERS: "its callers first",
    Step.NONE: "-",
}


def _members(namespace: MtlsNamespace) -> str:
    inside = ", ".join(f"{number:,} {plane}" for plane, number in namespace.members.items())
    return f"{inside or '0'} of {namespace.workloads:,}"


def _manifest(namespace: MtlsNamespace) -> Iterator[str]:
    for line in namespace.change.rstrip().splitlines():
        yield f"    {line}"


def _callers(callers: list[PlaintextCaller], style: Style) -> Iterator[str]:
    """Yield who calls whom in plaintext, the destinations of a source in one row."""
    rows: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for caller in callers:
        where = f"{inert(caller.destination)}:{caller.ports}"
        rows[_name(caller), caller.why, caller.unknown].append(where)
    listed = [
        [source, "→", _few(places), ("perhaps: " if unknown else "") + why]
        for (source, why, unknown), places in rows.items()
    ]
    listed.sort(key=lambda row: (row[3], row[0]))
    yield from list(table(["", "", "", ""], listed[:MOST_CALLERS], style, indent="  "))[1:]
    if len(listed) > MOST_CALLERS:
        yield f"  and {count(len(listed) - MOST_CALLERS, 'other caller')} (`-o json` has them all)"


def _few(places: list[str]) -> str:
    shown = places[:MOST_PLACES] if len(places) > MOST_PLACES + 1 else places
    rest = len(places) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _name(caller: PlaintextCaller) -> str:
    addresses = parse_range(caller.source) if caller.kind == "External" else None
    return inert(addresses.short if addresses else caller.source)
