"""Why is this allowed, or denied, and what would change it?"""

import math
from collections.abc import Iterable
from typing import Final

import msgspec

from ringfence import assemble
from ringfence.engine import Trace
from ringfence.engine.steps import MeshTrace, PolicyTrace, RuleTrace, SideTrace
from ringfence.errors import UsageError
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection, DomainEnd
from ringfence.model.document import Document, path_text
from ringfence.model.explanation import Change, Explanation, PolicyStep, RuleStep, Side
from ringfence.model.layer7 import Request
from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.query import Query
from ringfence.model.rule import Action, Direction, Layer, Resolution
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Judgement, Verdict
from ringfence.questions import requests
from ringfence.questions.changes import Denied, Proposals
from ringfence.questions.check import Checker, near
from ringfence.questions.destinations import Target
from ringfence.questions.lookups import Lookup
from ringfence.questions.mesh_changes import MeshProposals
from ringfence.questions.naming import Named, Names
from ringfence.questions.rule_words import why
from ringfence.questions.staged import staged_changes

TWO_LEGS: Final = (
    "it goes by waypoint {} in two legs, and the network must let both through on TCP 15008"
)
OF_MESH: Final = {
    "default": "no policy of the mesh decides about {0} of {1}: allowed",
    "no mesh": "{1} takes part in no mesh: no policy of one applies",
    "not taken": "the proxy of {1} does not take this: no policy of the mesh applies",
    "self": "what a pod sends to its own address passes no proxy",
}


def explain(snapshot: Snapshot, query: Query, *, namespace: str | None = None) -> Explanation:
    """Return the whole way to the verdict on one connection.

    Where a name stands for several things, the first that is not allowed is explained, and the
    others are told with their verdicts.

    Args:
        snapshot: the cluster.
        query: needs a port, unless the protocol is ICMP.
        namespace: where a bare name is looked for first.

    Raises:
        UsageError: a name, port or protocol that cannot be understood.
    """
    asked = requests.asked(query)
    protocol = asked.protocols[0]
    if asked.port is None and protocol is not Protocol.ICMP:
        raise UsageError("explain needs a port: `TO:PORT[/PROTOCOL]`")
    checker = Checker(snapshot, namespace=namespace)
    names = checker.names
    pairs = []
    for source in names.ends(query.source):
        for target in checker.destinations.targets(
            query.destination, asked.port, protocol, near(query)
        ):
            port = asked.icmp[0] if asked.icmp else target.port
            wanted = Connection(
                source.end, target.end, protocol, port, None, asked.request, target.service
            )
            pairs.append((source, target, wanted))
    judged = [checker.judge(connection).verdict for _, _, connection in pairs]
    chosen = next((n for n, verdict in enumerate(judged) if verdict is not Verdict.ALLOW), 0)
    also = tuple(
        f"{source.label} -> {_place(target)}: {verdict.value}"
        for n, ((source, target, _), verdict) in enumerate(zip(pairs, judged, strict=True))
        if n != chosen
    )
    try:
        found = _Explainer(checker, pairs[chosen]).explain(also)
    except Undecidable as undecidable:
        raise UsageError(undecidable.reason) from undecidable
    notes = (*checker.mistaken(query, [pairs[chosen][1]]), *found.judgement.notes)
    judgement = msgspec.structs.replace(found.judgement, notes=notes)
    return msgspec.structs.replace(found, judgement=judgement)


def _place(target: Target) -> str:
    place = target.label if target.port is None else f"{target.label}:{target.port}"
    return f"{place} through {target.through}" if target.through else place


class _Met(msgspec.Struct, frozen=True):
    """One side of a connection, as the policies there meet it."""

    layer: Layer
    direction: Direction
    subject: str
    other: str
    seen: Connection
    """The connection as that layer sees it."""
    deciding: dict[tuple[str | None, str], set[str]]
    """The objects and rules that decide, with what they do."""


