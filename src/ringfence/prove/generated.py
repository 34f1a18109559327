"""Proves of generated policies that they allow what the map says: nothing more, nothing less.

The bytes that were written are read back as any other manifest, judged in the cluster that they
are meant for, and held against the map itself, pair by pair and port by port.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from ringfence.assemble import building
from ringfence.errors import UsageError
from ringfence.layer7 import Undecidable
from ringfence.learn.dependency_map import DependencyMap
from ringfence.learn.own_accounts import Offer
from ringfence.learn.propose import Proposal, propose
from ringfence.learn.propose_mesh import MeshProposal, propose_mesh
from ringfence.learn.wishes import CILIUM, ENFORCED_BY, PLAIN, Wishes
from ringfence.model.document import Document
from ringfence.model.location import Problem
from ringfence.model.outside import AddressRange, merge
from ringfence.model.profile import Profile
from ringfence.model.proposal import Emission
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement
from ringfence.prove import port_sets
from ringfence.prove.actual import Actual
from ringfence.prove.amounts import EVERYTHING, Amount
from ringfence.prove.elements import DomainElement, Element, PodElement, RangeElement, cut
from ringfence.prove.expected import Intent, Stated
from ringfence.prove.grants import Expected
from ringfence.prove.mesh_expected import MeshStated
from ringfence.prove.written import emissions, kept, read_back, replaced, together


class Difference(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A pair of which the policies say something else than the map."""

    source: str
    destination: str
    ports: str
    """As `TCP 5432; UDP 53`, with what may be said on them: `TCP 443 (POST /v1)`."""
    because: tuple[str, ...] = ()
    """What decided, as `egress: NetworkPolicy/shop/x ingress[0] (x.yaml:12)`."""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """Policies for a map, and the proof of them."""

    proposal: Proposal
    emission: Emission
    """Of all languages together."""
    profile: Profile
    """By which it was proved."""
    offers: tuple[Offer, ...] = ()
    """Workloads that have no service account to themselves, where a mesh gets policies."""
    assumed: bool = False
    """True where the profile was only concluded from the language."""
    proof: "Proof | None"
    """None where the map names what the cluster does not have: nothing was written then."""
    stays: tuple[Document, ...] = ()
    """Policies of the covered namespaces that none of the new ones replaces: each may allow more
    than the map says for as long as it stays, and of some languages also less."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the comparison."""

    workloads: int
    """To which the policies apply."""
    connections: int
    """Ordered pairs for which the map lists something, DNS aside; the outside counts as one."""
    more: tuple[Difference, ...] = ()
    """Allowed, but not in the map."""
    less: tuple[Difference, ...] = ()
    """In the map, but not allowed."""
    unknown: tuple[Difference, ...] = ()
    """Allowed or not: that cannot be told."""
    unknown_because: tuple[str, ...] = ()
    refused: tuple[Difference, ...] = ()
    """In the map, but refused by a proxy that reads the port for another dependency's limit: the
    language cannot say otherwise."""
    unplaced: int = 0
    """Pairs of which the map itself leaves open whether it means them: an address is not known."""
    problems: tuple[Problem, ...] = ()
    """What of the written policies could not be read back."""

    @property
    def holds(self) -> bool:
        """Whether there is no difference, and nothing that cannot be told."""
        return not (self.more or self.less or self.unknown or self.problems)


def generate(
    dependency_map: DependencyMap,
    snapshot: Snapshot,
    wishes: Wishes = PLAIN,
) -> Generation:
    """Return the policies that a map comes to in a cluster, proved.

    Args:
        dependency_map: who may call whom.
        snapshot: the cluster.
        wishes: the language to write in, and what is wanted of it.

    Raises:
        UsageError: policies cannot be written in that dialect, or so, or nothing in the cluster
            would enforce them.
    """
    wishes.check()
    given, snapshot = snapshot, enforcing(snapshot, wishes)
    proposal = propose(dependency_map, snapshot, wishes)
    mesh = MeshProposal()
    if wishes.mesh and not proposal.problems:
        mesh = propose_mesh(dependency_map, snapshot, wishes)
        notes = tuple(dict.fromkeys((*proposal.notes, *mesh.notes)))
        proposal = msgspec.structs.replace(proposal, notes=notes, mesh_twins=mesh.twins)
    emission = together(emissions(proposal, mesh))
    if proposal.problems:
        return Generation(
            proposal=proposal, emission=emission, profile=snapshot.profile, proof=None
        )
    read = read_back(emission.files).documents
    names = {(each.title, each.namespace, each.name) for each in read}
    return Generation(
        proposal=proposal,
        emission=emission,
        profile=snapshot.profile,
        assumed=snapshot.profile != given.profile,
        proof=prove(dependency_map, snapshot, proposal, emission),
        offers=mesh.offers,
        stays=tuple(
            document
            for document in replaced(dependency_map, snapshot, wishes)
            if (document.title, document.namespace, document.name) not in names
        ),
    )


