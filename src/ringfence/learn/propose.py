"""From a dependency map to policies in common form: the least that lets the map come true.

Every workload of a covered namespace gets one policy that holds what the map says of it, in both
directions: the egress of the caller and the ingress of the callee must both allow. Beside them
each covered namespace gets a default-deny and, unless the map says otherwise, the way to the
cluster's DNS, without which a default-deny stops everything.
"""

import hashlib
from collections import defaultdict
from typing import Final

import msgspec

from ringfence.learn.cluster_dns import DnsAnswer, find_dns
from ringfence.learn.dependency_map import (
    PRIVATE,
    PRIVATE_V6,
    Dependency,
    DependencyMap,
    Place,
)
from ringfence.learn.resolve import NAME_LABEL, ResolvedDependency, Resolver, pod_networks
from ringfence.learn.stable_selector import on_host_network
from ringfence.model.location import Problem
from ringfence.model.proposal import ProposedPolicy, ProposedRule, Surroundings
from ringfence.model.rule import (
    NETWORK_POLICY,
    Action,
    Direction,
    Peer,
    PodPeer,
    Policy,
    Rule,
    Traffic,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, from_labels
from ringfence.model.snapshot import Snapshot

PREFIX: Final = "ringfence-"
"""Begins the name of every generated policy, so that it replaces none that somebody wrote."""
NAMESPACE_FILE: Final = "_namespace"
"""The file of a namespace's own policies; no workload's name begins with `_`."""

BOTH: Final = (Direction.INGRESS, Direction.EGRESS)

_Key = tuple[tuple[Peer, ...] | None, tuple[Traffic, ...] | None, tuple[str, ...]]


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a map comes to in a cluster."""

    policies: tuple[ProposedPolicy, ...]
    surroundings: Surroundings
    covered: tuple[int, ...]
    """The workloads to which the policies apply, as indices."""
    dns: DnsAnswer | None
    """None where the map wants no DNS."""
    twins: dict[int, tuple[int, ...]] = {}
    """Workloads that no stable label tells apart from another: what it may, they may too."""
    problems: tuple[Problem, ...] = ()
    """Names that the cluster does not have: `policies` is empty then."""
    notes: tuple[Problem, ...] = ()


def propose(
    dependency_map: DependencyMap, snapshot: Snapshot, *, allow_wider: bool = False
) -> Proposal:
    """Return the policies that a map comes to in a cluster.

    Args:
        dependency_map: who may call whom.
        snapshot: the cluster whose workloads it names.
        allow_wider: see `Surroundings`.
    """
    return _Proposer(dependency_map, snapshot, allow_wider=allow_wider).proposal()


class _Proposer:
    def __init__(
        self, dependency_map: DependencyMap, snapshot: Snapshot, *, allow_wider: bool
    ) -> None:
        self._map = dependency_map
        self._snapshot = snapshot
        self._resolver = Resolver(dependency_map, snapshot)
        self._names = self._resolver.names
        self._allow_wider = allow_wider
        self._owners = {
            str(entry.subject): entry.owner for entry in dependency_map.workloads if entry.owner
        }
        self._covered = [
            number
            for number, workload in enumerate(snapshot.workloads)
            if workload.namespace in dependency_map.namespaces and not on_host_network(workload)
        ]
        self._rules: dict[tuple[int, Direction], dict[_Key, list[str]]] = defaultdict(dict)
        self._notes: list[Problem] = []

    def proposal(self) -> Proposal:
        resolved = self._resolver.all()
        if self._resolver.problems:
            return self._result((), None)
        covered = set(self._covered)
        for each in resolved:
            self._apply(each, covered)
        dns = find_dns(self._snapshot, self._resolver.selectors) if self._map.dns else None
        if dns:
            self._admit_to_dns(dns, covered)
        policies = [
            policy
            for namespace in sorted(self._map.namespaces)
            for policy in self._namespace(namespace, dns)
        ]
        stems = self._stems()
        policies += [self._workload(number, stems[number]) for number in self._covered]
        self._tell_hosts()
        self._tell_assumptions()
        return self._result(tuple(policies), dns)

    def _result(self, policies: tuple[ProposedPolicy, ...], dns: DnsAnswer | None) -> Proposal:
        chosen = {n: self._resolver.selectors.of(n).also for n in self._mentioned()}
        for number, also in chosen.items():
            if also:
                name = self._names.workload_name(number)
                others = ", ".join(f"`{self._names.workload_name(n)}`" for n in also)
                self._note(f"no label tells `{name}` apart from {others}: each may what it may")
        return Proposal(
            policies=policies,
            surroundings=self._surroundings(),
            covered=tuple(self._covered),
            dns=dns,
            twins={number: also for number, also in chosen.items() if also},
            problems=tuple(self._resolver.problems),
            notes=tuple(dict.fromkeys([*self._resolver.notes, *self._notes])),
        )

    def _mentioned(self) -> list[int]:
        """Return the workloads whose selector some policy holds."""
        return sorted(set(self._covered) | self._resolver.named)

    # -- rules -------------------------------------------------------------------------------

    def _apply(self, each: ResolvedDependency, covered: set[int]) -> None:
        """Write a dependency into the policies of both its ends, as far as they are covered."""
        dependency = each.dependency
        http = tuple(map(str, dependency.http))
        sources = [n for n in each.source.workloads if n in covered]
        touched = bool(sources)
        for destination in each.destinations:
            for number in sources:
                why = _why("to", str(dependency.destination), dependency, each.owner)
                key = (destination.peers, destination.traffic, http)
                self._rules[number, Direction.EGRESS].setdefault(key, []).append(why)
            for number, traffic in destination.workloads:
                if number in covered and traffic != ():
                    why = _why("from", str(dependency.source), dependency, each.owner)
                    key = (each.source.peers, traffic, http)
                    self._rules[number, Direction.INGRESS].setdefault(key, []).append(why)
                touched = touched or number in covered
        if not touched:
            message = "neither end is a workload to which policies apply in a covered namespace"
            self._note(f"{dependency.source} to {dependency.destination}: {message}", dependency)

    def _admit_to_dns(self, dns: DnsAnswer, covered: set[int]) -> None:
        """Let every pod of the cluster ask a DNS workload that is itself covered."""
        everyone = (PodPeer(EVERYTHING, EVERYTHING),)
        for number, traffic in dns.workloads:
            if number in covered:
                key: _Key = (everyone, traffic, ())
                why = "from every pod: this is the cluster's DNS"
                self._rules[number, Direction.INGRESS].setdefault(key, []).append(why)

    # -- policies ----------------------------------------------------------------------------

    def _namespace(self, namespace: str, dns: DnsAnswer | None) -> list[ProposedPolicy]:
        inside = [n for n in self._covered if self._snapshot.workloads[n].namespace == namespace]
        subject = tuple(self._names.workload_name(n) for n in inside)
        deny = (f"In {namespace}, nothing connects or is connected to unless a policy allows it.",)
        policies = [self._policy(namespace, "default-deny", EVERYTHING, (), subject, deny)]
        if dns:
            rules = tuple(
                ProposedRule(rule=_rule(Direction.EGRESS, 0, peers, traffic), why=dns.why)
                for peers, traffic in dns.rules
            )
            why = (f"Every pod in {namespace} may resolve names.",)
            policies.append(
                self._policy(namespace, "dns", EVERYTHING, rules, subject, why, (Direction.EGRESS,))
            )
        return policies

    def _workload(self, number: int, stem: str) -> ProposedPolicy:
        workload = self._snapshot.workloads[number]
        name = self._names.workload_name(number)
        rules = [
            ProposedRule(
                rule=_rule(direction, index, peers, traffic),
                why=tuple(dict.fromkeys(whys)),
                http=http,
            )
            for direction in BOTH
            for index, ((peers, traffic, http), whys) in enumerate(
                self._rules[number, direction].items()
            )
        ]
        choice = self._resolver.selectors.of(number)
        why = [f"{workload.kind} {name}: what it may call, and who may call it."]
        if owner := self._owner_of(number):
            why.append(f"Owner: {owner}.")
        if not rules:
            why.append("The map lists nothing: it is closed.")
        if choice.also:
            others = ", ".join(self._names.workload_name(n) for n in choice.also)
            why.append(f"No label tells it apart from {others}: this applies to both.")
        subject = tuple(sorted(self._names.workload_name(n) for n in (number, *choice.also)))
        return self._policy(
            workload.namespace, stem, choice.selector, tuple(rules), subject, tuple(why), file=stem
        )

    def _policy(
        self,
        namespace: str,
        stem: str,
        pods: LabelSelector,
        rules: tuple[ProposedRule, ...],
        subject: tuple[str, ...],
        why: tuple[str, ...],
        isolates: tuple[Direction, ...] = BOTH,
        file: str = NAMESPACE_FILE,
    ) -> ProposedPolicy:
        return ProposedPolicy(
            policy=Policy(
                document=-1,
                kind="NetworkPolicy",
                namespace=namespace,
                name=_object_name(stem),
                tier=NETWORK_POLICY,
                subject=PodPeer(from_labels({NAME_LABEL: namespace}), pods),
                isolates=isolates,
            ),
            rules=rules,
            subject=subject,
            folder=namespace,
            file=file,
            why=why,
        )

    def _owner_of(self, number: int) -> str:
        by_kind = self._names.workload_name(number)
        return self._owners.get(by_kind) or self._owners.get(
            self._snapshot.workloads[number].ref, ""
        )

    def _stems(self) -> dict[int, str]:
        """Return what to call each workload's policy and file: its name, its kind if need be."""
        taken: dict[tuple[str, str], int] = {}
        stems: dict[int, str] = {}
        for number in self._covered:
            workload = self._snapshot.workloads[number]
            stem = workload.name
            # `default-deny` and `dns` are the names of the namespace's own policies.
            while (workload.namespace, stem) in taken or stem in ("default-deny", "dns"):
                stem += f".{workload.kind.lower()}"
            taken[workload.namespace, stem] = number
            stems[number] = stem
        return stems

    # -- what is told ------------------------------------------------------------------------

    def _tell_hosts(self) -> None:
        for workload in self._snapshot.workloads:
            if workload.namespace in self._map.namespaces and on_host_network(workload):
                self._note(
                    f"`{workload.ref}` is on the host network: no NetworkPolicy applies to it, and "
                    "it stays open"
                )

    def _tell_assumptions(self) -> None:
        """Tell what `outside` leaves out where nobody has said where pods live."""
        if not self._snapshot.pod_cidrs_assumed:
            return
        for dependency in self._map.dependencies:
            if Place.OUTSIDE in (dependency.source, dependency.destination):
                self._note(
                    f"`outside` leaves out {', '.join(self._snapshot.pod_cidrs)}, where pods are "
                    "assumed to live: --pod-cidr says where they do",
                    dependency,
                )
                return

    def _note(self, message: str, dependency: Dependency | None = None) -> None:
        location = dependency.location if dependency else self._map.location
        self._notes.append(Problem(message, location, severity="warning"))

    def _surroundings(self) -> Surroundings:
        pods = pod_networks(self._snapshot)
        nodes = sorted({address for node in self._snapshot.nodes for address in node.addresses})
        v6 = any(network.version == 6 for network in pods)
        return Surroundings(
            nodes=tuple(nodes),
            inside=tuple(sorted({*PRIVATE, *(PRIVATE_V6 if v6 else ()), *map(str, pods)})),
            allow_wider=self._allow_wider,
        )


def _object_name(stem: str) -> str:
    name = PREFIX + stem
    if len(name) <= 253:
        return name
    return f"{name[:240]}-{hashlib.sha256(stem.encode('utf-8', 'replace')).hexdigest()[:10]}"


def _rule(
    direction: Direction,
    index: int,
    peers: tuple[Peer, ...] | None,
    traffic: tuple[Traffic, ...] | None,
) -> Rule:
    return Rule(
        direction=direction,
        action=Action.ALLOW,
        peers=peers,
        traffic=traffic,
        path=("spec", direction.value, index),
    )


def _why(preposition: str, end: str, dependency: Dependency, owner: str) -> str:
    """Return the sentence above a rule: what it is for, whose it is, how it is known."""
    text = f"{preposition} {end}, {dependency.traffic}"
    if dependency.reason:
        text += f": {dependency.reason}"
    tail = [f"owner {owner}"] if owner else []
    if dependency.evidence:
        tail.append(f"evidence {dependency.evidence}")
    return text + (f" ({'; '.join(tail)})" if tail else "")
