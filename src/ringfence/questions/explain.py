"""Why is this allowed, or denied, and what would change it?"""

import copy
from typing import Any

import msgspec
import yaml

from ringfence import assemble
from ringfence.engine import Engine
from ringfence.engine.trace import PolicyTrace, RuleTrace, SideTrace
from ringfence.errors import UsageError
from ringfence.model.cluster import Identity, Protocol, Workload
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.document import Document, path_text
from ringfence.model.explanation import Change, Explanation, PolicyStep, RuleStep, Side
from ringfence.model.query import Query
from ringfence.model.rule import NETWORK_POLICY, Direction, PodPeer
from ringfence.model.selector import Operator
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Verdict
from ringfence.questions.naming import Named, Names, Target
from ringfence.questions.requests import parse_protocol

VOLATILE = (
    "pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/",
    "controller-uid",
    "job-name",
    "pod-template-generation",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
)
"""Labels, or their prefixes, that a selector written by a person avoids: they change."""


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
    protocol = parse_protocol(query.protocol)
    if query.port is None and protocol is not Protocol.ICMP:
        raise UsageError("explain needs a port: `TO:PORT[/PROTOCOL]`")
    names = Names(snapshot, namespace)
    engine = Engine(snapshot)
    near = query.source.split("/")[0] if "/" in query.source else None
    port = None if protocol is Protocol.ICMP else query.port
    pairs = [
        (source, target, Connection(source.end, target.end, target.protocol, target.port))
        for source in names.ends(query.source)
        for target in names.targets(query.destination, port, protocol, near)
    ]
    judged = [engine.judge(connection).verdict for _, _, connection in pairs]
    chosen = next((n for n, verdict in enumerate(judged) if verdict is not Verdict.ALLOW), 0)
    also = tuple(
        f"{source.label} -> {_place(target)}: {verdict.value}"
        for n, ((source, target, _), verdict) in enumerate(zip(pairs, judged, strict=True))
        if n != chosen
    )
    return _Explainer(snapshot, engine, names, pairs[chosen]).explain(also)


def _place(target: Target) -> str:
    return target.label if target.port is None else f"{target.label}:{target.port}"


