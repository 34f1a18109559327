"""From a dependency map to what the proxies of a service mesh are to let in, in common form.

A mesh judges where a connection arrives: every workload of a covered namespace that takes part in
the mesh gets one policy with its callers, told by what they prove to be. What its workloads call is
for the policies of what is called, and for those of the network.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from ringfence.engine.labels import selects
from ringfence.learn import limits
from ringfence.learn.cluster_dns import find_dns
from ringfence.learn.dependency_map import Dependency, DependencyMap
from ringfence.learn.mesh_reading import MTLS, by_reading, is_plain, over_mtls, runs_of, tcp_ports
from ringfence.learn.mesh_ways import EVERY_PORT, MeshWays, Runs, tcp_runs
from ringfence.learn.own_accounts import Accounts, Offer, closed_by_default
from ringfence.learn.propose import NAMESPACE_FILE
from ringfence.learn.proposed_rules import object_name, reason
from ringfence.learn.resolve import ResolvedDependency, Resolver
from ringfence.learn.stable_selector import on_host_network, stable_labels
from ringfence.learn.wishes import ISTIO, LINKERD, Wishes
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.layer7 import HttpMatch, Layer7, exact
from ringfence.model.location import Problem
from ringfence.model.mesh import LinkerdConfig
from ringfence.model.proposal import ProposedPolicy, ProposedRule
from ringfence.model.rule import (
    Action,
    Direction,
    NodePeer,
    Peer,
    PodPeer,
    Policy,
    PrincipalPeer,
    Rule,
    Tier,
    Traffic,
)
from ringfence.model.selector import EVERYTHING, LabelSelector, from_labels
from ringfence.model.snapshot import Snapshot
from ringfence.model.tiers import ISTIO_ALLOW, ISTIO_TRANSPORT, LINKERD_SERVER

ALL_NODES: Final = NodePeer(EVERYTHING)


class MeshProposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a map comes to in a mesh."""

    policies: tuple[ProposedPolicy, ...] = ()
    twins: dict[int, tuple[int, ...]] = {}
    """Workloads that the mesh's selectors do not tell apart from another."""
    offers: tuple[Offer, ...] = ()
    notes: tuple[Problem, ...] = ()


class _Said(NamedTuple):
    """What a rule of a workload's policy says."""

    peers: tuple[Peer, ...] | None
    traffic: tuple[Traffic, ...] | None
    layer7: tuple[Layer7, ...] | None
    opaque: str = ""
    detour: str = ""
    plain: bool = False
    """Whether it speaks of what comes without mTLS alone."""


def propose_mesh(dependency_map: DependencyMap, snapshot: Snapshot, wishes: Wishes) -> MeshProposal:
    """Return what a map comes to in the mesh that is wished for.

    Args:
        dependency_map: who may call whom; the cluster has all that it names.
        snapshot: the cluster.
        wishes: the mesh.
    """
    return _Proposer(dependency_map, snapshot, wishes).proposal()


