"""How far is a cluster on its way to mTLS everywhere, and what stands in the way?

The plan is proved and not guessed: the cluster is judged anew with every namespace made strict,
and whatever is lost is named.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from msgspec import UNSET

from ringfence.engine import Engine
from ringfence.model.cluster import Protocol
from ringfence.model.connection import PodEnd
from ringfence.model.connectivity import ANY, Allowance, OverMtls
from ringfence.model.diff import Change
from ringfence.model.mesh import ISTIO, DataPlane
from ringfence.model.mtls import Mtls, MtlsNamespace, PlaintextCaller, Step
from ringfence.model.snapshot import Snapshot
from ringfence.questions.connectivity import connectivity
from ringfence.questions.destinations import Destinations
from ringfence.questions.diff import diff
from ringfence.questions.mtls_modes import Modes, made_strict, member, plane
from ringfence.questions.naming import Names
from ringfence.questions.units import EXTERNAL, NODE

Wanted = frozenset[tuple[str, str]]
"""Pairs of workloads that count, by name; in the place of a source the kind of what is none."""

NOBODY: Final = "nobody takes part in a mesh: everything is plaintext"
BESIDE: Final = (
    "once strict, {} refuses plaintext also at ports that nothing is known to serve: no container"
    " declares them, and no Service leads there"
)
PROBES: Final = (
    "probes of the kubelet are not among the callers: they go past the proxies of Istio, and those"
    " of Linkerd let the paths of HTTP probes through"
)
CLOSED: Final = "the map lists {} -> {}, which nothing lets through now"
NO_MESH_CARRIES: Final = "no mesh carries UDP or SCTP: what is served by these counts as plaintext"
RESTART: Final = "pods take Linkerd's default policy when they start: restart them after the change"


def mtls(snapshot: Snapshot, wanted: Wanted | None = None) -> Mtls:
    """Return how far each namespace is, and which callers would break if it were strict.

    Args:
        snapshot: the cluster.
        wanted: the pairs that count; None: all that are open.
    """
    return _Planner(snapshot, wanted).answer()


class _Planner:
    """The work of one answer."""

    def __init__(self, snapshot: Snapshot, wanted: Wanted | None) -> None:
        self._snapshot, self._wanted = snapshot, wanted
        self._names = Names(snapshot)
        self._number = {
            self._names.workload_name(number): number for number in range(len(snapshot.workloads))
        }
        destinations = Destinations(self._names)
        self._served = {
            name: frozenset(
                port
                for index in range(len(snapshot.workloads[number].identities))
                for port in destinations.served(PodEnd(number, index))
            )
            for name, number in self._number.items()
        }
        self._before = connectivity(snapshot, nodes=True)
        self._kinds = {peer.name: peer.kind for peer in self._before.endpoints}

    def answer(self) -> Mtls:
        snapshot, before = self._snapshot, self._before
        open_ = {n for n, modes in self._modes.items() if not Modes.refuse_plaintext(modes)}
        anew, changes = made_strict(snapshot, open_)
        lost = diff(before, connectivity(anew, nodes=True)) if changes else None
        callers: dict[str, list[PlaintextCaller]] = defaultdict(list)
        beside: set[str] = set()
        for change in lost.changes if lost else ():
            namespace = self._namespace(change.destination)
            found = self._caller(change)
            if found is not None:
                callers[namespace].append(found)
            elif change.lost or change.became_unknown:
                beside.add(namespace)
        namespaces = tuple(self._of(name, callers, changes) for name in self._listed())
        return Mtls(
            profile=snapshot.profile,
            endpoints=before.endpoints,
            namespaces=namespaces,
            callers=tuple(
                sorted(
                    (caller for found in callers.values() for caller in found),
                    key=lambda caller: (caller.destination, caller.source),
                )
            ),
            from_map=self._wanted is not None,
            unknown_because=lost.unknown_because if lost else before.unknown_because,
            notes=(*self._notes(namespaces, beside), *before.notes),
            problems=before.problems,
        )

    # -- namespaces ----------------------------------------------------------------------------

    def _listed(self) -> list[str]:
        return sorted({workload.namespace for workload in self._snapshot.workloads})

    def _of(
        self, name: str, callers: dict[str, list[PlaintextCaller]], changes: dict[str, str]
    ) -> MtlsNamespace:
        inside = [workload for workload in self._snapshot.workloads if workload.namespace == name]
        members = Counter(plane(m) for workload in inside if (m := member(workload)))
        modes = self._modes[name]
        carried = self._carried[name]
        strict = Modes.refuse_plaintext(modes)
        step = Step.NONE
        if modes:
            step = Step.STRICT if strict else Step.CALLERS if callers[name] else Step.READY
        return MtlsNamespace(
            name=name,
            workloads=len(inside),
            members=dict(sorted(members.items())),
            mode="" if not modes else next(iter(modes)) if len(modes) == 1 else "mixed",
            over_mtls=carried[True],
            partly=carried["both"],
            plaintext=carried[False],
            breaking=len(callers[name]),
            step=step,
            change=changes.get(name, "") if step in (Step.READY, Step.CALLERS) else "",
        )

    @cached_property
    def _modes(self) -> dict[str, Counter[str]]:
        """The modes of each namespace."""
        judged = Modes(Engine(self._snapshot))
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for number, workload in enumerate(self._snapshot.workloads):
            served = self._served[self._names.workload_name(number)]
            found[workload.namespace] += judged.of(number, served)
        return found

    @cached_property
    def _carried(self) -> dict[str, Counter[OverMtls]]:
        """How open pairs of workloads are carried, by the namespace that they end in."""
        found: dict[str, Counter[OverMtls]] = defaultdict(Counter)
        meshed = any(map(member, self._snapshot.workloads))
        for pair in self._before.connections:
            source, destination = _whole(pair.source), _whole(pair.destination)
            both = source in self._number and destination in self._number
            if both and pair.allow and self._counts(pair.source, pair.destination):
                if pair.mtls is not UNSET:
                    found[self._namespace(destination)][pair.mtls] += 1
                elif not meshed:
                    found[self._namespace(destination)][False] += 1
        return found

    # -- callers -------------------------------------------------------------------------------

    def _namespace(self, name: str) -> str:
        number = self._number.get(_whole(name))
        return "" if number is None else self._snapshot.workloads[number].namespace

    def _counts(self, source: str, destination: str) -> bool:
        if self._wanted is None:
            return True
        kind = self._kinds.get(source, EXTERNAL)
        first = kind if kind in (EXTERNAL, NODE) else _whole(source)
        return (first, _whole(destination)) in self._wanted

    def _caller(self, change: Change) -> PlaintextCaller | None:
        """Return what breaks of what is lost: at ports that are known to be served."""
        served = self._served.get(_whole(change.destination), frozenset())
        if not self._counts(change.source, change.destination):
            return None
        for lost, unknown in ((change.lost, False), (change.became_unknown, True)):
            if ports := sorted(port for port in served if _holds(lost, port)):
                return PlaintextCaller(
                    change.source,
                    change.destination,
                    self._kinds.get(change.source, EXTERNAL),
                    ",".join(map(str, ports)),
                    self._why(change),
                    unknown,
                )
        return None

    def _why(self, change: Change) -> str:
        number = self._number.get(_whole(change.source))
        if number is None:
            return "is outside the mesh"
        own = member(self._snapshot.workloads[number])
        if own is None:
            return "is in no mesh"
        other = member(self._snapshot.workloads[self._number[_whole(change.destination)]])
        if other and (own.data_plane in ISTIO) != (other.data_plane in ISTIO):
            return "is in another mesh"
        if own.data_plane is DataPlane.SIDECAR:
            return (
                "is in the mesh, but calls without mTLS: no Service leads there, or TLS is set so"
            )
        return "is in the mesh, but its proxy does not take this"

    def _closed(self) -> list[tuple[str, str]]:
        """Return the pairs of workloads that count, and of which nothing is open."""
        open_ = {
            (_whole(pair.source), _whole(pair.destination))
            for pair in self._before.connections
            if pair.allow or pair.unknown
        }
        wanted = self._wanted or frozenset()
        return sorted(
            pair
            for pair in wanted
            if pair[0] in self._number and pair[0] != pair[1] and pair not in open_
        )

    # -- notes ---------------------------------------------------------------------------------

    def _notes(self, namespaces: tuple[MtlsNamespace, ...], beside: set[str]) -> Iterator[str]:
        for source, destination in self._closed():
            yield CLOSED.format(source, destination)
        members = [namespace for namespace in namespaces if namespace.members]
        if not members:
            yield NOBODY
            return
        if any(namespace.step is not Step.STRICT for namespace in members):
            yield PROBES
        for namespace in members:
            if namespace.name in beside and namespace.step in (Step.READY, Step.CALLERS):
                yield BESIDE.format(namespace.name)
        if any(n.step is Step.STRICT and n.plaintext + n.partly for n in members):
            yield NO_MESH_CARRIES
        if any(DataPlane.LINKERD.value in n.members and n.change for n in members):
            yield RESTART


def _whole(name: str) -> str:
    """Return the name of the workload that a peer is some pods of."""
    return name.partition("[")[0]


def _holds(allowances: tuple[Allowance, ...], port: int) -> bool:
    """Return whether traffic has something on a TCP port."""
    for allowance in allowances:
        if allowance.protocol == ANY:
            return True
        if allowance.protocol != Protocol.TCP.value:
            continue
        for part in allowance.ports.split(","):
            first, _, last = part.partition("-")
            if first and int(first) <= port <= int(last or first):
                return True
    return False


def is_clean(answer: Mtls) -> bool:
    """Return whether nothing that counts is plaintext."""
    return not any(namespace.plaintext or namespace.partly for namespace in answer.namespaces)
