"""One file per policy language: parse to the common rule, emit from it.

`parse` turns the policy objects of a cluster into common rules, as the cluster's CNI profile
reads them. A file of this room exposes `DIALECT`; the folder listing is the registry.

Files that begin with `_` are what the dialects are made of:

- `_shared`, `_policy_api`: manifests read strictly; what ClusterNetworkPolicy and its forerunners
  share
- `_calico_*`, `_cilium_*`, `_istio_*`, `_linkerd_*`: the parts of an object of these dialects, to
  the common rule
- `_emit_*`: policies that were generated, as each language says them; `_emission`,
  `_emission_words`, `_cidrs`: what they share
- `_write_*`: policies that were converted, in any tier and order; `_writing`: what they share
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar

import msgspec

from ringfence import rooms
from ringfence.errors import UsageError
from ringfence.model import kinds
from ringfence.model.cluster import (
    HostEndpoint,
    Namespace,
    NetworkSet,
    Service,
    ServiceAccount,
)
from ringfence.model.document import Document
from ringfence.model.kinds import group_of
from ringfence.model.location import Problem
from ringfence.model.mesh import NO_MESH, ClientImports, ClientTls, Membership, Mesh
from ringfence.model.profile import Profile
from ringfence.model.proposal import Emission, ProposedPolicy, Surroundings
from ringfence.model.rule import Policy

Found = TypeVar("Found")


@dataclass(frozen=True)
class Context:
    """What a policy's meaning may depend on beside its own document."""

    profile: Profile
    documents: Sequence[Document]
    """All policies, and what they refer to: tiers, network sets, groups of blocks."""
    namespaces: Sequence[Namespace] = ()
    services: Sequence[Service] = ()
    service_accounts: Sequence[ServiceAccount] = ()
    staged: bool = False
    """Whether staged policies count as enforced."""
    mesh: Mesh = NO_MESH
    """How the cluster's meshes are set up. The configuration of a mesh is there where any object
    of its policy language is."""
    memberships: Sequence[Membership] = ()
    """How pods take part in meshes, each way once, sorted."""

    @cached_property
    def by_title(self) -> dict[str, list[tuple[int, Document]]]:
        """Return index and document of every object, by kind as `kinds.title` has it."""
        found: defaultdict[str, list[tuple[int, Document]]] = defaultdict(list)
        for index, document in enumerate(self.documents):
            found[document.title].append((index, document))
        return dict(found)

    @cached_property
    def _once(self) -> dict[Callable[["Context"], Any], Any]:
        return {}

    def once(self, find: Callable[["Context"], Found]) -> Found:
        """Return what a function finds in it, which is worked out but once."""
        if find not in self._once:
            self._once[find] = find(self)
        found: Found = self._once[find]
        return found

    @cached_property
    def service(self) -> dict[tuple[str, str], Service]:
        """Return the Services by namespace and name."""
        return {(service.namespace, service.name): service for service in self.services}


@dataclass(frozen=True)
class Dialect:
    """What a file of this room exposes as `DIALECT`."""

    kinds: frozenset[tuple[str, str]]
    """The (group, kind) pairs that it parses."""
    parse: Callable[[int, Document, Context], Sequence[Policy]]
    """Index and document to policies: one, or what the document says of several; none for what
    has no effect. Never raises for what the document holds."""
    inert_because: Callable[[str, Profile], str | None]
    """Why the profile does not enforce objects of a kind; None where it does."""
    emit: Callable[[Sequence[ProposedPolicy], Surroundings], Emission] | None = None
    """Writes policies in this language; None where it is only read."""
    network_sets: Callable[[Context], Sequence[NetworkSet]] | None = None
    """Reads the network sets among the documents; what is unreadable of one, it carries."""
    host_endpoints: Callable[[Context], Sequence[HostEndpoint]] | None = None
    notes: Callable[[Context], Sequence[Problem]] | None = None
    """Tells what is wrong with, or worth knowing of, documents that need not make a policy."""
    client_tls: Callable[[Context], Sequence[ClientTls]] | None = None
    """Reads what the clients of a mesh are told of TLS; what is unreadable of it, it carries."""
    client_imports: Callable[[Context], Sequence[ClientImports]] | None = None
    """Reads which Services the clients of a mesh know; what is unreadable of it, it carries."""
    implied: Callable[[Context], Sequence[tuple[Document, Policy]]] | None = None
    """Returns what holds though no object says it (a mesh's defaults): policies, each with a
    document that stands for what says so. Which index that has, the caller fills in."""
    replaced: Callable[[Context], frozenset[int]] | None = None
    """Returns the indexes of documents in the place of which staged ones stand, where these count
    as enforced."""


