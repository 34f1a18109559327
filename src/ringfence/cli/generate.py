"""`ringfence generate`: policies that allow exactly what a dependency map says, proved."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ringfence.cli._inputs import HELP, add_cluster_options, load_cluster, unreadable
from ringfence.cli._verb import Verb
from ringfence.errors import UsageError

if TYPE_CHECKING:
    from ringfence.cli._files import Changes
    from ringfence.learn.dependency_map import DependencyMap
    from ringfence.learn.wishes import Wishes
    from ringfence.model.snapshot import Snapshot
    from ringfence.prove.generated import Difference, Generation, Proof

EXAMPLES = """
  ringfence generate --map map.yaml cluster/ -o policies/
  ringfence generate --map map.yaml cluster/ -o policies/ --dry-run
  ringfence generate --map map.yaml --live -o - > policies.yaml
  ringfence generate --map map.yaml cluster/ --dialect cilium -o policies/
  ringfence generate --map map.yaml cluster/ --dialect cilium,istio -o policies/
  ringfence generate --map map.yaml cluster/ --dialect calico --staged --log-denied -o policies/
"""
NOTE = """
What was written is read back, judged, and held against the map: allowed = map, nothing more and
nothing less. If that does not hold, every difference is named, nothing is written, and the exit
code is 1."""

SHOWN = 20
"""How many differences of a kind the text names; JSON has all of them."""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = f"examples:{EXAMPLES}{NOTE}"
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=HELP)
    parser.add_argument("--map", required=True, metavar="FILE", help="the dependency map")
    parser.add_argument(
        "--dialect",
        default="kubernetes",
        metavar="NAME[,NAME]",
        help="kubernetes (NetworkPolicies, the default), calico or cilium; istio or linkerd; or "
        "one of the former with one of the latter, proved together",
    )
    parser.add_argument(
        "--identity",
        choices=("labels", "service-accounts"),
        default="labels",
        help="by what policies tell a peer: labels, which every workload has (the default), or, "
        "where a workload has one that no other shares, service accounts, which nobody takes on "
        "who may only set labels; calico and cilium",
    )
    parser.add_argument(
        "--calico-edition",
        choices=("oss", "enterprise", "cloud"),
        default="oss",
        help="the edition of Calico: only enterprise and cloud know domain names",
    )
    parser.add_argument(
        "--staged",
        action="store_true",
        help="write policies that are only planned, to be watched before they are enforced; calico",
    )
    parser.add_argument(
        "--log-denied",
        action="store_true",
        help="have the cluster log what the policies deny, or tell what that takes",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="the folder to write to, one file per workload; `-` for standard output",
    )
    parser.add_argument(
        "--patches",
        metavar="DIR",
        help="the folder to write ServiceAccounts and patches to that give workloads of a mesh "
        "accounts of their own; without it the report has commands that do the same",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="prove, and tell what would change, but write nothing",
    )
    parser.add_argument(
        "--allow-wider",
        action="store_true",
        help="where the dialect cannot say a peer, allow what contains it: for a domain name the "
        "public internet on its ports",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="the form of the report"
    )
    add_cluster_options(parser)


def run(args: Namespace) -> int:
    """Generate, prove, write; return 0 if proved, 1 if not, 3 if that cannot be told."""
    from ringfence.prove.generated import generate

    if args.map == "-" and "-" in args.inputs:
        raise UsageError("standard input can be the map or the cluster, not both")
    dependency_map = read_map(args.map)
    if dependency_map is None:
        return 3
    snapshot = load_cluster(args, args.inputs)
    generation = generate(dependency_map, snapshot, _wishes(args))
    if generation.proof is None:
        for problem in generation.proposal.problems:
            print(f"ringfence: {problem}", file=sys.stderr)
        return 2
    tell_warnings(generation)
    changes = _write(args, generation, generation.proof)
    _write_patches(args, generation)
    report = sys.stderr if args.output == "-" else sys.stdout
    if args.format == "json":
        print(_json(generation, generation.proof), file=report)
    else:
        for line in _text(args, generation, changes):
            print(line, file=report)
    return _exit_code(snapshot, generation.proof, strict=args.strict)


def _wishes(args: Namespace) -> "Wishes":
    from ringfence.learn.wishes import Naming, Wishes
    from ringfence.model.proposal import Edition

    network, mesh = _dialects(args.dialect)
    return Wishes(
        dialect=network,
        mesh=mesh,
        allow_wider=args.allow_wider,
        identity=Naming(args.identity),
        edition=Edition(args.calico_edition),
        staged=args.staged,
        log_denied=args.log_denied,
    )


def _dialects(text: str) -> tuple[str, str]:
    """Return the language of the network and that of a mesh; empty where none is wished for.

    Raises:
        UsageError: more than one of the same sort.
    """
    from ringfence.learn.wishes import MESHES

    names = [name.strip() for name in text.split(",")]
    meshes = [name for name in names if name in MESHES]
    networks = [name for name in names if name not in MESHES]
    if len(meshes) > 1 or len(networks) > 1 or "" in names:
        raise UsageError(
            f"`{text}`: choose one of `kubernetes`, `calico` and `cilium`, one of `istio` and "
            "`linkerd`, or one of each with a comma between them"
        )
    return "".join(networks), "".join(meshes)


def read_map(path: str) -> "DependencyMap | None":
    """Return the map in a file; None where it cannot be read, which standard error is told."""
    from ringfence.learn.read_map import read_file

    reading = read_file(path)
    for problem in reading.problems:
        print(f"ringfence: {problem}", file=sys.stderr)
    return reading.map


def tell_warnings(generation: "Generation") -> None:
    """Tell on standard error what the reader of the policies must know."""
    for note in generation.proposal.notes:
        print(f"warning: {note}", file=sys.stderr)
    for line in unsaid(generation):
        print(f"warning: {line}", file=sys.stderr)
    if generation.assumed:
        print(
            f"warning: proved as on {generation.profile.cni.value}: the input does not tell which "
            "CNI enforces, `--profile` does",
            file=sys.stderr,
        )
    for condition in generation.emission.notes:
        print(f"note: {condition}", file=sys.stderr)
    for document in generation.stays:
        print(
            f"warning: {document.location_of()}: {document.ref} is not part of the proof: as long "
            "as it stays in the cluster, it may allow more",
            file=sys.stderr,
        )
    dns = generation.proposal.dns
    if dns and dns.assumed:
        for sentence in dns.why:
            print(f"warning: every pod may connect {sentence}", file=sys.stderr)


def unsaid(generation: "Generation") -> Iterator[str]:
    """Yield a sentence for each thing that the dialect cannot say."""
    for each in generation.emission.unsupported:
        what = f"{each.file}: {each.direction} {each.what}: {each.because}"
        yield f"{what}; written: {each.instead}"


def _write(args: Namespace, generation: "Generation", proof: "Proof") -> "Changes | None":
    """Write the policies if they are proved; return what that changed, or would."""
    from ringfence.cli import _files
    from ringfence.model.proposal import GENERATED

    if not proof.holds:
        return None
    files = {file.path: file.text for file in generation.emission.files}
    return _files.put(files, args.output, f"# {GENERATED}", dry=args.dry_run)


def _write_patches(args: Namespace, generation: "Generation") -> None:
    """Write what gives workloads accounts of their own, if that is wished for."""
    from ringfence.cli import _files
    from ringfence.learn.own_accounts import OFFERED

    files = {file.path: file.text for offer in generation.offers for file in offer.files}
    if args.patches and files:
        _files.put(files, args.patches, f"# {OFFERED}", dry=args.dry_run)


def _exit_code(snapshot: "Snapshot", proof: "Proof", *, strict: bool) -> int:
    if proof.more or proof.less:
        return 1
    unsettled = unreadable(snapshot) or (strict and proof.unplaced)
    return 0 if proof.holds and not unsettled else 3


# -- the report ------------------------------------------------------------------------------


def _text(args: Namespace, generation: "Generation", changes: "Changes | None") -> Iterator[str]:
    proof = generation.proof
    if changes is not None:
        yield from changes.told(args.output, made=not args.dry_run)
    if proof is not None:
        yield from proof_text(generation, proof)
        yield from _offered(args, generation)
        if not proof.holds:
            yield "nothing was written"


def _offered(args: Namespace, generation: "Generation") -> Iterator[str]:
    """Yield what lets a mesh tell workloads apart, as commands, or where it is written."""
    if args.patches:
        files = sum(len(offer.files) for offer in generation.offers)
        if files:
            yield f"{_count(files, 'patch', 'patches')} in {args.patches}"
        return
    commands = [offer.command for offer in generation.offers if offer.command]
    if commands:
        yield "so that the mesh tells more apart (--patches DIR writes manifests):"
        yield from (f"  {command}" for command in commands)


def proof_text(generation: "Generation", proof: "Proof") -> Iterator[str]:
    """Yield the lines that say what was proved, or what differs."""
    from ringfence.model.proposal import CLOSED, NOT_LOGGED

    counted = f"{_count(proof.workloads, 'workload')}, {_count(proof.connections, 'connection')}"
    if proof.holds:
        yield f"proved: {counted}, nothing more, nothing less"
    else:
        yield f"NOT proved: {counted}"
    titles = (
        ("allowed, but not in the map", proof.more),
        ("in the map, but not allowed", proof.less),
        ("cannot be told", proof.unknown),
    )
    for title, differences in titles:
        if differences:
            yield f"{title}:"
            yield from _differences(differences)
    yield from (f"  because {reason}" for reason in proof.unknown_because)
    yield from (f"  {problem}" for problem in proof.problems)
    dns = generation.proposal.dns
    if dns:
        yield f"  and from every pod: {'; '.join(dns.why)}"
    told = generation.emission.unsupported
    closed = [each for each in told if each.instead == CLOSED]
    for title, listed in (
        ("wider than the map by", [each for each in told if each.wider]),
        ("closed, against the map", closed),
        ("not logged", [each for each in told if each.instead == NOT_LOGGED]),
    ):
        if listed:
            sorts = sorted({each.sort for each in listed})
            counts = (f"{s} ({len({e.what for e in listed if e.sort == s})})" for s in sorts)
            yield f"  {title}: {', '.join(counts)}"
    for sort, what in (("domain name", "the public internet"), ("address of a node", "all nodes")):
        if any(each.sort == sort for each in closed):
            yield f"    --allow-wider opens {what} on those ports instead"
    if proof.refused:
        yield "  refused, against the map, by a proxy that reads the port for another's limit:"
        yield from _differences(proof.refused)
    if proof.unplaced:
        yield f"  left open: {_count(proof.unplaced, 'pair')} with an end of unknown address"


def _differences(differences: "tuple[Difference, ...]") -> Iterator[str]:
    for each in differences[:SHOWN]:
        yield f"  {each.source} -> {each.destination}  {each.ports}"
        yield from (f"      {reason}" for reason in each.because)
    if len(differences) > SHOWN:
        yield f"  and {len(differences) - SHOWN} more (--format json has all)"


def _count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def _json(generation: "Generation", proof: "Proof") -> str:
    import msgspec

    def listed(differences: "tuple[Difference, ...]") -> list[dict[str, Any]]:
        return [
            {"from": d.source, "to": d.destination, "ports": d.ports, "because": list(d.because)}
            for d in differences
        ]

    value = {
        "apiVersion": "ringfence.dev/v1",
        "kind": "Generation",
        "profile": generation.profile.cni.value,
        "dialect": ",".join(generation.proposal.wishes.dialects),
        "proved": proof.holds,
        "workloads": proof.workloads,
        "connections": proof.connections,
        "more": listed(proof.more),
        "less": listed(proof.less),
        "unknown": listed(proof.unknown),
        "unknown_because": list(proof.unknown_because),
        "refused": listed(proof.refused),
        "unplaced": proof.unplaced,
        "problems": [str(problem) for problem in proof.problems],
        "unsupported": msgspec.to_builtins(generation.emission.unsupported),
        "notes": [str(note) for note in generation.proposal.notes],
        "conditions": list(generation.emission.notes),
        "dns": list(generation.proposal.dns.why) if generation.proposal.dns else [],
        "accounts": [
            {
                "why": offer.why,
                "command": offer.command,
                "patches": [file.path for file in offer.files],
            }
            for offer in generation.offers
        ],
        "stays": [document.ref for document in generation.stays],
        "files": [file.path for file in generation.emission.files],
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


VERB = Verb("write policies for a dependency map, and prove them", configure, run)
