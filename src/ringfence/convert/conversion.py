"""The whole way of a conversion: read, say, write, read back, compare, take out what is wider."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ringfence.assemble import building
from ringfence.convert import hosts
from ringfence.convert.algebra import Algebra
from ringfence.convert.arrange import Arrangement, Banned, Steps
from ringfence.convert.compare import Comparison, Wider, compare
from ringfence.convert.drafts import CLUSTER, Binder, Draft
from ringfence.convert.known import Known
from ringfence.convert.lift import Lift
from ringfence.convert.speak import Speaker
from ringfence.convert.speak_calico import Calico
from ringfence.convert.speak_cilium import Cilium, deniable
from ringfence.convert.speak_kubernetes import ClusterNetworkPolicy, Kubernetes
from ringfence.convert.told import Effect, Origin, Told
from ringfence.convert.traffic import resolve
from ringfence.dialects import _write_calico, _write_cilium, _write_kubernetes
from ringfence.dialects import _write_cluster_network_policy as _write_cnp
from ringfence.dialects._writing import Recording, Writing
from ringfence.errors import UsageError
from ringfence.model.document import Document
from ringfence.model.location import Problem
from ringfence.model.profile import Cni, Profile
from ringfence.model.proposal import Edition, EmittedFile, ProposedPolicy, Surroundings, Unsupported
from ringfence.model.rule import Direction, Rule
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.prove.written import read_back

KUBERNETES: Final = "kubernetes"
CALICO: Final = "calico"
CILIUM: Final = "cilium"
CLUSTER_NETWORK_POLICY: Final = "cluster-network-policy"
DIALECTS: Final = (KUBERNETES, CALICO, CILIUM, CLUSTER_NETWORK_POLICY)

PROFILES: Final = {CALICO: Cni.CALICO, CILIUM: Cni.CILIUM}
"""Under which profile the target is judged; the others under `generic`."""
ROUNDS: Final = 24
"""So often are rules taken out that allow too much, before it is given up."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a conversion."""

    dialect: str
    source: Profile
    target: Profile
    """By which the two sides were judged."""
    read: int
    """How many policies were read."""
    written: int
    files: tuple[EmittedFile, ...]
    told: tuple[Told, ...]
    unsupported: tuple[Unsupported, ...]
    """What the writer of the dialect left out."""
    conditions: tuple[str, ...]
    """What must be so in the cluster for the written policies to do what they say."""
    comparison: Comparison
    problems: tuple[Problem, ...]
    """What of the written policies could not be read back."""
    unreadable: tuple[Problem, ...] = ()
    """What of the policies that were to be converted could not be understood: nothing is written
    then."""

    @property
    def proved(self) -> bool:
        """Whether every verdict is the same, by comparison."""
        return not (self.unreadable or self.problems) and self.comparison.equal

    @property
    def safe(self) -> bool:
        """Whether no verdict is known to be, or may be, more open than before."""
        return not (
            self.unreadable or self.problems or self.comparison.wider or self.comparison.undecided
        )


def convert(
    snapshot: Snapshot,
    dialect: str,
    *,
    allow_wider: bool = False,
    edition: Edition = Edition.OSS,
) -> Conversion:
    """Return a cluster's policies in another dialect, held against what they were.

    Args:
        snapshot: the cluster, judged by the profile that enforces the policies as they are.
        dialect: one of `DIALECTS`.
        allow_wider: whether more may be allowed where the dialect cannot say less.
        edition: of Calico.

    Raises:
        UsageError: no such dialect, or nothing in the cluster is enforced.
    """
    if dialect not in DIALECTS:
        raise UsageError(f"`{dialect}` is no dialect: choose {', '.join(DIALECTS)}")
    if snapshot.profile.cni is Cni.NONE:
        raise UsageError("nothing in this cluster enforces policies (profile none)")
    work = _Work(snapshot, dialect, allow_wider=allow_wider, edition=edition)
    return work.conversion()


