"""`ringfence exposure`: what does the outside reach, and what reaches the outside?"""

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

FORMATS = ("text", "json", "yaml", "markdown")
EXAMPLES = """
  ringfence exposure manifests/
  ringfence exposure --live -n shop
  ringfence exposure manifests/ --fail-on-exposed
"""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = f"examples:{EXAMPLES}"
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=HELP)
    parser.add_argument("-o", "--output", choices=FORMATS, default="text")
    parser.add_argument(
        "--fail-on-exposed", action="store_true", help="exit 1 if the outside reaches anything"
    )
    add_staged_option(parser)
    add_cluster_options(parser)


def run(args: Namespace) -> int:
    """Answer; return 1 if asked to and something is exposed, 3 if it could not be evaluated."""
    from ringfence.questions.exposure import exposure

    snapshot = load_cluster(args, args.inputs)
    answer = exposure(snapshot, namespace=None if args.all_namespaces else args.namespace)
    print_answer(answer, args.output)
    verdicts = {entrance.verdict.value for entrance in answer.entrances}
    doubtful = any(passage.unknown for passage in (*answer.exits, *answer.admitted))
    if unreadable(snapshot) or (args.strict and (doubtful or "unknown" in verdicts)):
        return 3
    return 1 if args.fail_on_exposed and "allow" in verdicts else 0


VERB = Verb("show what the outside reaches, and what reaches the outside", configure, run)