class Parsed(msgspec.Struct, frozen=True):
    """All policies of a cluster in common form."""

    policies: tuple[Policy, ...]
    """Those that the profile enforces, in the order of the documents."""
    ignored: tuple[Problem, ...]
    """The others, one warning each."""
    problems: tuple[Problem, ...]
    """What could not be understood; the policies concerned carry it too."""
    staged: tuple[Policy, ...] = ()
    """Those that are only planned, where they do not count as enforced."""
    network_sets: tuple[NetworkSet, ...] = ()
    host_endpoints: tuple[HostEndpoint, ...] = ()
    client_tls: tuple[ClientTls, ...] = ()
    client_imports: tuple[ClientImports, ...] = ()
    implied: tuple[Document, ...] = ()
    """What stands for no object of the cluster: the policies refer to these by the indexes that
    follow those of the documents."""


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
    """Return the kinds of policy that a profile enforces, as `kinds.title` has them."""
    return frozenset(
        kinds.BY_NAME[group, kind].title
        for (group, kind), dialect in by_kind().items()
        if dialect.inert_because(kind, profile) is None
    )


def parse(context: Context) -> Parsed:
    """Return the policies among the documents; documents of other kinds are passed over."""
    policies: list[Policy] = []
    staged: list[Policy] = []
    ignored: list[Problem] = []
    problems: list[Problem] = []
    involved: dict[int, Dialect] = {}
    known = tuple(dict.fromkeys(by_kind().values()))
    gone = _replaced(context) if context.staged else frozenset()
    for index, document in enumerate(context.documents):
        dialect = by_kind().get((group_of(document.api_version), document.kind))
        if dialect is None or index in gone:
            continue
        if reason := dialect.inert_because(document.kind, context.profile):
            message = f"{document.ref} has no effect: {reason}"
            ignored.append(
                Problem(message, document.location_of(), (), document.ref, severity="warning")
            )
            continue
        involved[id(dialect)] = dialect
        for policy in dialect.parse(index, document, context):
            (staged if policy.staged and not context.staged else policies).append(policy)
            problems += _not_understood(policy, document)
    sets = [s for d in involved.values() if d.network_sets for s in d.network_sets(context)]
    problems += [note for d in involved.values() if d.notes for note in d.notes(context)]
    implied = [pair for d in known if d.implied for pair in d.implied(context)]
    policies += [
        msgspec.structs.replace(policy, document=len(context.documents) + number)
        for number, (_, policy) in enumerate(implied)
    ]
    problems += [told for document, policy in implied for told in _not_understood(policy, document)]
    hosts = [h for d in involved.values() if d.host_endpoints for h in d.host_endpoints(context)]
    told = [c for d in involved.values() if d.client_tls for c in d.client_tls(context)]
    imported = [
        one for d in involved.values() if d.client_imports for one in d.client_imports(context)
    ]
    return Parsed(
        policies=tuple(policies),
        ignored=tuple(ignored),
        problems=tuple(dict.fromkeys(problems)),
        staged=tuple(staged),
        network_sets=tuple(sets),
        host_endpoints=tuple(hosts),
        client_tls=tuple(told),
        client_imports=tuple(imported),
        implied=tuple(document for document, _ in implied),
    )


def _not_understood(policy: Policy, document: Document) -> list[Problem]:
    """Return what of a policy could not be understood."""
    return [
        Problem(
            f"{document.ref}: {part.reason}",
            document.location_of(part.path),
            (document.title,),
            document.ref,
        )
        for part in (*policy.unreadable, *(r.unreadable for r in policy.rules))
        if part is not None
    ]


def _replaced(context: Context) -> frozenset[int]:
    """Return the documents that staged ones replace or remove under a profile that heeds those."""
    found: set[int] = set()
    for dialect in dict.fromkeys(by_kind().values()):
        if dialect.replaced is not None:
            found |= dialect.replaced(context)
    return frozenset(found)
