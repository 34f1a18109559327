"""`ringfence map`: the dependency map, from its first draft on."""

from argparse import ArgumentParser, Namespace

from ringfence.cli._inputs import HELP, add_cluster_options, load_cluster, unreadable
from ringfence.cli._verb import Verb
from ringfence.errors import InputError, UsageError

EXAMPLES = """
  ringfence map init cluster/                 print a draft
  ringfence map init cluster/ -o map.yaml     keep it, to be finished by hand
"""
NOTE = """
The draft is guessed from environment values, arguments, Ingresses and Services; every entry says
what it was guessed from, and nothing is enforced by it. Finish it by hand before you generate."""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    init = actions.add_parser(
        "init",
        help="draft a dependency map from manifests or a live cluster",
        description="Draft a dependency map from manifests or a live cluster.",
        epilog=f"examples:{EXAMPLES}{NOTE}",
        formatter_class=parser.formatter_class,
    )
    init.add_argument("inputs", nargs="*", metavar="INPUT", help=HELP)
    init.add_argument("-o", "--output", metavar="FILE", help="write to FILE, not standard output")
    init.add_argument(
        "--force", action="store_true", help="replace FILE if it exists, and lose what it holds"
    )
    add_cluster_options(init)
    init.set_defaults(act=run_init)


def run(args: Namespace) -> int:
    """Do what the action says and return its exit code."""
    code: int = args.act(args)
    return code


def run_init(args: Namespace) -> int:
    """Draft a map, and return 0, or 3 if something of the cluster could not be read."""
    from pathlib import Path

    from ringfence.cli._files import write_file
    from ringfence.learn.init import draft, heading
    from ringfence.learn.write_map import write

    to_file = args.output not in (None, "-")
    if to_file and Path(args.output).exists() and not args.force:
        raise UsageError(f"`{args.output}` exists, perhaps finished by hand: --force replaces it")
    snapshot = load_cluster(args, args.inputs)
    drafted = draft(snapshot)
    if not drafted.map.namespaces:
        raise InputError("nothing to map: the input has no workload outside the system namespaces")
    text = write(drafted.map, heading(snapshot.source, drafted.left_out))
    if not to_file:
        print(text, end="")
    else:
        write_file(args.output, text)
        print(f"{args.output}: {_summary(len(drafted.map.dependencies), drafted.left_out)}")
    return 3 if unreadable(snapshot) else 0


def _summary(guesses: int, left_out: tuple[str, ...]) -> str:
    text = f"{guesses} {'guess' if guesses == 1 else 'guesses'}, each with its evidence"
    return f"{text}; {len(left_out)} seen but not drafted" if left_out else text


VERB = Verb("draft a map of who needs whom", configure, run)
