"""One file per policy language: parse to the common rule, emit from it.

`parse` turns the policy objects of a cluster into common rules, as the cluster's CNI profile
reads them. A file of this room exposes `DIALECT`; the folder listing is the registry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec

from ringfence import rooms
from ringfence.errors import UsageError
from ringfence.model.document import Document
from ringfence.model.kinds import group_of
from ringfence.model.location import Problem
from ringfence.model.profile import Profile
from ringfence.model.proposal import Emission, ProposedPolicy, Surroundings
from ringfence.model.rule import Policy


@dataclass(frozen=True)
class Dialect:
    """What a file of this room exposes as `DIALECT`."""

    kinds: frozenset[tuple[str, str]]
    """The (group, kind) pairs that it parses."""
    parse: Callable[[int, Document, Profile], Policy]
    """Index and document to policy; never raises for what the document holds."""
    inert_because: Callable[[str, Profile], str | None]
    """Why the profile does not enforce objects of a kind; None where it does."""
    emit: Callable[[Sequence[ProposedPolicy], Surroundings], Emission] | None = None
    """Writes policies in this language; None where it is only read."""


class Parsed(msgspec.Struct, frozen=True):
    """All policies of a cluster in common form."""

    policies: tuple[Policy, ...]
    """Those that the profile enforces, in the order of the documents."""
    ignored: tuple[Problem, ...]
    """The others, one warning each."""
    problems: tuple[Problem, ...]
    """What could not be understood; the policies concerned carry it too."""


def emit(dialect: str, policies: Sequence[ProposedPolicy], surroundings: Surroundings) -> Emission:
    """Return policies as the files of a dialect, and what the dialect cannot say.

    Args:
        dialect: its name, as `kubernetes`.
        policies: what is to be written.
        surroundings: of the cluster that they are for.

    Raises:
        UsageError: there is no such dialect, or it is only read.
    """
    from ringfence import dialects  # noqa: PLC0415 - the package itself, as a room

    known = rooms.members(dialects, "DIALECT", Dialect)
    write = known[dialect].emit if dialect in known else None
    if write is None:
        writable = ", ".join(f"`{name}`" for name, found in known.items() if found.emit)
        raise UsageError(f"policies cannot be written in `{dialect}`: choose {writable}")
    return write(policies, surroundings)


@cache
def by_kind() -> dict[tuple[str, str], Dialect]:
    """Return the dialect of every (group, kind) that has one."""
    from ringfence import dialects  # noqa: PLC0415 - the package itself, as a room

    listed = rooms.members(dialects, "DIALECT", Dialect).values()
    return {kind: dialect for dialect in listed for kind in dialect.kinds}


def enforced_kinds(profile: Profile) -> frozenset[str]:
    """Return the kinds of policy that a profile enforces."""
    return frozenset(
        kind
        for (_, kind), dialect in by_kind().items()
        if dialect.inert_because(kind, profile) is None
    )


def parse(documents: Sequence[Document], profile: Profile) -> Parsed:
    """Return the policies among the documents; documents of other kinds are passed over."""
    policies: list[Policy] = []
    ignored: list[Problem] = []
    problems: list[Problem] = []
    for index, document in enumerate(documents):
        dialect = by_kind().get((group_of(document.api_version), document.kind))
        if dialect is None:
            continue
        if reason := dialect.inert_because(document.kind, profile):
            message = f"{document.ref} has no effect: {reason}"
            ignored.append(
                Problem(message, document.location_of(), (), document.ref, severity="warning")
            )
            continue
        policy = dialect.parse(index, document, profile)
        policies.append(policy)
        problems += [
            Problem(
                f"{document.ref}: {part.reason}",
                document.location_of(part.path),
                (document.kind,),
                document.ref,
            )
            for part in (*policy.unreadable, *(r.unreadable for r in policy.rules))
            if part is not None
        ]
    return Parsed(tuple(policies), tuple(ignored), tuple(problems))