class _Proposer:
    def __init__(self, dependency_map: DependencyMap, snapshot: Snapshot, wishes: Wishes) -> None:
        self._map, self._snapshot, self._mesh = dependency_map, snapshot, wishes.mesh
        self._alone = not wishes.dialect
        self._resolver = Resolver(dependency_map, snapshot)
        self._names = self._resolver.names
        self._ways = MeshWays(snapshot)
        self._inside = [
            number
            for number, workload in enumerate(snapshot.workloads)
            if workload.namespace in dependency_map.namespaces and not on_host_network(workload)
        ]
        self._members = [n for n in self._inside if self._ways.members(n, self._mesh)]
        self._rules: defaultdict[int, dict[_Said, list[str]]] = defaultdict(dict)
        self._plain: defaultdict[int, dict[str, None]] = defaultdict(dict)
        """Per workload its callers that prove nothing."""
        self._notes: list[Problem] = []

    def proposal(self) -> MeshProposal:
        resolved = self._resolver.all()
        if self._resolver.problems:
            return MeshProposal()
        calling: set[int] = set()
        for each in resolved:
            self._tell_ways_out(each)
            for destination in each.destinations:
                for number, traffic in destination.workloads:
                    runs = tcp_runs(traffic, self._snapshot.workloads[number].identities)
                    if number in self._members and runs:
                        calling |= set(each.source.workloads)
                        self._let_in(each, number, runs)
        self._answer_dns()
        self._tell_strangers()
        selectors = {number: self._selector(number) for number in self._members}
        if self._mesh != ISTIO:
            selectors = self._share_servers(selectors)
        build = self._istio if self._mesh == ISTIO else self._linkerd
        policies = tuple(build({n: chosen for n, (chosen, _) in selectors.items()}))
        named = {n for n in calling if self._ways.members(n, self._mesh)}
        offers = tuple(Accounts(self._snapshot).offers(named | set(self._members)))
        offers += tuple(self._closed_by_default())
        for offer in offers:
            self._note(offer.why)
        return MeshProposal(
            policies=policies,
            twins={number: also for number, (_, also) in selectors.items() if also},
            offers=offers,
            notes=tuple(dict.fromkeys(self._notes)),
        )

    # -- rules -------------------------------------------------------------------------------

    def _let_in(self, each: ResolvedDependency, number: int, runs: Runs) -> None:
        """Write a dependency into the policy of what it leads to."""
        dependency = each.dependency
        why = reason("from", str(dependency.source), dependency, each.owner)
        boxes = limits.requests(dependency.http)
        for some, opaque in (
            by_reading(self._ways, self._mesh, number, runs) if boxes else ((runs, ""),)
        ):
            traffic = None if some == EVERY_PORT else tcp_ports(some)
            if not each.source.workloads:
                said = _Said(each.source.peers, traffic, boxes, opaque)
                self._rules[number].setdefault(said, []).append(why)
                self._plain[number][str(dependency.source)] = None
                continue
            proved: dict[str, None] = {}
            unproved: dict[Peer, None] = {}
            for source in each.source.workloads:
                proved |= dict.fromkeys(self._ways.principals(source, number, some))
                if self._ways.comes_plain(source, number, some, self._mesh):
                    unproved[self._peer(source)] = None
                    self._plain[number][self._names.workload_name(source)] = None
            if proved:
                peers = tuple(PrincipalPeer(exact(name)) for name in sorted(proved))
                detour = self._ways.detour(each.source.workloads, number, some)
                said = _Said(peers, traffic, over_mtls(boxes), opaque, detour)
                self._rules[number].setdefault(said, []).append(why)
            if unproved:
                said = _Said(tuple(unproved), traffic, boxes, opaque, plain=True)
                self._rules[number].setdefault(said, []).append(why)

    def _peer(self, number: int) -> Peer:
        """Return how the network names a workload: the mesh does not know it."""
        workload = self._snapshot.workloads[number]
        if on_host_network(workload):
            return ALL_NODES
        return PodPeer(
            from_labels({NAMESPACE_NAME: workload.namespace}),
            self._resolver.selectors.of(number).selector,
        )

    def _answer_dns(self) -> None:
        """Let everybody ask a DNS that takes part in the mesh itself."""
        dns = find_dns(self._snapshot, self._resolver.selectors) if self._map.dns else None
        for number, traffic in dns.workloads if dns else ():
            runs = tcp_runs(traffic, self._snapshot.workloads[number].identities)
            if number in self._members and runs:
                said = _Said(None, tcp_ports(runs), None)
                why = "from every pod: this is the cluster's DNS"
                self._rules[number].setdefault(said, []).append(why)
                self._plain[number]["every pod"] = None

    # -- Istio -------------------------------------------------------------------------------

    def _istio(self, selectors: dict[int, LabelSelector]) -> Iterator[ProposedPolicy]:
        for namespace in sorted(self._map.namespaces):
            inside = [n for n in self._members if self._in(n, namespace)]
            subject = tuple(self._names.workload_name(n) for n in inside)
            deny = f"In {namespace}, the mesh lets nobody in whom no policy allows."
            yield self._policy(
                namespace, "default-deny", EVERYTHING, (), subject, (deny,), ISTIO_ALLOW
            )
            open_to = [n for n in inside if self._plain[n]]
            # Without labels to select by, what is about one workload is about the namespace.
            named = all(selectors[n].requirements for n in open_to)
            strict = named and (len(open_to) < len(inside) or not inside)
            why = ["Nobody connects without mTLS."]
            if not strict:
                why = [self._plain_text(n) for n in open_to]
            elif open_to:
                why = ["Nobody connects without mTLS, but to what has a policy of its own for it."]
            yield self._transport(namespace, "mtls", EVERYTHING, subject, tuple(why), strict=strict)
            for number in open_to if strict else ():
                stem = self._stem(number)
                name = (self._names.workload_name(number),)
                why = [self._plain_text(number)]
                yield self._transport(
                    namespace, stem, selectors[number], name, tuple(why), strict=False, file=stem
                )
        for number in self._members:
            if rules := tuple(self._written(number)):
                yield self._of_workload(number, selectors[number], rules, ISTIO_ALLOW)

    def _plain_text(self, number: int) -> str:
        callers = ", ".join(self._plain[number])
        name = self._names.workload_name(number)
        return f"Callers of {name} that come without mTLS, by the map: {callers}."

    def _transport(
        self,
        namespace: str,
        stem: str,
        pods: LabelSelector,
        subject: tuple[str, ...],
        why: tuple[str, ...],
        *,
        strict: bool,
        file: str = NAMESPACE_FILE,
    ) -> ProposedPolicy:
        rule = Rule(
            direction=Direction.INGRESS,
            action=Action.DENY,
            peers=None,
            traffic=None,
            path=("spec", "mtls"),
            not_layer7=(MTLS,),
        )
        rules = (ProposedRule(rule=rule),) if strict else ()
        return self._policy(namespace, stem, pods, rules, subject, why, ISTIO_TRANSPORT, file)

    # -- Linkerd -----------------------------------------------------------------------------

    def _share_servers(
        self, selectors: dict[int, tuple[LabelSelector, tuple[int, ...]]]
    ) -> dict[int, tuple[LabelSelector, tuple[int, ...]]]:
        """Let workloads of which Servers select each other's pods have the same rules.

        Of several Servers for a port of a pod only one is heeded.
        """
        groups = {number: {number} for number in selectors}
        for number, (_, also) in selectors.items():
            for other in set(also) & groups.keys():
                joined = groups[number] | groups[other]
                for each in joined:
                    groups[each] = joined
        for group in {id(g): g for g in groups.values() if len(g) > 1}.values():
            rules: dict[_Said, list[str]] = {}
            for number in sorted(group):
                for said, whys in self._rules[number].items():
                    rules.setdefault(said, []).extend(whys)
            for number in group:
                self._rules[number] = dict(rules)
        return {
            number: (chosen, tuple(sorted(groups[number] - {number})))
            for number, (chosen, _) in selectors.items()
        }

    def _linkerd(self, selectors: dict[int, LabelSelector]) -> Iterator[ProposedPolicy]:
        for number in self._members:
            ports = {run for said in self._rules[number] for run in runs_of(said.traffic)}
            known = {(port, port) for port in self._ways.known_ports(number)}
            probes = {
                (port, path)
                for identity in self._ways.members(number, self._mesh)
                for port, path in (identity.mesh.probes if identity.mesh else ())
            }
            for port, path in sorted(probes):
                box = Layer7(http=HttpMatch((exact("GET"),), (exact(path),)))
                said = _Said(None, tcp_ports(((port, port),)), (box,))
                self._rules[number].setdefault(said, []).append("a probe of its own")
            closed = Rule(
                direction=Direction.INGRESS,
                action=Action.DENY,
                peers=None,
                traffic=tcp_ports(tuple(sorted(ports | known | {(p, p) for p, _ in probes}))),
                path=("spec",),
            )
            rules = (*self._written(number), ProposedRule(rule=closed))
            yield self._of_workload(number, selectors[number], rules, LINKERD_SERVER)

    def _closed_by_default(self) -> Iterator[Offer]:
        """Yield how namespaces are closed where no Server is, which Linkerd has no object for."""
        config = self._snapshot.mesh.linkerd or LinkerdConfig()
        for namespace in sorted(self._map.namespaces) if self._mesh == LINKERD else ():
            said = {
                identity.mesh.default_inbound or config.default_inbound
                for number in self._members
                if self._in(number, namespace)
                for identity in self._ways.members(number, LINKERD)
                if identity.mesh
            } - {"deny"}
            if said:
                yield closed_by_default(namespace, ", ".join(sorted(said)))

    # -- policies ----------------------------------------------------------------------------

    def _written(self, number: int) -> Iterator[ProposedRule]:
        for index, (said, whys) in enumerate(self._rules[number].items()):
            rule = Rule(
                direction=Direction.INGRESS,
                action=Action.ALLOW,
                peers=said.peers,
                traffic=said.traffic,
                path=("spec", "rules", index),
                layer7=said.layer7,
                not_layer7=(MTLS,) if said.plain else (),
            )
            yield ProposedRule(
                rule=rule,
                why=tuple(dict.fromkeys(whys)),
                opaque=said.opaque,
                detour=said.detour,
            )

    def _of_workload(
        self, number: int, pods: LabelSelector, rules: tuple[ProposedRule, ...], tier: Tier
    ) -> ProposedPolicy:
        workload = self._snapshot.workloads[number]
        name = self._names.workload_name(number)
        stem = self._stem(number)
        why = (f"{workload.kind} {name}: who may call it through the mesh.",)
        return self._policy(workload.namespace, stem, pods, rules, (name,), why, tier, stem)

    def _policy(
        self,
        namespace: str,
        stem: str,
        pods: LabelSelector,
        rules: tuple[ProposedRule, ...],
        subject: tuple[str, ...],
        why: tuple[str, ...],
        tier: Tier,
        file: str = NAMESPACE_FILE,
    ) -> ProposedPolicy:
        kinds = {ISTIO_TRANSPORT: "PeerAuthentication", LINKERD_SERVER: "Server"}
        return ProposedPolicy(
            policy=Policy(
                document=-1,
                kind=kinds.get(tier, "AuthorizationPolicy"),
                namespace=namespace,
                name=object_name(stem),
                tier=tier,
                subject=PodPeer(from_labels({NAMESPACE_NAME: namespace}), pods),
                isolates=(Direction.INGRESS,),
            ),
            rules=rules,
            subject=subject,
            folder=namespace,
            file=file,
            why=why,
        )

    def _selector(self, number: int) -> tuple[LabelSelector, tuple[int, ...]]:
        """Return a selector that the mesh can say, and whom it selects beside the workload."""
        workload = self._snapshot.workloads[number]
        choice = self._resolver.selectors.of(number)
        if self._mesh != ISTIO or is_plain(choice.selector):
            return choice.selector, choice.also
        chosen = from_labels(stable_labels(workload))
        also = tuple(
            other
            for other in self._members
            if other != number
            and self._in(other, workload.namespace)
            and any(selects(chosen, i.labels) for i in self._snapshot.workloads[other].identities)
        )
        if also:
            others = ", ".join(f"`{self._names.workload_name(n)}`" for n in also)
            name = self._names.workload_name(number)
            self._note(
                f"Istio selects by the values of labels alone: `{name}` is not told from "
                f"{others}, and who may call the one may call both"
            )
        return chosen, also

    def _stem(self, number: int) -> str:
        """Return what to call a workload's objects: its name, and its kind where it shares it."""
        workload = self._snapshot.workloads[number]
        same = [
            n
            for n in self._inside
            if self._in(n, workload.namespace) and self._snapshot.workloads[n].name == workload.name
        ]
        if same[0] == number and workload.name not in ("default-deny", "mtls"):
            return workload.name
        return f"{workload.name}.{workload.kind.lower()}"

    def _in(self, number: int, namespace: str) -> bool:
        return self._snapshot.workloads[number].namespace == namespace

    # -- what is told ------------------------------------------------------------------------

    def _tell_ways_out(self, each: ResolvedDependency) -> None:
        """Tell what leads out of the cluster, where no policies of the network say it."""
        callers = set(each.source.workloads) & set(self._inside)
        leaves = any(not destination.workloads for destination in each.destinations)
        if not self._alone or not callers or not leaves:
            return
        ends = f"{each.dependency.source} to {each.dependency.destination}"
        self._note(
            f"{ends}: a mesh's policies say who is let in, not who is let out: policies of the "
            f"network do (`--dialect kubernetes,{self._mesh}`)",
            each.dependency,
        )

    def _tell_strangers(self) -> None:
        mesh = self._mesh.capitalize()
        outside = [n for n in self._inside if n not in self._members]
        if outside:
            names = ", ".join(f"`{self._names.workload_name(n)}`" for n in outside)
            self._note(f"in no mesh of {mesh}, so that nothing of it is enforced there: {names}")

    def _note(self, message: str, dependency: Dependency | None = None) -> None:
        location = dependency.location if dependency else self._map.location
        self._notes.append(Problem(message, location, severity="warning"))