class _Work:
    """One conversion."""

    def __init__(
        self, snapshot: Snapshot, dialect: str, *, allow_wider: bool, edition: Edition
    ) -> None:
        self._snapshot = snapshot
        self.dialect = dialect
        self._allow_wider = allow_wider
        self._edition = edition
        self._known = Known(snapshot)
        self._resolved = resolve(snapshot)
        self._target = _target(snapshot.profile, dialect)

    def conversion(self) -> Conversion:
        unreadable = self._unreadable()
        if unreadable:
            return self._result(unreadable=unreadable)
        lift = Lift(self._snapshot, self._known, self._resolved)
        steps = {direction: lift.steps(direction) for direction in Direction}
        banned: Banned = set()
        for _ in range(ROUNDS):
            attempt = _Attempt(self, steps, banned)
            found = compare(self._snapshot, attempt.judged)
            if not found.wider or self._allow_wider:
                break
            more = attempt.to_blame(found.wider)
            if not more:
                break
            banned |= more
        told = (*lift.told, *hosts.tell(self._snapshot), *self._staged(), *attempt.told)
        return self._result(attempt, found, told)

    def _result(
        self,
        attempt: "_Attempt | None" = None,
        found: Comparison | None = None,
        told: Sequence[Told] = (),
        unreadable: tuple[Problem, ...] = (),
    ) -> Conversion:
        return Conversion(
            dialect=self.dialect,
            source=self._snapshot.profile,
            target=self._target,
            read=len({policy.document for policy in self._snapshot.policies}),
            written=len(attempt.policies) if attempt else 0,
            files=attempt.files if attempt else (),
            told=tuple(dict.fromkeys(sorted(told, key=_by_place))),
            unsupported=attempt.writing.emission.unsupported if attempt else (),
            conditions=attempt.writing.emission.notes if attempt else (),
            comparison=found or Comparison(pairs=0),
            problems=attempt.problems if attempt else (),
            unreadable=unreadable,
        )

    def _unreadable(self) -> tuple[Problem, ...]:
        refs = {document.ref for document in self._snapshot.documents}
        return tuple(
            problem
            for problem in self._snapshot.problems
            if problem.severity == "error" and (problem.object in refs or problem.affects)
        )

    def _staged(self) -> list[Told]:
        """Tell of the policies that are only planned."""
        what, instead = "it is staged and enforces nothing", "nothing: it is not converted"
        found = []
        for document in self._snapshot.documents:
            if document.kind.startswith("Staged") and not self._snapshot.staged:
                at = document.location_of()
                found.append(
                    Told(
                        file=at.file,
                        line=at.line,
                        object=document.ref,
                        rule="",
                        what=what,
                        instead=instead,
                        effect=Effect.NOTE,
                    )
                )
        return found

    # -- for an attempt ----------------------------------------------------------------------

    def speaker(self, dialect: str) -> Speaker:
        """Return one that has told nothing yet."""
        kinds: dict[str, Callable[..., Speaker]] = {
            KUBERNETES: Kubernetes,
            CALICO: Calico,
            CILIUM: Cilium,
            CLUSTER_NETWORK_POLICY: ClusterNetworkPolicy,
        }
        found = kinds[dialect](self._known, self._resolved, allow_wider=self._allow_wider)
        if isinstance(found, Calico):
            found.edition = self._edition
        if isinstance(found, Cilium):
            found.version = self._target.version
        return found

    def algebra(self) -> Algebra:
        """Return the algebra of the cluster."""
        return Algebra(self._known, self._resolved)

    def bind(self, speaker: Speaker, drafts: Sequence[Draft]) -> list[ProposedPolicy]:
        """Return drafts as policies."""
        return Binder(speaker, self._known, self.dialect).bind(drafts)

    def arrange(self, arrangement: Arrangement, steps: Steps) -> list[Draft]:
        """Return steps as drafts of policies."""
        match self.dialect:
            case "kubernetes":
                return arrangement.union(steps)
            case "cilium":
                return arrangement.union(arrangement.with_lookups(steps), deniable)
            case "calico":
                return arrangement.calico(steps)
            case _:
                return arrangement.cluster_network_policies(steps)

    def write(self, policies: Sequence[ProposedPolicy]) -> Writing:
        """Return policies in writing."""
        around = Surroundings(
            calico_edition=self._edition,
            cilium_version=self._target.version if self.dialect == CILIUM else "",
            blocks_match_nodes=True,
        )
        writers: dict[str, Callable[[], Recording]] = {
            KUBERNETES: lambda: _write_kubernetes.Writer(around),
            CALICO: lambda: _write_calico.Writer(around),
            CILIUM: lambda: _write_cilium.Writer(around, _resolving(policies)),
            CLUSTER_NETWORK_POLICY: lambda: _write_cnp.Writer(around),
        }
        return writers[self.dialect]().writing(policies)

    def judged(self, documents: Sequence[Document]) -> Snapshot:
        """Return the cluster with these policies in the place of its own."""
        return building.rejudged(self._snapshot, documents, profile=self._target, staged=False)