class _Explainer:
    """Explains one connection."""

    def __init__(
        self,
        snapshot: Snapshot,
        engine: Engine,
        names: Names,
        pair: tuple[Named, Target, Connection],
    ) -> None:
        self._snapshot, self._engine, self._names = snapshot, engine, names
        self._source, self._target, self._connection = pair

    def explain(self, also: tuple[str, ...]) -> Explanation:
        trace = self._engine.trace(self._connection)
        judgement = trace.judgement
        return Explanation(
            source=self._source.label,
            destination=self._target.label,
            protocol=self._connection.protocol.value,
            port=self._connection.port,
            profile=self._snapshot.profile.cni.value,
            judgement=judgement,
            sides=(
                self._side(trace.egress, self._source.label, self._target.label),
                self._side(trace.ingress, self._target.label, self._source.label),
            ),
            changes=self._changes(trace.egress, trace.ingress)
            if judgement.verdict is Verdict.DENY
            else (),
            also=also,
        )

    # -- what happened -----------------------------------------------------------------------

    def _side(self, side: SideTrace, subject: str, other: str) -> Side:
        deciding = {(e.object, e.rule) for e in side.evidence}
        return Side(
            side.direction.value,
            subject,
            side.verdict,
            tuple(side.because) or self._reasons(side, subject, other),
            tuple(self._policy(p, side.direction, other, deciding) for p in side.policies),
        )

    def _reasons(self, side: SideTrace, subject: str, other: str) -> tuple[str, ...]:
        isolating = [e.object or "" for e in side.evidence if e.rule == "isolation"]
        if isolating:
            listed = " and ".join(isolating)
            verb = "isolates" if len(isolating) == 1 else "isolate"
            return (f"{listed} {verb} {subject} for {side.direction.value}; no rule allows this",)
        return tuple(self._reason(e, subject, other) for e in side.evidence)

    def _reason(self, evidence: Evidence, subject: str, other: str) -> str:
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
            case rule:
                return f"{evidence.object} {rule} says {evidence.action}"

    def _policy(
        self,
        traced: PolicyTrace,
        direction: Direction,
        other: str,
        deciding: set[tuple[str | None, str]],
    ) -> PolicyStep:
        policy = traced.policy.policy
        document = self._snapshot.documents[policy.document]
        isolates = direction in policy.isolates
        at = document.location_of(policy.isolation_path if isolates else ("spec",))
        return PolicyStep(
            policy.ref,
            policy.tier.name,
            isolates,
            tuple(self._rule(r, document, other, deciding) for r in traced.rules),
            (policy.ref, "isolation") in deciding,
            at.file,
            at.line,
        )

    def _rule(
        self,
        traced: RuleTrace,
        document: Document,
        other: str,
        deciding: set[tuple[str | None, str]],
    ) -> RuleStep:
        rule = traced.compiled.rule
        name = path_text(rule.path).removeprefix("spec.")
        at = document.location_of(rule.path)
        matches = {True: "yes", False: "no", None: "perhaps"}[traced.matches]
        port = self._connection.port
        wire = f"{self._connection.protocol.value}{'' if port is None else f' {port}'}"
        peer = {True: f"means {other}", False: f"does not mean {other}", None: "perhaps means "}[
            traced.peer
        ]
        peer += other if traced.peer is None else ""
        means_port = f"allows {wire}" if traced.traffic else f"does not name {wire}"
        if rule.action.value != "allow" and traced.traffic:
            means_port = f"names {wire}"
        why = rule.unreadable.reason if rule.unreadable else f"{peer}, {means_port}"
        return RuleStep(
            name,
            rule.action.value,
            matches,
            why,
            (document.ref, name) in deciding,
            at.file,
            at.line,
        )

    # -- what would change it ----------------------------------------------------------------

    def _changes(self, egress: SideTrace, ingress: SideTrace) -> tuple[Change, ...]:
        """Return what to add on each denying side, judged anew with all of it added."""
        documents = list(self._snapshot.documents)
        changes: list[Change] = []
        for side, subject, other in (
            (egress, self._connection.source, self._connection.destination),
            (ingress, self._connection.destination, self._connection.source),
        ):
            if side.verdict is Verdict.DENY and isinstance(subject, PodEnd):
                change = self._change(side, subject, other, documents)
                if change is None:
                    return ()
                changes.append(change)
        anew = assemble.with_documents(self._snapshot, documents)
        # Other policies can only split identities; the labels still name the same ends.
        names = Names(anew)
        sources = names.ends(self._source.label)
        targets = names.ends(self._target.label)
        engine = Engine(anew)
        proved = all(
            engine.judge(
                Connection(s.end, t.end, self._connection.protocol, self._connection.port)
            ).verdict
            is Verdict.ALLOW
            for s in sources
            for t in targets
        )
        return tuple(msgspec.structs.replace(change, proved=proved) for change in changes)

    def _change(
        self, side: SideTrace, subject: PodEnd, other: End, documents: list[Document]
    ) -> Change | None:
        """Return the addition for one side and make it in `documents`; None if none can be said."""
        isolating = [p for p in side.policies if p.policy.policy.tier == NETWORK_POLICY]
        denied_by_isolation = any(e.rule == "isolation" for e in side.evidence)
        if denied_by_isolation:
            peer = self._network_policy_peer(subject, other)
            if peer is None:
                return None
            rule: dict[str, Any] = {"from" if side.direction is Direction.INGRESS else "to": [peer]}
            if (port := self._network_policy_port()) is not None:
                rule["ports"] = [port]
            narrowest = min(
                (p for p in isolating if _is_narrow(p)),
                key=lambda p: p.policy.subjects.bit_count(),
                default=None,
            )
            if narrowest is None:
                return self._new_policy(side.direction, subject, rule, documents)
            return _add_rule(
                documents, narrowest.policy.policy.document, side.direction, rule, None
            )
        deciding = [e for e in side.evidence if e.action == "deny" and e.object]
        for traced in side.policies:
            for r in traced.rules:
                name = path_text(r.compiled.rule.path).removeprefix("spec.")
                if any((e.object, e.rule) == (traced.policy.policy.ref, name) for e in deciding):
                    return self._accept_before(traced, r, side.direction, other, documents)
        return None

    def _new_policy(
        self,
        direction: Direction,
        subject: PodEnd,
        rule: dict[str, Any],
        documents: list[Document],
    ) -> Change:
        workload = self._snapshot.workloads[subject.workload]
        name = f"{workload.name}-{direction.value}"
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": workload.namespace},
            "spec": {
                "podSelector": {"matchLabels": _labels(workload, self._identity(subject))},
                "policyTypes": [direction.value.capitalize()],
                direction.value: [rule],
            },
        }
        document = Document(
            "networking.k8s.io/v1", "NetworkPolicy", workload.namespace, name, body, "proposed"
        )
        documents.append(document)
        return Change(f"create {document.ref}", document.ref, yaml.safe_dump(body, sort_keys=False))

    def _accept_before(
        self,
        traced: PolicyTrace,
        denying: RuleTrace,
        direction: Direction,
        other: End,
        documents: list[Document],
    ) -> Change | None:
        """Put an accepting rule before the one that denies, in the same policy."""
        policy = traced.policy.policy
        peer = self._cluster_peer(other, direction)
        index = denying.compiled.rule.path[-1]
        if peer is None or not isinstance(index, int):
            return None
        accept, ports = ("Accept", "protocols")
        if policy.kind != "ClusterNetworkPolicy":
            accept, ports = ("Allow", "ports")
        rule: dict[str, Any] = {
            "action": accept,
            "from" if direction is Direction.INGRESS else "to": [peer],
        }
        protocol, port = self._connection.protocol.value, self._connection.port
        if port is not None:
            rule[ports] = [
                {protocol.lower(): {"destinationPort": {"number": port}}}
                if ports == "protocols"
                else {"portNumber": {"protocol": protocol, "port": port}}
            ]
        return _add_rule(documents, policy.document, direction, rule, index)

    def _identity(self, end: PodEnd) -> Identity:
        return self._snapshot.workloads[end.workload].identities[end.identity]

    def _network_policy_port(self) -> dict[str, Any] | None:
        if self._connection.port is None:
            return None
        return {"protocol": self._connection.protocol.value, "port": self._connection.port}

    def _network_policy_peer(self, subject: PodEnd, other: End) -> dict[str, Any] | None:
        match other:
            case PodEnd() if not self._identity(other).host_network:
                workload = self._snapshot.workloads[other.workload]
                labels = _labels(workload, self._identity(other))
                peer: dict[str, Any] = {"podSelector": {"matchLabels": labels}}
                if workload.namespace != self._snapshot.workloads[subject.workload].namespace:
                    peer = {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": workload.namespace}
                        },
                        **peer,
                    }
                return peer
            case _:
                cidr = self._cidr(other)
                return {"ipBlock": {"cidr": cidr}} if cidr else None

    def _cluster_peer(self, other: End, direction: Direction) -> dict[str, Any] | None:
        if isinstance(other, PodEnd) and not self._identity(other).host_network:
            workload = self._snapshot.workloads[other.workload]
            return {
                "pods": {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": workload.namespace}
                    },
                    "podSelector": {"matchLabels": _labels(workload, self._identity(other))},
                }
            }
        cidr = self._cidr(other)
        return {"networks": [cidr]} if cidr and direction is Direction.EGRESS else None

    def _cidr(self, end: End) -> str | None:
        """Return the one address of an end as a CIDR; None where it is not known."""
        match end:
            case AddressEnd():
                address: str | None = end.address
            case NodeEnd():
                address = next(iter(self._snapshot.nodes[end.node].addresses), None)
            case PodEnd():
                pods = self._identity(end).pods
                address = pods[0].addresses[0] if pods and pods[0].addresses else None
            case DomainEnd():
                address = None
        return address and f"{address}/{128 if ':' in address else 32}"


