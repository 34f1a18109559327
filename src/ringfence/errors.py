"""Every error that ringfence raises on purpose, in one tree.

    RingfenceError
    ├── UsageError            exit 2: the question cannot be understood
    │   └── UnknownNameError          the cluster has nothing of that name
    ├── InputError            exit 3: something could not be read or evaluated
    │   └── SnapshotFormatError       no snapshot file, or of an unknown version
    └── ClusterError          exit 4: the cluster or its API failed

An error is raised when the program cannot go on. A document that cannot be read while
others can is no error but a `ringfence.model.location.Problem` kept in the snapshot.
"""

from typing import ClassVar

from ringfence.model.location import Location


class RingfenceError(Exception):
    """The root: carries what went wrong, where, and the exit code that it means."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, location: Location | None = None) -> None:
        """Keep the message and, where there is one, the place in the input."""
        super().__init__(message)
        self.message = message
        self.location = location

    def __str__(self) -> str:
        """Return `file:line: message`, or the message alone where no place is known."""
        return f"{self.location}: {self.message}" if self.location else self.message


class UsageError(RingfenceError):
    """The question itself cannot be understood: a flag, a name, a port."""

    exit_code = 2


class UnknownNameError(UsageError):
    """The question names something that the cluster does not have."""


class InputError(RingfenceError):
    """Something that was given could not be read, or could not be evaluated."""

    exit_code = 3


class SnapshotFormatError(InputError):
    """A snapshot file is damaged, or of a version that this program does not know."""


class ClusterError(RingfenceError):
    """The cluster or its API server failed."""

    exit_code = 4
