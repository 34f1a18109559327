"""Every way from the outside to a workload's port, and whether the policies let it be."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property

import msgspec

from ringfence.errors import UsageError
from ringfence.layer7.undecidable import Undecidable
from ringfence.model.cluster import Protocol, Route, Service, ServicePort
from ringfence.model.connection import AddressEnd, Connection, NodeEnd, PodEnd
from ringfence.model.connectivity import Allowance, Connectivity, Pair
from ringfence.model.exposure import Entrance
from ringfence.model.location import Location
from ringfence.model.outside import AddressRange, parse_range
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions.admissions import Admission, admission, agreed
from ringfence.questions.check import Checker
from ringfence.questions.controllers import controllers_of
from ringfence.questions.destinations import Target
from ringfence.questions.traffic_sets import TrafficSet
from ringfence.questions.units import DOMAIN, EXTERNAL, NODE, policed

REWRITTEN = (
    "a node may put its own address in the place of the client's (externalTrafficPolicy: "
    "Cluster), and the policies do not treat both alike"
)
"""Source: NetworkPolicy, `ipBlock`: whether it sees an address before or after it is rewritten
is left to the implementation; Service, `externalTrafficPolicy`."""


NO_PORT_DECLARED = "policies govern its node, and at which port it listens is not declared"


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """What opens a way in, before it is known where it leads."""

    kind: str
    object: str
    address: str
    service: str
    location: Location
    through: tuple[str, ...] = ()


class Entrances:
    """The ways into one snapshot."""

    def __init__(self, snapshot: Snapshot, answer: Connectivity) -> None:
        """Keep the snapshot.

        Args:
            snapshot: the cluster.
            answer: its connectivity, for the ranges of the outside that policies tell apart.
        """
        self._snapshot = snapshot
        self._answer = answer
        parsed = (parse_range(peer.name) for peer in answer.endpoints if peer.kind == EXTERNAL)
        self._ranges = sorted(part for part in parsed if part)
        self._checker = Checker(snapshot)
        self._engine = self._checker.engine
        self._names = self._checker.names
        self._dangling: dict[str, None] = {}
        self._outside = cache(self._judge_outside)
        self._inside = cache(self._judge_inside)
        self._open_ends: dict[int, Admission] = {}
        """Per workload: who may come in at any of the Services' and hosts' ways in."""

    def all(self) -> list[Entrance]:
        """Return every way in, in no particular order."""
        direct = [*self._through_services(), *self._host_networks()]
        return direct + list(self._through_routes())

    def notes(self) -> tuple[str, ...]:
        """Return which ways lead nowhere; to be asked for after `all`."""
        return tuple(self._dangling)

    # -- Services ----------------------------------------------------------------------------

    def _through_services(self) -> Iterator[Entrance]:
        for service in self._snapshot.services:
            for port in service.ports:
                doors = list(_doors(service, port))
                targets = self._targets(service, port) if doors else []
                for door in doors:
                    yield from self._lead(door, service, targets)

    def _targets(self, service: Service, port: ServicePort) -> list[Target]:
        try:
            found = self._checker.destinations.targets(service.ref, port.port, port.protocol)
        except UsageError as error:
            self._dangling[str(error)] = None
            return []
        return [target for target in found if isinstance(target.end, PodEnd)]

    def _lead(self, door: Door, service: Service, targets: Sequence[Target]) -> Iterator[Entrance]:
        """Yield the entrances that a Service's way in makes."""
        blocks = service.source_ranges if door.kind == "LoadBalancer" else ()
        for ends, target in self._by_workload(targets):
            admissions = [
                self._calls(end, target, local=service.external_traffic_local).within(blocks)
                for end in ends
            ]
            for end, found in zip(ends, admissions, strict=True):
                self._opened(end, found)
            yield from self._entrances(door, ends, target, admissions)

    def _opened(self, end: PodEnd, found: Admission) -> None:
        """Remember a way in, for what a controller behind it leads to."""
        before = self._open_ends.get(end.workload)
        self._open_ends[end.workload] = before | found if before else found

    def _calls(self, end: PodEnd, target: Target, *, local: bool) -> Admission:
        """Return who may come in at a node or load balancer, by both addresses pods may see."""
        direct = self._outside(end, target.protocol, target.port)
        if local or self._host_network(end):
            return direct
        rewritten = self._from_nodes(end, target)
        verdicts = {
            part: verdict if verdict is rewritten else Verdict.UNKNOWN
            for part, verdict in direct.verdicts.items()
        }
        if verdicts == direct.verdicts:
            return direct
        return Admission(verdicts, (*direct.because, REWRITTEN), direct.evidence)

    def _from_nodes(self, end: PodEnd, target: Target) -> Verdict:
        """Return whether the nodes may call; where none is known, whether any address may."""
        found = {
            self._checker.judge(
                Connection(NodeEnd(number), end, target.protocol, target.port)
            ).verdict
            for number in range(len(self._snapshot.nodes))
        } or set(self._outside(end, target.protocol, target.port).verdicts.values())
        return found.pop() if len(found) == 1 else Verdict.UNKNOWN

    # -- hosts -------------------------------------------------------------------------------

    def _host_networks(self) -> Iterator[Entrance]:
        """Yield the declared ports of host-network pods: few policies stand before them."""
        for number, workload in enumerate(self._snapshot.workloads):
            for i, identity in enumerate(workload.identities):
                if not identity.host_network:
                    continue
                end = PodEnd(number, i)
                declared: list[tuple[Protocol, int | None]] = [
                    (p.protocol, p.port) for p in sorted(identity.ports) if not p.init
                ]
                for protocol, port in declared or [(Protocol.TCP, None)]:
                    door = Door(
                        kind="HostNetwork",
                        object=f"{workload.kind}/{workload.namespace}/{workload.name}",
                        address=f"its node:{port}" if port else "its node",
                        service="",
                        location=workload.location,
                    )
                    target = Target(end, "", port, protocol)
                    anyone = self._on_host(end, protocol, port)
                    self._opened(end, anyone)
                    yield from self._entrances(door, [end], target, [anyone])

    def _on_host(self, end: PodEnd, protocol: Protocol, port: int | None) -> Admission:
        """Return who may come in at a host: anyone, unless policies have the node for a subject."""
        families = self._engine.families(end)
        ranges = [part for part in self._ranges if part.family in families]
        universe = self._engine.compiled(4).classes.universe
        if not policed(universe, universe.first_identity[end.workload] + end.identity):
            return Admission(dict.fromkeys(ranges, Verdict.ALLOW))
        if port is None:
            return Admission(dict.fromkeys(ranges, Verdict.UNKNOWN), (NO_PORT_DECLARED,))
        return self._outside(end, protocol, port)

    def _host_network(self, end: PodEnd) -> bool:
        return self._snapshot.workloads[end.workload].identities[end.identity].host_network

    # -- routes ------------------------------------------------------------------------------

    def _through_routes(self) -> Iterator[Entrance]:
        services = {(s.namespace, s.name): s for s in self._snapshot.services}
        for route in self._snapshot.routes:
            what = f"{route.kind}/{route.namespace}/{route.name}"
            service = services.get((route.service_namespace, route.service))
            if service is None:
                name = f"svc/{route.service_namespace}/{route.service}"
                self._dangling[f"{route.location}: {what} names `{name}`, which is not there"] = (
                    None
                )
                continue
            ports = [p for p in service.ports if route.port in {None, p.port, p.name}]
            if not ports:
                told = f"{route.location}: {what} names port `{route.port}` of `{service.ref}`"
                self._dangling[f"{told}, which has no such port"] = None
            for port in ports:
                yield from self._through_route(route, what, service, port)

    def _through_route(
        self, route: Route, what: str, service: Service, port: ServicePort
    ) -> Iterator[Entrance]:
        controllers = controllers_of(route, self._snapshot)
        numbers = dict.fromkeys(end.workload for end in controllers.ends)
        door = Door(
            kind=route.kind,
            object=what,
            address=f"{route.host or '*'}{route.path}",
            service=service.ref,
            location=route.location,
            through=tuple(map(self._names.workload_name, numbers)),
        )
        for ends, target in self._by_workload(self._targets(service, port)):
            admissions = []
            for end in ends:
                if controllers.ends:
                    each = [self._by_controller(c, end, target) for c in controllers.ends]
                    found = agreed(each)
                else:
                    found = self._by_anyone(end, target)
                admissions.append(found.told(controllers.because))
            yield from self._entrances(door, ends, target, admissions)

    def _by_controller(self, controller: PodEnd, end: PodEnd, target: Target) -> Admission:
        """Return who may come in to a workload through a controller."""
        outer = self._to_controller(controller)
        judgement = self._inside(controller, end, target.protocol, target.port, target.service)
        return outer & admission(dict.fromkeys(outer.verdicts, judgement))

    def _to_controller(self, controller: PodEnd) -> Admission:
        """Return who may come in to a controller: by its ways in, else by its declared ports."""
        found = self._open_ends.get(controller.workload)
        if found is not None:
            return found
        identity = self._snapshot.workloads[controller.workload].identities[controller.identity]
        ports = [p.port for p in identity.ports if p.protocol is Protocol.TCP and not p.init]
        admissions = [self._outside(controller, Protocol.TCP, port) for port in ports]
        name = self._names.workload_name(controller.workload)
        told = f"no Service in the input leads from the outside to `{name}`"
        if not admissions:
            return Admission(dict.fromkeys(self._ranges, Verdict.UNKNOWN), (told,))
        total = admissions[0]
        for each in admissions[1:]:
            total |= each
        return total.told(told)

    def _by_anyone(self, end: PodEnd, target: Target) -> Admission:
        """Return who may come in where it is not known who calls: allowed if anybody may."""
        direct = self._outside(end, target.protocol, target.port)
        callers = {*direct.verdicts.values(), self._from_nodes(end, target)}
        callers.add(self._from_workloads(end, target))
        verdict = callers.pop() if len(callers) == 1 else Verdict.UNKNOWN
        return Admission(dict.fromkeys(direct.verdicts, verdict), (), direct.evidence)

    def _from_workloads(self, end: PodEnd, target: Target) -> Verdict:
        """Return whether workloads may call, as far as all of them are alike in that."""
        name = self._names.workload_name(end.workload)
        wanted = TrafficSet.of((Allowance(target.protocol.value, str(target.port or "")),))
        pairs = self._pairs_into.get(name, [])
        try:
            return self._as_pairs_have_it(name, wanted, pairs)
        except Undecidable:
            return Verdict.UNKNOWN

    def _as_pairs_have_it(self, name: str, wanted: TrafficSet, pairs: Sequence[Pair]) -> Verdict:
        open_pairs = sum(1 for pair in pairs if not wanted - TrafficSet.of(pair.allow))
        if open_pairs == self._callers.total() * self._callers[name] - self._callers[name] ** 2:
            return Verdict.ALLOW
        shut = all(not wanted & TrafficSet.of((*pair.allow, *pair.unknown)) for pair in pairs)
        return Verdict.DENY if shut else Verdict.UNKNOWN

    @cached_property
    def _pairs_into(self) -> dict[str, list[Pair]]:
        """The pairs between workloads by the workload that they lead to."""
        found: dict[str, list[Pair]] = defaultdict(list)
        for pair in self._answer.connections:
            if _workload(pair.source) in self._callers:
                found[_workload(pair.destination)].append(pair)
        return found

    @cached_property
    def _callers(self) -> Counter[str]:
        """How many peers each workload is told in."""
        others = {EXTERNAL, DOMAIN, NODE}
        return Counter(_workload(p.name) for p in self._answer.endpoints if p.kind not in others)

    # -- judging -----------------------------------------------------------------------------

    def _judge_outside(self, end: PodEnd, protocol: Protocol, port: int | None) -> Admission:
        """Return who may come in by its own address; of the families that the pods have."""
        families = self._engine.families(end)
        judgements: dict[AddressRange, Judgement] = {}
        for part in self._ranges:
            if part.family in families:
                address = str(part).partition("-")[0]
                judgements[part] = self._checker.judge(
                    Connection(AddressEnd(address), end, protocol, port)
                )
        return admission(judgements)

    def _judge_inside(
        self,
        controller: PodEnd,
        end: PodEnd,
        protocol: Protocol,
        port: int | None,
        service: int | None,
    ) -> Judgement:
        """Return whether a controller may call a workload, by a Service's address."""
        return self._checker.judge(Connection(controller, end, protocol, port, service=service))

    # -- writing -----------------------------------------------------------------------------

    @staticmethod
    def _by_workload(targets: Iterable[Target]) -> Iterator[tuple[list[PodEnd], Target]]:
        """Yield the identities of each workload that a Service leads to, port by port."""
        found: dict[tuple[int, Protocol, int | None], list[Target]] = defaultdict(list)
        for target in targets:
            if isinstance(target.end, PodEnd):
                found[target.end.workload, target.protocol, target.port].append(target)
        for same in found.values():
            yield [t.end for t in same if isinstance(t.end, PodEnd)], same[0]

    def _entrances(
        self, door: Door, ends: Sequence[PodEnd], target: Target, admissions: Sequence[Admission]
    ) -> Iterator[Entrance]:
        """Yield one entrance for a workload, or one for each identity where they differ."""
        alike = all(found == admissions[0] for found in admissions)
        for end, found in zip(ends, admissions, strict=True):
            name = self._names.workload_name(end.workload)
            yield Entrance(
                kind=door.kind,
                object=door.object,
                address=door.address,
                service=door.service,
                workload=name if alike else self._names.identity_label(end.workload, end.identity),
                protocol=target.protocol.value,
                port=target.port,
                through=door.through,
                verdict=found.verdict,
                sources=found.ranges(Verdict.ALLOW),
                unknown_sources=found.ranges(Verdict.UNKNOWN),
                limited_to=found.limited,
                because=found.because,
                evidence=found.evidence,
                location=door.location,
            )
            if alike:
                return


def _workload(peer: str) -> str:
    """Return the workload that a peer is, or is some of the pods of."""
    return peer.partition("[")[0]


def _doors(service: Service, port: ServicePort) -> Iterator[Door]:
    """Yield how the outside can call one port of a Service."""
    what = f"Service/{service.namespace}/{service.name}"

    def door(kind: str, address: str) -> Door:
        return Door(
            kind=kind,
            object=what,
            address=address,
            service=service.ref,
            location=service.location,
        )

    addresses = ", ".join(service.external_ips)
    if service.type == "LoadBalancer":
        yield door("LoadBalancer", f"{addresses or 'load balancer'}:{port.port}")
    elif addresses:
        yield door("ExternalIP", f"{addresses}:{port.port}")
    if service.type in {"LoadBalancer", "NodePort"} and port.node_port:
        yield door("NodePort", f"any node:{port.node_port}")
    elif service.type == "NodePort":
        yield door("NodePort", "any node, a port yet to be chosen")
