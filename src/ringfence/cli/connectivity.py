"""`ringfence connectivity`: who may connect to whom?"""

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

FORMATS = ("text", "wide", "json", "yaml", "markdown", "dot", "html")
EXAMPLES = """
  ringfence connectivity manifests/
  ringfence connectivity manifests/ -n shop -o wide
  ringfence connectivity --live -o html > report.html
  ringfence connectivity manifests/ -o dot | dot -Tsvg > graph.svg
"""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = f"examples:{EXAMPLES}"
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=HELP)
    parser.add_argument(
        "-o",
        "--output",
        choices=FORMATS,
        default="text",
        help="text: a summary and the pairs in few lines; wide: every pair on its own line",
    )
    add_staged_option(parser)
    add_cluster_options(parser)


def run(args: Namespace) -> int:
    """Answer; return 3 if something could not be read, or is unknown under `--strict`."""
    import msgspec

    from ringfence.model.mesh import NO_MESH
    from ringfence.questions.connectivity import connectivity
    from ringfence.questions.mesh_warnings import mesh_warnings

    snapshot = load_cluster(args, args.inputs)
    namespace = None if args.all_namespaces else args.namespace
    answer = connectivity(snapshot, namespace=namespace)
    if args.output == "wide" and snapshot.mesh != NO_MESH:
        warnings = mesh_warnings(snapshot, namespace=namespace)
        answer = msgspec.structs.replace(answer, warnings=warnings)
    print_answer(answer, args.output)
    if unreadable(snapshot):
        return 3
    return 3 if args.strict and any(pair.unknown for pair in answer.connections) else 0


VERB = Verb("show who may connect to whom, all pairs at once", configure, run)