def enforcing(snapshot: Snapshot, wishes: Wishes) -> Snapshot:
    """Return the cluster by a profile that enforces what is written.

    Raises:
        UsageError: the profile was given or detected, and is another.
    """
    needed = ENFORCED_BY.get(wishes.dialect)
    profile = snapshot.profile
    if needed is None or profile.cni is needed:
        return snapshot
    if profile.chosen != "default":
        raise UsageError(
            f"nothing enforces policies of `{wishes.dialect}` in this cluster (profile "
            f"{profile.cni.value}, {profile.chosen}): choose another dialect, or, if that is "
            f"wrong, `--profile {needed.value}`"
        )
    chosen = msgspec.structs.replace(profile, cni=needed, evidence=f"--dialect {wishes.dialect}")
    return building.rejudged(snapshot, snapshot.documents, profile=chosen)


def prove(
    dependency_map: DependencyMap,
    snapshot: Snapshot,
    proposal: Proposal,
    emission: Emission,
) -> Proof:
    """Return whether the written policies allow exactly what the map says.

    Args:
        dependency_map: what is meant.
        snapshot: the cluster, with whatever policies it has; those of `kept` stay.
        proposal: for what it states beyond the map: DNS, and workloads that nothing tells apart.
        emission: the policies as they were written, and what it states likewise.
    """
    read = read_back(emission.files)
    stated = Stated(
        proposal.dns,
        proposal.twins,
        tuple(each for each in emission.substitutes if not each.by_mesh),
        proposal.wishes,
        proposal.by_account,
        proposal.surroundings.api_servers,
        _stated_of_mesh(proposal, emission),
        proposal.control,
    )
    staged = proposal.surroundings.staged
    stays = [
        document
        for document in kept(dependency_map, snapshot, proposal.wishes)
        if not (staged and document.kind.startswith("Staged"))
    ]
    judged = building.rejudged(
        snapshot, (*stays, *read.documents), staged=staged or snapshot.staged
    )
    paths = {file.path for file in emission.files}
    told = (p for p in (*read.problems, *judged.problems) if p.severity == "error")
    problems = [problem for problem in told if problem.location.file in paths]
    # Only policies of Cilium speak of nodes without selecting or numbering them.
    actual = Actual(judged, nodes=proposal.wishes.dialect == CILIUM)
    comparison = _Comparison(Intent(dependency_map, judged, stated), actual)
    return comparison.proof(problems)


def _stated_of_mesh(proposal: Proposal, emission: Emission) -> MeshStated | None:
    if not proposal.wishes.mesh:
        return None
    own = tuple(each for each in emission.substitutes if each.by_mesh)
    return MeshStated(proposal.wishes.mesh, proposal.mesh_twins, own)


