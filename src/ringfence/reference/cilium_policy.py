"""CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy `cilium.io/v2`, field by field.

Source: Cilium `pkg/k8s/apis/cilium.io/v2/{cnp,ccnp}_types.go`, `pkg/policy/api/{rule,ingress,
egress}.go`, `pkg/policy/api/rule_validation.go`, `pkg/policy/utils/parserules.go`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ringfence.model.document import Document, Path, path_text
from ringfence.model.profile import older_than
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence
from ringfence.reference import schema
from ringfence.reference.cilium_labels import (
    labels_of,
    labels_of_host,
    may_select_host,
    read_selector,
    subject_selector,
)
from ringfence.reference.cilium_layer7 import Limit, read_authentication
from ringfence.reference.cilium_peers import (
    ANYONE,
    NO_SERVICE,
    NODE_UNSURE,
    PeerEntry,
    Section,
    node_matches,
    read_peers,
    requirement,
)
from ringfence.reference.cilium_ports import EVERYTHING, PortEntry, read_icmps, read_ports
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.outcome import NO, Match, all_of, evidence
from ringfence.reference.schema import NotUnderstoodError

NAMESPACED = "CiliumNetworkPolicy"
CLUSTERWIDE = "CiliumClusterwideNetworkPolicy"
API_VERSIONS = ("cilium.io/v2",)
SECTIONS = ("ingress", "ingressDeny", "egress", "egressDeny")
SPEC = (
    "endpointSelector",
    "nodeSelector",
    *SECTIONS,
    "enableDefaultDeny",
    "labels",
    "description",
    "log",
)


@dataclass(frozen=True)
class Cell:
    """One peer of a rule on one port: what Cilium makes an entry of an endpoint's policy of.

    Source: Cilium `pkg/policy/l4.go` L4Filter, PerSelectorPolicies.
    """

    direction: Direction
    denies: bool
    peer: PeerEntry
    port: PortEntry
    limit: Limit
    evidence: Evidence

    @property
    def key(self) -> tuple[str, str]:
        """Return what it is merged by, within its direction: the same peer on the same port."""
        return self.peer.key, self.port.key

    @property
    def match(self) -> Match:
        """Return whether it is about the connection."""
        return all_of([self.peer.match, self.port.match])


@dataclass(frozen=True)
class Isolation:
    """A rule of a direction in which its policy isolates, or leaves alone, the subject."""

    direction: Direction
    denies: bool
    """Whether what nothing allows is denied then."""
    evidence: Evidence


@dataclass(frozen=True)
class Reading:
    """What an object says of the subject."""

    cells: tuple[Cell, ...] = ()
    isolations: tuple[Isolation, ...] = ()
    requirements: tuple[tuple[Direction, Match], ...] = ()
    """What every endpoint among the peers must meet beside (`fromRequires`, before 1.19)."""


def read(document: Document, here: Approach, snapshot: Snapshot) -> Reading | None:
    """Return what an object says of the subject; None if it does not select it.

    Cilium takes an object as a whole or not at all: whatever is not understood of it, in whichever
    of its specs, leaves all unknown that it says of what it selects.

    Source: Cilium `pkg/k8s/apis/cilium.io/v2/cnp_types.go` Parse.

    Raises:
        NotUnderstoodError: whether it selects the subject, or what it says, cannot be told.
    """
    if document.kind == NAMESPACED and not (
        isinstance(here.subject, OwnPod) and here.subject.namespace == document.namespace
    ):
        return None
    if document.api_version not in API_VERSIONS:
        raise NotUnderstoodError(f"`{document.api_version}` is not known", ("apiVersion",))
    specs = _specs(document)
    chosen = [path for spec, path in specs if _selects(spec, path, document, here)]
    if not chosen:
        return None
    schema.fields(document.body, (), ("apiVersion", "kind", "metadata", "spec", "specs", "status"))
    found = Reading()
    for spec, path in specs:
        said = _spec(spec, path, document, here, snapshot)
        if path in chosen:
            found = Reading(
                found.cells + said.cells,
                found.isolations + said.isolations,
                found.requirements + said.requirements,
            )
    return found


def _specs(document: Document) -> list[tuple[dict[str, Any], Path]]:
    """Return the rules of an object: its `spec`, and those of its `specs`; at least one."""
    body = document.body
    listed: list[tuple[Any, Path]] = []
    if body.get("spec") is not None:
        listed.append((body["spec"], ("spec",)))
    for index, spec in enumerate(schema.items(body.get("specs"), ("specs",))):
        listed.append((spec, ("specs", index)))
    if not listed:
        raise NotUnderstoodError("must have `spec` or `specs`", ())
    for spec, path in listed:
        if not isinstance(spec, dict):
            raise NotUnderstoodError("must be a mapping", path)
    return listed


def _selects(spec: dict[str, Any], path: Path, document: Document, here: Approach) -> bool:
    """Return whether a rule applies to the subject.

    Exactly one of `endpointSelector` and `nodeSelector`, which stands in clusterwide policies
    only and applies to nodes alone. What a policy of a namespace selects is of that namespace.

    Raises:
        NotUnderstoodError: that cannot be told.
    """
    by_pod, by_node = spec.get("endpointSelector"), spec.get("nodeSelector")
    if (by_pod is None) == (by_node is None):
        raise NotUnderstoodError("must have one of endpointSelector, nodeSelector", path)
    if by_node is not None:
        at = (*path, "nodeSelector")
        if document.kind == NAMESPACED:
            raise NotUnderstoodError("stands in clusterwide policies only", at)
        wanted = read_selector(by_node, at)
        if not may_select_host(wanted):
            return False
        found = node_matches(wanted, here.subject, here, labels_of_host)
        if found.because:
            raise NotUnderstoodError(NODE_UNSURE.format(here.subject.name), at)
        return found != NO
    selector = read_selector(by_pod, (*path, "endpointSelector"))
    if not isinstance(here.subject, OwnPod):
        return False
    if document.kind == NAMESPACED:
        selector = subject_selector(selector, document.namespace)
    return selector.selects(labels_of(here.subject, here, api_server=False))


def _spec(
    spec: dict[str, Any], path: Path, document: Document, here: Approach, snapshot: Snapshot
) -> Reading:
    """Return what one rule of an object says.

    Source: Cilium `pkg/policy/api/rule_validation.go` Rule.Validate, Rule.Sanitize.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    given = schema.fields(spec, path, SPEC)
    _remarks(given, path)
    at = (*path, "enableDefaultDeny")
    asked = schema.fields(given.get("enableDefaultDeny", {}), at, ("ingress", "egress"))
    for key, value in asked.items():
        if not isinstance(value, bool):
            raise NotUnderstoodError("must be true or false", (*at, key))
    cells: list[Cell] = []
    isolations: list[Isolation] = []
    requirements: list[tuple[Direction, Match]] = []
    written = 0
    for name in SECTIONS:
        rules = schema.items(given.get(name), (*path, name))
        written += len(rules)
        direction = Direction(name.removesuffix("Deny"))
        if rules:
            denies = asked.get(direction.value, True)
            piece = evidence(document, direction, "deny", "isolation", path)
            isolations.append(Isolation(direction, denies, piece))
        for index, rule in enumerate(rules):
            where = (*path, name, index)
            at_hand = _Place(document, where, direction, denies=name.endswith("Deny"))
            by_node = "nodeSelector" in given
            cells += _cells(rule, at_hand, here, snapshot, by_node=by_node)
            requirements += _requirements(rule, at_hand, here, snapshot)
    if not written and not older_than(snapshot.profile.version, 1, 19):
        raise NotUnderstoodError("has no rules in any section: Cilium rejects it", path)
    return Reading(tuple(cells), tuple(isolations), tuple(requirements))


