"""`ringfence snapshot`: keeps a cluster in one file, so that it can be judged elsewhere."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ringfence.cli._inputs import HELP, add_cluster_options, load_cluster, unreadable
from ringfence.cli._verb import Verb

if TYPE_CHECKING:
    from ringfence.model.snapshot import Snapshot

EXAMPLES = """
  ringfence snapshot --live -o prod.snapshot
  ringfence snapshot manifests/ -o release.snapshot
  ringfence connectivity prod.snapshot
"""
NOTE = """
The file holds names, labels, addresses and policies; no Secrets, and of environment variables only
the hosts that they name. Every verb takes it as its INPUT."""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = f"examples:{EXAMPLES}{NOTE}"
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=HELP)
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the file to write, or to replace"
    )
    add_cluster_options(parser)


def run(args: Namespace) -> int:
    """Write the file, and return 0, or 3 if something of the cluster could not be read."""
    from ringfence.sources import snapshot_file

    snapshot = load_cluster(args, args.inputs)
    snapshot_file.write(snapshot, args.output)
    print(f"{args.output}: {summary(snapshot)}")
    return 3 if unreadable(snapshot) else 0


def summary(snapshot: "Snapshot") -> str:
    """Return in one line what a snapshot holds."""
    pods = sum(
        len(identity.pods) for workload in snapshot.workloads for identity in workload.identities
    )
    counts = (
        ("namespace", len(snapshot.namespaces)),
        ("workload", len(snapshot.workloads)),
        ("pod", pods),
        ("service", len(snapshot.services)),
        ("node", len(snapshot.nodes)),
        ("policy", len(snapshot.documents)),
    )
    parts = [f"{count:,} {_plural(word, count)}" for word, count in counts]
    return f"{', '.join(parts)}; profile {snapshot.profile.cni}"


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return "policies" if word == "policy" else f"{word}s"


VERB = Verb("keep a cluster in one file, to be judged elsewhere", configure, run)
