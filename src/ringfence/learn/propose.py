"""From a dependency map to policies in common form: the least that lets the map come true.

Every workload of a covered namespace gets one policy that holds what the map says of it, in both
directions: the egress of the caller and the ingress of the callee must both allow. Beside them
each covered namespace gets a default-deny and, unless the map says otherwise, the way to the
cluster's DNS, without which a default-deny stops everything.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import product
from typing import Final

import msgspec

from ringfence.learn import limits
from ringfence.learn.carried import Carried
from ringfence.learn.cluster_dns import DnsAnswer, find_dns
from ringfence.learn.control_plane import ControlPlane, find_control_plane
from ringfence.learn.dependency_map import (
    Dependency,
    DependencyMap,
    Place,
    Pods,
)
from ringfence.learn.mesh_ways import MeshWays
from ringfence.learn.proposed_rules import Said, at_the_end, log_rule, object_name, reason, rule_of
from ringfence.learn.resolve import (
    Destination,
    ResolvedDependency,
    Resolver,
)
from ringfence.learn.stable_selector import on_host_network
from ringfence.learn.surroundings import surroundings
from ringfence.learn.wishes import CALICO, CILIUM, PLAIN, Wishes
from ringfence.model.cluster import Protocol
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.layer7 import DomainPattern, Layer7
from ringfence.model.location import Problem
from ringfence.model.mesh import DataPlane
from ringfence.model.proposal import ProposedPolicy, ProposedRule, Surroundings
from ringfence.model.rule import (
    NETWORK_POLICY,
    Direction,
    LabelPeer,
    PodPeer,
    Policy,
    PortRange,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, from_labels
from ringfence.model.snapshot import Snapshot

NAMESPACE_FILE: Final = "_namespace"
"""The file of a namespace's own policies; no workload's name begins with `_`."""

EVERY_POD: Final = (PodPeer(EVERYTHING, EVERYTHING),)
TUNNEL: Final = "the mesh's tunnel, in which its own policies tell ports apart"

BOTH: Final = (Direction.INGRESS, Direction.EGRESS)


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a map comes to in a cluster."""

    policies: tuple[ProposedPolicy, ...]
    surroundings: Surroundings
    covered: tuple[int, ...]
    """The workloads to which the policies apply, as indices."""
    dns: DnsAnswer | None
    """None where the map wants no DNS."""
    wishes: Wishes = PLAIN
    control: ControlPlane | None = None
    """What a mesh needs of the network; None where no mesh gets policies."""
    by_account: frozenset[int] = frozenset()
    """Workloads that are told by their service accounts, so that no twin is taken for them."""
    twins: dict[int, tuple[int, ...]] = {}
    """Workloads that no stable label tells apart from another: what it may, they may too."""
    mesh_twins: dict[int, tuple[int, ...]] = {}
    """Workloads that the policies of a mesh do not tell apart from another."""
    problems: tuple[Problem, ...] = ()
    """Names that the cluster does not have: `policies` is empty then."""
    notes: tuple[Problem, ...] = ()


def propose(dependency_map: DependencyMap, snapshot: Snapshot, wishes: Wishes = PLAIN) -> Proposal:
    """Return the policies that a map comes to in a cluster.

    Args:
        dependency_map: who may call whom.
        snapshot: the cluster whose workloads it names.
        wishes: the language that the policies are for, and what is wanted of it.
    """
    return _Proposer(dependency_map, snapshot, wishes).proposal()


