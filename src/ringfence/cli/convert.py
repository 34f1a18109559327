"""`ringfence convert`: the policies of a cluster in another dialect, with the same verdicts."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ringfence.cli._inputs import HELP, add_cluster_options, load_cluster
from ringfence.cli._verb import Verb
from ringfence.errors import UsageError

if TYPE_CHECKING:
    from ringfence.cli._files import Changes
    from ringfence.convert import Conversion
    from ringfence.convert.compare import Difference, Wider

DIALECTS = ("kubernetes", "calico", "cilium", "cluster-network-policy")
MESHES = ("istio", "linkerd")
EXAMPLES = """
  ringfence convert cluster/ --to cilium -o policies/
  ringfence convert cluster/ --to kubernetes --check
  ringfence convert --live --to calico > policies.yaml
"""
NOTE = """
What was written is read back, judged by the profile that enforces it, and held against the verdicts
of the policies as they are: TCP, UDP, SCTP and what is said above them, and ICMP, between
workloads, nodes, the outside, and the domain names that policies speak of. What the dialect cannot
say stays closed, and is told with its file and line. If more would be allowed than before, nothing
is written. NetworkPolicy leaves ICMP to the CNI: where the other side settles it, that is told.

exit codes: 0 every verdict is the same; 1 some differ; 3 that could not be evaluated (with --strict
also where a verdict is unknown, or ICMP is left to the CNI on one side alone)"""

SHOWN = 20
"""How many differences of a kind the text names; JSON has all of them."""
COUNTS = (
    "compared: TCP, UDP and SCTP with what is said above them, and ICMP, between pods, nodes, the "
    "outside and named domains, over each IP family; not a pod's own node, which the profiles "
    "treat differently"
)


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = f"examples:{EXAMPLES}{NOTE}"
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=HELP)
    parser.add_argument(
        "--to",
        required=True,
        choices=(*DIALECTS, *MESHES),
        metavar="DIALECT",
        help=", ".join(DIALECTS),
    )
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        metavar="DIR",
        help="the folder to write to, one file per policy; `-` for standard output (the default)",
    )
    parser.add_argument(
        "--check",
        "--dry-run",
        dest="check",
        action="store_true",
        help="compare, and tell what would change, but write nothing",
    )
    parser.add_argument(
        "--allow-wider",
        action="store_true",
        help="where the dialect cannot say as little, allow more: every request on a port in the "
        "place of some",
    )
    parser.add_argument(
        "--calico-edition",
        choices=("oss", "enterprise", "cloud"),
        default="oss",
        help="the edition of Calico: only enterprise and cloud know domain names",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="the form of the report"
    )
    add_cluster_options(parser)


def run(args: Namespace) -> int:
    """Convert, compare, write; return 0 if nothing differs, 1 if something does, 3 if unknown."""
    from ringfence.convert import convert
    from ringfence.model.proposal import Edition

    if args.to in MESHES:
        raise UsageError(
            f"policies are not converted to `{args.to}` yet, nor from one mesh to another: "
            f"`ringfence generate --dialect {args.to}` writes them for a dependency map, which "
            "`ringfence map init` drafts"
        )
    snapshot = load_cluster(args, args.inputs)
    found = convert(
        snapshot,
        args.to,
        allow_wider=args.allow_wider,
        edition=Edition(args.calico_edition),
    )
    fit = not found.unreadable and (found.safe or (args.allow_wider and not found.problems))
    changes = _write(args, found) if fit else None
    report = sys.stderr if args.output == "-" else sys.stdout
    if args.format == "json":
        print(_json(found), file=report)
    else:
        for line in _text(args, found, changes, fit=fit):
            print(line, file=report)
    return _exit_code(found, strict=args.strict)


def _write(args: Namespace, found: "Conversion") -> "Changes | None":
    """Write the policies; return what that changed, or would."""
    from ringfence.cli import _files
    from ringfence.dialects._writing import CONVERTED

    files = {file.path: file.text for file in found.files}
    return _files.put(files, args.output, f"# {CONVERTED}", dry=args.check)


def _exit_code(found: "Conversion", *, strict: bool) -> int:
    if found.unreadable or found.problems:
        return 3
    comparison = found.comparison
    if comparison.wider or comparison.narrower:
        return 1
    unknown = comparison.unknown or comparison.left_to_cni
    return 3 if comparison.undecided or (strict and unknown) else 0


# -- the report ------------------------------------------------------------------------------


def _text(
    args: Namespace, found: "Conversion", changes: "Changes | None", *, fit: bool
) -> Iterator[str]:
    if found.unreadable:
        yield "nothing was converted: these could not be read"
        yield from (f"  {problem}" for problem in found.unreadable)
        return
    if changes is not None:
        yield from changes.told(args.output, made=not args.check)
    yield (
        f"{_count(found.read, 'policy object')} ({found.source.cni.value}) -> "
        f"{_count(found.written, 'policy object')} of {found.dialect} ({found.target.cni.value})"
    )
    comparison = found.comparison
    if found.proved:
        but = ", but for ICMP (below)" if comparison.left_to_cni else ""
        yield f"proved: {_count(comparison.pairs, 'pair')}, every verdict is the same{but}"
    else:
        yield f"NOT the same: {comparison.differing:,} of {_count(comparison.pairs, 'pair')} differ"
    yield f"  {COUNTS}"
    if comparison.unknown:
        yield f"  unknown before, and where not listed now too: {comparison.unknown:,} of the pairs"
    if comparison.wider:
        yield "allowed, and was not:"
        yield from _some(map(_wider, comparison.wider))
    if comparison.narrower:
        yield "closed:"
        yield from _some(map(_difference, comparison.narrower))
    if comparison.left_to_cni:
        yield "ICMP, which NetworkPolicy leaves to the CNI:"
        for left in comparison.left_to_cni:
            example = left.example
            yield (
                f"  was {left.was}, is {left.now}: {_count(left.pairs, 'pair')}, as "
                f"{example.source} -> {example.destination}  {example.ports}"
            )
    for reason in comparison.undecided:
        yield f"cannot be told: {reason}"
    yield from (f"cannot be read back: {problem}" for problem in found.problems)
    yield from _told(found)
    if not fit:
        yield "nothing was written"


def _told(found: "Conversion") -> Iterator[str]:
    from ringfence.convert.told import Effect

    titles = {
        Effect.WIDER: "said with more",
        Effect.NARROWER: "cannot be said",
        Effect.TODAY: "said of what is in the cluster now",
        Effect.LEFT: "not converted",
        Effect.NOTE: "to be known",
    }
    for effect, title in titles.items():
        listed = [told for told in found.told if told.effect is effect]
        if listed:
            yield f"{title}:"
            yield from (f"  {told}" for told in listed)
    if found.unsupported:
        yield "left out in writing:"
        for each in found.unsupported:
            yield f"  {each.file}: {each.direction} {each.what}: {each.because}; {each.instead}"
    yield from (f"note: {condition}" for condition in found.conditions)


def _difference(found: "Difference") -> str:
    return f"{found.source} -> {found.destination}  {found.ports}"


def _wider(found: "Wider") -> str:
    """Return a difference with what of the policies as they are it is about."""
    decided = {
        f"{piece.object} {piece.rule} ({piece.file}:{piece.line})": None
        for piece in found.was.evidence
        if piece.object and piece.action != "allow"
    }
    limited = {
        f"{piece.object} {piece.rule} ({piece.file}:{piece.line})": None
        for piece in found.was.evidence
        if piece.object and found.was.limited_to
    }
    by = ", ".join(decided or limited) or ", ".join(found.was.unknown_because)
    was = found.was.verdict.value if not found.was.limited_to else "limited"
    return _difference(found.said) + (f"  was {was} by {by}" if by else "")


def _some(lines: Iterable[str]) -> Iterator[str]:
    listed = list(lines)
    yield from (f"  {line}" for line in listed[:SHOWN])
    if len(listed) > SHOWN:
        yield f"  and {len(listed) - SHOWN} more (--format json has all)"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def _json(found: "Conversion") -> str:
    import msgspec

    def listed(differences: Iterable[Any]) -> list[dict[str, str]]:
        return [
            {"from": each.source, "to": each.destination, "ports": each.ports}
            for each in differences
        ]

    comparison = found.comparison
    value = {
        "apiVersion": "ringfence.dev/v1",
        "kind": "Conversion",
        "dialect": found.dialect,
        "from_profile": found.source.cni.value,
        "profile": found.target.cni.value,
        "proved": found.proved,
        "read": found.read,
        "written": found.written,
        "pairs": comparison.pairs,
        "differing": comparison.differing,
        "wider": listed(each.said for each in comparison.wider),
        "narrower": listed(comparison.narrower),
        "unknown": comparison.unknown,
        "undecided": list(comparison.undecided),
        "left_to_cni": [
            {
                "was": each.was,
                "now": each.now,
                "pairs": each.pairs,
                "example": listed([each.example])[0],
            }
            for each in comparison.left_to_cni
        ],
        "told": msgspec.to_builtins(found.told),
        "unsupported": msgspec.to_builtins(found.unsupported),
        "conditions": list(found.conditions),
        "problems": [str(problem) for problem in (*found.problems, *found.unreadable)],
        "files": [file.path for file in found.files],
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


VERB = Verb("say the policies of one dialect in another, and prove it", configure, run)