class _Explainer:
    """Explains one connection."""

    def __init__(self, checker: Checker, pair: tuple[Named, Target, Connection]) -> None:
        self._checker, self._snapshot = checker, checker.snapshot
        self._source, self._target, self._connection = pair

    def explain(self, also: tuple[str, ...]) -> Explanation:
        checker, connection = self._checker, self._connection
        judgement = checker.judge(connection)
        trace = checker.engine.trace(connection)
        found = None
        if checker.lookups.needs(connection) and isinstance(connection.destination, DomainEnd):
            name, authenticated = connection.destination.name, connection.request.authenticated
            found = checker.lookups.of(connection.source, name, authenticated)
        changes: tuple[Change, ...] = ()
        hints: tuple[str, ...] = ()
        if judgement.verdict is Verdict.DENY:
            changes, hints = self._changes(trace, found)
        return msgspec.structs.replace(
            self._way(trace, judgement),
            changes=changes,
            also=also,
            lookup=None if found is None else self._lookup(found),
            staged=staged_changes(self._snapshot, judgement, self._judged_in),
            hints=hints,
            warnings=self._warnings(),
        )

    def _warnings(self) -> tuple[MeshWarning, ...]:
        if not self._checker.destinations.meshed:
            return ()
        from ringfence.questions.mesh_warnings import warnings_about  # noqa: PLC0415 - in a mesh

        return warnings_about(self._checker, self._connection.destination)

    def _way(self, trace: Trace, judgement: Judgement) -> Explanation:
        """Return the way to a verdict, and nothing of what would change it."""
        return Explanation(
            source=self._source.label,
            destination=self._target.label,
            protocol=self._connection.protocol.value,
            port=self._connection.port,
            profile=self._snapshot.profile.cni.value,
            judgement=judgement,
            sides=(
                *self._sides(trace, seen_by_network(self._connection, trace)),
                *(
                    self._sides(trace.mesh, _as_carried(self._connection, trace.mesh))
                    if trace.mesh
                    else ()
                ),
            ),
        )

    def _sides(self, trace: Trace | MeshTrace, seen: Connection) -> tuple[Side, Side]:
        """Return both sides of one layer, with the connection as that layer sees it."""
        layer = Layer.MESH if isinstance(trace, MeshTrace) else Layer.NETWORK
        source, destination = self._source.label, self._target.label
        if isinstance(trace, MeshTrace) and seen.service is not None:
            # The source's proxy judges by what was called.
            called = self._snapshot.services[seen.service].ref
            return (
                self._side(trace.egress, source, called, seen, layer),
                self._side(trace.ingress, destination, source, seen, layer),
            )
        return (
            self._side(trace.egress, source, destination, seen, layer),
            self._side(trace.ingress, destination, source, seen, layer),
        )

    def _lookup(self, found: Lookup) -> Explanation:
        """Return the way to the verdict on the DNS query that comes first."""
        asked = found.connection
        target = Target(asked.destination, found.server, asked.port, asked.protocol)
        other = _Explainer(self._checker, (self._source, target, asked))
        return other._way(self._checker.engine.trace(asked), found.judgement)

    def _judged_in(self, other: Snapshot) -> list[Judgement]:
        """Return the verdicts on the same connection in another state of the cluster."""
        checker = Checker(other)
        return [checker.judge(c) for c in self._connections(checker.names)]

    def _connections(self, names: Names) -> Iterable[Connection]:
        """Yield what the same names mean elsewhere: policies can only split identities."""
        for source in names.ends(self._source.label):
            for target in names.ends(self._target.label):
                yield msgspec.structs.replace(
                    self._connection, source=source.end, destination=target.end
                )

    # -- what happened -----------------------------------------------------------------------

    def _side(
        self, side: SideTrace, subject: str, other: str, seen: Connection, layer: Layer
    ) -> Side:
        deciding: dict[tuple[str | None, str], set[str]] = {}
        for piece in side.evidence:
            deciding.setdefault((piece.object, piece.rule), set()).add(piece.action)
        return Side(
            side.direction.value,
            subject,
            side.verdict,
            tuple(side.because) or self._reasons(side, subject, other),
            tuple(
                self._policy(p, _Met(layer, side.direction, subject, other, seen, deciding))
                for p in side.policies
            ),
            layer.value,
        )

    def _reasons(self, side: SideTrace, subject: str, other: str) -> tuple[str, ...]:
        isolating = [e.object or "" for e in side.evidence if e.rule == "isolation"]
        if isolating:
            listed = " and ".join(isolating)
            verb = "isolates" if len(isolating) == 1 else "isolate"
            if side.evidence[0].layer == Layer.MESH.value:
                verb = f"let{'s' if len(isolating) == 1 else ''} through only what a rule allows:"
                return (f"{listed} {verb} none allows this to {subject}",)
            return (f"{listed} {verb} {subject} for {side.direction.value}; no rule allows this",)
        return tuple(self._reason(e, subject, other) for e in side.evidence)

    def _reason(self, evidence: Evidence, subject: str, other: str) -> str:
        if evidence.layer == Layer.MESH.value and evidence.rule in OF_MESH:
            return OF_MESH[evidence.rule].format(evidence.direction, subject)
        match evidence.rule:
            case "default":
                return f"no policy decides about {evidence.direction} of {subject}: allowed"
            case "outside":
                return f"{subject} is outside the cluster: no policy of this cluster applies there"
            case "host network":
                return f"{subject} is on its node's network: network policies do not apply to it"
            case "own node":
                return f"{other} is the node that {subject} runs on: a pod always admits its node"
            case "self":
                return "a pod always reaches itself"
            case "always enforced":
                return f"Cilium enforces policies on every pod, and none allows this to {subject}"
            case "never enforced":
                return "Cilium is told to enforce no policies"
            case rule if evidence.action == "log":
                return f"{evidence.object} {rule} records it, and decides nothing"
            case rule:
                named = " ".join(filter(None, (evidence.object, rule)))
                return f"{named} says {evidence.action}"

    def _policy(self, traced: PolicyTrace, met: "_Met") -> PolicyStep:
        policy = traced.policy.policy
        document = self._snapshot.documents[policy.document]
        isolates = met.direction in policy.isolates
        at = document.location_of(policy.isolation_path if isolates else ("spec",))
        ordered = policy.tier.resolution is Resolution.FIRST_MATCH
        return PolicyStep(
            policy.ref,
            policy.tier.name,
            isolates,
            tuple(self._rule(r, document, met) for r in traced.rules),
            (policy.ref, "isolation") in met.deciding,
            at.file,
            at.line,
            _number(policy.tier.order),
            _number(policy.order) if ordered else None,
        )

    def _rule(self, traced: RuleTrace, document: Document, met: "_Met") -> RuleStep:
        rule = traced.compiled.rule
        name = path_text(rule.path).removeprefix("spec.")
        at = document.location_of(rule.path)
        acting = met.deciding.get((document.ref, name), set())
        matches = {True: "yes", False: "no", None: "perhaps"}[traced.matches]
        return RuleStep(
            name,
            rule.action.value,
            matches,
            why(traced, met.seen, met.subject, met.other),
            bool(acting) and (met.layer is Layer.NETWORK or _did(rule.action, acting)),
            at.file,
            at.line,
        )

    # -- what would change it ----------------------------------------------------------------

    def _changes(
        self, trace: Trace, lookup: Lookup | None
    ) -> tuple[tuple[Change, ...], tuple[str, ...]]:
        """Return what to add on each denying side, judged anew with all of it added."""
        ways = [(self._connection, trace)]
        if lookup is not None and lookup.verdict is Verdict.DENY:
            ways.append((lookup.connection, self._checker.engine.trace(lookup.connection)))
        proposals = Proposals(self._snapshot)
        of_mesh = MeshProposals(self._snapshot, proposals.documents)
        for asked, way in ways:
            if way.mesh and way.mesh.waypoint and denies(way):
                return (), (TWO_LEGS.format(way.mesh.waypoint),)
            seen = seen_by_network(asked, way)
            for side, subject, other in (
                (way.egress, asked.source, asked.destination),
                (way.ingress, asked.destination, asked.source),
            ):
                if side.verdict is Verdict.DENY and not proposals.add(
                    Denied(side, subject, other, seen)
                ):
                    return (), tuple(proposals.hints)
            names = self._source.label, self._target.label
            if way.mesh and not of_mesh.add(asked, way.mesh, *names):
                return (), (*proposals.hints, *of_mesh.hints)
        anew = assemble.with_documents(self._snapshot, proposals.documents)
        proved = all(j.verdict is Verdict.ALLOW for j in self._judged_in(anew))
        made = (*proposals.changes, *of_mesh.changes)
        changes = (msgspec.structs.replace(change, proved=proved) for change in made)
        return tuple(changes), (*proposals.hints, *of_mesh.hints)


def _did(action: Action, acting: set[str]) -> bool:
    """Return whether a rule is the one meant of several that one place of an object makes."""
    return action.value in acting or acting.isdisjoint(Action)


def denies(trace: Trace) -> bool:
    """Return whether the network denies, whatever a mesh says."""
    return trace.egress.verdict & trace.ingress.verdict is Verdict.DENY


def seen_by_network(connection: Connection, trace: Trace) -> Connection:
    """Return a connection as the network sees it: sealed where it is mTLS, at the wire's port."""
    mesh = trace.mesh
    if mesh is None or not mesh.mtls:
        return connection
    sealed = Request(http=False, dns="", authenticated=connection.request.authenticated)
    port = connection.port if mesh.wire is None else mesh.wire
    return msgspec.structs.replace(connection, port=port, request=sealed)


def _as_carried(connection: Connection, mesh: MeshTrace) -> Connection:
    """Return a connection as proxies see it."""
    request = msgspec.structs.replace(connection.request, mtls=mesh.mtls)
    return msgspec.structs.replace(connection, request=request)


def _number(order: float) -> float | None:
    """Return an order that can be written; None for what comes last of all, or first."""
    return order if math.isfinite(order) else None