class _Attempt:
    """Policies as they come out without some rules."""

    def __init__(self, work: _Work, steps: Steps, banned: Banned) -> None:
        speaker = work.speaker(work.dialect)
        beside = work.speaker(KUBERNETES)
        arrangement = Arrangement(speaker, beside, work.algebra(), banned)
        drafts = work.arrange(arrangement, steps)
        self.policies, self._meant = _numbered(work.bind(speaker, drafts), drafts)
        self.told = (*speaker.told, *beside.told, *arrangement.told)
        self.writing = work.write(self.policies)
        self.files = self.writing.emission.files
        if any(policy.policy.tier == _write_calico.EARLY for policy in self.policies):
            text = "\n".join(_write_calico.tier(_write_calico.EARLY)) + "\n"
            name = f"{CLUSTER}/tier-{_write_calico.EARLY.name}.yaml"
            self.files = tuple(sorted((*self.files, EmittedFile(name, text))))
        reading = read_back(self.files)
        self.judged = work.judged(reading.documents)
        paths = {file.path for file in self.files}
        told = (*reading.problems, *self.judged.problems)
        self.problems = tuple(
            problem
            for problem in told
            if problem.severity == "error" and problem.location.file in paths
        )

    def to_blame(self, wider: Sequence[Wider]) -> Banned:
        """Return the rules by which more is allowed than before, as far as rules do it."""
        found: Banned = set()
        for each in wider:
            was, now = each.was, each.now
            directions = {
                direction
                for direction, verdict in (("egress", was.egress), ("ingress", was.ingress))
                if verdict is not Verdict.ALLOW or was.limited_to
            }
            for evidence in now.evidence:
                decided = evidence.action in ("allow", "unknown")
                if not decided or evidence.direction not in directions:
                    continue
                _, _, place = (evidence.object or "").partition("/")
                namespace, slash, name = place.partition("/")
                if not slash:
                    namespace, name = "", namespace
                path = self.writing.rules.get((namespace, name, evidence.rule))
                if path is not None:
                    found.add(self._meant[path])
        return found


def _resolving(policies: Sequence[ProposedPolicy]) -> list[ProposedPolicy]:
    """Return those that have lookups read, as if they did it for the pods of all policies.

    A name whose lookups no policy of its subject has read was told of, and left out, before.
    """
    everyone = tuple(name for policy in policies for name in policy.subject)
    return [
        msgspec.structs.replace(policy, subject=everyone)
        for policy in policies
        if any(limit.dns is not None for r in policy.rules for limit in r.rule.layer7 or ())
    ]


def _numbered(
    policies: Sequence[ProposedPolicy], drafts: Sequence[Draft]
) -> tuple[list[ProposedPolicy], dict[tuple[str | int, ...], tuple[Origin, Rule]]]:
    """Return policies whose rules have numbers for paths, and what each number stands for."""
    origins = {id(rule): (at, rule) for draft in drafts for rule, at in draft.rules}
    meant: dict[tuple[str | int, ...], tuple[Origin, Rule]] = {}
    found = []
    for policy in policies:
        rules = []
        for each in policy.rules:
            path = ("rule", len(meant))
            meant[path] = origins[id(each.rule)]
            rule = msgspec.structs.replace(each.rule, path=path)
            rules.append(msgspec.structs.replace(each, rule=rule))
        found.append(msgspec.structs.replace(policy, rules=tuple(rules)))
    return found, meant


def _target(profile: Profile, dialect: str) -> Profile:
    """Return the profile by which a dialect is judged."""
    cni = PROFILES.get(dialect, Cni.GENERIC)
    if profile.cni is cni:
        return profile
    return Profile(cni=cni, chosen="given", evidence=f"--to {dialect}")


def _by_place(told: Told) -> tuple[str, int, str]:
    return told.file, told.line or 0, str(told)