def _remarks(given: dict[str, Any], path: Path) -> None:
    """Hold that what changes no verdict is of the right form."""
    schema.text(given.get("description", ""), (*path, "description"))
    log = schema.fields(given.get("log", {}), (*path, "log"), ("value",))
    schema.text(log.get("value", ""), (*path, "log", "value"))
    for index, label in enumerate(schema.items(given.get("labels"), (*path, "labels"))):
        at = (*path, "labels", index)
        for key, value in schema.fields(label, at, ("key", "value", "source")).items():
            schema.text(value, (*at, key))


@dataclass(frozen=True)
class _Place:
    """Where a rule stands."""

    document: Document
    path: Path
    direction: Direction
    denies: bool

    @property
    def section(self) -> Section:
        namespace = self.document.namespace if self.document.kind == NAMESPACED else ""
        return Section(self.direction is Direction.INGRESS, self.denies, namespace)

    @property
    def requires(self) -> str:
        return "fromRequires" if self.section.ingress else "toRequires"


def _cells(
    value: Any,  # noqa: ANN401
    place: _Place,
    here: Approach,
    snapshot: Snapshot,
    *,
    by_node: bool,
) -> Iterator[Cell]:
    """Yield a cell for each peer of a rule on each of its ports.

    A rule without peers means anyone, but only if it says something of ports; without ports it
    means all traffic, ICMP included. So a rule that says nothing at all allows nothing.

    Source: Cilium `pkg/policy/rule.go` mergeL4Filter.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    section = place.section
    known = [*section.fields, place.requires, "toPorts", "icmps"]
    if not place.denies:
        known.append("authentication")
    given = schema.fields(value, place.path, known)
    mode = read_authentication(given.get("authentication"), (*place.path, "authentication"))
    if here.cilium.audit:
        # Wanting authentication is a drop like others, which audit mode lets pass
        # (`bpf/lib/policy.h` policy_can_ingress, policy_can_egress).
        mode = ""
    peers = read_peers(given, place.path, here, snapshot, section)
    ports = read_ports(
        given.get("toPorts"),
        (*place.path, "toPorts"),
        here,
        ingress=section.ingress,
        denies=place.denies,
    )
    icmps = read_icmps(given.get("icmps"), (*place.path, "icmps"), here, denies=place.denies)
    if given.get("icmps") and given.get("toPorts"):
        raise NotUnderstoodError("`icmps` and `toPorts` need a rule each", place.path)
    old = older_than(snapshot.profile.version, 1, 19)
    if given.get("toServices") and given.get("toPorts") and old:
        raise NotUnderstoodError("`toServices` has no ports before 1.19", place.path)
    _hold_host_policy(ports, place, snapshot, by_node=by_node)
    speaks_of_ports = bool(given.get("toPorts") or given.get("icmps"))
    if peers is None:
        return
    if not peers:
        peers = [ANYONE] if speaks_of_ports else []
    if not speaks_of_ports:
        peers = [peer for peer in peers if peer.match.because != (NO_SERVICE,)]
    action = "deny" if place.denies else "allow"
    where = place.path[1:] if place.path[0] == "spec" else place.path
    piece = evidence(place.document, place.direction, action, path_text(where), place.path)
    for peer in peers:
        for port in [*ports, *icmps] if speaks_of_ports else [EVERYTHING]:
            limit = replace(port.limit, authentication=mode)
            yield Cell(place.direction, place.denies, peer, port, limit, piece)


def _hold_host_policy(
    ports: list[PortEntry], place: _Place, snapshot: Snapshot, *, by_node: bool
) -> None:
    """Hold that a policy of nodes asks for nothing of layer 7, but (from 1.20) for DNS on egress.

    Raises:
        NotUnderstoodError: it does, and Cilium rejects it.
    """
    if not by_node:
        return
    for port in ports:
        dns = port.limit.dns and not older_than(snapshot.profile.version, 1, 20)
        if port.limit.http or (port.limit.dns and not dns):
            raise NotUnderstoodError("policies of nodes have no rules of layer 7", place.path)


def _requirements(
    value: Any,  # noqa: ANN401
    place: _Place,
    here: Approach,
    snapshot: Snapshot,
) -> Iterator[tuple[Direction, Match]]:
    at = (*place.path, place.requires)
    for match in requirement(value.get(place.requires), at, here, snapshot, place.section):
        yield place.direction, match