class _Proposer:
    def __init__(self, dependency_map: DependencyMap, snapshot: Snapshot, wishes: Wishes) -> None:
        self._map = dependency_map
        self._snapshot = snapshot
        self._wishes = wishes
        self._resolver = Resolver(dependency_map, snapshot, wishes)
        self._names = self._resolver.names
        self._owners = {
            str(entry.subject): entry.owner for entry in dependency_map.workloads if entry.owner
        }
        self._covered = [
            number
            for number, workload in enumerate(snapshot.workloads)
            if workload.namespace in dependency_map.namespaces and not on_host_network(workload)
        ]
        self._rules: dict[tuple[int, Direction], dict[Said, list[str]]] = defaultdict(dict)
        self._ways = MeshWays(snapshot) if wishes.mesh else None
        self._control = find_control_plane(snapshot, wishes.mesh) if wishes.mesh else None
        self._lookups: dict[int, tuple[DomainPattern, ...]] | None = None
        self._notes: list[Problem] = []

    def proposal(self) -> Proposal:
        resolved = self._resolver.all()
        if self._resolver.problems:
            return self._result((), None)
        covered = set(self._covered)
        for each in resolved:
            self._apply(each, covered)
        if self._control:
            self._reach_control_plane(self._control)
        dns = find_dns(self._snapshot, self._resolver.selectors) if self._map.dns else None
        if dns:
            if self._wishes.dialect == CILIUM:
                self._lookups = self._ask_for_names(dns)
            self._admit_to_dns(dns, covered)
        if not self._wishes.dialect:
            return self._result((), dns)
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
            surroundings=surroundings(self._snapshot, self._wishes),
            covered=tuple(self._covered),
            dns=dns,
            wishes=self._wishes,
            control=self._control,
            by_account=frozenset(self._resolver.by_account),
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
        layer7 = limits.requests(dependency.http)
        sources = [n for n in each.source.workloads if n in covered]
        touched = bool(sources)
        for destination in each.destinations:
            carried = Carried(each, destination, self._ways)
            echoed = layer7 is not None and self._all_covered(dependency, destination, covered)
            for number in sources:
                why = reason("to", str(dependency.destination), dependency, each.owner)
                read = None if carried.sealed_on_the_way_out else layer7
                said = Said(destination.peers, destination.traffic, read, echoed and bool(read))
                self._write(number, Direction.EGRESS, said, why, carried.out_of(number))
            for number, traffic in destination.workloads:
                if number in covered and traffic != ():
                    why = reason("from", str(dependency.source), dependency, each.owner)
                    read = None if carried.is_member(number) else layer7
                    said = Said(each.source.peers, traffic, read)
                    self._write(number, Direction.INGRESS, said, why, carried.into(number))
                touched = touched or number in covered
        if not touched:
            message = "neither end is a workload to which policies apply in a covered namespace"
            self._note(f"{dependency.source} to {dependency.destination}: {message}", dependency)

    def _write(
        self, number: int, direction: Direction, said: Said, why: str, tunnels: Iterable[int]
    ) -> None:
        """Write a rule, and beside it one for the tunnels in which a mesh carries the same."""
        rules = self._rules[number, direction]
        rules.setdefault(said, []).append(why)
        if said.traffic is None:
            return
        peers = EVERY_POD if said.peers is None else said.peers
        if all(isinstance(peer, PodPeer | LabelPeer) for peer in peers):
            for port in tunnels:
                through = Said(peers, (PortRange(Protocol.TCP, port, port),))
                rules.setdefault(through, []).append(f"{why}; {TUNNEL}")

    def _reach_control_plane(self, control: ControlPlane) -> None:
        """Let the proxies of a mesh reach what configures them, and the kubelet its pods."""
        for number in self._covered:
            identities = self._snapshot.workloads[number].identities
            planes = {identity.mesh.data_plane for identity in identities if identity.mesh}
            if not planes.isdisjoint(control.planes):
                for (peers, traffic), (there, _) in zip(
                    control.rules, control.workloads, strict=True
                ):
                    tunnels = self._tunnels((number,), there)
                    said = Said(peers, traffic)
                    self._write(number, Direction.EGRESS, said, control.why, tunnels)
            if DataPlane.AMBIENT in planes:
                for block, ports in control.probes:
                    said = Said((block,), ports)
                    rules = self._rules[number, Direction.INGRESS]
                    rules.setdefault(said, []).append(control.probed_because)

    def _tunnels(self, sources: Iterable[int], destinations: Iterable[int]) -> tuple[int, ...]:
        if self._ways is None:
            return ()
        pairs = product(sources, destinations)
        return tuple(sorted({port for s, d in pairs for port in self._ways.tunnels(s, d)}))

    def _all_covered(
        self, dependency: Dependency, destination: Destination, covered: set[int]
    ) -> bool:
        """Return whether whatever a destination is, or may become, has a policy of its own."""
        end = dependency.destination
        if isinstance(end, Pods) and end.namespace not in self._map.namespaces:
            return False
        numbers = {number for number, _ in destination.workloads}
        return bool(numbers) and numbers <= covered

    def _ask_for_names(self, dns: DnsAnswer) -> dict[int, tuple[DomainPattern, ...]]:
        """Let each workload resolve what it calls, in a language that looks into lookups."""
        found = {}
        for number in self._covered:
            rules = self._rules[number, Direction.EGRESS]
            names = found[number] = limits.lookups(said.peers for said in rules)
            if not names:
                continue
            why = "to the cluster's DNS, for the names of what it calls"
            if names == (limits.EVERY_NAME,):
                why = "to the cluster's DNS, for any name: it calls addresses"
            for peers, traffic in dns.rules:
                said = Said(peers, traffic, (Layer7(dns=names),))
                rules.setdefault(said, []).append(why)
        return found

    def _admit_to_dns(self, dns: DnsAnswer, covered: set[int]) -> None:
        """Let every pod of the cluster ask a DNS workload that is itself covered."""
        for number, traffic in dns.workloads:
            if number in covered:
                why = "from every pod: this is the cluster's DNS"
                tunnels = self._tunnels(range(len(self._snapshot.workloads)), (number,))
                self._write(number, Direction.INGRESS, Said(EVERY_POD, traffic), why, tunnels)

    # -- policies ----------------------------------------------------------------------------

    def _namespace(self, namespace: str, dns: DnsAnswer | None) -> list[ProposedPolicy]:
        inside = [n for n in self._covered if self._snapshot.workloads[n].namespace == namespace]
        subject = tuple(self._names.workload_name(n) for n in inside)
        deny = (f"In {namespace}, nothing connects or is connected to unless a policy allows it.",)
        logs = tuple(map(log_rule, BOTH)) if self._wishes.log_denied else ()
        policies = [self._policy(namespace, "default-deny", EVERYTHING, logs, subject, deny)]
        if logs and self._wishes.dialect == CALICO:
            # Behind every other policy, so that what is logged is what none of them allowed.
            policies = [at_the_end(policies[0])]
        if dns:
            asked = (Layer7(dns=(limits.CLUSTER_NAMES,)),) if self._lookups is not None else None
            rules = tuple(
                ProposedRule(
                    rule=rule_of(Direction.EGRESS, 0, Said(peers, traffic, asked)), why=dns.why
                )
                for peers, traffic in dns.rules
            )
            there = [number for number, _ in dns.workloads]
            wires = tuple(
                PortRange(Protocol.TCP, port, port) for port in self._tunnels(inside, there)
            )
            if wires:
                tunnel = tuple(dict.fromkeys(p for peers, _ in dns.rules for p in peers))
                said = Said(tuple(p for p in tunnel if isinstance(p, PodPeer)), wires)
                rules = (
                    *rules,
                    ProposedRule(rule=rule_of(Direction.EGRESS, len(rules), said), why=(TUNNEL,)),
                )
            whose = "names" if asked is None else "the cluster's own names"
            why = (f"Every pod in {namespace} may resolve {whose}.",)
            policies.append(
                self._policy(namespace, "dns", EVERYTHING, rules, subject, why, (Direction.EGRESS,))
            )
        return policies

    def _workload(self, number: int, stem: str) -> ProposedPolicy:
        workload = self._snapshot.workloads[number]
        name = self._names.workload_name(number)
        rules = [
            ProposedRule(
                rule=rule_of(direction, index, said),
                why=tuple(dict.fromkeys(whys)),
                echoed=said.echoed,
            )
            for direction in BOTH
            for index, (said, whys) in enumerate(self._rules[number, direction].items())
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
                kind=self._wishes.title,
                namespace=namespace,
                name=object_name(stem),
                tier=NETWORK_POLICY,
                subject=PodPeer(from_labels({NAMESPACE_NAME: namespace}), pods),
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
        if not self._snapshot.pod_cidrs_assumed or self._wishes.dialect == CILIUM:
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
