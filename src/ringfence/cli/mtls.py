"""`ringfence mtls`: what goes over mTLS, and what stands in the way of refusing plaintext?"""

import sys
from argparse import ArgumentParser, Namespace

from ringfence.cli._inputs import (
    HELP,
    add_cluster_options,
    add_staged_option,
    load_cluster,
    unreadable,
)
from ringfence.cli._print import print_answer
from ringfence.cli._verb import Verb
from ringfence.errors import UsageError

FORMATS = ("text", "json", "yaml")
CODES = """\
exit codes: 0 if every open pair of workloads is over mTLS; 1 if any is plaintext; 2 if the map
names what the cluster does not have; 3 if some of the input cannot be read, or, with --strict, if
anything is unknown"""
EXAMPLES = """
  ringfence mtls manifests/
  ringfence mtls --live --map map.yaml
"""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = f"{CODES}\n\nexamples:{EXAMPLES}"
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=HELP)
    parser.add_argument(
        "--map",
        metavar="MAP",
        help="only the dependencies that this map lists count as calls",
    )
    parser.add_argument("-o", "--output", choices=FORMATS, default="text")
    add_staged_option(parser)
    add_cluster_options(parser)


def run(args: Namespace) -> int:
    """Answer; return 1 if anything is plaintext, 3 if it could not be evaluated."""
    from ringfence.cli.generate import read_map
    from ringfence.learn.listed_pairs import listed_pairs
    from ringfence.questions.mtls import is_clean, mtls

    if args.map == "-" and "-" in args.inputs:
        raise UsageError("standard input can be the map or the cluster, not both")
    wanted = None
    dependency_map = None if args.map is None else read_map(args.map)
    if args.map is not None and dependency_map is None:
        return 3
    snapshot = load_cluster(args, args.inputs)
    if dependency_map is not None:
        wanted, problems = listed_pairs(dependency_map, snapshot)
        for problem in problems:
            print(f"ringfence: {problem}", file=sys.stderr)
        if problems:
            return 2
    answer = mtls(snapshot, wanted)
    print_answer(answer, args.output)
    if unreadable(snapshot) or (args.strict and answer.unknown_because):
        return 3
    return 0 if is_clean(answer) else 1


VERB = Verb("show what goes over mTLS, and the plan to refuse plaintext", configure, run)
