"""What every verb's file exposes as `VERB`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    A verb's file imports only the standard library and `ringfence.errors` at its top, and the
    rest inside `run`: `ringfence --help` imports every verb.
    """

    summary: str
    """One line for the overview, lower case, without a final period."""
    configure: Callable[[ArgumentParser], None]
    """Adds the verb's arguments."""
    run: Callable[[Namespace], int]
    """Does it and returns the exit code; raises `RingfenceError` for what cannot go on."""