class _Comparison:
    """Holds one judge's verdicts against what is meant."""

    def __init__(self, intent: Intent, actual: Actual) -> None:
        self._intent = intent
        self._actual = actual
        self._found: dict[str, dict[_Key, list[AddressRange]]] = defaultdict(dict)
        """Per kind of difference, the differences; those with the outside with its ranges."""
        self._connections: set[tuple[str, str]] = set()
        self._unplaced: set[tuple[str, str]] = set()
        self._undecided: dict[str, None] = {}
        """Why limits could not be compared."""

    def proof(self, problems: list[Problem]) -> Proof:
        """Compare every pair in which something is meant, or possible."""
        names = sorted({*self._intent.domains(), *self._actual.names()})
        elements = [
            *self._cut(self._actual.elements()),
            *(DomainElement(name) for name in names),
        ]
        places = self._intent.places
        policed = {element for element in elements if self._intent.policed(element)}
        # A workload to itself is left out by `connectivity`, so it is asked about in any case;
        # but for a bare pod, which no policy can keep from itself.
        pairs: dict[tuple[Element, Element], None] = {(each, each): None for each in policed}
        pairs |= dict.fromkeys(self._intent.candidates(elements))
        pairs |= dict.fromkeys(self._actual.pairs(elements))
        for source, destination in pairs:
            if source == destination and self._actual.is_single(source):
                continue
            if isinstance(source, DomainElement):
                continue  # nobody sees a caller's name
            if source in policed or destination in policed:
                common = places.families(source) & places.families(destination)
                for family in sorted(common):
                    self._compare(source, destination, family)
        unknown = self._differences("unknown")
        return Proof(
            workloads=len({e.workload for e in policed if isinstance(e, PodElement)}),
            connections=len(self._connections),
            more=self._differences("more"),
            less=self._differences("less"),
            unknown=unknown,
            unknown_because=(
                (*self._actual.answer.unknown_because, *self._undecided) if unknown else ()
            ),
            refused=self._differences("refused"),
            unplaced=len(self._unplaced),
            problems=tuple(problems),
        )

    def _cut(self, elements: list[Element]) -> list[Element]:
        """Return the elements, the outside cut where the map speaks of only a part of a range."""
        found: list[Element] = []
        for element in elements:
            if isinstance(element, RangeElement):
                pieces = cut(element.addresses, self._intent.ranges)
                found += [RangeElement(p) for p in pieces if not self._intent.is_node(p)]
            else:
                found.append(element)
        return found

    def _compare(self, source: Element, destination: Element, family: int) -> None:
        try:
            meant = self._intent.between(source, destination, family)
        except Undecidable as undecidable:
            # Which of it is meant cannot be told: any of it may be.
            self._undecided[str(undecidable)] = None
            self._add("unknown", source, destination, family, EVERYTHING)
            return
        certain, possible = self._actual.between(source, destination, family, meant.possible.ports)
        if isinstance(destination, DomainElement):
            # Of names only those count that the map lists; where the others are nobody knows.
            if name := self._intent.listed_name(source, destination):
                self._connections.add((self._end(source), name))
        else:
            pair = (self._end(source), self._end(destination))
            if meant.own and meant.possible:
                self._connections.add(pair)
            if meant.possible != meant.certain and not meant.refused:
                self._unplaced.add(pair)
        try:
            found = _differences(meant, certain, possible)
        except Undecidable as undecidable:
            # It cannot be told on these ports whether as much is allowed as is meant.
            found = {"unknown": possible | Amount(meant.possible.ports)}
            self._undecided[str(undecidable)] = None
        for kind, amount in found.items():
            if amount:
                self._add(kind, source, destination, family, amount)

    def _end(self, element: Element) -> str:
        return "" if isinstance(element, RangeElement) else self._actual.name(element)

    def _add(
        self, kind: str, source: Element, destination: Element, family: int, amount: Amount
    ) -> None:
        protocol, port = port_sets.edges(amount.ports)[0]
        judged = self._actual.judge(source, destination, family, protocol, port)
        because = tuple(_decided_by(judged))
        key = _Key(self._end(source), self._end(destination), amount.text(), because)
        ranges = self._found[kind].setdefault(key, [])
        for end in (source, destination):
            if isinstance(end, RangeElement):
                ranges.append(end.addresses)

    def _differences(self, kind: str) -> tuple[Difference, ...]:
        found = []
        for key, ranges in self._found[kind].items():
            outside = ", ".join(part.short for part in merge(ranges))
            found.append(
                Difference(
                    source=key.source or outside,
                    destination=key.destination or outside,
                    ports=key.ports,
                    because=key.because,
                )
            )
        return tuple(sorted(found))


def _differences(meant: Expected, certain: Amount, possible: Amount) -> dict[str, Amount]:
    """Return by kind what is allowed otherwise than it is meant.

    Raises:
        Undecidable: what may be said on some ports cannot be told apart.
    """
    more = certain - meant.possible
    less = meant.certain - possible
    refused = meant.refused - possible
    # Where the map itself leaves open whether an end is meant, any verdict will do.
    unsettled = (possible - meant.possible) | (meant.certain - certain)
    return {
        "more": more,
        "less": less,
        "refused": refused,
        "unknown": unsettled - more - less - refused,
    }


class _Key(NamedTuple):
    """A difference but for the outside addresses, whose names are empty here."""

    source: str
    destination: str
    ports: str
    because: tuple[str, ...]


def _decided_by(judged: Judgement) -> Iterator[str]:
    """Yield what decided a verdict, one part for each direction."""
    for evidence in judged.evidence:
        place = f" ({evidence.file}:{evidence.line})" if evidence.file else ""
        what = f"{evidence.object} {evidence.rule}" if evidence.object else evidence.rule
        yield f"{evidence.direction} {evidence.action}: {what}{place}"