def _is_narrow(traced: PolicyTrace) -> bool:
    """Return whether a policy selects pods by their labels, unlike a namespace's default deny."""
    subject = traced.policy.policy.subject
    return isinstance(subject, PodPeer) and bool(subject.pods.requirements)


def _add_rule(
    documents: list[Document],
    number: int,
    direction: Direction,
    rule: dict[str, Any],
    before: int | None,
) -> Change:
    """Add a rule to a document, at the end or before another, and return the change."""
    document = documents[number]
    body = copy.deepcopy(document.body)
    rules = body["spec"].get(direction.value) or []
    position = len(rules) if before is None else before
    body["spec"][direction.value] = [*rules[:position], rule, *rules[position:]]
    documents[number] = msgspec.structs.replace(document, body=body, lines=())
    at = document.location_of(("spec", direction.value))
    where = "" if before is None else f" before {direction.value}[{before}]"
    return Change(
        f"add to spec.{direction.value} of {document.ref}{where}",
        document.ref,
        yaml.safe_dump([rule], sort_keys=False),
        at.file,
        at.line,
    )


def _labels(workload: Workload, identity: Identity) -> dict[str, str]:
    """Return the labels by which a person would select a workload's pods: those that last."""
    if workload.selector:
        wanted = {
            r.key: r.values[0]
            for r in workload.selector.requirements
            if r.operator is Operator.IN and len(r.values) == 1
        }
        if wanted and all(identity.labels.get(key) == value for key, value in wanted.items()):
            return wanted
    lasting = {k: v for k, v in identity.labels.items() if not k.startswith(VOLATILE)}
    return lasting or dict(identity.labels)
