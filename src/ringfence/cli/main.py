"""The entry point: finds the verb, runs it, and turns what went wrong into an exit code."""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from ringfence import cli, rooms
from ringfence.cli._verb import Verb
from ringfence.errors import RingfenceError

DESCRIPTION = "Takes a Kubernetes cluster from default-allow to proven zero trust."
EPILOG = """\
exit codes: 0 clean or allowed; 1 findings, differences, a denied check; 2 bad usage;
3 could not be evaluated; 4 the cluster or its API failed"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line, one subparser per file of this room."""
    parser = argparse.ArgumentParser(
        prog="ringfence",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"ringfence {metadata.version('kube-ringfence')}"
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, verb in rooms.members(cli, "VERB", Verb, skip=("main",)).items():
        subparser = verbs.add_parser(
            name.replace("_", "-"),
            help=verb.summary,
            description=verb.summary[0].upper() + verb.summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
        verb.configure(subparser)
        subparser.set_defaults(run=verb.run)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a command line; options may stand between a verb's words."""
    parser = build_parser()
    verbs = next(a.choices for a in parser._actions if isinstance(a.choices, dict))  # noqa: SLF001
    verb = verbs.get(argv[0]) if argv else None
    if verb is None or verb._subparsers is not None:  # noqa: SLF001
        return parser.parse_args(argv)
    args: argparse.Namespace = verb.parse_intermixed_args(argv[1:])
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # A process that answers one question ends before its garbage matters; searching for it takes
    # up to half the time on a large cluster.
    gc.disable()
    args = parse(sys.argv[1:] if argv is None else argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except RingfenceError as error:
        if args.debug:
            raise
        print(f"ringfence: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, but Python must not flush again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # A defect of this program; its users get a line, its developers a traceback.
        if args.debug:
            raise
        name = type(error).__name__
        print(f"ringfence: internal error: {name}: {error} (--debug shows more)", file=sys.stderr)
        return 3
    return code
