"""`ringfence diff`: which connections were gained, and which lost?"""

import argparse
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from ringfence.cli._inputs import add_cluster_options, load_cluster, unreadable
from ringfence.cli._print import print_answer
from ringfence.cli._verb import Verb
from ringfence.errors import UsageError

if TYPE_CHECKING:
    from ringfence.model.connectivity import Connectivity
    from ringfence.model.snapshot import Snapshot

FORMATS = ("text", "json", "yaml", "markdown")
LIVE = "live"
EXAMPLES = """
  ringfence diff before/ after/
  ringfence diff main.snapshot live          what is in the cluster that is not in the snapshot
  ringfence diff live:staging live:production
  ringfence diff before/ after/ -o markdown  for a comment on a pull request
  ringfence diff --staged cluster/           what enforcing Calico's staged policies would change

exit codes: 0 no connection differs; 1 some do"""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.usage = (
        "ringfence diff OLD NEW [options]\n       ringfence diff --staged INPUT [options]"
    )
    parser.epilog = f"examples:{EXAMPLES}"
    parser.add_argument(
        "sides",
        nargs="*",
        metavar="OLD NEW",
        help="each a file, a directory, a snapshot, `-`, `live` or `live:CONTEXT`; with --live, "
        "NEW is the live cluster",
    )
    parser.add_argument("-o", "--output", choices=FORMATS, default="text")
    parser.add_argument(
        "--staged",
        action="store_true",
        help="count Calico's staged policies as enforced on the new side; of one input: what that "
        "would change",
    )
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    """Compare; return 1 if anything differs, 3 if something could not be evaluated."""
    from ringfence.questions.connectivity import connectivity
    from ringfence.questions.diff import diff

    sides = list(args.sides)
    if (args.live or args.context or args.kubeconfig) and len(sides) == (0 if args.staged else 1):
        sides.append(LIVE)
    if args.staged and len(sides) == 1:
        snapshots = _with_and_without_staged(_load(args, sides[0]))
    elif len(sides) != 2:
        raise UsageError(f"diff compares two sides, not {len(sides)}: OLD and NEW")
    else:
        snapshots = [_load(args, sides[0]), _load(args, sides[1], staged=args.staged)]
    namespace = None if args.all_namespaces else args.namespace
    answers = [connectivity(snapshot, namespace=namespace) for snapshot in snapshots]
    if _with_nodes(answers[0]) != _with_nodes(answers[1]):
        answers = [connectivity(s, namespace=namespace, nodes=True) for s in snapshots]
    found = diff(*answers)
    print_answer(found, args.output)
    if any(map(unreadable, snapshots)):
        return 3
    if args.strict and any(pair.unknown for answer in answers for pair in answer.connections):
        return 3
    return 0 if found.empty else 1


def _with_and_without_staged(snapshot: "Snapshot") -> "list[Snapshot]":
    """Return a cluster as it is, and as it would be with its staged policies enforced."""
    from ringfence.assemble.building import rejudged

    return [rejudged(snapshot, snapshot.documents, staged=heed) for heed in (False, True)]


def _load(args: argparse.Namespace, side: str, *, staged: bool = False) -> "Snapshot":
    """Return the cluster that one side names."""
    word, _, context = side.partition(":")
    live = word == LIVE
    one = argparse.Namespace(**vars(args))
    one.live = live
    one.heed_staged = staged
    one.context = context or args.context if live else None
    one.kubeconfig = args.kubeconfig if live else None
    return load_cluster(one, [] if live else [side])


def _with_nodes(answer: "Connectivity") -> bool:
    return any(peer.kind == "Node" for peer in answer.endpoints)


VERB = Verb("compare two clusters, or two states of one, in connections", configure, run)
