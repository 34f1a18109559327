"""What a source hands over: objects of the API as they stood there, and what it could not read."""

import msgspec

from ringfence.model.document import Document
from ringfence.model.location import Problem


class Reading(msgspec.Struct, frozen=True):
    """Everything of one source, in the order in which it stood there.

    Kinds of no interest are left out; `problems` name what could not be read.
    """

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    source: str = ""
    """For titles: the path, or the context of the cluster."""

    def __add__(self, other: "Reading") -> "Reading":
        """Return both readings as one."""
        return Reading(
            self.documents + other.documents,
            self.problems + other.problems,
            ", ".join(part for part in (self.source, other.source) if part),
        )
