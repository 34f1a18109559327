"""Connections by which it is proved what policies of a mesh do, and how they are told."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import msgspec

from ringfence.model.cluster import Protocol
from ringfence.model.connection import AddressEnd, Connection, End, PodEnd
from ringfence.model.document import Document, Path
from ringfence.model.kinds import group_of
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.mesh import DataPlane, IstioConfig, Membership
from ringfence.model.mesh_warning import MeshWarning
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Judgement, Verdict
from ringfence.questions.check import Checker
from ringfence.questions.destinations import Destinations

AUTHORIZATION: Final = ("security.istio.io", "AuthorizationPolicy")
PEER_AUTHENTICATION: Final = ("security.istio.io", "PeerAuthentication")
OUTSIDE: Final = AddressEnd("203.0.113.1")
MOST_SOURCES: Final = 12
"""So many callers are tried of each sort: those that no policy tells apart are one."""

Rules = list[tuple[int, dict[str, Any]]]


class Probe(msgspec.Struct, frozen=True):
    """One connection that was judged."""

    connection: Connection
    judgement: Judgement

    @property
    def mtls(self) -> bool | None:
        """Whether it goes over mTLS; None: that cannot be told, or there is no mesh."""
        return self.judgement.mesh.mtls if self.judgement.mesh else None

    @property
    def network(self) -> Verdict:
        """The verdict of the network alone."""
        return self.judgement.egress & self.judgement.ingress

    @property
    def mesh(self) -> Verdict:
        """The verdict of the mesh alone."""
        mesh = self.judgement.mesh
        return mesh.egress & mesh.ingress if mesh else Verdict.ALLOW

    def by(self, action: str, layer: str = "mesh") -> list[Evidence]:
        """Return what in a layer did something."""
        return [e for e in self.judgement.evidence if (e.layer, e.action) == (layer, action)]


class Probes:
    """The ends of one cluster, and the verdicts on what is sent between them."""

    def __init__(self, checker: Checker, destinations: tuple[PodEnd, ...] | None = None) -> None:
        """Keep who judges.

        Args:
            checker: judges.
            destinations: those that matter; None: every workload in a mesh.
        """
        self.checker, self.snapshot = checker, checker.snapshot
        self._given = destinations
        self._destinations: Destinations = checker.destinations
        self._services = self.snapshot.services
        self._ways: dict[PodEnd, list[tuple[int, int | None]]] = {}

    # -- ends ----------------------------------------------------------------------------------

    def member(self, end: End) -> Membership | None:
        """Return how an end takes part in a mesh."""
        if not isinstance(end, PodEnd):
            return None
        return self.snapshot.workloads[end.workload].identities[end.identity].mesh

    @cached_property
    def _pods(self) -> list[PodEnd]:
        """Pods of every sort: one of each that no policy tells apart, and that serve the same."""
        compiled = self.checker.engine.compiled(4)
        found: dict[tuple[object, ...], PodEnd] = {}
        for w, workload in enumerate(self.snapshot.workloads):
            for i in range(len(workload.identities)):
                end = PodEnd(w, i)
                number = compiled.classes.class_of[compiled.elements(end, None)[0]]
                found.setdefault((number, tuple(self.ways(end))), end)
        return list(found.values())

    @cached_property
    def destinations(self) -> list[PodEnd]:
        """The pods in a mesh that matter, one of each sort; those of gateways left out."""
        listed = self._pods if self._given is None else list(self._given)
        return [end for end in listed if (m := self.member(end)) and not m.gateway]

    @cached_property
    def strangers(self) -> list[End]:
        """Callers in no mesh: workloads, and somebody outside."""
        pods: list[End] = [end for end in self._pods if self.member(end) is None]
        return [*pods[:MOST_SOURCES], OUTSIDE]

    @cached_property
    def members(self) -> list[End]:
        """Callers in a mesh."""
        found: list[End] = [end for end in self._pods if (m := self.member(end)) and not m.gateway]
        return found[:MOST_SOURCES]

    def selected(self, document: Document) -> list[PodEnd]:
        """Return the destinations that an object of Istio may be for, by namespace and labels.

        What is attached to something (`targetRefs`) may be for any of its namespace.
        """
        root = (self.snapshot.mesh.istio or IstioConfig()).root_namespace
        selector = spec_of(document).get("selector")
        labels = selector.get("matchLabels") if isinstance(selector, dict) else None
        wanted = labels.items() if isinstance(labels, dict) else ()
        found = []
        for end in self.destinations:
            workload = self.snapshot.workloads[end.workload]
            own = workload.identities[end.identity].labels
            near = document.namespace in (workload.namespace, root)
            if near and all(own.get(key) == value for key, value in wanted):
                found.append(end)
        return found

    def ways(self, end: PodEnd) -> list[tuple[int, int | None]]:
        """Return the ports that a pod serves, each with a Service that leads there, if one does."""
        found = self._ways.get(end)
        if found is None:
            found = self._ways[end] = self._find_ways(end)
        return found

    def _find_ways(self, end: PodEnd) -> list[tuple[int, int | None]]:
        by_port: dict[int, int | None] = dict.fromkeys(sorted(self._destinations.served(end)))
        for port, service in self._destinations.leading(end):
            if by_port.get(port) is None:
                by_port[port] = service
        return list(by_port.items())

    def plane(self, end: End) -> DataPlane | None:
        """Return the data plane of an end; None where it is in no mesh."""
        member = self.member(end)
        return member.data_plane if member else None

    # -- verdicts ------------------------------------------------------------------------------

    def ask(
        self,
        source: End,
        destination: PodEnd,
        port: int,
        service: int | None = None,
        request: Request = ANYTHING,
    ) -> Probe:
        """Judge one connection."""
        connection = Connection(
            source, destination, Protocol.TCP, port, request=request, service=service
        )
        return Probe(connection, self.checker.judge(connection))

    def shown(self, probe: Probe) -> str:
        """Return a connection and its verdict in words: `a/b -> c/d:80 GET / over mTLS: allow`."""
        connection = probe.connection
        said = ""
        if connection.request.path is not None:
            said = f" {connection.request.method} {connection.request.path}"
        carried = {True: " over mTLS", False: " in plaintext", None: ""}[probe.mtls]
        by = ""
        if connection.service is not None:
            by = f" by {self._services[connection.service].ref}"
        ends = f"{self.name(connection.source)} -> {self.name(connection.destination)}"
        verdict = probe.judgement.verdict.value
        return f"{ends}:{connection.port}{by}{said}{carried}: {verdict}"

    def name(self, end: End) -> str:
        """Return what an end is called."""
        if isinstance(end, PodEnd):
            return self.checker.names.identity_label(end.workload, end.identity)
        return end.address if isinstance(end, AddressEnd) else str(end)

    def warning(self, document: Document, path: Path, message: str, shown: str) -> MeshWarning:
        """Return a warning of a place in a document."""
        return MeshWarning(
            message=message,
            object=document.ref,
            shown_by=shown,
            location=document.location_of(path),
        )


# -- documents -------------------------------------------------------------------------------------


def documents(snapshot: Snapshot, title: tuple[str, str]) -> Iterator[tuple[int, Document]]:
    """Yield the documents of a group and kind, with their numbers."""
    for number, document in enumerate(snapshot.documents):
        if (group_of(document.api_version), document.kind) == title:
            yield number, document


def spec_of(document: Document) -> dict[str, Any]:
    """Return the spec of a document; empty where it has none."""
    spec = document.body.get("spec")
    return spec if isinstance(spec, dict) else {}


def rules_of(document: Document, action: str) -> Rules:
    """Return the rules of an AuthorizationPolicy that has some action, with their numbers."""
    spec = spec_of(document)
    if (spec.get("action") or "ALLOW") != action:
        return []
    rules = spec.get("rules")
    listed = enumerate(rules if isinstance(rules, list) else ())
    return [(number, rule) for number, rule in listed if isinstance(rule, dict)]


def parts(rule: dict[str, Any], side: str, inner: str) -> list[dict[str, Any]]:
    """Return the sources (`from`, `source`) or operations (`to`, `operation`) of a rule."""
    listed = rule.get(side)
    found = (
        [p.get(inner) for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
    )
    return [part for part in found if isinstance(part, dict)]


def request_for(rule: dict[str, Any]) -> Request:
    """Return an HTTP request that the operations of a rule mean, if one can be seen at a glance."""
    operation = next(iter(parts(rule, "to", "operation")), {})
    return Request(
        http=True,
        method=_first(operation.get("methods"), "GET"),
        path=_first(operation.get("paths"), "/"),
        host=_first(operation.get("hosts"), "example.com"),
        headers=(),
    )


def _first(values: object, otherwise: str) -> str:
    value = values[0] if isinstance(values, list) and values else otherwise
    if not isinstance(value, str) or value == "*":
        return otherwise
    return value.replace("{**}", "x").replace("{*}", "x").replace("*", "x" if "*" in value else "")
